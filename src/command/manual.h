/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manual: documents made from the tables of the program, so that they cannot disagree with it.
 *
 * The manual pages in packaging/man and the tables of the README are written by
 * tests/rules/documents and compared by a test. mdoc for pages, Markdown for tables.
 */
#pragma once

#include "walferry/base/buf.h"

/* walferry(1), walferry.yaml(5), walferry-errors(7). */
void command_manual(struct buf *out);
void config_page(struct buf *out);
void errors_manual(struct buf *out);
/* Tables of exit statuses and metrics. */
void exits_markdown(struct buf *out);
void metrics_markdown(struct buf *out);
