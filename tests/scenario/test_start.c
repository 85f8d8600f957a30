/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that a PostgreSQL never says before the stream begins: to a login, to each question,
 * to the word to start. Nothing is published or confirmed before it makes sense; what may pass is
 * tried again for ever, and goes well as soon as the server does; what will not pass ends the relay
 * with the status that the documentation names. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../unit/scratch.h"
#include "relay_world.h"

static struct buf wire;

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

static void nothing_happened(const char *name)
{
    unsigned numbers[16];
    ck_assert_msg(world_read(numbers, ARRAY_LEN(numbers)) == 0, "%s: events are published", name);
    ck_assert_msg(walsender_status(world_server).flush.value <= WORLD_LSN_START,
                  "%s: %s is confirmed", name,
                  lsn_format(walsender_status(world_server).flush).text);
}

static void all_goes_well(const char *name)
{
    unsigned numbers[16];
    while (walsender_status(world_server).flush.value < world_end().value) {
        ck_assert_msg(!world_ended(), "%s: the relay ended with %d", name, world_wait());
        world_pump();
    }
    world_signal(SIGTERM);
    ck_assert_int_eq(world_wait(), 0);
    ck_assert_uint_eq(world_read(numbers, ARRAY_LEN(numbers)), 3);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_uint_eq(numbers[i], i + 1);
}

static void ends_with(const char *name, int wanted)
{
    int status = world_wait();
    ck_assert_msg(status == wanted, "%s: %d", name, status);
    nothing_happened(name);
}

static void until_logins(const char *name, unsigned wanted)
{
    while (walsender_logins(world_server) < wanted) {
        ck_assert_msg(!world_ended(), "%s: the relay ended with %d", name, world_wait());
        world_pump();
    }
    nothing_happened(name);
}

#define W(text)                                                                                    \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
#define AUTH(len, method)  "R\0\0\0" len "\0\0\0" method
#define WELCOME            AUTH("\x08", "\0")
#define READY              "Z\0\0\0\5I"
#define VERSION(len, text) "S\0\0\0" len "server_version\0" text "\0"

/* ---- the login ----------------------------------------------------------------------------- */

enum login { IS_MENDED, ENDS_WITH_78, WORKS };

static const struct {
    const char *name;
    enum login outcome;
    bool closes;
    struct bytes wire;
} LOGINS[] = {
    {"closed without a word", IS_MENDED, true, W("")},
    {"closed in a length", IS_MENDED, true, W("R\0\0")},
    {"closed after the authentication", IS_MENDED, true, W(WELCOME)},
    {"closed before it is ready", IS_MENDED, true, W(WELCOME VERSION("\x19", "15.20"))},
    {"silence", IS_MENDED, false, W("")},
    {"silence after the authentication", IS_MENDED, false, W(WELCOME)},
    {"Kerberos V4", IS_MENDED, false, W(AUTH("\x08", "\1"))},
    {"Kerberos V5", IS_MENDED, false, W(AUTH("\x08", "\2"))},
    {"a password, which there is none of", IS_MENDED, false, W(AUTH("\x08", "\3"))},
    {"crypt", IS_MENDED, false, W(AUTH("\x0a", "\4") "ab")},
    {"MD5, and no password", IS_MENDED, false, W(AUTH("\x0c", "\5") "salt")},
    {"MD5 with half a salt", IS_MENDED, true, W(AUTH("\x0a", "\5") "sa")},
    {"SCM credentials", IS_MENDED, false, W(AUTH("\x08", "\6"))},
    {"GSSAPI", IS_MENDED, false, W(AUTH("\x08", "\7"))},
    {"GSSAPI goes on without a beginning", IS_MENDED, false, W(AUTH("\x08", "\x08"))},
    {"SSPI", IS_MENDED, false, W(AUTH("\x08", "\x09"))},
    {"SASL without a mechanism", IS_MENDED, false, W(AUTH("\x09", "\x0a") "\0")},
    {"SASL with an unknown mechanism", IS_MENDED, false, W(AUTH("\x12", "\x0a") "KERBEROS\0\0")},
    {"SCRAM, and no password", IS_MENDED, false, W(AUTH("\x17", "\x0a") "SCRAM-SHA-256\0\0")},
    {"SASL goes on without a beginning", IS_MENDED, false, W(AUTH("\x0b", "\x0b") "r=x")},
    {"SASL ends without a beginning", IS_MENDED, false, W(AUTH("\x0b", "\x0c") "v=x")},
    {"an unknown method", IS_MENDED, false, W(AUTH("\x08", "\x63"))},
    {"a method of three bytes", IS_MENDED, true, W("R\0\0\0\7\0\0\0")},
    {"a length of 3", IS_MENDED, true, W("R\0\0\0\3")},
    {"a length of 1 GiB", IS_MENDED, true, W("R\x40\0\0\0\0\0\0\0")},
    {"a length of -1", IS_MENDED, true, W("R\xff\xff\xff\xff\0\0\0\0")},
    {"an error of a protocol long gone", IS_MENDED, true, W("EFATAL: no\n\0")},
    {"an error without a field", IS_MENDED, true, W("E\0\0\0\5\0")},
    {"another protocol is offered", IS_MENDED, true, W("v\0\0\0\x0c\0\3\0\0\0\0\0\0")},
    {"HTTP", IS_MENDED, true, W("HTTP/1.1 400 Bad Request\r\n\r\n")},
    {"SSH", IS_MENDED, true, W("SSH-2.0-OpenSSH_9.2p1\r\n")},
    {"nothing but zeros", IS_MENDED, true, W("\0\0\0\0\0\0\0\0\0\0\0\0")},
    {"ready before the authentication", IS_MENDED, true, W(READY)},
    {"rows before the authentication", IS_MENDED, true, W("D\0\0\0\x0b\0\1\0\0\0\1x")},
    {"a stream instead of a greeting", IS_MENDED, true, W(WELCOME "W\0\0\0\7\0\0\0")},
    {"PostgreSQL 13", ENDS_WITH_78, false, W(WELCOME VERSION("\x18", "13.4") READY)},
    {"PostgreSQL 9.6", ENDS_WITH_78, false, W(WELCOME VERSION("\x19", "9.6.3") READY)},
    {"a version that is a word", ENDS_WITH_78, false, W(WELCOME VERSION("\x19", "fresh") READY)},
    {"no version", ENDS_WITH_78, false, W(WELCOME READY)},
    {"a version of the future", WORKS, false, W(WELCOME VERSION("\x16", "99") READY)},
    {"a beta", WORKS, false, W(WELCOME VERSION("\x1b", "15beta2") READY)},
    {"notices before it is ready", WORKS, false,
     W(WELCOME VERSION("\x19", "15.20") "N\0\0\0\x26"
                                        "SWARNING\0"
                                        "VWARNING\0"
                                        "C01000\0"
                                        "Mmind this\0\0" READY)},
};

static void mend(void)
{
    walsender_login(world_server, NULL, false);
}

START_TEST(login)
{
    const char *name = LOGINS[_i].name;
    setup();
    buf_put_bytes(&wire, LOGINS[_i].wire);
    walsender_login(world_server, &wire, LOGINS[_i].closes);
    world_relay();
    if (LOGINS[_i].outcome == ENDS_WITH_78) {
        ends_with(name, 78);
    } else {
        if (LOGINS[_i].outcome == IS_MENDED)
            until_logins(name, 3);
        mend();
        all_goes_well(name);
    }
    teardown();
}
END_TEST

static const struct {
    const char *name;
    const char *first;
    const char *final;
} SCRAMS[] = {
    {"a signature that is wrong", "r=%sSERVER,s=c2FsdA==,i=4096",
     "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
    {"a signature that is short", "r=%sSERVER,s=c2FsdA==,i=4096", "v=AAAA"},
    {"a signature that is no base64", "r=%sSERVER,s=c2FsdA==,i=4096", "v=!"},
    {"no signature", "r=%sSERVER,s=c2FsdA==,i=4096", ""},
    {"an error for a signature", "r=%sSERVER,s=c2FsdA==,i=4096", "e=other-error"},
    {"another nonce", "r=SERVER,s=c2FsdA==,i=4096", ""},
    {"no nonce", "s=c2FsdA==,i=4096", ""},
    {"no salt", "r=%sSERVER,i=4096", ""},
    {"a salt that is no base64", "r=%sSERVER,s=!,i=4096", ""},
    {"no iterations", "r=%sSERVER,s=c2FsdA==,i=0", ""},
    {"iterations that are a word", "r=%sSERVER,s=c2FsdA==,i=many", ""},
    {"no word", "", ""},
};

/* Whoever does not know the password cannot pass for the server. */
START_TEST(scram)
{
    static const char SASL[] = AUTH("\x17", "\x0a") "SCRAM-SHA-256\0";
    setup();
    ck_assert_int_eq(setenv("PGPASSWORD", "secret", 1), 0);
    buf_put(&wire, SASL, sizeof SASL);
    walsender_login(world_server, &wire, false);
    world_relay();
    unsigned connections = 0;
    while (walsender_logins(world_server) < 3) {
        if (walsender_connections(world_server) != connections)
            walsender_scram(world_server, SCRAMS[_i].first, SCRAMS[_i].final);
        connections = walsender_connections(world_server);
        ck_assert_msg(!world_ended(), "%s: the relay ended with %d", SCRAMS[_i].name, world_wait());
        world_pump();
    }
    nothing_happened(SCRAMS[_i].name);
    walsender_scram(world_server, NULL, NULL);
    mend();
    all_goes_well(SCRAMS[_i].name);
    ck_assert_uint_eq(world_said("secret"), 0);
    teardown();
}
END_TEST

/* ---- the questions ------------------------------------------------------------------------- */

#define IDENTIFY    "IDENTIFY_SYSTEM"
#define SETTINGS    "'wal_level'"
#define SLOT        "pg_replication_slots"
#define PUBLICATION "pg_publication_rel"
#define START       "START_REPLICATION"
#define HISTORY     "TIMELINE_HISTORY"
#define VALUES_MAX  14
#define SYSTEM_ID   "7000000000000000001"

enum shape {
    ROW,
    NO_ROW,
    TWO_ROWS,
    NO_READY, /* silence */
};

static const struct answer {
    const char *name;
    const char *question;
    int status; /* 0: it may pass; 1: nothing is wrong */
    enum shape shape;
    size_t count;
    const char *values[VALUES_MAX];
} ANSWERS[] = {
    {"identity: no row", IDENTIFY, 76, NO_ROW, 4, {0}},
    {"identity: no column", IDENTIFY, 76, ROW, 0, {0}},
    {"identity: one column", IDENTIFY, 76, ROW, 1, {SYSTEM_ID}},
    {"identity: two columns", IDENTIFY, 76, ROW, 2, {SYSTEM_ID, "1"}},
    {"identity: all is null", IDENTIFY, 76, ROW, 4, {0}},
    {"identity: the system is null", IDENTIFY, 76, ROW, 4, {NULL, "1", "0/100000", "shop"}},
    {"identity: the system is 0", IDENTIFY, 76, ROW, 4, {"0", "1", "0/100000", "shop"}},
    {"identity: the system is a word", IDENTIFY, 76, ROW, 4, {"me", "1", "0/100000", "shop"}},
    {"identity: the system is negative", IDENTIFY, 76, ROW, 4, {"-1", "1", "0/100000", "shop"}},
    {"identity: the system has too many digits",
     IDENTIFY,
     76,
     ROW,
     4,
     {"70000000000000000010", "1", "0/100000", "shop"}},
    {"identity: the timeline is null", IDENTIFY, 76, ROW, 4, {SYSTEM_ID, NULL, "0/100000", "shop"}},
    {"identity: the timeline is 0", IDENTIFY, 76, ROW, 4, {SYSTEM_ID, "0", "0/100000", "shop"}},
    {"identity: the timeline is beyond 32 bits",
     IDENTIFY,
     76,
     ROW,
     4,
     {SYSTEM_ID, "4294967297", "0/100000", "shop"}},
    {"identity: the LSN is null", IDENTIFY, 76, ROW, 4, {SYSTEM_ID, "1", NULL, "shop"}},
    {"identity: the LSN is 0/0", IDENTIFY, 76, ROW, 4, {SYSTEM_ID, "1", "0/0", "shop"}},
    {"identity: the LSN is a number", IDENTIFY, 76, ROW, 4, {SYSTEM_ID, "1", "100000", "shop"}},
    {"identity: the LSN is too long",
     IDENTIFY,
     76,
     ROW,
     4,
     {SYSTEM_ID, "1", "100000000/0", "shop"}},
    {"identity: a physical connection", IDENTIFY, 73, ROW, 4, {SYSTEM_ID, "1", "0/100000", NULL}},
    {"identity: another database", IDENTIFY, 73, ROW, 4, {SYSTEM_ID, "1", "0/100000", "other"}},
    {"identity: silence", IDENTIFY, 0, NO_READY, 4, {SYSTEM_ID, "1", "0/100000", "shop"}},
    {"settings: no row", SETTINGS, 76, NO_ROW, 3, {0}},
    {"settings: two rows", SETTINGS, 76, TWO_ROWS, 3, {"logical", "60000", "f"}},
    {"settings: all is null", SETTINGS, 78, ROW, 3, {0}},
    {"settings: wal_level is replica", SETTINGS, 78, ROW, 3, {"replica", "60000", "f"}},
    {"settings: in recovery", SETTINGS, 0, ROW, 3, {"logical", "60000", "t"}},
    {"settings: no time limit", SETTINGS, 1, ROW, 3, {"logical", "0", "f"}},
    {"settings: a time limit of a word", SETTINGS, 1, ROW, 3, {"logical", "1min", "f"}},
    {"settings: silence", SETTINGS, 0, NO_READY, 3, {"logical", "60000", "f"}},
#define SLOT_ROW(name, status, ...)                                                                \
    {                                                                                              \
        "slot: " name, SLOT, status, ROW, 13,                                                      \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
    {"slot: no row", SLOT, 78, NO_ROW, 13, {0}},
    {"slot: silence", SLOT, 0, NO_READY, 13, {0}},
    {"slot: no more than its name", SLOT, 76, ROW, 1, {"walferry_orders"}},
    SLOT_ROW("all is null", 78, 0),
    SLOT_ROW("in use", 0, "walferry_orders", "t", "4712", "t", "f", "f", "pgoutput", "shop",
             "0/1000", "0/800", "reserved"),
    SLOT_ROW("physical", 73, "walferry_orders", "f", NULL, "f", "f", "f", NULL, NULL, NULL, "0/800",
             "reserved"),
    SLOT_ROW("temporary", 73, "walferry_orders", "f", NULL, "t", "t", "f", "pgoutput", "shop",
             "0/1000", "0/800", "reserved"),
    SLOT_ROW("two-phase", 73, "walferry_orders", "f", NULL, "t", "f", "t", "pgoutput", "shop",
             "0/1000", "0/800", "reserved"),
    SLOT_ROW("of another plugin", 73, "walferry_orders", "f", NULL, "t", "f", "f", "test_decoding",
             "shop", "0/1000", "0/800", "reserved"),
    SLOT_ROW("of another database", 73, "walferry_orders", "f", NULL, "t", "f", "f", "pgoutput",
             "other", "0/1000", "0/800", "reserved"),
    SLOT_ROW("of no database", 73, "walferry_orders", "f", NULL, "t", "f", "f", "pgoutput", NULL,
             "0/1000", "0/800", "reserved"),
    SLOT_ROW("lost", 66, "walferry_orders", "f", NULL, "t", "f", "f", "pgoutput", "shop", "0/1000",
             NULL, "lost"),
    SLOT_ROW("invalidated", 66, "walferry_orders", "f", NULL, "t", "f", "f", "pgoutput", "shop",
             "0/1000", "0/800", "reserved", NULL, "wal_removed"),
    SLOT_ROW("without any position", 66, "walferry_orders", "f", NULL, "t", "f", "f", "pgoutput",
             "shop", NULL, NULL, "reserved"),
    SLOT_ROW("its positions are words", 66, "walferry_orders", "f", NULL, "t", "f", "f", "pgoutput",
             "shop", "here", "there", "reserved"),
    SLOT_ROW("confirmed beyond the WAL", 66, "walferry_orders", "f", NULL, "t", "f", "f",
             "pgoutput", "shop", "7F000000/0", "0/800", "reserved"),
    SLOT_ROW("of an unknown status", 1, "walferry_orders", "f", NULL, "t", "f", "f", "pgoutput",
             "shop", "0/1000", "0/800", "resting", "-1"),
    {"publication: no row", PUBLICATION, 78, NO_ROW, 2, {0}},
    {"publication: two rows", PUBLICATION, 78, TWO_ROWS, 2, {"t", "outbox.event"}},
    {"publication: all is null", PUBLICATION, 66, ROW, 2, {0}},
    {"publication: no inserts", PUBLICATION, 66, ROW, 2, {"f", "outbox.event"}},
    {"publication: a word for yes", PUBLICATION, 66, ROW, 2, {"yes", "outbox.event"}},
    {"publication: silence", PUBLICATION, 0, NO_READY, 2, {"t", "outbox.event"}},
    {"start: a row", START, 76, ROW, 1, {"started"}},
    {"start: silence", START, 0, NO_READY, 1, {"started"}},
};

/* The message that begins at `at`. */
static struct bytes message_at(const struct buf *buf, size_t at)
{
    const uint8_t *from = buf->ptr + at;
    size_t len = (size_t)from[1] << 24 | (size_t)from[2] << 16 | (size_t)from[3] << 8 | from[4];
    return bytes_make(from, 1 + len);
}

static void put_answer(const struct answer *answer)
{
    struct buf row;
    buf_init(&row, 65536);
    reply_row(&row, answer->count, answer->values);
    struct bytes head = message_at(&row, 0);
    struct bytes data = message_at(&row, head.len);
    struct bytes rest = bytes_make(row.ptr + head.len + data.len, row.len - head.len - data.len);
    buf_put_bytes(&wire, head);
    if (answer->shape != NO_ROW || answer->count == 0)
        buf_put_bytes(&wire, data);
    if (answer->shape == TWO_ROWS)
        buf_put_bytes(&wire, data);
    if (answer->shape != NO_READY)
        buf_put_bytes(&wire, rest);
    buf_deinit(&row);
}

static void asked_three_times(const char *name, const char *question)
{
    while (walsender_queries(world_server, question) < 3) {
        ck_assert_msg(!world_ended(), "%s: the relay ended with %d", name, world_wait());
        world_pump();
    }
    nothing_happened(name);
}

/* `wire` is the answer, until it is mended. */
static void answered_so(const char *name, const char *question, int status)
{
    struct buf good;
    buf_init(&good, 65536);
    walsender_answer(world_server, question, &good);
    ck_assert_uint_gt(good.len, 0);
    walsender_on(world_server, question, &wire);
    world_relay();
    if (status > 1) {
        ends_with(name, status);
    } else {
        if (status == 0)
            asked_three_times(name, question);
        walsender_on(world_server, question, &good);
        all_goes_well(name);
    }
    buf_deinit(&good);
}

START_TEST(answered)
{
    const struct answer *answer = &ANSWERS[_i];
    setup();
    put_answer(answer);
    answered_so(answer->name, answer->question, answer->status);
    teardown();
}
END_TEST

/* What stands in the place of rows, to every question. */
static const struct {
    const char *name;
    int status[4]; /* identity, settings, slot, publication */
    bool ready;
    struct bytes wire;
} ODDITIES[] = {
    {"no rows", {76, 76, 76, 76}, true, W("C\0\0\0\x0bSELECT\0")},
    {"an empty query", {76, 76, 76, 76}, true, W("I\0\0\0\4")},
    {"nothing", {76, 76, 76, 76}, true, W("")},
    {"a stream of both", {76, 76, 76, 76}, false, W("W\0\0\0\7\0\0\0")},
    {"a stream from the server", {76, 76, 76, 76}, false, W("H\0\0\0\7\0\0\0")},
    {"a stream to the server", {76, 76, 76, 76}, false, W("G\0\0\0\7\0\0\0")},
    {"a row without a description", {76, 76, 76, 76}, true, W("D\0\0\0\x0b\0\1\0\0\0\1x")},
    {"more values than columns",
     {0},
     true,
     W("T\0\0\0\6\0\0D\0\0\0\x0b\0\1\0\0\0\1x"
       "C\0\0\0\x0bSELECT\0")},
    {"a value longer than its row",
     {0},
     true,
     W("T\0\0\0\x1a\0\1c\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"
       "D\0\0\0\x0b\0\1\0\0\0\x7fx"
       "C\0\0\0\x0bSELECT\0")},
    {"a row of 1 GiB", {0}, true, W("T\0\0\0\6\0\0D\x40\0\0\0\0\0")},
    {"a description of 65535 columns", {76, 76, 76, 76}, true, W("T\0\0\0\6\xff\xff")},
    {"a message of unknown type", {0}, true, W("!\0\0\0\4")},
    {"a length of 0", {0}, true, W("T\0\0\0\0")},
    {"a message of frames", {76, 76, 76, 76}, true, W("d\0\0\0\5k")},
    {"a question for the password", {0}, true, W(AUTH("\x08", "\3"))},
};

static const char *const QUESTIONS[] = {IDENTIFY, SETTINGS, SLOT, PUBLICATION};

START_TEST(oddity)
{
    size_t which = (size_t)_i / ARRAY_LEN(QUESTIONS), question = (size_t)_i % ARRAY_LEN(QUESTIONS);
    char name[96];
    setup();
    snprintf(name, sizeof name, "%s: %s", QUESTIONS[question], ODDITIES[which].name);
    buf_put_bytes(&wire, ODDITIES[which].wire);
    if (ODDITIES[which].ready)
        reply_ready(&wire);
    answered_so(name, QUESTIONS[question], ODDITIES[which].status[question]);
    teardown();
}
END_TEST

/* ---- the history of timelines -------------------------------------------------------------- */

static const struct {
    const char *name;
    int status;
    size_t count;
    const char *text;
} HISTORIES[] = {
    {"no column", 76, 0, NULL},
    {"one column", 76, 1, "1\t0/9000\n"},
    {"null", 76, 2, NULL},
    {"a word", 76, 2, "history\n"},
    {"a timeline without an LSN", 76, 2, "1\n"},
    {"an LSN without a timeline", 76, 2, "0/9000\n"},
    {"an LSN that is a number", 76, 2, "1\t9000\n"},
    {"a good line and half a line", 76, 2, "1\t0/9000\tno reason\n2\t0/"},
    {"binary", 76, 2, "\x01\xff\xfe\n"},
    {"nothing", 66, 2, ""},
    {"comments", 66, 2, "# 1 0/9000\n\n"},
    {"other timelines", 66, 2, "5\t0/9000\tno reason\n"},
    {"before what was published", 66, 2, "1\t0/1100\tno reason\n"},
    {"after what was published", 1, 2, "1\t0/9000\tno reason\n"},
    {"without a reason and an end", 1, 2, "1\t0/9000"},
};

/* The server is on the second timeline; the relay saved a position on the first. */
START_TEST(history)
{
    static const char *const SYSTEM[] = {SYSTEM_ID, "2", "0/100000", "shop"};
    const char *const row[] = {"00000002.history", HISTORIES[_i].text};
    const char *name = HISTORIES[_i].name;
    unsigned numbers[16];
    setup();
    world_relay();
    while (walsender_status(world_server).flush.value < world_end().value)
        world_pump();
    world_signal(SIGTERM);
    ck_assert_int_eq(world_wait(), 0);
    struct lsn flush = walsender_status(world_server).flush;
    reply_row(&wire, ARRAY_LEN(SYSTEM), SYSTEM);
    walsender_on(world_server, IDENTIFY, &wire);
    buf_reset(&wire);
    reply_row(&wire, HISTORIES[_i].count, row);
    walsender_on(world_server, HISTORY, &wire);
    world_transaction("e");
    world_relay();
    if (HISTORIES[_i].status > 1) {
        int status = world_wait();
        ck_assert_msg(status == HISTORIES[_i].status, "%s: %d", name, status);
        ck_assert_uint_eq(world_read(numbers, ARRAY_LEN(numbers)), 3);
        ck_assert_uint_eq(walsender_status(world_server).flush.value, flush.value);
    } else {
        while (walsender_status(world_server).flush.value < world_end().value) {
            ck_assert_msg(!world_ended(), "%s: the relay ended with %d", name, world_wait());
            world_pump();
        }
        ck_assert_uint_eq(world_read(numbers, ARRAY_LEN(numbers)), 4);
    }
    teardown();
}
END_TEST

/* ---- errors -------------------------------------------------------------------------------- */

/* None of them is final: who answers so may be mended, also by somebody who sees the alarm. */
static const char *const STATES[] = {"57P01", "57P03", "53300", "53200", "58P01", "08006",
                                     "28P01", "28000", "3D000", "42501", "42601", "0A000",
                                     "XX000", "57014", "25P02", "?????"};

START_TEST(refused_login)
{
    setup();
    walsender_refuse(world_server, STATES[_i], "refused by script");
    world_relay();
    until_logins(STATES[_i], 3);
    walsender_refuse(world_server, NULL, NULL);
    all_goes_well(STATES[_i]);
    teardown();
}
END_TEST

START_TEST(refused_question)
{
    static const char *const ASKED[] = {IDENTIFY, SETTINGS, SLOT, PUBLICATION, START};
    size_t state = (size_t)_i / ARRAY_LEN(ASKED), question = (size_t)_i % ARRAY_LEN(ASKED);
    char name[64];
    setup();
    snprintf(name, sizeof name, "%s: %s", ASKED[question], STATES[state]);
    reply_error(&wire, STATES[state], "refused by script");
    reply_ready(&wire);
    answered_so(name, ASKED[question], 0);
    teardown();
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("start");
    TCase *tcase = tcase_create("start");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, login, 0, (int)ARRAY_LEN(LOGINS));
    tcase_add_loop_test(tcase, scram, 0, (int)ARRAY_LEN(SCRAMS));
    tcase_add_loop_test(tcase, answered, 0, (int)ARRAY_LEN(ANSWERS));
    tcase_add_loop_test(tcase, oddity, 0, (int)(ARRAY_LEN(ODDITIES) * ARRAY_LEN(QUESTIONS)));
    tcase_add_loop_test(tcase, history, 0, (int)ARRAY_LEN(HISTORIES));
    tcase_add_loop_test(tcase, refused_login, 0, (int)ARRAY_LEN(STATES));
    tcase_add_loop_test(tcase, refused_question, 0, (int)ARRAY_LEN(STATES) * 5);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN_SCRATCH(suite())
