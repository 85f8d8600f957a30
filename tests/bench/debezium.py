# SPDX-License-Identifier: Apache-2.0
"""Debezium's connector for PostgreSQL with its outbox event router, in Kafka Connect. Standalone;
for exactly once a distributed worker of one, because standalone has no such mode."""

import dataclasses
import glob
import json
import os
import re
import threading
import time
import urllib.error
import urllib.request

from contenders import LARGE, LARGE_BYTES, Contender
from workload import PUBLICATION

# As bin/connect-standalone.sh starts it.
JAVA_OPTIONS = ['-Xms256M', '-Xmx2G', '-server', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20',
                '-XX:InitiatingHeapOccupancyPercent=35', '-XX:+ExplicitGCInvokesConcurrent',
                '-Djava.awt.headless=true', '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn']
INTERNAL = ('config', 'offset', 'status')
REST_SECONDS = 120
REST_POLL = 0.2


@dataclasses.dataclass(frozen=True)
class Kind:
    tuned: bool
    exactly_once: bool


KINDS = {'debezium-default': Kind(False, False), 'debezium-tuned': Kind(True, False),
         'debezium-eos': Kind(True, True)}

# Larger batches from the server to the producer, and no waiting between them.
TUNED = {
    'max.batch.size': 8192,
    'max.queue.size': 32768,
    'poll.interval.ms': 5,
    'producer.override.batch.size': 524288,
    'producer.override.linger.ms': 5,
    'producer.override.buffer.memory': 134217728,
}


def version(cache):
    for path in glob.glob(os.path.join(cache, 'debezium', 'lib', 'debezium-connector-postgres-*')):
        return re.sub(r'.*-postgres-(.*)\.jar', r'\1', path)
    return 'not found'


def write_properties(path, settings):
    with open(path, 'w', encoding='ascii') as file:
        for name, value in settings.items():
            file.write(f'{name}={value}\n')


class Debezium(Contender):
    def __init__(self, name, bench, kind):
        super().__init__(name, bench)
        self.kind = kind
        self.committed = kind.exactly_once

    def connector(self, run):
        settings = {
            'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
            'tasks.max': 1,
            'plugin.name': 'pgoutput',
            'database.hostname': '127.0.0.1',
            'database.port': self.bench.postgresql.port,
            'database.user': 'postgres',
            'database.password': 'postgres',
            'database.dbname': 'postgres',
            'topic.prefix': run.name,
            'slot.name': run.slot,
            'publication.name': PUBLICATION,
            'publication.autocreate.mode': 'disabled',
            'table.include.list': 'outbox.event',
            'snapshot.mode': 'no_data',
            # Of walferry, that keeps its slot moving; a topic would be wanted for it.
            'message.prefix.exclude.list': '.*',
            'key.converter': 'org.apache.kafka.connect.storage.StringConverter',
            'value.converter': 'org.apache.kafka.connect.storage.StringConverter',
            'transforms': 'outbox',
            'transforms.outbox.type': 'io.debezium.transforms.outbox.EventRouter',
            'transforms.outbox.route.by.field': 'aggregate_type',
            'transforms.outbox.route.topic.replacement': run.name + '.${routedByValue}',
            'transforms.outbox.table.field.event.key': 'aggregate_id',
        }
        if self.kind.tuned:
            settings.update(TUNED)
            settings['producer.override.compression.type'] = self.bench.options.codec
        if run.payload > LARGE:
            settings['producer.override.max.request.size'] = LARGE_BYTES
        if self.kind.exactly_once:
            # A transaction for every poll would be hundreds a second; as often as walferry's.
            settings.update({'exactly.once.support': 'required', 'transaction.boundary': 'interval',
                             'transaction.boundary.interval.ms': 100})
        return settings

    def own_topics(self, run):
        return [f'{run.name}.connect.{what}' for what in INTERNAL]

    def worker(self, run):
        settings = {
            'bootstrap.servers': self.bench.kafka.address,
            'key.converter': 'org.apache.kafka.connect.json.JsonConverter',
            'value.converter': 'org.apache.kafka.connect.json.JsonConverter',
            'offset.flush.interval.ms': 10000,
            'listeners': f'http://127.0.0.1:{run.http_port}',
        }
        if not self.kind.exactly_once:
            settings['offset.storage.file.filename'] = os.path.join(run.dir, 'offsets')
            return settings
        for what in INTERNAL:
            settings[f'{what}.storage.topic'] = f'{run.name}.connect.{what}'
            settings[f'{what}.storage.replication.factor'] = 1
        settings.update({'group.id': run.name, 'exactly.once.source.support': 'enabled',
                         'offset.storage.partitions': 1, 'status.storage.partitions': 1})
        return settings

    def command(self, run):
        library = os.path.join(self.bench.options.cache, 'debezium', 'lib')
        worker = os.path.join(run.dir, 'worker.properties')
        write_properties(worker, self.worker(run))
        java = ['java', *JAVA_OPTIONS, '-cp', library + '/*']
        if self.kind.exactly_once:
            threading.Thread(target=self.submit, args=(run,), daemon=True).start()
            return [*java, 'org.apache.kafka.connect.cli.ConnectDistributed', worker], {}
        connector = os.path.join(run.dir, 'connector.properties')
        write_properties(connector, {'name': run.name, **self.connector(run)})
        return [*java, 'org.apache.kafka.connect.cli.ConnectStandalone', worker, connector], {}

    def submit(self, run):
        """A distributed worker gets its connector by HTTP, as soon as it listens."""
        request = urllib.request.Request(
            f'http://127.0.0.1:{run.http_port}/connectors/{run.name}/config', method='PUT',
            data=json.dumps({name: str(value)
                             for name, value in self.connector(run).items()}).encode(),
            headers={'Content-Type': 'application/json'})
        give_up = time.monotonic() + REST_SECONDS
        while time.monotonic() < give_up:
            try:
                urllib.request.urlopen(request, timeout=REST_SECONDS).close()
                return
            except (urllib.error.URLError, OSError):
                time.sleep(REST_POLL)
