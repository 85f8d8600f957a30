#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compare walferry-guarantees(7) with the table of errors: check_guarantees.py SOURCE_ROOT.

Under "WHAT STOPS THE RELAY" every error that asks for a decision stands under its exit status, and
no other error does.
"""
import re
import sys

ROW = re.compile(r'^ERROR\((\w+), +(\d+), (\w+), +(\d+),', re.M)
# Statuses whose items name every code; the others are described by what to do.
NAMED = {65, 66, 73, 79}


def main():
    root = sys.argv[1]
    with open(root + '/include/walferry/base/errors.def', encoding='utf-8') as table:
        rows = ROW.findall(table.read())
    with open(root + '/packaging/man/walferry-guarantees.7', encoding='utf-8') as page:
        text = page.read()
    part = text[text.index('.Sh WHAT STOPS THE RELAY'):]
    part = part[:part.index('.Sh', 4)]
    said = {}
    for item in re.split(r'^\.It ', part, flags=re.M)[1:]:
        status = int(re.match(r'(\d+)', item).group(1))
        for code in re.findall(r'^\.Sy WF-(\d+)', item, flags=re.M):
            said[int(code)] = status
    faults = []
    for name, number, kind, status in rows:
        number, status = int(number), int(status)
        wanted = status in NAMED and kind != 'POISON'
        if wanted and said.get(number) != status:
            faults.append(f'WF-{number} ({name}) does not stand under {status}')
        if not wanted and number in said:
            faults.append(f'WF-{number} ({name}) stands under {said[number]}')
        said.pop(number, None)
    faults += [f'WF-{number} is no error' for number in said]
    for fault in faults:
        print(f'walferry-guarantees.7: {fault}', file=sys.stderr)
    sys.exit(1 if faults else 0)


main()
