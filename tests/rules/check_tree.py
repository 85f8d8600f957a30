#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of the house, checked over the source tree; prints TAP, one line a rule.

    check_tree.py [ROOT]        check the tree at ROOT (default: the one this file is in)
    check_tree.py --self-test   show over small bad trees that every rule can fail

A finding reads "path:line: what is wrong", with what to do instead where that is not plain.
"""

import os
import re
import sys

# ---- what the rules are made of ------------------------------------------------------------

# The layers: which modules' public headers a module may include, beside its own.
FOUNDATION = ['base', 'loop', 'model', 'metrics']
STAGES = ['pg', 'decode', 'capture', 'route', 'envelope', 'checkpoint', 'sink', 'http']
LAYERS = {
    'base': [],
    'loop': ['base'],
    'model': ['base'],
    'metrics': ['base'],
    'pg': FOUNDATION,
    # Pure stages meet in model and never in each other: no loop, no metrics, no I/O.
    'decode': ['base', 'model'],
    'capture': ['base', 'model'],
    'route': ['base', 'model'],
    'envelope': ['base', 'model'],
    'checkpoint': FOUNDATION,
    'sink': FOUNDATION,
    'http': FOUNDATION,
    'source': FOUNDATION + ['pg'],
    'config': FOUNDATION + STAGES + ['source'],
    'relay': FOUNDATION + STAGES + ['source', 'config'],
    'command': FOUNDATION + STAGES + ['source', 'config', 'relay'],
    'main': ['base', 'command'],
}
# Files that may reach for one header more, and the header.
LAYER_EXCEPTIONS = {
    # The guard compares the server's identity with the checkpoint's.
    'include/walferry/source/guard.h': ['checkpoint/checkpoint.h'],
    'src/source/guard.c': ['checkpoint/checkpoint.h'],
}

# Headers of libraries, and the only place that may include them.
LIBRARIES = [
    (re.compile(r'(libpq-fe|libpq/.*|libpq-events)\.h$'), 'src/pg/'),
    (re.compile(r'librdkafka/|rdkafka(_mock)?\.h$'), 'src/sink/kafka/'),
    (re.compile(r'yaml\.h$'), 'src/config/yaml.c'),
    (re.compile(r'microhttpd\.h$'), 'src/http/'),
]

# Calls that stand nowhere, and what to use.
BANNED = {
    'strcpy': 'buf_put_str() or snprintf()',
    'strcat': 'buf_put_str() or snprintf()',
    'sprintf': 'buf_printf() or snprintf()',
    'vsprintf': 'buf_vprintf() or vsnprintf()',
    'gets': 'read()',
    'atoi': 'parse_i64()',
    'atol': 'parse_i64()',
    'strtok': 'a cursor over struct bytes',
    'sleep': 'a timer of the loop',
    'usleep': 'a timer of the loop',
    'system': 'posix_spawn() with an argument vector',
    'popen': 'posix_spawn() with an argument vector',
    'alloca': 'a fixed array or the arena',
}
# Calls that stand in few places of src/ and include/: names, places, what to use elsewhere.
CONFINED = [
    (['time', 'clock_gettime', 'gettimeofday'], ['src/base/clock.c'],
     'the clock of walferry/base/clock.h, or take the time as an argument'),
    (['printf', 'vprintf', 'puts', 'putchar'],
     ['src/command/', 'src/sink/stdout.c', 'src/base/err.c', 'src/base/log.c',
      'src/base/assert.c'],
     'a struct err or a log line; standard output is for data, and of commands'),
    # A forked child has no main to return to, and a watchdog none that would hear it.
    (['exit', 'abort', '_exit'],
     ['src/main.c', 'src/base/assert.c', 'src/base/failpoint.c', 'src/command/demo_keeper.c',
      'src/loop/watchdog.c'],
     'return an error up to main, or ASSERT()'),
]
STDOUT_PLACES = CONFINED[1][1]
# Headers that the build makes, and the module they belong to.
GENERATED = {'sql_files.h': 'command'}
# Rows that no code uses, and why they are there all the same.
UNUSED_ROWS = {}

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
SPDX = 'SPDX-License-Identifier: Apache-2.0'
SPDX_SUFFIXES = ('.c', '.h', '.def', '.sh', '.py', '.sql')
# Spelled in pieces, so that this file does not find itself.
UNFINISHED = re.compile(r'\b(' + '|'.join(['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'])
                        + r')\b')
MACHINE_PATHS = re.compile(r'(?<![\w.$}-])/(' + '|'.join(['wo' + 'rk', 'ro' + 'ot', 'ho' + 'me',
                                                          'fa' + 'rm']) + ')/')

# ---- the tree ------------------------------------------------------------------------------


class Source:
    """One text file: its path from the root with '/', its text, and its code without comments."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.lines = text.splitlines()
        self.is_c = path.endswith(('.c', '.h'))
        self.code = blank_comments_and_text(text) if self.is_c else ''

    def line_of(self, offset):
        return self.text.count('\n', 0, offset) + 1

    def at(self, offset, message):
        return f'{self.path}:{self.line_of(offset)}: {message}'


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank_comments_and_text(text):
    """Comments and what stands between quotes become spaces; every line stays where it is.

    Names of included files stay: they look like text but are code."""

    def blank(match):
        token = match.group(0)
        line_start = text.rfind('\n', 0, match.start()) + 1
        if token[0] == '"' and text[line_start:match.start()].lstrip().startswith('#include'):
            return token
        if token[0] in '"\'':
            return token[0] + ' ' * (len(token) - 2) + token[0]
        return re.sub(r'[^\n]', ' ', token)

    return TOKEN.sub(blank, text)


def read_tree(root, folders=('include', 'src', 'tests', 'sql')):
    sources = []
    for folder in folders:
        for place, names, files in os.walk(os.path.join(root, folder)):
            names[:] = sorted(n for n in names if n != '__pycache__' and not n.startswith('.'))
            for name in sorted(files):
                full = os.path.join(place, name)
                path = os.path.relpath(full, root).replace(os.sep, '/')
                try:
                    with open(full, encoding='utf-8') as file:
                        sources.append(Source(path, file.read()))
                except UnicodeDecodeError:
                    continue  # a binary, such as the corpus of a fuzzer
    return sources


def in_product(source):
    return source.path.startswith(('src/', 'include/'))


def in_place(path, places):
    return any(path == place or (place.endswith('/') and path.startswith(place))
               for place in places)


# ---- the rules: each yields its findings ---------------------------------------------------

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">\n]+)[">]', re.M)


def module_of(path):
    if path == 'src/main.c':
        return 'main'
    parts = path.split('/')
    return parts[2] if parts[0] == 'include' else parts[1]


def beside(source, name):
    """The path of a header that is included by its place relative to the includer."""
    return os.path.normpath(os.path.join(os.path.dirname(source.path), name)).replace(os.sep, '/')


def is_private(source, name, paths):
    """A header of the module's own, which may be called as that of a library is."""
    if GENERATED.get(name) == module_of(source.path):
        return True
    return beside(source, name) in paths and \
        beside(source, name).startswith('src/' + module_of(source.path) + '/')


def library_place(name):
    return next((place for pattern, place in LIBRARIES if pattern.match(name)), None)


def rule_layers(sources):
    """a module includes only the modules below it"""
    paths = {source.path for source in sources}
    for source in filter(in_product, sources):
        if not source.is_c:
            continue
        module = module_of(source.path)
        if module not in LAYERS:
            yield f'{source.path}:1: module {module} has no row in the table of layers'
            continue
        for match in INCLUDE.finditer(source.code):
            name = match.group(2)
            if not name.startswith('walferry/'):
                if (match.group(1) == '"' and not is_private(source, name, paths)
                        and library_place(name) is None):
                    yield source.at(match.start(), f'"{name}" is no header of this module')
                continue
            header = name[len('walferry/'):]
            other = header.split('/')[0]
            allowed = other == module or other in LAYERS[module]
            if not allowed and header not in LAYER_EXCEPTIONS.get(source.path, []):
                yield source.at(match.start(), f'{module} may not include {header}; it may use '
                                f'{", ".join(LAYERS[module]) or "nothing but itself"}')


def rule_libraries(sources):
    """each library is included in one place only"""
    paths = {source.path for source in sources}
    for source in filter(in_product, sources):
        for match in INCLUDE.finditer(source.code):
            name = match.group(2)
            place = library_place(name)
            own = match.group(1) == '"' and is_private(source, name, paths)
            if place is not None and not own and not in_place(source.path, [place]):
                yield source.at(match.start(), f'<{name}> belongs to {place}')


HEADER_START = re.compile(
    r'/\* ' + re.escape(SPDX) + r' \*/\n/\*\n(?: \*[^\n]*\n)+? \*/\n(?:#[^\n]*\n|/\*.*?\*/|\s)*?'
    r'#pragma once\n', re.S)
DEF_START = re.compile(r'/\* ' + re.escape(SPDX) + r' \*/\n/\*.*?\*/\n', re.S)


def rule_headers(sources):
    """headers open with the licence, a contract and #pragma once"""
    for source in filter(in_product, sources):
        if source.path.endswith('.h') and not HEADER_START.match(source.text):
            yield (f'{source.path}:1: needs the SPDX line, then a comment block of at least three '
                   'lines that is the contract, then #pragma once')
        if source.path.endswith('.def') and not DEF_START.match(source.text):
            yield f'{source.path}:1: needs the SPDX line, then a comment that says what the rows are'


def rule_licence(sources):
    """every source file names its licence"""
    for source in sources:
        wanted = (source.path.endswith(SPDX_SUFFIXES)
                  or os.path.basename(source.path) == 'meson.build')
        if wanted and not any(SPDX in line for line in source.lines[:3]):
            yield f'{source.path}:1: no "{SPDX}" in the first three lines'


def calls(source, names):
    """Calls of plain functions by these names, not of members that are called the same."""
    pattern = r'(?<![\w.])(?<!->)(' + '|'.join(names) + r')\s*\('
    return re.finditer(pattern, source.code)


STDOUT = re.compile(r'[(,]\s*stdout\b')
GOTO = re.compile(r'(?<!\w)goto(?!\w)')


def rule_calls(sources):
    """banned calls stand nowhere, confined ones in their place"""
    for source in sources:
        for match in calls(source, BANNED):
            yield source.at(match.start(), f'{match.group(1)}(): use {BANNED[match.group(1)]}')
        for match in GOTO.finditer(source.code):
            yield source.at(match.start(), 'goto: use a function and return')
        if not in_product(source):
            continue
        for names, places, instead in CONFINED:
            if in_place(source.path, places):
                continue
            for match in calls(source, names):
                yield source.at(match.start(), f'{match.group(1)}(): use {instead}')
        if not in_place(source.path, STDOUT_PLACES):
            for match in STDOUT.finditer(source.code):
                yield source.at(match.start(), f'stdout: use {CONFINED[1][2]}')


FUNCTION = re.compile(r'^\{$.*?^\}', re.M | re.S)


def rule_size(sources):
    """functions and files can be held in the head"""
    for source in filter(in_product, sources):
        if not source.is_c:
            continue
        if len(source.lines) > FILE_LINES_MAX:
            yield (f'{source.path}:1: {len(source.lines)} lines, at most {FILE_LINES_MAX}: split it '
                   'by concern')
        for match in FUNCTION.finditer(source.code):
            length = match.group(0).count('\n') + 1
            if length > FUNCTION_LINES_MAX:
                yield source.at(match.start(), f'a function of {length} lines, at most '
                                f'{FUNCTION_LINES_MAX}')


def rule_finished(sources):
    """nothing is left for later"""
    for source in sources:
        for match in UNFINISHED.finditer(source.text):
            yield source.at(match.start(), f'{match.group(1)}: do it, or file an issue')


def rule_machine(sources):
    """no path of the machine it was built on"""
    for source in sources:
        for match in MACHINE_PATHS.finditer(source.text):
            yield source.at(match.start(), f'{match.group(0)}: a path of one machine')


def find(sources, path):
    return next((source for source in sources if source.path == path), None)


def words_of_code(sources, prefix):
    """Every identifier of src/ that begins with the prefix."""
    words = set()
    for source in sources:
        if source.path.startswith('src/') and source.is_c:
            words.update(re.findall(r'\b' + prefix + r'\w+', source.code))
    return words


ERROR_ROW = re.compile(r'^ERROR\((\w+),\s*(\d+),\s*\w+,\s*\d+,\s*"(\w+)"', re.M)
METRIC_ROW = re.compile(r'^METRIC\((\w+),\s*"(\w+)"', re.M)


def repeated(table, rows, group, what):
    seen = set()
    for row in rows:
        if row.group(group) in seen:
            yield table.at(row.start(), f'{what} {row.group(group)} stands twice')
        seen.add(row.group(group))


def unused(table, rows, prefix, used):
    for row in rows:
        name = prefix + row.group(1)
        if name not in used and name not in UNUSED_ROWS:
            yield table.at(row.start(), f'{name} is not used in src')
        if name in used and name in UNUSED_ROWS:
            yield table.at(row.start(), f'{name} is used: take it out of UNUSED_ROWS')


def rule_errors(sources):
    """every error has a number of its own and is used"""
    table = find(sources, 'include/walferry/base/errors.def')
    rows = list(ERROR_ROW.finditer(table.text)) if table else []
    if not rows:
        yield 'include/walferry/base/errors.def:1: there is no table of errors'
        return
    yield from repeated(table, rows, 1, 'the name')
    yield from repeated(table, rows, 2, 'the number')
    yield from repeated(table, rows, 3, 'the label')
    used = words_of_code(sources, 'ERR_')
    yield from unused(table, rows, 'ERR_', used)


def rule_metrics(sources):
    """every metric has a name of its own and is used"""
    table = find(sources, 'include/walferry/metrics/metrics.def')
    rows = list(METRIC_ROW.finditer(table.text)) if table else []
    if not rows:
        yield 'include/walferry/metrics/metrics.def:1: there is no table of metrics'
        return
    yield from repeated(table, rows, 2, 'the name')
    used = words_of_code(sources, 'METRIC_')
    yield from unused(table, rows, 'METRIC_', used)


FAILPOINTS = 'include/walferry/base/failpoint.def'
FAULTS = 'tests/e2e/fault_table.c'
FAILPOINT_LINE = re.compile(r'^/\* (src/\S+) \*/$|^FAILPOINT_ROW\((\w+),\s*"([^"]+)"', re.M)
FAILPOINT_USE = re.compile(r'\bFAILPOINT\((\w+)\)')
FAULT_ROW = re.compile(r'^\{"([^"]+)",', re.M)


def failpoint_rows(table):
    """Of each row its match and the place that the comment above it names."""
    place = None
    for match in FAILPOINT_LINE.finditer(table.text):
        if match.group(1):
            place = match.group(1)
        else:
            yield match, place


def rule_failpoints(sources):
    """every failpoint stands once in the code, where the table says, and is tested"""
    table = find(sources, FAILPOINTS)
    faults = find(sources, FAULTS)
    rows = list(failpoint_rows(table)) if table else []
    if not rows or not faults:
        yield f'{FAILPOINTS if faults else FAULTS}:1: there is no table of failpoints'
        return
    yield from repeated(table, [row for row, _ in rows], 3, 'the name')
    tested = {match.group(1): match for match in FAULT_ROW.finditer(faults.text)}
    uses = {}
    for source in sources:
        if source.path.startswith('src/') and source.is_c:
            for match in FAILPOINT_USE.finditer(source.code):
                uses.setdefault(match.group(1), []).append((source, match))
    for row, place in rows:
        name = row.group(2)
        places = [source.path for source, _ in uses.pop(name, [])]
        if row.group(3).replace('.', '_').upper() != name:
            yield table.at(row.start(), f'{name} is called {row.group(3)}')
        if len(places) != 1:
            yield table.at(row.start(), f'{name} stands {len(places)} times in the code, and has '
                           'to stand once')
        elif place is None or not (places[0] == place or places[0].startswith(place + '/')):
            yield table.at(row.start(), f'{name} stands in {places[0]}, and not below {place}')
        if row.group(3) not in tested:
            yield table.at(row.start(), f'{row.group(3)} has no row in {FAULTS}')
    for name, found in uses.items():
        source, match = found[0]
        yield source.at(match.start(), f'{name} has no row in {FAILPOINTS}')
    names = {row.group(3) for row, _ in rows}
    for name, match in tested.items():
        if name not in names:
            yield faults.at(match.start(), f'{name} has no row in {FAILPOINTS}')


RULES = [rule_layers, rule_libraries, rule_headers, rule_licence, rule_calls, rule_size,
         rule_finished, rule_machine, rule_errors, rule_metrics, rule_failpoints]


def check(root):
    """Findings by rule, in the order of RULES."""
    sources = read_tree(root)
    return [(rule, list(rule(sources))) for rule in RULES]


def main(arguments):
    if arguments == ['--self-test']:
        sys.dont_write_bytecode = True  # the tree stays as it is
        import self_test
        return self_test.main(check)
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
    root = os.path.abspath(arguments[0] if arguments else default)
    print(f'1..{len(RULES)}')
    failed = 0
    for number, (rule, findings) in enumerate(check(root), 1):
        name = f'{rule.__name__.removeprefix("rule_")}: {rule.__doc__}'
        print(f'{"not ok" if findings else "ok"} {number} - {name}')
        for finding in findings:
            print('#   ' + finding)
        failed += bool(findings)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
