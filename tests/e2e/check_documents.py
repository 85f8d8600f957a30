# SPDX-License-Identifier: Apache-2.0
"""check_documents.py SCHEMA FILE: FILE is a JSON list of texts, each a document that the schema
must accept. Exit status 1 with the first faults when one is not."""
import json
import sys

import jsonschema


def no_duplicates(pairs):
    names = [name for name, _ in pairs]
    if len(names) != len(set(names)):
        raise ValueError(f"a member stands twice: {names}")
    return dict(pairs)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    with open(sys.argv[2], encoding="utf-8") as file:
        texts = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    faults = []
    for text in texts:
        document = json.loads(text)
        # The data is the application's and may repeat names; the attributes may not.
        head = text.partition(',"data":')
        if head[1]:
            json.loads(head[0] + "}", object_pairs_hook=no_duplicates)
        faults += [f"{fault.message}\nin {text[:2000]}" for fault in validator.iter_errors(document)]
    for fault in faults[:5]:
        print(fault)
    if not texts:
        print("no documents")
    return 1 if faults or not texts else 0


sys.exit(main())
