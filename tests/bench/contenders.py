# SPDX-License-Identifier: Apache-2.0
"""Who is measured: walferry as its users run it, and the bounds of what can be had."""

import os
import shutil
import time

from kafka_wire import WireError
from measure import cpu, peak_kib
from servers import Failure, end, free_port, spawn, tail
from workload import PUBLICATION

PARTITIONS = 6
LARGE = 900_000
LARGE_BYTES = 8_000_000


class Run:
    """One start of a contender: its directory, topics, slot, and process."""

    def __init__(self, bench, contender, slot, workload=None):
        bench.runs += 1
        self.bench = bench
        self.contender = contender
        self.slot = slot
        self.name = f'run{bench.runs}'
        self.dir = os.path.join(bench.dir, self.name)
        self.log = os.path.join(self.dir, 'log')
        self.payload = workload.payload if workload else 400
        count = workload.topics if workload else 1
        self.topics = {f'{self.name}.order{i}': PARTITIONS for i in range(count)}
        self.http_port = free_port()
        self.process = None
        self.began = None
        os.mkdir(self.dir)
        if contender.writes:
            bench.kafka.broker.create(self.topics)

    @property
    def topic(self):
        return next(iter(self.topics))

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        arguments, environment = self.contender.command(self)
        self.began = time.monotonic()
        self.process = spawn(arguments, self.log, environment=environment)

    def ended(self):
        """Too early, or with a fault; one that has all done and says so has not failed."""
        status = self.process.poll()
        return status is not None and (self.contender.relay or status != 0)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        end(self.process, 'kill')
        # An interrupted bench ends its servers; nothing more is asked of them.
        if kind is not None and not issubclass(kind, (Failure, WireError)):
            return
        if self.contender.writes:
            self.bench.kafka.broker.delete([*self.topics, *self.contender.own_topics(self)])
        if self.slot is not None:
            self.bench.backlog.drop_slot(self.slot)
        shutil.rmtree(self.dir)


class Contender:
    committed = False  # watched as a read_committed consumer sees it
    writes = True
    relay = True       # follows the slot until it is ended
    one_topic = False

    def __init__(self, name, bench):
        self.name = name
        self.bench = bench

    def properties(self, run):
        """Properties of librdkafka for all who use it."""
        result = {'bootstrap.servers': self.bench.kafka.address,
                  'compression.type': self.bench.options.codec}
        if run.payload > LARGE:
            result['message.max.bytes'] = LARGE_BYTES
        result.update(self.bench.options.properties)
        return result

    def own_topics(self, run):
        """What it makes beside the topics of the events."""
        return []

    def environment(self):
        path = self.bench.options.librdkafka
        return {'LD_LIBRARY_PATH': path} if path else {}


class Walferry(Contender):
    def __init__(self, name, bench, program, guarantee, transport):
        super().__init__(name, bench)
        self.program = program
        self.guarantee = guarantee
        self.transport = transport
        self.committed = guarantee == 'exactly_once'

    def envelope(self):
        chosen = self.bench.options.envelope
        if chosen in ('structured', 'binary'):
            return f'{{format: cloudevents, mode: {chosen}}}'
        return f'{{format: {chosen}}}'

    def command(self, run):
        sink = ', '.join(f'{name}: "{value}"' for name, value in self.properties(run).items())
        delivery = {'guarantee': self.guarantee, **self.bench.options.delivery}
        delivery = ', '.join(f'{name}: {value}' for name, value in delivery.items())
        source = (f'conninfo: "{self.bench.postgresql.conninfo(self.transport)}", '
                  f'slot: {run.slot}, publication: {PUBLICATION}')
        path = os.path.join(run.dir, 'walferry.yaml')
        with open(path, 'w', encoding='ascii') as file:
            file.write(f'version: 1\nname: {run.name}\n'
                       f'source: {{{source}}}\n'
                       'capture: [{outbox: outbox.event}]\n'
                       f'route: {{topic: "{run.name}.${{aggregate_type}}"}}\n'
                       f'envelope: {self.envelope()}\n'
                       f'delivery: {{{delivery}}}\n'
                       f'sink: {{kafka: {{{sink}}}}}\n'
                       f'checkpoint: {{directory: "{run.dir}/state"}}\n'
                       f'http: {{listen: "127.0.0.1:{run.http_port}"}}\n')
        return [self.program, 'run', '-c', path], self.environment()


class BareLoop(Contender):
    """libpq to librdkafka, and no promise; the value is as long as walferry's."""
    one_topic = True

    def __init__(self, name, bench, transport):
        super().__init__(name, bench)
        self.transport = transport

    def command(self, run):
        words = {'conninfo': self.bench.postgresql.conninfo(self.transport), 'slot': run.slot,
                 'publication': PUBLICATION, 'topic': run.topic, 'frame': self.bench.frame,
                 **self.properties(run)}
        return ([self.bench.program('bare_loop'), *(f'{k}={v}' for k, v in words.items())],
                self.environment())


class BareProducer(Contender):
    """Records as walferry wrote them, from memory to librdkafka."""
    relay = False
    one_topic = True

    def command(self, run):
        words = {'records': self.bench.records, 'count': self.bench.backlog.workload.rows,
                 'topic': run.topic, **self.properties(run)}
        return ([self.bench.program('bare_producer'), *(f'{k}={v}' for k, v in words.items())],
                self.environment())


class RecvLogical(Contender):
    """pg_recvlogical to /dev/null: what the server gives."""
    writes = False
    relay = False

    def __init__(self, name, bench, transport):
        super().__init__(name, bench)
        self.transport = transport

    def command(self, run):
        server = self.bench.postgresql
        return ([os.path.join(server.bin, 'pg_recvlogical'), '-d',
                 server.conninfo(self.transport), '--slot', run.slot, '--start', '-f', '/dev/null',
                 '-o', 'proto_version=1', '-o', f'publication_names={PUBLICATION}', '--no-loop',
                 '-F', '0', '--endpos', self.bench.backlog.end], server.environment)

    def drain(self, run, expected):
        """It ends by itself, and its costs are those of a child that has ended."""
        run.start()
        time.sleep(0.2)
        pid = self.bench.postgresql.sql("SELECT active_pid FROM pg_replication_slots "
                                        f"WHERE slot_name = '{run.slot}'")
        walsender = peak = None
        while True:
            peak = peak_kib(run.pid) or peak
            walsender = (cpu(pid) if pid else None) or walsender
            ended, status, usage = os.wait4(run.pid, os.WNOHANG)
            if ended:
                break
            time.sleep(0.01)
        seconds = time.monotonic() - run.began
        run.process.returncode = os.waitstatus_to_exitcode(status)
        if run.process.returncode != 0:
            raise Failure(f'pg_recvlogical failed:\n{tail(run.log)}')
        result = {'events': expected, 'seconds': seconds, 'rate': expected / seconds,
                  'rate_from_exec': expected / seconds, 'peak_kib': peak,
                  'cpu_per_million': (usage.ru_utime + usage.ru_stime) / expected * 1e6}
        if walsender is not None:
            result['walsender_cpu_per_million'] = walsender / expected * 1e6
        return result
