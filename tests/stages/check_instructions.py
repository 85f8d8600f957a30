#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an event costs in the pure stages, held against a table; prints TAP, one line a format.

    check_instructions.py WALK BUILD TABLE            compare
    check_instructions.py WALK BUILD TABLE --write    write the table anew
    check_instructions.py --self-test                 show that a loss is found

WALK is the program of stages.c and BUILD names the compiler and its options. Instructions are
counted by valgrind's callgrind, which gives the same numbers whatever else the machine does, and
per stage with all that it calls. They are compared when BUILD is the one the table was written by:
another compiler makes other code. Allocations are compared always, and there may be none.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib

EVENTS = 1000
FORMATS = ['structured', 'binary', 'raw']
# The calls that a stage consists of.
STAGES = {
    'decode': ['pgoutput_decode'],
    'capture': ['capture_change'],
    'route': ['route_event'],
    'envelope': ['envelope_render'],
    'ledger': ['ledger_record', 'ledger_label', 'ledger_ack', 'ledger_begin', 'ledger_commit'],
}
WORSE_PERCENT = 5
# Not of the stages, but so few that a percentage says nothing.
WORSE_LEAST = 10
# The C library chooses its copies by the processor: the same on every one.
SAME_EVERYWHERE = ('glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX_Fast_Unaligned_Load,'
                   '-ERMS,-FSRM,-BMI2,-SSE4_2,-SSSE3')
POSITION = re.compile(r'(fl|fi|fe|fn|cfi|cfl|cfn|ob|cob)=\((\d+)\)(?: (.*))?$')


def inclusive(path):
    """Instructions of each function with what it calls, from a profile without recursion."""
    names, cost, current, total = {}, {}, None, 0
    called = False
    with open(path, encoding='utf-8') as file:
        for line in file:
            line = line.rstrip('\n')
            position = POSITION.match(line)
            if position:
                kind, number, name = position.groups()
                if kind in ('fn', 'cfn'):
                    if name is not None:
                        names[number] = name
                    if kind == 'fn':
                        current = names[number]
            elif line.startswith('calls='):
                called = True
            elif line[:1] in '+-*0123456789' and line:
                amount = int(line.split()[1])
                cost[current] = cost.get(current, 0) + amount
                total += 0 if called else amount
                called = False
    return cost, total


def walk(program, form):
    """The allocations of a run without valgrind."""
    done = subprocess.run([program, form, str(EVENTS)], capture_output=True, text=True)
    found = re.match(r'(\d+) allocations\n(\d+) events\n', done.stdout)
    if done.returncode != 0 or not found or int(found[2]) != EVENTS:
        sys.exit(f'Bail out! {program} {form}: {done.stdout}{done.stderr}')
    return int(found[1])


def count(program, form):
    """Instructions an event: of each stage, and of everything between one message and the next."""
    with tempfile.TemporaryDirectory() as place:
        profile = os.path.join(place, 'profile')
        done = subprocess.run(
            ['valgrind', '--tool=callgrind', f'--callgrind-out-file={profile}',
             '--toggle-collect=counted_part*', program, form, str(EVENTS)],
            env=os.environ | {'GLIBC_TUNABLES': SAME_EVERYWHERE}, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f'Bail out! valgrind {program} {form}: {done.stderr}')
        cost, total = inclusive(profile)
    numbers = {stage: round(sum(cost.get(call, 0) for call in calls) / EVENTS)
               for stage, calls in STAGES.items()}
    missing = [stage for stage, number in numbers.items() if number == 0]
    if missing:
        sys.exit(f'Bail out! no cost was found for {", ".join(missing)}')
    return numbers | {'all': round(total / EVENTS)}


def worse(numbers, table):
    """What is above the table, a line each."""
    lines = []
    for stage, number in numbers.items():
        limit = table.get(stage, 0) + max(table.get(stage, 0) * WORSE_PERCENT / 100, WORSE_LEAST)
        if number > limit:
            lines.append(f'{stage}: {number} instructions an event, the table says '
                         f'{table.get(stage, 0)}')
    return lines


def write(program, build, path):
    text = ('# SPDX-License-Identifier: Apache-2.0\n'
            '# Instructions an event (check_instructions.py); all: with what lies between the '
            'stages.\n'
            '# Written anew by: ninja -C BUILD instructions-write\n'
            f'build = "{build}"\n')
    for form in FORMATS:
        numbers = count(program, form)
        text += f'\n[{form}]\n' + ''.join(f'{k} = {v}\n' for k, v in numbers.items())
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


# Two functions, of which one calls the other twice and something of the C library.
PROFILE = """events: Ir
fn=(1) walk
5 10
cfn=(2) decode
calls=2 0
6 30
fn=(2)
9 20
cfn=(3) memcpy
calls=2 0
+1 10
fn=(3)
* 10
"""


def self_test():
    with tempfile.NamedTemporaryFile('w') as file:
        file.write(PROFILE)
        file.flush()
        cost, total = inclusive(file.name)
    table = {'decode': 1000, 'ledger': 20}
    checks = {
        'a profile adds up': (cost, total) == ({'walk': 40, 'decode': 30, 'memcpy': 10}, 40),
        'the table itself passes': not worse(table, table),
        'less passes': not worse({'decode': 10, 'ledger': 1}, table),
        'five percent more pass': not worse({'decode': 1050, 'ledger': 30}, table),
        'more is found': len(worse({'decode': 1051, 'ledger': 31}, table)) == 2,
        'a stage without a number is found': len(worse({'route': 100}, table)) == 1,
    }
    print(f'1..{len(checks)}')
    for number, (name, good) in enumerate(checks.items(), 1):
        print(f'{"ok" if good else "not ok"} {number} - {name}')
    return 0 if all(checks.values()) else 1


def compare(program, build, table):
    same = build == table['build']
    print(f'1..{len(FORMATS)}')
    if not same:
        print(f'# this build is {build}, the numbers are of {table["build"]}: instructions were '
              'not compared')
    sound = True
    for number, form in enumerate(FORMATS, 1):
        allocations = walk(program, form)
        faults = [f'{allocations} allocations in {EVENTS} events'] if allocations else []
        numbers = count(program, form) if same else {}
        faults += worse(numbers, table[form])
        for fault in faults:
            print(f'# {form}: {fault}')
        if same:
            print(f'# {form}: ' + ', '.join(f'{k} {v}' for k, v in numbers.items()))
        print(f'{"not ok" if faults else "ok"} {number} - {form}')
        sound = sound and not faults
    return 0 if sound else 1


def main():
    if sys.argv[1:] == ['--self-test']:
        return self_test()
    if len(sys.argv) not in (4, 5) or (len(sys.argv) == 5 and sys.argv[4] != '--write'):
        sys.exit(__doc__)
    program, build, path = sys.argv[1:4]
    if len(sys.argv) == 5:
        write(program, build, path)
        return 0
    with open(path, 'rb') as file:
        return compare(program, build, tomllib.load(file))


if __name__ == '__main__':
    sys.exit(main())
