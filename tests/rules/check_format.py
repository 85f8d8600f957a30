#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every C file is as clang-format leaves it; prints TAP.

    check_format.py [ROOT]      check the tree at ROOT (default: the one this file is in)

Versions of clang-format disagree, so it is this one; a machine without it fails the test.
"""

import os
import re
import shutil
import subprocess
import sys

TOOL = 'clang-format-14'
FOLDERS = ('include', 'src', 'tests')
WARNING = re.compile(r'^(?P<path>[^:\n]+):(?P<line>\d+):\d+: (?:warning|error): ', re.M)


def c_files(root):
    for folder in FOLDERS:
        for place, names, files in os.walk(os.path.join(root, folder)):
            names[:] = sorted(name for name in names if not name.startswith('.'))
            for name in sorted(files):
                if name.endswith(('.c', '.h')):
                    yield os.path.relpath(os.path.join(place, name), root)


def findings(root, arguments, text=None):
    """First place of each file that would be changed."""
    result = subprocess.run([TOOL, '--dry-run', '-Werror', '-style=file', *arguments], cwd=root,
                            input=text, capture_output=True, text=True, check=False)
    places = {}
    for match in WARNING.finditer(result.stderr):
        places.setdefault(match['path'], match['line'])
    if result.returncode != 0 and not places:
        return [result.stderr.strip() or f'{TOOL} ended with {result.returncode}']
    return [f'{path}:{line}: {TOOL} -i {path}' for path, line in places.items()]


def main(arguments):
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
    root = os.path.abspath(arguments[0] if arguments else default)
    if shutil.which(TOOL) is None:
        print(f'1..1\nnot ok 1 - format\n#   {TOOL} is missing: apt-get install {TOOL}')
        return 1
    files = list(c_files(root))
    seen = findings(root, ['--assume-filename=src/main.c'], 'int  f( void );\n')
    results = [('what is not formatted is found', [] if seen else ['nothing was found']),
               ('every C file is formatted',
                findings(root, files) if files else ['there is no C file'])]
    print(f'1..{len(results)}')
    for number, (name, problems) in enumerate(results, 1):
        print(f'{"not ok" if problems else "ok"} {number} - format: {name}')
        for problem in problems:
            print('#   ' + problem)
    return 1 if any(problems for _, problems in results) else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
