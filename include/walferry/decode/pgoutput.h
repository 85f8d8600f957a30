/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pgoutput: decodes the messages of PostgreSQL's built-in output plugin, protocol version 1
 * (PostgreSQL documentation, section 55.9 "Logical Replication Message Formats").
 *
 * Owns the relation cache: a Relation message replaces what was known under its oid; the cache is
 * dropped with pgoutput_reset() on every new session, because the server announces relations anew.
 * Pure: no I/O, no clock. Checks the order of messages (no row outside Begin and Commit, Commit
 * matches Begin, positions rise), lengths against the bytes at hand, and that each message is
 * consumed to its last byte. A violation is ERR_PROTOCOL, and the decoder refuses everything until
 * it is reset. Bounded: PGOUTPUT_RELATIONS_MAX relations of COLUMN_MAX columns.
 */
#pragma once

#include "walferry/base/err.h"
#include "walferry/model/change.h"

#define PGOUTPUT_RELATIONS_MAX 10000

struct pgoutput;

/* NULL without memory. */
struct pgoutput *pgoutput_new(void);
void pgoutput_free(struct pgoutput *decoder);
/* Forget relations and any open transaction: a new session starts. */
void pgoutput_reset(struct pgoutput *decoder);
/* Decode one message (the payload of an XLogData frame). What *ret_change points to is good until
 * the next call. */
MUST_USE bool pgoutput_decode(struct pgoutput *decoder, struct bytes message,
                              struct change *ret_change, struct err *err);
/* Between Begin and Commit. */
bool pgoutput_in_transaction(const struct pgoutput *decoder);
