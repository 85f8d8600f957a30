#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write anew what `documents` makes: write_documents.py DOCUMENTS SOURCE_ROOT."""
import re
import subprocess
import sys

FILES = {
    "walferry.1": "packaging/man/walferry.1",
    "walferry-errors.7": "packaging/man/walferry-errors.7",
    "walferry.yaml.5": "packaging/man/walferry.yaml.5",
    "walferry.reference.yaml": "config/walferry.reference.yaml",
    "walferry.schema.json": "config/walferry.schema.json",
}
SECTIONS = ["exits", "metrics"]


def main():
    program, root = sys.argv[1:3]

    def made(name):
        return subprocess.run([program, name], check=True, capture_output=True).stdout.decode()

    for name, path in FILES.items():
        with open(root + "/" + path, "w", encoding="utf-8") as out:
            out.write(made(name))
    with open(root + "/README.md", encoding="utf-8") as readme:
        text = readme.read()
    for name in SECTIONS:
        text = re.sub(r"(<!-- %s -->\n).*?(<!-- /%s -->)" % (name, name),
                      lambda m, n=name: m.group(1) + made(n) + m.group(2), text, flags=re.S)
    with open(root + "/README.md", "w", encoding="utf-8") as readme:
        readme.write(text)


main()
