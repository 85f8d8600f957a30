/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walsender: a scripted PostgreSQL for tests of the replication session.
 *
 * Listens on a Unix socket in a directory of its own, admits one client at a time, answers each
 * simple query by the first rule whose text occurs in it, and records what the client sends. Runs
 * in the thread of the test: nothing happens but in walsender_pump(), which never blocks, so no
 * test depends on time. Section 55 "Frontend/Backend Protocol" of PostgreSQL's documentation.
 */
#pragma once

#include "walferry/base/buf.h"
#include "walferry/base/lsn.h"

struct walsender;

struct walsender *walsender_new(void);
void walsender_free(struct walsender *server);
/* host=... and what keeps libpq from asking for more than we speak. */
const char *walsender_conninfo(const struct walsender *server);
/* Accept, read, answer, send, as far as it goes. */
void walsender_pump(struct walsender *server);

/* ---- the script ---- */

/* Answer to queries that contain `text`; replaces an earlier rule for the same text. The reply is
 * messages of the protocol as made below, ReadyForQuery included where one belongs. Starts with
 * answers that suit a healthy PostgreSQL 15 with slot and publication in place. */
void walsender_on(struct walsender *server, const char *text, const struct buf *reply);
/* Refuse the login instead of admitting it; NULL admits again. */
void walsender_refuse(struct walsender *server, const char *sqlstate, const char *message);
/* Answer the startup packet so instead of admitting, and close the connection then if it is the
 * last word; NULL admits again. Passwords that come are not looked at. */
void walsender_login(struct walsender *server, const struct buf *messages, bool last);
/* After such an answer: what is said to the first and the second message of SCRAM; in the first %s
 * stands for the client's nonce. Section 55.3 "SASL Authentication". */
void walsender_scram(struct walsender *server, const char *first, const char *final);
/* Close the next connection after so many bytes; only one. */
void walsender_cut(struct walsender *server, size_t bytes);
/* Refuse whoever does not ask for replication: the monitor of a relay. */
void walsender_replication_only(struct walsender *server);
/* Send at the next pump, to the present client. */
void walsender_send(struct walsender *server, const struct buf *messages);
/* Close the client's connection after what is queued went out. */
void walsender_hang_up(struct walsender *server);
/* The same, with something of the client's left unread, so that it finds the connection reset: when
 * it has sent something more. */
void walsender_reset(struct walsender *server);
/* Whether everything queued went out. */
bool walsender_sent(const struct walsender *server);
/* Whether the last pump found nothing to do, and the next one will not unless the client or the
 * test does something. */
bool walsender_idle(const struct walsender *server);
/* Send one byte a pump. */
void walsender_trickle(struct walsender *server, bool on);

/* ---- what the client did ---- */

unsigned walsender_connections(const struct walsender *server);
/* Those that came to a startup packet; with walsender_replication_only() for replication. */
unsigned walsender_logins(const struct walsender *server);
/* Bytes sent to the newest connection. */
size_t walsender_bytes(const struct walsender *server);
/* What is answered to that text, appended. */
void walsender_answer(const struct walsender *server, const char *text, struct buf *out);
/* How many queries contained `text`, and the newest of them ("" for none). */
unsigned walsender_queries(const struct walsender *server, const char *text);
const char *walsender_query(const struct walsender *server, const char *text);
/* Value of a startup parameter of the newest connection; "" when it was not sent. */
const char *walsender_parameter(const struct walsender *server, const char *name);
bool walsender_copy_done(const struct walsender *server);

struct walsender_status {
    unsigned count; /* received so far; the rest is of the newest */
    struct lsn write;
    struct lsn flush;
    struct lsn apply;
    bool reply;
};

struct walsender_status walsender_status(const struct walsender *server);

/* ---- messages ---- */

/* A result of one row (NULL: SQL NULL), or of none when count is 0, and ReadyForQuery. */
void reply_row(struct buf *out, size_t count, const char *const *values);
/* A result of so many columns, and no row. */
void reply_none(struct buf *out, size_t count);
void reply_error(struct buf *out, const char *sqlstate, const char *message);
/* The last word of a server that closes the connection. */
void reply_fatal(struct buf *out, const char *sqlstate, const char *message);
void reply_ready(struct buf *out);
void reply_copy_both(struct buf *out);
void reply_complete(struct buf *out, const char *tag);
void reply_notice(struct buf *out, const char *severity, const char *sqlstate, const char *message);
void reply_data(struct buf *out, struct bytes payload, struct lsn wal_end);
void reply_keepalive(struct buf *out, struct lsn wal_end, bool reply);
void reply_copy(struct buf *out, struct bytes frame);
