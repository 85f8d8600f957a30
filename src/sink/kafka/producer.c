/* SPDX-License-Identifier: Apache-2.0 */
#include "producer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../ops.h"
#include "outcome.h"
#include "properties.h"
#include "save.h"
#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/failpoint.h"
#include "walferry/sink/kafka.h"

/* Room left in the largest message for key, headers and Kafka's framing of a dead letter. */
#define DEAD_LETTER_MARGIN ((size_t)64 << 10)

static struct producer *of(struct sink *sink)
{
    return (struct producer *)sink;
}

static const struct producer *of_const(const struct sink *sink)
{
    return (const struct producer *)sink;
}

const char *kafka_library_version(void)
{
    static char text[64];
    snprintf(text, sizeof(text), "librdkafka %s", rd_kafka_version_str());
    return text;
}

void producer_detail(struct producer *self, const char *what, const char *reason)
{
    char line[192];
    properties_printable(reason == NULL ? "" : reason, line, sizeof(line));
    snprintf(self->detail, sizeof(self->detail), "%.48s%s%s", what, reason == NULL ? "" : ": ",
             line);
}

void producer_topic_detail(struct producer *self, uint32_t topic, const char *what,
                           const char *reason)
{
    char line[64];
    properties_printable(reason == NULL ? "" : reason, line, sizeof(line));
    snprintf(self->topic_detail, sizeof(self->topic_detail), "topic %.128s %.48s%s%s",
             names_text(&self->topics.names, topic), what, reason == NULL ? "" : ": ", line);
}

void producer_connected(struct producer *self)
{
    self->connected = true;
    self->detail[0] = '\0';
}

void producer_wake(const struct producer *self)
{
    const uint64_t one = 1;
    ssize_t written = write(self->event_fd, &one, sizeof(one));
    (void)written; /* a full counter is readable as well */
}

bool producer_gap(const struct producer *self)
{
    return self->fatal == RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE;
}

/* Always false, like err_set(). */
bool producer_fatal_error(const struct producer *self, struct err *err)
{
    struct outcome outcome = outcome_of_fatal(self->fatal);
    struct verdict verdict;
    verdict_set(&verdict, outcome, NULL, self->opts->transactional ? self->txn.id : NULL);
    err_set(err, outcome.err, "the producer is unusable: %s", outcome_name(self->fatal));
    if (verdict.hint[0] != '\0') {
        return err_hint(err, "%s", verdict.hint);
    }
    switch (outcome.outcome) {
    case SINK_HALT:
        return err_hint(err, "compare the broker's version with what sink.kafka asks for");
    case SINK_BLOCKED:
        return err_hint(err, "grant walferry's Kafka user IdempotentWrite on the cluster and Write "
                             "on the topics: kafka-acls.sh --add --allow-principal ...");
    case SINK_DELIVERED:
    case SINK_RETRY:
    case SINK_SUSPECT:
    case SINK_FATAL:
        break;
    }
    return err_hint(err, "it is replaced, and what was not acknowledged is sent again");
}

enum sink_result producer_unusable(const struct producer *self, struct err *err)
{
    if (producer_gap(self) && self->in_flight > 0) {
        return SINK_BUSY;
    }
    producer_fatal_error(self, err);
    return SINK_FAIL;
}

static void set_transactional_id(const struct producer *self, rd_kafka_conf_t *conf)
{
    char reason[128];
    rd_kafka_conf_res_t result =
        rd_kafka_conf_set(conf, "transactional.id", self->txn.id, reason, sizeof(reason));
    ASSERT(result == RD_KAFKA_CONF_OK);
}

static bool start(struct producer *self, struct err *err)
{
    rd_kafka_conf_t *conf;
    size_t index;
    if (!properties_producer(self->opts, &conf, &index, err)) {
        return false;
    }
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);
    if (self->opts->transactional) {
        set_transactional_id(self, conf);
    }
    char reason[512] = "";
    bool system = FAILPOINT(PRODUCER_CREATE);
    self->rk = system ? NULL : rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    if (self->rk == NULL) {
        rd_kafka_conf_destroy(conf);
        char line[512];
        properties_printable(reason, line, sizeof(line));
        system = system || rd_kafka_last_error() == RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE;
        err_set(err, system ? ERR_OS : ERR_KAFKA_CONFIG, "librdkafka does not start: %s", line);
        return err_hint(err, system ? "look at the limits of threads and files: ulimit -u -n"
                                    : "mend the properties under sink.kafka");
    }
    self->queue = rd_kafka_queue_get_main(self->rk);
    rd_kafka_queue_io_event_enable(self->queue, self->event_fd, &(const uint64_t){1},
                                   sizeof(uint64_t));
    rd_kafka_resp_err_t code = rd_kafka_set_log_queue(self->rk, self->queue);
    ASSERT(code == RD_KAFKA_RESP_ERR_NO_ERROR);
    hurry_for(self->hurry, self->rk);
    return true;
}

rd_kafka_t *producer_release(struct producer *self)
{
    rd_kafka_t *producer = self->rk;
    if (producer == NULL) {
        return NULL;
    }
    hurry_for(self->hurry, NULL);
    if (self->event != NULL) {
        rd_kafka_event_destroy(self->event);
        self->event = NULL;
    }
    for (uint32_t i = 0; i < self->topics.names.count; i++) {
        if (self->topics.items[i].handle != NULL) {
            rd_kafka_topic_destroy(self->topics.items[i].handle);
            self->topics.items[i].handle = NULL;
        }
    }
    if (self->txn.topic != NULL) {
        rd_kafka_topic_destroy(self->txn.topic);
        self->txn.topic = NULL;
        self->txn.topic_known = false;
        self->txn.topic_missing_ns = 0;
    }
    rd_kafka_queue_io_event_enable(self->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(self->queue);
    self->rk = NULL;
    self->queue = NULL;
    return producer;
}

static void stop(struct producer *self)
{
    if (self->opts->transactional) {
        transaction_drop(self);
        return;
    }
    transaction_forget(self);
    rd_kafka_t *producer = producer_release(self);
    if (producer != NULL) {
        producer_destroy(producer);
    }
}

void producer_drop(struct producer *self)
{
    stop(self);
    topics_forget(&self->topics);
    self->fatal = RD_KAFKA_RESP_ERR_NO_ERROR;
    self->in_flight = 0;
    self->probes = 0;
    self->pinging = false;
    self->connected = false;
}

bool producer_renew(struct producer *self, struct err *err)
{
    producer_drop(self);
    return start(self, err);
}

static void kafka_close(struct sink *sink)
{
    if (sink == NULL) {
        return;
    }
    struct producer *self = of(sink);
    transaction_close(self);
    stop(self);
    hurry_free(self->hurry);
    topics_deinit(&self->topics);
    if (self->event_fd >= 0) {
        close(self->event_fd);
    }
    free(self);
}

/* What the properties say, before anything is started. */
static bool read_properties(struct producer *self, struct err *err)
{
    rd_kafka_conf_t *conf;
    size_t index;
    if (!properties_producer(self->opts, &conf, &index, err)) {
        return false;
    }
    self->message_max = properties_number(conf, "message.max.bytes");
    /* A commit flushes by itself. */
    if (!self->opts->transactional && !properties_linger(self->opts)) {
        self->hurry = hurry_new();
    }
    bool ok = transaction_init(self, conf, err);
    rd_kafka_conf_destroy(conf);
    return ok;
}

static bool kafka_open(const struct sink_opts *opts, struct sink **ret_sink, struct err *err)
{
    struct producer *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        return err_set(err, ERR_MEMORY, "no memory for the Kafka sink");
    }
    *self = (struct producer){.sink.ops = &sink_kafka_ops, .opts = opts};
    self->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    bool ok = self->event_fd >= 0 || err_set(err, ERR_OS, "eventfd failed: %s", strerror(errno));
    ok = ok && topics_init(&self->topics, opts, err) && read_properties(self, err) &&
         (opts->transactional || start(self, err));
    if (!ok) {
        kafka_close(&self->sink);
        return false;
    }
    *ret_sink = &self->sink;
    return true;
}

static int kafka_fd(const struct sink *sink)
{
    return of_const(sink)->event_fd;
}

static enum sink_result topic_poison(const struct producer *self, uint32_t topic,
                                     enum topic_step step, struct err *err)
{
    const char *name = names_text(&self->topics.names, topic);
    if (step == TOPIC_BAD_NAME) {
        err_set(err, ERR_ROW_TOPIC, "the broker does not accept \"%s\" as a topic's name", name);
        err_hint(err, "topics whose names differ only by . and _ collide; mend the row or "
                      "route.topic");
        return SINK_POISON;
    }
    err_set(err, ERR_ROW_TOPIC_UNKNOWN,
            "topic \"%s\" does not exist, and sink.topics.create is off", name);
    err_hint(err, "kafka-topics.sh --create --topic %s, or set sink.topics.create: true", name);
    return SINK_POISON;
}

static void tell_waiting(struct producer *self, uint32_t topic)
{
    const struct topic *item = &self->topics.items[topic];
    switch (item->state) {
    case TOPIC_NEW:
    case TOPIC_ASKING:
        producer_topic_detail(self, topic, "is asked for", NULL);
        break;
    case TOPIC_MISSING:
        /* When creating it failed, that was said already. */
        if (!self->topics.create) {
            producer_topic_detail(self, topic, "does not exist", NULL);
        }
        break;
    case TOPIC_CREATING:
        producer_topic_detail(self, topic, "is being created", NULL);
        break;
    case TOPIC_REFUSED:
        producer_topic_detail(self, topic, "is refused", item->reason);
        break;
    case TOPIC_KNOWN:
        break;
    }
}

/* A row that writes positions could make the relay forget others. */
static bool forbidden(const struct producer *self, const struct record *record, struct err *err)
{
    const char *positions = self->opts->position_topic;
    if (positions == NULL || !bytes_is(record->placement.topic, positions)) {
        return false;
    }
    err_set(err, ERR_ROW_TOPIC, "topic \"%s\" is for walferry's own positions", positions);
    err_hint(err, "mend the row or route.topic, or choose another checkpoint.topic");
    return true;
}

/* TAKEN: the topic can be written to. */
static enum sink_result topic_ready(struct producer *self, uint32_t topic, struct err *err)
{
    /* At most ask, learn that it is missing, create. */
    for (int turn = 0; turn < 3; turn++) {
        uint64_t now_ns = clock_mono_ns();
        enum topic_step step = topics_step(&self->topics, topic, now_ns);
        switch (step) {
        case TOPIC_GO:
            return SINK_TAKEN;
        case TOPIC_HOLD:
            tell_waiting(self, topic);
            return SINK_BUSY;
        case TOPIC_ASK:
            asking_topic(self, topic, now_ns);
            break;
        case TOPIC_CREATE:
            tell_waiting(self, topic);
            asking_create(self, topic, now_ns);
            return SINK_BUSY;
        case TOPIC_UNKNOWN:
        case TOPIC_BAD_NAME:
            return topic_poison(self, topic, step, err);
        }
    }
    tell_waiting(self, topic);
    return SINK_BUSY;
}

static enum sink_result kafka_submit(struct sink *sink, const struct record *record, uint64_t tag,
                                     uint32_t *ret_topic, struct err *err)
{
    struct producer *self = of(sink);
    enum transaction_place place = transaction_place(self);
    if (place == TRANSACTION_NOT) {
        return SINK_BUSY;
    }
    ASSERT(self->rk != NULL);
    if (self->fatal != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return producer_unusable(self, err);
    }
    if (forbidden(self, record, err)) {
        return SINK_POISON;
    }
    void *evicted;
    uint32_t topic = topics_get(&self->topics, record->placement.topic, &evicted, err);
    if (evicted != NULL) {
        rd_kafka_topic_destroy(evicted);
    }
    if (topic == NAMES_NONE) {
        return SINK_POISON;
    }
    enum sink_result result = topic_ready(self, topic, err);
    if (result == SINK_TAKEN && place == TRANSACTION_LATER) {
        result = transaction_stage(self, topic, record, tag) ? SINK_TAKEN : SINK_BUSY;
        self->topics.items[topic].taken |= result == SINK_TAKEN;
    } else if (result == SINK_TAKEN) {
        result = produce(self, topic, record, tag, err);
        if (result == SINK_TAKEN) {
            transaction_taken(self, tag);
        }
    }
    if (result == SINK_TAKEN) {
        *ret_topic = topic;
    }
    return result;
}

static size_t kafka_collect(struct sink *sink, struct sink_report *reports, size_t max)
{
    return report_collect(of(sink), reports, max);
}

static bool kafka_tick(struct sink *sink, uint64_t now_ns, struct err *err)
{
    struct producer *self = of(sink);
    /* While reports are outstanding they tell it, and while it is claimed the claim does. */
    if (self->fatal != RD_KAFKA_RESP_ERR_NO_ERROR && self->in_flight == 0 &&
        self->txn.phase != TRANSACTION_CLAIMING) {
        return producer_fatal_error(self, err);
    }
    if (!self->connected && self->rk != NULL) {
        asking_ping(self, now_ns);
    }
    return transaction_tick(self, now_ns, err);
}

static bool kafka_reset(struct sink *sink, struct err *err)
{
    struct producer *self = of(sink);
    producer_drop(self);
    return self->opts->transactional || start(self, err);
}

static bool kafka_claim(struct sink *sink, const struct sink_identity *identity, struct err *err)
{
    return transaction_claim(of(sink), identity, err);
}

static struct bytes kafka_position(const struct sink *sink)
{
    return of_const(sink)->txn.position;
}

static enum sink_result kafka_save(struct sink *sink, struct bytes position, struct err *err)
{
    return save_begin(of(sink), position, err);
}

static void kafka_hurry(struct sink *sink, uint64_t now_ns)
{
    hurry_ask(of(sink)->hurry, now_ns);
}

static const char *kafka_topic_name(const struct sink *sink, uint32_t topic)
{
    return names_text(&of_const(sink)->topics.names, topic);
}

static void kafka_state(const struct sink *sink, struct sink_state *ret_state)
{
    const struct producer *self = of_const(sink);
    *ret_state = (struct sink_state){.connected = self->connected,
                                     .retries = self->retries,
                                     .topics = topics_known(&self->topics),
                                     .pending = self->in_flight + self->txn.stage.count,
                                     .library = kafka_library_version()};
    if (transaction_detail(self, ret_state->detail, sizeof(ret_state->detail))) {
        return;
    }
    bool topic = self->connected && self->topic_detail[0] != '\0';
    snprintf(ret_state->detail, sizeof(ret_state->detail), "%s",
             topic ? self->topic_detail : self->detail);
}

static size_t kafka_value_max(const struct sink *sink)
{
    size_t max = of_const(sink)->message_max;
    return max > 2 * DEAD_LETTER_MARGIN ? max - DEAD_LETTER_MARGIN : max / 2;
}

const struct sink_ops sink_kafka_ops = {
    .name = "kafka",
    .open = kafka_open,
    .close = kafka_close,
    .fd = kafka_fd,
    .submit = kafka_submit,
    .collect = kafka_collect,
    .tick = kafka_tick,
    .reset = kafka_reset,
    .claim = kafka_claim,
    .position = kafka_position,
    .save = kafka_save,
    .hurry = kafka_hurry,
    .topic_name = kafka_topic_name,
    .state = kafka_state,
    .value_max = kafka_value_max,
    .volatile_acks = false,
};
