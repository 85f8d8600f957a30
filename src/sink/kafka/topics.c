/* SPDX-License-Identifier: Apache-2.0 */
#include "topics.h"

#include <ctype.h>
#include <stdlib.h>

#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/model/record.h"

#define ASK_FIRST_NS (50 * NS_PER_MS)
/* A broker that knows of a new topic need not lead its partitions yet: it refuses a first batch and
 * may take the second, because it has no sequence to compare it with. */
#define CREATED_NS (100 * NS_PER_MS)
#define ASK_MAX_NS (2 * NS_PER_S)
#define MADE_TRIES 6
/* How long a partition that a row names may take to show up in the metadata, and how long the
 * answer "there is none" holds for the rows behind. */
#define PARTITION_WAIT_NS    (1 * NS_PER_S)
#define PARTITION_VERDICT_NS (10 * NS_PER_S)

bool topics_init(struct topics *topics, const struct sink_opts *opts, struct err *err)
{
    *topics = (struct topics){.exempt = opts->dead_letter_topic,
                              .limit = opts->topics_max == 0 ? 1 : opts->topics_max,
                              .create = opts->topics_create,
                              .wait_ns = opts->topics_wait_ms * NS_PER_MS};
    if (!names_init(&topics->names, topics->limit + 1, err)) {
        return false;
    }
    topics->items = calloc(topics->limit + 1, sizeof(*topics->items));
    if (topics->items == NULL) {
        topics_deinit(topics);
        err_set(err, ERR_MEMORY, "no memory for a table of %u topics", topics->limit);
        return err_hint(err, "lower sink.topics.max");
    }
    return true;
}

void topics_deinit(struct topics *topics)
{
    names_deinit(&topics->names);
    free(topics->items);
    topics->items = NULL;
}

static bool name_valid(struct bytes name)
{
    if (name.len == 0 || name.len > TOPIC_NAME_MAX || bytes_is(name, ".") || bytes_is(name, "..")) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && c != '.' && c != '_' && c != '-') {
            return false;
        }
    }
    return true;
}

static bool is_exempt(const struct topics *topics, struct bytes name)
{
    return topics->exempt != NULL && bytes_is(name, topics->exempt);
}

/* Places in use by topics that count. */
static uint32_t counted(const struct topics *topics)
{
    uint32_t number =
        topics->exempt == NULL ? NAMES_NONE : names_find(&topics->names, bytes_str(topics->exempt));
    return topics->names.count - (number == NAMES_NONE ? 0 : 1);
}

/* A row can name any topic; those that do not exist must not use up the places of those that do. */
static uint32_t evict(struct topics *topics, struct bytes name)
{
    for (uint32_t i = 0; i < topics->names.count; i++) {
        const struct topic *topic = &topics->items[i];
        bool useless = !topic->taken && (topic->verdict_ns != 0 || topic->invalid);
        if (useless && !is_exempt(topics, bytes_str(names_text(&topics->names, i)))) {
            names_replace(&topics->names, i, name);
            return i;
        }
    }
    return NAMES_NONE;
}

uint32_t topics_get(struct topics *topics, struct bytes name, void **ret_evicted, struct err *err)
{
    *ret_evicted = NULL;
    uint32_t number = name.len <= TOPIC_NAME_MAX ? names_find(&topics->names, name) : NAMES_NONE;
    if (number != NAMES_NONE) {
        return number;
    }
    if (!name_valid(name)) {
        err_set(err, ERR_ROW_TOPIC,
                "the topic name has %zu bytes, or characters that Kafka forbids", name.len);
        err_hint(err, "topic names are 1 to 249 of A-Z a-z 0-9 . _ -; mend the row or route.topic");
        return NAMES_NONE;
    }
    if (is_exempt(topics, name) || counted(topics) < topics->limit) {
        return names_add(&topics->names, name);
    }
    number = evict(topics, name);
    if (number == NAMES_NONE) {
        err_set(err, ERR_ROW_TOPIC_LIMIT, "topic \"%.*s\" would be one more than the %u allowed",
                BYTES_FMT(name), topics->limit);
        err_hint(err, "raise sink.topics.max, or mend the rows or the template of route.topic");
        return NAMES_NONE;
    }
    *ret_evicted = topics->items[number].handle;
    topics->items[number] = (struct topic){0};
    return number;
}

/* 50 ms, 100 ms, ... 2 s. */
static void schedule(struct topic *topic, uint64_t now_ns)
{
    uint64_t pause = ASK_FIRST_NS << (topic->tries < 6 ? topic->tries : 6);
    topic->next_ns = now_ns + (pause > ASK_MAX_NS ? ASK_MAX_NS : pause);
    topic->tries++;
}

static enum topic_step ask_when_due(struct topic *topic, uint64_t now_ns, enum topic_step otherwise)
{
    if (now_ns < topic->next_ns) {
        return otherwise;
    }
    schedule(topic, now_ns);
    return TOPIC_ASK;
}

static enum topic_step step_missing(struct topics *topics, struct topic *topic, uint64_t now_ns)
{
    if (topics->create) {
        if (now_ns < topic->next_ns) {
            return TOPIC_HOLD;
        }
        topic->state = TOPIC_CREATING;
        schedule(topic, now_ns);
        return TOPIC_CREATE;
    }
    if (topic->verdict_ns == 0 && now_ns - topic->missing_ns >= topics->wait_ns) {
        topic->verdict_ns = now_ns + topics->wait_ns;
        return TOPIC_UNKNOWN;
    }
    if (topic->verdict_ns != 0 && now_ns >= topic->verdict_ns) {
        topic->verdict_ns = 0;
        topic->missing_ns = now_ns;
        topic->tries = 0;
    }
    return ask_when_due(topic, now_ns, topic->verdict_ns != 0 ? TOPIC_UNKNOWN : TOPIC_HOLD);
}

enum topic_step topics_step(struct topics *topics, uint32_t number, uint64_t now_ns)
{
    struct topic *topic = &topics->items[number];
    if (topic->invalid) {
        return TOPIC_BAD_NAME;
    }
    switch (topic->state) {
    case TOPIC_KNOWN:
        return TOPIC_GO;
    case TOPIC_NEW:
        topic->state = TOPIC_ASKING;
        topic->tries = 0;
        schedule(topic, now_ns);
        return TOPIC_ASK;
    case TOPIC_ASKING:
    case TOPIC_REFUSED:
        return ask_when_due(topic, now_ns, TOPIC_HOLD);
    case TOPIC_CREATING:
        return TOPIC_HOLD;
    case TOPIC_MISSING:
        return step_missing(topics, topic, now_ns);
    }
    UNREACHABLE();
}

void topics_exists(struct topics *topics, uint32_t number)
{
    struct topic *topic = &topics->items[number];
    *topic = (struct topic){.state = TOPIC_KNOWN,
                            .taken = topic->taken,
                            .partition_ns = topic->partition_ns,
                            .handle = topic->handle};
}

void topics_missing(struct topics *topics, uint32_t number, uint64_t now_ns)
{
    struct topic *topic = &topics->items[number];
    if (topic->state == TOPIC_CREATING || topic->state == TOPIC_MISSING) {
        return;
    }
    bool asking = topic->state == TOPIC_ASKING;
    /* Just made, and not yet told to every broker: asking is enough for a while. */
    if (asking && topics->create && topic->missing_ns != 0 && topic->tries < MADE_TRIES) {
        return;
    }
    topic->state = TOPIC_MISSING;
    topic->missing_ns = topic->missing_ns == 0 ? now_ns : topic->missing_ns;
    if (asking) {
        topic->next_ns = topics->create ? now_ns : now_ns + ASK_FIRST_NS;
    }
}

void topics_refused(struct topics *topics, uint32_t number, const char *reason, uint64_t now_ns)
{
    struct topic *topic = &topics->items[number];
    topic->state = TOPIC_REFUSED;
    topic->reason = reason;
    if (topic->next_ns <= now_ns) {
        schedule(topic, now_ns);
    }
}

void topics_created(struct topics *topics, uint32_t number, uint64_t now_ns)
{
    struct topic *topic = &topics->items[number];
    topic->state = TOPIC_ASKING;
    topic->tries = 0;
    topic->next_ns = now_ns + CREATED_NS;
}

void topics_bad_name(struct topics *topics, uint32_t number)
{
    topics->items[number].state = TOPIC_MISSING;
    topics->items[number].invalid = true;
}

void topics_create_failed(struct topics *topics, uint32_t number, uint64_t now_ns)
{
    struct topic *topic = &topics->items[number];
    topic->state = TOPIC_MISSING;
    schedule(topic, now_ns);
}

void topics_gone(struct topics *topics, uint32_t number, uint64_t now_ns)
{
    struct topic *topic = &topics->items[number];
    *topic = (struct topic){
        .state = TOPIC_ASKING, .taken = topic->taken, .next_ns = now_ns, .handle = topic->handle};
}

bool topics_partition_unknown(struct topics *topics, uint32_t number, uint64_t now_ns)
{
    struct topic *topic = &topics->items[number];
    if (topic->partition_ns == 0 || now_ns >= topic->partition_ns + PARTITION_VERDICT_NS) {
        topic->partition_ns = now_ns + PARTITION_WAIT_NS;
    }
    return now_ns >= topic->partition_ns;
}

void topics_forget(struct topics *topics)
{
    for (uint32_t i = 0; i < topics->names.count; i++) {
        struct topic *topic = &topics->items[i];
        bool verdict = topic->state == TOPIC_MISSING;
        topic->handle = NULL;
        topic->partition_ns = 0;
        if (!verdict) {
            topic->state = TOPIC_NEW;
        }
    }
}

uint32_t topics_known(const struct topics *topics)
{
    uint32_t known = 0;
    for (uint32_t i = 0; i < topics->names.count; i++) {
        known += topics->items[i].state == TOPIC_KNOWN ? 1 : 0;
    }
    return known;
}
