/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg.h, answered by the server of server.c: sessions, the questions of source and monitor, and a
 * walsender with messages of pgoutput as they stand on the wire.
 *
 * Nothing is sent ahead: a message is made when it is read, if its time has come. A client that
 * stops reading has a walsender that waits.
 */
#include "walferry/pg/pg.h"

#include <inttypes.h>
#include <stdlib.h>

#include "sim.h"
#include "walferry/base/assert.h"
#include "walferry/base/buf.h"
#include "walferry/loop/loop.h"

enum { CONNS = 32, VALUES = 24, VALUE_SIZE = 96, MESSAGE_MAX = 64 << 10, RELATION_OID = 16400 };

enum conn_state { CONN_CONNECTING, CONN_IDLE, CONN_ASKED, CONN_COPYING };

enum question {
    ASK_NOTHING,
    ASK_IDENTITY,
    ASK_SETTING,
    ASK_SLOT,
    ASK_PUBLICATION,
    ASK_HISTORY,
    ASK_LOOK,
    ASK_BEAT,
    ASK_START
};

/* The server's side of a connection. */
struct conn {
    bool used;
    unsigned life; /* 0: the client is gone */
    bool replication;
    bool foreign;
    enum conn_state state;
    uint64_t ready_ns; /* of the connection, or the answer */
    enum question question;
    struct lsn start; /* asked for */
    /* How it ended. */
    bool broken;
    bool half_open; /* neither side hears the other */
    char sqlstate[6];
    char text[96];
    /* The walsender. */
    uint32_t txn;
    uint32_t row; /* of txn: rows sent */
    bool inside;
    uint8_t relation_sent;
    struct lsn sent; /* everything before it */
    struct lsn told; /* by the newest keepalive */
    struct lsn flush;
    struct lsn session_start;
    uint64_t read_ns;      /* the next message is there */
    uint64_t keepalive_ns; /* not before */
    uint64_t reply_ns;     /* last status */
    uint64_t writes_ns;    /* the client's writes are stuck so long */
    unsigned pings;        /* in a row */
    bool pinged;
    bool ended; /* CopyDone was sent */
    bool garbage;
    bool warned; /* of the publication */
};

/* The client's side. */
struct pg {
    int conn;
    bool copying;
    bool write_pending;
    uint8_t status[64];
    size_t status_len;
    int rows;
    bool has[VALUES];
    char values[VALUES][VALUE_SIZE];
    bool has_notice;
    struct pg_notice notice;
    struct buf message;
};

static struct conn conns[CONNS];

void conns_reset(void)
{
    memset(conns, 0, sizeof conns);
}

/* ---- ends ---- */

static void release_slot(uint64_t conn, uint64_t b)
{
    (void)b;
    if (server.slot.conn == (int)conn && !conns[conn].used)
        server.slot.conn = -1;
}

/* The backend's end. The slot is free a moment later. */
static void conn_free(struct conn *conn, uint64_t linger_ns)
{
    int index = (int)(conn - conns);
    conn->used = false;
    if (server.slot.conn != index)
        return;
    if (linger_ns == 0)
        server.slot.conn = -1;
    else
        event_in(linger_ns, release_slot, (uint64_t)index, 0);
}

static void break_conn(struct conn *conn, const char *state, const char *text)
{
    if (conn->broken)
        return;
    conn->broken = true;
    snprintf(conn->sqlstate, sizeof conn->sqlstate, "%s", state);
    snprintf(conn->text, sizeof conn->text, "%s", text);
    if (server.slot.conn == (int)(conn - conns))
        server.slot.conn = -1;
    if (conn->life == 0)
        conn_free(conn, 0);
    if (server.state == SERVER_STOPPING && conns_may_stop())
        server_stopped();
}

void conns_break(bool streams, bool others, const char *state, const char *text)
{
    for (size_t i = 0; i < CONNS; i++) {
        struct conn *conn = &conns[i];
        bool stream = conn->state == CONN_COPYING;
        if (conn->used && !conn->foreign && (stream ? streams : others))
            break_conn(conn, state, text);
    }
}

bool conns_may_stop(void)
{
    for (size_t i = 0; i < CONNS; i++)
        if (conns[i].used && !conns[i].foreign && conns[i].state == CONN_COPYING &&
            !conns[i].broken)
            return false;
    return true;
}

static bool streams(const struct conn *conn)
{
    return conn->used && conn->life != 0 && conn->state == CONN_COPYING && !conn->broken;
}

bool conn_streams(void)
{
    for (size_t i = 0; i < CONNS; i++)
        if (streams(&conns[i]))
            return true;
    return false;
}

bool conn_listens(void)
{
    for (size_t i = 0; i < CONNS; i++)
        if (streams(&conns[i]) && !conns[i].half_open)
            return true;
    return false;
}

/* A walsender that hears nothing ends by itself. */
static void check_silence(uint64_t index, uint64_t reply_ns)
{
    struct conn *conn = &conns[index];
    uint64_t timeout = sim.plan.wal_sender_timeout_ms * MS;
    if (!conn->used || conn->state != CONN_COPYING || conn->broken)
        return;
    if (timeout == 0)
        timeout = 60 * SEC; /* the kernel's keepalive */
    if (conn->reply_ns + timeout > sim.now_ns) {
        event_at(conn->reply_ns + timeout, check_silence, index, conn->reply_ns);
        return;
    }
    (void)reply_ns;
    TRACE("walsender: heard nothing for %u ms, ends", timeout / MS);
    break_conn(conn, "", "");
}

void conns_half_open(void)
{
    for (size_t i = 0; i < CONNS; i++)
        if (conns[i].used && conns[i].state == CONN_COPYING && !conns[i].broken)
            conns[i].half_open = true;
}

void conns_stall(uint64_t ns)
{
    for (size_t i = 0; i < CONNS; i++)
        if (conns[i].used && conns[i].state == CONN_COPYING)
            conns[i].read_ns = sim.now_ns + ns;
}

void conns_block_writes(uint64_t ns)
{
    for (size_t i = 0; i < CONNS; i++)
        if (conns[i].used && conns[i].state == CONN_COPYING)
            conns[i].writes_ns = sim.now_ns + ns;
}

void conns_garbage(void)
{
    for (size_t i = 0; i < CONNS; i++)
        if (conns[i].used && conns[i].state == CONN_COPYING)
            conns[i].garbage = true;
}

void pg_life_gone(struct life *life, bool machine)
{
    (void)machine;
    bool lingers = fault_take(FAULT_LINGERING);
    for (size_t i = 0; i < CONNS; i++) {
        struct conn *conn = &conns[i];
        if (!conn->used || conn->life != life->id)
            continue;
        conn->life = 0;
        if (conn->broken)
            conn_free(conn, 0);
        else if (lingers && conn->state == CONN_COPYING)
            conn->half_open = true;
        else
            conn_free(conn, rng_span(&sim.net, 1, 64) * MS);
        if (server.state == SERVER_STOPPING && conns_may_stop())
            server_stopped();
    }
}

/* ---- errors ---- */

static bool fail(const char *state, const char *text, struct err *err)
{
    static const struct {
        const char *prefix;
        enum err_code code;
    } CODES[] = {
        {"08", ERR_PG_LOST},        {"28", ERR_PG_AUTH},       {"53300", ERR_PG_CONNECT},
        {"55006", ERR_SLOT_ACTIVE}, {"57P0", ERR_PG_SHUTDOWN}, {"42501", ERR_PG_PERMISSION},
    };
    enum err_code code = state[0] == '\0' ? ERR_PG_LOST : ERR_PG_QUERY;
    for (size_t i = 0; i < ARRAY_LEN(CODES); i++)
        if (strncmp(state, CODES[i].prefix, strlen(CODES[i].prefix)) == 0)
            code = CODES[i].code;
    discard(err_set(err, code, "%s", text[0] == '\0' ? "the connection broke" : text));
    discard(err_where(err, "host=sim"));
    if (err != NULL)
        snprintf(err->sqlstate, sizeof err->sqlstate, "%s", state);
    return err_hint(err, "walferry comes back by itself");
}

static struct conn *conn_of(const struct pg *pg)
{
    ASSERT(pg->conn >= 0 && conns[pg->conn].used);
    return &conns[pg->conn];
}

static bool lost(const struct conn *conn, struct err *err)
{
    return fail(conn->sqlstate, conn->text, err);
}

/* ---- connections ---- */

bool pg_conninfo_check(const char *conninfo, struct err *err)
{
    (void)conninfo;
    (void)err;
    return true;
}

void pg_conninfo_describe(const char *conninfo, char *out, size_t size)
{
    snprintf(out, size, "%s", conninfo);
}

bool pg_conninfo_user(const char *conninfo, char *out, size_t size)
{
    (void)conninfo;
    snprintf(out, size, "walferry");
    return true;
}

const char *pg_library_version(void)
{
    return "0";
}

bool pg_connect_start(const struct pg_opts *opts, struct pg **ret_pg, struct err *err)
{
    edge(EDGE_PG);
    int free_one = -1;
    for (int i = 0; i < CONNS && free_one < 0; i++)
        if (!conns[i].used && server.slot.conn != i)
            free_one = i;
    if (free_one < 0)
        return fail("53300", "sorry, too many clients already", err);
    struct pg *pg = calloc(1, sizeof *pg);
    ASSERT(pg != NULL);
    pg->conn = free_one;
    buf_init(&pg->message, MESSAGE_MAX);
    conns[free_one] = (struct conn){
        .used = true,
        .life = life_now->id,
        .replication = opts->replication,
        .foreign = server.foreign,
        .ready_ns = sim.now_ns + rng_span(&sim.net, 50, 8192) * 1000,
    };
    *ret_pg = pg;
    return true;
}

enum pg_poll pg_connect_poll(struct pg *pg, struct err *err)
{
    edge(EDGE_PG);
    struct conn *conn = conn_of(pg);
    ASSERT(conn->state == CONN_CONNECTING);
    if (sim.now_ns < conn->ready_ns)
        return PG_POLL_WAIT;
    if (conn->broken) {
        discard(lost(conn, err));
        return PG_POLL_FAILED;
    }
    conn->foreign = server.foreign;
    if (!server.foreign && server.state == SERVER_AWAY) {
        discard(err_set(err, ERR_PG_CONNECT, "connection refused"));
        discard(err_hint(err, "check that the server runs"));
        return PG_POLL_FAILED;
    }
    const char *state = server.state == SERVER_STARTING       ? "57P03"
                        : server.state == SERVER_STOPPING     ? "57P03"
                        : sim.now_ns < server.refuse_until_ns ? "53300"
                        : sim.now_ns < server.login_until_ns  ? "28P01"
                                                              : NULL;
    if (!server.foreign && state != NULL) {
        discard(fail(state, "not now", err));
        return PG_POLL_FAILED;
    }
    conn->state = CONN_IDLE;
    return PG_POLL_DONE;
}

void pg_close(struct pg *pg)
{
    if (pg == NULL)
        return;
    edge(EDGE_PG);
    struct conn *conn = conn_of(pg);
    if (conn->broken || conn->state != CONN_COPYING)
        conn_free(conn, 0);
    else if (conn->half_open || fault_take(FAULT_LINGERING))
        conn->life = 0; /* the walsender does not know yet */
    else
        conn_free(conn, rng_span(&sim.net, 1, 64) * MS);
    if (server.state == SERVER_STOPPING && conns_may_stop())
        server_stopped();
    buf_deinit(&pg->message);
    free(pg);
}

uint64_t pg_connect_timeout_ms(const struct pg *pg)
{
    (void)pg;
    return 11000;
}

int pg_fd(const struct pg *pg)
{
    return FD_FIRST + pg->conn;
}

int pg_server_version(const struct pg *pg)
{
    (void)pg;
    return sim.plan.server_version;
}

int pg_backend_pid(const struct pg *pg)
{
    return 500 + pg->conn;
}

/* Messages of this server come whole or not at all. */
bool pg_readable(const struct pg *pg)
{
    (void)pg;
    return false;
}

bool pg_alive(struct pg *pg, struct err *err)
{
    edge(EDGE_PG);
    struct conn *conn = conn_of(pg);
    return !conn->broken || lost(conn, err);
}

/* ---- questions ---- */

static enum question question_of(const char *sql)
{
    static const struct {
        const char *text;
        enum question question;
    } QUESTIONS[] = {
        {"IDENTIFY_SYSTEM", ASK_IDENTITY},
        {"TIMELINE_HISTORY", ASK_HISTORY},
        {"START_REPLICATION", ASK_START},
        {"current_setting('wal_level')", ASK_SETTING},
        {"pg_logical_emit_message", ASK_BEAT},
        {"pg_current_wal_insert_lsn", ASK_LOOK},
        {"FROM pg_catalog.pg_replication_slots s WHERE", ASK_SLOT},
        {"FROM pg_catalog.pg_publication p WHERE p.pubname", ASK_PUBLICATION},
    };
    for (size_t i = 0; i < ARRAY_LEN(QUESTIONS); i++)
        if (strstr(sql, QUESTIONS[i].text) != NULL)
            return QUESTIONS[i].question;
    violation("a question that the simulated server does not know: %s", sql);
    return ASK_NOTHING;
}

bool pg_query_start(struct pg *pg, const char *sql, struct err *err)
{
    edge(EDGE_PG);
    struct conn *conn = conn_of(pg);
    if (conn->broken)
        return lost(conn, err);
    conn->question = question_of(sql);
    conn->state = CONN_ASKED;
    conn->ready_ns = sim.now_ns + rng_span(&sim.net, 50, 4096) * 1000;
    if (conn->question == ASK_START) {
        unsigned high = 0, low = 0;
        int got = sscanf(strstr(sql, "LOGICAL"), "LOGICAL %X/%X", &high, &low);
        CHECK(got == 2, "no position in %s", sql);
        conn->start = lsn_make(((uint64_t)high << 32) + low);
        CHECK(strstr(sql, "\"messages\" 'true'") != NULL, "messages are not asked for");
    }
    if (fault_take(FAULT_ANSWER_HANGS)) {
        TRACE("server: does not answer a question", 0);
        conn->ready_ns = sim.now_ns + 3600 * SEC;
    }
    return true;
}

static void put(struct pg *pg, int column, const char *format, ...) PRINTF_LIKE(3, 4);
static void put(struct pg *pg, int column, const char *format, ...)
{
    va_list args;
    ASSERT(column < VALUES);
    va_start(args, format);
    vsnprintf(pg->values[column], VALUE_SIZE, format, args);
    va_end(args);
    pg->has[column] = true;
}

static bool slot_active(void)
{
    return server.slot.conn >= 0 || sim.now_ns < server.slot.busy_until_ns;
}

static void put_slot(struct pg *pg, int column)
{
    const struct slot *slot = &server.slot;
    if (!slot->exists)
        return;
    put(pg, column, "walferry_sim");
    put(pg, column + 1, slot_active() ? "t" : "f");
    if (slot_active())
        put(pg, column + 2, "%d", slot->conn >= 0 ? 500 + slot->conn : 499);
    put(pg, column + 3, "t");
    put(pg, column + 4, "f");
    put(pg, column + 5, "f");
    put(pg, column + 6, "pgoutput");
    put(pg, column + 7, "shop");
    put(pg, column + 8, "%s", lsn_format(slot->confirmed).text);
    if (!slot->lost)
        put(pg, column + 9, "%s", lsn_format(slot->saved).text);
    put(pg, column + 10, slot->lost ? "lost" : "reserved");
    if (slot->lost && sim.plan.server_version >= 170000)
        put(pg, column + 12, "wal_removed");
}

static bool table_missing(void)
{
    return server.publication && !server.table_published;
}

static void answer(struct pg *pg, struct conn *conn)
{
    pg->rows = 1;
    memset(pg->has, 0, sizeof pg->has);
    switch (conn->question) {
    case ASK_IDENTITY:
        put(pg, 0, "%" PRIu64, server.system_id + (conn->foreign ? 1 : 0));
        put(pg, 1, "%u", server.timeline);
        put(pg, 2, "%s", lsn_format(server.wal_end).text);
        put(pg, 3, "shop");
        return;
    case ASK_SETTING:
        put(pg, 0, "logical");
        put(pg, 1, "%" PRIu64, sim.plan.wal_sender_timeout_ms);
        put(pg, 2, server.in_recovery ? "t" : "f");
        return;
    case ASK_SLOT:
        pg->rows = server.slot.exists;
        put_slot(pg, 0);
        return;
    case ASK_PUBLICATION:
        pg->rows = server.publication;
        if (server.publication) {
            put(pg, 0, "t");
            put(pg, 1, "outbox.event");
            if (table_missing())
                put(pg, 2, "outbox.event");
        }
        return;
    case ASK_HISTORY:
        put(pg, 0, "%08X.history", server.timeline);
        pg->has[1] = true; /* pg_value() makes the text */
        return;
    case ASK_LOOK:
        put(pg, 0, "%s", lsn_format(server.wal_end).text);
        put(pg, 1, server.in_recovery ? "t" : "f");
        put(pg, 2, server.publication ? "t" : "f");
        put_slot(pg, 3);
        if (table_missing())
            put(pg, 3 + 13, "outbox.event");
        return;
    case ASK_BEAT:
        if (server.state == SERVER_UP && !server.in_recovery)
            server_emit_heartbeat();
        put(pg, 0, "%s", lsn_format(server.wal_end).text);
        return;
    case ASK_START:
    case ASK_NOTHING:
        return;
    }
}

/* NULL: it may start. */
static const char *start_refused(const char **ret_text)
{
    const struct slot *slot = &server.slot;
    *ret_text = "replication slot \"walferry_sim\" does not exist";
    if (!slot->exists)
        return "42704";
    *ret_text = "replication slot \"walferry_sim\" is active for PID 499";
    if (slot_active())
        return "55006";
    *ret_text = "cannot read from logical replication slot \"walferry_sim\"";
    if (slot->lost)
        return "55000";
    return NULL;
}

static enum pg_poll start_stream(struct pg *pg, struct conn *conn, struct err *err)
{
    const char *text;
    const char *state = start_refused(&text);
    if (state != NULL) {
        TRACE("server: refuses to stream: %s", TEXT(text));
        conn->state = CONN_IDLE;
        discard(fail(state, text, err));
        return PG_POLL_FAILED;
    }
    CHECK(!conn->foreign, "the relay streams from a foreign server");
    struct lsn effective = lsn_max(conn->start, server.slot.confirmed);
    TRACE("walsender: asked for %x, the slot stands at %x", conn->start.value,
          server.slot.confirmed.value);
    model_start(life_now, conn->start, effective);
    server.slot.conn = pg->conn;
    server.slot.went_back = false;
    pg->copying = true;
    conn->state = CONN_COPYING;
    conn->txn = server_find(effective);
    conn->row = 0;
    conn->inside = false;
    conn->relation_sent = 0;
    conn->session_start = effective;
    conn->sent = effective;
    conn->told = LSN_NONE;
    conn->flush = LSN_NONE;
    conn->reply_ns = sim.now_ns;
    conn->keepalive_ns = sim.now_ns;
    conn->read_ns = sim.now_ns + rng_span(&sim.net, 50, 4096) * 1000;
    check_silence((uint64_t)pg->conn, 0);
    return PG_POLL_DONE;
}

enum pg_poll pg_query_poll(struct pg *pg, struct err *err)
{
    edge(EDGE_PG);
    struct conn *conn = conn_of(pg);
    if (conn->broken) {
        discard(lost(conn, err));
        return PG_POLL_FAILED;
    }
    if (sim.now_ns < conn->ready_ns)
        return PG_POLL_WAIT;
    if (conn->question == ASK_START)
        return start_stream(pg, conn, err);
    conn->state = CONN_IDLE;
    if (fault_take(FAULT_ANSWER_FAILS)) {
        TRACE("server: a question fails", 0);
        discard(fail(rng_chance(&sim.fate, 500) ? "53200" : "XX000", "out of memory", err));
        return PG_POLL_FAILED;
    }
    answer(pg, conn);
    return PG_POLL_DONE;
}

int pg_rows(const struct pg *pg)
{
    return pg->rows;
}

/* This server answers what it was asked. */
int pg_columns(const struct pg *pg)
{
    (void)pg;
    return VALUES;
}

static struct bytes history(const struct pg *pg)
{
    struct pg *mutable = (struct pg *)(uintptr_t)pg;
    buf_reset(&mutable->message);
    for (uint32_t i = 0; i + 1 < server.timeline; i++)
        buf_printf(&mutable->message, "%u\t%s\tno recovery target specified\n", i + 1,
                   lsn_format(server.forks[i]).text);
    return buf_bytes(&mutable->message);
}

struct bytes pg_value(const struct pg *pg, int row, int column)
{
    if (row >= pg->rows || column >= VALUES || !pg->has[column])
        return BYTES_ABSENT;
    if (conn_of(pg)->question == ASK_HISTORY && column == 1)
        return history(pg);
    return bytes_str(pg->values[column]);
}

bool pg_query(struct pg *pg, const char *sql, uint64_t timeout_ms, struct err *err)
{
    (void)pg;
    (void)timeout_ms;
    return err_set(err, ERR_INTERNAL, "the relay asks and waits: %s", sql);
}

bool pg_connect(const struct pg_opts *opts, uint64_t timeout_ms, struct pg **ret_pg,
                struct err *err)
{
    (void)opts;
    (void)timeout_ms;
    (void)ret_pg;
    return err_set(err, ERR_INTERNAL, "the relay connects and waits");
}

bool pg_quote_literal(const struct pg *pg, const char *text, char *out, size_t size)
{
    (void)pg;
    return snprintf(out, size, "'%s'", text) < (int)size;
}

bool pg_copying(const struct pg *pg)
{
    return pg->copying;
}

bool pg_notice_next(struct pg *pg, struct pg_notice *ret_notice)
{
    if (!pg->has_notice)
        return false;
    *ret_notice = pg->notice;
    pg->has_notice = false;
    return true;
}

/* ---- the walsender's messages ---- */

static void put_text(struct buf *out, const char *text)
{
    buf_put(out, text, strlen(text) + 1);
}

static uint64_t pg_time(int64_t us)
{
    return (uint64_t)clock_to_pg(us);
}

static void put_data_head(struct buf *out, struct lsn lsn)
{
    buf_put_u8(out, 'w');
    buf_put_u64(out, lsn.value);
    buf_put_u64(out, lsn.value);
    buf_put_u64(out, pg_time(clock_wall_us()));
}

static void put_keepalive(struct buf *out, struct lsn lsn, bool reply)
{
    buf_put_u8(out, 'k');
    buf_put_u64(out, lsn.value);
    buf_put_u64(out, pg_time(clock_wall_us()));
    buf_put_u8(out, reply);
}

static const struct {
    const char *name;
    uint32_t type;
} COLUMNS[] = {
    {"id", 2950},      {"aggregate_type", 25}, {"aggregate_id", 25}, {"event_type", 25},
    {"partition", 23}, {"payload", 114},       {"added", 25},
};

static uint16_t column_count(uint8_t version)
{
    return (uint16_t)(ARRAY_LEN(COLUMNS) - 1 + (version > 1));
}

static void put_relation(struct buf *out, uint8_t version)
{
    put_data_head(out, LSN_NONE);
    buf_put_u8(out, 'R');
    buf_put_u32(out, RELATION_OID);
    put_text(out, "outbox");
    put_text(out, "event");
    buf_put_u8(out, 'd');
    buf_put_u16(out, column_count(version));
    for (uint16_t i = 0; i < column_count(version); i++) {
        buf_put_u8(out, i == 0);
        put_text(out, COLUMNS[i].name);
        buf_put_u32(out, COLUMNS[i].type);
        buf_put_u32(out, UINT32_MAX);
    }
}

static void put_value(struct buf *out, const char *text, size_t len)
{
    buf_put_u8(out, 't');
    buf_put_u32(out, (uint32_t)len);
    buf_put(out, text, len);
}

static void put_printed(struct buf *out, const char *format, unsigned number)
{
    char text[64];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int len = snprintf(text, sizeof text, format, number);
#pragma GCC diagnostic pop
    put_value(out, text, (size_t)len);
}

static void put_tuple(struct buf *out, uint32_t number, uint8_t version)
{
    const struct row *row = &rows[number];
    char payload[MESSAGE_MAX / 4];
    buf_put_u8(out, 'N');
    buf_put_u16(out, column_count(version));
    if (row->kind == ROW_NO_ID)
        buf_put_u8(out, 'n');
    else
        put_printed(out, "00000000-0000-4000-8000-%012u", number);
    put_printed(out, row->kind == ROW_BAD_TOPIC ? "%u/../" : "%u", row->topic);
    if (row->key == 0)
        buf_put_u8(out, 'n');
    else
        put_printed(out, "k%u", row->key);
    put_printed(out, row->kind == ROW_DROPPED ? "debug.%u" : "order.made", number);
    if (row->kind == ROW_BAD_PARTITION)
        put_printed(out, "%u", 99);
    else if (row->explicit_partition)
        put_printed(out, "%u", row->partition);
    else
        buf_put_u8(out, 'n');
    put_value(out, payload, row_payload(number, payload, sizeof payload));
    if (version > 1)
        put_printed(out, "v%u", version);
}

static void put_message(struct buf *out, struct lsn lsn, bool transactional, const char *prefix,
                        const char *content, size_t len)
{
    put_data_head(out, lsn);
    buf_put_u8(out, 'M');
    buf_put_u8(out, transactional);
    buf_put_u64(out, lsn.value);
    put_text(out, prefix);
    buf_put_u32(out, (uint32_t)len);
    buf_put(out, content, len);
}

static bool is_message(enum row_kind kind)
{
    return kind == ROW_MESSAGE || kind == ROW_BAD_MESSAGE || kind == ROW_FOREIGN_MESSAGE ||
           kind == ROW_HEARTBEAT;
}

static void put_delete(struct buf *out, uint32_t number, uint8_t version)
{
    buf_put_u8(out, 'D');
    buf_put_u32(out, RELATION_OID);
    buf_put_u8(out, 'K');
    buf_put_u16(out, column_count(version));
    put_printed(out, "00000000-0000-4000-8000-%012u", number);
    for (uint16_t i = 1; i < column_count(version); i++)
        buf_put_u8(out, 'n');
}

static void put_row(struct buf *out, uint32_t number, struct lsn lsn, uint8_t version)
{
    const struct row *row = &rows[number];
    char content[MESSAGE_MAX / 4];
    if (row->kind == ROW_MESSAGE || row->kind == ROW_BAD_MESSAGE) {
        put_message(out, lsn, true, "outbox", content,
                    row_content(number, content, sizeof content));
        return;
    }
    if (row->kind == ROW_HEARTBEAT || row->kind == ROW_FOREIGN_MESSAGE) {
        put_message(out, lsn, true,
                    row->kind == ROW_HEARTBEAT ? "walferry.heartbeat" : "somebody.else", "x", 1);
        return;
    }
    put_data_head(out, lsn);
    if (row->kind == ROW_TRUNCATE) {
        buf_put_u8(out, 'T');
        buf_put_u32(out, 1);
        buf_put_u8(out, 0);
        buf_put_u32(out, RELATION_OID);
        return;
    }
    if (row->kind == ROW_DELETE) {
        put_delete(out, number, version);
        return;
    }
    buf_put_u8(out, row->kind == ROW_UPDATE ? 'U' : 'I');
    buf_put_u32(out, RELATION_OID);
    put_tuple(out, number, version);
}

/* ---- the walsender ---- */

/* Whether a walsender at that row sends it. */
static bool sends_row(uint32_t number)
{
    return !rows[number].unpublished && !rows[number].orphaned;
}

static bool has_rows(const struct txn *txn)
{
    for (uint32_t i = 0; i < txn->row_count; i++)
        if (sends_row(txn->first_row + i))
            return true;
    return false;
}

static bool has_orphans(const struct txn *txn)
{
    return txn->row_count > 0 && rows[txn->first_row].orphaned;
}

/* Pass what is not sent. */
static void skip_txns(struct conn *conn)
{
    while (!conn->inside && conn->txn < txn_count && sim.now_ns >= txns[conn->txn].visible_ns) {
        const struct txn *txn = &txns[conn->txn];
        bool empty = !has_rows(txn) && !has_orphans(txn);
        if (!txn->lost && (!empty || sim.plan.server_version < 150000))
            return;
        if (!txn->lost)
            conn->sent = lsn_max(conn->sent, txn->end_lsn);
        conn->txn++;
    }
}

static void begin_txn(struct conn *conn, struct buf *out)
{
    const struct txn *txn = &txns[conn->txn];
    conn->inside = true;
    conn->row = 0;
    put_data_head(out, txn->commit_lsn);
    buf_put_u8(out, 'B');
    buf_put_u64(out, txn->commit_lsn.value);
    buf_put_u64(out, pg_time(txn->commit_us));
    buf_put_u32(out, txn->xid);
}

static void end_txn(struct conn *conn, struct buf *out)
{
    const struct txn *txn = &txns[conn->txn];
    put_data_head(out, txn->end_lsn);
    buf_put_u8(out, 'C');
    buf_put_u8(out, 0);
    buf_put_u64(out, txn->commit_lsn.value);
    buf_put_u64(out, txn->end_lsn.value);
    buf_put_u64(out, pg_time(txn->commit_us));
    conn->inside = false;
    conn->sent = txn->end_lsn;
    server.sent_high = lsn_max(server.sent_high, conn->sent);
    conn->txn++;
}

/* Rows that came after the publication was gone: an error, or on 18 a warning and silence. */
static enum pg_copy orphans(struct pg *pg, struct conn *conn, struct err *err)
{
    if (sim.plan.server_version < 180000) {
        TRACE("walsender: the publication does not exist", 0);
        break_conn(conn, "42704", "publication \"walferry_sim\" does not exist");
        discard(lost(conn, err));
        return PG_COPY_FAILED;
    }
    if (!conn->warned) {
        TRACE("walsender: warns of the publication", 0);
        conn->warned = true;
        pg->has_notice = true;
        snprintf(pg->notice.sqlstate, sizeof pg->notice.sqlstate, "55000");
        snprintf(pg->notice.message, sizeof pg->notice.message,
                 "skipped loading publication \"walferry_sim\"");
    }
    conn->sent = lsn_max(conn->sent, txns[conn->txn].end_lsn);
    conn->txn++;
    return PG_COPY_IDLE;
}

static bool send_row(struct conn *conn, struct buf *out)
{
    const struct txn *txn = &txns[conn->txn];
    while (conn->row < txn->row_count && !sends_row(txn->first_row + conn->row))
        conn->row++;
    if (conn->row == txn->row_count)
        return false;
    uint32_t number = txn->first_row + conn->row;
    if (!is_message(rows[number].kind) && conn->relation_sent != txn->table_version) {
        conn->relation_sent = txn->table_version;
        put_relation(out, txn->table_version);
        return true;
    }
    /* Rows were written before the record: their positions may lie before those of others. */
    uint64_t back = (uint64_t)(txn->row_count - conn->row) * 48;
    put_row(out, number, lsn_make(txn->commit_lsn.value - back), txn->table_version);
    conn->row++;
    return true;
}

/* Everything before it was sent, or is not to be sent. */
static struct lsn sent_pointer(const struct conn *conn)
{
    uint32_t next = conn->txn;
    while (next < txn_count && txns[next].lost)
        next++;
    return next < txn_count ? lsn_max(conn->sent, txns[next].commit_lsn)
                            : lsn_max(conn->sent, server.wal_end);
}

static enum pg_copy give_keepalive(struct conn *conn, struct pg *pg, struct lsn lsn, bool reply)
{
    conn->told = lsn;
    server.sent_high = lsn_max(server.sent_high, lsn);
    conn->pinged = conn->pinged || reply;
    conn->keepalive_ns = sim.now_ns + rng_span(&sim.net, 8, 1024) * MS;
    put_keepalive(&pg->message, lsn, reply);
    return PG_COPY_DATA;
}

static uint64_t ping_ns(const struct conn *conn)
{
    uint64_t timeout = sim.plan.wal_sender_timeout_ms * MS;
    return timeout == 0 || conn->pinged ? UINT64_MAX : conn->reply_ns + timeout / 2;
}

/* All was sent. A server that stops waits until all is confirmed, and asks again and again. */
static enum pg_copy caught_up(struct pg *pg, struct conn *conn)
{
    struct lsn sent = sent_pointer(conn);
    if (server.state == SERVER_STOPPING) {
        if (lsn_cmp(conn->flush, sent) >= 0) {
            TRACE("walsender: all is confirmed, ends", 0);
            conn->ended = true;
            conn->broken = true;
            server.slot.conn = -1;
            if (conns_may_stop())
                server_stopped();
            pg->copying = false;
            return PG_COPY_END;
        }
        if (conn->pinged)
            return PG_COPY_IDLE;
        if (++conn->pings > 1)
            fault_fired(FAULT_PING_STORM);
        return give_keepalive(conn, pg, sent, true);
    }
    if (sim.now_ns >= ping_ns(conn))
        return give_keepalive(conn, pg, sent, true);
    if (lsn_cmp(conn->told, sent) < 0 && sim.now_ns >= conn->keepalive_ns)
        return give_keepalive(conn, pg, sent, false);
    return PG_COPY_IDLE;
}

static enum pg_copy next_message(struct pg *pg, struct conn *conn, struct err *err)
{
    struct buf *out = &pg->message;
    buf_reset(out);
    if (conn->inside) {
        /* Between rows the server asks, too, and tells where it stands. */
        if (sim.now_ns >= ping_ns(conn))
            return give_keepalive(conn, pg, conn->sent, true);
        if (!send_row(conn, out))
            end_txn(conn, out);
        return PG_COPY_DATA;
    }
    skip_txns(conn);
    if (conn->txn == txn_count || sim.now_ns < txns[conn->txn].visible_ns)
        return caught_up(pg, conn);
    if (has_orphans(&txns[conn->txn]))
        return orphans(pg, conn, err);
    /* Messages outside of transactions come when they are decoded. */
    if (rng_chance(&sim.net, 5)) {
        put_message(out, conn->sent, false, "outbox", "{}", 2);
        return PG_COPY_DATA;
    }
    begin_txn(conn, out);
    return PG_COPY_DATA;
}

enum pg_copy pg_copy_get(struct pg *pg, struct bytes *ret_data, struct err *err)
{
    struct conn *conn = conn_of(pg);
    edge(EDGE_PG);
    if (conn->ended) {
        pg->copying = false;
        return PG_COPY_END;
    }
    if (conn->broken) {
        pg->copying = false;
        discard(lost(conn, err));
        return PG_COPY_FAILED;
    }
    if (conn->half_open || sim.now_ns < conn->read_ns)
        return PG_COPY_IDLE;
    if (conn->garbage) {
        conn->garbage = false;
        buf_reset(&pg->message);
        put_data_head(&pg->message, conn->sent);
        buf_put_str(&pg->message, "\x01garbage");
        *ret_data = buf_bytes(&pg->message);
        return PG_COPY_DATA;
    }
    enum pg_copy got = next_message(pg, conn, err);
    if (got == PG_COPY_FAILED)
        pg->copying = false;
    if (got == PG_COPY_DATA && rng_chance(&sim.net, 15))
        conn->read_ns = sim.now_ns + rng_span(&sim.net, 10, 16384) * 1000;
    *ret_data = buf_bytes(&pg->message);
    return got;
}

/* ---- statuses ---- */

static uint64_t get_u64(const uint8_t *at)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++)
        value = value << 8 | at[i];
    return value;
}

static void take_status(struct conn *conn, const uint8_t *status, size_t len)
{
    CHECK(len == 34 && status[0] == 'r', "a status of %zu bytes", len);
    struct lsn write = lsn_make(get_u64(status + 1));
    struct lsn flush = lsn_make(get_u64(status + 9));
    struct lsn apply = lsn_make(get_u64(status + 17));
    TRACE("status: flush %x write %x", flush.value, write.value);
    CHECK(lsn_cmp(apply, flush) <= 0 && lsn_cmp(flush, write) <= 0, "a status contradicts itself");
    conn->reply_ns = sim.now_ns;
    conn->pinged = false;
    if (lsn_is_none(flush))
        return;
    CHECK(lsn_cmp(flush, conn->flush) >= 0, "confirmed %s after %s", lsn_format(flush).text,
          lsn_format(conn->flush).text);
    CHECK(lsn_cmp(flush, lsn_max(conn->session_start, server.sent_high)) <= 0,
          "confirmed %s, the server has sent up to %s", lsn_format(flush).text,
          lsn_format(server.sent_high).text);
    conn->flush = flush;
    struct slot *slot = &server.slot;
    if (lsn_cmp(flush, slot->confirmed) <= 0)
        return;
    model_confirm(life_now, flush);
    slot->confirmed = flush;
    if (rng_chance(&sim.net, 100))
        slot->saved = flush;
}

/* What is stuck goes when the socket lets it. */
static bool flush_now(struct pg *pg, struct err *err)
{
    struct conn *conn = conn_of(pg);
    if (conn->broken)
        return lost(conn, err);
    /* The kernel takes what the network never brings. */
    if (conn->half_open)
        pg->status_len = 0;
    pg->write_pending = pg->status_len > 0 && sim.now_ns < conn->writes_ns;
    if (pg->status_len > 0 && !pg->write_pending) {
        size_t len = pg->status_len;
        pg->status_len = 0;
        take_status(conn, pg->status, len);
    }
    return true;
}

bool pg_copy_put(struct pg *pg, struct bytes data, struct err *err)
{
    edge(EDGE_PG);
    ASSERT(pg->copying && data.len <= sizeof pg->status);
    if (pg->status_len > 0 && !flush_now(pg, err))
        return false;
    if (pg->status_len == 0) {
        memcpy(pg->status, data.ptr, data.len);
        pg->status_len = data.len;
    }
    return flush_now(pg, err);
}

bool pg_copy_end(struct pg *pg, struct err *err)
{
    edge(EDGE_PG);
    struct conn *conn = conn_of(pg);
    ASSERT(pg->copying);
    if (conn->broken)
        return lost(conn, err);
    conn->ended = true;
    conn->read_ns = sim.now_ns + rng_span(&sim.net, 1, 64) * MS;
    return flush_now(pg, err);
}

bool pg_flush(struct pg *pg, struct err *err)
{
    edge(EDGE_PG);
    return flush_now(pg, err);
}

unsigned pg_wants(const struct pg *pg)
{
    return LOOP_READ | (pg->write_pending ? (unsigned)LOOP_WRITE : 0u);
}

/* ---- when there is something ---- */

static uint64_t stream_ready_ns(const struct conn *conn)
{
    uint64_t at = UINT64_MAX;
    if (conn->half_open)
        return UINT64_MAX;
    if (conn->inside || conn->garbage || conn->ended) {
        at = sim.now_ns;
    } else {
        uint32_t next = conn->txn;
        while (next < txn_count && txns[next].lost)
            next++;
        if (next < txn_count)
            at = txns[next].visible_ns;
        if (lsn_cmp(conn->told, sent_pointer(conn)) < 0 && conn->keepalive_ns < at)
            at = conn->keepalive_ns;
        if (ping_ns(conn) < at)
            at = ping_ns(conn);
        if (server.state == SERVER_STOPPING && !conn->pinged)
            at = sim.now_ns;
    }
    return at > conn->read_ns ? at : conn->read_ns;
}

uint64_t pg_ready_ns(int fd, unsigned wants)
{
    const struct conn *conn = &conns[fd - FD_FIRST];
    if (fd >= FD_FIRST + CONNS || !conn->used)
        return UINT64_MAX;
    uint64_t at = UINT64_MAX;
    if ((wants & LOOP_READ) != 0) {
        if (conn->broken)
            return sim.now_ns;
        if (conn->state == CONN_CONNECTING || conn->state == CONN_ASKED)
            at = conn->ready_ns;
        else if (conn->state == CONN_COPYING)
            at = stream_ready_ns(conn);
    }
    if ((wants & LOOP_WRITE) != 0 && conn->state == CONN_COPYING && !conn->half_open &&
        conn->writes_ns < at)
        at = conn->writes_ns;
    return at;
}
