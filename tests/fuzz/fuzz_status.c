/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts of a status and of metrics' labels quote rows, servers and brokers. Whatever they hold,
 * each document keeps its form: the JSON is read back with every text as it was, the page has the
 * mark-up, and the plain texts have the lines, of the same status with harmless texts.
 */
#include "answer.h"
#include "fields.h"
#include "other_json.h"
#include "walferry/base/assert.h"
#include "walferry/base/utf8.h"
#include "walferry/metrics/metrics.h"

#define DOCUMENT_MAX (1U << 20)
#define TEXTS_MAX    7
#define TEXT_SIZE    512
#define LABELS_MAX   4
#define LABEL_SIZE   250
#define SAMPLE       "walferry_events_published_total"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char texts[TEXTS_MAX][TEXT_SIZE];
static char labels[LABELS_MAX][LABEL_SIZE];

static void read_texts(struct status *status, struct bytes *rest)
{
    const char **const places[TEXTS_MAX] = {
        &status->pipeline,   &status->version, &status->slot,         &status->publication,
        &status->wal_status, &status->sink,    &status->sink_library,
    };
    for (size_t i = 0; i < TEXTS_MAX; i++)
        *places[i] = field_text(rest, texts[i], TEXT_SIZE);
    field_text(rest, status->reason, sizeof(status->reason));
    field_text(rest, status->sink_detail, sizeof(status->sink_detail));
}

static void read_lists(struct status *status, struct bytes *rest)
{
    for (size_t i = 0; i < status->check_count; i++) {
        status->checks[i].name = "source";
        status->checks[i].ok = i % 2 == 0;
        field_text(rest, status->checks[i].detail, sizeof(status->checks[i].detail));
    }
    for (size_t i = 0; i < status->error_count; i++) {
        struct err *err = &status->errors[i].err;
        err->code = ERR_PG_QUERY;
        field_text(rest, err->where, sizeof(err->where));
        field_text(rest, err->message, sizeof(err->message));
        field_text(rest, err->hint, sizeof(err->hint));
    }
}

static void read_status(struct status *status, struct bytes *rest)
{
    uint64_t flags = field_number(rest, 2);
    *status = (struct status){.state = "blocked",
                              .ready = flags & 1,
                              .slot_known = flags & 2,
                              .has_safe_bytes = flags & 4,
                              .sink_connected = flags & 8,
                              .check_count = flags >> 4 & 3,
                              .error_count = flags >> 6 & 3};
    status->server_version = (int)field_number(rest, 3);
    status->timeline = (uint32_t)field_number(rest, 1);
    status->system_id = field_number(rest, 8);
    status->safe_bytes = (int64_t)field_number(rest, 8);
    /* The other reader of JSON holds no more than 63 bits. */
    status->retained_bytes = status->lag_bytes = field_number(rest, 8) >> 1;
    status->started_at_us = (int64_t)field_number(rest, 8);
    status->received = lsn_make(status->system_id);
    status->lag_seconds = (double)status->safe_bytes / 7;
    for (size_t i = 0; i < status->error_count; i++)
        status->errors[i] = (struct status_error){.time_us = status->started_at_us, .count = i};
    read_texts(status, rest);
    read_lists(status, rest);
}

static void tame(char *text)
{
    if (text[0] != '\0')
        memcpy(text, "x", 2);
}

/* The same status, with a text of no harm wherever there is one. */
static void tame_status(const struct status *status, struct status *ret_tame)
{
    *ret_tame = *status;
    const char **const places[TEXTS_MAX] = {
        &ret_tame->pipeline,   &ret_tame->version, &ret_tame->slot,         &ret_tame->publication,
        &ret_tame->wal_status, &ret_tame->sink,    &ret_tame->sink_library,
    };
    for (size_t i = 0; i < TEXTS_MAX; i++)
        *places[i] = texts[i][0] == '\0' ? "" : "x";
    tame(ret_tame->reason);
    tame(ret_tame->sink_detail);
    for (size_t i = 0; i < ret_tame->check_count; i++)
        tame(ret_tame->checks[i].detail);
    for (size_t i = 0; i < ret_tame->error_count; i++) {
        tame(ret_tame->errors[i].err.where);
        tame(ret_tame->errors[i].err.message);
        tame(ret_tame->errors[i].err.hint);
    }
}

/* ---- JSON ---- */

static void check_text(const struct other *object, const char *key, const char *text)
{
    struct bytes found = other_text(other_member(object, key));
    ASSERT(!utf8_valid(bytes_str(text)) || bytes_is(found, text));
}

static void check_json(const struct status *status, struct buf *out)
{
    struct other *root = NULL;
    buf_reset(out);
    status_render_json(status, out);
    ASSERT(buf_ok(out));
    ASSERT(other_read(buf_bytes(out), true, &root) == OTHER_READ);
    check_text(root, "pipeline", status->pipeline);
    check_text(root, "reason", status->reason);
    check_text(other_member(root, "source"), "slot", status->slot);
    check_text(other_member(root, "source"), "publication", status->publication);
    check_text(other_member(root, "sink"), "detail", status->sink_detail);
    const struct other *errors = other_member(root, "errors");
    ASSERT(other_count(errors) == status->error_count);
    for (size_t i = 0; i < status->error_count; i++) {
        const struct other *error = other_element(errors, i);
        check_text(error, "where", status->errors[i].err.where);
        check_text(error, "message", status->errors[i].err.message);
        check_text(error, "hint", status->errors[i].err.hint);
    }
    ASSERT(other_count(other_member(root, "checks")) == status->check_count);
    other_free(root);
}

/* ---- the page and the plain texts ---- */

static size_t count_of(struct bytes text, uint8_t wanted)
{
    size_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += text.ptr[i] == wanted;
    return count;
}

static void check_printable(struct bytes text)
{
    ASSERT(utf8_valid(text));
    for (size_t i = 0; i < text.len; i++)
        ASSERT(text.ptr[i] == '\n' || (text.ptr[i] >= ' ' && text.ptr[i] != 0x7F));
}

/* Nothing that is not ours opens or closes anything. */
static void check_page(const struct status *status, const struct status *harmless, struct buf *out,
                       struct buf *other)
{
    buf_reset(out);
    buf_reset(other);
    page_render(status, "00ff", out);
    page_render(harmless, "00ff", other);
    ASSERT(buf_ok(out) && buf_ok(other));
    check_printable(buf_bytes(out));
    for (const char *mark = "<>\"'\n"; *mark != '\0'; mark++)
        ASSERT(count_of(buf_bytes(out), (uint8_t)*mark) ==
               count_of(buf_bytes(other), (uint8_t)*mark));
    static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    const char *page = buf_cstr(out);
    for (const char *at = strchr(page, '&'); at != NULL; at = strchr(at + 1, '&')) {
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(entities); i++)
            known = known || strncmp(at, entities[i], strlen(entities[i])) == 0;
        ASSERT(known);
    }
}

static void check_health(const struct status *status, const struct status *harmless,
                         struct buf *out, struct buf *other)
{
    for (int verbose = 0; verbose < 2; verbose++) {
        buf_reset(out);
        buf_reset(other);
        ASSERT(health_render_ready(status, verbose == 1, out) == status->ready);
        ASSERT(health_render_ready(harmless, verbose == 1, other) == status->ready);
        ASSERT(buf_ok(out) && buf_ok(other));
        check_printable(buf_bytes(out));
        ASSERT(count_of(buf_bytes(out), '\n') == count_of(buf_bytes(other), '\n'));
    }
}

/* ---- metrics ---- */

/* The value of a label as a reader of the format takes it, and what follows its quote. */
static const char *unescape(const char *at, char *into)
{
    for (; *at != '"'; at++) {
        ASSERT(*at != '\0' && *at != '\n');
        bool escape = *at == '\\';
        at += escape ? 1 : 0;
        ASSERT(!escape || *at == '\\' || *at == '"' || *at == 'n');
        *into++ = escape && *at == 'n' ? '\n' : *at;
    }
    *into = '\0';
    return at + 1;
}

static void check_samples(const char *text, size_t topics)
{
    size_t found = 0;
    char value[LABEL_SIZE];
    const char *at = text;
    while ((at = strstr(at, "\n" SAMPLE "{topic=\"")) != NULL) {
        at = unescape(strchr(at, '"') + 1, value);
        ASSERT(strncmp(at, "} 1\n", 4) == 0);
        if (found < topics)
            ASSERT(!utf8_valid(bytes_str(labels[found])) || strcmp(value, labels[found]) == 0);
        found++;
    }
    ASSERT(found == topics);
}

static void check_metrics(struct bytes *rest, struct buf *out)
{
    struct metrics *metrics = metrics_new();
    ASSERT(metrics != NULL);
    size_t topics = 0;
    while (rest->len > 0 && topics < LABELS_MAX) {
        const char *label = field_text(rest, labels[topics], LABEL_SIZE);
        bool known = strcmp(label, "other") == 0;
        for (size_t i = 0; i < topics; i++)
            known = known || strcmp(label, labels[i]) == 0;
        if (known)
            break;
        metrics_add_topic(metrics, METRIC_EVENTS_PUBLISHED, metrics_topic(metrics, label), 1);
        topics++;
    }
    for (int openmetrics = 0; openmetrics < 2; openmetrics++) {
        buf_reset(out);
        metrics_render(metrics, openmetrics == 1, out);
        ASSERT(buf_ok(out) && utf8_valid(buf_bytes(out)));
        /* process_* samples differ between two renderings; ours do not. */
        check_samples(buf_cstr(out), topics);
    }
    metrics_free(metrics);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes rest = bytes_make(data, size);
    static struct status status;
    static struct status harmless;
    struct buf out AUTO(buf_deinit);
    struct buf other AUTO(buf_deinit);
    buf_init(&out, DOCUMENT_MAX);
    buf_init(&other, DOCUMENT_MAX);
    read_status(&status, &rest);
    tame_status(&status, &harmless);
    check_json(&status, &out);
    check_page(&status, &harmless, &out, &other);
    check_health(&status, &harmless, &out, &other);
    check_metrics(&rest, &out);
    return 0;
}
