/* SPDX-License-Identifier: Apache-2.0 */
#include "source_private.h"

#include "frame.h"
#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/failpoint.h"
#include "walferry/base/parse.h"

#define ALLOCATION_LIMIT UINT64_C(1073741823) /* of one value inside PostgreSQL */

bool stream_status(struct source *source, uint64_t now_ns, struct err *err)
{
    uint8_t status[FEEDBACK_SIZE];
    discard(FAILPOINT(ACK_BUILD));
    feedback_encode(&source->feedback, source->confirmed, now_ns, clock_wall_us(), status);
    if (!pg_copy_put(source->pg, bytes_make(status, sizeof status), err)) {
        return false;
    }
    discard(FAILPOINT(ACK_SENT));
    source->sent = source->confirmed;
    return true;
}

static bool publication_missing(const struct source *source, const char *text, struct err *err)
{
    const struct source_opts *opts = &source->opts;
    struct lsn_text at = lsn_format(lsn_max(source->sent, source->feedback.received));
    err_set(err, ERR_PUBLICATION_MISSING, "the server cannot use the publication: %s", text);
    err_where(err, "publication %s, slot %s, near %s", opts->publication, opts->slot, at.text);
    return err_hint(
        err,
        "the publication must exist at the position being decoded; made again later it does not "
        "count there. What was committed since has to be skipped on purpose: SELECT "
        "pg_drop_replication_slot('%s'); %s; walferry init -c FILE makes publication and slot in "
        "order "
        "and says how to send again the rows that still stand in the table",
        opts->slot, source_forget(opts->forget));
}

static void lists_differ(const struct source *source, struct err *err)
{
    err->code = ERR_PUBLICATION_TABLES;
    err_where(err, "publication %s, slot %s", source->opts.publication, source->opts.slot);
    err_hint(err,
             "give the table one column list wherever it is published: SELECT * FROM "
             "pg_publication_tables WHERE pubname = '%s'; then start again",
             source->opts.publication);
}

/* The server's text may be in any language; the number in it is not. */
static bool names_huge_number(const char *text)
{
    for (const char *at = text; *at != '\0';) {
        size_t digits = strspn(at, "0123456789");
        uint64_t value = 0;
        if (digits >= 10 && parse_u64(bytes_make(at, digits), &value) && value > ALLOCATION_LIMIT) {
            return true;
        }
        at += digits == 0 ? 1 : digits;
    }
    return false;
}

static void poisoned(const struct source *source, enum err_code code, struct err *err)
{
    err->code = code;
    struct lsn_text at = lsn_format(lsn_max(source->sent, source->feedback.received));
    err_where(err, "slot %s, in the transaction after %s", source->opts.slot, at.text);
    err_hint(
        err,
        "the server cannot send this row and never will; find it (SELECT * FROM the table "
        "ORDER BY occurred_at DESC), mend or remove what is left of it, and pass it on "
        "purpose: stop walferry, SELECT pg_replication_slot_advance('%s', pg_current_wal_lsn()), "
        "and %s; every other event up to there is passed too",
        source->opts.slot, source_forget(source->opts.forget));
}

void stream_judge(const struct source *source, struct err *err)
{
    const char *state = err->sqlstate;
    bool too_large = strcmp(state, "54000") == 0 ||
                     (strcmp(state, "XX000") == 0 && names_huge_number(err->message));
    if (strcmp(state, "42704") == 0) {
        char text[sizeof err->message];
        memcpy(text, err->message, sizeof text);
        publication_missing(source, text, err);
    } else if (strcmp(state, "0A000") == 0) {
        lists_differ(source, err);
    } else if (err->code == ERR_PG_ENCODING) {
        poisoned(source, ERR_PG_ENCODING, err);
    } else if (too_large) {
        poisoned(source, ERR_PG_ROW_TOO_LARGE, err);
    }
}

/* PostgreSQL 18 goes on without the publication's rows and merely warns, in a state that says
 * nothing; the name of the publication stands in the text in every language. */
static bool notice_is_fatal(struct source *source, struct err *err)
{
    struct pg_notice notice;
    while (pg_notice_next(source->pg, &notice)) {
        if (strcmp(notice.sqlstate, "55000") == 0 &&
            strstr(notice.message, source->opts.publication) != NULL) {
            publication_missing(source, notice.message, err);
            return true;
        }
    }
    return false;
}

static enum source_event storm(struct source *source, uint64_t now_ns, struct err *err)
{
    err_set(err, ERR_PG_SHUTDOWN,
            "the server waits for confirmation of all it sent, as it does "
            "when it shuts down");
    err_where(err, "slot %s", source->slot);
    err_hint(err, "walferry lets go so that the server can stop, and comes back by itself");
    return session_lost(source, now_ns, err);
}

static enum source_event accept_frame(struct source *source, struct bytes bytes, uint64_t now_ns,
                                      struct source_item *ret_item, struct err *err)
{
    struct frame frame;
    if (!frame_parse(bytes, &frame, err)) {
        err_where(err, "slot %s", source->slot);
        return session_lost(source, now_ns, err);
    }
    if (source_too_far(source, frame.wal_end)) {
        err_set(err, ERR_PROTOCOL, "the server says that its WAL ends at %s, and said %s before",
                lsn_format(frame.wal_end).text, lsn_format(source->wal_end).text);
        err_where(err, "slot %s", source->slot);
        return session_lost(source, now_ns, err);
    }
    source->wal_end = lsn_max(source->wal_end, frame.wal_end);
    *ret_item = (struct source_item){
        .data = frame.data, .wal_end = frame.wal_end, .sent_at_us = frame.sent_at_us};
    if (frame.kind == FRAME_DATA) {
        feedback_data(&source->feedback, frame.wal_end);
        return SOURCE_DATA;
    }
    if (!feedback_keepalive(&source->feedback, frame.wal_end, frame.reply, now_ns)) {
        return storm(source, now_ns, err);
    }
    return SOURCE_KEEPALIVE;
}

static enum source_event found_nothing(struct source *source, uint64_t now_ns, struct err *err)
{
    if (feedback_idle(&source->feedback, now_ns)) {
        return SOURCE_IDLE;
    }
    err_set(err, ERR_PG_SILENT, "the server sent nothing for %llu s and answered no question",
            (unsigned long long)(source->feedback.silent_ns / NS_PER_S));
    err_where(err, "slot %s", source->slot);
    err_hint(err, "look at the network between walferry and the server: a firewall may have "
                  "forgotten the connection");
    return session_lost(source, now_ns, err);
}

enum source_event stream_next(struct source *source, uint64_t now_ns, struct source_item *ret_item,
                              struct err *err)
{
    struct bytes bytes = BYTES_ABSENT;
    bool part = feedback_quiet(&source->feedback) && pg_readable(source->pg);
    enum pg_copy got = pg_copy_get(source->pg, &bytes, err);
    if (notice_is_fatal(source, err)) {
        return session_lost(source, now_ns, err);
    }
    switch (got) {
    case PG_COPY_DATA:
        return accept_frame(source, bytes, now_ns, ret_item, err);
    case PG_COPY_IDLE:
        if (part) {
            feedback_part(&source->feedback);
        }
        return found_nothing(source, now_ns, err);
    case PG_COPY_END:
        err_set(err, ERR_PG_SHUTDOWN, "the server ended the stream in good order");
        err_where(err, "slot %s", source->slot);
        err_hint(err, "walferry comes back by itself when the server accepts connections again");
        return session_lost(source, now_ns, err);
    case PG_COPY_FAILED:
        stream_judge(source, err);
        return session_lost(source, now_ns, err);
    }
    UNREACHABLE();
}
