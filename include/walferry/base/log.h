/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: structured events on standard error, one a line.
 *
 * A log call is a constant message and typed fields, never prose made by printf. Only relay and
 * commands log above debug; everything else reports through its return value. Text form on a
 * terminal, JSON lines (ECS names: @timestamp, log.level, message) elsewhere, by `format: auto`;
 * text with syslog priorities ("<6>") when standard error is the journal (JOURNAL_STREAM). A line
 * has at most 4096 bytes: long values are cut ("..."), and when fields still do not fit they are
 * left out and the line says log.truncated.
 * Field text is untrusted: control characters are escaped. A blocked standard error never blocks
 * the caller: what cannot be written at once is dropped and counted (log_dropped()), and the
 * number is said as soon as writing works again. One process has one log; not thread-safe.
 */
#pragma once

#include "walferry/base/err.h"
#include "walferry/base/lsn.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_AUTO, LOG_TEXT, LOG_JSON };

enum log_type {
    LOG_TYPE_STR,
    LOG_TYPE_BYTES,
    LOG_TYPE_U64,
    LOG_TYPE_I64,
    LOG_TYPE_LSN,
    LOG_TYPE_BOOL
};

struct log_field {
    const char *key; /* [a-z_.]+ */
    enum log_type type;
    union {
        const char *str;
        struct bytes bytes;
        uint64_t u64;
        int64_t i64;
        struct lsn lsn;
        bool boolean;
    } as;
};

#define F_STR(k, v)   ((struct log_field){.key = (k), .type = LOG_TYPE_STR, .as = {.str = (v)}})
#define F_BYTES(k, v) ((struct log_field){.key = (k), .type = LOG_TYPE_BYTES, .as = {.bytes = (v)}})
#define F_U64(k, v)   ((struct log_field){.key = (k), .type = LOG_TYPE_U64, .as = {.u64 = (v)}})
#define F_I64(k, v)   ((struct log_field){.key = (k), .type = LOG_TYPE_I64, .as = {.i64 = (v)}})
#define F_LSN(k, v)   ((struct log_field){.key = (k), .type = LOG_TYPE_LSN, .as = {.lsn = (v)}})
#define F_BOOL(k, v)  ((struct log_field){.key = (k), .type = LOG_TYPE_BOOL, .as = {.boolean = (v)}})

/* `pipeline` goes into every line; NULL for none. Before the first call: auto, info. */
void log_setup(enum log_format format, enum log_level level, const char *pipeline);
bool log_enabled(enum log_level level);
void log_fields(enum log_level level, const char *message, const struct log_field *fields,
                size_t count);
/* One error with its code, message, where and hint as fields of their own; what is empty is left
 * out. `err` may be NULL. */
void log_err(enum log_level level, const char *message, const struct err *err);
/* Lines dropped so far because standard error would have blocked. */
uint64_t log_dropped(void);

#define LOG_AT(level, message, ...)                                                                \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            const struct log_field log_fields_[] = {__VA_ARGS__};                                  \
            log_fields((level), (message), log_fields_, ARRAY_LEN(log_fields_));                   \
        }                                                                                          \
    } while (0)
/* At least one field each; a line without any is log_fields(level, message, NULL, 0). */
#define log_error(message, ...) LOG_AT(LOG_ERROR, message, __VA_ARGS__)
#define log_warn(message, ...)  LOG_AT(LOG_WARN, message, __VA_ARGS__)
#define log_info(message, ...)  LOG_AT(LOG_INFO, message, __VA_ARGS__)
#define log_debug(message, ...) LOG_AT(LOG_DEBUG, message, __VA_ARGS__)
