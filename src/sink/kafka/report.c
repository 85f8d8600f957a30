/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "outcome.h"
#include "producer.h"
#include "properties.h"
#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/failpoint.h"
#include "walferry/base/log.h"

/* Events that are no reports, in one collect(). */
#define EVENTS_MAX 1000

static struct sink_report report_of(struct producer *self, const rd_kafka_message_t *message)
{
    rd_kafka_resp_err_t code = message->err;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        discard(FAILPOINT(DR_ERR));
    } else if (FAILPOINT(DR_OK)) {
        code = RD_KAFKA_RESP_ERR__FAIL;
    }
    struct outcome outcome =
        self->opts->transactional ? outcome_in_transaction(code) : outcome_of(code);
    if (outcome.outcome != SINK_DELIVERED) {
        self->fatal = rd_kafka_fatal_error(self->rk, NULL, 0);
        /* What a broken producer gives back bears codes of the aftermath; the cause decides. Of a
         * gap, that is the first report that failed. */
        if (self->fatal != RD_KAFKA_RESP_ERR_NO_ERROR && !producer_gap(self)) {
            code = self->fatal;
            outcome = outcome_of_fatal(code);
        }
    }
    return (struct sink_report){.tag = (uint64_t)(uintptr_t)message->_private,
                                .outcome = outcome.outcome,
                                .code = outcome.err,
                                .error =
                                    outcome.outcome == SINK_DELIVERED ? NULL : outcome_name(code)};
}

static void note(struct producer *self, const rd_kafka_message_t *message)
{
    ASSERT(self->in_flight > 0);
    self->in_flight--;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (!self->connected) {
            producer_connected(self);
        }
        return;
    }
    producer_detail(self, "delivery failed", outcome_name(message->err));
    if (message->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        message->err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) {
        uint32_t topic =
            names_find(&self->topics.names, bytes_str(rd_kafka_topic_name(message->rkt)));
        /* The topic of positions is none of these; its report tells the relay. */
        if (topic != NAMES_NONE) {
            topics_gone(&self->topics, topic, clock_mono_ns());
        }
    }
}

static void probe_answered(struct producer *self, const rd_kafka_message_t *message)
{
    ASSERT(self->probes > 0);
    self->probes--;
    /* The place may be another topic's by now. */
    uint32_t topic = names_find(&self->topics.names, bytes_str(rd_kafka_topic_name(message->rkt)));
    if ((int)message->err >= 0 || message->err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION) {
        producer_connected(self);
    }
    if (topic != NAMES_NONE) {
        asking_probed(self, topic, message->err, clock_mono_ns());
        producer_wake(self);
    }
}

/* As many reports as fit; the event remembers where it stopped. */
static size_t take_reports(struct producer *self, struct sink_report *reports, size_t max)
{
    size_t n = 0;
    while (n < max) {
        const rd_kafka_message_t *message = rd_kafka_event_message_next(self->event);
        if (message == NULL) {
            rd_kafka_event_destroy(self->event);
            self->event = NULL;
            break;
        }
        if (message->partition == PROBE_PARTITION) {
            probe_answered(self, message);
            continue;
        }
        reports[n] = report_of(self, message);
        note(self, message);
        n += transaction_keeps(self, &reports[n]) ? 0 : 1;
    }
    return n;
}

static void on_error(struct producer *self, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    self->retries++;
    transaction_disturbed(self);
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        self->fatal = rd_kafka_fatal_error(self->rk, NULL, 0);
        producer_detail(self, "the producer is unusable", outcome_name(self->fatal));
        return;
    }
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        self->connected = false;
        if (self->detail[0] == '\0') {
            producer_detail(self, "no broker can be reached", NULL);
        }
        return;
    }
    producer_detail(self, outcome_name(code), rd_kafka_event_error_string(event));
}

static void on_log(struct producer *self, rd_kafka_event_t *event)
{
    const char *facility;
    const char *text;
    int level;
    if (rd_kafka_event_log(event, &facility, &text, &level) != 0) {
        return;
    }
    /* Names the topic, which no error of a transaction does. */
    if (strcmp(facility, "ADDPARTS") == 0) {
        transaction_trouble(self, text);
    }
    log_debug("librdkafka", F_STR("facility", facility), F_STR("text", text));
}

static void on_event(struct producer *self, rd_kafka_event_t *event)
{
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_ERROR:
        on_error(self, event);
        break;
    case RD_KAFKA_EVENT_LOG:
        on_log(self, event);
        break;
    case RD_KAFKA_EVENT_CREATETOPICS_RESULT:
        asking_created(self, event, clock_mono_ns());
        producer_wake(self);
        break;
    case RD_KAFKA_EVENT_LISTCONSUMERGROUPS_RESULT:
        asking_pinged(self, event);
        break;
    default:
        break;
    }
}

size_t report_collect(struct producer *self, struct sink_report *reports, size_t max)
{
    uint64_t signals;
    ssize_t drained = read(self->event_fd, &signals, sizeof(signals));
    (void)drained;
    transaction_look(self);
    size_t n = 0;
    unsigned events = 0;
    while (n < max && events++ < EVENTS_MAX) {
        if (self->event == NULL && self->queue != NULL) {
            self->event = rd_kafka_queue_poll(self->queue, 0);
        }
        if (self->event == NULL) {
            return n + transaction_collect(self, reports + n, max - n);
        }
        if (rd_kafka_event_type(self->event) == RD_KAFKA_EVENT_DR) {
            n += take_reports(self, reports + n, max - n);
            continue;
        }
        on_event(self, self->event);
        rd_kafka_event_destroy(self->event);
        self->event = NULL;
    }
    /* librdkafka signals only when its queue was empty: keep the descriptor readable ourselves. */
    producer_wake(self);
    return n;
}
