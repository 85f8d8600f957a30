/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_private.h"

#include <stdarg.h>

#include "walferry/base/utf8.h"

/* Records wait this long without one acknowledgement: not ready. */
#define STALLED_NS    (30 * NS_PER_S)
#define LOG_REPEAT_US (10 * US_PER_S)

static const char *const state_names[] = {
    [RELAY_STARTING] = "starting", [RELAY_STANDBY] = "standby",   [RELAY_STREAMING] = "streaming",
    [RELAY_BLOCKED] = "blocked",   [RELAY_DRAINING] = "draining", [RELAY_STOPPED] = "stopped",
};

const char *relay_state_name(enum relay_state state)
{
    ASSERT((size_t)state < ARRAY_LEN(state_names));
    return state_names[state];
}

static void set_state(struct relay *relay, enum relay_state state, const char *format, ...)
    PRINTF_LIKE(3, 4);

static void set_state(struct relay *relay, enum relay_state state, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(relay->reason, sizeof relay->reason, format, args);
    va_end(args);
    if (state == relay->state)
        return;
    log_info("state changed", F_STR("from", relay_state_name(relay->state)),
             F_STR("to", relay_state_name(state)), F_STR("reason", relay->reason));
    relay->state = state;
    char message[320];
    snprintf(message, sizeof message, "STATUS=%s%s%s", relay_state_name(state),
             relay->reason[0] == '\0' ? "" : ": ", relay->reason);
    notify_send(message);
}

bool health_waiting(const struct relay *relay)
{
    return relay->offered.present || (relay->ledger != NULL && ledger_records(relay->ledger) > 0);
}

static bool stalled(const struct relay *relay)
{
    return health_waiting(relay) && relay->now_ns > relay->progress_ns + STALLED_NS;
}

/* Records wait for a sink that is away, and no more can be taken. */
static bool held_by_sink(const struct relay *relay, const struct sink_state *sink)
{
    bool full = relay->ledger != NULL && !ledger_room(relay->ledger);
    return !sink->connected && (relay->sink_busy || full);
}

/* The state follows from the facts, so that none can be forgotten. */
void health_update(struct relay *relay)
{
    struct sink_state sink;
    relay->sink->ops->state(relay->sink, &sink);
    /* The first record after a pause has not been waiting since the last one. */
    if (!health_waiting(relay))
        relay->progress_ns = relay->now_ns;
    if (relay->stop)
        set_state(relay, RELAY_STOPPED, "%s", relay->fatal.message);
    else if (relay->draining)
        set_state(relay, RELAY_DRAINING, "waiting for records in flight");
    else if (relay->keep.claim == CLAIM_ASKED)
        set_state(relay, relay->announced || relay->keep.troubled ? RELAY_BLOCKED : RELAY_STARTING,
                  "claiming the position in Kafka%s%s", sink.detail[0] == '\0' ? "" : ": ",
                  sink.detail);
    else if (err_is_set(&relay->waiting))
        set_state(relay, RELAY_STANDBY, "%s", relay->waiting.message);
    else if (relay->keep.troubled)
        set_state(relay, RELAY_BLOCKED, "%s", relay->blocked.message);
    else if (relay->ledger == NULL || !relay->announced)
        set_state(relay, RELAY_STARTING, "%s",
                  err_is_set(&relay->source_trouble) ? relay->source_trouble.message
                                                     : "connecting to PostgreSQL");
    else if (relay->save_failed)
        set_state(relay, RELAY_BLOCKED, "the checkpoint cannot be saved");
    else if (err_is_set(&relay->blocked))
        set_state(relay, RELAY_BLOCKED, "%s", relay->blocked.message);
    else if (source_state(relay->source) != SOURCE_STATE_STREAMING)
        set_state(relay, RELAY_BLOCKED, "PostgreSQL is away%s%s",
                  err_is_set(&relay->source_trouble) ? ": " : "", relay->source_trouble.message);
    else if (held_by_sink(relay, &sink))
        set_state(relay, RELAY_BLOCKED, "the sink is away: %s", sink.detail);
    else if (stalled(relay))
        set_state(relay, RELAY_BLOCKED, "nothing was acknowledged for 30 s: %s", sink.detail);
    else
        set_state(relay, RELAY_STREAMING, "%s", "");
}

void health_error(struct relay *relay, enum log_level level, const char *what,
                  const struct err *err)
{
    int64_t now_us = clock_wall_us();
    size_t at = 0;
    while (at < relay->error_count && relay->errors[at].err.code != err->code)
        at++;
    struct status_error entry = {.count = 0};
    if (at < relay->error_count)
        entry = relay->errors[at];
    else if (relay->error_count < STATUS_ERRORS_MAX)
        at = relay->error_count++;
    else
        at = STATUS_ERRORS_MAX - 1;
    bool repeat = entry.count > 0 && now_us >= entry.time_us &&
                  now_us - entry.time_us < LOG_REPEAT_US &&
                  strcmp(entry.err.message, err->message) == 0;
    entry.count++;
    if (!repeat)
        entry.time_us = now_us;
    entry.err = *err;
    memmove(relay->errors + 1, relay->errors, at * sizeof relay->errors[0]);
    relay->errors[0] = entry;
    if (!repeat)
        log_err(level, what, err);
}

uint32_t health_topic(struct relay *relay, uint32_t sink_topic)
{
    ASSERT(sink_topic < relay->topic_label_count);
    uint32_t *label = &relay->topic_labels[sink_topic];
    if (*label == 0)
        *label = 1 + metrics_topic(relay->metrics,
                                   relay->sink->ops->topic_name(relay->sink, sink_topic));
    return *label - 1;
}

static double oldest_age(const struct relay *relay)
{
    int64_t oldest = relay->ledger == NULL ? 0 : ledger_oldest_commit_us(relay->ledger);
    int64_t age = oldest == 0 ? 0 : clock_wall_us() - oldest;
    return age > 0 ? (double)age / 1e6 : 0;
}

/* The server remembers the confirmations of earlier sessions and processes. */
static struct lsn confirmed_lsn(const struct relay *relay)
{
    return lsn_max(source_confirmed(relay->source),
                   lsn_max(source_facts(relay->source)->slot.confirmed_flush,
                           monitor_facts(relay->monitor)->slot.confirmed_flush));
}

static uint64_t lag_bytes(const struct relay *relay)
{
    struct lsn end = lsn_max(monitor_facts(relay->monitor)->current,
                             lsn_max(source_wal_end(relay->source), relay->received));
    struct lsn confirmed = confirmed_lsn(relay);
    return lsn_is_none(confirmed) ? 0 : lsn_distance(confirmed, end);
}

void health_refresh(void *context)
{
    struct relay *relay = context;
    struct metrics *metrics = relay->metrics;
    const struct monitor_facts *facts = monitor_facts(relay->monitor);
    struct sink_state sink;
    relay->sink->ops->state(relay->sink, &sink);
    for (size_t i = 0; i < ARRAY_LEN(state_names); i++)
        metrics_set_label(metrics, METRIC_STATE, state_names[i], i == (size_t)relay->state);
    for (enum wal_status status = WAL_RESERVED; status <= WAL_LOST; status++)
        metrics_set_label(metrics, METRIC_SLOT_WAL_STATUS, wal_status_name(status),
                          facts->known && facts->slot.wal_status == status);
    metrics_set(metrics, METRIC_SOURCE_CONNECTED,
                source_state(relay->source) == SOURCE_STATE_STREAMING);
    metrics_set(metrics, METRIC_SINK_CONNECTED, sink.connected);
    metrics_set(metrics, METRIC_IN_FLIGHT_EVENTS,
                relay->ledger == NULL ? 0 : ledger_records(relay->ledger));
    metrics_set(metrics, METRIC_IN_FLIGHT_BYTES,
                relay->ledger == NULL ? 0 : (double)ledger_bytes(relay->ledger));
    metrics_set(metrics, METRIC_OLDEST_AGE, oldest_age(relay));
    metrics_set(metrics, METRIC_CONFIRMED_LSN, (double)confirmed_lsn(relay).value);
    metrics_set(metrics, METRIC_REPLICATION_LAG, (double)lag_bytes(relay));
    metrics_set(metrics, METRIC_SLOT_RETAINED, (double)facts->retained_bytes);
    metrics_set(metrics, METRIC_SLOT_SAFE,
                facts->slot.has_safe_wal_size ? (double)facts->slot.safe_wal_size : -1);
    metrics_set(metrics, METRIC_LAST_EVENT, (double)relay->received_commit_us / 1e6);
    if (relay->ledger != NULL)
        metrics_set(metrics, METRIC_TRANSACTIONS, (double)ledger_finished(relay->ledger));
    metrics_set(metrics, METRIC_LOG_DROPPED, (double)log_dropped());
}

static void add_check(struct status *status, const char *name, bool ok, const char *detail)
{
    ASSERT(status->check_count < STATUS_CHECKS_MAX);
    struct status_check *check = &status->checks[status->check_count++];
    check->name = name;
    check->ok = ok;
    utf8_copy(check->detail, sizeof check->detail, ok ? "" : detail);
}

static void fill_checks(const struct relay *relay, const struct sink_state *sink,
                        struct status *status)
{
    bool streaming = source_state(relay->source) == SOURCE_STATE_STREAMING;
    add_check(status, "source", streaming,
              err_is_set(&relay->waiting) ? relay->waiting.message
              : err_is_set(&relay->source_trouble)
                  ? relay->source_trouble.message
                  : source_state_name(source_state(relay->source)));
    add_check(status, "sink", sink->connected && !err_is_set(&relay->blocked),
              err_is_set(&relay->blocked) ? relay->blocked.message : sink->detail);
    add_check(status, "checkpoint", !relay->save_failed, "the checkpoint cannot be saved");
    add_check(status, "progress", !stalled(relay), "nothing was acknowledged for 30 s");
    add_check(status, "running", !relay->draining && !relay->stop, "the relay is stopping");
    status->ready = true;
    for (size_t i = 0; i < status->check_count; i++)
        status->ready = status->ready && status->checks[i].ok;
}

static void fill_positions(const struct relay *relay, struct status *status)
{
    const struct monitor_facts *facts = monitor_facts(relay->monitor);
    /* After a claim the position may be ahead of a ledger that has not begun anew yet. */
    status->published = relay->durable;
    if (relay->ledger != NULL)
        status->published = lsn_max(relay->durable, ledger_published(relay->ledger));
    status->received = lsn_max(relay->received, status->published);
    status->durable = relay->durable;
    status->confirmed = confirmed_lsn(relay);
    status->lag_bytes = lag_bytes(relay);
    status->lag_seconds = oldest_age(relay);
    status->slot_known = facts->known && facts->slot.exists;
    status->retained_bytes = facts->retained_bytes;
    status->has_safe_bytes = facts->slot.has_safe_wal_size;
    status->safe_bytes = facts->slot.safe_wal_size;
    status->wal_status = wal_status_name(facts->slot.wal_status);
}

void health_fill(void *context, struct status *ret_status)
{
    struct relay *relay = context;
    const struct source_facts *facts = source_facts(relay->source);
    struct sink_state sink;
    relay->sink->ops->state(relay->sink, &sink);
    *ret_status = (struct status){
        .pipeline = relay->config->name,
        .version = WALFERRY_VERSION,
        .state = relay_state_name(relay->state),
        .slot = relay->config->source.slot,
        .publication = relay->config->source.publication,
        .server_version = facts->server_version,
        .system_id = facts->system_id,
        .timeline = facts->timeline,
        .events_received = (uint64_t)metrics_get(relay->metrics, METRIC_EVENTS_RECEIVED),
        .events_published = (uint64_t)metrics_get(relay->metrics, METRIC_EVENTS_PUBLISHED),
        .events_skipped = (uint64_t)metrics_get(relay->metrics, METRIC_EVENTS_SKIPPED),
        .dead_letters = (uint64_t)metrics_get(relay->metrics, METRIC_DEAD_LETTERS),
        .sink = relay->sink->ops->name,
        .sink_connected = sink.connected,
        .sink_library = sink.library,
        .in_flight_events = relay->ledger == NULL ? 0 : ledger_records(relay->ledger),
        .in_flight_bytes = relay->ledger == NULL ? 0 : ledger_bytes(relay->ledger),
        .started_at_us = relay->started_at_us,
        .error_count = relay->error_count,
    };
    utf8_copy(ret_status->reason, sizeof ret_status->reason, relay->reason);
    utf8_copy(ret_status->sink_detail, sizeof ret_status->sink_detail, sink.detail);
    memcpy(ret_status->errors, relay->errors, sizeof relay->errors);
    fill_positions(relay, ret_status);
    fill_checks(relay, &sink, ret_status);
}
