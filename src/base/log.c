/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "walferry/base/assert.h"
#include "walferry/base/buf.h"
#include "walferry/base/clock.h"
#include "walferry/base/failpoint.h"
#include "walferry/base/utf8.h"

enum {
    /* A write of so much to a pipe that has room is one piece and does not block: pipe(7). */
    LINE_SIZE = PIPE_BUF,
    /* Kept free for what ends a line. */
    TAIL_SIZE = 32,
    MESSAGE_SHOWN = 512,
    VALUE_SHOWN = 1024,
    VALUE_SHOWN_MIN = 32,
};

enum form { FORM_TEXT, FORM_COLOUR, FORM_JOURNAL, FORM_JSON };

struct level {
    const char *json;
    const char *text;
    const char *colour;
    unsigned priority; /* of syslog(3) */
};

static const struct level levels[] = {
    [LOG_ERROR] = {"error", "ERROR", "\x1b[31m", 3},
    [LOG_WARN] = {"warn", "WARN ", "\x1b[33m", 4},
    [LOG_INFO] = {"info", "INFO ", "\x1b[32m", 6},
    [LOG_DEBUG] = {"debug", "DEBUG", "\x1b[2m", 7},
};

static struct {
    enum log_level level;
    enum form form;
    bool set_up;
    bool socket; /* standard error is one */
    bool torn;   /* the last line was written in part */
    uint64_t dropped;
    uint64_t told; /* how many of them a line told of */
    char pipeline[64];
} state = {.level = LOG_INFO};

/* --- set-up --- */

static bool is_journal(const struct stat *status)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char own[64];
    snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)status->st_dev, (uintmax_t)status->st_ino);
    return stream != NULL && strcmp(stream, own) == 0;
}

static bool wants_colour(void)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return (no_color == NULL || no_color[0] == '\0') &&
           (term == NULL || strcmp(term, "dumb") != 0) && isatty(STDERR_FILENO) == 1;
}

static enum form choose_form(enum log_format format, const struct stat *status)
{
    if (format == LOG_JSON) {
        return FORM_JSON;
    }
    if (is_journal(status)) {
        return FORM_JOURNAL;
    }
    if (format == LOG_AUTO && isatty(STDERR_FILENO) != 1) {
        return FORM_JSON;
    }
    return wants_colour() ? FORM_COLOUR : FORM_TEXT;
}

void log_setup(enum log_format format, enum log_level level, const char *pipeline)
{
    struct stat status = {0};
    bool known = fstat(STDERR_FILENO, &status) == 0;
    state.level = level;
    state.form = choose_form(format, &status);
    state.socket = known && S_ISSOCK(status.st_mode);
    state.set_up = true;
    snprintf(state.pipeline, sizeof(state.pipeline), "%s", pipeline == NULL ? "" : pipeline);
}

bool log_enabled(enum log_level level)
{
    return level <= state.level;
}

uint64_t log_dropped(void)
{
    return state.dropped;
}

/* --- values --- */

static bool needs_quotes(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] == 0x7F || strchr("\"=\\", text.ptr[i]) != NULL) {
            return true;
        }
    }
    return bytes_empty(text);
}

static void put_text_value(struct buf *line, struct bytes text, size_t limit)
{
    struct bytes shown = utf8_cut(text, limit);
    bool quotes = needs_quotes(text);
    buf_put_str(line, quotes ? "\"" : "");
    size_t from = 0;
    for (size_t i = 0; i < shown.len; i++) {
        if (shown.ptr[i] == '"' || shown.ptr[i] == '\\') {
            utf8_put_printable(line, bytes_make(shown.ptr + from, i - from), SIZE_MAX);
            buf_put_u8(line, '\\');
            buf_put_u8(line, shown.ptr[i]);
            from = i + 1;
        }
    }
    utf8_put_printable(line, bytes_make(shown.ptr + from, shown.len - from), SIZE_MAX);
    buf_put_str(line, shown.len < text.len ? "..." : "");
    buf_put_str(line, quotes ? "\"" : "");
}

/* Length of the character that begins the text, 0 when it is not UTF-8. */
static size_t character_len(struct bytes text)
{
    uint8_t lead = text.ptr[0];
    size_t len = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    return len <= text.len && utf8_valid(bytes_make(text.ptr, len)) ? len : 0;
}

static void put_json_string(struct buf *line, struct bytes text, size_t limit)
{
    struct bytes shown = utf8_cut(text, limit);
    buf_put_u8(line, '"');
    for (size_t i = 0; i < shown.len;) {
        size_t len = character_len(bytes_make(shown.ptr + i, shown.len - i));
        uint8_t byte = shown.ptr[i];
        if (len == 0) {
            buf_put_str(line, "\\ufffd");
        } else if (byte < ' ' || byte == 0x7F) {
            buf_printf(line, "\\u%04x", byte);
        } else {
            buf_put_str(line, byte == '"' || byte == '\\' ? "\\" : "");
            buf_put(line, shown.ptr + i, len);
        }
        i += len == 0 ? 1 : len;
    }
    buf_put_str(line, shown.len < text.len ? "...\"" : "\"");
}

static void put_text_or_null(struct buf *line, struct bytes text, size_t limit)
{
    if (!bytes_present(text)) {
        buf_put_str(line, "null");
    } else if (state.form == FORM_JSON) {
        put_json_string(line, text, limit);
    } else {
        put_text_value(line, text, limit);
    }
}

static void put_value(struct buf *line, const struct log_field *field, size_t limit)
{
    switch (field->type) {
    case LOG_TYPE_STR:
        put_text_or_null(line, bytes_str(field->as.str), limit);
        return;
    case LOG_TYPE_BYTES:
        put_text_or_null(line, field->as.bytes, limit);
        return;
    case LOG_TYPE_U64:
        buf_printf(line, "%" PRIu64, field->as.u64);
        return;
    case LOG_TYPE_I64:
        buf_printf(line, "%" PRId64, field->as.i64);
        return;
    case LOG_TYPE_LSN:
        put_text_or_null(line, bytes_str(lsn_format(field->as.lsn).text), limit);
        return;
    case LOG_TYPE_BOOL:
        buf_put_str(line, field->as.boolean ? "true" : "false");
        return;
    }
    UNREACHABLE();
}

/* --- lines --- */

/* False, and the line as before, when not even a short form of the value fits. */
static bool put_field(struct buf *line, const struct log_field *field)
{
    size_t before = line->len;
    for (size_t limit = VALUE_SHOWN; limit >= VALUE_SHOWN_MIN; limit /= 2) {
        buf_printf(line, state.form == FORM_JSON ? ",\"%s\":" : " %s=", field->key);
        put_value(line, field, limit);
        if (buf_ok(line)) {
            return true;
        }
        line->len = before;
        line->failed = false;
    }
    return false;
}

static void put_head(struct buf *line, enum log_level level, const char *message)
{
    struct clock_text now = clock_format(clock_wall_us());
    const struct level *words = &levels[level];
    if (state.form == FORM_JSON) {
        buf_printf(line, "{\"@timestamp\":\"%s\",\"log.level\":\"%s\",\"message\":", now.text,
                   words->json);
        put_json_string(line, bytes_str(message), MESSAGE_SHOWN);
        buf_put_str(line, ",\"service.name\":\"walferry\"");
        return;
    }
    if (state.form == FORM_JOURNAL) {
        buf_printf(line, "<%u>", words->priority);
    }
    bool colour = state.form == FORM_COLOUR;
    buf_printf(line, "%s %s%s%s ", now.text, colour ? words->colour : "", words->text,
               colour ? "\x1b[0m" : "");
    utf8_put_printable(line, bytes_str(message), MESSAGE_SHOWN);
}

/* Both return -1 with errno set, EAGAIN when standard error has no room. Neither touches the flags
 * of standard error: they belong to its open file, which other processes share. */
static ssize_t send_now(struct bytes line)
{
    return send(STDERR_FILENO, line.ptr, line.len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static ssize_t write_now(struct bytes line)
{
    struct pollfd room = {.fd = STDERR_FILENO, .events = POLLOUT};
    int ready = poll(&room, 1, 0);
    if (ready < 0) {
        return -1;
    }
    /* POLLERR is a pipe without a reader: a write would raise SIGPIPE. */
    if (ready == 0 || room.revents != POLLOUT) {
        errno = EAGAIN;
        return -1;
    }
    return write(STDERR_FILENO, line.ptr, line.len);
}

static bool write_line(struct bytes line)
{
    ssize_t written = 0;
    if (FAILPOINT(LOG_WRITE)) {
        return false;
    }
    do {
        written = state.socket ? send_now(line) : write_now(line);
    } while (written < 0 && errno == EINTR);
    if (written >= 0 && (size_t)written == line.len) {
        state.torn = false;
        return true;
    }
    state.torn = state.torn || written > 0;
    return false;
}

static bool write_fields(enum log_level level, const char *message, const struct log_field *fields,
                         size_t count)
{
    uint8_t storage[LINE_SIZE + 1];
    struct buf line;
    buf_init_over(&line, storage, sizeof(storage));
    line.max -= TAIL_SIZE;
    buf_put_str(&line, state.torn ? "\n" : "");
    put_head(&line, level, message);
    ASSERT(buf_ok(&line));
    bool whole = true;
    if (state.pipeline[0] != '\0') {
        const char *key = state.form == FORM_JSON ? "walferry.pipeline" : "pipeline";
        whole = put_field(&line, &F_STR(key, state.pipeline));
    }
    for (size_t i = 0; i < count; i++) {
        whole = put_field(&line, &fields[i]) && whole;
    }
    line.max += TAIL_SIZE;
    if (!whole) {
        whole = put_field(&line, &F_BOOL("log.truncated", true));
    }
    buf_put_str(&line, state.form == FORM_JSON ? "}\n" : "\n");
    ASSERT(whole && buf_ok(&line));
    return write_line(buf_bytes(&line));
}

/* Say how many lines were lost before anything else is said; false while that is not possible. */
static bool tell_dropped(void)
{
    uint64_t lost = state.dropped - state.told;
    if (lost == 0) {
        return true;
    }
    if (!write_fields(LOG_WARN, "log lines dropped", &F_U64("lines", lost), 1)) {
        return false;
    }
    state.told = state.dropped;
    return true;
}

void log_fields(enum log_level level, const char *message, const struct log_field *fields,
                size_t count)
{
    if (!log_enabled(level)) {
        return;
    }
    int saved_errno = errno;
    if (!state.set_up) {
        log_setup(LOG_AUTO, state.level, NULL);
    }
    if (!tell_dropped() || !write_fields(level, message, fields, count)) {
        state.dropped++;
    }
    errno = saved_errno;
}

void log_err(enum log_level level, const char *message, const struct err *err)
{
    if (err == NULL || !err_is_set(err)) {
        log_fields(level, message, NULL, 0);
        return;
    }
    char code[16];
    snprintf(code, sizeof(code), "WF-%04u", err_number(err->code));
    struct log_field fields[7];
    size_t count = 0;
    fields[count++] = F_STR("error.code", code);
    fields[count++] = F_STR("error.message", err->message);
    if (err->where[0] != '\0') {
        fields[count++] = F_STR("error.where", err->where);
    }
    if (err->sqlstate[0] != '\0') {
        fields[count++] = F_STR("error.sqlstate", err->sqlstate);
    }
    if (err->hint[0] != '\0') {
        fields[count++] = F_STR("error.hint", err->hint);
    }
    if (err_class(err->code) == ERR_CLASS_BUG && err->file != NULL) {
        fields[count++] = F_STR("log.origin.file.name", err->file);
        fields[count++] = F_I64("log.origin.file.line", err->line);
    }
    ASSERT(count <= ARRAY_LEN(fields));
    log_fields(level, message, fields, count);
}
