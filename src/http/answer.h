/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer: what the paths answer, rendered from one snapshot, without a word about sockets.
 *
 * Text of a snapshot is untrusted (it quotes servers and rows): each renderer escapes for its own
 * format, and bytes that are not UTF-8 are shown as \xHH.
 */
#pragma once

#include "walferry/base/buf.h"
#include "walferry/http/http.h"

/* Whether OpenMetrics is asked for by name, and not below the plain text, in an Accept header; NULL
 * when there is none. */
bool accept_openmetrics(const char *accept);
/* True when it is ready. `verbose` shows every check. */
bool health_render_ready(const struct status *status, bool verbose, struct buf *out);
/* The page for people; `nonce` allows its style and is the one of Content-Security-Policy. */
void page_render(const struct status *status, const char *nonce, struct buf *out);
