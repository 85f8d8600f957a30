/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err: what went wrong, where, and what to do about it.
 *
 * The one error idiom of the tree: a function that can fail is MUST_USE bool, takes a caller-owned
 * struct err as its last argument and fills it exactly when it returns false. Out parameters are
 * named ret_x and written only on success. What is not a failure ("nothing yet", "skip this") is
 * an outcome enum of that function, never an error. Callers branch on the class, not on the code.
 * A struct err is of fixed size and needs no cleanup; text that does not fit is cut.
 */
#pragma once

#include "walferry/base/bytes.h"
#include "walferry/base/compiler.h"

enum err_code {
#define ERROR(name, number, class, exit_status, label, text) ERR_##name,
#include "walferry/base/errors.def"
#undef ERROR
    ERR_COUNT
};

enum err_class {
    ERR_CLASS_NONE,
    ERR_CLASS_TRANSIENT, /* may pass: reconnect, replay, back off */
    ERR_CLASS_POISON,    /* this row only: dead letter, halt or skip, by policy */
    ERR_CLASS_CONFIG,    /* a person must change a setting or the set-up: do not start */
    ERR_CLASS_STOP,      /* going on could lose or falsify events: end with the exit status */
    ERR_CLASS_BUG,       /* a broken invariant */
};

struct err {
    enum err_code code;
    int line;         /* of walferry's own source, for bug reports */
    const char *file; /* static */
    char sqlstate[6]; /* "" or PostgreSQL's five characters */
    char where[256];  /* "walferry.yaml:12:3", "slot walferry_orders", "0/1A2B3C0 row 4"; or "" */
    char message[512];
    char hint[768]; /* the exact command, SQL or setting that mends it; or "" */
};

#define ERR_INIT                                                                                   \
    (struct err)                                                                                   \
    {                                                                                              \
        0                                                                                          \
    }

/* Fill `err` (hint and where become empty) and return false, so that `return err_set(...)` reads
 * well. `err` may be NULL where the caller does not care. */
#define err_set(err, code, ...) err_set_at((err), (code), __FILE_NAME__, __LINE__, __VA_ARGS__)
bool err_set_at(struct err *err, enum err_code code, const char *file, int line, const char *format,
                ...) PRINTF_LIKE(5, 6);
/* Each returns false as well, so they can follow err_set in a return expression's place. */
bool err_where(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);
bool err_hint(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);
/* Put "context: " before the message. */
bool err_context(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);

static inline bool err_is_set(const struct err *err)
{
    return err->code != ERR_NONE;
}

enum err_class err_class(enum err_code code);
int err_exit_status(enum err_code code);
unsigned err_number(enum err_code code);
/* Metric label, "pg_connect". */
const char *err_label(enum err_code code);
/* First sentence of the manual entry. */
const char *err_text(enum err_code code);
const char *err_class_name(enum err_class class);
/* Name of the code as in the table, "PG_CONNECT". */
const char *err_name(enum err_code code);

/* Render for a terminal: "walferry: error WF-2001: where: message" and, on a second line,
 * "  hint: ..."; without "where: " or the second line when these are empty, and without a newline
 * at the end. Control characters are escaped. Returns the length, cut to `size` with the NUL. */
size_t err_render(const struct err *err, char *out, size_t size);
