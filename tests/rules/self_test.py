# SPDX-License-Identifier: Apache-2.0
"""Trees that break one rule each, and one that breaks none though it looks like it.

Run as `check_tree.py --self-test`. Every bad tree is the good one with one file changed or added:
the rule that it names must find it, in that file, and no other rule may find anything."""

import os
import tempfile

C = '/* SPDX-License-Identifier: Apache-2.0 */\n'
PY = '# SPDX-License-Identifier: Apache-2.0\n'
HEADER = C + '/*\n * x: what it owns.\n */\n#pragma once\n'

def c_with(statement):
    return C + 'void f(void)\n{\n    ' + statement + '\n}\n'


# Near misses of every rule; all of it is allowed.
GOOD = {
    'include/walferry/base/errors.def':
        C + '/* ERROR(name, number, class, exit status, label, text). */\n'
        'ERROR(NONE, 0, NONE, 0, "none", "No error.")\n'
        'ERROR(USAGE, 1001, CONFIG, 64, "usage", "Usage.")\n',
    'include/walferry/metrics/metrics.def':
        C + '/* METRIC(id, name). */\nMETRIC(STATE, "state", GAUGE)\n',
    'include/walferry/base/failpoint.def':
        C + '/* FAILPOINT_ROW(id, name, meaning). */\n/* src/base */\n'
        'FAILPOINT_ROW(LOG_WRITE, "log.write", "a line")\n/* src/sink/kafka */\n'
        'FAILPOINT_ROW(TXN_COMMIT_ACK, "txn.commit.ack", "an answer")\n',
    'tests/e2e/fault_table.c': C + '{"log.write", 1},\n{"txn.commit.ack", 1},\n',
    'include/walferry/base/err.h': HEADER + '#include <stdbool.h>\n',
    'include/walferry/base/compiler.h': HEADER +
        '#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))\n',
    'include/walferry/source/guard.h': HEADER + '#include "walferry/checkpoint/checkpoint.h"\n',
    'src/main.c': C + '#include "walferry/command/command.h"\nint main(void)\n{\n    exit(0);\n}\n',
    'src/base/clock.c': C + 'int f(void)\n{\n    return clock_gettime(CLOCK_MONOTONIC, 0);\n}\n',
    'src/base/err.c': C + '#include "walferry/base/err.h"\nint e = ERR_NONE + ERR_USAGE;\n',
    'src/base/line.c': c_with('if (FAILPOINT(LOG_WRITE)) return; /* FAILPOINT(LOG_WRITE) */'),
    'src/sink/kafka/commit.c': c_with('discard(FAILPOINT(TXN_COMMIT_ACK));'),
    'src/command/run.c': C + '#include "walferry/pg/pg.h"\nvoid run(void)\n{\n'
        '    fprintf(stdout, "x");\n    printf("goto exit(1)");\n}\n',
    'src/pg/pg.c': C + '#include <libpq-fe.h>\n#include "walferry/base/err.h"\n',
    'src/sink/kafka/producer.c': C + '#include <librdkafka/rdkafka.h>\n#include "../ops.h"\n'
        '#include "walferry/metrics/metrics.h"\nint m = METRIC_STATE;\n',
    'src/sink/ops.h': HEADER,
    'src/config/yaml.h': HEADER,
    'src/config/load.c': C + '#include "yaml.h"\n',
    'src/relay/relay_private.h': HEADER,
    'src/command/setup.c': C + '#include "sql_files.h"\n',
    'src/command/demo_keeper.c': C + 'void f(void)\n{\n    _exit(0);\n}\n',
    'src/route/route.c': C + '#include "walferry/model/record.h"\n'
        '/* strcpy(a, b); goto end; time(NULL); a comment may say so */\n'
        'const char *s = "sprintf(x) \\" goto /*";\n'
        'void f(struct ops *o)\n{\n    o->sleep(1);\n    o->table.system(2);\n    my_atoi(3);\n'
        '    commit_time(4);\n    snprintf(b, 1, "/workshop/ x/root/y");\n}\n',
    'src/base/long.c': C + 'void f(void)\n{\n' + '    g();\n' * 68 + '}\n' + '\n' * 400,
    'tests/unit/base/test_long.c': C + 'void f(void)\n{\n' + '    printf("x");\n' * 600 + '}\n',
    'tests/unit/pg/test_pg.c': C + '#include <libpq-fe.h>\n#include <time.h>\n'
        'int now(void)\n{\n    return time(0);\n}\n',
    'src/base/meson.build': PY,
    'tests/fuzz/corpus/seed': b'\xff\xfe',
}


LATER = ['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK']
PLACES = ['/wo' + 'rk/', '/ro' + 'ot/', '/ho' + 'me/', '/fa' + 'rm/']

# rule, path, contents that break it there
BAD = [
    ('layers', 'src/decode/a.c', C + '#include "walferry/route/route.h"\n'),
    ('layers', 'src/envelope/a.c', C + '#include "walferry/capture/capture.h"\n'),
    ('layers', 'src/capture/a.c', C + '#include "walferry/metrics/metrics.h"\n'),
    ('layers', 'src/base/a.c', C + '#include "walferry/loop/loop.h"\n'),
    ('layers', 'src/sink/kafka/a.c', C + '#include "walferry/checkpoint/ledger.h"\n'),
    ('layers', 'src/source/source.c', C + '#include "walferry/checkpoint/checkpoint.h"\n'),
    ('layers', 'src/source/guard.c', C + '#include "walferry/checkpoint/ledger.h"\n'),
    ('layers', 'src/config/a.c', C + '#  include <walferry/relay/relay.h>\n'),
    ('layers', 'src/relay/a.c', C + '#include "walferry/command/command.h"\n'),
    ('layers', 'src/main.c', C + '#include "walferry/relay/relay.h"\n'),
    ('layers', 'include/walferry/model/a.h', HEADER + '#include "walferry/loop/loop.h"\n'),
    ('layers', 'src/http/a.c', C + '#include "../relay/relay_private.h"\n'),
    ('layers', 'src/http/a.c', C + '#include "relay_private.h"\n'),
    ('layers', 'src/novel/a.c', C),
    ('layers', 'src/relay/a.c', C + '#include "sql_files.h"\n'),
    ('libraries', 'src/source/a.c', C + '#include <libpq-fe.h>\n'),
    ('libraries', 'src/sink/a.c', C + '#include <librdkafka/rdkafka.h>\n'),
    ('libraries', 'src/config/a.c', C + '#include <yaml.h>\n'),
    ('libraries', 'src/http/a.c', C + '#include "yaml.h"\n'),
    ('libraries', 'src/relay/a.c', C + '#include <microhttpd.h>\n'),
    ('libraries', 'include/walferry/pg/pg.h', HEADER + '#include "libpq-fe.h"\n'),
    ('headers', 'include/walferry/base/a.h', C + '#pragma once\nint a;\n'),
    ('headers', 'include/walferry/base/a.h', C + '/* too short */\n#pragma once\n'),
    ('headers', 'include/walferry/base/a.h', C + '/*\n * a\n */\nint a;\n#pragma once\n'),
    ('headers', 'src/base/a.h', C + '/*\n * a\n */\nint a;\n'),
    ('headers', 'src/base/a.h', '/* x */\n' + HEADER),
    ('headers', 'src/config/a.def', C + 'ROW(a)\n'),
    ('licence', 'src/base/a.c', '\n\n\n' + C),
    ('licence', 'src/base/meson.build', 'x = 1\n'),
    ('licence', 'tests/rules/a.py', '#!/usr/bin/env python3\n'),
    ('licence', 'tests/e2e/a.sh', '#!/bin/sh\n'),
    ('licence', 'sql/01.sql', 'select 1;\n'),
    ('calls', 'src/base/a.c', c_with('printf("x");')),
    ('calls', 'src/http/a.c', c_with('fputs("x", stdout);')),
    ('calls', 'src/http/a.c', c_with('fprintf(stdout, "x");')),
    ('calls', 'src/relay/a.c', c_with('exit(1);')),
    ('calls', 'src/command/a.c', c_with('abort();')),
    ('calls', 'src/sink/a.c', c_with('_exit (1);')),
    ('calls', 'src/command/demo.c', c_with('_exit(1);')),
    ('calls', 'src/relay/a.c', c_with('t = time(NULL);')),
    ('calls', 'src/base/log.c', c_with('clock_gettime(CLOCK_REALTIME, &t);')),
    ('calls', 'src/pg/a.c', c_with('gettimeofday(&t, NULL);')),
    ('calls', 'src/pg/a.c', c_with('goto end;')),
    ('calls', 'tests/unit/pg/a.c', c_with('if (x) goto end;')),
    ('size', 'src/base/a.c', C + 'void f(void)\n{\n' + '    g();\n' * 69 + '}\n'),
    ('size', 'src/base/a.c', C + '\n' * 500),
    ('size', 'include/walferry/base/a.h', HEADER + '\n' * 500),
    ('errors', 'src/base/err.c', C + 'int e = ERR_NONE; /* ERR_USAGE */\n'),
    ('metrics', 'src/sink/kafka/producer.c', C + 'const char *m = "METRIC_STATE";\n'),
]
BAD += [('calls', 'src/base/a.c', c_with(name + '(x);'))
        for name in ['strcpy', 'strcat', 'sprintf', 'vsprintf', 'gets', 'atoi', 'atol', 'strtok',
                     'sleep', 'usleep', 'system', 'popen', 'alloca']]
BAD += [('calls', 'tests/unit/base/a.c', c_with('sleep(1);'))]
BAD += [('finished', 'src/base/a.c', C + '/* ' + word + ': later */\n') for word in LATER]
BAD += [('finished', 'tests/e2e/a.sh', PY + '# ' + LATER[0] + '\n')]
BAD += [('machine', 'src/base/a.c', C + 'const char *p = "' + place + 'x";\n')
        for place in PLACES]
BAD += [('machine', 'tests/e2e/a.py', PY + "p = '" + PLACES[0] + "x'\n")]

ERRORS = 'include/walferry/base/errors.def'
METRICS = 'include/walferry/metrics/metrics.def'
BAD += [
    ('errors', ERRORS, GOOD[ERRORS] + 'ERROR(OTHER, 1002, CONFIG, 64, "other", "Not used.")\n'),
    ('errors', ERRORS, GOOD[ERRORS].replace('1001', '0')),
    ('errors', ERRORS, GOOD[ERRORS].replace('"usage"', '"none"')),
    ('errors', ERRORS, C + '/* an empty table */\n'),
    ('metrics', METRICS, GOOD[METRICS] + 'METRIC(OTHER, "other", GAUGE)\n'),
    ('metrics', METRICS, GOOD[METRICS] * 2),
    ('metrics', METRICS, C + '/* an empty table */\n'),
]

FAILPOINTS = 'include/walferry/base/failpoint.def'
FAULTS = 'tests/e2e/fault_table.c'
COMMIT = 'src/sink/kafka/commit.c'
BAD += [
    ('failpoints', FAILPOINTS, GOOD[FAILPOINTS] + 'FAILPOINT_ROW(DR_OK, "dr.ok", "not used")\n'),
    ('failpoints', FAILPOINTS, GOOD[FAILPOINTS].replace('"log.write"', '"log.line"')),
    ('failpoints', FAILPOINTS, GOOD[FAILPOINTS].replace('/* src/base */', '/* src/loop */')),
    ('failpoints', FAILPOINTS, GOOD[FAILPOINTS].replace('/* src/base */', '/* src/bas */')),
    ('failpoints', FAILPOINTS, C + '/* an empty table */\n'),
    ('failpoints', FAULTS, C + '{"log.write", 1},\n'),
    ('failpoints', FAULTS, GOOD[FAULTS] + '{"dr.ok", 1},\n'),
    ('failpoints', COMMIT, c_with('f();')),
    ('failpoints', COMMIT, GOOD[COMMIT] * 2),
    ('failpoints', COMMIT, GOOD[COMMIT] + c_with('discard(FAILPOINT(DR_OK));')),
    ('failpoints', 'src/sink/line.c', c_with('discard(FAILPOINT(LOG_WRITE));')),
]


def write_tree(root, files):
    for path, contents in files.items():
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, 'wb') as file:
            file.write(contents if isinstance(contents, bytes) else contents.encode())


def findings_of(check, files):
    """Findings by the short name of the rule, of rules that found something."""
    with tempfile.TemporaryDirectory() as root:
        write_tree(root, files)
        return {rule.__name__.removeprefix('rule_'): findings
                for rule, findings in check(root) if findings}


def main(check):
    results = [('nothing is found in the good tree', findings_of(check, GOOD) or None)]
    for rule, path, contents in BAD:
        found = findings_of(check, {**GOOD, path: contents})
        right = list(found) == [rule] and all(f.startswith(path + ':') for f in found[rule])
        # A table that lost or lacks a use is found at the row, not where the use is missing.
        if rule == 'failpoints' or (rule in ('errors', 'metrics') and path.startswith('src/')):
            right = list(found) == [rule]
        results.append((f'{rule} finds {path}', None if right else found or 'nothing was found'))
    fired = {rule for rule, _, _ in BAD}
    silent = [rule.__name__ for rule, _ in check('/nonexistent')
              if rule.__name__.removeprefix('rule_') not in fired]
    results.append(('every rule has a bad tree', silent or None))
    print(f'1..{len(results)}')
    for number, (name, problem) in enumerate(results, 1):
        print(f'{"ok" if problem is None else "not ok"} {number} - {name}')
        if problem is not None:
            print(f'#   {problem}')
    return 1 if any(problem is not None for _, problem in results) else 0
