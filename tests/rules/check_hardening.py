#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the compiler and the linker were asked for stands in the program: check_hardening.py PROGRAM."""
import subprocess
import sys


def readelf(option, program):
    return subprocess.run(["readelf", "-W", option, program], check=True, capture_output=True,
                          text=True).stdout


def main():
    program = sys.argv[1]
    header = readelf("-h", program)
    segments = readelf("-l", program)
    dynamic = readelf("-d", program)
    symbols = readelf("--dyn-syms", program)
    stack = [line for line in segments.splitlines() if "GNU_STACK" in line]
    checks = [
        ("position independent", "DYN (" in header),
        ("relocations are read-only", "GNU_RELRO" in segments),
        ("symbols are bound at the start", "BIND_NOW" in dynamic or " NOW" in dynamic),
        ("the stack is not executable", len(stack) == 1 and "RWE" not in stack[0]),
        ("stack protector", "__stack_chk_fail" in symbols),
        ("fortified calls of libc", "_chk@" in symbols.replace("__stack_chk_fail", "")),
        ("no path to look for libraries in", "RPATH" not in dynamic and "RUNPATH" not in dynamic),
    ]
    print("1..%d" % len(checks))
    for number, (name, holds) in enumerate(checks, 1):
        print("%s %d - %s" % ("ok" if holds else "not ok", number, name))
    return 0 if all(holds for _, holds in checks) else 1


sys.exit(main())
