/* SPDX-License-Identifier: Apache-2.0 */
/*
 * careful: which record of a refused batch is the guilty one.
 *
 * A broker refuses a batch for one of its records, and all of them come again. From then on records
 * go one at a time until the place of the refusal is passed: what fails alone, twice, is poison,
 * and the innocent are published. A dead letter that is refused alone is made small, once. Pure
 * book-keeping; a zeroed one is not careful. Places are those behind a record, as flights have
 * them; `at` is the place of a row that is in hand.
 */
#pragma once

#include "walferry/checkpoint/ledger.h"

struct careful {
    bool on;
    struct cursor until;
    struct cursor suspect; /* the record that failed alone */
    unsigned failures;     /* of the suspect */
    unsigned letters;      /* those of them that were its dead letter's */
    const char *error;     /* static name of the last refusal */
};

/* One at a time until the record that ends at `until` is delivered. */
void careful_until(struct careful *careful, struct cursor until);
/* The broker refused this record or its batch; `newest` is the place of what was submitted last.
 * False when it is a dead letter, alone, that was made small already: there is nothing left to try.
 */
MUST_USE bool careful_refused(struct careful *careful, const struct flight *flight,
                              struct cursor newest, const char *error);
void careful_delivered(struct careful *careful, const struct flight *flight);
/* Before the row at `at` is rendered: the error of a record that failed alone and twice, else NULL.
 */
const char *careful_rejected(const struct careful *careful, struct cursor at);
/* Bytes of the row that its dead letter may have, of the sink's `max`. */
size_t careful_letter_max(const struct careful *careful, struct cursor at, size_t max);
/* How long to wait after so many failures in a row, the first is 0: doubles up to half a minute. */
uint64_t careful_pause_ns(unsigned failures);
