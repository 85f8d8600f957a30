/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bad: tables of configurations that must be refused, and how exactly.
 *
 * A case gives the text, and the one fault that it must yield: code, place, and parts of message
 * and hint. `sets` are --set options. Static data.
 */
#pragma once

#include "../test.h"
#include "walferry/config/config.h"

/* Lines 1 and 2. */
#define HEAD "version: 1\nname: orders\n"
/* Lines 3 and 4 behind HEAD. */
#define CAPTURE "capture:\n  - outbox: outbox.event\n"
/* Lines 5 to 7 behind these two. */
#define SINK "sink:\n  kafka:\n    bootstrap.servers: b:9092\n"
/* What is added stands at line 8. */
#define GOOD HEAD CAPTURE SINK

struct bad_case {
    const char *text;
    enum err_code code;
    const char *where; /* behind "w.yaml", ":8:3"; or the whole of a "--set ..." */
    const char *message;
    const char *hint;
    const char *set;
};

void bad_case_check(const struct bad_case *bad);
/* Load text that must be good; says the first fault when it is not. */
struct config *good_load(const char *text, const char *const *sets, size_t set_count);
