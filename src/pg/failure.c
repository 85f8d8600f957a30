/* SPDX-License-Identifier: Apache-2.0 */
#include "pg_private.h"

#include <stdio.h>

#include "walferry/base/assert.h"
#include "walferry/base/buf.h"
#include "walferry/base/utf8.h"

#define FAILURE_TEXT_MAX 400 /* bytes of server text in one message */

/* Line ends become "; ", indentation goes, and the line that tells where in the server's source it
 * happened goes. */
static void one_line(struct buf *out, struct bytes text)
{
    static const char LOCATION[] = "LOCATION:";
    size_t at = 0;
    while (at < text.len) {
        if (text.ptr[at] == '\t') {
            at++;
            continue;
        }
        const uint8_t *line = text.ptr + at;
        const uint8_t *end = memchr(line, '\n', text.len - at);
        size_t len = end == NULL ? text.len - at : (size_t)(end - line);
        bool location =
            len >= sizeof(LOCATION) - 1 && memcmp(line, LOCATION, sizeof LOCATION - 1) == 0;
        if (len > 0 && !location) {
            buf_put_str(out, out->len == 0 ? "" : "; ");
            utf8_put_printable(out, bytes_make(line, len), FAILURE_TEXT_MAX);
        }
        at += len + 1;
    }
}

void pg_escape(struct bytes text, char *out, size_t size)
{
    ASSERT(size > 0);
    struct buf buf;
    buf_init(&buf, (size_t)16 * FAILURE_TEXT_MAX);
    if (text.len > FAILURE_TEXT_MAX) {
        text.len = FAILURE_TEXT_MAX;
    }
    one_line(&buf, text);
    size_t len = buf.len < size ? buf.len : size - 1;
    if (len > 0) {
        memcpy(out, buf.ptr, len);
    }
    out[len] = '\0';
    buf_deinit(&buf);
}

/* Names of the connection in a hint come from the configuration, but through the server. */
static void put_name(struct buf *hint, const char *name)
{
    utf8_put_printable(hint, bytes_str(name == NULL ? "?" : name), 63);
}

static void set_hint(const struct pg *pg, const char *template, struct err *err)
{
    struct buf hint;
    buf_init(&hint, sizeof err->hint);
    const char *at = template;
    while (*at != '\0') {
        if (strncmp(at, "{user}", 6) == 0) {
            put_name(&hint, PQuser(pg->conn));
            at += 6;
        } else if (strncmp(at, "{database}", 10) == 0) {
            put_name(&hint, PQdb(pg->conn));
            at += 10;
        } else {
            buf_put_u8(&hint, (uint8_t)*at++);
        }
    }
    err_hint(err, "%.*s", BYTES_FMT(buf_bytes(&hint)));
    buf_deinit(&hint);
}

bool pg_fail_state(const struct pg *pg, const char *sqlstate, const char *text, struct err *err)
{
    const struct sqlstate_row *row = sqlstate_find(sqlstate);
    err_set(err, row->code, "%s", text[0] == '\0' ? "the connection broke" : text);
    err_where(err, "%s", pg->where);
    if (err == NULL) {
        return false;
    }
    snprintf(err->sqlstate, sizeof err->sqlstate, "%.5s", sqlstate);
    set_hint(pg, row->hint, err);
    return false;
}

bool pg_fail_result(const struct pg *pg, const PGresult *result, struct err *err)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (state == NULL && pg->ended) {
        return pg_fail_state(pg, pg->end_state, pg->end_text, err);
    }
    char text[FAILURE_TEXT_MAX];
    pg_escape(bytes_str(primary != NULL ? primary : PQresultErrorMessage(result)), text,
              sizeof text);
    return pg_fail_state(pg, state == NULL ? "" : state, text, err);
}

bool pg_fail_lost(const struct pg *pg, struct err *err)
{
    if (pg->ended) {
        return pg_fail_state(pg, pg->end_state, pg->end_text, err);
    }
    char text[FAILURE_TEXT_MAX];
    pg_escape(bytes_str(PQerrorMessage(pg->conn)), text, sizeof text);
    return pg_fail_state(pg, "", text, err);
}

static bool is_state_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
}

/* Verbose messages read "FATAL:  28P01: password authentication failed": the severity may be in any
 * language, the shape is the same. With several hosts the last one that answered counts. */
void pg_find_sqlstate(const char *message, char ret_state[6])
{
    ret_state[0] = '\0';
    for (const char *at = strstr(message, ":  "); at != NULL; at = strstr(at + 1, ":  ")) {
        const char *state = at + 3;
        size_t len = 0;
        while (len < 5 && is_state_char(state[len])) {
            len++;
        }
        if (len == 5 && state[5] == ':') {
            memcpy(ret_state, state, 5);
            ret_state[5] = '\0';
        }
    }
}

bool pg_fail_connect(const struct pg *pg, struct err *err)
{
    const char *message = PQerrorMessage(pg->conn);
    char state[6];
    pg_find_sqlstate(message, state);
    char text[FAILURE_TEXT_MAX];
    pg_escape(bytes_str(message), text, sizeof text);
    if (PQconnectionNeedsPassword(pg->conn) != 0 && state[0] == '\0') {
        err_set(err, ERR_PG_AUTH, "%s", text);
        err_where(err, "%s", pg->where);
        return err_hint(err, "set source.password_file, or write a .pgpass file");
    }
    if (state[0] != '\0') {
        return pg_fail_state(pg, state, text, err);
    }
    err_set(err, ERR_PG_CONNECT, "%s", text[0] == '\0' ? "the connection failed" : text);
    err_where(err, "%s", pg->where);
    return err_hint(err, "check that the server runs and is reachable: pg_isready -d \"%s\"",
                    pg->where);
}

void pg_notice_receiver(void *context, const PGresult *result)
{
    static const char *const LOUD[] = {"WARNING", "ERROR", "FATAL", "PANIC"};
    struct pg *pg = context;
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    size_t level = 0;
    while (level < ARRAY_LEN(LOUD) && (severity == NULL || strcmp(severity, LOUD[level]) != 0)) {
        level++;
    }
    if (level == ARRAY_LEN(LOUD)) {
        return;
    }
    size_t at = pg->notice_count < PG_NOTICES ? pg->notice_count++ : PG_NOTICES - 1;
    struct pg_notice *notice = &pg->notices[at];
    snprintf(notice->sqlstate, sizeof notice->sqlstate, "%.5s", state == NULL ? "" : state);
    pg_escape(bytes_str(text == NULL ? "" : text), notice->message, sizeof notice->message);
    if (level >= 2) {
        /* Sent outside a query, a FATAL is the server's reason for closing. */
        pg->ended = true;
        memcpy(pg->end_state, notice->sqlstate, sizeof pg->end_state);
        memcpy(pg->end_text, notice->message, sizeof pg->end_text);
    }
}

bool pg_notice_next(struct pg *pg, struct pg_notice *ret_notice)
{
    if (pg->notice_count == 0) {
        return false;
    }
    *ret_notice = pg->notices[0];
    pg->notice_count--;
    memmove(&pg->notices[0], &pg->notices[1], pg->notice_count * sizeof pg->notices[0]);
    return true;
}
