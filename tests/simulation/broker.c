/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Brokers, and the producers that write to them.
 *
 * A producer keeps a queue for each partition and sends batches one after another; a batch is on
 * the wire, is written, and is acknowledged, each a moment later. What is on the wire is written
 * even when the producer is gone. A batch whose acknowledgement is lost is sent again with its
 * sequence number, so that it is written once and acknowledged late. After a batch that failed the
 * producer goes on with the next, as librdkafka does: that partition has a gap then, and only a
 * replay mends it.
 */
#include "sim.h"
#include "walferry/base/assert.h"

enum { INSTANCES = 512, FLIGHTS = 8192, BATCHES = 512, BATCH_MAX = 16, REPORTS = 4096 };

struct flight {
    uint32_t row;
    uint64_t tag;
    size_t size;
    uint64_t cost;
    int next;
};

struct queue {
    int first; /* -1: empty */
    int last;
    bool busy; /* a batch is being sent */
    bool gapped;
};

struct instance {
    unsigned life;
    bool dead;
    bool fatal;
    bool started; /* start_row is known */
    uint32_t start_row;
    struct queue queues[DOMAINS_MAX];
    int reports_first; /* flights that wait to be collected */
    int reports_last;
    uint32_t unreported;
    uint64_t unreported_cost;
};

/* What became of a flight whose report waits. */
static struct {
    enum sink_outcome outcome;
    enum err_code code;
    const char *error;
} verdicts[FLIGHTS];

struct batch {
    bool used;
    unsigned instance;
    unsigned domain;
    unsigned count;
    struct flight flights[BATCH_MAX];
    bool doubtful;
};

static struct instance instances[INSTANCES];
static unsigned instance_count;
static struct flight flights[FLIGHTS];
static int free_flight;
static struct batch batches[BATCHES];
struct brokers brokers;

void brokers_reset(void)
{
    instance_count = 0;
    brokers = (struct brokers){0};
    for (int i = 0; i < FLIGHTS; i++)
        flights[i].next = i + 1 < FLIGHTS ? i + 1 : -1;
    free_flight = 0;
    for (size_t i = 0; i < BATCHES; i++)
        batches[i].used = false;
}

static struct instance *instance_at(unsigned number)
{
    ASSERT(number >= 1 && number <= instance_count);
    return &instances[number % INSTANCES];
}

unsigned instance_open(struct life *life)
{
    struct instance *instance = &instances[++instance_count % INSTANCES];
    *instance = (struct instance){.life = life->id};
    instance->reports_first = instance->reports_last = -1;
    life->instance = instance_count;
    for (size_t i = 0; i < DOMAINS_MAX; i++)
        instance->queues[i].first = instance->queues[i].last = -1;
    TRACE("producer %u is made", instance_count);
    return instance_count;
}

static void release(int index)
{
    flights[index].next = free_flight;
    free_flight = index;
}

static void release_list(int index)
{
    while (index >= 0) {
        int next = flights[index].next;
        release(index);
        index = next;
    }
}

void instance_close(unsigned number)
{
    struct instance *instance = instance_at(number);
    if (instance->dead)
        return;
    instance->dead = true;
    for (size_t i = 0; i < DOMAINS_MAX; i++)
        release_list(instance->queues[i].first);
    release_list(instance->reports_first);
    TRACE("producer %u is dropped", number);
}

struct life *instance_life(unsigned number)
{
    return life_by_id(instance_at(number)->life);
}

uint32_t instance_start_row(unsigned number)
{
    return instance_at(number)->start_row;
}

bool instance_fatal(unsigned number)
{
    return instance_at(number)->fatal;
}

uint64_t instance_ready_ns(unsigned number)
{
    return instance_at(number)->reports_first >= 0 ? sim.now_ns : UINT64_MAX;
}

/* ---- reports ---- */

static void append_list(int *first, int *last, int index)
{
    flights[index].next = -1;
    if (*first < 0)
        *first = index;
    else
        flights[*last].next = index;
    *last = index;
}

static int take_flight(const struct flight *flight)
{
    ASSERT(free_flight >= 0);
    int index = free_flight;
    free_flight = flights[index].next;
    flights[index] = *flight;
    return index;
}

static void report(struct instance *instance, const struct flight *flight,
                   enum sink_outcome outcome, enum err_code code, const char *error)
{
    if (instance->dead)
        return;
    int index = take_flight(flight);
    verdicts[index].outcome = outcome;
    verdicts[index].code = code;
    verdicts[index].error = error;
    append_list(&instance->reports_first, &instance->reports_last, index);
}

size_t instance_collect(unsigned number, struct sink_report *reports, size_t max)
{
    struct instance *instance = instance_at(number);
    size_t count = 0;
    while (count < max && instance->reports_first >= 0) {
        int index = instance->reports_first;
        instance->reports_first = flights[index].next;
        reports[count++] = (struct sink_report){
            .kind = REPORT_RECORD,
            .tag = flights[index].tag,
            .outcome = verdicts[index].outcome,
            .code = verdicts[index].code,
            .error = verdicts[index].error,
        };
        instance->unreported--;
        instance->unreported_cost -= flights[index].cost;
        if (verdicts[index].outcome == SINK_DELIVERED)
            model_acked(life_now, number, flights[index].row);
        release(index);
    }
    return count;
}

/* ---- sending ---- */

static void send_batch(uint64_t number, uint64_t domain);
static void write_batch(uint64_t index, uint64_t b);
static void answer_batch(uint64_t index, uint64_t b);

static uint64_t latency_ns(void)
{
    uint64_t ns = rng_span(&sim.net, 200, 8192) * 1000;
    return sim.now_ns < brokers.slow_until_ns ? ns + rng_between(&sim.net, 50, 1500) * MS : ns;
}

void instance_submit(unsigned number, uint32_t row, unsigned domain, uint64_t tag, size_t size,
                     uint64_t cost)
{
    struct instance *instance = instance_at(number);
    struct queue *queue = &instance->queues[domain];
    const struct plan *plan = &sim.plan;
    if (!instance->started) {
        instance->started = true;
        instance->start_row = life_now->base;
    }
    int index = take_flight(&(struct flight){.row = row, .tag = tag, .size = size, .cost = cost});
    append_list(&queue->first, &queue->last, index);
    CHECK(instance->unreported < plan->max_records, "more than %u records in flight",
          plan->max_records);
    CHECK(instance->unreported_cost < plan->max_bytes, "more than %llu bytes in flight",
          (unsigned long long)plan->max_bytes);
    instance->unreported++;
    instance->unreported_cost += cost;
    if (!queue->busy) {
        queue->busy = true;
        event_in(rng_span(&sim.net, 50, 4096) * 1000, send_batch, number, domain);
    }
}

static struct batch *batch_new(void)
{
    for (size_t i = 0; i < BATCHES; i++) {
        if (batches[i].used)
            continue;
        batches[i] = (struct batch){.used = true};
        return &batches[i];
    }
    UNREACHABLE();
}

static uint64_t topic_of_domain(uint64_t domain)
{
    return domain == DOMAINS_MAX - 1 ? TOPICS : domain / PARTITIONS_MAX;
}

static void send_batch(uint64_t number, uint64_t domain)
{
    struct instance *instance = instance_at((unsigned)number);
    struct queue *queue = &instance->queues[domain];
    if (instance->dead)
        return;
    if (sim.now_ns < brokers.away_until_ns) {
        event_at(brokers.away_until_ns + latency_ns(), send_batch, number, domain);
        return;
    }
    if (queue->first < 0) {
        queue->busy = false;
        return;
    }
    struct batch *batch = batch_new();
    batch->instance = (unsigned)number;
    batch->domain = (unsigned)domain;
    unsigned max = (unsigned)rng_span(&sim.net, 1, BATCH_MAX);
    while (batch->count < max && queue->first >= 0) {
        int index = queue->first;
        queue->first = flights[index].next;
        batch->flights[batch->count++] = flights[index];
        release(index);
    }
    event_in(latency_ns(), write_batch, (uint64_t)(batch - batches), 0);
}

/* The rest of a producer that is unusable. */
static void fail_all(struct instance *instance)
{
    instance->fatal = true;
    for (size_t i = 0; i < DOMAINS_MAX; i++) {
        struct queue *queue = &instance->queues[i];
        while (queue->first >= 0) {
            int index = queue->first;
            struct flight flight = flights[index];
            queue->first = flight.next;
            release(index);
            report(instance, &flight, SINK_FATAL, ERR_KAFKA_FATAL, "OUT_OF_ORDER_SEQUENCE_NUMBER");
        }
    }
}

static void fail_batch(struct batch *batch, enum sink_outcome outcome, enum err_code code,
                       const char *error)
{
    struct instance *instance = instance_at(batch->instance);
    TRACE("producer %u: a batch of %u from row %u fails: %s", batch->instance, batch->count,
          batch->flights[0].row, TEXT(error));
    if (!batch->doubtful)
        instance->queues[batch->domain].gapped = true;
    for (unsigned i = 0; i < batch->count; i++)
        report(instance, &batch->flights[i], outcome, code, error);
    if (outcome == SINK_FATAL)
        fail_all(instance);
    batch->used = false;
}

static size_t limit_of(unsigned domain)
{
    return domain == DOMAINS_MAX - 1 ? sim.plan.letter_max : sim.plan.topic_max;
}

/* True when the batch is done with. */
static bool refused(struct batch *batch)
{
    if (sim.now_ns < brokers.revoked_until_ns[topic_of_domain(batch->domain)]) {
        fail_batch(batch, SINK_BLOCKED, ERR_KAFKA_AUTH, "TOPIC_AUTHORIZATION_FAILED");
        return true;
    }
    for (unsigned i = 0; i < batch->count; i++) {
        if (batch->flights[i].size <= limit_of(batch->domain))
            continue;
        fault_fired(FAULT_BATCH_REFUSED);
        fail_batch(batch, SINK_SUSPECT, ERR_KAFKA_SUSPECT, "MSG_SIZE_TOO_LARGE");
        return true;
    }
    if (instance_at(batch->instance)->dead)
        return false;
    if (fault_take(FAULT_BATCH_FAILED)) {
        fail_batch(batch, SINK_RETRY, ERR_KAFKA_DELIVERY, "NETWORK_EXCEPTION");
        return true;
    }
    if (fault_take(FAULT_PRODUCER_FATAL)) {
        fail_batch(batch, SINK_FATAL, ERR_KAFKA_FATAL, "OUT_OF_ORDER_SEQUENCE_NUMBER");
        return true;
    }
    return false;
}

static void write_batch(uint64_t at, uint64_t b)
{
    (void)b;
    struct batch *batch = &batches[at];
    struct instance *instance = instance_at(batch->instance);
    if (sim.now_ns < brokers.away_until_ns) {
        /* Not heard: a living producer sends it again, a dead one does not. */
        if (instance->dead)
            batch->used = false;
        else
            event_at(brokers.away_until_ns + latency_ns(), write_batch, at, 0);
        return;
    }
    if (instance->fatal && !instance->dead) {
        fail_batch(batch, SINK_FATAL, ERR_KAFKA_FATAL, "OUT_OF_ORDER_SEQUENCE_NUMBER");
        return;
    }
    /* The next batch of the partition follows on its heels. */
    if (!instance->dead)
        event_in(rng_span(&sim.net, 50, 2048) * 1000, send_batch, batch->instance, batch->domain);
    if (refused(batch))
        return;
    if (instance->dead)
        fault_fired(FAULT_ZOMBIE_WRITE);
    TRACE("broker: writes %u from row %u for producer %u, partition %u", batch->count,
          batch->flights[0].row, batch->instance, batch->domain);
    for (unsigned i = 0; i < batch->count; i++)
        model_append(batch->instance, batch->flights[i].row, batch->domain,
                     instance->queues[batch->domain].gapped);
    if (!instance->dead && fault_take(FAULT_BATCH_DOUBTFUL)) {
        batch->doubtful = true;
        fail_batch(batch, SINK_RETRY, ERR_KAFKA_DELIVERY, "_MSG_TIMED_OUT");
        return;
    }
    uint64_t again = fault_take(FAULT_ACK_LOST) ? rng_between(&sim.net, 500, 3000) * MS : 0;
    event_in(latency_ns() + again, answer_batch, at, 0);
}

static void answer_batch(uint64_t at, uint64_t b)
{
    (void)b;
    struct batch *batch = &batches[at];
    struct instance *instance = instance_at(batch->instance);
    if (sim.now_ns < brokers.away_until_ns && !instance->dead) {
        event_at(brokers.away_until_ns + latency_ns(), answer_batch, at, 0);
        return;
    }
    bool fatal = instance->fatal;
    for (unsigned i = 0; i < batch->count; i++) {
        if (fatal)
            report(instance, &batch->flights[i], SINK_FATAL, ERR_KAFKA_FATAL, "_FATAL");
        else
            report(instance, &batch->flights[i], SINK_DELIVERED, ERR_NONE, NULL);
    }
    batch->used = false;
}
