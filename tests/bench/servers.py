# SPDX-License-Identifier: Apache-2.0
"""A private PostgreSQL and a private Kafka in a directory of this run, and the end of both."""

import glob
import os
import pwd
import re
import shutil
import socket
import subprocess
import time

from kafka_wire import Broker

DEADLINE = 120

# What matters is on as it is by default (fsync, synchronous_commit); the rest is room.
POSTGRESQL_SETTINGS = """
listen_addresses = '127.0.0.1'
wal_level = logical
max_wal_senders = 40
max_replication_slots = 40
max_connections = 100
shared_buffers = 256MB
max_wal_size = 16GB
checkpoint_timeout = 1h
autovacuum = off
log_timezone = 'UTC'
"""

# As config/server.properties of the distribution has it where it matters; room for large records,
# and what is deleted makes room soon.
KAFKA_SETTINGS = """
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=2
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
message.max.bytes=8388608
log.segment.delete.delay.ms=1000
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
"""

# As bin/kafka-server-start.sh does.
JAVA_OPTIONS = ['-Xmx1G', '-Xms1G', '-server', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20',
                '-XX:InitiatingHeapOccupancyPercent=35', '-XX:+ExplicitGCInvokesConcurrent',
                '-Djava.awt.headless=true']


class Failure(Exception):
    """What the run cannot go on after; the text says what to do."""


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def tail(path, lines=25):
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            return ''.join(file.readlines()[-lines:])
    except OSError:
        return ''


def spawn(arguments, log, user=None, environment=None, death='KILL'):
    """Starts a process that does not outlive this one. Its output goes to the file `log`."""
    guard = ['setpriv', '--pdeathsig', death]
    if user is not None:
        entry = pwd.getpwnam(user)
        guard += ['--reuid', str(entry.pw_uid), '--regid', str(entry.pw_gid), '--init-groups']
    with open(log, 'ab') as output:
        return subprocess.Popen(guard + arguments, stdin=subprocess.DEVNULL, stdout=output,
                                stderr=output, env={**os.environ, **(environment or {})})


def run(arguments, log, user=None, environment=None):
    process = spawn(arguments, log, user, environment)
    if process.wait() != 0:
        raise Failure(f'{arguments[0]} failed ({process.returncode}):\n{tail(log)}')


def end(process, by='terminate'):
    """Ends a process that we started, and waits for it."""
    if process is None or process.poll() is not None:
        return
    getattr(process, by)()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class PostgreSQL:
    def __init__(self, directory, programs=None):
        self.bin = programs or self.newest()
        self.dir = os.path.join(directory, 'postgresql')
        self.data = os.path.join(self.dir, 'data')
        self.log = os.path.join(directory, 'postgresql.log')
        self.port = free_port()
        self.user = None if os.geteuid() != 0 else 'postgres'
        self.process = None
        self.environment = {}
        if not self.bin.startswith('/usr/'):
            self.environment['LD_LIBRARY_PATH'] = os.path.join(self.bin, '..', 'lib')

    @staticmethod
    def newest():
        found = glob.glob('/usr/lib/postgresql/*/bin/initdb')
        if not found:
            raise Failure('no PostgreSQL server: apt-get install postgresql-15')
        return os.path.dirname(max(found, key=lambda path: int(path.split('/')[4])))

    def start(self):
        os.mkdir(self.dir)
        if self.user is not None:
            shutil.chown(self.dir, self.user)
        run([os.path.join(self.bin, 'initdb'), '--no-sync', '-A', 'trust', '-U', 'postgres', '-E',
             'UTF8', '--locale=C', '-D', self.data], self.log, self.user, self.environment)
        with open(os.path.join(self.data, 'postgresql.conf'), 'a', encoding='ascii') as file:
            file.write(f"{POSTGRESQL_SETTINGS}\nport = {self.port}\n"
                       f"unix_socket_directories = '{self.dir}'\n")
        self.process = spawn([os.path.join(self.bin, 'postgres'), '-D', self.data], self.log,
                             self.user, self.environment, death='QUIT')
        give_up = time.monotonic() + DEADLINE
        while subprocess.run(['psql', '-X', '-q', '-c', '', self.conninfo('unix')],
                             capture_output=True, check=False).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > give_up:
                raise Failure(f'PostgreSQL does not answer:\n{tail(self.log)}')
            time.sleep(0.1)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(3)  # SIGQUIT: immediate, nothing is kept
            self.process.wait()

    def conninfo(self, transport):
        host = self.dir if transport == 'unix' else '127.0.0.1'
        return f'host={host} port={self.port} user=postgres dbname=postgres'

    def sql(self, text):
        """Runs SQL; returns what it printed, columns apart by a bar."""
        done = subprocess.run(['psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-f', '-',
                               self.conninfo('unix')], input=text, capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            raise Failure(f'SQL failed: {done.stderr}\n{text[:500]}')
        return done.stdout.strip()

    def version(self):
        return self.sql('SHOW server_version')


class Kafka:
    def __init__(self, directory, cache):
        self.library = os.path.join(cache, 'kafka', 'lib')
        self.dir = os.path.join(directory, 'kafka')
        self.log = os.path.join(directory, 'kafka.log')
        self.port = free_port()
        self.address = f'127.0.0.1:{self.port}'
        self.process = None
        self.broker = Broker('127.0.0.1', self.port)

    def java(self, *arguments):
        return ['java', *JAVA_OPTIONS, '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-cp',
                self.library + '/*', *arguments]

    def start(self):
        if not os.path.isdir(self.library):
            raise Failure(f'no Apache Kafka in {self.library}: tests/servers/kafka CACHE')
        os.mkdir(self.dir)
        controller = free_port()
        settings = os.path.join(self.dir, 'server.properties')
        with open(settings, 'w', encoding='ascii') as file:
            file.write(f'{KAFKA_SETTINGS}\nlog.dirs={self.dir}/data\n'
                       f'controller.quorum.voters=1@127.0.0.1:{controller}\n'
                       f'listeners=PLAINTEXT://{self.address},'
                       f'CONTROLLER://127.0.0.1:{controller}\n')
        run(self.java('kafka.tools.StorageTool', 'format', '-t', 'walferryBenchCluster00', '-c',
                      settings), self.log)
        self.process = spawn(self.java('kafka.Kafka', settings), self.log)
        give_up = time.monotonic() + DEADLINE
        while not self.broker.answers():
            if self.process.poll() is not None or time.monotonic() > give_up:
                raise Failure(f'Kafka does not answer:\n{tail(self.log)}')
            time.sleep(0.2)

    def stop(self):
        self.broker.close()
        end(self.process, 'kill')

    def version(self):
        for path in glob.glob(os.path.join(self.library, 'kafka_2.13-*.jar')):
            return re.sub(r'.*kafka_2\.13-(.*)\.jar', r'\1', path)
        return 'unknown'
