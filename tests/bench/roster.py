# SPDX-License-Identifier: Apache-2.0
"""Contenders by their names."""

import debezium
from contenders import BareLoop, BareProducer, RecvLogical, Walferry
from servers import Failure

TRANSPORTS = ('unix', 'tcp')


def split(name):
    """walferry-eos-tcp@LABEL: its kind, transport and label."""
    name, _, label = name.partition('@')
    kind, _, last = name.rpartition('-')
    if last in TRANSPORTS:
        return kind, last, label
    return name, 'unix', label


def make(name, bench):
    kind, transport, label = split(name)
    programs = bench.options.walferry
    if kind in ('walferry-alo', 'walferry-eos'):
        if label and label not in programs:
            raise Failure(f'{name}: there is no --walferry {label}=PATH')
        guarantee = 'at_least_once' if kind.endswith('alo') else 'exactly_once'
        program = programs[label] if label else next(iter(programs.values()))
        return Walferry(name, bench, program, guarantee, transport)
    if kind == 'bare':
        return BareLoop(name, bench, transport)
    if kind == 'recvlogical':
        return RecvLogical(name, bench, transport)
    if kind == 'producer':
        return BareProducer(name, bench)
    if kind in debezium.KINDS:
        return debezium.Debezium(name, bench, debezium.KINDS[kind])
    raise Failure(f'{name}: no such contender')


def make_all(names, bench):
    """With several builds of walferry each of its contenders stands once for every build."""
    result = []
    labels = list(bench.options.walferry)
    for name in names:
        kind, _, label = split(name)
        if kind.startswith('walferry-') and not label and len(labels) > 1:
            result += [make(f'{name}@{each}', bench) for each in labels]
        else:
            result.append(make(name, bench))
    return result
