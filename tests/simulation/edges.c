/* SPDX-License-Identifier: Apache-2.0 */
/* What surrounds every program: time, waiting, signals, the log, HTTP, systemd. And the
 * configuration of a life, as the plan of the seed has it. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "sim.h"
#include "walferry/base/assert.h"
#include "walferry/loop/loop.h"
#include "walferry/loop/watchdog.h"

#define WALL_START_US (INT64_C(1767225600) * US_PER_S) /* 2026-01-01 */
#define STATUS_EVERY  16
/* Of what the relay holds beside the configured limits. */
#define HEAP_REST ((size_t)8 << 20)

/* ---- time ---- */

uint64_t __wrap_clock_mono_ns(void);
int64_t __wrap_clock_wall_us(void);
int __wrap_getpid(void);
int __wrap_close(int fd);
int __real_close(int fd);
int __real_getpid(void);

uint64_t __wrap_clock_mono_ns(void)
{
    return sim.now_ns;
}

int64_t __wrap_clock_wall_us(void)
{
    return WALL_START_US + (int64_t)(sim.now_ns / 1000) + sim.wall_jump_us;
}

int __wrap_getpid(void)
{
    return life_now == NULL ? __real_getpid() : (int)(1000 + life_now->id);
}

int __wrap_close(int fd)
{
    return disk_close(fd) ? 0 : __real_close(fd);
}

/* ---- the loop ---- */

bool loop_init(struct loop *loop, struct err *err)
{
    (void)err;
    *loop = (struct loop){.epoll_fd = -1, .signal_fd = -1};
    for (size_t i = 0; i < LOOP_WATCH_MAX; i++)
        loop->fds[i] = -1;
    return true;
}

void loop_deinit(struct loop *loop)
{
    (void)loop;
}

bool loop_watch(struct loop *loop, unsigned watch, int fd, unsigned wants, struct err *err)
{
    (void)err;
    ASSERT(watch < LOOP_WATCH_MAX);
    bool stop = fd < 0 || wants == 0;
    loop->fds[watch] = stop ? -1 : fd;
    loop->wants[watch] = stop ? 0 : wants;
    loop->ready &= ~(UINT32_C(1) << watch);
    return true;
}

bool loop_wait(struct loop *loop, uint64_t timeout_ns, struct err *err)
{
    (void)err;
    bool endless = timeout_ns > UINT64_MAX - sim.now_ns;
    /* The kernel counts milliseconds, rounded up. */
    uint64_t timeout = timeout_ns == 0 ? 0 : (timeout_ns + MS - 1) / MS * MS;
    life_yield(loop, endless ? UINT64_MAX : sim.now_ns + timeout);
    loop->ready = 0;
    for (unsigned i = 0; i < LOOP_WATCH_MAX; i++) {
        int fd = loop->fds[i];
        if (fd < 0)
            continue;
        uint64_t ready = fd >= FD_SINK ? sink_ready_ns(fd) : pg_ready_ns(fd, loop->wants[i]);
        if (ready <= sim.now_ns)
            loop->ready |= UINT32_C(1) << i;
    }
    return true;
}

bool loop_signals(struct loop *loop, struct err *err)
{
    (void)loop;
    (void)err;
    return true;
}

int loop_signal(struct loop *loop)
{
    (void)loop;
    struct life *life = life_now;
    if (life->signal_count == 0)
        return 0;
    int signal = life->signals[0];
    life->signal_count--;
    memmove(life->signals, life->signals + 1, life->signal_count * sizeof life->signals[0]);
    return signal;
}

/* ---- watchdog ---- */

bool watchdog_start(unsigned limit_s, struct err *err)
{
    (void)limit_s;
    (void)err;
    return true;
}

void watchdog_pat(const char *phase)
{
    (void)phase;
}

void watchdog_stop(void)
{
}

/* ---- log ---- */

void log_setup(enum log_format format, enum log_level level, const char *pipeline)
{
    (void)format;
    (void)level;
    (void)pipeline;
}

bool log_enabled(enum log_level level)
{
    return level <= LOG_INFO;
}

void log_fields(enum log_level level, const char *message, const struct log_field *fields,
                size_t count)
{
    if (level > LOG_INFO)
        return;
    TRACE("log: %s", TEXT(message));
    for (size_t i = 0; i < count; i++) {
        if (fields[i].type == LOG_TYPE_STR && strcmp(fields[i].key, "reason") == 0)
            trace_say("log:   reason", fields[i].as.str == NULL ? "" : fields[i].as.str);
        if (fields[i].type == LOG_TYPE_LSN)
            TRACE("log:   %s %x", TEXT(fields[i].key), fields[i].as.lsn.value);
    }
    if (life_now != NULL && strncmp(message, "drain_timeout", 13) == 0)
        life_now->drain_timeout = true;
}

void log_err(enum log_level level, const char *message, const struct err *err)
{
    if (level > LOG_INFO)
        return;
    TRACE("log: %s: %s", TEXT(message), TEXT(err_name(err->code)));
    trace_say("log:   error", err->message);
    if (life_now == NULL)
        return;
    if (strcmp(message, "walferry ends") == 0)
        life_now->ended_with = err->code;
    if (err->code == ERR_CHECKPOINT_WRITE)
        life_now->save_trouble_ns = sim.now_ns;
    CHECK(err_class(err->code) == ERR_CLASS_STOP || err_class(err->code) == ERR_CLASS_CONFIG ||
              level != LOG_ERROR || err->hint[0] != '\0',
          "an error without a hint: %s: %s", message, err->message);
}

uint64_t log_dropped(void)
{
    return 0;
}

/* A broken invariant ends a process at once; here the seed has found something. */
void assert_failed(const char *condition, const char *file, int line, const char *function)
{
    if (life_now != NULL)
        violation("bug: %s:%d: %s: %s", file, line, function, condition);
    fprintf(stderr, "simulation: seed %llu: %s:%d: %s: %s\n", (unsigned long long)sim.seed, file,
            line, function, condition);
    _Exit(70);
}

/* ---- http: a look at the relay's own numbers, now and then ---- */

struct http {
    struct http_source source;
    unsigned turns;
};

bool http_listen_check(const char *listen, struct err *err)
{
    (void)listen;
    (void)err;
    return true;
}

bool http_open(const struct http_opts *opts, const struct http_source *source,
               struct http **ret_http, struct err *err)
{
    (void)opts;
    (void)err;
    struct http *http = calloc(1, sizeof *http);
    ASSERT(http != NULL);
    http->source = *source;
    *ret_http = http;
    return true;
}

void http_close(struct http *http)
{
    free(http);
}

int http_fd(const struct http *http)
{
    (void)http;
    return -1;
}

uint64_t http_deadline(const struct http *http)
{
    (void)http;
    return UINT64_MAX;
}

unsigned http_port(const struct http *http)
{
    (void)http;
    return 9188;
}

void http_turn(struct http *http, uint64_t now_ns)
{
    (void)now_ns;
    static struct status status;
    const struct plan *plan = &sim.plan;
    CHECK(life_now->heap_bytes <= HEAP_REST + 4 * plan->max_bytes + 8 * plan->value_max,
          "the relay holds %zu bytes of memory", life_now->heap_bytes);
    if (http->turns++ % STATUS_EVERY != 0)
        return;
    http->source.fill(http->source.context, &status);
    CHECK(lsn_cmp(status.received, status.published) >= 0 &&
              lsn_cmp(status.published, status.durable) >= 0,
          "the four positions are out of order: received %s published %s durable %s",
          lsn_format(status.received).text, lsn_format(status.published).text,
          lsn_format(status.durable).text);
    CHECK(status.in_flight_events <= plan->max_records, "%u records in flight, %u allowed",
          status.in_flight_events, plan->max_records);
}

/* ---- configuration ---- */

void config_compare(const struct config *running, const struct config *fresh,
                    void (*differs)(void *context, const char *path, bool hot), void *context)
{
    if (running->checkpoint_interval_ms != fresh->checkpoint_interval_ms)
        differs(context, "checkpoint.interval", true);
}

void config_free(struct config *config)
{
    free(config);
}

static const struct capture_entry CAPTURES[] = {
    {.kind = CAPTURE_OUTBOX, .name = "outbox.event", .preset = PRESET_WALFERRY},
    {.kind = CAPTURE_MESSAGES, .name = "outbox"},
};
static const struct route_match DEBUG[] = {{EVENT_event_type, "debug.*"}};
static const struct route_rule RULES[] = {{.matches = DEBUG, .match_count = 1, .drop = true}};
static const char *const RESERVED[] = {"walferry.checkpoints", "sim.dead-letter"};

void config_of_life(struct life *life);
void config_of_life(struct life *life)
{
    const struct plan *plan = &sim.plan;
    life->config = (struct config){
        .path = "sim.yaml",
        .name = "sim",
        .source = {.conninfo = "host=sim dbname=shop",
                   .pipeline = "sim",
                   .slot = "walferry_sim",
                   .publication = "walferry_sim",
                   .standby_wait = plan->standby_wait,
                   .status_interval_ms = plan->status_interval_ms,
                   .heartbeat_interval_ms = plan->heartbeat_ms},
        .captures = CAPTURES,
        .capture_count = ARRAY_LEN(CAPTURES),
        .route = {.topic = "t.${aggregate_type}",
                  .rules = RULES,
                  .rule_count = ARRAY_LEN(RULES),
                  .reserved = RESERVED,
                  .reserved_count = ARRAY_LEN(RESERVED)},
        .envelope = {.format = plan->format, .mode = plan->mode, .source = "/sim"},
        .delivery = {.guarantee = plan->guarantee,
                     .commit_interval_ms = 100,
                     .max_in_flight_events = plan->max_records,
                     .max_in_flight_bytes = plan->max_bytes,
                     .poison = plan->poison,
                     .dead_letter_topic = "sim.dead-letter",
                     .drain_timeout_ms = plan->drain_ms},
        .sink = {.kind = SINK_KAFKA,
                 .pipeline = "sim",
                 .topics_create = true,
                 .topics_max = 10,
                 .dead_letter_topic = "sim.dead-letter",
                 .max_records = plan->max_records,
                 .max_bytes = plan->max_bytes},
        .store = plan->store,
        .checkpoint_topic = "walferry.checkpoints",
        .checkpoint = {.directory = "/sim", .pipeline = "sim"},
        .checkpoint_interval_ms = plan->interval_ms,
        .http_enabled = true,
        .http = {.listen = "127.0.0.1:9188"},
        .log_level = LOG_INFO,
    };
}

void edges_life_gone(struct life *life)
{
    life->signal_count = 0;
}
