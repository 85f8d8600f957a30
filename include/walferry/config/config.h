/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config: one file of YAML, checked against one schema table, into the options of the modules.
 *
 * Every key is a row of schema.def-like data in config/schema.c: path, type, unit, default, bounds,
 * flags, documentation. The loader, `--set`, did-you-mean, the reference configuration, the manual
 * page walferry.yaml(5) and the JSON Schema all come from it. Scalars are typed by the schema, not
 * by YAML's rules. ${VAR}, ${VAR:-default} and $$ are expanded in scalars after parsing; topic
 * templates keep ${lower_case} placeholders. All faults of a file are found in one go.
 *
 * A struct config owns all strings that its options borrow; it is freed as a whole.
 */
#pragma once

#include "walferry/base/buf.h"
#include "walferry/base/err.h"
#include "walferry/base/log.h"
#include "walferry/capture/capture.h"
#include "walferry/checkpoint/checkpoint.h"
#include "walferry/envelope/envelope.h"
#include "walferry/http/http.h"
#include "walferry/route/route.h"
#include "walferry/sink/sink.h"
#include "walferry/source/source.h"

enum guarantee { AT_LEAST_ONCE, EXACTLY_ONCE };
enum poison_policy { POISON_DEAD_LETTER, POISON_HALT, POISON_SKIP };
enum store_kind { STORE_FILE, STORE_KAFKA, STORE_SLOT };

struct delivery_opts {
    enum guarantee guarantee;
    uint64_t commit_interval_ms;
    uint64_t transaction_timeout_ms; /* of the broker's coordinator; exactly_once */
    uint32_t max_in_flight_events;
    uint64_t max_in_flight_bytes;
    enum poison_policy poison;
    const char *dead_letter_topic;
    uint64_t drain_timeout_ms;
};

struct config {
    const char *path; /* of the file, for messages */
    const char *name; /* pipeline */
    struct source_opts source;
    const struct capture_entry *captures;
    size_t capture_count;
    struct route_opts route;
    struct envelope_opts envelope;
    struct delivery_opts delivery;
    struct sink_opts sink;
    enum store_kind store;
    const char *checkpoint_topic;
    struct checkpoint_opts checkpoint;
    uint64_t checkpoint_interval_ms;
    bool http_enabled;
    struct http_opts http;
    enum log_format log_format;
    enum log_level log_level;
    void *owned; /* memory behind all of the above */
};

#define CONFIG_PROBLEMS_MAX 20

/* All faults found, in the order of the file, then those of --set; `more` counts those that did not
 * fit. Every one has where ("FILE:line:column", or "--set key.path"), message and hint. */
struct config_problems {
    size_t count;
    size_t more;
    struct err items[CONFIG_PROBLEMS_MAX];
};

/* `sets` are "key.path=value" overrides in order. On false nothing is returned and *ret_problems
 * tells why. Connects nowhere; reads the file and the *_file secrets. */
MUST_USE bool config_load(const char *path, const char *const *sets, size_t set_count,
                          struct config **ret_config, struct config_problems *ret_problems);
/* The same from text; `path` only for messages. */
MUST_USE bool config_load_text(const char *path, struct bytes text, const char *const *sets,
                               size_t set_count, struct config **ret_config,
                               struct config_problems *ret_problems);
/* NULL does nothing. */
void config_free(struct config *config);
/* For a reload: calls `differs` for every key whose value is another one in `fresh`, with its path
 * ("log.level", "capture") and whether it can be changed while the relay runs (`hot`). Hot are
 * log.level, log.format, checkpoint.interval and delivery.drain_timeout. */
void config_compare(const struct config *running, const struct config *fresh,
                    void (*differs)(void *context, const char *path, bool hot), void *context);

/* The reference configuration: every key with its default and documentation. */
void config_reference(struct buf *out);
/* JSON Schema for editors. */
void config_json_schema(struct buf *out);
/* Body of walferry.yaml(5) in mdoc. */
void config_manual(struct buf *out);
/* Append the text with secrets replaced by "******": values of keywords, URI parameters and
 * properties whose name ends in password, passphrase, secret, token and the like, and the password
 * in the user part of a URI. */
void config_redact(const char *text, struct buf *out);
