# SPDX-License-Identifier: Apache-2.0
"""The bench: started by tests/bench/run, which brings what it needs. See --help there."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import contenders
import measure
import report
import roster
from kafka_wire import WireError
from servers import Failure, Kafka, PostgreSQL, spawn, tail
from workload import Backlog, Workload

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
PARTS = ['drain', 'latency', 'transaction', 'large', 'keys', 'idle']
CONTENDERS = ['walferry-alo', 'walferry-eos', 'bare', 'recvlogical', 'producer',
              'debezium-default', 'debezium-tuned', 'debezium-eos']
PROBE = ("INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, payload) "
         "VALUES ('order0', 'probe', 'probe', '{}')")
READY_SECONDS = 120


def say(text):
    print(text, file=sys.stderr, flush=True)


class Bench:
    def __init__(self, options, arguments):
        self.options = options
        self.arguments = arguments
        self.runs = 0
        self.frame = 0
        self.failed = 0
        self.dir = tempfile.mkdtemp(prefix='walferry-bench-')
        self.results = {}
        self.records = os.path.join(self.dir, 'records')
        self.postgresql = PostgreSQL(self.dir, options.postgresql)
        self.kafka = Kafka(self.dir, options.cache)
        self.backlog = None
        self.machine = None
        self.versions = None

    # ---- the servers --------------------------------------------------------------------

    def __enter__(self):
        os.chmod(self.dir, 0o755)  # the server's user has a directory in it
        try:
            say('starting PostgreSQL and Kafka')
            self.postgresql.start()
            self.kafka.start()
            self.backlog = Backlog(self.postgresql, ROOT)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.kafka.stop()
        self.postgresql.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def program(self, name):
        return os.path.join(self.options.build, 'tests', 'bench', name)

    # ---- one run ------------------------------------------------------------------------

    def count(self, run, dump=None):
        words = [f'topics={",".join(run.topics)}', f'partitions={contenders.PARTITIONS}',
                 f'bootstrap.servers={self.kafka.address}', 'fetch.message.max.bytes=8388608']
        if dump is not None:
            words.append(f'dump={dump}')
        done = subprocess.run([self.program('count_records'), *words], capture_output=True,
                              text=True, check=False)
        if done.returncode != 0:
            raise Failure(f'count_records failed: {done.stderr}')
        return json.loads(done.stdout)

    def drain(self, contender, workload, dump=None):
        """One contender over the backlog; fails when the topic holds anything but the backlog."""
        self.backlog.load(workload)
        with contenders.Run(self, contender, self.backlog.slot(), workload) as run:
            if not contender.writes:
                return contender.drain(run, workload.rows)
            return measure.Drain(self, run, contender).measure(
                workload.rows, lambda: self.count(run, dump))

    def try_run(self, what, function, *arguments):
        """A contender that fails leaves the others alone, and the status of the bench is not 0."""
        began = time.monotonic()
        try:
            result = function(*arguments)
        except (Failure, WireError) as failure:
            self.failed += 1
            say(f'  {what}: FAILED: {failure}')
            return None
        say(f'  {what}: {time.monotonic() - began:.1f} s')
        return result

    def warm_up(self):
        """The broker's code is compiled, the first topics are made, and the bounds learn what a
        record of walferry is like."""
        workload = Workload('warm-up', rows=min(self.options.rows, 200_000))
        say(f'warm-up: {workload.describe()}')
        names = ['walferry-alo', 'walferry-eos']
        for name in names:
            result = self.drain(roster.make(name, self), workload,
                                self.records if name == names[0] else None)
            if name == names[0]:
                self.frame = max(0, round(result['value_bytes']) - workload.payload)

    # ---- the parts ----------------------------------------------------------------------

    def drain_all(self, workload, names=None):
        say(f'{workload.name}: {workload.describe()}')
        chosen = [each for each in roster.make_all(names or self.options.contenders, self)
                  if workload.topics == 1 or not each.one_topic]
        results = {each.name: [] for each in chosen}
        for turn in range(self.options.runs):
            for each in chosen:
                result = self.try_run(f'{each.name}, run {turn + 1}', self.drain, each, workload)
                if result is not None:
                    results[each.name].append(result)
        medians = {name: report.median(runs) for name, runs in results.items() if runs}
        self.results[workload.name] = {'workload': vars(workload), 'runs': results,
                                       'medians': medians}
        print(f'\n### {workload.name}: {workload.describe()}\n')
        print(report.drain_table(medians), flush=True)

    def followers(self):
        """Contenders that follow the slot until they are ended."""
        return [each for each in roster.make_all(self.options.contenders, self) if each.relay]

    def ready(self, run):
        """A row that was committed after the start has arrived."""
        self.postgresql.sql(PROBE)
        give_up = time.monotonic() + READY_SECONDS
        while measure.offsets_sum(self.kafka.broker, run.topics, run.contender.committed) == 0:
            if run.ended() or time.monotonic() > give_up:
                raise Failure(f'{run.contender.name} does not get ready:\n{tail(run.log)}')
            time.sleep(0.05)

    def latency(self, contender, rate):
        words = {'conninfo': self.postgresql.conninfo('unix'), 'rate': rate,
                 'partitions': contenders.PARTITIONS, 'payload': 400,
                 'seconds': self.options.latency_seconds,
                 'bootstrap.servers': self.kafka.address, 'fetch.wait.max.ms': 20}
        with contenders.Run(self, contender, self.backlog.empty_slot()) as run:
            output = os.path.join(run.dir, 'latency.json')
            run.start()
            self.ready(run)
            words['topic'] = run.topic
            process = spawn([self.program('latency'), *(f'{k}={v}' for k, v in words.items())],
                            output)
            if process.wait() != 0:
                raise Failure(f'latency failed: {tail(output)}')
            with open(output, encoding='ascii') as file:
                result = json.load(file)
            result['peak_kib'] = measure.peak_kib(run.pid)
            return result

    def latency_all(self):
        say('latency')
        results = {each.name: {rate: [] for rate in self.options.latency}
                   for each in self.followers()}
        for turn in range(self.options.runs):
            for rate in self.options.latency:
                for each in self.followers():
                    self.backlog.clear()
                    result = self.try_run(f'{each.name}, {rate}/s, run {turn + 1}', self.latency,
                                          each, rate)
                    if result is not None:
                        results[each.name][rate].append(result)
        medians = {name: {rate: report.median(runs) for rate, runs in rates.items() if runs}
                   for name, rates in results.items()}
        self.results['latency'] = {'runs': results, 'medians': medians}
        print('\n### latency, commit to consumer, one row a transaction\n')
        print(report.latency_table(medians), flush=True)

    def idle(self, contender):
        with contenders.Run(self, contender, self.backlog.empty_slot()) as run:
            run.start()
            self.ready(run)
            time.sleep(min(10, self.options.idle_seconds))  # what the start left to do
            return measure.idle(run, self.options.idle_seconds)

    def idle_all(self):
        say('idle')
        self.backlog.clear()
        results = {}
        for each in self.followers():
            result = self.try_run(each.name, self.idle, each)
            if result is not None:
                results[each.name] = result
        self.results['idle'] = results
        print('\n### idle\n')
        print(report.idle_table(results), flush=True)

    def sweep(self):
        """One dimension at a time, the others as they are in the standard backlog."""
        rows = self.options.rows
        workloads = [Workload(f'events {n}', rows=n)
                     for n in (rows // 100, rows // 10, rows, rows * 10)]
        workloads += [Workload(f'payload {n}', rows=min(rows, 2 * 10**9 // n), payload=n)
                      for n in (100, 1000, 10_000, 100_000, 2**20)]
        workloads += [Workload(f'transaction {n}', rows=rows, per_transaction=n)
                      for n in (1, 10, 100, 1000, 10**4, 10**5, 10**6) if n <= rows]
        workloads += [Workload(f'topics {n}', rows=rows, topics=n) for n in (1, 10, 100, 1000)]
        names = [name for name in self.options.contenders
                 if name.startswith('walferry-') or name.startswith('bare')]
        for workload in workloads:
            self.drain_all(workload, names)

    def standard(self):
        given = {name: vars(self.options)[name]
                 for name in ('payload', 'per_transaction', 'aggregates', 'topics')}
        return Workload('drain', rows=self.options.rows,
                        **{name: value for name, value in given.items() if value is not None})

    def part(self, name):
        rows = self.options.rows
        if name == 'drain':
            self.drain_all(self.standard())
        elif name == 'transaction':
            self.drain_all(Workload('transaction', rows=rows, per_transaction=rows))
        elif name == 'large':
            self.drain_all(Workload('large', rows=max(100, rows // 500), per_transaction=10,
                                    payload=2**20))
        elif name == 'keys':
            for keys in (rows, 5 * rows):
                self.drain_all(Workload(f'keys {keys}', rows=keys, aggregates=keys))
        elif name == 'latency':
            self.latency_all()
        elif name == 'idle':
            self.idle_all()
        elif name == 'sweep':
            self.sweep()

    def measure(self):
        self.machine = report.machine()
        self.versions = report.versions(self)
        print(report.describe(self), flush=True)
        if not self.options.smoke:
            self.warm_up()
        for name in self.options.parts:
            self.part(name)
            self.write_json()
        return 1 if self.failed else 0

    def write_json(self):
        if self.options.json is None:
            return
        with open(self.options.json, 'w', encoding='utf-8') as file:
            json.dump({'machine': self.machine, 'versions': self.versions,
                       'arguments': self.arguments, 'results': self.results}, file, indent=1)


# ---- the command line -----------------------------------------------------------------------


def words(text):
    return [word for word in text.split(',') if word]


def pair(text):
    name, equals, value = text.partition('=')
    if not equals:
        raise argparse.ArgumentTypeError(f'{text}: NAME=VALUE is wanted')
    return name, value


def program(text):
    """PATH or LABEL=PATH."""
    label, equals, path = text.partition('=')
    path = os.path.abspath(path if equals else label)
    if not os.access(path, os.X_OK):
        raise argparse.ArgumentTypeError(f'{path} is no program')
    return (label if equals else ''), path


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog='tests/bench/run', formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Measures walferry beside the bounds of what can be had and beside Debezium, '
                    'on servers of its own.',
        epilog='contenders: walferry-alo, walferry-eos, bare, recvlogical; each also with -tcp or '
               '-unix at its end\n(default: Unix socket); producer, debezium-default, '
               'debezium-tuned, debezium-eos. With several\n--walferry, walferry-alo@LABEL is one '
               'of them.\nTMPDIR names the place for the servers: 20 GB, for the sweep 60.')
    add = parser.add_argument
    add('--rows', type=int, default=1_000_000, help='events of the backlog (default 1000000)')
    for name, what in (('payload', 'bytes of JSON'), ('per-transaction', 'rows'),
                       ('aggregates', 'distinct keys'), ('topics', 'of 6 partitions')):
        add('--' + name, type=int, metavar='N', help=f'of the part drain: {what}')
    add('--runs', type=int, default=5, help='runs of each contender (default 5)')
    add('--contenders', type=words, default=CONTENDERS, metavar='LIST',
        help='see below (default: all, by the Unix socket)')
    add('--parts', type=words, default=PARTS, metavar='LIST',
        help=f'of {",".join(PARTS)},sweep (default: all but sweep)')
    add('--sweep', action='store_true',
        help='also vary events, payload, transaction and topics, for walferry and bare')
    add('--latency', type=lambda text: [int(word) for word in words(text)], default=[1000, 3000],
        metavar='RATE,...', help='events a second (default 1000,3000)')
    add('--latency-seconds', type=int, default=30, metavar='N')
    add('--idle-seconds', type=int, default=60, metavar='N')
    add('--codec', choices=['none', 'lz4', 'zstd', 'snappy', 'gzip'], default='lz4',
        help="of all but debezium-default, which has none (default lz4, walferry's)")
    add('--envelope', choices=['structured', 'binary', 'raw', 'debezium'], default='structured',
        help="walferry's records (default structured)")
    add('--walferry', type=program, action='append', default=[], metavar='[LABEL=]PATH',
        help='program to measure instead of this tree; may stand several times, with labels')
    add('--property', type=pair, action='append', default=[], dest='properties',
        metavar='NAME=VALUE', help='a property of librdkafka, for all who use it')
    add('--delivery', type=pair, action='append', default=[], metavar='NAME=VALUE',
        help='a key under delivery: in the configuration of walferry')
    add('--librdkafka', metavar='DIR', help='directory of another librdkafka.so.1')
    add('--postgresql', metavar='DIR', help='programs of another PostgreSQL server')
    add('--smoke', action='store_true',
        help='only show that it works: few events, one run, no warm-up')
    add('--json', metavar='FILE', help='all results, of each run')
    add('--build', required=True, help=argparse.SUPPRESS)
    add('--cache', required=True, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    for name in options.parts:
        if name not in PARTS + ['sweep']:
            parser.error(f'{name}: no such part')
    if options.smoke:
        options.rows, options.runs, options.parts = 2000, 1, ['drain']
        options.contenders = ['walferry-alo', 'bare']
    if options.sweep:
        options.parts = options.parts + ['sweep']
    options.walferry = dict(options.walferry or [('', os.path.join(options.build, 'walferry'))])
    options.properties = dict(options.properties)
    options.delivery = dict(options.delivery)
    return options


def shown(arguments):
    """As the user typed them: what run added is at the front."""
    return arguments[4:]


def main(arguments):
    options = parse(arguments)
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with Bench(options, shown(arguments)) as bench:
            roster.make_all(options.contenders, bench)
            return bench.measure()
    except (Failure, WireError, OSError) as failure:
        say(f'bench: {failure}')
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
