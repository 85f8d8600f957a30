/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fault_table: what must come of each failpoint, in each mode, for each action.
 *
 * The table is whole: a failpoint of failpoint.def without a row for a mode fails the suite, and a
 * row that claims a place is reached fails when its fault does not fire. What cannot be reached
 * stands there with the reason.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum mode {
    MODE_FILE = 1,   /* at_least_once, checkpoint in files */
    MODE_KAFKA = 2,  /* at_least_once, checkpoint in its topic */
    MODE_SLOT = 4,   /* at_least_once, the slot is the checkpoint */
    MODE_ONCE = 8,   /* exactly_once */
    MODE_LINES = 16, /* at_least_once, checkpoint in files, records into a file */
    MODE_PIPE = 32,  /* records to standard output, over a temporary slot */
};

enum action { ACTION_CRASH, ACTION_ERROR, ACTION_HANG, ACTION_COUNT };

/* What the harness does while the fault is armed, beside writing rows. */
enum stimulus {
    NOTHING,
    INIT,     /* the fault is armed in `walferry init` */
    AGAIN,    /* in a second run, which finds a checkpoint with two generations */
    STOP,     /* SIGTERM after some rows */
    RELOAD,   /* SIGHUP */
    VISIT,    /* a client asks for /status */
    SEPARATE, /* the server ends the replication session */
    SILENCE,  /* the relay sleeps until the server asks whether it lives */
    RIVAL,    /* another producer with the same transactional id */
    BULKY,    /* a row that the topic does not take: it ends as a dead letter */
};

enum result {
    NEVER,      /* cannot be: `reason` */
    KILLED,     /* it killed itself; a start without the fault mends it */
    WATCHED,    /* the watchdog ends the process with 75 */
    UNANSWERED, /* the relay waits for a call to librdkafka that does not return, and ends with 75
                 */
    STUCK,      /* it hangs in a way that nothing of it sees, and is killed */
    GOES_ON,    /* nobody but the log notices: nothing is repeated */
    REPLAYS,    /* the producer is replaced: what was in flight may come twice (not exactly_once) */
    LETTER,     /* one event goes to the dead letter topic */
    ENDS,       /* it ends with `status`, and says how to go on */
};

struct expected {
    enum result result;
    int status;
    const char *said;   /* words of the log; NULL: any */
    const char *reason; /* of NEVER */
};

struct fault {
    const char *name;
    unsigned modes;
    const char *passage; /* "@5" */
    enum stimulus stimulus;
    const char *with; /* armed too; NULL: nothing */
    const char *set;  /* for --set; NULL: nothing */
    struct expected expected[ACTION_COUNT];
};

extern const char *const action_names[ACTION_COUNT];
extern const struct fault fault_table[];
extern const size_t fault_table_count;

const char *mode_name(enum mode mode);
/* Of its row; NULL when there is none. Of the sinks beside Kafka only their own failpoints are hit
 * in MODE_LINES and MODE_PIPE. */
const struct fault *fault_find(const char *name, enum mode mode);
