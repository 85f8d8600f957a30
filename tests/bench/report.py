# SPDX-License-Identifier: Apache-2.0
"""The machine, the versions, and the tables."""

import os
import platform
import re
import statistics
import subprocess

import debezium


def first_line(*arguments, environment=None):
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, check=False,
                              env={**os.environ, **(environment or {})})
    except OSError:
        return 'not found'
    return ((done.stdout or done.stderr).strip().splitlines() or [''])[0]


def field(path, name):
    with open(path, encoding='utf-8', errors='replace') as file:
        for line in file:
            if line.startswith(name):
                return line.partition(':')[2].strip()
    return 'unknown'


def librdkafka_version(bench):
    """What the dynamic loader gives to the programs that are measured."""
    code = ('import ctypes; f = ctypes.CDLL("librdkafka.so.1").rd_kafka_version_str; '
            'f.restype = ctypes.c_char_p; print(f().decode())')
    path = bench.options.librdkafka
    return first_line('python3', '-c', code,
                      environment={'LD_LIBRARY_PATH': path} if path else {})


def machine():
    memory = int(field('/proc/meminfo', 'MemTotal').split()[0]) / 1024 / 1024
    system = first_line('sh', '-c', '. /etc/os-release && echo "$PRETTY_NAME"')
    return {'processor': field('/proc/cpuinfo', 'model name'), 'cores': os.cpu_count(),
            'memory_gib': round(memory, 1), 'system': system, 'kernel': platform.release()}


def versions(bench):
    result = {f'walferry {label}'.strip(): first_line(path, 'version').removeprefix('walferry ')
              for label, path in bench.options.walferry.items()}
    if any('debezium' in name for name in bench.options.contenders):
        result['Debezium'] = debezium.version(bench.options.cache)
    java = subprocess.run(['java', '-version'], capture_output=True, text=True, check=False)
    result.update({'PostgreSQL': bench.postgresql.version(), 'Kafka': bench.kafka.version(),
                   'librdkafka': librdkafka_version(bench),
                   'libpq': first_line('pg_config', '--version'),
                   'Java': re.sub(r'.*"(.*)".*', r'\1', java.stderr.splitlines()[0])})
    return result


def median(results):
    """Of each number the median over the runs."""
    merged = {}
    for name in {name for result in results for name in result}:
        values = [result[name] for result in results if result.get(name) is not None]
        if values and all(isinstance(value, dict) for value in values):
            merged[name] = median(values)
        elif values:
            merged[name] = statistics.median(values)
    return merged


def number(value, form='{:,.0f}', scale=1.0):
    return '' if value is None else form.format(value * scale)


def table(head, rows):
    lines = ['| ' + ' | '.join(head) + ' |', '|---|' + '---:|' * (len(head) - 1)]
    lines += ['| ' + ' | '.join(row) + ' |' for row in rows]
    return '\n'.join(lines)


DRAIN_COLUMNS = [
    ('events/s', 'rate', '{:,.0f}', 1),
    ('from exec', 'rate_from_exec', '{:,.0f}', 1),
    ('first event, ms', 'first_event_ms', '{:,.0f}', 1),
    ('CPU s/1M', 'cpu_per_million', '{:.2f}', 1),
    ('CPU s before', 'start_cpu', '{:.2f}', 1),
    ('peak MiB', 'peak_kib', '{:,.1f}', 1 / 1024),
    ('walsender s/1M', 'walsender_cpu_per_million', '{:.2f}', 1),
    ('broker s/1M', 'broker_cpu_per_million', '{:.2f}', 1),
]


def drain_table(results):
    rows = [[name] + [number(result.get(key), form, scale) for _, key, form, scale in DRAIN_COLUMNS]
            for name, result in results.items()]
    return table(['contender'] + [column[0] for column in DRAIN_COLUMNS], rows)


LATENCY_POINTS = ['p50', 'p99', 'p99.9', 'max']


def latency_table(results):
    """results: {contender: {rate: result}}"""
    rows = []
    for name, rates in results.items():
        for rate, result in rates.items():
            latency = result['latency']
            row = [name, number(rate)]
            row += [number(latency.get(point), '{:,.2f}', 0.001) for point in LATENCY_POINTS]
            row += [number(result['commit'].get('p50'), '{:,.2f}', 0.001),
                    number(result['sent'] - result['arrived'])]
            rows.append(row)
    return table(['contender', 'events/s'] + [f'{point}, ms' for point in LATENCY_POINTS]
                 + ['commit p50, ms', 'missing'], rows)


IDLE_COLUMNS = [('wakeups/s', 'wakeups_per_second', '{:.1f}', 1),
                ('CPU ms/min', 'cpu_ms_per_minute', '{:.1f}', 1),
                ('resident MiB', 'rss_kib', '{:,.1f}', 1 / 1024)]


def idle_table(results):
    rows = [[name] + [number(result.get(key), form, scale) for _, key, form, scale in IDLE_COLUMNS]
            for name, result in results.items()]
    return table(['contender'] + [column[0] for column in IDLE_COLUMNS], rows)


def describe(bench):
    here = bench.machine
    lines = [f"{here['processor']}, {here['cores']} cores, {here['memory_gib']} GiB; "
             f"{here['system']}, Linux {here['kernel']}",
             ', '.join(f'{name} {version}' for name, version in bench.versions.items()),
             f'codec {bench.options.codec}, medians of {bench.options.runs} runs taken in turn',
             f'command: tests/bench/run {" ".join(bench.arguments)}'.rstrip()]
    return '\n'.join(lines)
