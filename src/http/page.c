/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "answer.h"
#include "walferry/base/clock.h"
#include "walferry/base/utf8.h"

#define VALUE_MAX 1024

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1c2024;--paper:#fcfcfa;--line:#d8d8d2;--soft:#666a70;"
    "--good:#14713d;--bad:#b3261e}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e6e1;--paper:#17191c;--line:#383c42;"
    "--soft:#9ba1a8;--good:#5cc98c;--bad:#ff8a80}}"
    "body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);"
    "max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1.5rem;margin:0}h2{font-size:1rem;margin:1.8rem 0 .4rem}"
    ".state{font-size:1.2rem;font-weight:600}.good{color:var(--good)}.bad{color:var(--bad)}"
    ".soft{color:var(--soft)}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;"
    "border-bottom:1px solid var(--line)}th{font-weight:500;width:14rem}"
    "td{font-variant-numeric:tabular-nums;overflow-wrap:anywhere}"
    "code{font:13px ui-monospace,monospace;white-space:pre-wrap}"
    ".grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(22rem,1fr));gap:0 2rem}";

/* Escaped for text and for attributes in double quotes. */
static void put_text(const char *text, struct buf *out)
{
    struct buf printable;
    buf_init(&printable, (size_t)8 * VALUE_MAX);
    utf8_put_printable(&printable, bytes_str(text), strlen(text));
    struct bytes safe = buf_bytes(&printable);
    for (size_t i = 0; i < safe.len; i++) {
        uint8_t c = safe.ptr[i];
        if (c == '&')
            buf_put_str(out, "&amp;");
        else if (c == '<')
            buf_put_str(out, "&lt;");
        else if (c == '>')
            buf_put_str(out, "&gt;");
        else if (c == '"')
            buf_put_str(out, "&quot;");
        else if (c == '\'')
            buf_put_str(out, "&#39;");
        else
            buf_put_u8(out, c);
    }
    buf_deinit(&printable);
}

static const char *or_dash(const char *text)
{
    return text == NULL || text[0] == '\0' ? "\u2013" : text;
}

/* The only way a value enters a table: formatted, then escaped. */
static void row(struct buf *out, const char *name, const char *format, ...) PRINTF_LIKE(3, 4);
static void row(struct buf *out, const char *name, const char *format, ...)
{
    char value[VALUE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    buf_put_str(out, "<tr><th scope=\"row\">");
    put_text(name, out);
    buf_put_str(out, "</th><td>");
    put_text(value, out);
    buf_put_str(out, "</td></tr>\n");
}

static void begin_table(const char *title, struct buf *out)
{
    buf_printf(out, "<section><h2>%s</h2><table>\n", title);
}

static void end_table(struct buf *out)
{
    buf_put_str(out, "</table></section>\n");
}

struct size_text {
    char text[32];
};

static struct size_text size_format(double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0;
    while (bytes >= 1024 && unit + 1 < ARRAY_LEN(units)) {
        bytes /= 1024;
        unit++;
    }
    struct size_text size;
    snprintf(size.text, sizeof(size.text), "%.*f %s", unit == 0 ? 0 : 1, bytes, units[unit]);
    return size;
}

static void put_head(const struct status *status, const char *nonce, struct buf *out)
{
    buf_put_str(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                     "<meta http-equiv=\"refresh\" content=\"5\">\n<title>");
    put_text(or_dash(status->pipeline), out);
    buf_put_str(out, " \u2013 walferry</title>\n<style nonce=\"");
    put_text(nonce, out);
    buf_printf(out, "\">%s</style></head><body>\n<h1>", style);
    put_text(or_dash(status->pipeline), out);
    buf_put_str(out, " <span class=\"soft\">walferry ");
    put_text(or_dash(status->version), out);
    buf_printf(out, "</span></h1>\n<p><span class=\"state %s\">", status->ready ? "good" : "bad");
    put_text(or_dash(status->state), out);
    buf_printf(out, "</span> <span class=\"soft\">%s</span> ",
               status->ready ? "ready" : "not ready");
    put_text(status->reason, out);
    buf_put_str(out, "</p>\n");
}

static void put_progress(const struct status *status, struct buf *out)
{
    begin_table("Lag", out);
    row(out, "time", "%.1f s", status->lag_seconds);
    row(out, "WAL not confirmed", "%s", size_format((double)status->lag_bytes).text);
    row(out, "WAL kept by the slot", "%s",
        status->slot_known ? size_format((double)status->retained_bytes).text : "\u2013");
    row(out, "until the slot is lost", "%s",
        !status->slot_known       ? "\u2013"
        : !status->has_safe_bytes ? "no limit"
                                  : size_format((double)status->safe_bytes).text);
    row(out, "WAL status", "%s", or_dash(status->wal_status));
    end_table(out);
    begin_table("Events", out);
    row(out, "received", "%" PRIu64, status->events_received);
    row(out, "published", "%" PRIu64, status->events_published);
    row(out, "in flight", "%" PRIu32 " (%s)", status->in_flight_events,
        size_format((double)status->in_flight_bytes).text);
    row(out, "skipped", "%" PRIu64, status->events_skipped);
    row(out, "dead letters", "%" PRIu64, status->dead_letters);
    end_table(out);
}

static void put_positions(const struct status *status, struct buf *out)
{
    begin_table("Positions", out);
    row(out, "received", "%s", lsn_format(status->received).text);
    row(out, "published", "%s", lsn_format(status->published).text);
    row(out, "durable", "%s", lsn_format(status->durable).text);
    row(out, "confirmed", "%s", lsn_format(status->confirmed).text);
    end_table(out);
    begin_table("Ends", out);
    row(out, "slot", "%s", or_dash(status->slot));
    row(out, "publication", "%s", or_dash(status->publication));
    row(out, "PostgreSQL", "%d.%d, system %" PRIu64 ", timeline %" PRIu32,
        status->server_version / 10000, status->server_version % 10000, status->system_id,
        status->timeline);
    row(out, "sink", "%s, %s", or_dash(status->sink),
        status->sink_connected ? "connected" : "not connected");
    row(out, "sink says", "%s", or_dash(status->sink_detail));
    row(out, "sink library", "%s", or_dash(status->sink_library));
    row(out, "started", "%s", clock_format(status->started_at_us).text);
    end_table(out);
}

static void put_checks(const struct status *status, struct buf *out)
{
    begin_table("Checks", out);
    for (size_t i = 0; i < status->check_count; i++) {
        const struct status_check *check = &status->checks[i];
        row(out, check->name, "%s%s%s", check->ok ? "ok" : "failed",
            check->detail[0] == '\0' ? "" : ": ", check->detail);
    }
    end_table(out);
}

static void put_error(const struct status_error *error, struct buf *out)
{
    buf_put_str(out, "<tr><th scope=\"row\">");
    buf_printf(out, "WF-%04u \u00d7 %" PRIu64 "<br><span class=\"soft\">%s</span></th><td>",
               err_number(error->err.code), error->count, clock_format(error->time_us).text);
    if (error->err.where[0] != '\0') {
        put_text(error->err.where, out);
        buf_put_str(out, ": ");
    }
    put_text(error->err.message, out);
    if (error->err.hint[0] != '\0') {
        buf_put_str(out, "<br><code>");
        put_text(error->err.hint, out);
        buf_put_str(out, "</code>");
    }
    buf_put_str(out, "</td></tr>\n");
}

void page_render(const struct status *status, const char *nonce, struct buf *out)
{
    put_head(status, nonce, out);
    buf_put_str(out, "<div class=\"grid\">\n");
    put_progress(status, out);
    put_positions(status, out);
    put_checks(status, out);
    buf_put_str(out, "</div>\n");
    if (status->error_count > 0) {
        begin_table("Errors, newest first", out);
        for (size_t i = 0; i < status->error_count; i++)
            put_error(&status->errors[i], out);
        end_table(out);
    }
    buf_put_str(out, "<p class=\"soft\"><a href=\"/status\">/status</a> "
                     "<a href=\"/metrics\">/metrics</a> "
                     "<a href=\"/readyz?verbose\">/readyz?verbose</a></p>\n</body></html>\n");
}
