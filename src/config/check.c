/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that concern more than one key: envelope, delivery, checkpoint, sink. */
#include "load.h"
#include "walferry/base/assert.h"

static struct mark mark_at(const struct load *load, const char *path)
{
    const struct node *node = tree_find(load->root, path);
    return node == NULL ? load->root->mark : node_key_mark(node);
}

static void check_envelope(struct load *load)
{
    const struct node *mode = tree_find(load->root, "envelope.mode");
    if (mode != NULL && load->config->envelope.format != ENVELOPE_CLOUDEVENTS) {
        err_hint(fault(load->faults, mode->key_mark, ERR_CONFIG_CONTRADICTION,
                       "`mode` has a meaning in the format cloudevents only"),
                 "remove `mode`, or write `format: cloudevents`");
    }
}

/* A transaction that the coordinator ends looks like one that another instance fenced. */
static void check_commit_interval(struct load *load)
{
    uint64_t limit_ms = load->config->delivery.transaction_timeout_ms / 3;
    const struct node *interval = tree_find(load->root, "delivery.commit_interval");
    struct mark mark = interval == NULL ? mark_at(load, "delivery.guarantee") : interval->mark;
    if (load->config->delivery.commit_interval_ms > limit_ms) {
        err_hint(fault(load->faults, mark, ERR_CONFIG_CONTRADICTION,
                       "`commit_interval` is more than a third of transaction.timeout.ms: the "
                       "broker could end a transaction that is still in work"),
                 "write at most %llums, or raise transaction.timeout.ms under sink.kafka",
                 (unsigned long long)limit_ms);
    }
}

static void check_store(struct load *load)
{
    const struct config *config = load->config;
    if (config->store == STORE_KAFKA && config->sink.kind != SINK_KAFKA) {
        err_hint(fault(load->faults, mark_at(load, "checkpoint.store"), ERR_CONFIG_CONTRADICTION,
                       "the store kafka needs the sink kafka"),
                 "write `store: file`, or take the sink kafka");
    }
}

static void check_guarantee(struct load *load)
{
    const struct config *config = load->config;
    const struct node *store = tree_find(load->root, "checkpoint.store");
    if (config->delivery.guarantee != EXACTLY_ONCE) {
        check_store(load);
        return;
    }
    check_commit_interval(load);
    if (store != NULL && config->store != STORE_KAFKA) {
        err_hint(fault(load->faults, store->mark, ERR_CONFIG_CONTRADICTION,
                       "exactly_once keeps its position in Kafka, in the transaction itself"),
                 "remove `store`, or write `store: kafka`");
    }
    if (config->sink.kind != SINK_KAFKA) {
        err_hint(fault(load->faults, mark_at(load, "delivery.guarantee"), ERR_CONFIG_CONTRADICTION,
                       "exactly_once needs the sink kafka"),
                 "write `guarantee: at_least_once`, or take the sink kafka");
    }
}

static void check_topics_apart(struct load *load)
{
    const struct config *config = load->config;
    if (strcmp(config->delivery.dead_letter_topic, config->checkpoint_topic) == 0) {
        const struct node *node = tree_find(load->root, "delivery.dead_letter_topic");
        struct mark mark = node == NULL ? mark_at(load, "checkpoint.topic") : node->mark;
        err_hint(fault(load->faults, mark, ERR_CONFIG_CONTRADICTION,
                       "dead letters and checkpoints cannot share the topic \"%.100s\"",
                       config->checkpoint_topic),
                 "the defaults are <name>.dead-letter and walferry.checkpoints");
    }
}

/* Partitions and replicas: the broker's default, or at least one. */
static void check_counts(struct load *load)
{
    static const char *const paths[] = {"sink.topics.partitions", "sink.topics.replication_factor"};
    const int32_t values[] = {load->config->sink.topics_partitions,
                              load->config->sink.topics_replication};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        const struct node *node = tree_find(load->root, paths[i]);
        if (node != NULL && values[i] == 0) {
            err_hint(fault(load->faults, node->mark, ERR_CONFIG_VALUE,
                           "a topic cannot have 0 of `%s`", node->key),
                     "write -1 for the broker's default, or 1 and more");
        }
    }
}

/* The check stops at the first property at fault: take it out and check again. `missing`: the
 * brokers are, which was said. */
static void check_properties(struct load *load, bool missing)
{
    struct sink_opts opts = load->config->sink;
    size_t count = opts.property_count;
    struct property *properties = pool_alloc(load->pool, count * sizeof(*properties));
    const struct node **nodes = pool_alloc(load->pool, count * sizeof(*nodes));
    if (properties == NULL || nodes == NULL || count == 0) {
        return;
    }
    memcpy(properties, opts.properties, count * sizeof(*properties));
    memcpy(nodes, load->property_nodes, count * sizeof(*nodes));
    opts.properties = properties;
    struct err err = ERR_INIT;
    size_t index = SIZE_MAX;
    while (!sink_kafka_check(&opts, &index, &err)) {
        if (index >= opts.property_count) {
            if (!missing) {
                faults_take(load->faults, mark_at(load, "sink.kafka"), &err);
            }
            return;
        }
        faults_take(load->faults, nodes[index]->mark, &err);
        opts.property_count--;
        for (size_t i = index; i < opts.property_count; i++) {
            properties[i] = properties[i + 1];
            nodes[i] = nodes[i + 1];
        }
        index = SIZE_MAX;
    }
}

static void check_kafka(struct load *load, const struct node *kafka)
{
    if (kafka->kind != NODE_MAP) {
        return;
    }
    bool missing = node_child(kafka, "bootstrap.servers") == NULL &&
                   node_child(kafka, "metadata.broker.list") == NULL;
    if (missing) {
        err_hint(fault(load->faults, kafka->key_mark, ERR_CONFIG_MISSING,
                       "the property `bootstrap.servers` is missing"),
                 "for example `bootstrap.servers: 127.0.0.1:9092`");
    }
    check_properties(load, missing);
}

static void check_sink(struct load *load)
{
    static const char *const kinds[] = {"kafka", "stdout", "file"};
    const struct node *sink = tree_find(load->root, "sink");
    const struct node *chosen = NULL;
    if (sink == NULL || sink->kind != NODE_MAP) {
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const struct node *node = node_child(sink, kinds[i]);
        if (node != NULL && chosen != NULL) {
            err_hint(fault(load->faults, node->key_mark, ERR_CONFIG_CONTRADICTION,
                           "two sinks, `%s` and `%s`", chosen->key, node->key),
                     "keep one of them: a pipeline has one sink");
        }
        chosen = chosen == NULL ? node : chosen;
    }
    if (chosen == NULL) {
        err_hint(fault(load->faults, sink->key_mark, ERR_CONFIG_MISSING, "there is no sink"),
                 "write one of `kafka`, `stdout` and `file` under `sink`; for example `kafka: "
                 "{bootstrap.servers: \"127.0.0.1:9092\"}`");
        return;
    }
    const struct node *topics = node_child(sink, "topics");
    if (strcmp(chosen->key, "kafka") == 0) {
        check_kafka(load, chosen);
    } else if (topics != NULL) {
        err_hint(fault(load->faults, topics->key_mark, ERR_CONFIG_CONTRADICTION,
                       "`topics` has a meaning for the sink kafka only"),
                 "remove `topics`, or take the sink kafka");
    }
}

void check_config(struct load *load)
{
    ASSERT(load->root->kind == NODE_MAP);
    check_captures(load);
    check_rules(load);
    check_envelope(load);
    check_guarantee(load);
    check_topics_apart(load);
    check_counts(load);
    check_sink(load);
}
