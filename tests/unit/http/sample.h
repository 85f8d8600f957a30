/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sample: snapshots for tests: one of a healthy relay, and one in which every text is hostile.
 */
#pragma once

#include <stdio.h>
#include <string.h>

#include "walferry/http/http.h"

/* Mark-up, quotes, a line of its own, an escape sequence of terminals, a direction override, and a
 * byte that is not UTF-8. */
#define HOSTILE                                                                                    \
    "<script>alert('x')</script>&\"\\\n[+]all ok\r\n\x1b[31m\xe2\x80\xae\x01\xff</title></style>"

static inline struct status sample_healthy(void)
{
    return (struct status){
        .pipeline = "orders",
        .version = "1.2.3",
        .state = "streaming",
        .ready = true,
        .reason = "",
        .slot = "walferry_orders",
        .publication = "walferry_orders_pub",
        .server_version = 160003,
        .system_id = UINT64_C(18446744073709551615),
        .timeline = 3,
        .received = {UINT64_C(0x1600000040)},
        .published = {UINT64_C(0x1600000030)},
        .durable = {UINT64_C(0x1600000020)},
        .confirmed = {UINT64_C(0x1600000010)},
        .lag_bytes = 48,
        .lag_seconds = 1.5,
        .slot_known = true,
        .retained_bytes = 16777216,
        .has_safe_bytes = true,
        .safe_bytes = -5,
        .wal_status = "reserved",
        .events_received = 10,
        .events_published = 9,
        .events_skipped = 8,
        .dead_letters = 7,
        .sink = "kafka",
        .sink_connected = true,
        .sink_library = "librdkafka 2.0.2",
        .in_flight_events = 6,
        .in_flight_bytes = 5000,
        .started_at_us = INT64_C(1767225600000000),
        .check_count = 2,
        .checks = {{.name = "source", .ok = true}, {.name = "sink", .ok = true}},
        .error_count = 1,
        .errors = {{.time_us = INT64_C(1767225601000000),
                    .count = 4,
                    .err = {.code = ERR_PG_CONNECT,
                            .where = "127.0.0.1:5432",
                            .message = "connection refused",
                            .hint = "start PostgreSQL"}}},
    };
}

static inline struct status sample_hostile(void)
{
    struct status status = sample_healthy();
    status.pipeline = status.version = status.state = HOSTILE;
    status.slot = status.publication = status.wal_status = HOSTILE;
    status.sink = status.sink_library = HOSTILE;
    status.ready = false;
    snprintf(status.reason, sizeof(status.reason), "%s", HOSTILE);
    snprintf(status.sink_detail, sizeof(status.sink_detail), "%s", HOSTILE);
    status.check_count = STATUS_CHECKS_MAX;
    for (size_t i = 0; i < STATUS_CHECKS_MAX; i++) {
        status.checks[i] = (struct status_check){.name = "check", .ok = i % 2 == 0};
        snprintf(status.checks[i].detail, sizeof(status.checks[i].detail), "%s", HOSTILE);
    }
    status.error_count = STATUS_ERRORS_MAX;
    for (size_t i = 0; i < STATUS_ERRORS_MAX; i++) {
        struct err *err = &status.errors[i].err;
        err->code = ERR_PG_QUERY;
        snprintf(err->where, sizeof(err->where), "%s", HOSTILE);
        snprintf(err->message, sizeof(err->message), "%s", HOSTILE);
        snprintf(err->hint, sizeof(err->hint), "%s", HOSTILE);
        /* Cut in the middle of a character. */
        memset(err->message + strlen(err->message), '\xc3',
               sizeof(err->message) - strlen(err->message) - 1);
    }
    return status;
}
