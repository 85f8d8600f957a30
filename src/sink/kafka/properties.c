/* SPDX-License-Identifier: Apache-2.0 */
#include "properties.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "walferry/base/assert.h"
#include "walferry/sink/kafka.h"

#define ACKNOWLEDGED   "a record would count as published before it is safe on all in-sync replicas"
#define DUPLICATES     "a repeated request could write records twice or out of order"
#define GIVEN_UP       "a record would be given up by a timeout"
#define ORDERED        "a repeated request could overtake another: order per key would break"
#define CALLBACK       "it is for programs that link librdkafka, not for a configuration file"
#define CONSUMER       "it is a consumer's property, and walferry only produces"
#define TRANSACTIONS   "transactions belong to `delivery: {guarantee: exactly_once}`"
#define HINT_GUARANTEE "remove the line and set delivery.guarantee"
#define HINT_REMOVE    "remove the line: walferry sets what it needs"
#define HINT_ALL       "write `acks: all`, or remove the line: all is walferry's default"
#define HINT_FOREVER   "write 0 (never give up), or remove the line: 0 is walferry's default"
#define HINT_RETRIES   "remove the line: walferry repeats without end; pace it by retry.backoff.ms"
#define HINT_IN_FLIGHT "use 1 to 5"
#define HINT_TOPICS    "use sink.topics.create, sink.topics.max and sink.topics.wait"

#define TRANSACTION_TIMEOUT "transaction.timeout.ms"
#define SOCKET_TIMEOUT      "socket.timeout.ms"

const struct refusal refusals[] = {
    {"acks", "all|-1", ACKNOWLEDGED, HINT_ALL},
    {"request.required.acks", "all|-1", ACKNOWLEDGED, HINT_ALL},
    {"enable.idempotence", "true|t|1", DUPLICATES,
     "write `enable.idempotence: true`, or remove it"},
    {"message.timeout.ms", "0", GIVEN_UP, HINT_FOREVER},
    {"delivery.timeout.ms", "0", GIVEN_UP, HINT_FOREVER},
    {"max.in.flight", "1|2|3|4|5", ORDERED, HINT_IN_FLIGHT},
    {"max.in.flight.requests.per.connection", "1|2|3|4|5", ORDERED, HINT_IN_FLIGHT},
    {"retries", "2147483647", "a record would be given up after some attempts", HINT_RETRIES},
    {"message.send.max.retries", "2147483647", "a record would be given up after some attempts",
     HINT_RETRIES},
    {"queuing.strategy", "fifo", ORDERED, HINT_REMOVE},
    {"allow.auto.create.topics", "false|f|0", "topics would come into being by a misspelt name",
     HINT_TOPICS},
    {"topic.metadata.propagation.max.ms", NULL, "walferry itself waits for topics", HINT_TOPICS},
    {"topic.blacklist", NULL, "records for these topics could never be delivered", HINT_REMOVE},
    {"enable.gapless.guarantee", "true|t|1",
     "what stands behind a refused batch would be published before it", HINT_REMOVE},
    {"delivery.report.only.error", "false|f|0", "walferry would not learn what was delivered",
     HINT_REMOVE},
    {"transactional.id", NULL, TRANSACTIONS, HINT_GUARANTEE},
    {TRANSACTION_TIMEOUT, NULL, TRANSACTIONS, HINT_GUARANTEE},
    {"plugin.library.paths", NULL, "foreign code could change or drop records", HINT_REMOVE},
    {"test.*", NULL, "it replaces the cluster by one in memory, which forgets what it acknowledged",
     "for a trial without Kafka run `walferry demo`"},
    {"log.queue", NULL, CALLBACK, HINT_REMOVE},
    {"enabled_events", NULL, CALLBACK, HINT_REMOVE},
    {"default_topic_conf", NULL, CALLBACK, HINT_REMOVE},
    {"interceptors", NULL, CALLBACK, HINT_REMOVE},
    {"opaque", NULL, CALLBACK, HINT_REMOVE},
    {"msg_order_cmp", NULL, CALLBACK, HINT_REMOVE},
    {"ssl_engine_callback_data", NULL, CALLBACK, HINT_REMOVE},
    {"*_cb", NULL, CALLBACK, HINT_REMOVE},
    {"group.*", NULL, CONSUMER, HINT_REMOVE},
    {"auto.offset.reset", NULL, CONSUMER, HINT_REMOVE},
    {"enable.auto.commit", NULL, CONSUMER, HINT_REMOVE},
    {"isolation.level", NULL, CONSUMER, HINT_REMOVE},
    {"offset.store.*", NULL, CONSUMER, HINT_REMOVE},
};
const size_t refusal_count = ARRAY_LEN(refusals);

/* Names by shell pattern; everything with such a name is masked, whether librdkafka knows it. */
static const char *const secrets[] = {
    "*password*",
    "*secret*",
    "ssl.key.pem",
    "ssl_key",
    "ssl.certificate.pem",
    "*.jaas.config",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.extensions",
    "*.token",
    "*keytab.password*",
};

bool sink_kafka_property_secret(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
        if (fnmatch(secrets[i], name, FNM_CASEFOLD) == 0) {
            return true;
        }
    }
    return false;
}

void properties_printable(const char *text, char *out, size_t size)
{
    size_t n = 0;
    for (; text[n] != '\0' && n + 1 < size; n++) {
        out[n] = isprint((unsigned char)text[n]) ? text[n] : '?';
    }
    out[n] = '\0';
}

static bool secret(const struct property *property)
{
    return property->secret || sink_kafka_property_secret(property->name);
}

/* Whether `value` is one of "a|b|c", in any case. */
static bool accepted(const char *list, const char *value)
{
    size_t len = strlen(value);
    while (list != NULL) {
        const char *bar = strchrnul(list, '|');
        if ((size_t)(bar - list) == len && strncasecmp(list, value, len) == 0) {
            return true;
        }
        list = *bar == '\0' ? NULL : bar + 1;
    }
    return false;
}

static bool refuse(const struct sink_opts *opts, const struct property *property, struct err *err)
{
    if (opts->transactional && strcmp(property->name, TRANSACTION_TIMEOUT) == 0) {
        return true;
    }
    for (size_t i = 0; i < refusal_count; i++) {
        const struct refusal *refusal = &refusals[i];
        if (fnmatch(refusal->name, property->name, 0) != 0 ||
            accepted(refusal->accept, property->value)) {
            continue;
        }
        bool shown = refusal->accept != NULL && !secret(property);
        err_set(err, ERR_KAFKA_CONFIG, "%s%s%s is refused: %s", property->name, shown ? "=" : "",
                shown ? property->value : "", refusal->why);
        return err_hint(err, "%s", refusal->hint);
    }
    return true;
}

/* Queues below our own limits would push back in librdkafka's place, at another point. */
static bool refuse_small(const struct property *property, const char *name, uint64_t least,
                         struct err *err)
{
    if (strcmp(property->name, name) != 0) {
        return true;
    }
    char *end;
    unsigned long long value = strtoull(property->value, &end, 10);
    if (*end != '\0' || value >= least) {
        return true;
    }
    err_set(err, ERR_KAFKA_CONFIG, "%s=%s is refused: below walferry's own limits in flight", name,
            property->value);
    return err_hint(err,
                    "remove the line, or write at least %llu; to hold less in memory lower "
                    "delivery.max_in_flight_events and delivery.max_in_flight_bytes",
                    (unsigned long long)least);
}

static bool set(rd_kafka_conf_t *conf, const struct property *property, struct err *err)
{
    char reason[512] = "";
    rd_kafka_conf_res_t result =
        rd_kafka_conf_set(conf, property->name, property->value, reason, sizeof(reason));
    if (result == RD_KAFKA_CONF_OK) {
        return true;
    }
    if (result == RD_KAFKA_CONF_UNKNOWN) {
        err_set(err, ERR_KAFKA_CONFIG, "librdkafka %s has no property %s", rd_kafka_version_str(),
                property->name);
        return err_hint(err, "the names are in librdkafka's CONFIGURATION.md; walferry's own keys "
                             "stand outside of sink.kafka");
    }
    if (secret(property)) {
        err_set(err, ERR_KAFKA_CONFIG, "the value of %s is not accepted", property->name);
    } else {
        char line[512];
        properties_printable(reason, line, sizeof(line));
        err_set(err, ERR_KAFKA_CONFIG, "%s: %s", property->name, line);
    }
    return err_hint(err, "see %s in librdkafka's CONFIGURATION.md for the values it takes",
                    property->name);
}

static void set_default(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char reason[256];
    rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, reason, sizeof(reason));
    ASSERT(result == RD_KAFKA_CONF_OK);
}

/* librdkafka's own ceiling for the property. */
#define MESSAGES_MAX UINT64_C(10000000)

static uint64_t least_messages(const struct sink_opts *opts)
{
    uint64_t least = (uint64_t)opts->max_records + 10000;
    return least > MESSAGES_MAX ? MESSAGES_MAX : least;
}

/* The largest message that message.max.bytes may allow passes alone whatever the limit is. */
static uint64_t least_kbytes(const struct sink_opts *opts)
{
    return opts->max_bytes / 1024 + 1;
}

static const char *const defaults[][2] = {
    {"enable.idempotence", "true"},
    /* A batch that the broker refuses ends the producer. Without it librdkafka would go on with the
     * records behind before it is told to stop. */
    {"enable.gapless.guarantee", "true"},
    {"acks", "all"},
    {"message.timeout.ms", "0"},
    {"partitioner", "murmur2_random"},
    {"linger.ms", "5"},
    /* Costs next to nothing on what cannot be compressed, and JSON can. */
    {"compression.type", "lz4"},
    {"socket.nagle.disable", "true"},
    {"socket.keepalive.enable", "true"},
    {"reconnect.backoff.max.ms", "2000"},
    /* An answer "unknown" is an answer: the topic table does the waiting. */
    {"topic.metadata.propagation.max.ms", "0"},
    {"log.queue", "true"},
};

static void set_defaults(const struct sink_opts *opts, rd_kafka_conf_t *conf)
{
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++) {
        set_default(conf, defaults[i][0], defaults[i][1]);
    }
    /* librdkafka's cluster in a box makes topics for whoever asks, and in no other way. */
    set_default(conf, "allow.auto.create.topics", opts->mock ? "true" : "false");
    char text[128];
    snprintf(text, sizeof(text), "walferry-%s", opts->pipeline == NULL ? "" : opts->pipeline);
    set_default(conf, "client.id", text);
    snprintf(text, sizeof(text), "%llu", (unsigned long long)least_messages(opts));
    set_default(conf, "queue.buffering.max.messages", text);
    uint64_t kbytes = least_kbytes(opts) + 1048576;
    snprintf(text, sizeof(text), "%llu",
             (unsigned long long)(kbytes > INT32_MAX ? INT32_MAX : kbytes));
    set_default(conf, "queue.buffering.max.kbytes", text);
}

static bool is_bootstrap(const char *name)
{
    return strcmp(name, "bootstrap.servers") == 0 || strcmp(name, "metadata.broker.list") == 0;
}

static bool set_properties(const struct sink_opts *opts, rd_kafka_conf_t *conf, size_t *ret_index,
                           struct err *err)
{
    bool bootstrap = false;
    for (size_t i = 0; i < opts->property_count; i++) {
        const struct property *property = &opts->properties[i];
        *ret_index = i;
        if (!refuse(opts, property, err) ||
            !refuse_small(property, "queue.buffering.max.messages", least_messages(opts), err) ||
            !refuse_small(property, "queue.buffering.max.kbytes", least_kbytes(opts), err) ||
            !set(conf, property, err)) {
            return false;
        }
        bootstrap = bootstrap || (is_bootstrap(property->name) && property->value[0] != '\0');
    }
    *ret_index = opts->property_count;
    if (!bootstrap) {
        err_set(err, ERR_KAFKA_CONFIG, "no bootstrap.servers are given");
        return err_hint(err, "write `bootstrap.servers: host:9092` under sink.kafka");
    }
    return true;
}

bool properties_linger(const struct sink_opts *opts)
{
    for (size_t i = 0; i < opts->property_count; i++) {
        const char *name = opts->properties[i].name;
        if (strcmp(name, "linger.ms") == 0 || strcmp(name, "queue.buffering.max.ms") == 0) {
            return true;
        }
    }
    return false;
}

uint64_t properties_number(const rd_kafka_conf_t *conf, const char *name)
{
    char text[32];
    size_t size = sizeof(text);
    rd_kafka_conf_res_t result = rd_kafka_conf_get(conf, name, text, &size);
    ASSERT(result == RD_KAFKA_CONF_OK);
    return strtoull(text, NULL, 10);
}

/* librdkafka holds a message no longer than the broker holds its transaction: one that is given up
 * dooms the transaction, and the relay sends all of it again. */
static bool set_transactional(const struct sink_opts *opts, rd_kafka_conf_t *conf,
                              size_t *ret_index, struct err *err)
{
    if (!opts->transactional) {
        return true;
    }
    uint64_t timeout_ms = properties_number(conf, TRANSACTION_TIMEOUT);
    char text[32];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)timeout_ms);
    set_default(conf, "message.timeout.ms", text);
    for (size_t i = 0; i < opts->property_count; i++) {
        if (strcmp(opts->properties[i].name, SOCKET_TIMEOUT) == 0 &&
            properties_number(conf, SOCKET_TIMEOUT) > timeout_ms) {
            *ret_index = i;
            err_set(err, ERR_KAFKA_CONFIG,
                    SOCKET_TIMEOUT "=%s is refused: above " TRANSACTION_TIMEOUT "=%llu, no request "
                                   "could be repeated in time",
                    opts->properties[i].value, (unsigned long long)timeout_ms);
            return err_hint(err, "remove the line, or write at most %llu",
                            (unsigned long long)timeout_ms);
        }
    }
    return true;
}

bool properties_producer(const struct sink_opts *opts, rd_kafka_conf_t **ret_conf,
                         size_t *ret_index, struct err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set_defaults(opts, conf);
    if (!set_properties(opts, conf, ret_index, err) ||
        !set_transactional(opts, conf, ret_index, err)) {
        rd_kafka_conf_destroy(conf);
        return false;
    }
    *ret_conf = conf;
    return true;
}

bool sink_kafka_check(const struct sink_opts *opts, size_t *ret_index, struct err *err)
{
    rd_kafka_conf_t *conf;
    if (!properties_producer(opts, &conf, ret_index, err)) {
        return false;
    }
    rd_kafka_conf_destroy(conf);
    return true;
}

/* What concerns the connection and not the producing. */
static const char *const connection[] = {
    "bootstrap.servers",
    "metadata.broker.list",
    "security.protocol",
    "sasl.*",
    "ssl.*",
    "enable.ssl.*",
    "enable.sasl.*",
    "socket.*",
    "broker.*",
    "client.*",
    "api.version.*",
    "reconnect.*",
    "connections.max.idle.ms",
    "debug",
};

/* librdkafka's log has nowhere to go: what matters comes back as a result. */
static void quiet(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

static void ignore_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    (void)rk;
    (void)code;
    (void)reason;
    (void)opaque;
}

static const char *const reader_settings[][2] = {
    {"group.id", "walferry-reader"}, /* required by the interface; never joined */
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"auto.offset.reset", "error"},
    {"enable.partition.eof", "true"},
    /* That the end is reached shows in the answer to the next fetch, which waits for so long. */
    {"fetch.wait.max.ms", "20"},
    {"queued.max.messages.kbytes", "8192"},
    {"log_level", "0"},
};

bool properties_reader(const struct sink_opts *opts, const char *isolation,
                       rd_kafka_conf_t **ret_conf, struct err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < opts->property_count; i++) {
        bool wanted = false;
        for (size_t j = 0; j < ARRAY_LEN(connection) && !wanted; j++) {
            wanted = fnmatch(connection[j], opts->properties[i].name, 0) == 0;
        }
        if (wanted && !set(conf, &opts->properties[i], err)) {
            rd_kafka_conf_destroy(conf);
            return false;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(reader_settings); i++) {
        set_default(conf, reader_settings[i][0], reader_settings[i][1]);
    }
    set_default(conf, "isolation.level", isolation);
    /* The cluster in a box makes topics for whoever asks, and answers an empty fetch when its time
     * is over, whatever comes. */
    set_default(conf, "allow.auto.create.topics", opts->mock ? "true" : "false");
    if (opts->mock) {
        set_default(conf, "fetch.wait.max.ms", "5");
    }
    rd_kafka_conf_set_log_cb(conf, quiet);
    rd_kafka_conf_set_error_cb(conf, ignore_error);
    *ret_conf = conf;
    return true;
}
