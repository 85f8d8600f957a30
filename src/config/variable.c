/* SPDX-License-Identifier: Apache-2.0 */
#include "variable.h"

#include <stdlib.h>

#include "walferry/base/buf.h"

#define EXPANDED_MAX ((size_t)1024 * 1024)
#define NESTING_MAX  8
#define VARIABLE_MAX 128

static bool is_upper(char c)
{
    return (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name(char c)
{
    return is_upper(c) || (c >= '0' && c <= '9');
}

/* Index of the brace that closes the one before `text`; len when none does. */
static size_t closing_brace(struct bytes text)
{
    size_t depth = 1;
    for (size_t i = 0; i < text.len; i++) {
        bool opens = text.ptr[i] == '{' && i > 0 && text.ptr[i - 1] == '$';
        depth += opens ? 1 : 0;
        depth -= text.ptr[i] == '}' ? 1 : 0;
        if (depth == 0) {
            return i;
        }
    }
    return text.len;
}

static bool expand(struct bytes text, enum text_use use, unsigned nesting, struct buf *out,
                   struct err *err);

static bool refuse_placeholder(struct bytes inside, enum text_use use, struct err *err)
{
    if (use == TEXT_SECRET) {
        inside = BYTES_LIT("...");
    }
    err_set(err, ERR_CONFIG_VARIABLE, "${%.*s} names no environment variable",
            inside.len > 60 ? 60 : (int)inside.len, (const char *)inside.ptr);
    return err_hint(err, "environment variables are upper-case, ${VAR} or ${VAR:-default}; "
                         "placeholders like ${aggregate_type} are for topic templates; write $$ "
                         "for a dollar sign");
}

/* The inside of one ${...} that begins like a variable. */
static bool expand_variable(struct bytes inside, enum text_use use, unsigned nesting,
                            struct buf *out, struct err *err)
{
    size_t len = 0;
    while (len < inside.len && is_name((char)inside.ptr[len])) {
        len++;
    }
    bool with_default = inside.len - len >= 2 && memcmp(inside.ptr + len, ":-", 2) == 0;
    if ((len < inside.len && !with_default) || len >= VARIABLE_MAX) {
        return refuse_placeholder(inside, use, err);
    }
    char name[VARIABLE_MAX];
    memcpy(name, inside.ptr, len);
    name[len] = '\0';
    const char *value = getenv(name);
    if (value != NULL && (value[0] != '\0' || !with_default)) {
        buf_put_str(out, value);
        return true;
    }
    if (!with_default) {
        err_set(err, ERR_CONFIG_VARIABLE, "the environment variable %s is not set", name);
        return err_hint(err, "set %s in the environment of walferry, or write ${%s:-default}", name,
                        name);
    }
    return expand(bytes_make(inside.ptr + len + 2, inside.len - len - 2), use, nesting + 1, out,
                  err);
}

/* What stands at a dollar sign; *ret_len is how much of `text` it takes. */
static bool expand_dollar(struct bytes text, enum text_use use, unsigned nesting, struct buf *out,
                          size_t *ret_len, struct err *err)
{
    if (text.len >= 2 && text.ptr[1] == '$') {
        buf_put_str(out, use == TEXT_TEMPLATE ? "$$" : "$");
        *ret_len = 2;
        return true;
    }
    if (text.len < 2 || text.ptr[1] != '{') {
        err_set(err, ERR_CONFIG_VARIABLE, "a lone dollar sign");
        return err_hint(err, "write $$ for a dollar sign, ${VAR} for an environment variable");
    }
    struct bytes inside = bytes_make(text.ptr + 2, text.len - 2);
    size_t end = closing_brace(inside);
    if (end == inside.len) {
        err_set(err, ERR_CONFIG_VARIABLE, "${ without a closing brace");
        return err_hint(err, "write ${VAR} or ${VAR:-default}; $$ for a dollar sign");
    }
    inside.len = end;
    *ret_len = end + 3;
    if (inside.len > 0 && is_upper((char)inside.ptr[0])) {
        return expand_variable(inside, use, nesting, out, err);
    }
    if (use != TEXT_TEMPLATE) {
        return refuse_placeholder(inside, use, err);
    }
    buf_put(out, text.ptr, *ret_len);
    return true;
}

static bool expand(struct bytes text, enum text_use use, unsigned nesting, struct buf *out,
                   struct err *err)
{
    if (nesting > NESTING_MAX) {
        err_set(err, ERR_CONFIG_VARIABLE, "defaults of variables are nested too deep");
        return err_hint(err, "at most %d levels of ${VAR:-...} go into one another", NESTING_MAX);
    }
    size_t at = 0;
    while (at < text.len) {
        size_t len = 1;
        if (text.ptr[at] != '$') {
            buf_put_u8(out, text.ptr[at]);
        } else if (!expand_dollar(bytes_make(text.ptr + at, text.len - at), use, nesting, out, &len,
                                  err)) {
            return false;
        }
        at += len;
    }
    return true;
}

bool variable_expand(const char *text, enum text_use use, struct pool *pool, const char **ret_text,
                     struct err *err)
{
    if (strchr(text, '$') == NULL) {
        *ret_text = text;
        return true;
    }
    struct buf out AUTO(buf_deinit);
    buf_init(&out, EXPANDED_MAX);
    if (!expand(bytes_str(text), use, 0, &out, err)) {
        return false;
    }
    if (out.starved) {
        return err_set(err, ERR_MEMORY, "no memory for the configuration");
    }
    if (!buf_ok(&out)) {
        err_set(err, ERR_CONFIG_VARIABLE, "the expanded text is larger than 1 MiB");
        return err_hint(err, "check the environment variables that it names");
    }
    *ret_text = pool_text(pool, out.ptr, out.len);
    return true;
}
