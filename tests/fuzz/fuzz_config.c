/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configurations come from people, and values from whoever runs the program. Whatever the text: it
 * becomes a configuration that is whole, or faults that each say place and remedy, in the order of
 * the file. What stands behind a NUL byte is a --set. Redaction never lets a line grow without end.
 */
#include <stdlib.h>

#include "walferry/base/assert.h"
#include "walferry/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore_difference(void *context, const char *path, bool hot)
{
    (void)hot;
    ASSERT(context == NULL && path[0] != '\0');
    ASSERT(false);
}

static void check_whole(const struct config *config)
{
    ASSERT(config->name[0] != '\0' && strlen(config->name) <= PIPELINE_NAME_MAX);
    ASSERT(config->source.slot[0] != '\0' && strlen(config->source.slot) <= SLOT_NAME_MAX);
    ASSERT(config->capture_count > 0);
    for (size_t i = 0; i < config->capture_count; i++) {
        ASSERT(config->captures[i].name[0] != '\0' && config->captures[i].preset < PRESET_COUNT);
    }
    for (size_t i = 0; i < config->route.rule_count; i++) {
        ASSERT((config->route.rules[i].topic == NULL) == config->route.rules[i].drop);
    }
    ASSERT(config->delivery.max_in_flight_events > 0 && config->delivery.max_in_flight_bytes > 0);
    ASSERT(topic_name_valid(bytes_str(config->delivery.dead_letter_topic)));
    ASSERT((config->sink.kind == SINK_FILE) <= (config->sink.path != NULL));
    config_compare(config, config, ignore_difference, NULL);
}

static void check_faults(const struct config_problems *problems)
{
    ASSERT(problems->count > 0 && problems->count <= CONFIG_PROBLEMS_MAX);
    for (size_t i = 0; i < problems->count; i++) {
        const struct err *err = &problems->items[i];
        ASSERT(err_class(err->code) == ERR_CLASS_CONFIG);
        ASSERT(err->where[0] != '\0' && err->message[0] != '\0' && err->hint[0] != '\0');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (text == NULL) {
        return 0;
    }
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    size_t len = strlen(text);
    const char *set = len < size ? text + len + 1 : NULL;
    struct config *config = NULL;
    struct config_problems problems;
    if (config_load_text("w.yaml", bytes_make(text, len), &set, set == NULL ? 0 : 1, &config,
                         &problems)) {
        check_whole(config);
        config_free(config);
    } else {
        ASSERT(config == NULL);
        check_faults(&problems);
    }
    struct buf out AUTO(buf_deinit);
    buf_init(&out, 8 * size + 64);
    config_redact(text, &out);
    ASSERT(buf_ok(&out));
    free(text);
    return 0;
}
