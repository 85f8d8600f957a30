/* SPDX-License-Identifier: Apache-2.0 */
/* What a good configuration becomes: defaults, every key, --set, comparison. */
#include "bad.h"

#include <stdio.h>
#include <unistd.h>

#include "../scratch.h"
#include "walferry/base/buf.h"

START_TEST(defaults_are_those_of_the_contract)
{
    ck_assert_int_eq(unsetenv("STATE_DIRECTORY"), 0);
    struct config *config = good_load(GOOD, NULL, 0);
    ck_assert_str_eq(config->path, "w.yaml");
    ck_assert_str_eq(config->name, "orders");
    ck_assert_str_eq(config->source.conninfo, "");
    ck_assert_ptr_null(config->source.password_file);
    ck_assert_str_eq(config->source.pipeline, "orders");
    ck_assert_str_eq(config->source.slot, "walferry_orders");
    ck_assert_str_eq(config->source.publication, "walferry_orders");
    ck_assert(config->source.failover);
    ck_assert(config->source.standby_wait);
    ck_assert(!config->source.temporary);
    ck_assert_uint_eq(config->source.status_interval_ms, 10000);
    ck_assert_uint_eq(config->source.heartbeat_interval_ms, 30000);
    ck_assert_uint_eq(config->capture_count, 1);
    ck_assert_int_eq(config->captures[0].kind, CAPTURE_OUTBOX);
    ck_assert_str_eq(config->captures[0].name, "outbox.event");
    ck_assert_int_eq(config->captures[0].preset, PRESET_WALFERRY);
    ck_assert_int_eq(config->captures[0].payload, PAYLOAD_AUTO);
    ck_assert_ptr_null(config->captures[0].columns[EVENT_id]);
    ck_assert_str_eq(config->route.topic, "outbox.event.${aggregate_type}");
    ck_assert_uint_eq(config->route.rule_count, 0);
    ck_assert_uint_eq(config->route.reserved_count, 2);
    ck_assert_str_eq(config->route.reserved[0], "walferry.checkpoints");
    ck_assert_str_eq(config->route.reserved[1], "orders.dead-letter");
    ck_assert_int_eq(config->envelope.format, ENVELOPE_CLOUDEVENTS);
    ck_assert_int_eq(config->envelope.mode, ENVELOPE_STRUCTURED);
    ck_assert_str_eq(config->envelope.source, "/orders");
    config_free(config);
}
END_TEST

START_TEST(defaults_of_delivery_and_sink)
{
    ck_assert_int_eq(unsetenv("STATE_DIRECTORY"), 0);
    struct config *config = good_load(GOOD, NULL, 0);
    ck_assert_int_eq(config->delivery.guarantee, AT_LEAST_ONCE);
    ck_assert_uint_eq(config->delivery.commit_interval_ms, 100);
    ck_assert_uint_eq(config->delivery.max_in_flight_events, 100000);
    ck_assert_uint_eq(config->delivery.max_in_flight_bytes, 32U * 1024 * 1024);
    ck_assert_int_eq(config->delivery.poison, POISON_DEAD_LETTER);
    ck_assert_str_eq(config->delivery.dead_letter_topic, "orders.dead-letter");
    ck_assert_uint_eq(config->delivery.drain_timeout_ms, 30000);
    ck_assert_int_eq(config->sink.kind, SINK_KAFKA);
    ck_assert_str_eq(config->sink.pipeline, "orders");
    ck_assert_uint_eq(config->sink.property_count, 1);
    ck_assert_str_eq(config->sink.properties[0].name, "bootstrap.servers");
    ck_assert_str_eq(config->sink.properties[0].value, "b:9092");
    ck_assert(!config->sink.properties[0].secret);
    ck_assert(config->sink.topics_create);
    ck_assert_int_eq(config->sink.topics_partitions, -1);
    ck_assert_int_eq(config->sink.topics_replication, -1);
    ck_assert_uint_eq(config->sink.topics_max, 1000);
    ck_assert_uint_eq(config->sink.topics_wait_ms, 30000);
    ck_assert_str_eq(config->sink.dead_letter_topic, "orders.dead-letter");
    ck_assert_uint_eq(config->sink.max_records, 100000);
    ck_assert_uint_eq(config->sink.max_bytes, 32U * 1024 * 1024);
    ck_assert_int_eq(config->store, STORE_FILE);
    ck_assert_str_eq(config->checkpoint_topic, "walferry.checkpoints");
    ck_assert_str_eq(config->checkpoint.directory, "./walferry-state");
    ck_assert_str_eq(config->checkpoint.pipeline, "orders");
    ck_assert_uint_eq(config->checkpoint_interval_ms, 1000);
    ck_assert(config->http_enabled);
    ck_assert_str_eq(config->http.listen, "127.0.0.1:9188");
    ck_assert_int_eq(config->log_format, LOG_AUTO);
    ck_assert_int_eq(config->log_level, LOG_INFO);
    config_free(config);
}
END_TEST

static const char every_key[] =
    "version: 1\nname: shop\n"
    "source: {conninfo: host=h user=u, slot: s, publication: P, failover: false,\n"
    "  status_interval: 1.5s, standby: fail, heartbeat_interval: 0}\n"
    "capture:\n"
    "  - {outbox: a.b.c, preset: debezium, payload: binary,\n"
    "     columns: {aggregate_id: order_no, visibility: ''}}\n"
    "  - messages: m\n"
    "route:\n"
    "  topic: t.${aggregate_type}\n"
    "  rules:\n"
    "    - {when: {visibility: private, event_type: 'a*'}, topic: 'p.${aggregate_type}'}\n"
    "    - {when: {event_type: 'debug.*'}, drop: true}\n"
    "    - topic: rest\n"
    "envelope: {format: cloudevents, mode: binary, source: //s}\n"
    "delivery: {guarantee: at_least_once, commit_interval: 5s, max_in_flight_events: 1,\n"
    "  max_in_flight_bytes: 1KB, poison: halt, dead_letter_topic: d, drain_timeout: 0}\n"
    "sink:\n"
    "  kafka: {bootstrap.servers: 'a:1,b:2', enable.idempotence: true, linger.ms: 7}\n"
    "  topics: {create: false, partitions: 6, replication_factor: 3, max: 9, wait: 1m}\n"
    "checkpoint: {store: file, topic: c, directory: /d, interval: 20ms}\n"
    "http: {listen: 'off'}\n"
    "log: {format: json, level: debug}\n";

START_TEST(every_key_of_source_capture_and_route_lands)
{
    struct config *config = good_load(every_key, NULL, 0);
    ck_assert_str_eq(config->source.conninfo, "host=h user=u");
    ck_assert_str_eq(config->source.slot, "s");
    ck_assert_str_eq(config->source.publication, "P");
    ck_assert(!config->source.failover);
    ck_assert(!config->source.standby_wait);
    ck_assert_uint_eq(config->source.status_interval_ms, 1500);
    ck_assert_uint_eq(config->source.heartbeat_interval_ms, 0);
    ck_assert_uint_eq(config->capture_count, 2);
    const struct capture_entry *entry = config->captures;
    ck_assert_str_eq(entry->name, "a.b.c");
    ck_assert_int_eq(entry->preset, PRESET_DEBEZIUM);
    ck_assert_int_eq(entry->payload, PAYLOAD_AS_BINARY);
    ck_assert_str_eq(entry->columns[EVENT_aggregate_id], "order_no");
    ck_assert_str_eq(entry->columns[EVENT_visibility], "");
    ck_assert_ptr_null(entry->columns[EVENT_topic]);
    ck_assert_int_eq(entry[1].kind, CAPTURE_MESSAGES);
    ck_assert_str_eq(entry[1].name, "m");
    ck_assert_uint_eq(config->route.rule_count, 3);
    const struct route_rule *rules = config->route.rules;
    ck_assert_uint_eq(rules[0].match_count, 2);
    ck_assert_int_eq(rules[0].matches[1].field, EVENT_event_type);
    ck_assert_str_eq(rules[0].matches[1].glob, "a*");
    ck_assert_str_eq(rules[0].topic, "p.${aggregate_type}");
    ck_assert(!rules[0].drop);
    ck_assert(rules[1].drop);
    ck_assert_ptr_null(rules[1].topic);
    ck_assert_uint_eq(rules[2].match_count, 0);
    ck_assert_str_eq(rules[2].topic, "rest");
    config_free(config);
}
END_TEST

START_TEST(every_key_of_the_rest_lands)
{
    struct config *config = good_load(every_key, NULL, 0);
    ck_assert_int_eq(config->envelope.mode, ENVELOPE_BINARY);
    ck_assert_str_eq(config->envelope.source, "//s");
    ck_assert_uint_eq(config->delivery.commit_interval_ms, 5000);
    ck_assert_uint_eq(config->delivery.max_in_flight_events, 1);
    ck_assert_uint_eq(config->delivery.max_in_flight_bytes, 1000);
    ck_assert_int_eq(config->delivery.poison, POISON_HALT);
    ck_assert_str_eq(config->delivery.dead_letter_topic, "d");
    ck_assert_uint_eq(config->delivery.drain_timeout_ms, 0);
    ck_assert_uint_eq(config->sink.property_count, 3);
    ck_assert_str_eq(config->sink.properties[1].value, "true");
    ck_assert_str_eq(config->sink.properties[2].value, "7");
    ck_assert(!config->sink.topics_create);
    ck_assert_int_eq(config->sink.topics_partitions, 6);
    ck_assert_int_eq(config->sink.topics_replication, 3);
    ck_assert_uint_eq(config->sink.topics_max, 9);
    ck_assert_uint_eq(config->sink.topics_wait_ms, 60000);
    ck_assert_str_eq(config->checkpoint_topic, "c");
    ck_assert_str_eq(config->checkpoint.directory, "/d");
    ck_assert_uint_eq(config->checkpoint_interval_ms, 20);
    ck_assert(!config->http_enabled);
    ck_assert_int_eq(config->log_format, LOG_JSON);
    ck_assert_int_eq(config->log_level, LOG_DEBUG);
    config_free(config);
}
END_TEST

START_TEST(the_other_sinks)
{
    struct config *config = good_load(HEAD CAPTURE "sink: {stdout: {}}\n", NULL, 0);
    ck_assert_int_eq(config->sink.kind, SINK_STDOUT);
    ck_assert(config->source.temporary);
    config_free(config);
    config = good_load(HEAD CAPTURE "sink: {stdout: }\n", NULL, 0);
    ck_assert_int_eq(config->sink.kind, SINK_STDOUT);
    config_free(config);
    config = good_load(HEAD CAPTURE "sink: {file: {path: /x/y}}\n", NULL, 0);
    ck_assert_int_eq(config->sink.kind, SINK_FILE);
    ck_assert_str_eq(config->sink.path, "/x/y");
    ck_assert(!config->source.temporary);
    config_free(config);
}
END_TEST

#define NAME_63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

START_TEST(what_just_fits_is_good)
{
    static const char *const texts[] = {
        HEAD SINK "capture:\n  - {outbox: a.b, preset: open_outbox}\n"
                  "route: {topic: 'all'}\n",
        HEAD SINK "capture:\n  - {outbox: a.b, preset: open_outbox, columns: {topic: goal}}\n",
        HEAD SINK "capture:\n  - {outbox: a.b, preset: open_outbox}\n"
                  "route: {rules: [{topic: 'all'}]}\n",
        HEAD SINK "capture:\n  - {outbox: a.b, preset: goharvest}\n",
        HEAD SINK "capture:\n  - messages: m\nroute: {topic: '${key}'}\n",
        GOOD "source: {publication: " NAME_63 ", slot: " NAME_63 "}\n",
        HEAD SINK "capture:\n  - outbox: " NAME_63 "." NAME_63 "\n",
        "version: 1\nname: abcdefghijklmnopqrstuvwxyz0123456789_bcd\n" CAPTURE SINK,
        GOOD "envelope: {source: '${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-x}}}}}}}}'}\n",
        "\xEF\xBB\xBF" GOOD,
        "%YAML 1.1\n---\n" GOOD "...\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        config_free(good_load(texts[i], NULL, 0));
    }
}
END_TEST

START_TEST(the_state_directory_of_the_unit_is_taken)
{
    ck_assert_int_eq(setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two", 1), 0);
    struct config *config = good_load(GOOD, NULL, 0);
    ck_assert_str_eq(config->checkpoint.directory, "/var/lib/one");
    config_free(config);
    config = good_load(GOOD "checkpoint: {directory: /own}\n", NULL, 0);
    ck_assert_str_eq(config->checkpoint.directory, "/own");
    config_free(config);
    ck_assert_int_eq(unsetenv("STATE_DIRECTORY"), 0);
}
END_TEST

START_TEST(set_overrides_in_order)
{
    static const char *const sets[] = {
        "name=first",
        "name=second",
        "log.level=debug",
        "sink.kafka.security.protocol=plaintext",
        "sink.kafka.bootstrap.servers=c:1=2",
        "capture.0.payload=text",
        "capture.0.columns.aggregate_id=order.no",
        "capture.1.messages=m",
    };
    struct config *config =
        good_load(GOOD "route: {rules: [{when: {id: x}, drop: true}]}\n", sets, ARRAY_LEN(sets));
    ck_assert_str_eq(config->name, "second");
    ck_assert_str_eq(config->source.slot, "walferry_second");
    ck_assert_int_eq(config->log_level, LOG_DEBUG);
    ck_assert_uint_eq(config->sink.property_count, 2);
    ck_assert_str_eq(config->sink.properties[0].value, "c:1=2");
    ck_assert_str_eq(config->sink.properties[1].name, "security.protocol");
    ck_assert_int_eq(config->captures[0].payload, PAYLOAD_AS_TEXT);
    ck_assert_str_eq(config->captures[0].columns[EVENT_aggregate_id], "order.no");
    ck_assert_uint_eq(config->capture_count, 2);
    ck_assert_int_eq(config->captures[1].kind, CAPTURE_MESSAGES);
    ck_assert_uint_eq(config->route.rule_count, 1);
    config_free(config);
    static const char *const text_again[] = {"source.conninfo="};
    config = good_load(GOOD "source: {conninfo: host=h}\n", text_again, 1);
    ck_assert_str_eq(config->source.conninfo, "");
    config_free(config);
}
END_TEST

START_TEST(a_file_is_read)
{
    char path[SCRATCH_PATH_MAX];
    scratch_path(path, "w.yaml");
    scratch_write(path, GOOD, strlen(GOOD), 0600);
    struct config *config = NULL;
    struct config_problems problems;
    ck_assert(config_load(path, NULL, 0, &config, &problems));
    ck_assert_str_eq(config->path, path);
    config_free(config);
    config_free(NULL);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_said)
{
    static const char *const paths[] = {"/nonexistent/w.yaml", "/tmp"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct config *config = NULL;
        struct config_problems problems;
        ck_assert(!config_load(paths[i], NULL, 0, &config, &problems));
        ck_assert_uint_eq(problems.count, 1);
        ck_assert_int_eq(problems.items[0].code, ERR_CONFIG_FILE);
        ck_assert_str_eq(problems.items[0].where, paths[i]);
        ck_assert_ptr_nonnull(strstr(problems.items[0].hint, "WALFERRY_CONFIG"));
    }
}
END_TEST

static void note_difference(void *context, const char *path, bool hot)
{
    buf_printf(context, "%s%s ", hot ? "*" : "", path);
}

START_TEST(differences_are_named)
{
    struct config *one = good_load(GOOD, NULL, 0);
    struct config *same = good_load(GOOD, NULL, 0);
    struct config *other = good_load(every_key, NULL, 0);
    static const char *const sets[] = {"log.level=debug", "sink.kafka.linger.ms=3",
                                       "capture.0.columns.key=k"};
    struct config *near = good_load(GOOD, sets, 3);
    struct buf notes AUTO(buf_deinit);
    buf_init(&notes, 4096);
    config_compare(one, same, note_difference, &notes);
    ck_assert_uint_eq(notes.len, 0);
    config_compare(one, near, note_difference, &notes);
    ck_assert_bytes(buf_bytes(&notes), "capture sink.kafka *log.level ");
    buf_reset(&notes);
    config_compare(one, other, note_difference, &notes);
    ck_assert_ptr_nonnull(strstr(buf_cstr(&notes), "name "));
    ck_assert_ptr_nonnull(strstr(buf_cstr(&notes), "source.conninfo "));
    ck_assert_ptr_nonnull(strstr(buf_cstr(&notes), "route.rules "));
    ck_assert_ptr_nonnull(strstr(buf_cstr(&notes), "*checkpoint.interval "));
    ck_assert_ptr_nonnull(strstr(buf_cstr(&notes), "*delivery.drain_timeout "));
    config_free(one);
    config_free(same);
    config_free(other);
    config_free(near);
}
END_TEST

START_TEST(differences_of_rules_are_named)
{
    static const char *const rules[] = {
        "{when: {id: a}, drop: true}",         "{when: {id: b}, drop: true}",
        "{when: {key: a}, drop: true}",        "{when: {id: a}, topic: x}",
        "{when: {id: a, key: b}, drop: true}",
    };
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        char one[512];
        char other[512];
        snprintf(one, sizeof(one), GOOD "route: {rules: [%s]}\n", rules[0]);
        snprintf(other, sizeof(other), GOOD "route: {rules: [%s]}\n", rules[i]);
        struct config *running = good_load(one, NULL, 0);
        struct config *fresh = good_load(other, NULL, 0);
        struct buf notes AUTO(buf_deinit);
        buf_init(&notes, 256);
        config_compare(running, fresh, note_difference, &notes);
        ck_assert_str_eq(buf_cstr(&notes), i == 0 ? "" : "route.rules ");
        config_free(running);
        config_free(fresh);
    }
}
END_TEST

static Suite *suite_of_load(void)
{
    Suite *suite = suite_create("config_load");
    TCase *cases = tcase_create("load");
    tcase_add_test(cases, defaults_are_those_of_the_contract);
    tcase_add_test(cases, defaults_of_delivery_and_sink);
    tcase_add_test(cases, every_key_of_source_capture_and_route_lands);
    tcase_add_test(cases, every_key_of_the_rest_lands);
    tcase_add_test(cases, the_other_sinks);
    tcase_add_test(cases, what_just_fits_is_good);
    tcase_add_test(cases, the_state_directory_of_the_unit_is_taken);
    tcase_add_test(cases, set_overrides_in_order);
    tcase_add_test(cases, a_file_is_read);
    tcase_add_test(cases, a_file_that_cannot_be_read_is_said);
    tcase_add_test(cases, differences_are_named);
    tcase_add_test(cases, differences_of_rules_are_named);
    suite_add_tcase(suite, cases);
    return suite;
}

TEST_MAIN_SCRATCH(suite_of_load())
