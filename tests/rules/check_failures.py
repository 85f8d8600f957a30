#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The table of failures, held against the tree; prints TAP.

    check_failures.py ROOT         check ROOT/tests/failures.md
    check_failures.py --self-test  show over small bad tables that every rule can fail
"""
import os
import re
import sys

LAST = 60  # the rows that must be there; more may follow
ROW = re.compile(r'^\| (\d+) \| (.*?) \| (.*?) \| (.*?) \|$')
ERROR = re.compile(r'^ERROR\((\w+), *(\d+), *(\w+), *(\d+),', re.M)
METRIC = re.compile(r'^METRIC\(\w+, "(\w+)"', re.M)


class Tree:
    """What the table speaks of."""

    def __init__(self, root):
        self.root = root
        self.errors = {int(number): int(status) for _, number, _, status in
                       ERROR.findall(self.read('include/walferry/base/errors.def'))}
        self.metrics = {'walferry_' + name for name in
                        METRIC.findall(self.read('include/walferry/metrics/metrics.def'))}
        self.tests = {}

    def read(self, path):
        try:
            with open(os.path.join(self.root, path), encoding='utf-8') as file:
                return file.read()
        except FileNotFoundError:
            return ''

    def has_test(self, name):
        """folder/file/function, where the folder may have several parts; faults/failpoint; or the
        program of the kills."""
        if name.startswith('faults/'):
            return f'{{"{name[len("faults/"):]}"' in self.read('tests/e2e/fault_table.c')
        if name == 'kill/kill_loop':
            return self.read('tests/kill/kill_loop.c') != ''
        place, _, function = name.rpartition('/')
        folder, _, file = place.rpartition('/')
        path = f'tests/{folder}/test_{file}.c'
        if path not in self.tests:
            text = self.read(path)
            # One that is not added to its suite never runs.
            self.tests[path] = {test for test in re.findall(r'^START_TEST\((\w+)\)', text, re.M)
                                if len(re.findall(r'\b%s\b' % test, text)) > 1}
        return function in self.tests[path]


def rows_of(table):
    return [match.groups() for match in map(ROW.match, table.splitlines()) if match]


def rule_numbers(table, _):
    """every failure stands once, in order"""
    numbers = [int(row[0]) for row in rows_of(table)]
    lines = [line for line in table.splitlines() if re.match(r'^\| *\d', line)]
    if len(lines) != len(numbers):
        yield f'{len(lines) - len(numbers)} rows do not have four columns'
    if numbers != list(range(1, len(numbers) + 1)):
        yield f'the rows are not numbered from 1: {numbers}'
    if len(numbers) < LAST:
        yield f'there are {len(numbers)} rows, and {LAST} failures'


def rule_tests(table, tree):
    """every row names tests that exist and run"""
    for number, _, _, tests in rows_of(table):
        for name in tests.split(', '):
            if not tree.has_test(name):
                yield f'row {number}: there is no test {name}'


def rule_errors(table, tree):
    """codes exist, and their exit statuses are those of the row"""
    for number, _, deed, _ in rows_of(table):
        codes = [int(code) for code in re.findall(r'WF-(\d+)', deed)]
        for code in codes:
            if code not in tree.errors:
                yield f'row {number}: there is no WF-{code}'
        known = {tree.errors[code] for code in codes if code in tree.errors}
        for status in map(int, re.findall(r'\bexit (\d+)', deed)):
            if status not in known | {0, 77}:
                yield f'row {number}: no code of it exits {status}'


def rule_metrics(table, tree):
    """metrics exist"""
    for number, _, deed, _ in rows_of(table):
        for name in re.findall(r'`(walferry_\w+)`', deed):
            if name not in tree.metrics and name != 'walferry_state':
                yield f'row {number}: there is no metric {name}'


RULES = [rule_numbers, rule_tests, rule_errors, rule_metrics]


class SmallTree:
    """For the self-test."""

    errors = {3002: 66}
    metrics = {'walferry_lag'}

    @staticmethod
    def has_test(name):
        return name == 'e2e/a/b'


def small_table(deed='exit 66 (WF-3002), `walferry_lag`', tests='e2e/a/b', last=LAST):
    return '\n'.join(f'| {i} | it breaks | {deed} | {tests} |' for i in range(1, last + 1))


def self_test():
    good = small_table()
    bad = {
        rule_numbers: [small_table(last=LAST - 1), good.replace('| 7 |', '| 8 |', 1),
                       good + '\n| 61 | no test |'],
        rule_tests: [small_table(tests='e2e/a/c'), small_table(tests='e2e/a/b, none')],
        rule_errors: [small_table('exit 66 (WF-9999)'), small_table('exit 65 (WF-3002)')],
        rule_metrics: [small_table('`walferry_none`')],
    }
    print(f'1..{len(RULES)}')
    failed = False
    for number, rule in enumerate(RULES, 1):
        quiet = not list(rule(good, SmallTree))
        loud = all(list(rule(table, SmallTree)) for table in bad[rule])
        failed |= not (quiet and loud)
        print(f'{"ok" if quiet and loud else "not ok"} {number} - {rule.__doc__}')
    return failed


def check(root):
    tree = Tree(root)
    table = tree.read('tests/failures.md')
    print(f'1..{len(RULES)}')
    failed = False
    for number, rule in enumerate(RULES, 1):
        findings = list(rule(table, tree))
        failed |= bool(findings)
        print(f'{"not ok" if findings else "ok"} {number} - failures: {rule.__doc__}')
        for finding in findings:
            print(f'#   tests/failures.md: {finding}')
    return failed


sys.exit(self_test() if sys.argv[1] == '--self-test' else check(sys.argv[1]))
