/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_private.h"

#include <signal.h>
#include <stdlib.h>

#include "walferry/loop/watchdog.h"

/* Steps of one turn are bounded, so that reports, replies and requests are not kept waiting. */
#define PULLS_A_TURN 2000
#define TICK_BUSY_NS (100 * NS_PER_MS)
#define TICK_IDLE_NS (1 * NS_PER_S)
/* Rows in a span that make reading a matter of naps, and how long a nap is: less than it takes the
 * server to fill the buffer of a Unix socket. */
#define PACE_NS   (1 * NS_PER_MS)
#define PACE_NAPS 10
#define NAP_NS    (300 * NS_PER_MS / 1000)
/* A sink without a descriptor is asked this often while records are in flight. */
#define POLL_NS (2 * NS_PER_MS)

void relay_fail(struct relay *relay, const struct err *err)
{
    if (relay->stop)
        return;
    relay->stop = true;
    relay->fatal = *err;
    relay->exit_status = err_exit_status(err->code);
    if (relay->ledger != NULL)
        ledger_poison(relay->ledger);
}

static void begin_drain(struct relay *relay, const char *why)
{
    if (relay->draining)
        return;
    discard(FAILPOINT(STOP_BEGIN));
    log_info("draining", F_STR("because", why));
    notify_send("STOPPING=1");
    relay->draining = true;
    relay->drain_deadline_ns = relay->now_ns + relay->drain_timeout_ms * NS_PER_MS;
}

void relay_halt(struct relay *relay, const struct err *err)
{
    if (relay->stop || relay->halting)
        return;
    relay->halting = true;
    pull_drop(relay);
    relay->fatal = *err;
    relay->exit_status = err_exit_status(err->code);
    begin_drain(relay, err->message);
}

/* --- wiring --- */

static bool open_stages(struct relay *relay, struct err *err)
{
    relay->decoder = pgoutput_new();
    relay->metrics = metrics_new();
    if (relay->decoder == NULL || relay->metrics == NULL)
        return err_set(err, ERR_MEMORY, "no memory for the decoder");
    return stages_open(&relay->stages, relay->config, err);
}

static bool open_sink(struct relay *relay, struct err *err)
{
    const struct sink_ops *ops = sink_ops_of(relay->config->sink.kind);
    struct sink_state state;
    if (!ops->open(&relay->config->sink, &relay->sink, err))
        return false;
    relay->topic_label_count = (size_t)relay->config->sink.topics_max + 2;
    relay->topic_labels = calloc(relay->topic_label_count, sizeof relay->topic_labels[0]);
    if (relay->topic_labels == NULL)
        return err_set(err, ERR_MEMORY, "no memory for the names of topics");
    if (!stages_room(&relay->stages, ops->value_max(relay->sink), err))
        return false;
    ops->state(relay->sink, &state);
    metrics_build(relay->metrics, WALFERRY_VERSION, state.library, pg_library_version());
    return true;
}

static bool list_tables(struct relay *relay, struct err *err)
{
    const struct config *config = relay->config;
    relay->tables = calloc(config->capture_count, sizeof relay->tables[0]);
    relay->columns = calloc(config->capture_count * CAPTURE_COLUMNS_MAX, sizeof relay->columns[0]);
    if (relay->tables == NULL || relay->columns == NULL)
        return err_set(err, ERR_MEMORY, "no memory for the captured tables");
    relay->source_opts.tables = relay->tables;
    relay->source_opts.columns = relay->columns;
    for (size_t i = 0; i < config->capture_count; i++) {
        const struct capture_entry *entry = &config->captures[i];
        size_t at = 0;
        if (entry->kind != CAPTURE_OUTBOX)
            continue;
        relay->tables[relay->source_opts.table_count++] = entry->name;
        for (const char *name; (name = capture_column(entry, &at)) != NULL;)
            relay->columns[relay->source_opts.column_count++] =
                (struct source_column){entry->name, name};
    }
    return true;
}

static bool open_source(struct relay *relay, struct err *err)
{
    const struct sink_opts *sink = &relay->config->sink;
    relay->source_opts = relay->config->source;
    if (!list_tables(relay, err))
        return false;
    relay->source_opts.temporary |= relay->sink->ops->volatile_acks || sink->mock;
    return source_new(&relay->source_opts, &relay->source, err) &&
           monitor_new(&relay->source_opts, &relay->monitor, err);
}

static bool open_http(struct relay *relay, struct err *err)
{
    const struct http_source source = {
        .fill = health_fill,
        .refresh = health_refresh,
        .metrics = relay->metrics,
        .context = relay,
    };
    return !relay->config->http_enabled ||
           http_open(&relay->config->http, &source, &relay->http, err);
}

static bool relay_open(struct relay *relay, struct err *err)
{
    /* Signals first: threads of the libraries inherit the mask. */
    return loop_init(&relay->loop, err) && loop_signals(&relay->loop, err) &&
           watchdog_start(notify_limit_s(), err) && open_stages(relay, err) &&
           open_sink(relay, err) && open_source(relay, err) && keep_init(relay, err) &&
           open_http(relay, err) && confirm_open(relay, err);
}

static void relay_close(struct relay *relay)
{
    watchdog_pat("http_close");
    http_close(relay->http);
    watchdog_pat("source_close");
    monitor_free(relay->monitor);
    source_free(relay->source);
    watchdog_pat("sink_close");
    if (relay->sink != NULL)
        relay->sink->ops->close(relay->sink);
    watchdog_pat("close");
    checkpoint_close(relay->store);
    ledger_free(relay->ledger);
    stages_close(&relay->stages);
    pgoutput_free(relay->decoder);
    metrics_free(relay->metrics);
    buf_deinit(&relay->keep.text);
    free(relay->topic_labels);
    free(relay->tables);
    free(relay->columns);
    loop_deinit(&relay->loop);
    watchdog_stop();
}

/* --- one turn --- */

/* Why the relay was about to end anyway stays the reason. */
static void stop_at_once(struct relay *relay)
{
    struct err err = relay->fatal;
    if (!relay->halting) {
        discard(err_set(&err, ERR_INTERRUPTED, "stopped at once by a second signal"));
        err_hint(&err, "what was in flight is sent again by the next start");
    }
    relay_fail(relay, &err);
}

static void take_signals(struct relay *relay)
{
    for (int signal = loop_signal(&relay->loop); signal != 0; signal = loop_signal(&relay->loop)) {
        if (signal == SIGHUP) {
            reload(relay);
        } else if (relay->signalled) {
            stop_at_once(relay);
        } else {
            relay->signalled = true;
            begin_drain(relay, signal == SIGTERM ? "SIGTERM" : "SIGINT");
        }
    }
    if (relay->hooks != NULL && relay->hooks->stop != NULL &&
        relay->hooks->stop(relay->hooks->context))
        begin_drain(relay, "asked to");
}

static void drain_turn(struct relay *relay)
{
    if (!relay->draining || relay->ending || relay->stop)
        return;
    if (relay->store == NULL) {
        relay->stop = true;
        return;
    }
    bool quiet = relay->ledger == NULL || ledger_quiet(relay->ledger) ||
                 (relay->halting && ledger_records(relay->ledger) == 0);
    bool late = relay->now_ns >= relay->drain_deadline_ns;
    bool settled = quiet && keep_settled(relay);
    if (!late && !settled)
        return;
    if (!quiet)
        log_warn("drain_timeout passed with records in flight: the next start sends them again",
                 F_U64("in_flight", ledger_records(relay->ledger)));
    else if (!settled)
        log_warn("drain_timeout passed before the position was saved: the next start sends again "
                 "what was published since",
                 F_LSN("saved", relay->durable));
    /* The session goes, and with it the bytes of a row that no sink has taken. */
    pull_drop(relay);
    discard(FAILPOINT(STOP_DRAIN));
    relay->ending = true;
    discard(confirm_turn(relay, true));
    source_end(relay->source, relay->now_ns);
    relay->stop |= source_state(relay->source) == SOURCE_STATE_CLOSED;
}

/* Reading is pointless while nothing may be pushed, but a session that is being made, or ended,
 * always moves. */
static bool may_turn_session(const struct relay *relay)
{
    return source_state(relay->source) != SOURCE_STATE_STREAMING || relay->ending ||
           (relay->now_ns >= relay->pace.nap_until_ns && pull_allowed(relay));
}

static void keep_pace(struct relay *relay, unsigned rows)
{
    struct pace *pace = &relay->pace;
    if (relay->now_ns >= pace->since_ns + PACE_NS) {
        bool next = relay->now_ns < pace->since_ns + 2 * PACE_NS;
        *pace = (struct pace){.since_ns = relay->now_ns, .before = next ? pace->rows : 0};
    }
    pace->rows += rows;
}

/* The stream is dry: more of it is looked for after a nap, or as soon as there is some. */
static void take_nap(struct relay *relay, unsigned rows)
{
    struct pace *pace = &relay->pace;
    keep_pace(relay, rows);
    if (rows > 0 && (pace->rows >= PACE_NAPS || pace->before >= PACE_NAPS))
        pace->nap_until_ns = clock_mono_ns() + NAP_NS;
}

static void pull(struct relay *relay)
{
    relay->more = false;
    if (relay->store == NULL)
        return;
    for (unsigned i = 0; i < PULLS_A_TURN && !relay->stop; i++) {
        /* A session that broke while nothing was read is begun anew, room or not. */
        if (!source_broken(relay->source) && (!pull_offer(relay) || !may_turn_session(relay)))
            return;
        if (!session_turn(relay)) {
            take_nap(relay, i);
            return;
        }
    }
    keep_pace(relay, PULLS_A_TURN);
    relay->more = !relay->stop;
}

/* Somebody wants to be asked whether to go on. */
static bool asked(const struct relay *relay)
{
    return relay->hooks != NULL && relay->hooks->stop != NULL;
}

static void tick(struct relay *relay)
{
    struct err err;
    if (relay->now_ns < relay->next_tick_ns && !relay->sink_busy)
        return;
    bool busy = relay->sink_busy || (relay->ledger != NULL && ledger_records(relay->ledger) > 0);
    relay->next_tick_ns = relay->now_ns + (busy || asked(relay) ? TICK_BUSY_NS : TICK_IDLE_NS);
    if (!relay->sink->ops->tick(relay->sink, relay->now_ns, &err))
        delivery_failed(relay, &err);
    notify_watchdog(relay);
}

static void turn(struct relay *relay)
{
    uint64_t before_ns = relay->now_ns;
    relay->now_ns = clock_mono_ns();
    relay->wall_us = clock_wall_us();
    session_woke(relay, before_ns);
    watchdog_pat("signals");
    take_signals(relay);
    confirm_open_again(relay);
    watchdog_pat("collect");
    discard(delivery_collect(relay));
    watchdog_pat("confirm");
    discard(confirm_turn(relay, false));
    watchdog_pat("pull");
    source_tick(relay->source, relay->now_ns);
    pull(relay);
    if (relay->stop)
        return;
    if (!relay->more && relay->sink->ops->hurry != NULL)
        relay->sink->ops->hurry(relay->sink, relay->now_ns);
    watchdog_pat("tick");
    tick(relay);
    drain_turn(relay);
    if (relay->store != NULL)
        monitor_turn(relay->monitor, relay->now_ns);
    const struct monitor_facts *facts = monitor_facts(relay->monitor);
    /* A session that was begun since then proves that the server is back. */
    if (facts->shutting_down && facts->shutdown_ns >= relay->streams_since_ns)
        session_yield(relay);
    alarm_turn(relay);
    watchdog_pat("http");
    if (relay->http != NULL)
        http_turn(relay->http, relay->now_ns);
    health_update(relay);
}

/* --- waiting --- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t deadline(const struct relay *relay)
{
    uint64_t at = relay->next_tick_ns;
    if (relay->store != NULL)
        at = earlier(at, earlier(source_deadline(relay->source), monitor_deadline(relay->monitor)));
    if (relay->http != NULL)
        at = earlier(at, http_deadline(relay->http));
    if (relay->draining && !relay->ending)
        at = earlier(at, relay->drain_deadline_ns);
    if (relay->hold_until_ns > relay->now_ns)
        at = earlier(at, relay->hold_until_ns);
    if (relay->pace.nap_until_ns > relay->now_ns)
        at = earlier(at, relay->pace.nap_until_ns);
    at = earlier(at, confirm_deadline(relay));
    if (health_waiting(relay) && relay->sink->ops->fd(relay->sink) < 0)
        at = earlier(at, relay->now_ns + POLL_NS);
    return at;
}

struct want {
    int fd;
    unsigned wants;
};

/* Libraries close and open descriptors as they like, and the kernel gives the same number again:
 * what may have changed is taken out of the set before anything is put in. */
static bool watch_all(struct relay *relay, struct err *err)
{
    const struct want wanted[] = {
        [WATCH_SOURCE] = {source_fd(relay->source),
                          source_wants(relay->source,
                                       may_turn_session(relay) && !relay->offered.present)},
        [WATCH_SINK] = {relay->sink->ops->fd(relay->sink), LOOP_READ},
        [WATCH_MONITOR] = {monitor_fd(relay->monitor), monitor_wants(relay->monitor)},
        [WATCH_HTTP] = {relay->http == NULL ? -1 : http_fd(relay->http), LOOP_READ},
    };
    bool steady = source_state(relay->source) == SOURCE_STATE_STREAMING;
    for (unsigned i = 0; i < ARRAY_LEN(wanted); i++) {
        bool keep = i == WATCH_SINK || i == WATCH_HTTP || (i == WATCH_SOURCE && steady);
        if (keep && relay->loop.fds[i] == wanted[i].fd)
            continue;
        if (!loop_watch(&relay->loop, i, -1, 0, err))
            return false;
    }
    for (unsigned i = 0; i < ARRAY_LEN(wanted); i++)
        if (!loop_watch(&relay->loop, i, wanted[i].fd, wanted[i].wants, err))
            return false;
    return true;
}

static void run(struct relay *relay)
{
    struct err err;
    notify_send("READY=1");
    while (!relay->stop) {
        turn(relay);
        if (relay->stop)
            return;
        uint64_t at = deadline(relay);
        uint64_t now_ns = clock_mono_ns();
        uint64_t timeout_ns = relay->more || at <= now_ns ? 0 : at - now_ns;
        watchdog_pat("wait");
        if (!watch_all(relay, &err) || !loop_wait(&relay->loop, timeout_ns, &err))
            relay_fail(relay, &err);
    }
}

/* What was acknowledged since the last save need not be sent again, however the relay ends. */
static void save_last(struct relay *relay)
{
    struct err err;
    if (relay->keep.by_sink && relay->fatal.code != ERR_INTERRUPTED)
        keep_last(relay);
    if (confirm_turn(relay, true) || err_is_set(&relay->fatal))
        return;
    discard(err_set(&err, ERR_CHECKPOINT_WRITE, "the last checkpoint could not be saved"));
    err_where(&err, "%s", relay->config->checkpoint.directory);
    err_hint(&err, "mend the disk; what was published since is sent again by the next start");
    relay->fatal = err;
    relay->exit_status = err_exit_status(err.code);
}

static void tell_end(struct relay *relay)
{
    struct status status;
    if (relay->hooks == NULL || relay->hooks->ended == NULL)
        return;
    health_fill(relay, &status);
    relay->hooks->ended(relay->hooks->context, &status);
}

int relay_run(const struct config *config, const struct relay_hooks *hooks)
{
    struct relay relay = {
        .config = config,
        .hooks = hooks,
        .checkpoint_interval_ms = config->checkpoint_interval_ms,
        .drain_timeout_ms = config->delivery.drain_timeout_ms,
    };
    char server[256];
    struct err err;
    relay.started_at_us = clock_wall_us();
    relay.progress_ns = clock_mono_ns();
    pg_conninfo_describe(config->source.conninfo, server, sizeof server);
    log_info("walferry starts", F_STR("version", WALFERRY_VERSION), F_STR("server", server),
             F_STR("slot", config->source.slot), F_STR("publication", config->source.publication));
    if (!relay_open(&relay, &err)) {
        relay.exit_status = err_exit_status(err.code);
        relay.fatal = err;
    } else {
        run(&relay);
        save_last(&relay);
        session_advise(&relay);
        health_update(&relay);
        tell_end(&relay);
    }
    if (err_is_set(&relay.fatal))
        log_err(LOG_ERROR, "walferry ends", &relay.fatal);
    else
        log_info("walferry ends", F_LSN("confirmed", source_confirmed(relay.source)),
                 F_I64("exit", relay.exit_status));
    relay_close(&relay);
    return relay.exit_status;
}
