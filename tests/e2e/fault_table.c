/* SPDX-License-Identifier: Apache-2.0 */
#include "fault_table.h"

#include <string.h>

const char *const action_names[ACTION_COUNT] = {"crash", "error", "hang"};

#define AT_LEAST_ONCE (MODE_FILE | MODE_KAFKA | MODE_SLOT)
#define ALL           (AT_LEAST_ONCE | MODE_ONCE)
#define TOPICS        (MODE_KAFKA | MODE_ONCE)

/* clang-format off */
#define DIES            {.result = KILLED}
#define HANGS           {.result = WATCHED}
#define LEFT            {.result = UNANSWERED}
#define STAYS           {.result = STUCK}
#define ON              {.result = GOES_ON}
#define ON_SAYING(w)    {.result = GOES_ON, .said = (w)}
#define SENT_AGAIN      {.result = REPLAYS, .said = "sending again"}
#define LETTER_OF(w)    {.result = LETTER, .said = (w)}
#define ENDS_WITH(s, w) {.result = ENDS, .status = (s), .said = (w)}
#define NO(r)           {.result = NEVER, .reason = (r)}
#define NOT_HERE(r)     {NO(r), NO(r), NO(r)}

/* Words of the log. */
#define AWAY      "PostgreSQL is away"
#define UNSAVED   "checkpoint cannot be saved"
#define UNCLAIMED "cannot be claimed yet"
#define UNREAD    "cannot be decoded"

/* Reasons. */
#define NO_CALL     "nothing is asked of anybody at this place that could refuse it"
#define FILES       "only the file store has it"
#define TOPIC       "only positions in a topic have it"
#define TOPIC_ALONE "only positions in a topic without transactions have it"
#define ONE_KAFKA   "only Kafka transactions have it"

const struct fault fault_table[] = {
/* name, modes, passage, stimulus, with, set, {crash, error, hang} */
{"log.write",        ALL, "@2",  NOTHING,  NULL, NULL, {DIES, ON, HANGS}},
{"loop.wait",        ALL, "@60", NOTHING,  NULL, NULL, {DIES, ENDS_WITH(71, "cannot wait for events"), HANGS}},
{"watchdog.fire",    ALL, "",    NOTHING,  "tx.insert=hang@60", NULL, {DIES, NO(NO_CALL), STAYS}},
{"conn.open",        ALL, "",    NOTHING,  NULL, NULL, {DIES, ON, HANGS}},
{"conn.login",       ALL, "",    NOTHING,  NULL, NULL, {DIES, ON, HANGS}},
{"query.send",       ALL, "@2",  NOTHING,  NULL, NULL, {DIES, ON, HANGS}},
{"sys.identify",     ALL, "",    NOTHING,  NULL, NULL, {DIES, ON_SAYING(AWAY), HANGS}},
{"slot.read",        ALL, "",    NOTHING,  NULL, NULL, {DIES, ON_SAYING(AWAY), HANGS}},
{"publication.read", ALL, "",    NOTHING,  NULL, NULL, {DIES, ON_SAYING(AWAY), HANGS}},
{"start.send",       ALL, "",    NOTHING,  NULL, NULL, {DIES, NO(NO_CALL), HANGS}},
{"start.copy",       ALL, "",    NOTHING,  NULL, NULL, {DIES, ON_SAYING(AWAY), HANGS}},
{"frame.read",       ALL, "@60", NOTHING,  NULL, NULL, {DIES, ON_SAYING(AWAY), HANGS}},
{"ack.build",        ALL, "@5",  NOTHING,  NULL, NULL, {DIES, NO(NO_CALL), HANGS}},
{"ack.send",         ALL, "@5",  NOTHING,  NULL, NULL, {DIES, ON_SAYING(AWAY), HANGS}},
{"ack.sent",         ALL, "@5",  NOTHING,  NULL, NULL, {DIES, NO(NO_CALL), HANGS}},
{"keepalive.reply",  ALL, "",    SILENCE,  NULL, NULL, {DIES, ON_SAYING(AWAY), HANGS}},
{"reconnect.sleep",  ALL, "",    SEPARATE, NULL, NULL, {DIES, NO(NO_CALL), HANGS}},
{"tx.begin",         ALL, "@20", NOTHING,  NULL, NULL, {DIES, ON_SAYING(UNREAD), HANGS}},
{"tx.relation",      ALL, "",    NOTHING,  NULL, NULL, {DIES, ON_SAYING(UNREAD), HANGS}},
{"tx.insert",        ALL, "@60", NOTHING,  NULL, NULL, {DIES, ON_SAYING(UNREAD), HANGS}},
{"tx.commit",        ALL, "@20", NOTHING,  NULL, NULL, {DIES, ON_SAYING(UNREAD), HANGS}},
{"row.route",        ALL, "@60", NOTHING,  NULL, NULL, {DIES, LETTER_OF("WF-5004"), HANGS}},
{"row.envelope",     ALL, "@60", NOTHING,  NULL, NULL, {DIES, LETTER_OF("WF-5006"), HANGS}},
{"idle.persist",     ALL, "@3",  NOTHING,  NULL, NULL, {DIES, ON, HANGS}},
{"confirm.saved",    ALL, "@3",  NOTHING,  NULL, NULL, {DIES, NO(NO_CALL), HANGS}},
{"reload.parse",     ALL, "",    RELOAD,   NULL, NULL, {DIES, ON_SAYING("stays as it was"), HANGS}},
{"reload.apply",     ALL, "",    RELOAD,   NULL, NULL, {DIES, NO(NO_CALL), HANGS}},
{"stop.begin",       ALL, "",    STOP,     NULL, NULL, {DIES, NO(NO_CALL), HANGS}},
{"stop.drain",       ALL, "",    STOP,     NULL, NULL, {DIES, NO(NO_CALL), HANGS}},
{"stop.final_ack",   ALL & ~MODE_SLOT, "", STOP, NULL, NULL, {DIES, ON, HANGS}},
/* The server may not have read the last status when the connection goes, and nothing else holds it. */
{"stop.final_ack",   MODE_SLOT,   "", STOP,      NULL, NULL, {DIES, {.result = REPLAYS}, HANGS}},
{"setup.step",       ALL, "@2",  INIT,     NULL, NULL, {DIES, NO(NO_CALL), STAYS}},

{"ckpt.load",        MODE_FILE, "",     AGAIN,   NULL, NULL, {DIES, ON_SAYING("newest checkpoint is not readable"), HANGS}},
{"ckpt.open",        MODE_FILE, "@3",   NOTHING, NULL, NULL, {DIES, ON_SAYING(UNSAVED), HANGS}},
/* A disk that is full for a while. */
{"ckpt.write",       MODE_FILE, "@3-5", NOTHING, NULL, NULL, {DIES, ON_SAYING(UNSAVED), HANGS}},
{"ckpt.fsync",       MODE_FILE, "@3",   NOTHING, NULL, NULL, {DIES, ON_SAYING(UNSAVED), HANGS}},
{"ckpt.keep",        MODE_FILE, "@3",   NOTHING, NULL, NULL, {DIES, ON_SAYING(UNSAVED), HANGS}},
{"ckpt.rename",      MODE_FILE, "@3",   NOTHING, NULL, NULL, {DIES, ON_SAYING(UNSAVED), HANGS}},
{"ckpt.dirsync",     MODE_FILE, "@3",   NOTHING, NULL, NULL, {DIES, ON_SAYING(UNSAVED), HANGS}},
{"ckpt.load",        ALL & ~MODE_FILE, "", NOTHING, NULL, NULL, NOT_HERE(FILES)},
{"ckpt.open",        ALL & ~MODE_FILE, "", NOTHING, NULL, NULL, NOT_HERE(FILES)},
{"ckpt.write",       ALL & ~MODE_FILE, "", NOTHING, NULL, NULL, NOT_HERE(FILES)},
{"ckpt.fsync",       ALL & ~MODE_FILE, "", NOTHING, NULL, NULL, NOT_HERE(FILES)},
{"ckpt.keep",        ALL & ~MODE_FILE, "", NOTHING, NULL, NULL, NOT_HERE(FILES)},
{"ckpt.rename",      ALL & ~MODE_FILE, "", NOTHING, NULL, NULL, NOT_HERE(FILES)},
{"ckpt.dirsync",     ALL & ~MODE_FILE, "", NOTHING, NULL, NULL, NOT_HERE(FILES)},

{"slot.create",      MODE_PIPE, "", NOTHING, NULL, NULL, {DIES, ON_SAYING(AWAY), HANGS}},
{"slot.create",      ALL, "", NOTHING, NULL, NULL, NOT_HERE("only a sink that holds nothing has a temporary slot")},
{"file.open",        MODE_LINES, "",    NOTHING, NULL, NULL, {DIES, ENDS_WITH(71, "ENOSPC"), HANGS}},
{"file.write",       MODE_LINES, "@20", NOTHING, NULL, NULL, {DIES, SENT_AGAIN, HANGS}},
{"file.sync",        MODE_LINES, "@20", NOTHING, NULL, NULL, {DIES, SENT_AGAIN, HANGS}},
{"stdout.write",     MODE_PIPE, "@20", NOTHING, NULL, NULL, {DIES, ENDS_WITH(71, "ENOSPC"), HANGS}},
{"file.open",        ALL, "", NOTHING, NULL, NULL, NOT_HERE("only the file sink has it")},
{"file.write",       ALL, "", NOTHING, NULL, NULL, NOT_HERE("only the file sink has it")},
{"file.sync",        ALL, "", NOTHING, NULL, NULL, NOT_HERE("only the file sink has it")},
{"stdout.write",     ALL, "", NOTHING, NULL, NULL, NOT_HERE("only the sink to standard output has it")},

{"producer.create",    ALL, "",    NOTHING, NULL, NULL, {DIES, ENDS_WITH(71, "librdkafka does not start"), HANGS}},
/* When the sink is closed. With transactions a thread does it, and the relay waits for that. */
{"producer.destroy",   ALL, "",    STOP,    NULL, NULL, {DIES, NO(NO_CALL), HANGS}},
/* When the producer is replaced. */
{"sink.purge",         AT_LEAST_ONCE, "", NOTHING, "dr.ok=error@60", NULL, {DIES, NO(NO_CALL), HANGS}},
{"sink.purge",         MODE_ONCE,     "", NOTHING, "dr.ok=error@60", NULL, {DIES, NO(NO_CALL), LEFT}},
{"topic.create",       ALL, "",    NOTHING, NULL, NULL, {DIES, ON, HANGS}},
{"produce.enqueue",    ALL, "@60", NOTHING, NULL, NULL, {DIES, SENT_AGAIN, HANGS}},
{"produce.queued",     ALL, "@60", NOTHING, NULL, NULL, {DIES, NO(NO_CALL), HANGS}},
{"produce.queue_full", ALL, "@60", NOTHING, NULL, NULL, {DIES, ON, HANGS}},
{"dr.ok",              ALL, "@60", NOTHING, NULL, NULL, {DIES, SENT_AGAIN, HANGS}},
{"dr.err",             ALL, "",    BULKY,   NULL, NULL, {DIES, NO(NO_CALL), HANGS}},
{"fence.detect",       MODE_ONCE,     "", RIVAL,   NULL, NULL, {DIES, NO(NO_CALL), HANGS}},
{"fence.detect",       AT_LEAST_ONCE, "", NOTHING, NULL, NULL, NOT_HERE(ONE_KAFKA)},
{"position.topic",     TOPICS, "", NOTHING, NULL, NULL, {DIES, ON, LEFT}},
{"position.topic",     ALL & ~TOPICS, "", NOTHING, NULL, NULL, NOT_HERE(TOPIC)},
{"position.read",      TOPICS, "", NOTHING, NULL, NULL, {DIES, ON, LEFT}},
{"position.read",      ALL & ~TOPICS, "", NOTHING, NULL, NULL, NOT_HERE(TOPIC)},
{"position.save",      MODE_KAFKA, "@3", NOTHING, NULL, NULL, {DIES, ON_SAYING(UNSAVED), HANGS}},
{"position.save",      ALL & ~MODE_KAFKA, "", NOTHING, NULL, NULL, NOT_HERE(TOPIC_ALONE)},
{"position.saved",     MODE_KAFKA, "@3", NOTHING, NULL, NULL, {DIES, ON_SAYING(UNSAVED), HANGS}},
{"position.saved",     ALL & ~MODE_KAFKA, "", NOTHING, NULL, NULL, NOT_HERE(TOPIC_ALONE)},
{"txn.init",           MODE_ONCE, "",   NOTHING, NULL, NULL, {DIES, ON_SAYING(UNCLAIMED), LEFT}},
{"txn.inited",         MODE_ONCE, "",   NOTHING, NULL, NULL, {DIES, ON_SAYING(UNCLAIMED), LEFT}},
{"txn.begin",          MODE_ONCE, "",   NOTHING, NULL, NULL, {DIES, ON_SAYING(UNCLAIMED), LEFT}},
{"txn.ckpt_record",    MODE_ONCE, "@3", NOTHING, NULL, NULL, {DIES, SENT_AGAIN, HANGS}},
{"txn.flush",          MODE_ONCE, "@3", NOTHING, NULL, NULL, {DIES, SENT_AGAIN, LEFT}},
{"txn.commit.sent",    MODE_ONCE, "@3", NOTHING, NULL, NULL, {DIES, SENT_AGAIN, LEFT}},
{"txn.commit.ack",     MODE_ONCE, "@3", NOTHING, NULL, NULL, {DIES, SENT_AGAIN, LEFT}},
/* Ends in disorder, with a transaction open. */
{"txn.abort",          MODE_ONCE, "",   NOTHING, "loop.wait=error@200", "delivery.commit_interval=5s",
                       {DIES, ENDS_WITH(71, "cannot wait for events"), HANGS}},
{"txn.init",           AT_LEAST_ONCE, "", NOTHING, NULL, NULL, NOT_HERE(ONE_KAFKA)},
{"txn.inited",         AT_LEAST_ONCE, "", NOTHING, NULL, NULL, NOT_HERE(ONE_KAFKA)},
{"txn.begin",          AT_LEAST_ONCE, "", NOTHING, NULL, NULL, NOT_HERE(ONE_KAFKA)},
{"txn.ckpt_record",    AT_LEAST_ONCE, "", NOTHING, NULL, NULL, NOT_HERE(ONE_KAFKA)},
{"txn.flush",          AT_LEAST_ONCE, "", NOTHING, NULL, NULL, NOT_HERE(ONE_KAFKA)},
{"txn.commit.sent",    AT_LEAST_ONCE, "", NOTHING, NULL, NULL, NOT_HERE(ONE_KAFKA)},
{"txn.commit.ack",     AT_LEAST_ONCE, "", NOTHING, NULL, NULL, NOT_HERE(ONE_KAFKA)},
{"txn.abort",          AT_LEAST_ONCE, "", NOTHING, NULL, NULL, NOT_HERE(ONE_KAFKA)},

{"http.accept",      ALL, "",    VISIT,    NULL, NULL, {DIES, NO(NO_CALL), HANGS}},
{"http.reply",       ALL, "",    VISIT,    NULL, NULL, {DIES, ON, HANGS}},
};
/* clang-format on */

const size_t fault_table_count = sizeof fault_table / sizeof fault_table[0];

const char *mode_name(enum mode mode)
{
    switch (mode) {
    case MODE_FILE:
        return "file";
    case MODE_KAFKA:
        return "kafka";
    case MODE_SLOT:
        return "slot";
    case MODE_ONCE:
        return "once";
    case MODE_LINES:
        return "lines";
    case MODE_PIPE:
        return "pipe";
    }
    return NULL;
}

const struct fault *fault_find(const char *name, enum mode mode)
{
    static const struct fault elsewhere = {
        .expected = NOT_HERE("the sink has no part in it: mode file hits it")};
    for (size_t i = 0; i < fault_table_count; i++)
        if (strcmp(fault_table[i].name, name) == 0 && (fault_table[i].modes & (unsigned)mode) != 0)
            return &fault_table[i];
    return (mode & (MODE_LINES | MODE_PIPE)) != 0 ? &elsewhere : NULL;
}
