/* SPDX-License-Identifier: Apache-2.0 */
/* Values out of bounds, and keys that contradict one another. */
#include "bad.h"

/* An entry of the list on line 7. */
#define ENTRY(text) HEAD SINK "capture:\n  - " text "\n"
#define KAFKA(text) HEAD CAPTURE "sink: {kafka: {bootstrap.servers: b, " text "}}\n"
#define L50         "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwx"
#define L64         "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl"

static const struct bad_case value_cases[] = {
    {"version: 2\nname: orders\n" CAPTURE SINK, ERR_CONFIG_VALUE, ":1:10",
     "version 2 of the configuration format", "version: 1", NULL},
    {"version: one\nname: orders\n" CAPTURE SINK, ERR_CONFIG_TYPE, ":1:10", "the number 1",
     "write version: 1", NULL},
    {"version: 1\nname: Orders\n" CAPTURE SINK, ERR_CONFIG_VALUE, ":2:7", "`name` takes",
     "orders_eu", NULL},
    {"version: 1\nname: 9lives\n" CAPTURE SINK, ERR_CONFIG_VALUE, ":2:7", "lower-case letter",
     "orders_eu", NULL},
    {"version: 1\nname: my-orders\n" CAPTURE SINK, ERR_CONFIG_VALUE, ":2:7", "\"my-orders\"",
     "- as _", NULL},
    {"version: 1\nname: " L50 "\n" CAPTURE SINK, ERR_CONFIG_VALUE, ":2:7", "up to 39", "small",
     NULL},
    {"version: 1\nname: \"\"\n" CAPTURE SINK, ERR_CONFIG_VALUE, ":2:7", "not \"\"", "orders_eu",
     NULL},
    {GOOD "source: {slot: Walferry}\n", ERR_CONFIG_VALUE, ":8:16", "1 to 63 lower-case", "small",
     NULL},
    {GOOD "source: {slot: " L64 "}\n", ERR_CONFIG_VALUE, ":8:16", "1 to 63", "small", NULL},
    {GOOD "source: {publication: " L64 "}\n", ERR_CONFIG_VALUE, ":8:23", "1 to 63 bytes", "default",
     NULL},
    {GOOD "source: {publication: ''}\n", ERR_CONFIG_VALUE, ":8:23", "1 to 63 bytes", "default",
     NULL},
    {GOOD "source: {conninfo: \"host\"}\n", ERR_PG_CONNINFO, ":8:20", "`conninfo`", "", NULL},
    {GOOD "source: {standby: waiting}\n", ERR_CONFIG_VALUE, ":8:19",
     "one of wait, fail, not \"waiting\"", "the default is wait", NULL},
    {GOOD "source: {standby: wiat}\n", ERR_CONFIG_VALUE, ":8:19", "\"wiat\"",
     "did you mean `wait`?", NULL},
    {GOOD "source: {status_interval: 50ms}\n", ERR_CONFIG_VALUE, ":8:27",
     "takes 100ms to 1h, not \"50ms\"", "the default is 10s", NULL},
    {GOOD "source: {status_interval: 2h}\n", ERR_CONFIG_VALUE, ":8:27", "100ms to 1h", "10s", NULL},
    {GOOD "delivery: {max_in_flight_events: 0}\n", ERR_CONFIG_VALUE, ":8:34", "takes 1 to 10000000",
     "100000", NULL},
    {GOOD "delivery: {max_in_flight_events: -5}\n", ERR_CONFIG_VALUE, ":8:34", "not \"-5\"",
     "100000", NULL},
    {GOOD "delivery: {max_in_flight_bytes: 0}\n", ERR_CONFIG_VALUE, ":8:33", "takes 1B to 64GiB",
     "32MiB", NULL},
    {GOOD "delivery: {commit_interval: 0}\n", ERR_CONFIG_VALUE, ":8:29", "1ms to 10m", "100ms",
     NULL},
    {GOOD "delivery: {poison: ignore}\n", ERR_CONFIG_VALUE, ":8:20", "dead_letter, halt, skip",
     "default is dead_letter", NULL},
    {GOOD "delivery: {dead_letter_topic: a/b}\n", ERR_CONFIG_VALUE, ":8:31", "1 to 249", "letters",
     NULL},
    {GOOD "delivery: {dead_letter_topic: __dead}\n", ERR_CONFIG_VALUE, ":8:31", "\"__dead\"",
     "Kafka's own", NULL},
    {GOOD "checkpoint: {topic: ..}\n", ERR_CONFIG_VALUE, ":8:21", "1 to 249", "letters", NULL},
    {GOOD "checkpoint: {directory: ''}\n", ERR_CONFIG_VALUE, ":8:25", "takes a path", "default",
     NULL},
    {GOOD "checkpoint: {interval: 0}\n", ERR_CONFIG_VALUE, ":8:24", "1ms to 10m", "1s", NULL},
    {GOOD "envelope: {format: xml}\n", ERR_CONFIG_VALUE, ":8:20", "cloudevents, debezium, raw",
     "cloudevents", NULL},
    {GOOD "envelope: {source: ''}\n", ERR_CONFIG_VALUE, ":8:20", "not empty", "default", NULL},
    {GOOD "http: {listen: nowhere}\n", ERR_CONFIG_VALUE, ":8:16", "`listen`", "", NULL},
    {GOOD "log: {level: loud}\n", ERR_CONFIG_VALUE, ":8:14", "error, warn, info, debug", "info",
     NULL},
    {GOOD "log: {level: debg}\n", ERR_CONFIG_VALUE, ":8:14", "\"debg\"", "did you mean `debug`?",
     NULL},
    {GOOD "route: {topic: 'a.${agregate_type}'}\n", ERR_TEMPLATE, ":8:16", "agregate_type",
     "aggregate_type", NULL},
    {GOOD "route: {topic: 'a.${payload}'}\n", ERR_TEMPLATE, ":8:16", "payload", "", NULL},
    {GOOD "route: {topic: ''}\n", ERR_TEMPLATE, ":8:16", "empty", "aggregate_type", NULL},
    {GOOD "route: {topic: 'a b'}\n", ERR_TEMPLATE, ":8:16", "cannot give a topic", "A-Z", NULL},
    {GOOD "route: {topic: 'a.$$b'}\n", ERR_TEMPLATE, ":8:16", "cannot give a topic", "A-Z", NULL},
    {GOOD "route: {topic: '__x'}\n", ERR_TEMPLATE, ":8:16", "cannot give a topic", "__", NULL},
    {GOOD "route: {rules: [{when: {visibilty: x}, drop: true}]}\n", ERR_CONFIG_UNKNOWN, ":8:25",
     "no text field `visibilty`", "did you mean `visibility`?", NULL},
    {GOOD "route: {rules: [{when: {payload: x}, drop: true}]}\n", ERR_CONFIG_UNKNOWN, ":8:25",
     "no text field `payload`", "the fields are", NULL},
    {GOOD "route: {rules: [{when: {id: 'x\\'}, drop: true}]}\n", ERR_CONFIG_VALUE, ":8:29",
     "ends in a backslash", "\\\\", NULL},
    {GOOD "sink: {topics: {max: 0}}\n", ERR_CONFIG_DUPLICATE, ":8:1", "`sink` stands twice",
     "remove", NULL},
    {HEAD CAPTURE "sink: {kafka: {bootstrap.servers: b}, topics: {max: 0}}\n", ERR_CONFIG_VALUE,
     ":5:53", "takes 1 to 100000", "1000", NULL},
    {HEAD CAPTURE "sink: {kafka: {bootstrap.servers: b}, topics: {partitions: 0}}\n",
     ERR_CONFIG_VALUE, ":5:60", "0 of `partitions`", "-1", NULL},
    {HEAD CAPTURE "sink: {kafka: {bootstrap.servers: b}, topics: {replication_factor: 0}}\n",
     ERR_CONFIG_VALUE, ":5:68", "0 of `replication_factor`", "-1", NULL},
    {HEAD CAPTURE "sink: {kafka: {bootstrap.servers: b}, topics: {partitions: -2}}\n",
     ERR_CONFIG_VALUE, ":5:60", "takes -1 to", "-1", NULL},
    {KAFKA("acks: 1"), ERR_KAFKA_CONFIG, ":5:44", "acks", "acks", NULL},
    {HEAD CAPTURE "sink: {file: {path: ''}}\n", ERR_CONFIG_VALUE, ":5:21", "takes a path", "value",
     NULL},
    {ENTRY("outbox: event"), ERR_CONFIG_VALUE, ":7:13", "schema.table, not \"event\"",
     "outbox.event", NULL},
    {ENTRY("outbox: .event"), ERR_CONFIG_VALUE, ":7:13", "schema.table", "public.outbox", NULL},
    {ENTRY("outbox: outbox."), ERR_CONFIG_VALUE, ":7:13", "schema.table", "public.outbox", NULL},
    {ENTRY("outbox: a." L64), ERR_CONFIG_VALUE, ":7:13", "schema.table", "public.outbox", NULL},
    {ENTRY("messages: ''"), ERR_CONFIG_VALUE, ":7:15", "prefix", "walferry.", NULL},
    {ENTRY("messages: walferry.signal"), ERR_CONFIG_VALUE, ":7:15", "prefix", "take another", NULL},
    {ENTRY("outbox: a.b\n    preset: debesium"), ERR_CONFIG_VALUE, ":8:13",
     "pg_transactional_outbox", "did you mean `debezium`?", NULL},
    {ENTRY("outbox: a.b\n    columns: {aggregat_id: x}"), ERR_CONFIG_UNKNOWN, ":8:15",
     "no field `aggregat_id`", "did you mean `aggregate_id`?", NULL},
    {ENTRY("outbox: a.b\n    columns: {nothing_like: x}"), ERR_CONFIG_UNKNOWN, ":8:15",
     "no field `nothing_like`", "occurred_at", NULL},
    {ENTRY("outbox: a.b\n    columns: {id: ''}"), ERR_CONFIG_VALUE, ":8:19",
     "cannot be without `id`", "need a column", NULL},
    {ENTRY("outbox: a.b\n    columns: {topic: " L64 "}"), ERR_CONFIG_VALUE, ":8:22", "63 bytes",
     "\\d", NULL},
};

static const struct bad_case contradiction_cases[] = {
    {ENTRY("table: public.customer"), ERR_CONFIG_UNSUPPORTED, ":7:5",
     "not available in this version", "outbox.event", NULL},
    {ENTRY("table: a.b\n    snapshot: never\n    key: [id]\n    include: [a]\n    exclude: [b]\n"
           "    mask: {a: hash}\n    reread: true\n    tombstones: false\n"
           "    event: {type: t, when: {a: b}, data: {c: d}}"),
     ERR_CONFIG_UNSUPPORTED, ":7:5", "change data capture", "messages", NULL},
    {GOOD "delivery: {guarantee: exactly_once}\ncheckpoint: {store: file}\n",
     ERR_CONFIG_CONTRADICTION, ":9:21", "in Kafka", "store: kafka", NULL},
    {GOOD "delivery: {guarantee: exactly_once}\ncheckpoint: {store: slot}\n",
     ERR_CONFIG_CONTRADICTION, ":9:21", "in Kafka", "store: kafka", NULL},
    {HEAD CAPTURE "delivery: {guarantee: exactly_once}\nsink: {stdout: {}}\n",
     ERR_CONFIG_CONTRADICTION, ":5:12", "needs the sink kafka", "at_least_once", NULL},
    {HEAD CAPTURE "checkpoint: {store: kafka}\nsink: {stdout: {}}\n", ERR_CONFIG_CONTRADICTION,
     ":5:14", "needs the sink kafka", "store: file", NULL},
    {GOOD "delivery: {guarantee: exactly_once, commit_interval: 20001ms}\n",
     ERR_CONFIG_CONTRADICTION, ":8:54", "a third", "20000ms", NULL},
    {GOOD "envelope: {decimal: string}\n", ERR_CONFIG_UNSUPPORTED, ":8:12", "`decimal`", "outbox",
     NULL},
    {GOOD "envelope: {time: iso}\n", ERR_CONFIG_UNSUPPORTED, ":8:12", "`time`", "outbox", NULL},
    {GOOD "envelope: {format: raw, mode: binary}\n", ERR_CONFIG_CONTRADICTION, ":8:25",
     "cloudevents only", "remove `mode`", NULL},
    {GOOD "envelope: {format: debezium, mode: structured}\n", ERR_CONFIG_CONTRADICTION, ":8:30",
     "cloudevents only", "format: cloudevents", NULL},
    {GOOD "delivery: {dead_letter_topic: t}\ncheckpoint: {topic: t}\n", ERR_CONFIG_CONTRADICTION,
     ":8:31", "cannot share", "<name>.dead-letter", NULL},
    {GOOD "checkpoint: {topic: orders.dead-letter}\n", ERR_CONFIG_CONTRADICTION, ":8:14",
     "cannot share", "walferry.checkpoints", NULL},
    {GOOD "route: {topic: walferry.checkpoints}\n", ERR_CONFIG_CONTRADICTION, ":8:16",
     "topic of checkpoints", "checkpoint.topic", NULL},
    {GOOD "route: {topic: orders.dead-letter}\n", ERR_CONFIG_CONTRADICTION, ":8:16",
     "topic of dead letters", "delivery.dead_letter_topic", NULL},
    {GOOD "route:\n  rules:\n  - when: {id: a}\n    topic: orders.dead-letter\n",
     ERR_CONFIG_CONTRADICTION, ":11:12", "topic of dead letters", "take another", NULL},
    {GOOD "route:\n  rules:\n  - when: {id: a}\n    topic: x\n    drop: true\n",
     ERR_CONFIG_CONTRADICTION, ":12:5", "either gives a topic or drops", "keep", NULL},
    {GOOD "route:\n  rules:\n  - drop: false\n", ERR_CONFIG_MISSING, ":10:5", "does not say",
     "drop: true", NULL},
    {GOOD "route:\n  rules:\n  - topic: x\n  - when: {id: a}\n    drop: true\n",
     ERR_CONFIG_CONTRADICTION, ":11:5", "never reached: rule 1", "give rule 1 a `when`", NULL},
    {HEAD CAPTURE "sink:\n  stdout: {}\n  file: {path: a}\n", ERR_CONFIG_CONTRADICTION, ":7:3",
     "two sinks, `stdout` and `file`", "keep one", NULL},
    {HEAD CAPTURE "sink:\n  stdout: {}\n  topics: {max: 5}\n", ERR_CONFIG_CONTRADICTION, ":7:3",
     "sink kafka only", "remove `topics`", NULL},
    {ENTRY("outbox: a.b\n    messages: m"), ERR_CONFIG_CONTRADICTION, ":8:5", "one thing", "hyphen",
     NULL},
    {ENTRY("messages: m\n    preset: walferry"), ERR_CONFIG_CONTRADICTION, ":8:5",
     "`preset` belongs to an entry with `outbox`", "remove", NULL},
    {ENTRY("messages: m\n    columns: {id: x}"), ERR_CONFIG_CONTRADICTION, ":8:5", "`columns`",
     "remove", NULL},
    {ENTRY("messages: m\n    payload: json"), ERR_CONFIG_CONTRADICTION, ":8:5", "`payload`",
     "remove", NULL},
    {ENTRY("outbox: a.b\n    snapshot: never"), ERR_CONFIG_CONTRADICTION, ":8:5",
     "`snapshot` belongs to an entry with `table`", "remove", NULL},
    {ENTRY("outbox: a.b\n  - outbox: c.d\n  - outbox: a.b"), ERR_CONFIG_CONTRADICTION, ":9:5",
     "captured twice, by entries 1 and 3", "remove one", NULL},
    {ENTRY("messages: m\n  - messages: m"), ERR_CONFIG_CONTRADICTION, ":8:5",
     "\"m\" is captured twice", "remove one", NULL},
    {ENTRY("outbox: a.b\n    preset: open_outbox"), ERR_CONFIG_CONTRADICTION, ":7:5",
     "names ${aggregate_type}, and the preset open_outbox", "columns: {aggregate_type: COLUMN}",
     NULL},
    {KAFKA("sasl.password: x, sasl.password_file: /nowhere"), ERR_CONFIG_CONTRADICTION, ":5:56",
     "the same secret", "keep `sasl.password_file` alone", NULL},
};

static const struct bad_case set_cases[] = {
    {GOOD, ERR_CONFIG_UNKNOWN, "--set log.levle", "`levle`", "did you mean `level`?",
     "log.levle=debug"},
    {GOOD, ERR_CONFIG_VALUE, "--set log.level", "\"loud\"", "info", "log.level=loud"},
    {GOOD, ERR_CONFIG_TYPE, "--set log", "takes a mapping", "format, level", "log=debug"},
    {GOOD, ERR_CONFIG_TYPE, "--set source.failover", "true or false, not \"\"", "true",
     "source.failover="},
    {GOOD, ERR_USAGE, "--set log.level", "key path", "log.level=debug", "log.level"},
    {GOOD, ERR_USAGE, "--set ", "key path", "log.level=debug", "=debug"},
    {GOOD, ERR_USAGE, "--set log..level", "empty part", "source.slot", "log..level=debug"},
    {GOOD, ERR_USAGE, "--set log.", "empty part", "source.slot", "log.=debug"},
    {GOOD, ERR_USAGE, "--set capture.5.payload", "\"5\" names no element", "1 elements",
     "capture.5.payload=text"},
    {GOOD, ERR_USAGE, "--set capture.first.payload", "\"first\" names no element", "from 0",
     "capture.first.payload=text"},
    {GOOD, ERR_USAGE, "--set name.first", "below a plain value", "leave that part", "name.first=x"},
    {GOOD, ERR_CONFIG_VALUE, "--set capture.0.payload", "auto, json, text, binary", "auto",
     "capture.0.payload=xml"},
    {GOOD, ERR_KAFKA_CONFIG, "--set sink.kafka.acks", "acks", "", "sink.kafka.acks=0"},
    {GOOD, ERR_CONFIG_CONTRADICTION, "--set sink.stdout", "two sinks", "keep one",
     "sink.stdout={}"},
};

START_TEST(values_are_checked)
{
    bad_case_check(&value_cases[_i]);
}
END_TEST

START_TEST(contradictions_are_found)
{
    bad_case_check(&contradiction_cases[_i]);
}
END_TEST

START_TEST(set_is_checked_like_the_file)
{
    bad_case_check(&set_cases[_i]);
}
END_TEST

START_TEST(exactly_once_keeps_its_position_in_kafka)
{
    struct config *config = NULL;
    struct config_problems problems;
    const char *text = GOOD "delivery: {guarantee: exactly_once}\n";
    ck_assert(config_load_text("w.yaml", bytes_str(text), NULL, 0, &config, &problems));
    ck_assert(config->sink.transactional);
    ck_assert_int_eq(config->store, STORE_KAFKA);
    ck_assert_str_eq(config->sink.position_topic, "walferry.checkpoints");
    config_free(config);
    text = GOOD "checkpoint: {store: kafka, topic: t}\n";
    ck_assert(config_load_text("w.yaml", bytes_str(text), NULL, 0, &config, &problems));
    ck_assert(!config->sink.transactional);
    ck_assert_str_eq(config->sink.position_topic, "t");
    config_free(config);
    text = GOOD "checkpoint: {store: slot}\n";
    ck_assert(config_load_text("w.yaml", bytes_str(text), NULL, 0, &config, &problems));
    ck_assert_int_eq(config->store, STORE_SLOT);
    ck_assert_ptr_null(config->sink.position_topic);
    config_free(config);
}
END_TEST

START_TEST(each_property_at_fault_is_named)
{
    const char *text = KAFKA("acks: 1, enable.idempotence: false");
    struct config *config = NULL;
    struct config_problems problems;
    ck_assert(!config_load_text("w.yaml", bytes_str(text), NULL, 0, &config, &problems));
    ck_assert_uint_eq(problems.count, 2);
    ck_assert_str_eq(problems.items[0].where, "w.yaml:5:44");
    ck_assert_str_eq(problems.items[1].where, "w.yaml:5:67");
}
END_TEST

START_TEST(missing_brokers_do_not_hide_other_properties)
{
    const char *text = HEAD CAPTURE "sink: {kafka: {bootstrap_servers: b, acks: 1}}\n";
    struct config *config = NULL;
    struct config_problems problems;
    ck_assert(!config_load_text("w.yaml", bytes_str(text), NULL, 0, &config, &problems));
    ck_assert_uint_eq(problems.count, 3);
    ck_assert_int_eq(problems.items[0].code, ERR_CONFIG_MISSING);
    ck_assert_str_eq(problems.items[0].where, "w.yaml:5:8");
    ck_assert_str_eq(problems.items[1].where, "w.yaml:5:35");
    ck_assert_str_eq(problems.items[2].where, "w.yaml:5:44");
}
END_TEST

static Suite *suite_of_rules(void)
{
    Suite *suite = suite_create("config_rules");
    TCase *cases = tcase_create("rules");
    tcase_add_loop_test(cases, values_are_checked, 0, ARRAY_LEN(value_cases));
    tcase_add_loop_test(cases, contradictions_are_found, 0, ARRAY_LEN(contradiction_cases));
    tcase_add_loop_test(cases, set_is_checked_like_the_file, 0, ARRAY_LEN(set_cases));
    tcase_add_test(cases, exactly_once_keeps_its_position_in_kafka);
    tcase_add_test(cases, each_property_at_fault_is_named);
    tcase_add_test(cases, missing_brokers_do_not_hide_other_properties);
    suite_add_tcase(suite, cases);
    return suite;
}

TEST_MAIN(suite_of_rules())
