/* SPDX-License-Identifier: Apache-2.0 */
#include "schema.h"

#include <inttypes.h>
#include <stdio.h>

#include "walferry/base/assert.h"

#define PUT(member)                                                                                \
    .offset = offsetof(struct config, member), .size = sizeof(((struct config *)NULL)->member)
#define PUT_ENTRY(member)                                                                          \
    .offset = offsetof(struct capture_entry, member),                                              \
    .size = sizeof(((struct capture_entry *)NULL)->member)
#define PUT_RULE(member)                                                                           \
    .offset = offsetof(struct route_rule, member),                                                 \
    .size = sizeof(((struct route_rule *)NULL)->member)

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define GIB    (INT64_C(1) << 30)
#define NO_CDC "change data capture of tables is not available in this version of walferry"
#define NO_CDC_HINT                                                                                \
    "capture an outbox (`- outbox: outbox.event`) or messages (`- messages: outbox`)"

static const struct enum_value standby_values[] = {{"wait", 1}, {"fail", 0}, {NULL, 0}};
static const struct enum_value preset_values[] = {
    {"walferry", PRESET_WALFERRY},
    {"debezium", PRESET_DEBEZIUM},
    {"open_outbox", PRESET_OPEN_OUTBOX},
    {"eventuate", PRESET_EVENTUATE},
    {"goharvest", PRESET_GOHARVEST},
    {"pg_transactional_outbox", PRESET_PG_TRANSACTIONAL_OUTBOX},
    {NULL, 0}};
static const struct enum_value payload_values[] = {{"auto", PAYLOAD_AUTO},
                                                   {"json", PAYLOAD_AS_JSON},
                                                   {"text", PAYLOAD_AS_TEXT},
                                                   {"binary", PAYLOAD_AS_BINARY},
                                                   {NULL, 0}};
static const struct enum_value snapshot_values[] = {
    {"initial", 0}, {"never", 0}, {"when_needed", 0}, {NULL, 0}};
static const struct enum_value format_values[] = {{"cloudevents", ENVELOPE_CLOUDEVENTS},
                                                  {"debezium", ENVELOPE_DEBEZIUM},
                                                  {"raw", ENVELOPE_RAW},
                                                  {NULL, 0}};
static const struct enum_value mode_values[] = {
    {"structured", ENVELOPE_STRUCTURED}, {"binary", ENVELOPE_BINARY}, {NULL, 0}};
static const struct enum_value decimal_values[] = {
    {"precise", 0}, {"string", 0}, {"double", 0}, {NULL, 0}};
static const struct enum_value time_values[] = {{"adaptive", 0}, {"iso", 0}, {NULL, 0}};
static const struct enum_value guarantee_values[] = {
    {"at_least_once", AT_LEAST_ONCE}, {"exactly_once", EXACTLY_ONCE}, {NULL, 0}};
static const struct enum_value poison_values[] = {
    {"dead_letter", POISON_DEAD_LETTER}, {"halt", POISON_HALT}, {"skip", POISON_SKIP}, {NULL, 0}};
static const struct enum_value store_values[] = {
    {"file", STORE_FILE}, {"kafka", STORE_KAFKA}, {"slot", STORE_SLOT}, {NULL, 0}};
static const struct enum_value log_format_values[] = {
    {"auto", LOG_AUTO}, {"text", LOG_TEXT}, {"json", LOG_JSON}, {NULL, 0}};
static const struct enum_value log_level_values[] = {
    {"error", LOG_ERROR}, {"warn", LOG_WARN}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}, {NULL, 0}};

/* clang-format off */
const struct key schema_keys[] = {
{.path = "version", .type = KEY_VERSION, .flags = KEY_REQUIRED, .sample = "1",
 .doc = "Version of this format. Only 1 exists."},
{.path = "name", .type = KEY_NAME, .flags = KEY_REQUIRED, PUT(name), .sample = "orders",
 .doc = "Name of the pipeline. Slot, publication, client.id, dead letter topic, CloudEvents source "
        "and checkpoint are named after it, so two pipelines never share one."},

{.path = "source", .type = KEY_MAP,
 .doc = "The PostgreSQL server (14 to 18) whose write-ahead log is read."},
{.path = "source.conninfo", .type = KEY_CONNINFO, .flags = KEY_SECRET, PUT(source.conninfo),
 .preset = "", .sample = "\"host=127.0.0.1 dbname=shop user=walferry\"",
 .doc = "Connection string of libpq, as keywords or as a URI, with several hosts if wanted. PG* "
        "environment variables, .pgpass and service files work as with psql. Prefer the Unix "
        "socket where relay and server share a machine."},
{.path = "source.password_file", .type = KEY_SECRET_FILE, .flags = KEY_COMMENT,
 PUT(source.password_file), .sample = "/run/secrets/pg",
 .doc = "File with the password, read again at each connect; one newline at its end is left out. "
        "It must not be readable by everyone."},
{.path = "source.slot", .type = KEY_SLOT, .flags = KEY_DERIVED | KEY_COMMENT, PUT(source.slot),
 .preset = "walferry_<name>", .sample = "walferry_orders",
 .doc = "Replication slot: at most 63 lower-case letters, digits and underscores."},
{.path = "source.publication", .type = KEY_PUBLICATION, .flags = KEY_DERIVED | KEY_COMMENT,
 PUT(source.publication), .preset = "walferry_<name>", .sample = "walferry_orders",
 .doc = "Publication that lists the captured tables; at most 63 bytes."},
{.path = "source.failover", .type = KEY_BOOL, PUT(source.failover), .preset = "true",
 .doc = "Create the slot as a failover slot where the server can (PostgreSQL 17 and newer), so "
        "that it survives a switch to a standby."},
{.path = "source.status_interval", .type = KEY_DURATION, PUT(source.status_interval_ms),
 .preset = "10s", .min = 100, .max = HOUR,
 .doc = "How often the server is told the confirmed position. Keep it well below the server's "
        "wal_sender_timeout."},
{.path = "source.standby", .type = KEY_ENUM, PUT(source.standby_wait), .preset = "wait",
 .values = standby_values,
 .doc = "When the slot is in use by another instance: `wait` and take over when it becomes free, "
        "or `fail` with exit status 75."},
{.path = "source.heartbeat_interval", .type = KEY_DURATION, PUT(source.heartbeat_interval_ms),
 .preset = "30s", .min = 0, .max = 24 * HOUR,
 .doc = "How often a WAL message keeps the slot moving while nothing else is written; 0 turns it "
        "off."},

{.path = "capture", .type = KEY_LIST, .flags = KEY_REQUIRED,
 .doc = "What is read, at least one entry. Each entry names an outbox table, a prefix of WAL "
        "messages or a table."},
{.path = "capture[].outbox", .type = KEY_TABLE, .flags = KEY_ELEMENT, PUT_ENTRY(name),
 .sample = "outbox.event",
 .doc = "A table of events, schema.table, split at the first dot. Each inserted row is an event."},
{.path = "capture[].preset", .type = KEY_ENUM, PUT_ENTRY(preset), .preset = "walferry",
 .values = preset_values,
 .doc = "Column map of the outbox table: the layout that is in use already."},
{.path = "capture[].columns", .type = KEY_COLUMNS, .flags = KEY_COMMENT,
 .sample = "{aggregate_id: order_no}",
 .doc = "Overrides of the preset's column map: field of the event to column of the table. An "
        "empty text means that the field is not read."},
{.path = "capture[].payload", .type = KEY_ENUM, PUT_ENTRY(payload), .preset = "auto",
 .values = payload_values,
 .doc = "How the payload column is read: by its type, or as JSON, text or bytes."},
{.path = "capture[].messages", .type = KEY_PREFIX, .flags = KEY_ELEMENT | KEY_COMMENT,
 PUT_ENTRY(name), .sample = "outbox",
 .doc = "Events written by pg_logical_emit_message(true, PREFIX, ...), without a table: the "
        "prefix. Each message is one JSON object with the fields of an event."},
{.path = "capture[].table", .type = KEY_ANY, .flags = KEY_ELEMENT | KEY_COMMENT,
 .unavailable = NO_CDC, .hint = NO_CDC_HINT, .sample = "public.customer",
 .doc = "Change data capture of a table, schema.table or a glob."},
{.path = "capture[].snapshot", .type = KEY_ENUM, .flags = KEY_COMMENT | KEY_OF_TABLE,
 .preset = "initial", .values = snapshot_values, .unavailable = NO_CDC, .hint = NO_CDC_HINT,
 .doc = "When rows that already stand in the table are published."},
{.path = "capture[].key", .type = KEY_ANY, .flags = KEY_COMMENT | KEY_OF_TABLE | KEY_DERIVED,
 .preset = "the replica identity", .unavailable = NO_CDC, .hint = NO_CDC_HINT, .sample = "[id]",
 .doc = "Columns of the Kafka key."},
{.path = "capture[].include", .type = KEY_ANY, .flags = KEY_COMMENT | KEY_OF_TABLE,
 .unavailable = NO_CDC, .hint = NO_CDC_HINT, .sample = "[id, name, email]",
 .doc = "Columns that are published."},
{.path = "capture[].exclude", .type = KEY_ANY, .flags = KEY_COMMENT | KEY_OF_TABLE,
 .unavailable = NO_CDC, .hint = NO_CDC_HINT, .sample = "[note]",
 .doc = "Columns that are not published."},
{.path = "capture[].mask", .type = KEY_ANY, .flags = KEY_COMMENT | KEY_OF_TABLE,
 .unavailable = NO_CDC, .hint = NO_CDC_HINT,
 .sample = "{email: hash, name: redact, note: {truncate: 8}}",
 .doc = "Columns whose values are hashed, redacted or truncated."},
{.path = "capture[].reread", .type = KEY_BOOL, .flags = KEY_COMMENT | KEY_OF_TABLE,
 .preset = "false", .unavailable = NO_CDC, .hint = NO_CDC_HINT,
 .doc = "Fetch unchanged TOAST values from the table."},
{.path = "capture[].tombstones", .type = KEY_BOOL, .flags = KEY_COMMENT | KEY_OF_TABLE,
 .preset = "true", .unavailable = NO_CDC, .hint = NO_CDC_HINT,
 .doc = "Follow a delete by a record without value, for compacted topics."},
{.path = "capture[].event", .type = KEY_ANY, .flags = KEY_COMMENT | KEY_OF_TABLE,
 .unavailable = NO_CDC, .hint = NO_CDC_HINT,
 .sample = "{type: \"customer.${op}\", when: {status: active}, data: {id: \"${id}\"}}",
 .doc = "A domain event in place of the row change."},

{.path = "route", .type = KEY_MAP,
 .doc = "Which topic an event goes to. Topic, partition and key columns of the event win."},
{.path = "route.topic", .type = KEY_TEMPLATE, PUT(route.topic),
 .preset = "outbox.event.${aggregate_type}",
 .doc = "Topic template: text and ${field} placeholders of the event's text fields (id, "
        "aggregate_type, aggregate_id, event_type, event_version, visibility, correlation_id, "
        "causation_id, topic, key)."},
{.path = "route.rules", .type = KEY_LIST, .flags = KEY_COMMENT,
 .doc = "Rules, tried in order before the topic above; the first match wins."},
{.path = "route.rules[].when", .type = KEY_WHEN, .flags = KEY_ELEMENT,
 .sample = "{visibility: private}",
 .doc = "Fields of the event and the globs (* and ?) that they must all match. Without `when` a "
        "rule matches every event."},
{.path = "route.rules[].topic", .type = KEY_TEMPLATE, PUT_RULE(topic),
 .sample = "private.${aggregate_type}", .doc = "Topic template for what matches."},
{.path = "route.rules[].drop", .type = KEY_BOOL, .flags = KEY_ELEMENT | KEY_LINE, PUT_RULE(drop),
 .preset = "false", .sample = "{when: {event_type: \"debug.*\"}, drop: true}",
 .doc = "Do not publish what matches; it is counted as skipped."},

{.path = "envelope", .type = KEY_MAP, .doc = "What a record looks like."},
{.path = "envelope.format", .type = KEY_ENUM, PUT(envelope.format), .preset = "cloudevents",
 .values = format_values,
 .doc = "`cloudevents` (1.0.2), `debezium` (as the outbox event router writes), or `raw` (payload "
        "and key only)."},
{.path = "envelope.mode", .type = KEY_ENUM, PUT(envelope.mode), .preset = "structured",
 .values = mode_values,
 .doc = "CloudEvents only: the whole event as a JSON document, or the payload as it is with the "
        "attributes as headers."},
{.path = "envelope.source", .type = KEY_TEXT, .flags = KEY_DERIVED | KEY_COMMENT,
 PUT(envelope.source), .preset = "/<name>", .sample = "/orders",
 .doc = "CloudEvents attribute source, a URI reference."},
{.path = "envelope.decimal", .type = KEY_ENUM, .flags = KEY_COMMENT, .preset = "precise",
 .values = decimal_values, .unavailable = NO_CDC, .hint = NO_CDC_HINT,
 .doc = "Form of numeric columns of captured tables in the format `debezium`."},
{.path = "envelope.time", .type = KEY_ENUM, .flags = KEY_COMMENT, .preset = "adaptive",
 .values = time_values, .unavailable = NO_CDC, .hint = NO_CDC_HINT,
 .doc = "Form of time columns of captured tables in the format `debezium`."},

{.path = "delivery", .type = KEY_MAP, .doc = "What is promised, and within which bounds."},
{.path = "delivery.guarantee", .type = KEY_ENUM, PUT(delivery.guarantee),
 .preset = "at_least_once", .values = guarantee_values,
 .doc = "`at_least_once`: nothing is lost, and duplicates come only after a crash. "
        "`exactly_once`: events and position are one Kafka transaction; consumers that read with "
        "`isolation.level: read_committed` see no duplicate. See walferry-guarantees(7)."},
{.path = "delivery.commit_interval", .type = KEY_DURATION, PUT(delivery.commit_interval_ms),
 .preset = "100ms", .min = 1, .max = 10 * MINUTE,
 .doc = "Under exactly_once, how long one Kafka transaction stays open; it is closed at the end of "
        "a PostgreSQL transaction, or when the limits below are reached. At most a third of "
        "transaction.timeout.ms (default 60 s, under sink.kafka)."},
{.path = "delivery.max_in_flight_events", .type = KEY_INT, PUT(delivery.max_in_flight_events),
 .preset = "100000", .min = 1, .max = 10000000,
 .doc = "Events submitted and not yet acknowledged; more are left waiting in PostgreSQL."},
{.path = "delivery.max_in_flight_bytes", .type = KEY_SIZE, PUT(delivery.max_in_flight_bytes),
 .preset = "32MiB", .min = 1, .max = 64 * GIB,
 .doc = "Bytes submitted and not yet acknowledged; bounds the memory of the process."},
{.path = "delivery.poison", .type = KEY_ENUM, PUT(delivery.poison), .preset = "dead_letter",
 .values = poison_values,
 .doc = "What becomes of an event that can never be published: to the dead letter topic, stop with "
        "exit status 65, or skip it and count."},
{.path = "delivery.dead_letter_topic", .type = KEY_TOPIC, .flags = KEY_DERIVED | KEY_COMMENT,
 PUT(delivery.dead_letter_topic), .preset = "<name>.dead-letter", .sample = "orders.dead-letter",
 .doc = "Topic of the dead letters."},
{.path = "delivery.drain_timeout", .type = KEY_DURATION, .flags = KEY_HOT,
 PUT(delivery.drain_timeout_ms), .preset = "30s", .min = 0, .max = HOUR,
 .doc = "After SIGTERM, how long acknowledgements are awaited."},

{.path = "sink", .type = KEY_MAP, .flags = KEY_REQUIRED,
 .doc = "Where records go: exactly one of `kafka`, `stdout` and `file`."},
{.path = "sink.kafka", .type = KEY_PROPERTIES, 
 .sample = "{bootstrap.servers: \"127.0.0.1:9092\", compression.type: zstd}",
 .doc = "Properties of librdkafka by their own names; `bootstrap.servers` is required. A secret "
        "also comes from a file: sasl.password_file, ssl.key.password_file and so on. Properties "
        "that would break a promise (acks=1, enable.idempotence=false) are refused."},
{.path = "sink.topics", .type = KEY_MAP, .doc = "Topics, for the sink `kafka`."},
{.path = "sink.topics.create", .type = KEY_BOOL, PUT(sink.topics_create), .preset = "true",
 .doc = "Create a missing topic through the admin API."},
{.path = "sink.topics.partitions", .type = KEY_INT, PUT(sink.topics_partitions), .preset = "-1",
 .min = -1, .max = 100000, .doc = "Partitions of a created topic; -1: the broker's default."},
{.path = "sink.topics.replication_factor", .type = KEY_INT, PUT(sink.topics_replication),
 .preset = "-1", .min = -1, .max = 32767,
 .doc = "Replicas of a created topic; -1: the broker's default."},
{.path = "sink.topics.max", .type = KEY_INT, PUT(sink.topics_max), .preset = "1000", .min = 1,
 .max = 100000,
 .doc = "Topics that one pipeline may publish to; one more is a poison event."},
{.path = "sink.topics.wait", .type = KEY_DURATION, PUT(sink.topics_wait_ms), .preset = "30s",
 .min = 0, .max = HOUR,
 .doc = "With `create: false`, how long an event waits for a topic that the broker does not know "
        "before it is poison."},
{.path = "sink.stdout", .type = KEY_MAP, .flags = KEY_COMMENT, .sample = "{}",
 .doc = "One JSON record a line on standard output, with a temporary slot."},
{.path = "sink.file", .type = KEY_MAP, .flags = KEY_COMMENT,
 .doc = "One JSON record a line, appended and synced before it counts."},
{.path = "sink.file.path", .type = KEY_PATH, .flags = KEY_REQUIRED, PUT(sink.path),
 .sample = "/var/spool/walferry/orders.jsonl", .doc = "The file; it is made when missing."},

{.path = "checkpoint", .type = KEY_MAP, .doc = "Where the published position is kept."},
{.path = "checkpoint.store", .type = KEY_ENUM, PUT(store), .preset = "file",
 .values = store_values,
 .doc = "`file`: a directory; a lock in it admits one instance. `kafka`: a record in the compacted "
        "topic below, for instances on several hosts; exactly_once keeps its position there, as "
        "part of its transactions, and has no other. `slot`: nothing but what the server was told; "
        "more duplicates after its crash, and a slot that somebody advanced is not recognised "
        "after a restart. Default under exactly_once: kafka."},
{.path = "checkpoint.topic", .type = KEY_TOPIC, PUT(checkpoint_topic),
 .preset = "walferry.checkpoints",
 .doc = "Topic of the store `kafka`, compacted and nothing else; several pipelines may share it. No "
        "event may be published to it."},
{.path = "checkpoint.directory", .type = KEY_PATH, .flags = KEY_DERIVED | KEY_COMMENT,
 PUT(checkpoint.directory), .preset = "$STATE_DIRECTORY, else ./walferry-state",
 .sample = "/var/lib/walferry", .doc = "Directory of the store `file`; it is made when missing."},
{.path = "checkpoint.interval", .type = KEY_DURATION, .flags = KEY_HOT,
 PUT(checkpoint_interval_ms), .preset = "1s", .min = 1, .max = 10 * MINUTE,
 .doc = "How often the position is made durable and confirmed; bounds the duplicates after a "
        "crash."},

{.path = "http", .type = KEY_MAP, .doc = "Metrics, health and status."},
{.path = "http.listen", .type = KEY_LISTEN, PUT(http.listen), .preset = "127.0.0.1:9188",
 .doc = "HOST:PORT, IPv6 addresses in brackets; `off` for none."},

{.path = "log", .type = KEY_MAP, .doc = "The log on standard error."},
{.path = "log.format", .type = KEY_ENUM, .flags = KEY_HOT, PUT(log_format), .preset = "auto",
 .values = log_format_values,
 .doc = "Text for people, JSON lines for machines; `auto` takes text on a terminal."},
{.path = "log.level", .type = KEY_ENUM, .flags = KEY_HOT, PUT(log_level), .preset = "info",
 .values = log_level_values, .doc = "The least important events that are logged."},
};
/* clang-format on */

const size_t schema_key_count = ARRAY_LEN(schema_keys);

static const char *const type_syntax[KEY_TYPE_COUNT] = {
    [KEY_MAP] = "a mapping of keys to values",
    [KEY_LIST] = "a list",
    [KEY_ANY] = "any value",
    [KEY_VERSION] = "the number 1",
    [KEY_NAME] = "a lower-case letter, then up to 39 lower-case letters, digits and _",
    [KEY_SLOT] = "1 to 63 lower-case letters, digits and _",
    [KEY_PUBLICATION] = "1 to 63 bytes",
    [KEY_TEXT] = "text that is not empty",
    [KEY_PATH] = "a path",
    [KEY_SECRET_FILE] = "the path of a file with a secret",
    [KEY_CONNINFO] = "a connection string of libpq",
    [KEY_TABLE] = "schema.table",
    [KEY_PREFIX] = "the prefix of WAL messages",
    [KEY_TOPIC] = "1 to 249 of A-Z a-z 0-9 . _ -",
    [KEY_TEMPLATE] = "text with ${field} placeholders",
    [KEY_LISTEN] = "HOST:PORT or off",
    [KEY_INT] = "a whole number",
    [KEY_BOOL] = "true or false",
    [KEY_DURATION] = "a duration such as 250ms, 10s or 5m",
    [KEY_SIZE] = "a size such as 64KiB or 16MiB",
    [KEY_ENUM] = "one of its values",
    [KEY_COLUMNS] = "a mapping of event fields to columns",
    [KEY_WHEN] = "a mapping of event fields to globs",
    [KEY_PROPERTIES] = "a mapping of librdkafka properties to values",
};

const char *key_type_syntax(enum key_type type)
{
    ASSERT(type < KEY_TYPE_COUNT);
    return type_syntax[type];
}

bool key_is_scalar(const struct key *key)
{
    return key->type >= KEY_VERSION && key->type <= KEY_ENUM;
}

const char *key_name(const struct key *key)
{
    const char *dot = strrchr(key->path, '.');
    return dot == NULL ? key->path : dot + 1;
}

bool key_is_child(const struct key *key, const char *parent)
{
    const char *name = key_name(key);
    size_t parent_len = name == key->path ? 0 : (size_t)(name - key->path) - 1;
    return strlen(parent) == parent_len && strncmp(key->path, parent, parent_len) == 0;
}

const struct key *schema_find(const char *parent, const char *name)
{
    for (size_t i = 0; i < schema_key_count; i++) {
        if (key_is_child(&schema_keys[i], parent) && strcmp(key_name(&schema_keys[i]), name) == 0) {
            return &schema_keys[i];
        }
    }
    return NULL;
}

struct number_unit {
    enum key_type type;
    int64_t factor;
    const char *unit;
};

/* The largest first. */
static const struct number_unit number_units[] = {
    {KEY_DURATION, HOUR, "h"},
    {KEY_DURATION, MINUTE, "m"},
    {KEY_DURATION, SECOND, "s"},
    {KEY_DURATION, 1, "ms"},
    {KEY_SIZE, GIB, "GiB"},
    {KEY_SIZE, INT64_C(1) << 20, "MiB"},
    {KEY_SIZE, INT64_C(1) << 10, "KiB"},
    {KEY_SIZE, 1, "B"},
};

struct key_number key_number(enum key_type type, int64_t value)
{
    struct key_number number;
    for (size_t i = 0; i < ARRAY_LEN(number_units); i++) {
        const struct number_unit *unit = &number_units[i];
        if (unit->type == type && value != 0 && value % unit->factor == 0) {
            snprintf(number.text, sizeof(number.text), "%" PRId64 "%s", value / unit->factor,
                     unit->unit);
            return number;
        }
    }
    snprintf(number.text, sizeof(number.text), "%" PRId64, value);
    return number;
}
