/* SPDX-License-Identifier: Apache-2.0 */
/* One seed: a plan, a time of faults, a time of healing, and an end in good order. */
#include "sim.h"
#include "walferry/base/assert.h"

#define FAULTS_MIN  20
#define SAFETY_NS   (3600 * SEC)
#define HEALING_NS  (1800 * SEC)
#define PROGRESS_NS (180 * SEC)

#define PICK(...)                                                                                  \
    pick((const uint64_t[]){__VA_ARGS__},                                                          \
         sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static uint64_t pick(const uint64_t *values, size_t count)
{
    return values[rng_below(&sim.work, count)];
}

static void draw_plan(void)
{
    struct plan *plan = &sim.plan;
    *plan = (struct plan){
        .guarantee = AT_LEAST_ONCE,
        .store = STORE_FILE,
        .server_version = (int)PICK(140023, 150020, 160014, 170010, 180004),
        .max_records = (uint32_t)PICK(1, 3, 10, 30, 100, 300),
        .max_bytes = PICK(2048, 16384, 65536, 1 << 20),
        .interval_ms = PICK(20, 100, 500, 1000, 3000),
        .poison = (enum poison_policy)PICK(POISON_DEAD_LETTER, POISON_DEAD_LETTER, POISON_SKIP,
                                           POISON_HALT),
        .format = (enum envelope_format)PICK(ENVELOPE_CLOUDEVENTS, ENVELOPE_CLOUDEVENTS,
                                             ENVELOPE_DEBEZIUM, ENVELOPE_RAW),
        .mode = (enum envelope_mode)PICK(ENVELOPE_STRUCTURED, ENVELOPE_BINARY),
        .partitions = (unsigned)PICK(1, 2, 4),
        .value_max = 4096,
        .topic_max = PICK(1700, 2500),
        .letter_max = PICK(1400, 100000),
        .wal_sender_timeout_ms = PICK(0, 3000, 10000, 60000),
        .status_interval_ms = PICK(500, 1000, 10000),
        .heartbeat_ms = PICK(0, 1000, 30000),
        .drain_ms = PICK(200, 2000, 30000),
        .sink_has_fd = PICK(0, 1, 1, 1, 1, 1, 1, 1, 1, 1) == 1,
        .poison_rows = PICK(0, 1) == 1,
        .standby_wait = PICK(0, 1, 1, 1) == 1,
        .work_ns = rng_span(&sim.work, 4, 60) * MS,
        .fault_ns = rng_between(&sim.work, 150, 800) * MS,
        .transactions = (unsigned)rng_between(&sim.work, 200, 260),
    };
}

static bool worked_enough(void)
{
    return server.committed >= sim.plan.transactions && sim.fired >= FAULTS_MIN;
}

static bool healed(void)
{
    return server.committed >= sim.plan.transactions && operator_quiet() && model_settled();
}

static struct lsn progress_to;

static bool progressed(void)
{
    return lsn_cmp(server.slot.confirmed, progress_to) >= 0;
}

static void run_lives(void)
{
    for (size_t i = 0; i < LIVES && !sim.failed; i++) {
        struct life *life = &lives[i];
        if (life_runs(life) && life_wake(life) <= sim.now_ns)
            life_resume(life);
        if (life->state == LIFE_ENDED || life->state == LIFE_DEAD)
            operator_look(life);
    }
}

void world_advance(uint64_t until_ns, bool (*done)(void))
{
    while (!sim.failed && (done == NULL || !done())) {
        uint64_t at = events_next();
        for (size_t i = 0; i < LIVES; i++) {
            uint64_t wake = life_wake(&lives[i]);
            at = wake < at ? wake : at;
        }
        if (at > until_ns) {
            sim.now_ns = until_ns;
            return;
        }
        if (at > sim.now_ns)
            sim.now_ns = at;
        while (events_next() <= sim.now_ns && !sim.failed)
            events_fire();
        run_lives();
    }
}

static void reset(uint64_t seed, bool verbose)
{
    struct rng rng = {seed};
    lives_reset();
    sim = (struct sim){.seed = seed, .verbose = verbose, .now_ns = 1000 * SEC};
    sim.work.state = rng_next(&rng);
    sim.fate.state = rng_next(&rng);
    sim.net.state = rng_next(&rng);
    trace_reset();
    events_reset();
    conns_reset();
    brokers_reset();
    disk_reset();
    model_reset();
    operator_reset();
    draw_plan();
    server_reset();
    faults_plan();
}

static void safety(void)
{
    server_begin_work();
    operator_begin();
    world_advance(sim.now_ns + SAFETY_NS, worked_enough);
    CHECK(sim.failed || worked_enough(), "only %u transactions and %u faults in an hour",
          server.committed, sim.fired);
}

static void healing(void)
{
    TRACE("---- healing", 0);
    sim.healing = true;
    faults_heal();
    world_advance(sim.now_ns + HEALING_NS, healed);
    CHECK(sim.failed || healed(), "half an hour without faults, and %u rows are missing",
          model_missing());
}

/* The database writes for others: the slot must not stand still. */
static void idle(void)
{
    TRACE("---- idle", 0);
    server_noise(5000000);
    progress_to = server.wal_end;
    world_advance(sim.now_ns + PROGRESS_NS, progressed);
    CHECK(sim.failed || progressed(), "the slot stands at %s while the WAL ends at %s",
          lsn_format(server.slot.confirmed).text, lsn_format(progress_to).text);
}

bool world_run(uint64_t seed, bool verbose)
{
    reset(seed, verbose);
    safety();
    if (!sim.failed)
        healing();
    if (!sim.failed)
        idle();
    if (!sim.failed)
        operator_finish();
    if (!sim.failed)
        model_finish();
    lives_reset();
    return !sim.failed;
}
