/* SPDX-License-Identifier: Apache-2.0 */
/* sink.h over the brokers of broker.c. Every record is taken apart and compared with the row it
 * must come from. */
#include "walferry/sink/sink.h"

#include <inttypes.h>
#include <stdlib.h>

#include "sim.h"
#include "walferry/base/assert.h"

enum { SINKS = 64 };

struct sim_sink {
    struct sink sink;
    unsigned instance; /* 0: none usable, after a reset that failed */
    unsigned number;
    unsigned known_topics; /* a bit each */
    uint64_t pending;      /* records taken and not reported */
    uint64_t topic_ready_ns[TOPICS + 1];
};

static struct {
    unsigned life; /* 0: free */
    unsigned instance;
} sinks[SINKS];

static const struct sink_ops OPS;

static struct sim_sink *of(struct sink *sink)
{
    return (struct sim_sink *)(void *)sink;
}

static const struct sim_sink *of_const(const struct sink *sink)
{
    return (const struct sim_sink *)(const void *)sink;
}

uint64_t sink_ready_ns(int fd)
{
    unsigned instance = sinks[fd - FD_SINK].instance;
    return instance == 0 ? UINT64_MAX : instance_ready_ns(instance);
}

void sink_life_gone(struct life *life)
{
    for (size_t i = 0; i < SINKS; i++) {
        if (sinks[i].life != life->id)
            continue;
        if (sinks[i].instance != 0)
            instance_close(sinks[i].instance);
        sinks[i].life = 0;
        sinks[i].instance = 0;
    }
}

static void use_instance(struct sim_sink *self, unsigned instance)
{
    self->instance = instance;
    sinks[self->number].instance = instance;
}

static bool sim_open(const struct sink_opts *opts, struct sink **ret_sink, struct err *err)
{
    (void)opts;
    (void)err;
    edge(EDGE_SINK);
    struct sim_sink *self = calloc(1, sizeof *self);
    ASSERT(self != NULL);
    self->sink.ops = &OPS;
    while (sinks[self->number].life != 0) {
        self->number++;
        ASSERT(self->number < SINKS);
    }
    sinks[self->number].life = life_now->id;
    use_instance(self, instance_open(life_now));
    *ret_sink = &self->sink;
    return true;
}

static void sim_close(struct sink *sink)
{
    struct sim_sink *self = of(sink);
    edge(EDGE_SINK);
    if (self->instance != 0)
        instance_close(self->instance);
    sinks[self->number].life = 0;
    sinks[self->number].instance = 0;
    free(self);
}

static int sim_fd(const struct sink *sink)
{
    return sim.plan.sink_has_fd ? FD_SINK + (int)of_const(sink)->number : -1;
}

/* ---- a record, taken apart ---- */

static struct bytes header_of(const struct record *record, const char *name)
{
    for (size_t i = 0; i < record->header_count; i++)
        if (bytes_is(record->headers[i].name, name))
            return record->headers[i].value;
    return BYTES_ABSENT;
}

static uint32_t digits(const uint8_t *at, const uint8_t *end)
{
    uint32_t number = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (uint32_t)(*at - '0');
    return number;
}

/* UINT32_MAX: none. */
static uint32_t number_of(const struct record *record)
{
    static const char MARK[] = "\"n\":";
    struct bytes id = header_of(record, "walferry_event_id");
    if (bytes_present(id) && id.len == 36)
        return digits(id.ptr + 24, id.ptr + 36);
    const uint8_t *at = bytes_empty(record->value)
                            ? NULL
                            : memmem(record->value.ptr, record->value.len, MARK, strlen(MARK));
    if (at == NULL)
        return UINT32_MAX;
    return digits(at + strlen(MARK), record->value.ptr + record->value.len);
}

static bool bears_position(const struct record *record, uint32_t number, uint32_t index,
                           bool letter)
{
    char expected[40];
    snprintf(expected, sizeof expected, "%016" PRIX64 "-%08X",
             txns[rows[number].txn].commit_lsn.value, index);
    bool found = true;
    if (letter)
        found = bytes_is(header_of(record, "walferry_position"), expected);
    else if (sim.plan.format == ENVELOPE_CLOUDEVENTS && sim.plan.mode == ENVELOPE_BINARY)
        found = bytes_is(header_of(record, "ce_sequence"), expected);
    else if (sim.plan.format == ENVELOPE_CLOUDEVENTS)
        found = memmem(record->value.ptr, record->value.len, expected, strlen(expected)) != NULL;
    return found;
}

static void check_position(const struct record *record, uint32_t number, bool letter)
{
    uint32_t index = rows[number].index;
    bool found = bears_position(record, number, index, letter);
    /* Until the broker has refused a row that is then skipped, it counts as one that is published.
     */
    uint32_t before = number;
    while (!found && sim.plan.poison == POISON_SKIP && before > txns[rows[number].txn].first_row)
        if (rows[--before].kind == ROW_REFUSED)
            found = bears_position(record, number, ++index, letter);
    CHECK(found, "row %u does not bear its position, index %u", number, rows[number].index);
}

static void check_payload(const struct record *record, uint32_t number, bool letter)
{
    static char text[32 << 10];
    size_t len = rows[number].kind == ROW_BAD_MESSAGE ? row_content(number, text, sizeof text)
                                                      : row_payload(number, text, sizeof text);
    if (letter && bytes_is(header_of(record, "walferry_truncated"), "true"))
        return;
    bool inside =
        !letter && sim.plan.format == ENVELOPE_CLOUDEVENTS && sim.plan.mode == ENVELOPE_STRUCTURED;
    bool same = inside ? memmem(record->value.ptr, record->value.len, text, len) != NULL
                       : bytes_equal(record->value, bytes_make(text, len));
    CHECK(same, "the payload of row %u is not what was written", number);
}

static void check_place(const struct record *record, uint32_t number, bool letter)
{
    const struct row *row = &rows[number];
    char topic[24], key[16];
    snprintf(topic, sizeof topic, "t.%u", row->topic);
    snprintf(key, sizeof key, "k%u", row->key);
    CHECK(bytes_is(record->placement.topic, letter ? "sim.dead-letter" : topic),
          "row %u goes to another topic", number);
    bool same_key = row->key == 0 ? !bytes_present(record->placement.key)
                                  : bytes_is(record->placement.key, key);
    CHECK(same_key || (letter && row->kind == ROW_BAD_MESSAGE), "row %u has another key", number);
    CHECK(letter || record->placement.partition == (row->explicit_partition ? row->partition : -1),
          "row %u goes to another partition", number);
}

static uint32_t check_record(const struct record *record, bool letter)
{
    uint32_t number = number_of(record);
    if (number >= row_count) {
        violation("a record that no row stands for: %.*s", BYTES_FMT(record->value));
        return 0;
    }
    const struct row *row = &rows[number];
    bool poison = row->kind >= ROW_NO_ID;
    CHECK(!letter || poison, "a good row, %u, goes to the dead letters", number);
    CHECK(letter || row->kind == ROW_EVENT || row->kind == ROW_MESSAGE || row->kind == ROW_LARGE ||
              row->kind == ROW_REFUSED || row->kind == ROW_BAD_PARTITION,
          "row %u is no event", number);
    CHECK(!row->unpublished && !row->orphaned, "row %u was never sent", number);
    if (row->kind != ROW_BAD_PARTITION || letter)
        check_place(record, number, letter);
    check_position(record, number, letter);
    check_payload(record, number, letter);
    return number;
}

/* ---- submit ---- */

/* A topic that is new to this sink is asked for first. */
static bool topic_known(struct sim_sink *self, unsigned topic)
{
    if ((self->known_topics >> topic & 1) != 0)
        return true;
    if (self->topic_ready_ns[topic] == 0)
        self->topic_ready_ns[topic] = sim.now_ns + rng_span(&sim.net, 1, 128) * MS;
    if (sim.now_ns < self->topic_ready_ns[topic])
        return false;
    self->known_topics |= 1u << topic;
    return true;
}

static enum sink_result sim_submit(struct sink *sink, const struct record *record, uint64_t tag,
                                   uint32_t *ret_topic, struct err *err)
{
    struct sim_sink *self = of(sink);
    edge(EDGE_SINK);
    bool letter = bytes_is(record->placement.topic, "sim.dead-letter");
    uint32_t number = check_record(record, letter);
    const struct row *row = &rows[number];
    unsigned topic = letter ? TOPICS : row->topic;
    if (self->instance == 0 || sim.now_ns < brokers.busy_until_ns || !topic_known(self, topic))
        return SINK_BUSY;
    if (instance_fatal(self->instance)) {
        discard(err_set(err, ERR_KAFKA_FATAL, "the producer is unusable"));
        discard(err_hint(err, "it is replaced"));
        return SINK_FAIL;
    }
    if (fault_take(FAULT_SUBMIT_FAILS)) {
        TRACE("sink: submit fails", 0);
        discard(err_set(err, ERR_KAFKA_DELIVERY, "librdkafka does not take a record"));
        discard(err_hint(err, "the producer is replaced"));
        return SINK_FAIL;
    }
    if (record->value.len > sim.plan.value_max) {
        discard(err_set(err, ERR_ROW_TOO_LARGE, "the record has %zu bytes", record->value.len));
        discard(err_hint(err, "raise message.max.bytes"));
        return SINK_POISON;
    }
    if (record->placement.partition >= (int)sim.plan.partitions) {
        discard(err_set(err, ERR_ROW_PARTITION, "no partition %d", record->placement.partition));
        discard(err_hint(err, "mend the row's partition"));
        return SINK_POISON;
    }
    unsigned domain = letter ? DOMAINS_MAX - 1 : domain_of(row);
    TRACE("sink: takes row %u as %u, letter %u", number, tag, letter);
    self->pending++;
    instance_submit(self->instance, number, domain, tag, record->value.len, record_cost(record));
    *ret_topic = topic;
    return SINK_TAKEN;
}

static size_t sim_collect(struct sink *sink, struct sink_report *reports, size_t max)
{
    struct sim_sink *self = of(sink);
    edge(EDGE_SINK);
    size_t count = self->instance == 0 ? 0 : instance_collect(self->instance, reports, max);
    ASSERT(count <= self->pending);
    self->pending -= count;
    return count;
}

static bool sim_tick(struct sink *sink, uint64_t now_ns, struct err *err)
{
    struct sim_sink *self = of(sink);
    (void)now_ns;
    edge(EDGE_SINK);
    if (self->instance == 0) {
        if (sim.now_ns < brokers.reset_until_ns)
            return true;
        use_instance(self, instance_open(life_now));
    }
    if (!fault_take(FAULT_TICK_FAILS))
        return true;
    TRACE("sink: tick fails", 0);
    discard(err_set(err, ERR_KAFKA_FATAL, "the producer is unusable"));
    return err_hint(err, "it is replaced");
}

static bool sim_reset(struct sink *sink, struct err *err)
{
    struct sim_sink *self = of(sink);
    if (self->instance != 0)
        instance_close(self->instance);
    use_instance(self, 0);
    self->pending = 0;
    edge(EDGE_SINK);
    if (fault_take(FAULT_RESET_FAILS))
        brokers.reset_until_ns = sim.now_ns + rng_between(&sim.fate, 1, 2000) * MS;
    if (sim.now_ns < brokers.reset_until_ns) {
        TRACE("sink: no new producer yet", 0);
        discard(err_set(err, ERR_KAFKA_CONNECT, "no producer can be made"));
        return err_hint(err, "it is tried again");
    }
    use_instance(self, instance_open(life_now));
    return true;
}

static const char *sim_topic_name(const struct sink *sink, uint32_t topic)
{
    static const char *const NAMES[] = {"t.0", "t.1", "t.2", "sim.dead-letter"};
    (void)sink;
    return NAMES[topic];
}

static void sim_state(const struct sink *sink, struct sink_state *ret_state)
{
    *ret_state = (struct sink_state){
        .library = "simulated", .topics = TOPICS, .pending = of_const(sink)->pending};
    ret_state->connected = sim.now_ns >= brokers.away_until_ns;
}

static size_t sim_value_max(const struct sink *sink)
{
    (void)sink;
    return sim.plan.value_max;
}

static const struct sink_ops OPS = {
    .name = "kafka",
    .open = sim_open,
    .close = sim_close,
    .fd = sim_fd,
    .submit = sim_submit,
    .collect = sim_collect,
    .tick = sim_tick,
    .reset = sim_reset,
    .topic_name = sim_topic_name,
    .state = sim_state,
    .value_max = sim_value_max,
};

const struct sink_ops *sink_ops_of(enum sink_kind kind)
{
    ASSERT(kind == SINK_KAFKA);
    return &OPS;
}
