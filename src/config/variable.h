/* SPDX-License-Identifier: Apache-2.0 */
/*
 * variable: ${VAR}, ${VAR:-default} and $$ in scalars.
 *
 * Expanded after parsing, so that no value of the environment can change the shape of the file.
 * Environment variables are upper-case, [A-Z_][A-Z0-9_]*. In a template, placeholders (lower-case
 * field names) and $$ stay as they are for the template's own compiler. A default stands in for a
 * variable that is unset or empty, and may itself hold variables.
 */
#pragma once

#include "pool.h"
#include "walferry/base/err.h"

enum text_use {
    TEXT_PLAIN,
    TEXT_TEMPLATE,
    TEXT_SECRET, /* the error shows nothing of the text but names of variables */
};

/* *ret_text is in the pool, or `text` itself when there is nothing to expand. Values of the
 * environment never enter the error. */
MUST_USE bool variable_expand(const char *text, enum text_use use, struct pool *pool,
                              const char **ret_text, struct err *err);
