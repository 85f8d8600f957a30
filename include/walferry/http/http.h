/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http: metrics, health and status, read-only.
 *
 * The only module that knows libmicrohttpd, driven through its epoll descriptor from the relay's
 * loop: a request is answered from a snapshot that the relay fills, so nothing here can hold up
 * the data. GET and HEAD only; at most 32 connections (one more waits), one request and 16 KiB of
 * memory for each, closed after 5 s of silence and after 10 s in any case.
 * Paths: / /metrics /livez /readyz /healthz /status. Text of a snapshot may come from anywhere: it
 * is escaped for each format.
 */
#pragma once

#include "walferry/base/err.h"
#include "walferry/base/lsn.h"
#include "walferry/metrics/metrics.h"

#define STATUS_ERRORS_MAX 10
#define STATUS_CHECKS_MAX 8

struct status_check {
    const char *name; /* static: "source" */
    bool ok;
    char detail[160];
};

struct status_error {
    int64_t time_us; /* last time */
    uint64_t count;
    struct err err;
};

/* One answer of the relay to "how are you". */
struct status {
    const char *pipeline;
    const char *version;
    const char *state; /* starting standby streaming draining blocked stopped */
    bool ready;
    char reason[256]; /* why it is not ready, or what it is doing */
    const char *slot;
    const char *publication;
    int server_version;
    uint64_t system_id;
    uint32_t timeline;
    struct lsn received;
    struct lsn published;
    struct lsn durable;
    struct lsn confirmed;
    uint64_t lag_bytes;
    double lag_seconds;
    bool slot_known;
    uint64_t retained_bytes;
    bool has_safe_bytes;
    int64_t safe_bytes;
    const char *wal_status;
    uint64_t events_received;
    uint64_t events_published;
    uint64_t events_skipped;
    uint64_t dead_letters;
    const char *sink;
    bool sink_connected;
    char sink_detail[256];
    const char *sink_library;
    uint32_t in_flight_events;
    uint64_t in_flight_bytes;
    int64_t started_at_us;
    size_t check_count;
    struct status_check checks[STATUS_CHECKS_MAX];
    size_t error_count; /* newest first */
    struct status_error errors[STATUS_ERRORS_MAX];
};

struct http_opts {
    const char *listen; /* "127.0.0.1:9188", "[::1]:9188", port 0: any; borrowed */
};

struct http_source {
    /* Fill the snapshot; called inside http_turn(). */
    void (*fill)(void *context, struct status *ret_status);
    /* Bring gauges up to date before they are rendered. */
    void (*refresh)(void *context);
    struct metrics *metrics;
    void *context;
};

struct http;

/* "HOST:PORT", IPv4, IPv6 in brackets, or a name; it is not looked up. False: ERR_HTTP_LISTEN. */
MUST_USE bool http_listen_check(const char *listen, struct err *err);
/* False: ERR_HTTP_LISTEN. */
MUST_USE bool http_open(const struct http_opts *opts, const struct http_source *source,
                        struct http **ret_http, struct err *err);
void http_close(struct http *http);
int http_fd(const struct http *http);
/* Serve what is ready; never blocks. Call it when http_fd() is readable, at http_deadline(), and as
 * often as it pleases beside. */
void http_turn(struct http *http, uint64_t now_ns);
/* Monotonic; UINT64_MAX: nothing is due. */
uint64_t http_deadline(const struct http *http);
/* The port in use. */
unsigned http_port(const struct http *http);
/* The document of /status. */
struct buf;
void status_render_json(const struct status *status, struct buf *out);
