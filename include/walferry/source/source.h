/* SPDX-License-Identifier: Apache-2.0 */
/*
 * source: the replication session, its state machine, and the guards at its start.
 *
 * The session connects, asks who the server is and how the slot and the publication stand, and then
 * waits: the relay lets guard_check() compare these facts with the checkpoint and calls
 * source_start() with the position, or ends. From then on source_next() hands out messages. When
 * the connection breaks the session says SOURCE_LOST once, backs off with jitter (up to 30 s,
 * for ever) and begins anew.
 *
 * Status replies have a timer of their own and are sent by source_tick() whether or not the relay
 * reads, so that back-pressure never looks like death. They report only what source_confirm() was
 * told. A server that asks for replies in a storm is shutting down: the session closes.
 * Sources of facts: reliability of logical replication as described in PostgreSQL's documentation,
 * sections 55.4 "Streaming Replication Protocol" and 49 "Logical Decoding".
 */
#pragma once

#include "walferry/base/err.h"
#include "walferry/base/lsn.h"

/* A column that a capture reads of one of source_opts.tables. */
struct source_column {
    const char *table;
    const char *column;
};

/* All borrowed; they outlive the session. */
struct source_opts {
    const char *conninfo;
    const char *password_file; /* NULL for none */
    const char *pipeline;
    const char *slot;
    const char *publication;
    bool failover;
    bool standby_wait; /* the slot is in use: wait (true) or ERR_SLOT_ACTIVE */
    bool temporary;    /* make a temporary slot for each session: volatile sinks */
    /* "schema.table": what the publication must publish, as far as it exists. */
    const char *const *tables;
    size_t table_count;
    /* What it must send of them, as far as they have it. */
    const struct source_column *columns;
    size_t column_count;
    uint64_t status_interval_ms;
    uint64_t heartbeat_interval_ms; /* 0: none */
    const char *forget; /* how a person removes the checkpoint, for hints; NULL: not known */
};

static inline const char *source_forget(const char *forget)
{
    return forget == NULL ? "remove the checkpoint" : forget;
}

enum wal_status { WAL_UNKNOWN, WAL_RESERVED, WAL_EXTENDED, WAL_UNRESERVED, WAL_LOST };

const char *wal_status_name(enum wal_status status);

struct slot_facts {
    bool exists;
    bool active;
    int active_pid;
    bool logical;
    bool temporary;
    bool two_phase;
    char plugin[64];
    char database[64];
    struct lsn confirmed_flush; /* LSN_NONE when the server has none yet */
    struct lsn restart_lsn;
    enum wal_status wal_status;
    bool has_safe_wal_size;
    int64_t safe_wal_size;
    char invalidation[64]; /* reason, "" when valid */
};

/* What the publication keeps back of what is captured. */
struct publication_gaps {
    char table[128];        /* one of opts.tables that exists and is left out; "": none */
    char column_table[128]; /* the table of `column` */
    char column[64];        /* one of opts.columns that the table has and that is not sent; or "" */
    char filtered[256];     /* "a.b, c.d": tables of which a row filter keeps rows back; cut */
};

/* What the server said at the start of a session. */
struct source_facts {
    uint64_t system_id;
    uint32_t timeline;
    struct lsn wal_end;
    char database[64];
    int server_version;
    char wal_level[16]; /* "logical" is what decoding needs */
    bool in_recovery;
    uint64_t wal_sender_timeout_ms; /* 0: off */
    struct slot_facts slot;
    bool publication_exists;
    bool publication_inserts;
    char publication_tables[1024]; /* "a.b, c.d" for messages; cut */
    struct publication_gaps gaps;
    /* Where the timeline of the checkpoint ended, when the server is on a later one; LSN_NONE when
     * the server's history does not know it. Asked for by source_fork(). */
    struct lsn fork;
    uint32_t fork_of; /* timeline that `fork` is about; 0: not asked */
};

enum source_state {
    SOURCE_STATE_BACKOFF,
    SOURCE_STATE_CONNECTING,
    SOURCE_STATE_ASKING,
    SOURCE_STATE_READY,
    SOURCE_STATE_STANDBY,
    SOURCE_STATE_STARTING,
    SOURCE_STATE_STREAMING,
    SOURCE_STATE_ENDING,
    SOURCE_STATE_CLOSED,
};

const char *source_state_name(enum source_state state);

enum source_event {
    SOURCE_IDLE,      /* nothing now: wait for the descriptor or the deadline */
    SOURCE_READY,     /* facts are known: decide and call source_start() */
    SOURCE_STARTED,   /* streaming begins; a new session for decoder and capture */
    SOURCE_DATA,      /* one message of the output plugin */
    SOURCE_KEEPALIVE, /* wal_end: the server has sent everything before it */
    SOURCE_LOST,      /* the session or the attempt ended, err says why; it comes back by itself */
    SOURCE_WAITING,   /* once on entering standby: err names who holds the slot */
    SOURCE_ENDED,     /* after source_end(): the server has our last word */
    SOURCE_FAIL,      /* err is of class CONFIG or STOP, or SLOT_ACTIVE without standby_wait: end */
};

struct source_item {
    struct bytes data;  /* DATA: borrowed until the next call */
    struct lsn wal_end; /* KEEPALIVE, and DATA as far as the server told */
    int64_t sent_at_us; /* server's clock, since 1970 */
};

struct source;

MUST_USE bool source_new(const struct source_opts *opts, struct source **ret_source,
                         struct err *err);
void source_free(struct source *source);

int source_fd(const struct source *source);
/* `read`: whether the relay has room. While connecting the session's own needs rule. */
unsigned source_wants(const struct source *source, bool read);
/* Monotonic time at which source_tick() or source_next() has something to do without the
 * descriptor; UINT64_MAX for never. */
uint64_t source_deadline(const struct source *source);

MUST_USE enum source_event source_next(struct source *source, uint64_t now_ns,
                                       struct source_item *ret_item, struct err *err);
/* Status replies and receive deadline; sends without reading. Call every turn. What it finds wrong
 * comes out of the next source_next(). */
void source_tick(struct source *source, uint64_t now_ns);

/* Valid after SOURCE_READY until the session is lost. */
const struct source_facts *source_facts(const struct source *source);
/* Ask the server's history for the end of `timeline`: state goes back to ASKING, SOURCE_READY comes
 * again with facts->fork set. */
void source_fork(struct source *source, uint32_t timeline);
/* In READY: ask anew for all facts, which have grown old; SOURCE_READY comes again. */
void source_ask(struct source *source);
/* `start` is not before what was confirmed (asserted), except that a new temporary slot knows of no
 * confirmation yet. */
void source_start(struct source *source, struct lsn start);
/* Everything before `lsn` is durable with us. Falls never (asserted). Sent with the next status;
 * `now` makes the next source_tick() send it. */
void source_confirm(struct source *source, struct lsn lsn, bool now);
/* The last value sent to the server as flushed. */
struct lsn source_confirmed(const struct source *source);
/* The session broke outside source_next(), whose next call says so; nothing else does. */
bool source_broken(const struct source *source);
/* The server closed the connection of a stream; what it sent before may be unread still. */
bool source_hung_up(const struct source *source);
/* Newest WAL end that the server told of. */
struct lsn source_wal_end(const struct source *source);
/* `lsn` lies so far ahead of it that it cannot be true: a position that was believed would be
 * confirmed, and all before it skipped. */
bool source_too_far(const struct source *source, struct lsn lsn);
enum source_state source_state(const struct source *source);
/* Orderly end: final status, CopyDone; SOURCE_ENDED follows (or SOURCE_LOST), at the latest after
 * five seconds. Nothing comes back after it. */
void source_end(struct source *source, uint64_t now_ns);
/* In READY, when guard_check() said GUARD_WAIT: ask the server again in a second, on the same
 * connection, and come back with SOURCE_READY. `why` is the guard's error; it comes out once as
 * SOURCE_WAITING (of a SLOT_ACTIVE without standby_wait as SOURCE_FAIL), until streaming begins. */
void source_wait(struct source *source, const struct err *why, uint64_t now_ns);
/* Drop the session now and begin anew after the back-off; for replay from the durable position.
 * The caller knows, so no SOURCE_LOST follows. */
void source_restart(struct source *source, uint64_t now_ns);
/* Reset the back-off: events flow. Called by the relay after progress. */
void source_healthy(struct source *source);
/* Sessions that were lost so far. */
uint64_t source_reconnects(const struct source *source);
