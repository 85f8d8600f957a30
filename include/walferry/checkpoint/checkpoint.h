/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint: the position up to which everything is published, made durable.
 *
 * The record names what it belongs to (pipeline, system identifier, timeline, slot), so that a
 * checkpoint of another database is recognised before anything is published. Text form, one
 * `key=value` a line and a last line with the CRC-32C over all before it; the reader is strict: a
 * checkpoint cut at any byte or with any bit flipped is refused, never misread. Format 1, which had
 * no chain, is read too.
 *
 * The chain is kept under exactly_once, where a checkpoint is part of the Kafka transaction with
 * its events: each names the position before it, and how many events there were and what their
 * positions add up to since the first, so that an auditor sees whether a transaction is missing or
 * torn.
 *
 * The file store keeps two generations in its directory, `<pipeline>.checkpoint` and
 * `<pipeline>.checkpoint.previous`, and a lock file that admits one process. Saving writes a new
 * file, syncs it, renames it over the old one and syncs the directory: only then it is durable.
 * After a failed write, sync or rename the same descriptor is never used again: Linux reports a
 * failed fsync once and then forgets the pages. Stores are rows of a table: file, and none for
 * sinks that hold nothing.
 */
#pragma once

#include "walferry/base/buf.h"
#include "walferry/base/err.h"
#include "walferry/base/lsn.h"
#include "walferry/model/event.h"

#define CHECKPOINT_VERSION      2
#define CHECKPOINT_TEXT_MAX     4096
#define PIPELINE_NAME_MAX       40
#define SLOT_NAME_MAX           63
#define HOST_NAME_MAX_SHOWN     64
#define CHECKPOINT_HOST_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-"

struct checkpoint {
    uint32_t version; /* of the format it was read in; a save writes CHECKPOINT_VERSION */
    char pipeline[PIPELINE_NAME_MAX + 1];
    char slot[SLOT_NAME_MAX + 1];
    uint64_t system_id;
    uint32_t timeline;
    struct lsn lsn; /* end of the last commit published: where to start */
    /* How far the next transaction was published, so that a large one is not sent twice from its
     * beginning; commit_lsn LSN_NONE: not at all. */
    struct cursor partial;
    struct lsn previous;                /* lsn of the checkpoint before; LSN_NONE: the first */
    uint64_t events;                    /* published since the first; 0: no chain is kept */
    uint32_t chain;                     /* see checkpoint_chain() */
    char host[HOST_NAME_MAX_SHOWN + 1]; /* of who wrote it, in [A-Za-z0-9.-] */
    /* What the server committed earlier, by its clock, is published; since 1970, 0: not known. For
     * people who have to fill a gap: positions know better, but no table does. */
    int64_t commit_time_us;
    uint64_t sequence;   /* counts saves; the higher of two generations is the newer */
    int64_t saved_at_us; /* since 1970 */
};

/* The chain after one more event: CRC-32C over the chain so far and the event's position, as 4, 8
 * and 4 bytes in network order. */
uint32_t checkpoint_chain(uint32_t chain, struct position position);

void checkpoint_encode(const struct checkpoint *checkpoint, struct buf *out);
/* False: ERR_CHECKPOINT_INVALID, or ERR_CHECKPOINT_VERSION for a newer format with a right CRC. */
MUST_USE bool checkpoint_decode(struct bytes text, struct checkpoint *ret_checkpoint,
                                struct err *err);

struct checkpoint_opts {
    const char *directory; /* borrowed */
    const char *pipeline;  /* borrowed */
};

enum checkpoint_found {
    CHECKPOINT_FOUND,
    CHECKPOINT_ABSENT,   /* neither generation exists: a first start */
    CHECKPOINT_PREVIOUS, /* the newest is damaged or missing, the one before is good; err says what
                          */
    /* There is something, and none of it is good, or the newest is of a newer version of walferry
     * (ERR_CHECKPOINT_VERSION: what that one did must not be undone); err is set. */
    CHECKPOINT_UNREADABLE,
};

struct checkpoint_store;

/* Makes the directory if it is missing (mode 0700; its parent must exist), takes the lock, removes
 * what interrupted saves left. False: ERR_CHECKPOINT_DIR, ERR_CHECKPOINT_LOCKED (names the process
 * that holds it). */
MUST_USE bool checkpoint_file_open(const struct checkpoint_opts *opts,
                                   struct checkpoint_store **ret_store, struct err *err);
/* Remembers in memory only. */
MUST_USE bool checkpoint_none_open(struct checkpoint_store **ret_store, struct err *err);
/* What the store holds from now on, as if it had been loaded: for a position that somebody else
 * keeps. Only for a store of checkpoint_none_open(). */
void checkpoint_none_set(struct checkpoint_store *store, const struct checkpoint *checkpoint);
void checkpoint_close(struct checkpoint_store *store);
MUST_USE enum checkpoint_found checkpoint_load(struct checkpoint_store *store,
                                               struct checkpoint *ret_checkpoint, struct err *err);
/* Durable when true. False: ERR_CHECKPOINT_WRITE; the store then holds the old checkpoint or this
 * one, and the next save starts with a new file. Sets the sequence. Asserts that the position does
 * not fall within one lineage (pipeline, slot, system, timeline). */
MUST_USE bool checkpoint_save(struct checkpoint_store *store, struct checkpoint *checkpoint,
                              struct err *err);
