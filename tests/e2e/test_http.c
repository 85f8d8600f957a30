/* SPDX-License-Identifier: Apache-2.0 */
/* What dashboards, supervisors and scripts rely on: the names of /metrics and /status, and health.
 */
#include <stdio.h>
#include <string.h>

#include "harness.h"

/* Every name that the README's table of metrics promises, and those of a process. */
static const char *const promised[] = {
    "walferry_build_info{",
    "walferry_state{state=\"streaming\"} 1",
    "walferry_state{state=\"blocked\"} 0",
    "walferry_source_connected 1",
    "walferry_sink_connected 1",
    "walferry_events_received_total 1",
    "walferry_events_skipped_total{reason=\"not_transactional\"} 0",
    "walferry_bytes_published_total ",
    "walferry_dead_letters_total{reason=\"row_topic\"} 0",
    "walferry_publish_errors_total{error=\"kafka_delivery\"} 0",
    "walferry_transactions_total 1",
    "walferry_kafka_transactions_total{outcome=\"committed\"} 0",
    "walferry_in_flight_events 0",
    "walferry_in_flight_bytes 0",
    "walferry_commit_to_ack_seconds_count 1",
    "walferry_oldest_unacknowledged_age_seconds 0",
    "walferry_confirmed_flush_lsn_bytes ",
    "walferry_replication_lag_bytes ",
    "walferry_slot_retained_wal_bytes ",
    "walferry_slot_safe_wal_bytes ",
    "walferry_slot_wal_status{status=\"reserved\"} ",
    "walferry_last_event_timestamp_seconds ",
    "walferry_reconnects_total{side=\"source\"} 0",
    "walferry_reconnects_total{side=\"sink\"} 0",
    "walferry_checkpoint_writes_total ",
    "process_resident_memory_bytes ",
    "process_cpu_seconds_total ",
    "process_open_fds ",
    "process_start_time_seconds ",
};

static char *get(const struct relay *relay, const char *path)
{
    char *body = NULL;
    ck_assert_int_eq(relay_http(relay, path, &body), 200);
    return body;
}

/* One event, published and confirmed. */
static struct relay *relay_with_one_event(struct world *world)
{
    struct relay *relay = relay_new(world, RELAY_CONFIG);
    relay_begin(relay);
    sql(world, "SELECT outbox.publish('order', '1', 'order.placed', '{}')");
    relay_wait_counter(relay, "published", 1);
    return relay;
}

START_TEST(metrics_have_every_promised_name)
{
    struct world *world = world_new("metrics");
    struct relay *relay = relay_with_one_event(world);
    wait_until(relay_metric(relay, "walferry_in_flight_events") == 0 &&
                   relay_metric(relay, "walferry_transactions_total") == 1,
               "the event stays in flight");
    const char *body = get(relay, "/metrics");
    for (size_t i = 0; i < sizeof promised / sizeof promised[0]; i++)
        REQUIRE(strstr(body, text("\n%s", promised[i])) != NULL, "no line begins with %s in:\n%s",
                promised[i], body);
    const char *topic =
        text("\nwalferry_events_published_total{topic=\"%s\"} 1\n", world_topic(world, "order"));
    REQUIRE(strstr(body, topic) != NULL, "not there: %s", topic);
    relay_stop(relay);
    relay_free(relay);
    world_free(world);
}
END_TEST

START_TEST(metrics_pass_the_linter_of_prometheus)
{
    struct world *world = world_new("promtool");
    struct relay *relay = relay_with_one_event(world);
    const char *input = text("%s/metrics.txt", world->dir);
    const char *output = text("%s/promtool.txt", world->dir);
    const char *const argv[] = {"promtool", "check", "metrics", NULL};
    const struct spawn spawn = {
        .argv = argv, .input_path = input, .out_path = output, .err_path = output};
    write_file(input, get(relay, "/metrics"));
    REQUIRE(process_run(&spawn, DEADLINE_MS) == 0, "promtool: %s", read_file(output));
    relay_stop(relay);
    relay_free(relay);
    world_free(world);
}
END_TEST

static json_t *member(json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    REQUIRE(value != NULL, "no %s in %s", name, json_dumps(object, 0));
    return value;
}

static void has_members(json_t *object, const char *const *names)
{
    for (; *names != NULL; names++)
        member(object, *names);
}

START_TEST(status_has_every_promised_member)
{
    static const char *const top[] = {"pipeline", "version", "reason", "sink", NULL};
    static const char *const source[] = {
        "slot", "publication", "server_version", "system_identifier", "timeline", NULL};
    static const char *const slot[] = {"retained_bytes", "safe_bytes", "wal_status", NULL};
    static const char *const positions[] = {"received", "published", "durable", "confirmed", NULL};
    static const char *const counters[] = {"received", "published", "skipped", "dead_letters",
                                           NULL};
    struct world *world = world_new("status");
    struct relay *relay = relay_with_one_event(world);
    json_t *status = relay_status(relay);
    has_members(status, top);
    ck_assert_int_eq(json_integer_value(member(status, "status_version")), 1);
    ck_assert_str_eq(json_string_value(member(status, "state")), "streaming");
    ck_assert(json_is_true(member(status, "ready")));
    ck_assert(json_is_array(member(status, "errors")));
    ck_assert(json_is_integer(member(member(status, "lag"), "bytes")));
    ck_assert(json_is_number(member(member(status, "lag"), "seconds")));
    has_members(member(status, "source"), source);
    has_members(member(status, "slot"), slot);
    has_members(member(status, "counters"), counters);
    has_members(member(status, "positions"), positions);
    for (const char *const *name = positions; *name != NULL; name++) {
        unsigned high = 0;
        unsigned low = 0;
        const char *lsn = json_string_value(member(member(status, "positions"), *name));
        ck_assert_int_eq(sscanf(lsn, "%X/%X", &high, &low), 2);
    }
    ck_assert_str_eq(json_string_value(member(member(status, "source"), "system_identifier")),
                     sql_value(world, "SELECT system_identifier FROM pg_control_system()"));
    relay_stop(relay);
    relay_free(relay);
    world_free(world);
}
END_TEST

START_TEST(health_tells_alive_from_ready)
{
    struct kafka_server *kafka = kafka_start(NULL);
    struct world *world = world_new_on("health", shared_pg(), kafka);
    struct relay *relay = relay_with_one_event(world);
    ck_assert_str_eq(get(relay, "/livez"), get(relay, "/healthz"));
    REQUIRE(strstr(get(relay, "/readyz?verbose"), "[+]sink ok") != NULL, "no check of the sink");
    REQUIRE(strstr(get(relay, "/"), "<html") != NULL, "no page for people");
    kafka_kill(kafka);
    sql(world, "SELECT outbox.publish('order', '1', 'order.paid', '{}')");
    char *body = NULL;
    wait_until(relay_http(relay, "/readyz?verbose", &body) == 503, "ready without a broker");
    REQUIRE(strstr(body, "[-]sink") != NULL, "the sink is not named:\n%s", body);
    ck_assert_int_eq(relay_http(relay, "/livez", NULL), 200);
    ck_assert_int_eq(relay_http(relay, "/nothing", NULL), 404);
    kafka_resume(kafka);
    relay_wait_counter(relay, "published", 2);
    wait_until(relay_http(relay, "/readyz", NULL) == 200, "not ready with the broker back");
    relay_stop(relay);
    relay_free(relay);
    world_free(world);
    kafka_free(kafka);
}
END_TEST

static void add(TCase *tests)
{
    tcase_add_test(tests, metrics_have_every_promised_name);
    tcase_add_test(tests, metrics_pass_the_linter_of_prometheus);
    tcase_add_test(tests, status_has_every_promised_member);
    tcase_add_test(tests, health_tells_alive_from_ready);
}

static const struct e2e_suite suite = {"http", NEEDS_PG | NEEDS_KAFKA, add};

E2E_MAIN(&suite)
