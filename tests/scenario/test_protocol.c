/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that a PostgreSQL never says, and what a relay makes of it: it never publishes what is
 * wrong, never confirms what it did not publish, and either connects again for ever or, when the
 * server breaks the protocol of the stream three times, ends with 76. */
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "../unit/scratch.h"
#include "relay_world.h"

/* ---- what a good server says --------------------------------------------------------------- */

/* The script: three transactions of one event each; the first is always sent in good order, the
 * faults stand where the second belongs, whose commit record lies from 0/1200 to 0/1230. */
#define LSN(high, low) "\0\0\0\0\0\0" high low
#define COMMIT_LSN     LSN("\x12", "\0")
#define END_LSN        LSN("\x12", "\x30")
#define TIME           "\0\0\0\0\0\0\3\xe9"
#define XID            "\0\0\2\xbd"
#define OID            "\0\0\x40\x10"
#define NO_OID         "\0\0\x40\x11"
#define COLUMN(flags, name, type)                                                                  \
    flags name "\0"                                                                                \
               "\0\0" type "\xff\xff\xff\xff"
#define COLUMNS                                                                                    \
    COLUMN("\1", "id", "\x0b\x86")                                                                 \
    COLUMN("\0", "event_type", "\0\x19") COLUMN("\0", "payload", "\0\x72")
#define TABLE                                                                                      \
    OID "outbox\0"                                                                                 \
        "event\0"
#define ID        "00000000-0000-4000-8000-000000000002"
#define TEXT(len) "t\0\0\0" len
#define ROW       "\0\3" TEXT("\x24") ID TEXT("\x0c") "order.placed" TEXT("\7") "{\"n\":2}"

#define BEGIN    "B" COMMIT_LSN TIME XID
#define RELATION "R" TABLE "d\0\3" COLUMNS
#define INSERT   "I" OID "N" ROW
#define COMMIT   "C\0" COMMIT_LSN END_LSN TIME

/* ---- what a bad one says ------------------------------------------------------------------- */

enum level {
    NOTHING,
    PLUGIN, /* a message of the output plugin, in a frame of XLogData */
    FRAME,  /* what is in a CopyData */
    WIRE,   /* as it is */
};

struct saying {
    enum level level;
    struct bytes bytes;
};

#define SAYING(level, text)                                                                        \
    {                                                                                              \
        level,                                                                                     \
        {                                                                                          \
            (const uint8_t *)(text), sizeof(text) - 1                                              \
        }                                                                                          \
    }
#define P(text) SAYING(PLUGIN, text)
#define F(text) SAYING(FRAME, text)
#define W(text) SAYING(WIRE, text)

enum reaction {
    ENDS, /* three times: 76; else it connects again */
    RETRIES /* for ever */,
    GOES_ON, /* nothing is wrong */
};

#define SAYINGS_MAX 6

struct lie {
    const char *name;
    enum reaction reaction;
    enum fault_end end;
    unsigned repeat; /* of the last saying; 0: once */
    struct saying sayings[SAYINGS_MAX];
};

/* In an open transaction whose table is known. */
#define OPEN P(BEGIN), P(RELATION)
#define BAD  ENDS, FAULT_IS_SILENT, 0

static const struct lie LIES[] = {
    /* Begin */
    {"begin: no more than its type", BAD, {P("B")}},
    {"begin: cut in the LSN", BAD, {P("B\0\0\0\0\0\0\x12")}},
    {"begin: cut in the time", BAD, {P("B" COMMIT_LSN "\0\0\0\0")}},
    {"begin: cut in the transaction id", BAD, {P("B" COMMIT_LSN TIME "\0\0")}},
    {"begin: a byte too many", BAD, {P(BEGIN "\0")}},
    {"begin: twice", BAD, {P(BEGIN), P(BEGIN)}},
    {"begin: another one inside", BAD, {OPEN, P(INSERT), P("B" LSN("\x13", "\0") TIME XID)}},
    {"begin: LSN 0/0", BAD, {P("B" LSN("\0", "\0") TIME XID)}},
    {"begin: behind the one before",
     BAD,
     {OPEN, P(INSERT), P(COMMIT), P("B" LSN("\x11", "\x80") TIME XID)}},
    {"begin: inside the commit record before",
     BAD,
     {OPEN, P(INSERT), P(COMMIT), P("B" LSN("\x12", "\x20") TIME XID)}},
    {"begin: far beyond the WAL", BAD, {P("B\x7f\0\0\0\0\0\0\0" TIME XID), P(RELATION), P(INSERT)}},
    /* Commit */
    {"commit: no transaction is open", BAD, {P(COMMIT)}},
    {"commit: twice", BAD, {OPEN, P(INSERT), P(COMMIT), P(COMMIT)}},
    {"commit: no more than its type", BAD, {P(BEGIN), P("C")}},
    {"commit: cut in the LSN", BAD, {P(BEGIN), P("C\0\0\0\0")}},
    {"commit: cut in the end", BAD, {P(BEGIN), P("C\0" COMMIT_LSN "\0\0\0")}},
    {"commit: cut in the time", BAD, {P(BEGIN), P("C\0" COMMIT_LSN END_LSN "\0")}},
    {"commit: a byte too many", BAD, {P(BEGIN), P(COMMIT "\0")}},
    {"commit: unknown flags", BAD, {P(BEGIN), P("C\1" COMMIT_LSN END_LSN TIME)}},
    {"commit: another LSN than Begin's",
     BAD,
     {P(BEGIN), P("C\0" LSN("\x12", "\x08") END_LSN TIME)}},
    {"commit: ends where it begins", BAD, {P(BEGIN), P("C\0" COMMIT_LSN COMMIT_LSN TIME)}},
    {"commit: ends before it begins",
     BAD,
     {P(BEGIN), P("C\0" COMMIT_LSN LSN("\x11", "\xf0") TIME)}},
    {"commit: ends at 0/0", BAD, {P(BEGIN), P("C\0" COMMIT_LSN LSN("\0", "\0") TIME)}},
    {"commit: ends far beyond the WAL",
     BAD,
     {P(BEGIN), P("C\0" COMMIT_LSN "\x7f\0\0\0\0\0\0\0" TIME)}},
    /* Relation */
    {"relation: no more than its type", BAD, {P(BEGIN), P("R")}},
    {"relation: the schema has no end", BAD, {P(BEGIN), P("R" OID "outbox")}},
    {"relation: the name has no end",
     BAD,
     {P(BEGIN), P("R" OID "outbox\0"
                  "event")}},
    {"relation: no name",
     BAD,
     {P(BEGIN), P("R" OID "outbox\0\0"
                  "d\0\0")}},
    {"relation: unknown replica identity", BAD, {P(BEGIN), P("R" TABLE "x\0\3" COLUMNS)}},
    {"relation: cut before the columns", BAD, {P(BEGIN), P("R" TABLE "d\0")}},
    {"relation: fewer columns than it says", BAD, {P(BEGIN), P("R" TABLE "d\0\4" COLUMNS)}},
    {"relation: more columns than it says", BAD, {P(BEGIN), P("R" TABLE "d\0\2" COLUMNS)}},
    {"relation: -1 columns", BAD, {P(BEGIN), P("R" TABLE "d\xff\xff" COLUMNS)}},
    {"relation: 1665 columns", BAD, {P(BEGIN), P("R" TABLE "d\6\x81" COLUMNS)}},
    {"relation: a column without a name",
     BAD,
     {P(BEGIN), P("R" TABLE "d\0\1" COLUMN("\0", "", "\0\x19"))}},
    {"relation: a column with unknown flags",
     BAD,
     {P(BEGIN), P("R" TABLE "d\0\1" COLUMN("\x80", "id", "\0\x19"))}},
    {"relation: cut in a type",
     BAD,
     {P(BEGIN), P("R" TABLE "d\0\1"
                  "\1"
                  "id\0"
                  "\0\0")}},
    /* Insert */
    {"insert: no transaction is open", BAD, {P(RELATION), P(INSERT)}},
    {"insert: no more than its type", BAD, {OPEN, P("I")}},
    {"insert: of a table that was not announced", BAD, {OPEN, P("I" NO_OID "N" ROW)}},
    {"insert: cut behind the table", BAD, {OPEN, P("I" OID)}},
    {"insert: an old row", BAD, {OPEN, P("I" OID "O" ROW)}},
    {"insert: an unknown mark", BAD, {OPEN, P("I" OID "n" ROW)}},
    {"insert: no row", BAD, {OPEN, P("I" OID "N")}},
    {"insert: fewer values than columns",
     BAD,
     {OPEN, P("I" OID "N\0\2" TEXT("\x24") ID TEXT("\x0c") "order.placed")}},
    {"insert: more values than columns", BAD, {OPEN, P("I" OID "N\0\4" TEXT("\x24") ID "nnn")}},
    {"insert: -1 values", BAD, {OPEN, P("I" OID "N\xff\xff" TEXT("\x24") ID "nn")}},
    {"insert: a value of unknown kind",
     BAD,
     {OPEN, P("I" OID "N\0\3"
              "z"
              "nn")}},
    {"insert: a value longer than the message", BAD, {OPEN, P("I" OID "N\0\3" TEXT("\x25") ID)}},
    {"insert: a value of -1 bytes",
     BAD,
     {OPEN, P("I" OID "N\0\3"
              "t\xff\xff\xff\xff" ID)}},
    {"insert: a value of 2 GiB",
     BAD,
     {OPEN, P("I" OID "N\0\3"
              "t\x7f\xff\xff\xff" ID)}},
    {"insert: cut in a length",
     BAD,
     {OPEN, P("I" OID "N\0\3"
              "t\0\0")}},
    {"insert: a byte too many", BAD, {OPEN, P(INSERT "\0")}},
    {"insert: two rows", BAD, {OPEN, P(INSERT "N" ROW)}},
    {"insert: after the commit", BAD, {OPEN, P(INSERT), P(COMMIT), P(INSERT)}},
    /* Update and Delete */
    {"update: no more than its type", BAD, {OPEN, P("U")}},
    {"update: no new row", BAD, {OPEN, P("U" OID "K" ROW)}},
    {"update: two old rows", BAD, {OPEN, P("U" OID "K" ROW "O" ROW "N" ROW)}},
    {"update: an unknown mark", BAD, {OPEN, P("U" OID "X" ROW)}},
    {"update: cut in the new row",
     BAD,
     {OPEN, P("U" OID "N\0\3"
              "n")}},
    {"update: of a table that was not announced", BAD, {OPEN, P("U" NO_OID "N" ROW)}},
    {"delete: no more than its type", BAD, {OPEN, P("D")}},
    {"delete: no row", BAD, {OPEN, P("D" OID)}},
    {"delete: a new row", BAD, {OPEN, P("D" OID "N" ROW)}},
    {"delete: cut in the row",
     BAD,
     {OPEN, P("D" OID "K\0\3"
              "n")}},
    {"delete: a byte too many", BAD, {OPEN, P("D" OID "K" ROW "!")}},
    /* Truncate */
    {"truncate: no more than its type", BAD, {OPEN, P("T")}},
    {"truncate: of no table", BAD, {OPEN, P("T\0\0\0\0\0")}},
    {"truncate: fewer tables than it says", BAD, {OPEN, P("T\0\0\0\2\0" OID)}},
    {"truncate: -1 tables", BAD, {OPEN, P("T\xff\xff\xff\xff\0" OID)}},
    {"truncate: unknown options", BAD, {OPEN, P("T\0\0\0\1\4" OID)}},
    {"truncate: of a table that was not announced", BAD, {OPEN, P("T\0\0\0\1\0" NO_OID)}},
    {"truncate: no transaction is open", BAD, {P(RELATION), P("T\0\0\0\1\0" OID)}},
    /* Message, Origin, Type */
    {"message: no more than its type", BAD, {P(BEGIN), P("M")}},
    {"message: the prefix has no end", BAD, {P(BEGIN), P("M\1" COMMIT_LSN "outbox")}},
    {"message: longer than it is",
     BAD,
     {P(BEGIN), P("M\1" COMMIT_LSN "outbox\0\0\0\0\3"
                  "{}")}},
    {"message: -1 bytes",
     BAD,
     {P(BEGIN), P("M\1" COMMIT_LSN "outbox\0\xff\xff\xff\xff"
                  "{}")}},
    {"message: a byte too many",
     BAD,
     {P(BEGIN), P("M\1" COMMIT_LSN "outbox\0\0\0\0\1"
                  "{}")}},
    {"message: unknown flags",
     BAD,
     {P(BEGIN), P("M\3" COMMIT_LSN "outbox\0\0\0\0\2"
                  "{}")}},
    {"message: of a transaction that is not open",
     BAD,
     {P("M\1" COMMIT_LSN "outbox\0\0\0\0\2"
        "{}")}},
    {"origin: cut", BAD, {P(BEGIN), P("O" COMMIT_LSN)}},
    {"origin: no transaction is open", BAD, {P("O" COMMIT_LSN "elsewhere\0")}},
    {"type: cut", BAD, {P(BEGIN), P("Y" OID "public\0")}},
    {"type: a byte too many",
     BAD,
     {P(BEGIN), P("Y" OID "public\0"
                  "mood\0"
                  "!")}},
    /* What was not asked for */
    {"stream start, of protocol 2", BAD, {P("S" XID "\1")}},
    {"stream stop, of protocol 2", BAD, {P("E")}},
    {"stream commit, of protocol 2", BAD, {P("c" XID "\0" COMMIT_LSN END_LSN TIME)}},
    {"stream abort, of protocol 2", BAD, {P("A" XID XID)}},
    {"prepare, of protocol 3", BAD, {P("P\0" COMMIT_LSN END_LSN TIME XID "gid\0")}},
    {"begin prepare, of protocol 3", BAD, {P("b" COMMIT_LSN END_LSN TIME XID "gid\0")}},
    {"commit prepared, of protocol 3", BAD, {P("K\0" COMMIT_LSN END_LSN TIME XID "gid\0")}},
    {"a message of type 0", BAD, {P("\0")}},
    {"a message of type 255", BAD, {P("\xff\xff\xff\xff")}},
    {"text of another plugin", BAD, {P("table outbox.event: INSERT: id[uuid]:'2'")}},
    /* Frames */
    {"a frame of unknown kind", BAD, {F("?")}},
    {"a frame that only clients send", BAD, {F("r" COMMIT_LSN COMMIT_LSN COMMIT_LSN TIME "\0")}},
    {"a frame of random bytes", BAD, {F("\x93\xd1\x0e\xff\x7f\x80\x01")}},
    {"xlog data: no more than its type", BAD, {F("w")}},
    {"xlog data: cut in its head", BAD, {F("w" COMMIT_LSN COMMIT_LSN "\0\0")}},
    {"xlog data: nothing behind its head", BAD, {F("w" COMMIT_LSN COMMIT_LSN TIME)}},
    {"keepalive: no more than its type", BAD, {F("k")}},
    {"keepalive: cut", BAD, {F("k" END_LSN TIME)}},
    {"keepalive: a byte too many", BAD, {F("k" END_LSN TIME "\0\0")}},
    {"keepalive: far beyond the WAL", BAD, {F("k\xff\xff\xff\xff\xff\xff\xff\xff" TIME "\1")}},
    /* Nothing wrong */
    {"an empty frame", GOES_ON, FAULT_GOES_ON, 0, {W("d\0\0\0\4")}},
    {"keepalives without end",
     GOES_ON,
     FAULT_GOES_ON,
     5000,
     {F("k" LSN("\x11", "\x80") TIME "\0")}},
    {"a keepalive that goes back", GOES_ON, FAULT_GOES_ON, 0, {F("k" LSN("\0", "\x10") TIME "\0")}},
    {"a keepalive of 0/0", GOES_ON, FAULT_GOES_ON, 0, {F("k" LSN("\0", "\0") TIME "\0")}},
    {"an answer is wanted now and then",
     GOES_ON,
     FAULT_GOES_ON,
     3,
     {F("k" LSN("\x11", "\x80") TIME "\1")}},
    {"a message that is not transactional",
     GOES_ON,
     FAULT_GOES_ON,
     0,
     {P("M\0" COMMIT_LSN "outbox\0\0\0\0\2"
        "{}")}},
    {"a type and an origin",
     GOES_ON,
     FAULT_GOES_ON,
     0,
     {P("Y" OID "public\0"
        "mood\0"),
      P("B" LSN("\x11", "\x80") TIME XID), P("O" COMMIT_LSN "elsewhere\0"),
      P("C\0" LSN("\x11", "\x80") LSN("\x11", "\xb0") TIME)}},
    {"notices without end",
     GOES_ON,
     FAULT_GOES_ON,
     3000,
     {W("N\0\0\0\x26"
        "SWARNING\0"
        "VWARNING\0"
        "C01000\0"
        "Mmind this\0\0")}},
    {"parameters without end",
     GOES_ON,
     FAULT_GOES_ON,
     3000,
     {W("S\0\0\0\x17"
        "application_name\0x\0")}},
    {"a notification",
     GOES_ON,
     FAULT_GOES_ON,
     0,
     {W("A\0\0\0\x11\0\0\0\1"
        "channel\0\0")}},
    /* The connection */
    {"the stream ends at once",
     RETRIES,
     FAULT_CLOSES,
     0,
     {W("c\0\0\0\4"), W("C\0\0\0\x0bCOPY 0\0"), W("Z\0\0\0\5I")}},
    {"the stream ends without a word more", RETRIES, FAULT_CLOSES, 0, {W("c\0\0\0\4")}},
    {"the stream ends inside a transaction",
     RETRIES,
     FAULT_CLOSES,
     0,
     {OPEN, P(INSERT), W("c\0\0\0\4"), W("C\0\0\0\x0bCOPY 0\0")}},
    {"the command completes without the stream",
     RETRIES,
     FAULT_CLOSES,
     0,
     {W("C\0\0\0\x0bCOPY 0\0"), W("Z\0\0\0\5I")}},
    {"an error, and the connection stays",
     RETRIES,
     FAULT_IS_SILENT,
     0,
     {W("E\0\0\0\x2a"
        "SERROR\0"
        "VERROR\0"
        "CXX000\0"
        "Msomething broke\0\0"),
      W("Z\0\0\0\5I")}},
    {"an error without any field", RETRIES, FAULT_CLOSES, 0, {W("E\0\0\0\5\0")}},
    {"an error with hostile text",
     RETRIES,
     FAULT_CLOSES,
     0,
     {W("E\0\0\0\x4c"
        "SFATAL\0"
        "VFATAL\0"
        "CXX000\0"
        "M\x1b[2J\x1b]0;owned\7\r\n{\"log.level\":\"info\"}\nhostile \xff\xfe \x9b"
        "31m end\0\0")}},
    {"the server is stopped inside a transaction",
     RETRIES,
     FAULT_CLOSES,
     0,
     {OPEN, P(INSERT),
      W("E\0\0\0\x2b"
        "SFATAL\0"
        "VFATAL\0"
        "C57P01\0"
        "Mterminating now\0\0")}},
    {"closed between two messages", RETRIES, FAULT_CLOSES, 0, {P(BEGIN)}},
    {"closed inside a length", RETRIES, FAULT_CLOSES, 0, {P(BEGIN), W("d\0\0")}},
    {"closed inside a frame", RETRIES, FAULT_CLOSES, 0, {P(BEGIN), W("d\0\0\0\x40w\0\0\0")}},
    {"reset between two messages",
     RETRIES,
     FAULT_RESETS,
     0,
     {F("k" LSN("\x11", "\x80") TIME "\1")}},
    {"reset inside a frame",
     RETRIES,
     FAULT_RESETS,
     0,
     {F("k" LSN("\x11", "\x80") TIME "\1"), P(BEGIN), W("d\0\0\0\x40w\0\0")}},
    {"a message of unknown type", RETRIES, FAULT_CLOSES, 0, {W("!\0\0\0\5x")}},
    {"a length of 3", RETRIES, FAULT_CLOSES, 0, {W("d\0\0\0\3")}},
    {"a length of -1", RETRIES, FAULT_CLOSES, 0, {W("d\xff\xff\xff\xffxxxx")}},
    {"a length of 1 GiB", RETRIES, FAULT_CLOSES, 0, {OPEN, W("d\x40\0\0\0w\0\0\0")}},
    {"a length of 1 GiB, and silence", RETRIES, FAULT_IS_SILENT, 0, {OPEN, W("d\x40\0\0\0w")}},
    {"a row of a table", RETRIES, FAULT_CLOSES, 0, {W("D\0\0\0\x0b\0\1\0\0\0\1x")}},
    {"a question for the password", RETRIES, FAULT_CLOSES, 0, {W("R\0\0\0\x08\0\0\0\3")}},
    {"another stream inside the stream", RETRIES, FAULT_CLOSES, 0, {W("W\0\0\0\7\0\0\0")}},
    {"text of HTTP", RETRIES, FAULT_CLOSES, 0, {W("HTTP/1.1 400 Bad Request\r\n\r\n")}},
    {"an answer is wanted at once, again and again",
     RETRIES,
     FAULT_IS_SILENT,
     100,
     {F("k" LSN("\x11", "\x80") TIME "\1")}},
};

/* What stands where the stream should begin. */
static const struct lie BEGINNINGS[] = {
    {"rows",
     ENDS,
     FAULT_GOES_ON,
     0,
     {W("T\0\0\0\6\0\0"), W("C\0\0\0\x0bSELECT\0"), W("Z\0\0\0\5I")}},
    {"no rows", ENDS, FAULT_GOES_ON, 0, {W("C\0\0\0\x0bSELECT\0"), W("Z\0\0\0\5I")}},
    {"nothing", ENDS, FAULT_GOES_ON, 0, {W("Z\0\0\0\5I")}},
    {"an empty query", ENDS, FAULT_GOES_ON, 0, {W("I\0\0\0\4"), W("Z\0\0\0\5I")}},
    {"a stream from the server", ENDS, FAULT_GOES_ON, 0, {W("H\0\0\0\7\0\0\0")}},
    {"a stream to the server", ENDS, FAULT_GOES_ON, 0, {W("G\0\0\0\7\0\0\0")}},
    {"an error",
     RETRIES,
     FAULT_GOES_ON,
     0,
     {W("E\0\0\0\x2a"
        "SERROR\0"
        "VERROR\0"
        "CXX000\0"
        "Msomething broke\0\0"),
      W("Z\0\0\0\5I")}},
    {"a message of unknown type", RETRIES, FAULT_CLOSES, 0, {W("!\0\0\0\4")}},
    {"half a message", RETRIES, FAULT_CLOSES, 0, {W("W\0\0")}},
};

static struct buf wire;

static void say(const struct saying *saying)
{
    switch (saying->level) {
    case PLUGIN:
        reply_data(&wire, saying->bytes, lsn_make(0x1230));
        return;
    case FRAME:
        reply_copy(&wire, saying->bytes);
        return;
    case WIRE:
        buf_put_bytes(&wire, saying->bytes);
        return;
    case NOTHING:
        return;
    }
}

static void put(const struct lie *lie)
{
    buf_reset(&wire);
    for (size_t i = 0; i < SAYINGS_MAX && lie->sayings[i].level != NOTHING; i++) {
        bool last = i + 1 == SAYINGS_MAX || lie->sayings[i + 1].level == NOTHING;
        for (unsigned n = 0; n < (last && lie->repeat > 0 ? lie->repeat : 1); n++)
            say(&lie->sayings[i]);
    }
    ck_assert(buf_ok(&wire));
}

static void tell(const struct lie *lie, unsigned sessions)
{
    put(lie);
    world_fault(buf_bytes(&wire), lie->end, sessions);
}

/* ---- the relay ----------------------------------------------------------------------------- */

static void setup(void)
{
    buf_init(&wire, 1u << 20);
    world_start("");
    for (unsigned i = 0; i < 3; i++)
        world_transaction("e");
}

static void teardown(void)
{
    world_free();
    buf_deinit(&wire);
}

/* The events that are there are the first of the script, once each. */
static size_t published(const char *name)
{
    unsigned numbers[256];
    size_t count = world_read(numbers, ARRAY_LEN(numbers));
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(numbers[i] == i + 1, "%s: event %u stands at %zu", name, numbers[i], i);
    /* Nor is anything confirmed that is not. */
    struct lsn flush = walsender_status(world_server).flush;
    ck_assert_msg(flush.value <= 0x1030 + 0x100 * count, "%s: %zu events, and %s is confirmed",
                  name, count, lsn_format(flush).text);
    return count;
}

/* No byte of a server's text does anything to a terminal or makes a line of its own. */
static void log_is_clean(const char *name)
{
    char path[160], line[8192];
    snprintf(path, sizeof path, "%s/log", world_directory);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file) != NULL) {
        ck_assert_msg(isdigit((unsigned char)line[0]), "%s: a line begins so: %s", name, line);
        for (const char *at = line; *at != '\0'; at++)
            ck_assert_msg(*at == '\n' || !iscntrl((unsigned char)*at), "%s: 0x%02x in: %s", name,
                          (unsigned char)*at, line);
    }
    ck_assert_int_eq(fclose(file), 0);
}

static void until_all_is_there(const char *name)
{
    while (published(name) < 3) {
        ck_assert_msg(!world_ended(), "%s: the relay ended with %d", name, world_wait());
        world_pump();
    }
    world_signal(SIGTERM);
    ck_assert_int_eq(world_wait(), 0);
    ck_assert_msg(walsender_status(world_server).flush.value == world_end().value,
                  "%s: %s is confirmed at the end", name,
                  lsn_format(walsender_status(world_server).flush).text);
    log_is_clean(name);
}

/* A lie that is told once does no harm. */
START_TEST(told_once)
{
    const struct lie *lie = &LIES[_i];
    setup();
    tell(lie, 1);
    world_relay();
    until_all_is_there(lie->name);
    unsigned sessions = world_sessions();
    ck_assert_msg(sessions == (lie->reaction == GOES_ON ? 1 : 2), "%s: %u sessions", lie->name,
                  sessions);
    teardown();
}
END_TEST

/* One that is told in every session ends the relay, or never does. */
START_TEST(told_again_and_again)
{
    const struct lie *lie = &LIES[_i];
    setup();
    tell(lie, lie->reaction == RETRIES ? 4 : 1000);
    world_relay();
    if (lie->reaction == ENDS) {
        int status = world_wait();
        ck_assert_msg(status == 76, "%s: %d", lie->name, status);
        ck_assert_uint_ge(published(lie->name), 1);
        /* The first may have been forgiven for what was acknowledged after it. */
        ck_assert_msg(world_sessions() == 3 || world_sessions() == 4, "%s: %u sessions", lie->name,
                      world_sessions());
        log_is_clean(lie->name);
    } else {
        until_all_is_there(lie->name);
    }
    teardown();
}
END_TEST

START_TEST(told_instead_of_a_stream)
{
    const struct lie *lie = &BEGINNINGS[_i];
    setup();
    put(lie);
    world_beginning(buf_bytes(&wire), lie->end, lie->reaction == ENDS ? 1000 : 4);
    world_relay();
    if (lie->reaction == ENDS) {
        int status = world_wait();
        ck_assert_msg(status == 76, "%s: %d", lie->name, status);
        ck_assert_uint_eq(published(lie->name), 0);
        ck_assert_msg(world_sessions() == 3, "%s: %u sessions", lie->name, world_sessions());
        log_is_clean(lie->name);
    } else {
        until_all_is_there(lie->name);
    }
    teardown();
}
END_TEST

/* ---- every message, cut at every length ---------------------------------------------------- */

static const struct whole {
    const char *name;
    struct saying saying;
    size_t lsn_at[2]; /* of the transaction's commit record: its beginning, its end; 0: none */
    bool table;       /* it is about a table that must be known */
} WHOLES[] = {
    {"begin", P(BEGIN), {1, 0}, false},
    {"commit", P(COMMIT), {2, 10}, false},
    {"relation", P(RELATION), {0, 0}, false},
    {"insert", P(INSERT), {0, 0}, true},
    {"update", P("U" OID "N" ROW), {0, 0}, true},
    {"update with a key",
     P("U" OID "K\0\1" TEXT("\x24") ID "N\0\3" TEXT("\x24") ID "un"),
     {0, 0},
     true},
    {"delete", P("D" OID "O" ROW), {0, 0}, true},
    {"truncate", P("T\0\0\0\2\1" OID OID), {0, 0}, true},
    {"message", P("M\1" COMMIT_LSN "outbox\0\0\0\0\2{}"), {0, 0}, false},
    {"origin", P("O" COMMIT_LSN "elsewhere\0"), {0, 0}, false},
    {"type", P("Y" OID "public\0mood\0"), {0, 0}, false},
    {"xlog data", F("w" COMMIT_LSN COMMIT_LSN TIME), {0, 0}, false},
    {"keepalive", F("k" COMMIT_LSN TIME "\0"), {0, 0}, false},
};

static void put_lsn(uint8_t *at, struct lsn lsn)
{
    for (unsigned i = 0; i < 8; i++)
        at[i] = (uint8_t)(lsn.value >> (56 - 8 * i));
}

/* `len` bytes of the message; what it does not have is 0. */
static void say_cut(const struct whole *whole, size_t len, unsigned transaction)
{
    uint8_t bytes[256] = {0};
    ck_assert_uint_lt(whole->saying.bytes.len, sizeof bytes);
    memcpy(bytes, whole->saying.bytes.ptr, whole->saying.bytes.len);
    if (whole->lsn_at[0] > 0)
        put_lsn(bytes + whole->lsn_at[0], world_commit_lsn(transaction));
    if (whole->lsn_at[1] > 0)
        put_lsn(bytes + whole->lsn_at[1], world_end_lsn(transaction));
    say(&(struct saying){whole->saying.level, bytes_make(bytes, len)});
}

static void say_until_there(const struct whole *whole, unsigned transaction)
{
    static const struct whole OPENING = {"begin", P(BEGIN), {1, 0}, false};
    static const struct saying KNOWN = P(RELATION);
    buf_reset(&wire);
    if (whole->saying.level == PLUGIN && whole->saying.bytes.ptr[0] != 'B')
        say_cut(&OPENING, OPENING.saying.bytes.len, transaction);
    if (whole->table)
        say(&KNOWN);
}

static void until_confirmed(const char *name, unsigned transaction)
{
    while (walsender_status(world_server).flush.value < world_end_lsn(transaction).value) {
        ck_assert_msg(!world_ended(), "%s: the relay ended with %d", name, world_wait());
        world_pump();
    }
    ck_assert_uint_eq(published(name), transaction + 1);
}

/* Each costs one session, and nothing else: no event is lost, comes twice or is made up. */
START_TEST(cut_at_every_length)
{
    const struct whole *whole = &WHOLES[_i];
    char name[64];
    setup();
    world_relay();
    until_confirmed(whole->name, 2);
    unsigned transaction = 3;
    /* One byte more than there should be is the last. An empty frame is none. */
    for (size_t len = whole->saying.level == FRAME; len <= whole->saying.bytes.len + 1; len++) {
        if (len == whole->saying.bytes.len && whole->saying.bytes.ptr[0] != 'w')
            continue;
        if (len > whole->saying.bytes.len && whole->saying.bytes.ptr[0] == 'w')
            continue;
        snprintf(name, sizeof name, "%s: %zu bytes", whole->name, len);
        unsigned sessions = world_sessions();
        world_transaction("e");
        say_until_there(whole, transaction);
        say_cut(whole, len, transaction);
        ck_assert(buf_ok(&wire));
        walsender_send(world_server, &wire);
        until_confirmed(name, transaction++);
        ck_assert_msg(world_sessions() == sessions + 1, "%s: %u sessions", name,
                      world_sessions() - sessions);
    }
    world_signal(SIGTERM);
    ck_assert_int_eq(world_wait(), 0);
    log_is_clean(whole->name);
    teardown();
}
END_TEST

/* ---- errors in the stream ------------------------------------------------------------------ */

static const struct {
    const char *sqlstate;
    const char *message;
    int status; /* 0: it connects again, for ever */
} ERRORS[] = {
    {"57P01", "terminating connection due to administrator command", 0},
    {"57P02", "terminating connection because of crash of another server process", 0},
    {"57P03", "the database system is shutting down", 0},
    {"57P05", "terminating connection due to idle-session timeout", 0},
    {"57014", "canceling statement due to user request", 0},
    {"53000", "insufficient resources", 0},
    {"53100", "could not write to file \"pg_replslot/walferry_orders/xid-1.spill\"", 0},
    {"53200", "out of memory", 0},
    {"53300", "sorry, too many clients already", 0},
    {"53400", "all replication slots are in use", 0},
    {"55000", "can no longer get changes from replication slot \"walferry_orders\"", 0},
    {"55006", "replication slot \"walferry_orders\" is active for PID 4712", 0},
    {"58P01", "requested WAL segment 000000010000000000000001 has already been removed", 0},
    {"58030", "could not read from log segment", 0},
    {"08006", "connection failure", 0},
    {"08P01", "invalid frontend message type", 0},
    {"28000", "no pg_hba.conf entry", 0},
    {"28P01", "password authentication failed", 0},
    {"3D000", "database \"shop\" does not exist", 0},
    {"42501", "permission denied", 0},
    {"40001", "could not serialize access", 0},
    {"XX000", "cache lookup failed for relation 16400", 0},
    {"XX001", "invalid page in block 7", 0},
    {"XX002", "index is corrupted", 0},
    {"?????", "an error of another world", 0},
    {"", "an error without a state", 0},
    {"42704", "publication \"walferry_orders\" does not exist", 66},
    {"0A000", "cannot use different column lists for table \"outbox.event\"", 66},
    {"22021", "invalid byte sequence for encoding \"UTF8\": 0xff", 65},
    {"22P05", "character has no equivalent in encoding \"UTF8\"", 65},
    {"54000", "out of memory: cannot enlarge string buffer", 65},
    {"XX000", "invalid memory alloc request size 1258291203", 65},
};

/* Inside a transaction, in every session or in four. */
START_TEST(error_in_the_stream)
{
    static const struct lie OPENED = {"", RETRIES, FAULT_IS_SILENT, 0, {OPEN, P(INSERT)}};
    const char *name = ERRORS[_i].sqlstate;
    setup();
    put(&OPENED);
    reply_error(&wire, ERRORS[_i].sqlstate, ERRORS[_i].message);
    reply_ready(&wire);
    world_fault(buf_bytes(&wire), FAULT_IS_SILENT, ERRORS[_i].status == 0 ? 4 : 1000);
    world_relay();
    if (ERRORS[_i].status == 0) {
        until_all_is_there(name);
        ck_assert_msg(world_sessions() == 5, "%s: %u sessions", name, world_sessions());
    } else {
        int status = world_wait();
        ck_assert_msg(status == ERRORS[_i].status, "%s: %d", name, status);
        ck_assert_uint_le(published(name), 2);
        ck_assert_msg(walsender_status(world_server).flush.value <= world_end_lsn(0).value,
                      "%s: confirmed", name);
        log_is_clean(name);
    }
    teardown();
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("protocol");
    TCase *tcase = tcase_create("lies");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, told_once, 0, (int)ARRAY_LEN(LIES));
    tcase_add_loop_test(tcase, told_again_and_again, 0, (int)ARRAY_LEN(LIES));
    tcase_add_loop_test(tcase, told_instead_of_a_stream, 0, (int)ARRAY_LEN(BEGINNINGS));
    tcase_add_loop_test(tcase, cut_at_every_length, 0, (int)ARRAY_LEN(WHOLES));
    tcase_add_loop_test(tcase, error_in_the_stream, 0, (int)ARRAY_LEN(ERRORS));
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN_SCRATCH(suite())
