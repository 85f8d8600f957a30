# SPDX-License-Identifier: Apache-2.0
"""The few requests of the Kafka protocol (https://kafka.apache.org/protocol) that the bench needs,
so that what watches a topic costs the broker next to nothing, with no client library in the way."""

import socket
import struct
import time

LIST_OFFSETS, API_VERSIONS, CREATE_TOPICS, DELETE_TOPICS = 2, 18, 19, 20
LATEST = -1
CLIENT = 'bench'
# Until the controller's decision has reached the broker, and the broker has made the log.
NOT_YET = {3, 5, 6, 13}
TIMED_OUT, EXISTS = 7, 36
DEADLINE = 60
# Thousands of partitions take their time.
PATIENCE = 300


class WireError(Exception):
    """The broker refused a request: what for, and the number of the error."""

    def __str__(self):
        return self.args[0]


def text(value):
    data = value.encode()
    return struct.pack('>h', len(data)) + data


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def number(self, form):
        value, = struct.unpack_from('>' + form, self.data, self.at)
        self.at += struct.calcsize('>' + form)
        return value

    def text(self):
        size = self.number('h')
        if size < 0:
            return None
        self.at += size
        return self.data[self.at - size:self.at].decode()


class Broker:
    def __init__(self, host, port):
        self.place = (host, port)
        self.socket = None
        self.correlation = 0

    def close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket = None

    def receive(self, size):
        data = bytearray()
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise OSError('the broker closed the connection')
            data += piece
        return bytes(data)

    def call(self, key, version, body):
        if self.socket is None:
            self.socket = socket.create_connection(self.place, timeout=DEADLINE)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.correlation += 1
        request = struct.pack('>hhi', key, version, self.correlation) + text(CLIENT) + body
        try:
            self.socket.sendall(struct.pack('>i', len(request)) + request)
            size, = struct.unpack('>i', self.receive(4))
            reader = Reader(self.receive(size))
        except OSError:
            self.close()
            raise
        reader.number('i')
        return reader

    def answers(self):
        try:
            return self.call(API_VERSIONS, 0, b'').number('h') == 0
        except OSError:
            return False

    def offsets(self, topics, committed=False):
        """As look(), but waits for a broker that is not ready for it."""
        pause, give_up = 0.02, time.monotonic() + PATIENCE
        while True:
            try:
                return self.look(topics, committed)
            except WireError as error:
                if error.args[1] not in NOT_YET or time.monotonic() > give_up:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 1)

    def look(self, topics, committed):
        """Next offset of each partition: {(topic, partition): offset}. `topics` maps names to
        counts of partitions. With `committed` only what a read_committed consumer may read."""
        body = struct.pack('>ibi', -1, int(committed), len(topics))
        for name, partitions in topics.items():
            body += text(name) + struct.pack('>i', partitions)
            for partition in range(partitions):
                body += struct.pack('>iq', partition, LATEST)
        reader = self.call(LIST_OFFSETS, 2, body)
        reader.number('i')
        result = {}
        for _ in range(reader.number('i')):
            name = reader.text()
            for _ in range(reader.number('i')):
                partition, error = reader.number('i'), reader.number('h')
                reader.number('q')
                offset = reader.number('q')
                if error != 0:
                    raise WireError(f'{name}[{partition}]: error {error}', error)
                result[name, partition] = offset
        return result

    def create(self, topics, settings=None):
        """Makes topics, and waits until they can be written to."""
        settings = settings or {}
        body = struct.pack('>i', len(topics))
        for name, partitions in topics.items():
            body += text(name) + struct.pack('>ihi', partitions, 1, 0)
            body += struct.pack('>i', len(settings))
            for key, value in settings.items():
                body += text(key) + text(value)
        body += struct.pack('>i?', DEADLINE * 1000, False)
        self.check(self.call(CREATE_TOPICS, 2, body), True, {0, EXISTS})
        self.offsets(topics)

    def delete(self, names):
        body = struct.pack('>i', len(names)) + b''.join(text(name) for name in names)
        body += struct.pack('>i', DEADLINE * 1000)
        self.check(self.call(DELETE_TOPICS, 1, body), False, {0, 3})

    @staticmethod
    def check(reader, with_message, allowed):
        reader.number('i')
        for _ in range(reader.number('i')):
            name, error = reader.text(), reader.number('h')
            message = reader.text() if with_message else None
            if error not in allowed:
                raise WireError(f'{name}: {message or error}', error)
