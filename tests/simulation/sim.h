/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim: a whole world around the real relay, in one process, on one virtual clock.
 *
 * Linked are the real relay, ledger, checkpoint, source, decoder, capture, route and envelope. What
 * they stand on is replaced as a whole when the program is linked: pg (postgres.c, over the server
 * of server.c), the sink (sink.c, over the brokers of broker.c), the disk below the file store
 * (disk.c), clock, loop, http, log and watchdog (edges.c). Each life of a relay is a coroutine
 * (life.c) that runs until it waits; a crash abandons it anywhere inside a call and takes its
 * memory back. Everything is drawn from one seed: the same seed gives the same trace.
 *
 * model.c knows what was committed, and judges what arrives from what the edges see, never from
 * what the relay says of itself. faults.c draws what goes wrong; operator.c restarts relays, and
 * applies the remedies that their errors ask for, if there was a cause for them.
 */
#pragma once

#include <stdio.h>
#include <string.h>

#include "walferry/base/clock.h"
#include "walferry/config/config.h"

/* ---- numbers ---- */

struct rng {
    uint64_t state;
};

uint64_t rng_next(struct rng *rng);
/* 0 to n - 1; n > 0. */
uint64_t rng_below(struct rng *rng, uint64_t n);
/* From low to high, both included. */
uint64_t rng_between(struct rng *rng, uint64_t low, uint64_t high);
/* The same, small ones as likely as large ones. */
uint64_t rng_span(struct rng *rng, uint64_t low, uint64_t high);
bool rng_chance(struct rng *rng, unsigned per_mille);

#define MS  NS_PER_MS
#define SEC NS_PER_S

/* ---- faults ---- */

enum fault {
#define FAULT(id, name, weight, group) FAULT_##id,
#include "faults.def"
#undef FAULT
    FAULT_COUNT
};

const char *fault_name(enum fault fault);
/* It happened: count it. */
void fault_fired(enum fault fault);
/* Draw what this seed enables. */
void faults_plan(void);
/* Faults that are armed come true at the next call they concern; this takes one. */
bool fault_take(enum fault fault);
/* No more of them, and what lasts is over. */
void faults_heal(void);
unsigned faults_fired(void);

/* ---- the plan of a seed ---- */

enum { TOPICS = 3, PARTITIONS_MAX = 4, DOMAINS_MAX = TOPICS * PARTITIONS_MAX + 1 };

struct plan {
    enum guarantee guarantee;
    enum store_kind store;
    int server_version;
    uint32_t max_records;
    uint64_t max_bytes;
    uint64_t interval_ms; /* of the checkpoint */
    enum poison_policy poison;
    enum envelope_format format;
    enum envelope_mode mode;
    unsigned partitions;
    size_t value_max;  /* of the producer */
    size_t topic_max;  /* of the brokers: larger records fail with their batch */
    size_t letter_max; /* the same of the dead letter topic */
    uint64_t wal_sender_timeout_ms;
    uint64_t status_interval_ms;
    uint64_t heartbeat_ms;
    uint64_t drain_ms;
    bool sink_has_fd;
    bool poison_rows; /* there are any */
    bool standby_wait;
    uint64_t work_ns;  /* mean time between two transactions */
    uint64_t fault_ns; /* the same of faults */
    unsigned transactions;
    bool enabled[FAULT_COUNT];
};

struct sim {
    uint64_t seed;
    struct rng work; /* what is committed */
    struct rng fate; /* what goes wrong */
    struct rng net;  /* how long things take */
    struct plan plan;
    uint64_t now_ns;
    int64_t wall_jump_us;
    bool healing;
    bool verbose;
    bool failed;
    unsigned fired;
    uint64_t turns;
    char failure[1024];
};

extern struct sim sim;
/* Over all seeds of this process. */
extern uint64_t fault_totals[FAULT_COUNT];

/* ---- trace: what happened, for people and for the hash that shows two runs to be one ---- */

/* `text` is static. %u: decimal, %x: LSN, %s: static text. Up to six values. */
#define TRACE(text, ...) trace_put((text), (const uint64_t[6]){__VA_ARGS__})
#define TEXT(literal)    ((uint64_t)(uintptr_t)(literal))
void trace_put(const char *text, const uint64_t values[6]);
/* With a text of the moment. */
void trace_say(const char *text, const char *what);
void trace_reset(void);
uint64_t trace_hash(void);
uint64_t trace_count(void);
/* The newest ones. */
void trace_print(FILE *out);

/* A promise is broken: remembered, and everything ends. */
void violation(const char *format, ...) PRINTF_LIKE(1, 2);
#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            violation(__VA_ARGS__);                                                                \
    } while (0)

/* ---- events: what the world does by itself ---- */

typedef void event_function(uint64_t a, uint64_t b);

void events_reset(void);
void event_at(uint64_t at_ns, event_function *fire, uint64_t a, uint64_t b);
static inline void event_in(uint64_t delay_ns, event_function *fire, uint64_t a, uint64_t b)
{
    event_at(sim.now_ns + delay_ns, fire, a, b);
}
uint64_t events_next(void);
void events_fire(void);

/* ---- lives of relays ---- */

enum { HOSTS = 2, LIVES = 4, FD_FIRST = 100000, FD_SINK = FD_FIRST + 500 };

enum edge { EDGE_PG, EDGE_SINK, EDGE_FILE, EDGE_KINDS, EDGE_ANY = EDGE_KINDS };

enum life_state {
    LIFE_NONE,
    LIFE_READY,
    LIFE_WAITING, /* in loop_wait() */
    LIFE_PAUSED,  /* stopped, anywhere */
    LIFE_ENDED,   /* relay_run() returned */
    LIFE_DEAD,
};

struct stack;
struct block; /* of the heap of a life */

struct life {
    unsigned id; /* counts from 1 in a seed */
    unsigned host;
    enum life_state state;
    struct stack *stack;
    struct block *heap;
    size_t heap_bytes;
    size_t heap_peak;
    struct config config;
    uint64_t started_ns;
    uint64_t wake_ns;   /* WAITING: at the latest */
    uint64_t floor_ns;  /* not before */
    uint64_t resume_ns; /* PAUSED */
    struct loop *loop;  /* WAITING: what it watches */
    int signals[4];
    unsigned signal_count;
    /* What happens at the n-th call from now. */
    enum edge fuse_edge;
    unsigned fuse;          /* 0: nothing */
    uint64_t fuse_pause_ns; /* 0: the end */
    enum fault fuse_fault;
    int status;
    enum err_code ended_with; /* of the last error it said */
    bool drain_timeout;       /* it said so */
    bool stopping;            /* it was asked to stop */
    const struct http_source *http;
    /* The model's. */
    struct lsn loaded;     /* the best position it was given to read */
    struct cursor partial; /* of it */
    bool has_loaded;
    bool damaged;             /* the newest position was not readable */
    unsigned instance;        /* its newest producer */
    uint32_t base;            /* rows before it were acknowledged to this life, or are old */
    uint64_t save_trouble_ns; /* last time that saving failed */
    uint64_t paused_ns;       /* last time that it was stopped for a while */
};

extern struct life *life_now; /* NULL: the world itself runs */
extern struct life lives[LIVES];

void lives_reset(void);
struct life *life_start(unsigned host);
/* Of the host, or NULL. */
struct life *life_on(unsigned host);
struct life *life_by_id(unsigned id);
bool life_runs(const struct life *life);
/* When it has something to do. */
uint64_t life_wake(const struct life *life);
void life_resume(struct life *life);
/* kill -9 */
void life_kill(struct life *life);
void life_signal(struct life *life, int signal);
void life_pause(struct life *life, uint64_t ns);
/* One of those that run was stopped for a while since then. */
bool life_was_paused(uint64_t since_ns);
/* Take back what an ended life holds. */
void life_reap(struct life *life);
/* Called by loop_wait(). */
void life_yield(struct loop *loop, uint64_t wake_ns);
/* Called by every simulated call into the world: a fuse may burn down here. */
void edge(enum edge edge);
/* Never returns inside a life. */
void life_abandon(enum life_state state);

/* ---- edges that the world asks ---- */

/* When the descriptor is ready as far as it is known now; UINT64_MAX: not. */
uint64_t pg_ready_ns(int fd, unsigned wants);
uint64_t sink_ready_ns(int fd);
/* Called when a life is gone. */
void pg_life_gone(struct life *life, bool machine);
void sink_life_gone(struct life *life);
void disk_life_gone(struct life *life);
void edges_life_gone(struct life *life);

/* ---- disk ---- */

void disk_reset(void);
void disk_power_loss(unsigned host);
bool disk_close(int fd);
/* The worst that a loss of power now would leave to be read. */
bool disk_durable(unsigned host, struct lsn *ret_lsn, struct cursor *ret_partial);
/* The newest position that was durable before a fault damaged it. */
struct lsn disk_was_durable(unsigned host);
/* The newest generation is not to be read, and none was saved since. */
bool disk_is_damaged(unsigned host);
void disk_damage(unsigned host);
/* The operator moves the files away. */
void disk_clear(unsigned host);
void disk_heal(void);
/* Whether the reading of checkpoints was disturbed since the last look. */
bool disk_was_disturbed(unsigned host);

/* ---- the server ---- */

enum row_kind {
    ROW_EVENT,
    ROW_MESSAGE,
    ROW_DROPPED, /* by a routing rule */
    ROW_UPDATE,
    ROW_DELETE,
    ROW_TRUNCATE,
    ROW_FOREIGN_MESSAGE,
    ROW_HEARTBEAT,
    ROW_NO_ID,         /* poison for capture */
    ROW_BAD_TOPIC,     /* poison for the route */
    ROW_BAD_PARTITION, /* poison for the sink */
    ROW_BAD_MESSAGE,   /* poison for capture */
    ROW_LARGE,         /* poison for the producer */
    ROW_REFUSED,       /* poison for the broker, with its batch */
    ROW_KINDS
};

enum expect { EXPECT_NONE, EXPECT_TOPIC, EXPECT_LETTER };

struct row {
    uint32_t txn;
    uint32_t ordinal; /* rows and messages before it in its transaction, heartbeats not */
    uint32_t index;   /* events before it in its transaction */
    enum row_kind kind;
    enum expect expect;
    uint8_t topic;
    uint8_t partition; /* where it belongs */
    bool explicit_partition;
    uint16_t key; /* 0: none */
    uint32_t pad;
    uint8_t domain; /* where it is expected */
    uint32_t place; /* there */
    /* The model's. */
    uint32_t appended;      /* times */
    uint32_t last_instance; /* that appended it */
    uint32_t acked_life;
    uint32_t acked_instance;
    uint64_t passed_ns; /* became part of the acknowledged prefix of acked_life */
    uint32_t visible;   /* times, exactly_once */
    bool excused;       /* a gap that was admitted */
    bool unpublished;   /* written while the table was not in the publication */
    bool orphaned;      /* written while there was no publication */
};

struct txn {
    struct lsn commit_lsn;
    struct lsn end_lsn;
    int64_t commit_us;
    uint64_t visible_ns;
    uint32_t xid;
    uint32_t first_row;
    uint32_t row_count;
    uint8_t table_version;
    bool lost; /* on a branch that the server left */
};

enum { ROWS_MAX = 60000, TXNS_MAX = 20000 };

extern struct row rows[ROWS_MAX];
extern uint32_t row_count;
extern struct txn txns[TXNS_MAX];
extern uint32_t txn_count;

enum server_state { SERVER_UP, SERVER_STOPPING, SERVER_AWAY, SERVER_STARTING };

struct slot {
    bool exists;
    bool lost;
    bool went_back;
    struct lsn confirmed;
    struct lsn saved;       /* what a crash goes back to */
    int conn;               /* that holds it; -1: none */
    uint64_t busy_until_ns; /* held by somebody else */
};

struct server {
    enum server_state state;
    uint64_t until_ns; /* of AWAY and STARTING */
    uint64_t system_id;
    uint32_t timeline;
    struct lsn forks[16]; /* where timeline i + 1 ended */
    struct lsn wal_end;
    struct lsn sent_high; /* told to clients, in whatever session */
    uint32_t next_xid;
    bool in_recovery;
    bool foreign; /* another server answers in its place */
    bool publication;
    bool table_published;
    uint8_t table_version;
    uint64_t refuse_until_ns;
    uint64_t login_until_ns;
    struct slot slot;
    unsigned committed; /* transactions of the workload */
    uint64_t stopping_since_ns;
    uint64_t away_ns; /* after STOPPING */
};

extern struct server server;

void server_reset(void);
void server_begin_work(void);
void server_crash(uint64_t away_ns);
void server_restart(uint64_t away_ns);
void server_stopped(void);
void server_promote(struct lsn fork, struct lsn slot);
void server_emit_heartbeat(void);
/* A slot at the end of the WAL, and a publication. */
void server_init_slot(void);
/* WAL of others. */
void server_noise(uint64_t bytes);
/* The first transaction of the present branch with commit_lsn >= lsn. */
uint32_t server_find(struct lsn lsn);
/* Payload of a row, without NUL; its length. */
size_t row_payload(uint32_t row, char *out, size_t size);
size_t row_content(uint32_t row, char *out, size_t size);

/* postgres.c */
void conns_reset(void);
/* `state`: SQLSTATE that the client is told, "" for a mere end. */
void conns_break(bool streams, bool others, const char *state, const char *text);
void conns_half_open(void);
void conns_stall(uint64_t ns);
void conns_block_writes(uint64_t ns);
void conns_garbage(void);
bool conn_streams(void);
/* And it would learn that the server is to stop: the connection is not half open. */
bool conn_listens(void);
/* The walsender of the slot is gone or has been told all. */
bool conns_may_stop(void);

/* ---- brokers ---- */

struct brokers {
    uint64_t away_until_ns;
    uint64_t slow_until_ns;
    uint64_t revoked_until_ns[TOPICS + 1]; /* the last one: dead letters */
    uint64_t busy_until_ns;
    uint64_t reset_until_ns;
};

extern struct brokers brokers;
void brokers_reset(void);
unsigned instance_open(struct life *life);
void instance_close(unsigned instance);
/* A record of row `row` for the domain is queued. */
void instance_submit(unsigned instance, uint32_t row, unsigned domain, uint64_t tag, size_t size,
                     uint64_t cost);
size_t instance_collect(unsigned instance, struct sink_report *reports, size_t max);
uint64_t instance_ready_ns(unsigned instance);
bool instance_fatal(unsigned instance);
uint32_t instance_start_row(unsigned instance);
struct life *instance_life(unsigned instance);
unsigned domain_of(const struct row *row);

/* ---- model ---- */

void model_reset(void);
void model_row_added(uint32_t row);
/* The broker wrote the record. `gapped`: a batch of that producer failed before. */
void model_append(unsigned instance, uint32_t row, unsigned domain, bool gapped);
void model_acked(struct life *life, unsigned instance, uint32_t row);
void model_life_loaded(struct life *life);
void model_start(struct life *life, struct lsn asked, struct lsn effective);
void model_confirm(struct life *life, struct lsn flush);
void model_died(const struct life *life);
void model_ended(const struct life *life);
/* Rows that are not delivered and lie before `lsn` will not come, as an error said. */
void model_excuse_before(struct lsn lsn);
void model_excuse_unpublished(void);
bool model_settled(void);
void model_finish(void);
uint32_t model_missing(void);
struct lsn model_durable(unsigned host);

/* ---- operator ---- */

/* What would justify an end. */
enum cause {
    CAUSE_SLOT_GONE,
    CAUSE_SLOT_LOST,
    CAUSE_SLOT_ADVANCED,
    CAUSE_PUBLICATION,
    CAUSE_TABLE,
    CAUSE_DIVERGED,
    CAUSE_FOREIGN,
    CAUSE_DISK_READ,
    CAUSE_DISK,
    CAUSE_POISON,
    CAUSE_GARBAGE,
    CAUSE_SECOND_SIGNAL,
    CAUSE_COUNT
};

void operator_reset(void);
void cause_add(enum cause cause);
bool cause_stands(enum cause cause);
/* A relay of this host ended or died: what is done about it. */
void operator_look(struct life *life);
void operator_begin(void);
/* Ends have been explained, none is pending. */
bool operator_quiet(void);
/* Stop the relays in good order and see that they do. */
void operator_finish(void);

/* ---- one seed ---- */

/* False: a promise was broken, sim.failure says which. */
bool world_run(uint64_t seed, bool verbose);
void world_advance(uint64_t until_ns, bool (*done)(void));
