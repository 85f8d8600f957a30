/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay_private: the one structure of the relay and what its files offer each other.
 *
 * relay.c wires and turns the loop, session.c talks to the source, pull.c takes one row down the
 * stages, delivery.c brings reports back, confirm.c makes positions durable, keep.c and save.c do
 * so where the sink keeps them, health.c knows how we are, alarm.c says what is going wrong. All
 * state is here and owned by the one thread.
 */
#pragma once

#include <stdio.h>

#include "walferry/base/assert.h"
#include "walferry/base/buf.h"
#include "walferry/base/clock.h"
#include "walferry/base/failpoint.h"
#include "walferry/checkpoint/ledger.h"
#include "walferry/decode/pgoutput.h"
#include "walferry/loop/loop.h"
#include "walferry/metrics/metrics.h"
#include "walferry/pg/pg.h"
#include "walferry/relay/careful.h"
#include "walferry/relay/relay.h"
#include "walferry/relay/sense.h"
#include "walferry/relay/stages.h"
#include "walferry/source/guard.h"
#include "walferry/source/monitor.h"

enum relay_watch { WATCH_SOURCE, WATCH_SINK, WATCH_MONITOR, WATCH_HTTP };

enum relay_state {
    RELAY_STARTING,
    RELAY_STANDBY,
    RELAY_STREAMING,
    RELAY_BLOCKED,
    RELAY_DRAINING,
    RELAY_STOPPED,
};

/* The transaction that is being read. */
struct in_hand {
    bool open;
    bool skip; /* all of it was submitted or published before */
    struct cursor at;
    uint32_t skip_ordinal; /* events before it were submitted before */
    int64_t commit_time_us;
    uint32_t xid;
};

/* A record that the sink could not take yet; its bytes are those of the row in hand. */
struct offered {
    bool present;
    bool dead_letter;
    struct event event;
    struct record record;
    struct bytes intended_topic;
    enum err_code reason; /* of a dead letter */
};

enum relay_claim { CLAIM_NONE, CLAIM_ASKED, CLAIM_HELD };

/* A position that the sink keeps. */
struct keep {
    bool by_sink; /* else relay->store keeps it */
    bool transactional;
    enum relay_claim claim;
    bool elsewhere; /* it was claimed for another server than the one it belongs to */
    /* Since the claim was asked for, others may have held the slot: the session ended, or began
     * without a stream so far. */
    bool stale;
    bool rival;    /* since the last stream another session was seen on the slot */
    bool troubled; /* the last claim failed, and relay->blocked says why */
    bool anew;     /* the ledger has to begin again at the checkpoint */
    bool known;    /* a position was seen or written by this process */
    bool rewrite;  /* it vanished */
    bool saving;
    bool cut;               /* what is there is committed before anything follows */
    bool apart;             /* nothing follows before the save has ended */
    struct lsn doubted;     /* the slot stood there, ahead of the position, when it was claimed */
    struct checkpoint next; /* being saved */
    uint64_t opened_ns;     /* of the first record in the open transaction; 0: it has none */
    uint64_t saving_ns;     /* the same of the transaction that is being committed */
    uint64_t records;       /* of the open one */
    uint64_t bytes;
    uint64_t saved_ns;
    uint64_t busy_until_ns; /* the sink could not save */
    uint64_t next_claim_ns; /* after one that failed */
    /* The chain, with all that was submitted. */
    uint64_t events;
    uint32_t chain;
    unsigned fenced; /* times in a row */
    char host[HOST_NAME_MAX_SHOWN + 1];
    struct buf text;
};

/* How fast rows come. Where they come fast, the stream is not read whenever there is something, but
 * now and then and then all of it: a reader that sleeps until each row wakes it costs the server,
 * which sends every row by itself, about as much again as the sending. */
struct pace {
    uint64_t since_ns; /* of the span that is being counted */
    unsigned rows;     /* in it */
    unsigned before;   /* in the span before it */
    uint64_t nap_until_ns;
};

/* What was said and need not be said again. */
struct alarms {
    uint64_t looked_ns; /* the monitor's facts of that time were looked at */
    bool filter;
    bool slot;
    bool update; /* in this session */
};

struct relay {
    const struct config *config;
    const struct relay_hooks *hooks;
    struct loop loop;
    uint64_t now_ns; /* of this turn */
    struct source *source;
    struct monitor *monitor;
    struct pgoutput *decoder;
    struct stages stages;
    struct sink *sink;
    struct ledger *ledger;          /* from the first session on */
    struct checkpoint_store *store; /* NULL while another process holds it */
    struct http *http;
    struct metrics *metrics;

    const char **tables;            /* captured, for source_opts */
    struct source_column *columns;  /* of them */
    struct source_opts source_opts; /* the configuration's, and what sink and captures ask for */
    struct checkpoint checkpoint;   /* as last made durable */
    bool has_checkpoint;
    bool checkpoint_previous; /* the newest generation could not be read */
    struct lsn durable;       /* what may be confirmed */
    /* What a reload may change; the rest of the configuration is fixed. */
    uint64_t checkpoint_interval_ms;
    uint64_t drain_timeout_ms;
    uint64_t next_open_ns; /* while another process holds the checkpoint */
    uint64_t next_save_ns;
    uint64_t save_retry_ns; /* after a failed save: nothing is pulled until one works */
    bool save_failed;

    struct keep keep;
    struct alarms alarms;

    struct in_hand in_hand;
    struct offered offered;
    /* The newest transaction begun in the ledger, and how far it was submitted. */
    struct cursor newest;
    bool newest_closed;
    struct lsn submitted; /* commit of the newest transaction ever begun; for the guard */
    bool suspended;       /* newest is open in the ledger and must come again */
    /* Where a transaction goes on that was sent in part before. */
    struct cursor resume;
    struct careful careful;

    /* Where the finished prefix ended at the last failed delivery. */
    struct lsn failed_published;
    struct cursor failed_partial;

    uint64_t hold_until_ns; /* after a failed delivery: nothing is submitted before */
    unsigned replays;       /* in a row, without a delivery between */

    enum relay_state state;
    char reason[256];
    struct err waiting;        /* why we are a standby; ERR_NONE: we are not */
    struct err source_trouble; /* why the last session ended */
    struct err blocked;        /* why deliveries fail; ERR_NONE since the last one that did not */
    unsigned strikes;          /* undecodable messages */
    uint64_t progress_ns;      /* last time of an acknowledgement, or of nothing to wait for */
    struct lsn received;
    int64_t received_commit_us;
    int64_t wall_us; /* of this turn */
    int64_t started_at_us;
    bool announced;
    uint64_t streams_since_ns; /* the newest session */
    bool more;                 /* the turn ended before the stream ran dry */
    struct pace pace;
    bool sink_busy;
    uint64_t next_tick_ns;
    uint64_t next_watchdog_ns;
    struct sense sense;
    bool senseless; /* that was said */
    bool signalled; /* asked to stop by a signal */
    bool draining;
    bool halting; /* draining because of `fatal`: the transaction in hand stays open */
    uint64_t drain_deadline_ns;
    bool ending; /* source_end() was called */
    bool stop;
    struct err fatal; /* why the relay ends, when not asked to */
    int exit_status;
    uint32_t *topic_labels; /* sink's topic number to metrics' + 1 */
    size_t topic_label_count;
    size_t error_count;
    struct status_error errors[STATUS_ERRORS_MAX]; /* newest first */
};

/* session.c */
/* One event of the source. True when more may follow at once. */
MUST_USE bool session_turn(struct relay *relay);
/* A message could not be decoded: the session ends loudly. */
void session_protocol_error(struct relay *relay, const struct err *err);
/* The server shuts down: let it go, it would wait for a last confirmation for ever. */
void session_yield(struct relay *relay);
/* At the end: the exact way past a transaction that the server cannot send, once all that comes
 * before it is published. */
void session_advise(struct relay *relay);
/* The turn before began at `before_ns`. The server lets go of a relay that slept for so long, and
 * another instance may have gone further: the session is begun anew before anything is sent, saved
 * or confirmed. */
void session_woke(struct relay *relay, uint64_t before_ns);
/* Whether the session is over, though it was not read that far; then it is begun anew. */
MUST_USE bool session_gone(struct relay *relay);
/* Everything past the durable position comes again, with the next session: forget what is in flight
 * and in hand. */
void session_rewind(struct relay *relay);

/* pull.c */
/* Whether a row may be read and pushed down. */
bool pull_allowed(const struct relay *relay);
/* One message of the output plugin. */
void pull_message(struct relay *relay, struct bytes message);
/* Offer the record in hand once more, if there is one. True when none is left. */
MUST_USE bool pull_offer(struct relay *relay);
/* The record in hand is not offered again: its row comes again. */
void pull_drop(struct relay *relay);
/* A new session: what the decoder knew is void. */
void pull_reset(struct relay *relay);

/* poison.c: the row in hand cannot be published; by policy. `intended`: where it was
 * going, absent when that is not known. */
void poison_row(struct relay *relay, const struct event *event, struct bytes intended,
                const struct err *reason);

/* delivery.c */
/* Collect reports. True when there were any. */
MUST_USE bool delivery_collect(struct relay *relay);
/* Why a report that is no delivery came, as an error for people. */
void delivery_explain(struct relay *relay, const struct sink_report *report, struct err *err);
/* The transaction in which the position was saved did not come about. */
void delivery_refused(struct relay *relay, const struct sink_report *report);
/* Take back what is in flight: the producer is dropped, and all of it comes again with the next
 * session, which the caller begins. */
void delivery_drop(struct relay *relay);
/* The sink failed as a whole. */
void delivery_failed(struct relay *relay, const struct err *err);
/* In careful mode: whether a record may be submitted now. */
bool delivery_may_submit(const struct relay *relay);

/* confirm.c */
/* Save and confirm if due; `force` if there is anything to save at all. False: it failed. */
bool confirm_turn(struct relay *relay, bool force);
/* Open the checkpoint and load it. While another process holds it this relay is a standby, if it
 * may be one: then `store` stays NULL, and confirm_open_again() tries once a second. */
MUST_USE bool confirm_open(struct relay *relay, struct err *err);
void confirm_open_again(struct relay *relay);
/* When confirm_turn() has something to do; UINT64_MAX: nothing. */
uint64_t confirm_deadline(const struct relay *relay);
/* Whether there is more to save than the checkpoint says. */
bool confirm_moved(const struct relay *relay, struct lsn published, struct cursor partial);
/* Everything that the server committed earlier, by its clock, is published: when the oldest
 * transaction was committed that is not, else the newest event that came. */
int64_t confirm_commit_time_us(const struct relay *relay);
/* It is durable. */
void confirm_saved(struct relay *relay, const struct checkpoint *saved);
/* The first position of a first start. */
MUST_USE bool confirm_begin(struct relay *relay, struct lsn start, struct err *err);

/* keep.c: the position when the sink keeps it: claims. */
MUST_USE bool keep_init(struct relay *relay, struct err *err);
/* At the start of a session: whether the position is known. It is asked for when it is this relay's
 * turn; then the source asks for its facts again, and this is asked once more. */
MUST_USE bool keep_ready(struct relay *relay, const struct guard_input *input);
/* Whether the ledger has to begin again at the checkpoint; true once. */
bool keep_begin_anew(struct relay *relay);
/* Asks the sink for the claim. */
void keep_claim(struct relay *relay);
/* The session was lost, or begins without a stream so far. */
void keep_session_lost(struct relay *relay);
/* The slot is ours. */
void keep_streams(struct relay *relay);
/* It is not this relay's turn: do not stand in the other's way. */
void keep_release(struct relay *relay, const struct err *why);
/* The guard refused the position. True when it may be old: it is claimed and judged once more. */
bool keep_doubts(struct relay *relay, const struct err *err);
/* Store slot, before the guard: whoever held the slot since confirmed what it published. */
void keep_follow_slot(struct relay *relay);
/* The producer was dropped with the transaction that it had open. */
void keep_dropped(struct relay *relay);
/* Whether the relay may stand by after this error, instead of ending with it. */
bool keep_fenced(struct relay *relay, const struct err *err);
void keep_report(struct relay *relay, const struct sink_report *report);

/* save.c: saves. */
/* A record was taken. */
void keep_took(struct relay *relay, struct position position, uint64_t cost);
/* The row before, which was refused again and again, is dealt with: commit that before anything
 * else can fail, or the next replay would have to find out about it once more. */
void keep_cut(struct relay *relay);
/* Nothing may be submitted now: a transaction is being committed or ought to be. */
bool keep_holds(const struct relay *relay);
/* As confirm_turn() and confirm_deadline(). */
bool keep_turn(struct relay *relay, bool force);
uint64_t keep_deadline(const struct relay *relay);
/* Nothing is left to save; asked while draining, and saves it. */
bool keep_settled(struct relay *relay);
void keep_saved(struct relay *relay, const struct sink_report *report);
/* The relay ends with an error: what was acknowledged need not be sent again. Waits a moment. */
void keep_last(struct relay *relay);

/* alarm.c */
/* What the monitor learned since the last turn. */
void alarm_turn(struct relay *relay);
/* A session streams. */
void alarm_session(struct relay *relay);
/* A change of an outbox table is no event. */
void alarm_skip(struct relay *relay, const struct change *change);

/* health.c */
/* A record is in hand or in flight. */
bool health_waiting(const struct relay *relay);
/* Bring the state up to date. */
void health_update(struct relay *relay);
/* Remember for /status, count, and log; the same text again only every ten seconds. */
void health_error(struct relay *relay, enum log_level level, const char *what,
                  const struct err *err);
void health_fill(void *context, struct status *ret_status);
void health_refresh(void *context);
const char *relay_state_name(enum relay_state state);
/* Number of a topic in the metrics, by the sink's number. */
uint32_t health_topic(struct relay *relay, uint32_t sink_topic);

/* relay.c */
/* End now with this error: what is in flight may not be waited for. */
void relay_fail(struct relay *relay, const struct err *err);
/* Read no more, wait for what is in flight, then end with this error. */
void relay_halt(struct relay *relay, const struct err *err);

/* reload.c: SIGHUP. */
void reload(struct relay *relay);

/* notify.c: tell systemd, if it listens. */
void notify_send(const char *message);
/* WATCHDOG=1, once a second and while the relay makes sense: see sense.h. */
void notify_watchdog(struct relay *relay);
/* How long a call may hang, and how long what makes no sense may last. */
unsigned notify_limit_s(void);
