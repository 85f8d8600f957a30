/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, the trace, and the queue of events. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "sim.h"
#include "walferry/base/assert.h"

struct sim sim;

/* ---- numbers: splitmix64 ---- */

uint64_t rng_next(struct rng *rng)
{
    rng->state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = rng->state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

uint64_t rng_below(struct rng *rng, uint64_t n)
{
    return rng_next(rng) % n;
}

uint64_t rng_between(struct rng *rng, uint64_t low, uint64_t high)
{
    return low + rng_below(rng, high - low + 1);
}

uint64_t rng_span(struct rng *rng, uint64_t low, uint64_t high)
{
    unsigned bits = 0;
    for (uint64_t span = high - low + 1; span > 1; span /= 2)
        bits++;
    uint64_t top = UINT64_C(1) << rng_below(rng, bits + 1u);
    uint64_t value = low + rng_below(rng, top);
    return value < high ? value : high;
}

bool rng_chance(struct rng *rng, unsigned per_mille)
{
    return rng_below(rng, 1000) < per_mille;
}

/* ---- trace ---- */

#define NEWEST   80
#define SAID_MAX 240

struct entry {
    uint64_t at_ns;
    unsigned life;
    const char *text;
    uint64_t values[6];
    char said[SAID_MAX];
};

static struct {
    struct entry entries[NEWEST];
    uint64_t count;
    uint64_t hash;
} trace;

void trace_reset(void)
{
    trace.count = 0;
    trace.hash = UINT64_C(14695981039346656037);
}

uint64_t trace_hash(void)
{
    return trace.hash;
}

uint64_t trace_count(void)
{
    return trace.count;
}

static void mix(uint64_t value)
{
    trace.hash = (trace.hash ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    trace.hash ^= trace.hash >> 29;
}

static void mix_text(const char *text)
{
    mix(bytes_hash(bytes_str(text)));
}

static void print_entry(FILE *out, const struct entry *entry)
{
    unsigned value = 0;
    fprintf(out, "%9" PRIu64 ".%06" PRIu64 " ", entry->at_ns / SEC, entry->at_ns % SEC / 1000);
    fprintf(out, entry->life == 0 ? "    " : "#%-2u ", entry->life);
    for (const char *at = entry->text; *at != '\0'; at++) {
        if (*at != '%') {
            fputc(*at, out);
            continue;
        }
        uint64_t v = entry->values[value++];
        switch (*++at) {
        case 'u':
            fprintf(out, "%" PRIu64, v);
            break;
        case 'x':
            fprintf(out, "%s", lsn_format(lsn_make(v)).text);
            break;
        default:
            fputs((const char *)(uintptr_t)v, out);
            break;
        }
    }
    fprintf(out, "%s%s\n", entry->said[0] == '\0' ? "" : ": ", entry->said);
}

static struct entry *add(const char *text)
{
    struct entry *entry = &trace.entries[trace.count++ % NEWEST];
    entry->at_ns = sim.now_ns;
    entry->life = life_now == NULL ? 0 : life_now->id;
    entry->text = text;
    entry->said[0] = '\0';
    mix(entry->at_ns);
    mix(entry->life);
    return entry;
}

void trace_put(const char *text, const uint64_t values[6])
{
    struct entry *entry = add(text);
    unsigned value = 0;
    memcpy(entry->values, values, sizeof entry->values);
    mix((uint64_t)(uint8_t)text[0]);
    for (const char *at = text; *at != '\0'; at++) {
        if (*at != '%')
            continue;
        uint64_t v = values[value++];
        if (*++at == 's')
            mix_text((const char *)(uintptr_t)v);
        else
            mix(v);
    }
    if (sim.verbose)
        print_entry(stdout, entry);
}

void trace_say(const char *text, const char *what)
{
    struct entry *entry = add(text);
    snprintf(entry->said, sizeof entry->said, "%s", what);
    mix_text(what);
    if (sim.verbose)
        print_entry(stdout, entry);
}

void trace_print(FILE *out)
{
    uint64_t from = trace.count > NEWEST ? trace.count - NEWEST : 0;
    for (uint64_t i = from; i < trace.count; i++)
        print_entry(out, &trace.entries[i % NEWEST]);
}

void violation(const char *format, ...)
{
    if (!sim.failed) {
        va_list args;
        va_start(args, format);
        vsnprintf(sim.failure, sizeof sim.failure, format, args);
        va_end(args);
        sim.failed = true;
        trace_say("VIOLATION", sim.failure);
    }
    if (life_now != NULL)
        life_abandon(LIFE_DEAD);
}

/* ---- events: a heap, the earliest on top, of one time the first come ---- */

struct due {
    uint64_t at_ns;
    uint64_t number;
    event_function *fire;
    uint64_t a;
    uint64_t b;
};

enum { EVENTS_MAX = 16384 };

static struct {
    struct due heap[EVENTS_MAX];
    size_t count;
    uint64_t number;
} events;

static bool earlier(const struct due *a, const struct due *b)
{
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->number < b->number);
}

void events_reset(void)
{
    events.count = 0;
    events.number = 0;
}

void event_at(uint64_t at_ns, event_function *fire, uint64_t a, uint64_t b)
{
    ASSERT(events.count < EVENTS_MAX);
    size_t at = events.count++;
    struct due event = {at_ns, events.number++, fire, a, b};
    while (at > 0 && earlier(&event, &events.heap[(at - 1) / 2])) {
        events.heap[at] = events.heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    events.heap[at] = event;
}

uint64_t events_next(void)
{
    return events.count == 0 ? UINT64_MAX : events.heap[0].at_ns;
}

void events_fire(void)
{
    struct due first = events.heap[0];
    struct due last = events.heap[--events.count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= events.count)
            break;
        if (child + 1 < events.count && earlier(&events.heap[child + 1], &events.heap[child]))
            child++;
        if (!earlier(&events.heap[child], &last))
            break;
        events.heap[at] = events.heap[child];
        at = child;
    }
    if (events.count > 0)
        events.heap[at] = last;
    first.fire(first.a, first.b);
}
