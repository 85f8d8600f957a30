/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/err.h"

#include <stdarg.h>
#include <stdio.h>

#include "walferry/base/assert.h"
#include "walferry/base/buf.h"
#include "walferry/base/utf8.h"

struct row {
    const char *name;
    const char *label;
    const char *text;
    unsigned number;
    enum err_class class;
    int exit_status;
};

static const struct row rows[ERR_COUNT] = {
#define ERROR(name, number, class, exit_status, label, text)                                       \
    [ERR_##name] = {#name, label, text, number, ERR_CLASS_##class, exit_status},
#include "walferry/base/errors.def"
#undef ERROR
};

/* Room for the longest member of struct err. */
enum { SCRATCH_SIZE = sizeof(((struct err *)0)->hint) };

/* By way of a copy, because the arguments may be members of the same struct err. */
static void format_cut(char *to, size_t size, const char *format, va_list args) PRINTF_LIKE(3, 0);
static void format_cut(char *to, size_t size, const char *format, va_list args)
{
    /* One more than fits: then utf8_copy() sees whether the cut is inside a character. */
    char scratch[SCRATCH_SIZE + 1] = "";
    int length = vsnprintf(scratch, sizeof(scratch), format, args);
    utf8_copy(to, size, length < 0 ? format : scratch);
}

bool err_set_at(struct err *err, enum err_code code, const char *file, int line, const char *format,
                ...)
{
    ASSERT(code > ERR_NONE && code < ERR_COUNT);
    if (err == NULL) {
        return false;
    }
    va_list args;
    va_start(args, format);
    format_cut(err->message, sizeof(err->message), format, args);
    va_end(args);
    err->code = code;
    err->file = file;
    err->line = line;
    err->sqlstate[0] = '\0';
    err->where[0] = '\0';
    err->hint[0] = '\0';
    return false;
}

bool err_where(struct err *err, const char *format, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        format_cut(err->where, sizeof(err->where), format, args);
        va_end(args);
    }
    return false;
}

bool err_hint(struct err *err, const char *format, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        format_cut(err->hint, sizeof(err->hint), format, args);
        va_end(args);
    }
    return false;
}

bool err_context(struct err *err, const char *format, ...)
{
    if (err == NULL) {
        return false;
    }
    char context[sizeof(err->message)];
    va_list args;
    va_start(args, format);
    format_cut(context, sizeof(context), format, args);
    va_end(args);
    char whole[2 * sizeof(err->message) + 2];
    snprintf(whole, sizeof(whole), "%s: %s", context, err->message);
    utf8_copy(err->message, sizeof(err->message), whole);
    return false;
}

static const struct row *row_of(enum err_code code)
{
    ASSERT(code >= ERR_NONE && code < ERR_COUNT);
    return &rows[code];
}

enum err_class err_class(enum err_code code)
{
    return row_of(code)->class;
}

int err_exit_status(enum err_code code)
{
    return row_of(code)->exit_status;
}

unsigned err_number(enum err_code code)
{
    return row_of(code)->number;
}

const char *err_label(enum err_code code)
{
    return row_of(code)->label;
}

const char *err_text(enum err_code code)
{
    return row_of(code)->text;
}

const char *err_name(enum err_code code)
{
    return row_of(code)->name;
}

const char *err_class_name(enum err_class class)
{
    static const char *const names[] = {
        [ERR_CLASS_NONE] = "none",     [ERR_CLASS_TRANSIENT] = "transient",
        [ERR_CLASS_POISON] = "poison", [ERR_CLASS_CONFIG] = "config",
        [ERR_CLASS_STOP] = "stop",     [ERR_CLASS_BUG] = "bug",
    };
    ASSERT(class >= ERR_CLASS_NONE && class < ARRAY_LEN(names));
    return names[class];
}

size_t err_render(const struct err *err, char *out, size_t size)
{
    if (size == 0) {
        return 0;
    }
    /* Escaping makes four bytes of one at most. */
    char storage[4 * sizeof(*err) + 64];
    struct buf line;
    buf_init_over(&line, storage, sizeof(storage));
    buf_printf(&line, "walferry: error WF-%04u: ", err_number(err->code));
    if (err->where[0] != '\0') {
        utf8_put_printable(&line, bytes_str(err->where), sizeof(err->where));
        buf_put_str(&line, ": ");
    }
    utf8_put_printable(&line, bytes_str(err->message), sizeof(err->message));
    if (err->hint[0] != '\0') {
        buf_put_str(&line, "\n  hint: ");
        utf8_put_printable(&line, bytes_str(err->hint), sizeof(err->hint));
    }
    ASSERT(buf_ok(&line));
    utf8_copy(out, size, buf_cstr(&line));
    return strlen(out);
}
