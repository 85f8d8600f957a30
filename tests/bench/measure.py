# SPDX-License-Identifier: Apache-2.0
"""What a process costs, and how a backlog drains."""

import os
import time

from servers import Failure, tail

TICK = os.sysconf('SC_CLK_TCK')
# Between looks at the topic: fine until the first event is there, because that moment is a result.
FIRST_POLL, POLL = 0.002, 0.025
# And no more of the time than this, however many topics there are.
LOOKING = 0.1
# So long without a new record after the last that was expected, and the records are counted:
# markers of transactions take offsets too, so the offsets alone do not tell.
QUIET = 1.5
STALL = 300
LEAST_PART = 0.2


def cpu(pid):
    """CPU seconds so far, of all threads, those that ended too; None: there is no such process."""
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii', errors='replace') as file:
            fields = file.read().rpartition(')')[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / TICK


def status_field(path, name):
    try:
        with open(path, encoding='ascii', errors='replace') as file:
            for line in file:
                if line.startswith(name + ':'):
                    return int(line.split()[1])
    except OSError:
        pass
    return None


def peak_kib(pid):
    return status_field(f'/proc/{pid}/status', 'VmHWM')


def tasks(pid):
    try:
        return [f'/proc/{pid}/task/{task}' for task in os.listdir(f'/proc/{pid}/task')]
    except OSError:
        return []


def wakeups(pid):
    """How often threads of the process began to run after they had waited."""
    return sum(status_field(task + '/status', 'voluntary_ctxt_switches') or 0
               for task in tasks(pid))


def run_time(pid):
    """CPU seconds of the threads that live, in nanoseconds' precision."""
    total = 0
    for task in tasks(pid):
        try:
            with open(task + '/schedstat', encoding='ascii') as file:
                total += int(file.read().split()[0])
        except OSError:
            pass
    return total / 1e9


def offsets_sum(broker, topics, committed):
    return sum(broker.offsets(topics, committed).values())


class Drain:
    """One contender over one backlog, from its start until the topic stands still."""

    def __init__(self, bench, run, contender):
        self.bench = bench
        self.run = run
        self.contender = contender
        self.walsender = None
        self.first = None
        self.last = None
        self.peak = None

    def sample(self, total):
        sample = {'time': time.monotonic(), 'total': total, 'relay': cpu(self.run.pid),
                  'broker': cpu(self.bench.kafka.process.pid)}
        if self.walsender is not None:
            sample['walsender'] = cpu(self.walsender)
        self.peak = peak_kib(self.run.pid) or self.peak
        # A process that has ended shows nothing any more; what it had a moment ago stands.
        for name in ('relay', 'walsender'):
            if sample.get(name) is None and self.last is not None:
                sample[name] = self.last.get(name)
        return sample

    def find_walsender(self):
        pid = self.bench.postgresql.sql("SELECT active_pid FROM pg_replication_slots "
                                        f"WHERE slot_name = '{self.run.slot}'")
        self.walsender = int(pid) if pid else None

    def step(self, expected):
        """False when all is there and stands still."""
        began = time.monotonic()
        total = offsets_sum(self.bench.kafka.broker, self.run.topics, self.contender.committed)
        now = time.monotonic()
        if total != (self.last['total'] if self.last else 0):
            self.last = self.sample(total)
            if self.first is None:
                self.first = self.last
                self.find_walsender()
        since = now - (self.last['time'] if self.last else self.run.began)
        if self.last is not None and total >= expected and since > QUIET:
            return False
        if self.run.ended() or since > STALL:
            what = 'ended' if self.run.ended() else 'stands still'
            raise Failure(f'{self.contender.name} {what} at {total} of {expected} offsets:\n'
                          f'{tail(self.run.log)}')
        time.sleep(max(FIRST_POLL if self.first is None else POLL, (now - began) / LOOKING))
        return True

    def measure(self, rows, count):
        """`count` reads the topic and tells how many records there are. Fails when there are not
        `rows`."""
        broker = cpu(self.bench.kafka.process.pid)
        self.run.start()
        expected = rows
        while True:
            while self.step(expected):
                pass
            counts = count()
            if counts['records'] >= rows:
                break
            expected = self.last['total'] + 1  # it paused, with markers in place of records
        if counts['records'] > rows:
            raise Failure(f"{self.contender.name}: {counts['records']} records in the topic, and "
                          f'{rows} rows in the backlog')
        result = self.result(rows, broker)
        result['value_bytes'] = counts['value_bytes'] / rows
        return result

    def result(self, expected, broker):
        first, last = self.first, self.last
        # From the first look to the last; what was there at the first does not count. A transaction
        # that appears as a whole has no such span: then all counts, from the start.
        part = (last['total'] - first['total']) / last['total']
        whole = last['time'] - self.run.began
        span, used = last['time'] - first['time'], last['relay'] - first['relay']
        if part < LEAST_PART:
            part, span, used = 1, whole, last['relay']
        events = expected * part
        result = {
            'events': expected,
            'seconds': whole,
            'first_event_ms': (first['time'] - self.run.began) * 1000,
            'rate_from_exec': expected / whole,
            'rate': events / span,
            'cpu_per_million': used / events * 1e6,
            'peak_kib': self.peak,
            'start_cpu': first['relay'],
            'broker_cpu_per_million': (last['broker'] - broker) / expected * 1e6,
        }
        if last.get('walsender') is not None:
            result['walsender_cpu_per_million'] = last['walsender'] / expected * 1e6
        return result


def idle(run, seconds):
    """What a process costs that has nothing to do."""
    before = (wakeups(run.pid), run_time(run.pid), time.monotonic())
    time.sleep(seconds)
    if run.ended():
        raise Failure(f'the relay ended while it was idle:\n{tail(run.log)}')
    after = (wakeups(run.pid), run_time(run.pid), time.monotonic())
    span = after[2] - before[2]
    return {'wakeups_per_second': (after[0] - before[0]) / span,
            'cpu_ms_per_minute': (after[1] - before[1]) / span * 60_000,
            'rss_kib': status_field(f'/proc/{run.pid}/status', 'VmRSS')}
