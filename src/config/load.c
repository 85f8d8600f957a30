/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "walferry/base/assert.h"
#include "walferry/base/fd.h"
#include "walferry/base/parse.h"
#include "yaml_read.h"

#define DIRECTORY_DEFAULT "./walferry-state"

static void derive_text(const char **member, const char *text)
{
    if (*member == NULL) {
        *member = text;
    }
}

/* systemd sets it to one directory or several, separated by colons. */
static const char *state_directory(struct pool *pool)
{
    const char *directories = getenv("STATE_DIRECTORY");
    if (directories == NULL || directories[0] == '\0' || directories[0] == ':') {
        return DIRECTORY_DEFAULT;
    }
    return pool_text(pool, directories, strcspn(directories, ":"));
}

static void derive_reserved(struct load *load)
{
    struct config *config = load->config;
    const char **reserved = pool_alloc(load->pool, 2 * sizeof(*reserved));
    if (reserved != NULL) {
        reserved[0] = config->checkpoint_topic;
        reserved[1] = config->delivery.dead_letter_topic;
        config->route.reserved = reserved;
        config->route.reserved_count = 2;
    }
}

/* As librdkafka has it by default. */
#define TRANSACTION_TIMEOUT_MS 60000

static uint64_t transaction_timeout_ms(const struct sink_opts *sink)
{
    uint64_t timeout_ms = TRANSACTION_TIMEOUT_MS;
    for (size_t i = 0; i < sink->property_count; i++) {
        const struct property *property = &sink->properties[i];
        if (strcmp(property->name, "transaction.timeout.ms") == 0) {
            discard(parse_u64(bytes_str(property->value), &timeout_ms));
        }
    }
    return timeout_ms;
}

static void derive_position(struct load *load)
{
    struct config *config = load->config;
    config->delivery.transaction_timeout_ms = transaction_timeout_ms(&config->sink);
    config->sink.transactional = config->delivery.guarantee == EXACTLY_ONCE;
    if (config->sink.transactional && tree_find(load->root, "checkpoint.store") == NULL) {
        config->store = STORE_KAFKA;
    }
    if (config->store == STORE_KAFKA) {
        config->sink.position_topic = config->checkpoint_topic;
    }
}

static const char *forget(struct load *load)
{
    const struct config *config = load->config;
    const char *slot = config->source.slot;
    switch (config->store) {
    case STORE_FILE:
        return pool_printf(load->pool,
                           "remove the files %s.checkpoint and %s.checkpoint.previous from the "
                           "checkpoint directory",
                           config->name, config->name);
    case STORE_KAFKA:
        return pool_printf(
            load->pool,
            "write a record with the key %s/SYSTEM_IDENTIFIER/%s (of the server that "
            "it was made with) and no value to partition 0 of the topic %s",
            config->name, slot, config->checkpoint_topic);
    case STORE_SLOT:
        return pool_printf(load->pool, "drop the slot (SELECT pg_drop_replication_slot('%s'))",
                           slot);
    }
    UNREACHABLE();
}

/* What is named after the pipeline, and options that one module wants of another. */
static void derive(struct load *load)
{
    struct config *config = load->config;
    struct pool *pool = load->pool;
    derive_text(&config->name, "");
    derive_text(&config->source.slot, pool_printf(pool, "walferry_%s", config->name));
    derive_text(&config->source.publication, pool_printf(pool, "walferry_%s", config->name));
    derive_text(&config->envelope.source, pool_printf(pool, "/%s", config->name));
    derive_text(&config->delivery.dead_letter_topic,
                pool_printf(pool, "%s.dead-letter", config->name));
    derive_text(&config->checkpoint.directory, state_directory(pool));
    config->source.pipeline = config->name;
    config->checkpoint.pipeline = config->name;
    config->sink.pipeline = config->name;
    config->sink.dead_letter_topic = config->delivery.dead_letter_topic;
    config->sink.max_records = config->delivery.max_in_flight_events;
    config->sink.max_bytes = config->delivery.max_in_flight_bytes;
    if (tree_find(load->root, "sink.stdout") != NULL) {
        config->sink.kind = SINK_STDOUT;
    } else if (tree_find(load->root, "sink.file") != NULL) {
        config->sink.kind = SINK_FILE;
    }
    config->source.temporary = config->sink.kind == SINK_STDOUT;
    config->http_enabled = strcmp(config->http.listen, "off") != 0;
    derive_reserved(load);
    derive_position(load);
    config->source.forget = forget(load);
}

/* An entry is a message entry when it says so; the walk cannot know by the member alone. */
static void derive_kinds(struct load *load)
{
    const struct node *list = tree_find(load->root, "capture");
    const struct node *node = list == NULL || list->kind != NODE_LIST ? NULL : list->first;
    for (size_t i = 0; i < load->config->capture_count && node != NULL; i++, node = node->next) {
        bool messages = node_child(node, "messages") != NULL && node_child(node, "outbox") == NULL;
        load->entries[i].kind = messages ? CAPTURE_MESSAGES : CAPTURE_OUTBOX;
    }
}

static bool load_tree(struct load *load, struct bytes text, const char *const *sets,
                      size_t set_count)
{
    load->root = yaml_read(text, load->pool, load->faults);
    if (load->root == NULL) {
        return false;
    }
    for (size_t i = 0; i < set_count; i++) {
        tree_set(load->pool, load->root, sets[i], load->faults);
    }
    walk_config(load);
    if (load->root->kind == NODE_MAP) {
        derive_kinds(load);
        derive(load);
        check_config(load);
    }
    if (load->pool->failed) {
        err_hint(
            fault(load->faults, (struct mark){0}, ERR_MEMORY, "no memory for the configuration"),
            "give the process more memory, or make the configuration smaller");
    }
    return !faults_any(load->faults);
}

bool config_load_text(const char *path, struct bytes text, const char *const *sets,
                      size_t set_count, struct config **ret_config,
                      struct config_problems *ret_problems)
{
    ASSERT(path != NULL && ret_config != NULL && ret_problems != NULL);
    struct faults faults;
    faults_init(&faults, path, ret_problems);
    struct pool *pool = pool_new();
    struct config *config = pool == NULL ? NULL : pool_alloc(pool, sizeof(*config));
    if (config == NULL) {
        pool_free(pool);
        fault(&faults, (struct mark){0}, ERR_MEMORY, "no memory for the configuration");
        return false;
    }
    config->owned = pool;
    config->path = pool_text(pool, path, strlen(path));
    struct load load = {.pool = pool, .faults = &faults, .config = config};
    if (!load_tree(&load, text, sets, set_count)) {
        ASSERT(faults_any(&faults));
        faults_sort(&faults);
        pool_free(pool);
        return false;
    }
    *ret_config = config;
    return true;
}

static bool read_file(const char *path, struct buf *out)
{
    int fd AUTO(fd_close) = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    while (out->len <= YAML_SIZE_MAX) {
        uint8_t *room = buf_reserve(out, 65536);
        if (room == NULL) {
            errno = ENOMEM;
            return false;
        }
        ssize_t got = read(fd, room, 65536);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got == 0;
        }
        out->len += (size_t)got;
    }
    return true;
}

bool config_load(const char *path, const char *const *sets, size_t set_count,
                 struct config **ret_config, struct config_problems *ret_problems)
{
    struct buf text AUTO(buf_deinit);
    buf_init(&text, YAML_SIZE_MAX + (size_t)4 * 65536);
    if (!read_file(path, &text)) {
        struct faults faults;
        int error = errno;
        faults_init(&faults, path, ret_problems);
        if (error == ENOMEM) {
            fault(&faults, (struct mark){0}, ERR_MEMORY, "no memory for the configuration");
            return false;
        }
        err_hint(fault(&faults, (struct mark){0}, ERR_CONFIG_FILE,
                       "the configuration cannot be read: %s", strerror(error)),
                 "check -c FILE (or WALFERRY_CONFIG), and that the user that walferry runs as may "
                 "read it: ls -l %.200s",
                 path);
        return false;
    }
    return config_load_text(path, buf_bytes(&text), sets, set_count, ret_config, ret_problems);
}

void config_free(struct config *config)
{
    if (config != NULL) {
        pool_free(config->owned);
    }
}
