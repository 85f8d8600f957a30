/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row: the tuples of Insert, Update and Delete. Pure; values are borrowed from the message, their
 * array from the caller.
 */
#pragma once

#include "walferry/base/err.h"
#include "walferry/base/reader.h"
#include "walferry/model/change.h"

/* Read one TupleData of exactly relation->column_count values into `values`, which has room for
 * COLUMN_MAX. ERR_PROTOCOL without a place, which the caller adds. */
MUST_USE bool row_read_tuple(struct reader *reader, const struct relation *relation,
                             struct value *values, struct tuple *ret_tuple, struct err *err);
