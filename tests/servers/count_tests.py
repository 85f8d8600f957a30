#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Counts the tests of a meson run, subtests too: count_tests.py TESTLOG.json

Prints "PASSED FAILED" on the first line, then what failed, with its output. A skipped test has not
run, and counts as failed; so does a program that ended badly after its last subtest, and a run of
nothing."""

import json
import re
import sys

SUBTEST = re.compile(r'^(not )?ok\b(.*)$')
TAIL = 8000


def subtests(output):
    passed, failed = 0, []
    bad = False
    for line in output.splitlines():
        match = SUBTEST.match(line)
        if match is None:
            # What TAP says about the subtest before.
            if bad and line.startswith('#'):
                failed[-1] += '\n' + line
            continue
        bad = bool(match.group(1))
        directive = match.group(2).upper()
        if match.group(1) or '# SKIP' in directive:
            failed.append(line)
        else:
            passed += 1
    return passed, failed


def count(test):
    """Passed, failed and a report of one program."""
    output = test.get('stdout') or ''
    good = test['result'] in ('OK', 'EXPECTEDFAIL')
    passed, failed = subtests(output)
    if passed + len(failed) == 0:
        passed = 1 if good else 0
        failed = [] if good else [f'{test["result"]} (status {test.get("returncode")})']
    elif not good and not failed:
        failed = [f'{test["result"]} (status {test.get("returncode")}) after its last test']
    if not failed:
        return passed, 0, ''
    errors = (test.get('stderr') or '')[-TAIL:]
    # What a program prints that is not in TAP is shown whole.
    shown = '\n'.join(failed) if passed else '\n'.join(failed) + '\n' + output[-TAIL:]
    return passed, len(failed), f'FAILED {test["name"]}\n{shown}\n{errors}'


def main():
    passed = failed = 0
    reports = []
    try:
        with open(sys.argv[1], encoding='utf-8') as log:
            for line in log:
                counts = count(json.loads(line))
                passed += counts[0]
                failed += counts[1]
                reports.append(counts[2])
    except OSError as error:
        reports.append(str(error))
    if passed + failed == 0:
        failed = 1
        reports.append('no test ran')
    print(passed, failed)
    for report in filter(None, reports):
        print(report)


if __name__ == '__main__':
    main()
