/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sense: whether what the relay waits for can still come.
 *
 * systemd is told WATCHDOG=1 while it can, and starts the relay again when it is told no more. A
 * loop that turns is not enough: it may turn for ever around a report that never comes. But most
 * waiting has its reason outside: Kafka or PostgreSQL is away or slow, a right is missing, a disk
 * is full, another instance holds the slot, a reader of standard output does not read. A restart
 * mends none of these, it only repeats events; so they all make sense, however long they last.
 * What makes none is a contradiction in our own books that lasts a minute:
 *  - records are in flight, and the sink has told of every record that it took;
 *  - a record is in hand, there is room for it, and it is not offered;
 *  - a position is due to be saved, saving works, and it is not saved;
 *  - the session has something to do by its own clock, and is not turned;
 *  - the drain is over by its deadline, and the relay does not end.
 * Pure: handed the facts and the time. A loop that does not turn at all is the watchdog's business
 * (loop/watchdog.h), which ends the process.
 */
#pragma once

#include "walferry/base/compiler.h"

enum sense_fault {
    SENSE_NONE,
    SENSE_REPORT_LOST,
    SENSE_NOT_OFFERED,
    SENSE_NOT_SAVED,
    SENSE_NOT_TURNED,
    SENSE_NOT_ENDED,
};

struct sense_facts {
    uint64_t now_ns;
    uint32_t in_flight; /* by the ledger */
    uint64_t pending;   /* by the sink */
    bool reported_late; /* transactional: the sink reports when it commits */
    bool offered;       /* a record is in hand */
    bool in_its_way;    /* something that passes or not: the sink is busy, no room, a hold */
    bool save_fails;    /* or the sink that keeps the position is away */
    uint64_t save_ns;   /* when a save is due; UINT64_MAX: nothing to save */
    uint64_t turn_ns;   /* when the session is to be turned; UINT64_MAX: never */
    uint64_t end_ns;    /* when the drain is over; UINT64_MAX: no drain */
};

/* The fault that is there now. */
enum sense_fault sense_find(const struct sense_facts *facts);

struct sense {
    enum sense_fault fault;
    uint64_t since_ns;
};

/* False when the fault has been there for `limit_ns` without a break. */
MUST_USE bool sense_holds(struct sense *sense, enum sense_fault fault, uint64_t now_ns,
                          uint64_t limit_ns);
const char *sense_text(enum sense_fault fault);
