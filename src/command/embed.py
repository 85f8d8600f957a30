#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write C arrays of text files: embed.py OUT NAME=FILE... Each NAME becomes a const char array."""
import sys


def main():
    with open(sys.argv[1], "w", encoding="ascii") as out:
        out.write("/* Made by embed.py; do not edit. */\n")
        for pair in sys.argv[2:]:
            name, path = pair.split("=", 1)
            with open(path, "rb") as source:
                data = source.read() + b"\0"
            out.write("static const char %s[] = {\n" % name)
            for at in range(0, len(data), 16):
                row = data[at:at + 16]
                out.write("    %s,\n" % ", ".join("%d" % (b if b < 128 else b - 256) for b in row))
            out.write("};\n")


main()
