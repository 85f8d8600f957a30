#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No environment variable makes a released program fail: check_release.py PROGRAM FAILPOINT.DEF

The program holds no name of a failpoint and none of the variables that a test build reads."""
import re
import sys

VARIABLES = ["WALFERRY_FAILPOINTS", "WALFERRY_WATCHDOG_S"]


def main():
    with open(sys.argv[1], "rb") as file:
        program = file.read()
    with open(sys.argv[2], encoding="utf-8") as file:
        names = re.findall(r'^FAILPOINT_ROW\(\w+,\s*"([^"]+)"', file.read(), re.M)
    found = [text for text in VARIABLES + names if text.encode() in program]
    print("1..2")
    print("%s 1 - there is a table of failpoints" % ("ok" if names else "not ok"))
    print("%s 2 - the program knows none of its names" % ("not ok" if found else "ok"))
    for text in found:
        print("#   " + text)
    return 1 if found or not names else 0


sys.exit(main())
