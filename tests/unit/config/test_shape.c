/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with the shape of a file: YAML, unknown and missing keys, types. */
#include "bad.h"

#include <stdio.h>

static const struct bad_case yaml_cases[] = {
    {"", ERR_CONFIG_SYNTAX, ":1:1", "is empty", "version, name, capture and sink", NULL},
    {"# nothing\n", ERR_CONFIG_SYNTAX, ":1:1", "is empty", "walferry.yaml(5)", NULL},
    {"~\n", ERR_CONFIG_SYNTAX, ":1:1", "is empty", "version", NULL},
    {"--- \n...\n", ERR_CONFIG_SYNTAX, ":1:1", "is empty", "version", NULL},
    {"- a\n- b\n", ERR_CONFIG_TYPE, ":1:1", "not a list", "version: 1", NULL},
    {"hello\n", ERR_CONFIG_TYPE, ":1:1", "not a single value", "version: 1", NULL},
    {GOOD "log: {level: info\n", ERR_CONFIG_SYNTAX, ":9:1", "not valid YAML", "brackets", NULL},
    {GOOD "log:\n\tlevel: info\n", ERR_CONFIG_SYNTAX, ":9:1", "not valid YAML", "not with tabs",
     NULL},
    {GOOD "log:\n   level: info\n  format: text\n", ERR_CONFIG_SYNTAX, ":10:3", "not valid YAML",
     "indentation", NULL},
    {GOOD "log: a: b\n", ERR_CONFIG_SYNTAX, ":8:7", "not valid YAML", "quote", NULL},
    {GOOD "log: \"open\n", ERR_CONFIG_SYNTAX, ":9:1", "not valid YAML", "quotes", NULL},
    {GOOD "---\nversion: 1\n", ERR_CONFIG_SYNTAX, ":8:1", "second document", "remove the ---",
     NULL},
    {GOOD "log: &anchor {level: info}\n", ERR_CONFIG_SYNTAX, ":8:6", "&anchor", "${VARIABLE}",
     NULL},
    {GOOD "log: {level: &l info}\n", ERR_CONFIG_SYNTAX, ":8:14", "&l", "write the value out", NULL},
    {GOOD "log: {level: *l}\n", ERR_CONFIG_SYNTAX, ":8:14", "&l", "write the value out", NULL},
    {GOOD "log: !!map {level: info}\n", ERR_CONFIG_SYNTAX, ":8:6", "tags", "leave the tag out",
     NULL},
    {GOOD "log: {level: !x info}\n", ERR_CONFIG_SYNTAX, ":8:14", "tags are not accepted (!x)",
     "quote", NULL},
    {GOOD "? [a, b]\n: c\n", ERR_CONFIG_SYNTAX, ":8:3", "cannot be a key", "quote", NULL},
    {GOOD "http: {listen: \"a\\0b\"}\n", ERR_CONFIG_SYNTAX, ":8:16", "NUL", "remove", NULL},
    {GOOD "name: again\n", ERR_CONFIG_DUPLICATE, ":8:1", "first at line 2, column 1", "remove one",
     NULL},
    {GOOD "log: {level: info, level: debug}\n", ERR_CONFIG_DUPLICATE, ":8:20",
     "first at line 8, column 7", "remove one", NULL},
    {HEAD CAPTURE "sink:\n  kafka:\n    bootstrap.servers: b\n    bootstrap.servers: c\n",
     ERR_CONFIG_DUPLICATE, ":8:5", "`bootstrap.servers` stands twice", "remove", NULL},
    {GOOD "log: \xFF\n", ERR_CONFIG_SYNTAX, ":8:6", "not readable as text", "UTF-8", NULL},
    {GOOD "log: \x01\n", ERR_CONFIG_SYNTAX, ":8:6", "not readable as text", "control characters",
     NULL},
};

static const struct bad_case key_cases[] = {
    {GOOD "kitchen: {}\n", ERR_CONFIG_UNKNOWN, ":8:1", "no key `kitchen` at the top",
     "the keys here are version, name, source", NULL},
    {GOOD "sorce: {}\n", ERR_CONFIG_UNKNOWN, ":8:1", "no key `sorce` at the top",
     "did you mean `source`?", NULL},
    {GOOD "source: {slto: a}\n", ERR_CONFIG_UNKNOWN, ":8:10", "no key `slto` under `source`",
     "did you mean `slot`?", NULL},
    {GOOD "slot: a\n", ERR_CONFIG_UNKNOWN, ":8:1", "no key `slot`", "`slot` belongs under `source`",
     NULL},
    {GOOD "source.slot: a\n", ERR_CONFIG_UNKNOWN, ":8:1", "no key `source.slot`",
     "write keys nested: `slot` belongs under `source`", NULL},
    {GOOD "http: {topic: a}\n", ERR_CONFIG_UNKNOWN, ":8:8", "under `http`",
     "`topic` belongs under `route` or under `route.rules[]` or under `checkpoint`", NULL},
    {GOOD "http: {version: 1}\n", ERR_CONFIG_UNKNOWN, ":8:8", "under `http`",
     "`version` belongs at the top", NULL},
    {HEAD CAPTURE "sink:\n  kafka: {bootstrap.servers: ''}\n", ERR_KAFKA_CONFIG, ":6:3",
     "bootstrap.servers", "host:9092", NULL},
    {GOOD "log: {colour: red}\n", ERR_CONFIG_UNKNOWN, ":8:7", "`colour`",
     "the keys here are format, level", NULL},
    {GOOD "log: {<<: {level: info}}\n", ERR_CONFIG_UNKNOWN, ":8:7", "`<<`", "the keys here", NULL},
    {HEAD SINK "capture:\n  - outbox: a.b\n    collumns: {id: x}\n", ERR_CONFIG_UNKNOWN, ":8:5",
     "under `capture[]`", "did you mean `columns`?", NULL},
    {HEAD CAPTURE "sink:\n  stdout: {pretty: true}\n", ERR_CONFIG_UNKNOWN, ":6:12",
     "under `sink.stdout`", "takes no keys", NULL},
    {HEAD CAPTURE "sink:\n  file: {path: a, sync: true}\n", ERR_CONFIG_UNKNOWN, ":6:19",
     "under `sink.file`", "the keys here are path", NULL},
    {GOOD "route:\n  rules:\n    - when: {id: a}\n      drp: true\n      drop: true\n",
     ERR_CONFIG_UNKNOWN, ":11:7", "under `route.rules[]`", "did you mean `drop`?", NULL},
    {"name: orders\n" CAPTURE SINK, ERR_CONFIG_MISSING, ":1:1", "`version` is missing",
     "version: 1", NULL},
    {"version: 1\n" CAPTURE SINK, ERR_CONFIG_MISSING, ":1:1", "`name` is missing", "name: orders",
     NULL},
    {HEAD SINK, ERR_CONFIG_MISSING, ":1:1", "`capture` is missing", "capture", NULL},
    {HEAD CAPTURE, ERR_CONFIG_MISSING, ":1:1", "`sink` is missing", "sink", NULL},
    {HEAD CAPTURE "sink:\n  file: {}\n", ERR_CONFIG_MISSING, ":6:3", "`sink.file.path` is missing",
     "path", NULL},
    {HEAD CAPTURE "sink: {}\n", ERR_CONFIG_MISSING, ":5:1", "no sink", "bootstrap.servers", NULL},
    {HEAD CAPTURE "sink:\n  topics: {max: 3}\n", ERR_CONFIG_MISSING, ":5:1", "no sink", "kafka",
     NULL},
    {HEAD CAPTURE "sink:\n  kafka: {acks: all}\n", ERR_CONFIG_MISSING, ":6:3",
     "`bootstrap.servers` is missing", "127.0.0.1:9092", NULL},
    {HEAD SINK "capture: []\n", ERR_CONFIG_MISSING, ":6:10", "nothing is captured",
     "outbox: outbox.event", NULL},
    {HEAD SINK "capture:\n  - payload: json\n", ERR_CONFIG_MISSING, ":7:5",
     "does not say what it captures", "messages: prefix", NULL},
    {GOOD "route: {rules: [{when: {id: x}}]}\n", ERR_CONFIG_MISSING, ":8:17", "rule does not say",
     "drop: true", NULL},
};

static const struct bad_case type_cases[] = {
    {GOOD "source:\n", ERR_CONFIG_TYPE, ":8:1", "`source` has no value", "indented: conninfo",
     NULL},
    {GOOD "source: text\n", ERR_CONFIG_TYPE, ":8:9", "`source` takes a mapping, not a single value",
     "conninfo", NULL},
    {GOOD "source: [a]\n", ERR_CONFIG_TYPE, ":8:9", "not a list", "conninfo", NULL},
    {GOOD "source: {slot: }\n", ERR_CONFIG_TYPE, ":8:16", "`slot` has no value",
     "leave the key out", NULL},
    {GOOD "source: {slot: null}\n", ERR_CONFIG_TYPE, ":8:16", "no value", "default", NULL},
    {GOOD "source: {slot: ~}\n", ERR_CONFIG_TYPE, ":8:16", "no value", "default", NULL},
    {GOOD "source: {slot: [a]}\n", ERR_CONFIG_TYPE, ":8:16", "single value, not a list", "VALUE",
     NULL},
    {GOOD "source: {slot: {a: b}}\n", ERR_CONFIG_TYPE, ":8:16", "single value, not a mapping",
     "quote", NULL},
    {HEAD SINK "capture:\n", ERR_CONFIG_TYPE, ":6:1", "`capture` has no value", "hyphen", NULL},
    {HEAD SINK "capture: {outbox: a.b}\n", ERR_CONFIG_TYPE, ":6:10", "takes a list, not a mapping",
     "hyphen", NULL},
    {HEAD SINK "capture: [outbox.event]\n", ERR_CONFIG_TYPE, ":6:11", "`capture[]` takes a mapping",
     "outbox", NULL},
    {GOOD "route: {rules: no}\n", ERR_CONFIG_TYPE, ":8:16", "takes a list", "hyphen", NULL},
    {GOOD "route: {rules: [{drop: true, when: all}]}\n", ERR_CONFIG_TYPE, ":8:36",
     "takes a mapping", "write", NULL},
    {HEAD CAPTURE "sink: {kafka: }\n", ERR_CONFIG_TYPE, ":5:8", "no value", "{}", NULL},
    {HEAD CAPTURE "sink: {kafka: {bootstrap.servers: [a, b]}}\n", ERR_CONFIG_TYPE, ":5:35",
     "`bootstrap.servers` takes a single value", "VALUE", NULL},
    {GOOD "source: {failover: yes}\n", ERR_CONFIG_TYPE, ":8:20", "true or false, not \"yes\"",
     "write true or false", NULL},
    {GOOD "source: {failover: 1}\n", ERR_CONFIG_TYPE, ":8:20", "`failover`", "true or false", NULL},
    {GOOD "source: {status_interval: 10}\n", ERR_CONFIG_TYPE, ":8:27", "takes a duration",
     "ms, s, m, h or d", NULL},
    {GOOD "source: {status_interval: 10 s}\n", ERR_CONFIG_TYPE, ":8:27", "\"10 s\"", "unit", NULL},
    {GOOD "source: {status_interval: -1s}\n", ERR_CONFIG_TYPE, ":8:27", "\"-1s\"", "unit", NULL},
    {GOOD "delivery: {max_in_flight_bytes: 32 MB}\n", ERR_CONFIG_TYPE, ":8:33", "takes a size",
     "KiB", NULL},
    {GOOD "delivery: {max_in_flight_bytes: 1.5MiB}\n", ERR_CONFIG_TYPE, ":8:33", "takes a size",
     "whole number", NULL},
    {GOOD "delivery: {max_in_flight_events: many}\n", ERR_CONFIG_TYPE, ":8:34",
     "takes a whole number", "digits", NULL},
    {GOOD "delivery: {max_in_flight_events: 1e5}\n", ERR_CONFIG_TYPE, ":8:34", "\"1e5\"", "digits",
     NULL},
    {GOOD "delivery: {max_in_flight_events: 99999999999999999999}\n", ERR_CONFIG_TYPE, ":8:34",
     "whole number", "digits", NULL},
};

START_TEST(yaml_is_refused_with_its_place)
{
    bad_case_check(&yaml_cases[_i]);
}
END_TEST

START_TEST(keys_are_known_and_complete)
{
    bad_case_check(&key_cases[_i]);
}
END_TEST

START_TEST(types_come_from_the_keys)
{
    bad_case_check(&type_cases[_i]);
}
END_TEST

START_TEST(nesting_past_the_limit_is_refused)
{
    char text[512] = GOOD "log: ";
    size_t len = strlen(text);
    memset(text + len, '[', 32);
    memset(text + len + 32, ']', 32);
    const struct bad_case bad = {
        text, ERR_CONFIG_SYNTAX, ":8:37", "nested deeper than 32 levels", "brackets", NULL};
    bad_case_check(&bad);
}
END_TEST

START_TEST(a_file_past_the_limit_is_refused)
{
    size_t size = 1024 * 1024 + 1;
    char *text = malloc(size + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, '#', size);
    text[size] = '\0';
    const struct bad_case bad = {text, ERR_CONFIG_SYNTAX, "", "larger than 1048576 bytes", "-c",
                                 NULL};
    bad_case_check(&bad);
    free(text);
}
END_TEST

START_TEST(a_file_with_too_many_values_is_refused)
{
    size_t size = 64 * 1024;
    char *text = malloc(size + 1);
    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < size; i++) {
        text[i] = i == 0 ? '[' : "a,"[(i - 1) % 2];
    }
    text[size] = '\0';
    const struct bad_case bad = {
        text, ERR_CONFIG_SYNTAX, ":1:20000", "more than 10000 values", "split", NULL};
    bad_case_check(&bad);
    free(text);
}
END_TEST

START_TEST(keys_beside_a_table_are_known)
{
    const char *text = HEAD SINK "capture:\n  - table: a.b\n    key: [id]\n    snapshotz: never\n";
    struct config *config = NULL;
    struct config_problems problems;
    ck_assert(!config_load_text("w.yaml", bytes_str(text), NULL, 0, &config, &problems));
    ck_assert_uint_eq(problems.count, 2);
    ck_assert_int_eq(problems.items[0].code, ERR_CONFIG_UNSUPPORTED);
    ck_assert_int_eq(problems.items[1].code, ERR_CONFIG_UNKNOWN);
    ck_assert_str_eq(problems.items[1].where, "w.yaml:9:5");
    ck_assert_str_eq(problems.items[1].hint, "did you mean `snapshot`?");
}
END_TEST

START_TEST(faults_of_set_come_last)
{
    static const char *const sets[] = {"log.level=loud", "log.format=xml"};
    struct config *config = NULL;
    struct config_problems problems;
    const char *text = GOOD "http: {listen: x}\n";
    ck_assert(!config_load_text("w.yaml", bytes_str(text), sets, 2, &config, &problems));
    ck_assert_uint_eq(problems.count, 3);
    ck_assert_str_eq(problems.items[0].where, "w.yaml:8:16");
    ck_assert_str_eq(problems.items[1].where, "--set log.level");
    ck_assert_str_eq(problems.items[2].where, "--set log.format");
}
END_TEST

START_TEST(all_faults_are_found_in_the_order_of_the_file)
{
    const char *text = "version: 2\n"
                       "name: Orders\n"
                       "sink: {kafka: {acks: all}}\n"
                       "capture: [{outbox: plain}, {messages: m, preset: walferry}]\n"
                       "log: {level: loud, level: info, colour: red}\n";
    static const char *const places[] = {"1:10", "2:7",  "3:8",  "4:20",
                                         "4:42", "5:14", "5:20", "5:33"};
    struct config *config = NULL;
    struct config_problems problems;
    ck_assert(!config_load_text("w.yaml", bytes_str(text), NULL, 0, &config, &problems));
    ck_assert_uint_eq(problems.count, ARRAY_LEN(places));
    ck_assert_uint_eq(problems.more, 0);
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        ck_assert_str_eq(problems.items[i].where + strlen("w.yaml:"), places[i]);
    }
}
END_TEST

START_TEST(faults_that_do_not_fit_are_counted)
{
    char text[1024] = GOOD;
    for (unsigned i = 0; i < CONFIG_PROBLEMS_MAX + 3; i++) {
        size_t len = strlen(text);
        snprintf(text + len, sizeof(text) - len, "zzzzzz%c: 1\n", 'a' + (int)i);
    }
    struct config *config = NULL;
    struct config_problems problems;
    ck_assert(!config_load_text("w.yaml", bytes_str(text), NULL, 0, &config, &problems));
    ck_assert_uint_eq(problems.count, CONFIG_PROBLEMS_MAX);
    ck_assert_uint_eq(problems.more, 3);
}
END_TEST

static Suite *suite_of_shape(void)
{
    Suite *suite = suite_create("config_shape");
    TCase *cases = tcase_create("shape");
    tcase_add_loop_test(cases, yaml_is_refused_with_its_place, 0, ARRAY_LEN(yaml_cases));
    tcase_add_loop_test(cases, keys_are_known_and_complete, 0, ARRAY_LEN(key_cases));
    tcase_add_loop_test(cases, types_come_from_the_keys, 0, ARRAY_LEN(type_cases));
    tcase_add_test(cases, nesting_past_the_limit_is_refused);
    tcase_add_test(cases, a_file_past_the_limit_is_refused);
    tcase_add_test(cases, a_file_with_too_many_values_is_refused);
    tcase_add_test(cases, keys_beside_a_table_are_known);
    tcase_add_test(cases, faults_of_set_come_last);
    tcase_add_test(cases, all_faults_are_found_in_the_order_of_the_file);
    tcase_add_test(cases, faults_that_do_not_fit_are_counted);
    suite_add_tcase(suite, cases);
    return suite;
}

TEST_MAIN(suite_of_shape())
