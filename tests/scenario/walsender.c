/* SPDX-License-Identifier: Apache-2.0 */
#include "walsender.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "walferry/base/assert.h"
#include "walferry/base/reader.h"

#define RULES_MAX   32
#define QUERIES_MAX 4096
#define BUFFER_MAX  (1u << 20)

struct rule {
    char text[64];
    struct buf reply;
};

struct walsender {
    char directory[96];
    char socket_path[112];
    char conninfo[192];
    int listen_fd;
    int client_fd; /* -1 without one */
    bool admitted; /* startup is over */
    bool hang_up;
    bool deaf; /* hang up on what comes next */
    bool trickle;
    bool copy_done;
    bool replication_only;
    bool stirred; /* in the last pump */
    bool login_scripted;
    bool login_last;
    const char *scram[2]; /* borrowed; the next first */
    size_t cut_at;        /* SIZE_MAX: never */
    size_t bytes;
    struct buf login;
    char refuse_state[6];
    char refuse_message[128];
    struct buf in;
    struct buf out;
    struct buf startup; /* parameters of the newest connection */
    struct rule rules[RULES_MAX];
    size_t rule_count;
    char *queries[QUERIES_MAX];
    size_t query_count;
    unsigned connections;
    unsigned logins;
    struct walsender_status status;
};

/* ---- messages ---- */

static size_t begin(struct buf *out, char kind)
{
    buf_put_u8(out, (uint8_t)kind);
    size_t at = out->len;
    buf_put_u32(out, 0);
    return at;
}

static void end(struct buf *out, size_t at)
{
    ASSERT(buf_ok(out));
    uint32_t len = (uint32_t)(out->len - at);
    for (unsigned i = 0; i < 4; i++) {
        out->ptr[at + i] = (uint8_t)(len >> (24 - 8 * i));
    }
}

static void put_cstr(struct buf *out, const char *text)
{
    buf_put(out, text, strlen(text) + 1);
}

void reply_ready(struct buf *out)
{
    size_t at = begin(out, 'Z');
    buf_put_u8(out, 'I');
    end(out, at);
}

void reply_complete(struct buf *out, const char *tag)
{
    size_t at = begin(out, 'C');
    put_cstr(out, tag);
    end(out, at);
}

static void put_columns(struct buf *out, size_t count)
{
    size_t at = begin(out, 'T');
    buf_put_u16(out, (uint16_t)count);
    for (size_t i = 0; i < count; i++) {
        put_cstr(out, "c");
        buf_put_u32(out, 0);
        buf_put_u16(out, 0);
        buf_put_u32(out, 25);
        buf_put_u16(out, UINT16_MAX);
        buf_put_u32(out, UINT32_MAX);
        buf_put_u16(out, 0);
    }
    end(out, at);
}

void reply_none(struct buf *out, size_t count)
{
    put_columns(out, count);
    reply_complete(out, "SELECT 0");
    reply_ready(out);
}

void reply_row(struct buf *out, size_t count, const char *const *values)
{
    put_columns(out, count);
    if (count > 0) {
        size_t at = begin(out, 'D');
        buf_put_u16(out, (uint16_t)count);
        for (size_t i = 0; i < count; i++) {
            buf_put_u32(out, values[i] == NULL ? UINT32_MAX : (uint32_t)strlen(values[i]));
            buf_put_str(out, values[i] == NULL ? "" : values[i]);
        }
        end(out, at);
    }
    reply_complete(out, "SELECT");
    reply_ready(out);
}

static void put_fields(struct buf *out, char kind, const char *severity, const char *sqlstate,
                       const char *message)
{
    size_t at = begin(out, kind);
    buf_put_u8(out, 'S');
    put_cstr(out, severity);
    buf_put_u8(out, 'V');
    put_cstr(out, severity);
    buf_put_u8(out, 'C');
    put_cstr(out, sqlstate);
    buf_put_u8(out, 'M');
    put_cstr(out, message);
    buf_put_u8(out, 0);
    end(out, at);
}

void reply_error(struct buf *out, const char *sqlstate, const char *message)
{
    put_fields(out, 'E', "ERROR", sqlstate, message);
}

void reply_fatal(struct buf *out, const char *sqlstate, const char *message)
{
    put_fields(out, 'E', "FATAL", sqlstate, message);
}

void reply_notice(struct buf *out, const char *severity, const char *sqlstate, const char *message)
{
    put_fields(out, 'N', severity, sqlstate, message);
}

void reply_copy_both(struct buf *out)
{
    size_t at = begin(out, 'W');
    buf_put_u8(out, 0);
    buf_put_u16(out, 0);
    end(out, at);
}

void reply_copy(struct buf *out, struct bytes frame)
{
    size_t at = begin(out, 'd');
    buf_put_bytes(out, frame);
    end(out, at);
}

void reply_data(struct buf *out, struct bytes payload, struct lsn wal_end)
{
    size_t at = begin(out, 'd');
    buf_put_u8(out, 'w');
    buf_put_u64(out, wal_end.value);
    buf_put_u64(out, wal_end.value);
    buf_put_u64(out, 0);
    buf_put_bytes(out, payload);
    end(out, at);
}

void reply_keepalive(struct buf *out, struct lsn wal_end, bool reply)
{
    size_t at = begin(out, 'd');
    buf_put_u8(out, 'k');
    buf_put_u64(out, wal_end.value);
    buf_put_u64(out, 0);
    buf_put_u8(out, reply ? 1 : 0);
    end(out, at);
}

/* ---- life ---- */

static void default_rules(struct walsender *server)
{
    static const char *const SYSTEM[] = {"7000000000000000001", "1", "0/5000", "shop"};
    static const char *const SETTINGS[] = {"logical", "60000", "f"};
    static const char *const SLOT[] = {
        "walferry_orders", "f",     NULL,       "t",  "f", "f", "pgoutput", "shop",
        "0/1000",          "0/800", "reserved", NULL, NULL};
    static const char *const PUBLICATION[] = {"t", "outbox.event"};
    static const char *const CREATED[] = {"temporary", "0/4000", NULL, "pgoutput"};
    struct buf reply;
    buf_init(&reply, BUFFER_MAX);
    reply_row(&reply, ARRAY_LEN(SYSTEM), SYSTEM);
    walsender_on(server, "IDENTIFY_SYSTEM", &reply);
    buf_reset(&reply);
    reply_row(&reply, ARRAY_LEN(SETTINGS), SETTINGS);
    walsender_on(server, "'wal_level'", &reply);
    buf_reset(&reply);
    reply_row(&reply, ARRAY_LEN(SLOT), SLOT);
    walsender_on(server, "pg_replication_slots", &reply);
    buf_reset(&reply);
    reply_row(&reply, ARRAY_LEN(PUBLICATION), PUBLICATION);
    walsender_on(server, "pg_publication_rel", &reply);
    buf_reset(&reply);
    reply_row(&reply, ARRAY_LEN(CREATED), CREATED);
    walsender_on(server, "CREATE_REPLICATION_SLOT", &reply);
    buf_reset(&reply);
    reply_copy_both(&reply);
    walsender_on(server, "START_REPLICATION", &reply);
    buf_deinit(&reply);
}

struct walsender *walsender_new(void)
{
    struct walsender *server = calloc(1, sizeof *server);
    ASSERT(server != NULL);
    const char *parent = getenv("TMPDIR");
    snprintf(server->directory, sizeof server->directory, "%s/walsender-XXXXXX",
             parent != NULL ? parent : "/tmp");
    ASSERT(mkdtemp(server->directory) != NULL);
    snprintf(server->socket_path, sizeof server->socket_path, "%s/.s.PGSQL.5432",
             server->directory);
    snprintf(server->conninfo, sizeof server->conninfo,
             "host=%s port=5432 dbname=shop user=walferry gssencmode=disable", server->directory);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s", server->socket_path);
    ASSERT(length > 0 && (size_t)length < sizeof address.sun_path);
    server->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ASSERT(server->listen_fd >= 0);
    ASSERT(bind(server->listen_fd, (const struct sockaddr *)&address, sizeof address) == 0);
    ASSERT(listen(server->listen_fd, 8) == 0);
    server->client_fd = -1;
    buf_init(&server->in, BUFFER_MAX);
    buf_init(&server->out, BUFFER_MAX);
    buf_init(&server->startup, 16384);
    buf_init(&server->login, 16384);
    server->cut_at = SIZE_MAX;
    default_rules(server);
    return server;
}

static void close_client(struct walsender *server)
{
    if (server->client_fd >= 0) {
        close(server->client_fd);
    }
    server->stirred = true;
    server->client_fd = -1;
    server->admitted = false;
    server->hang_up = false;
    server->deaf = false;
    buf_reset(&server->in);
    buf_reset(&server->out);
}

void walsender_free(struct walsender *server)
{
    if (server == NULL) {
        return;
    }
    close_client(server);
    close(server->listen_fd);
    unlink(server->socket_path);
    rmdir(server->directory);
    buf_deinit(&server->in);
    buf_deinit(&server->out);
    buf_deinit(&server->startup);
    buf_deinit(&server->login);
    for (size_t i = 0; i < server->rule_count; i++) {
        buf_deinit(&server->rules[i].reply);
    }
    for (size_t i = 0; i < server->query_count; i++) {
        free(server->queries[i]);
    }
    free(server);
}

const char *walsender_conninfo(const struct walsender *server)
{
    return server->conninfo;
}

/* ---- the script ---- */

static struct rule *find_rule(struct walsender *server, const char *text)
{
    for (size_t i = 0; i < server->rule_count; i++) {
        if (strcmp(server->rules[i].text, text) == 0) {
            return &server->rules[i];
        }
    }
    ASSERT(server->rule_count < RULES_MAX && strlen(text) < sizeof server->rules[0].text);
    struct rule *rule = &server->rules[server->rule_count++];
    snprintf(rule->text, sizeof rule->text, "%s", text);
    buf_init(&rule->reply, BUFFER_MAX);
    return rule;
}

void walsender_on(struct walsender *server, const char *text, const struct buf *reply)
{
    struct rule *rule = find_rule(server, text);
    buf_reset(&rule->reply);
    buf_put_bytes(&rule->reply, buf_bytes(reply));
}

void walsender_refuse(struct walsender *server, const char *sqlstate, const char *message)
{
    snprintf(server->refuse_state, sizeof server->refuse_state, "%s",
             sqlstate == NULL ? "" : sqlstate);
    snprintf(server->refuse_message, sizeof server->refuse_message, "%s",
             message == NULL ? "" : message);
}

void walsender_login(struct walsender *server, const struct buf *messages, bool last)
{
    server->login_scripted = messages != NULL;
    server->login_last = last;
    buf_reset(&server->login);
    if (messages != NULL) {
        buf_put_bytes(&server->login, buf_bytes(messages));
    }
}

void walsender_scram(struct walsender *server, const char *first, const char *final)
{
    server->scram[0] = first;
    server->scram[1] = final;
}

void walsender_cut(struct walsender *server, size_t bytes)
{
    server->cut_at = bytes;
}

void walsender_send(struct walsender *server, const struct buf *messages)
{
    buf_put_bytes(&server->out, buf_bytes(messages));
}

void walsender_hang_up(struct walsender *server)
{
    server->hang_up = true;
}

void walsender_replication_only(struct walsender *server)
{
    server->replication_only = true;
}

void walsender_reset(struct walsender *server)
{
    server->deaf = true;
}

bool walsender_sent(const struct walsender *server)
{
    return server->out.len == 0;
}

bool walsender_idle(const struct walsender *server)
{
    return !server->stirred && server->out.len == 0 && !server->hang_up;
}

void walsender_trickle(struct walsender *server, bool on)
{
    server->trickle = on;
}

/* ---- the conversation ---- */

static void put_parameter(struct buf *out, const char *name, const char *value)
{
    size_t at = begin(out, 'S');
    put_cstr(out, name);
    put_cstr(out, value);
    end(out, at);
}

static void admit(struct walsender *server)
{
    struct buf *out = &server->out;
    if (server->replication_only && walsender_parameter(server, "replication")[0] == '\0') {
        put_fields(out, 'E', "FATAL", "53300", "too many connections");
        server->hang_up = true;
        return;
    }
    server->logins++;
    if (server->refuse_state[0] != '\0') {
        put_fields(out, 'E', "FATAL", server->refuse_state, server->refuse_message);
        server->hang_up = true;
        return;
    }
    server->admitted = true;
    server->copy_done = false;
    if (server->login_scripted) {
        buf_put_bytes(out, buf_bytes(&server->login));
        server->hang_up = server->login_last;
        return;
    }
    size_t at = begin(out, 'R');
    buf_put_u32(out, 0);
    end(out, at);
    put_parameter(out, "server_version", "15.20");
    put_parameter(out, "client_encoding", "UTF8");
    put_parameter(out, "DateStyle", "ISO, YMD");
    put_parameter(out, "TimeZone", "UTC");
    put_parameter(out, "standard_conforming_strings", "on");
    at = begin(out, 'K');
    buf_put_u32(out, 4711);
    buf_put_u32(out, 1);
    end(out, at);
    reply_ready(out);
}

static void answer(struct walsender *server, const char *sql)
{
    ASSERT(server->query_count < QUERIES_MAX);
    server->queries[server->query_count++] = strdup(sql);
    for (size_t i = server->rule_count; i > 0; i--) {
        const struct rule *rule = &server->rules[i - 1];
        if (strstr(sql, rule->text) != NULL) {
            buf_put_bytes(&server->out, buf_bytes(&rule->reply));
            return;
        }
    }
    reply_error(&server->out, "42601", "the script has no answer");
    reply_ready(&server->out);
}

static void take_copy(struct walsender *server, struct bytes frame)
{
    struct reader reader;
    reader_init(&reader, frame);
    ASSERT(reader_u8(&reader) == 'r');
    struct walsender_status *status = &server->status;
    status->count++;
    status->write = lsn_make(reader_u64(&reader));
    status->flush = lsn_make(reader_u64(&reader));
    status->apply = lsn_make(reader_u64(&reader));
    (void)reader_u64(&reader);
    status->reply = reader_u8(&reader) != 0;
    ASSERT(reader_done(&reader));
}

/* AuthenticationSASLContinue or AuthenticationSASLFinal, without any arithmetic. */
static void answer_scram(struct walsender *server, struct bytes body)
{
    char text[1024], nonce[128] = "";
    snprintf(text, sizeof text, "%s", server->scram[0]);
    const uint8_t *at = memmem(body.ptr, body.len, ",,n=", 4);
    const uint8_t *from =
        at == NULL ? NULL : memmem(at, body.len - (size_t)(at - body.ptr), "r=", 2);
    char *place = strstr(text, "%s");
    if (from != NULL && place != NULL) {
        size_t len = body.len - (size_t)(from + 2 - body.ptr);
        char rest[sizeof text];
        snprintf(nonce, sizeof nonce, "%.*s", (int)len, (const char *)from + 2);
        snprintf(rest, sizeof rest, "%s", place + 2);
        snprintf(place, sizeof text - (size_t)(place - text), "%s%s", nonce, rest);
    }
    size_t message = begin(&server->out, 'R');
    buf_put_u32(&server->out, server->scram[1] != NULL ? 11 : 12);
    buf_put_str(&server->out, text);
    end(&server->out, message);
    server->scram[0] = server->scram[1];
    server->scram[1] = NULL;
}

static void accept_message(struct walsender *server, char kind, struct bytes body)
{
    switch (kind) {
    case 'Q':
        answer(server, (const char *)body.ptr);
        return;
    case 'd':
        take_copy(server, body);
        return;
    case 'c':
        server->copy_done = true;
        return;
    case 'X':
        server->hang_up = true;
        return;
    case 'p':
        if (server->scram[0] != NULL) {
            answer_scram(server, body);
        }
        return;
    default:
        UNREACHABLE();
    }
}

/* Bytes used by the first whole message in the buffer; 0 when there is none. */
static size_t take_message(struct walsender *server)
{
    struct reader reader;
    size_t head = server->admitted ? 5 : 4;
    if (server->in.len < head) {
        return 0;
    }
    reader_init(&reader, buf_bytes(&server->in));
    char kind = server->admitted ? (char)reader_u8(&reader) : '\0';
    size_t len = reader_u32(&reader) - 4;
    if (reader_left(&reader) < len) {
        return 0;
    }
    struct bytes body = reader_take(&reader, len);
    if (server->admitted) {
        accept_message(server, kind, body);
    } else {
        buf_reset(&server->startup);
        buf_put(&server->startup, body.ptr + 4, body.len - 4);
        admit(server);
    }
    return head + len;
}

static void read_client(struct walsender *server)
{
    uint8_t chunk[4096];
    ssize_t got = recv(server->client_fd, chunk, sizeof chunk, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        close_client(server);
        return;
    }
    if (got > 0) {
        server->stirred = true;
        buf_put(&server->in, chunk, (size_t)got);
    }
    for (size_t used = take_message(server); used > 0; used = take_message(server)) {
        memmove(server->in.ptr, server->in.ptr + used, server->in.len - used);
        server->in.len -= used;
    }
}

static void write_client(struct walsender *server)
{
    size_t len = server->trickle && server->out.len > 1 ? 1 : server->out.len;
    if (server->bytes + len >= server->cut_at) {
        len = server->cut_at - server->bytes;
        server->out.len = len;
        server->cut_at = SIZE_MAX;
        server->hang_up = true;
    }
    if (len > 0) {
        ssize_t put = send(server->client_fd, server->out.ptr, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (put > 0) {
            server->stirred = true;
            server->bytes += (size_t)put;
            memmove(server->out.ptr, server->out.ptr + put, server->out.len - (size_t)put);
            server->out.len -= (size_t)put;
        }
    }
    if (server->out.len == 0 && server->hang_up) {
        close_client(server);
    }
}

void walsender_pump(struct walsender *server)
{
    server->stirred = false;
    if (server->client_fd < 0) {
        server->client_fd = accept4(server->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        server->connections += server->client_fd >= 0;
        server->stirred = server->client_fd >= 0;
        server->bytes = server->client_fd >= 0 ? 0 : server->bytes;
    }
    struct pollfd unread = {.fd = server->client_fd, .events = POLLIN};
    if (server->client_fd >= 0 && !server->deaf) {
        read_client(server);
    }
    if (server->client_fd >= 0) {
        write_client(server);
    }
    if (server->deaf && server->out.len == 0 && poll(&unread, 1, 0) > 0) {
        close_client(server);
    }
}

/* ---- what the client did ---- */

unsigned walsender_connections(const struct walsender *server)
{
    return server->connections;
}

unsigned walsender_logins(const struct walsender *server)
{
    return server->logins;
}

size_t walsender_bytes(const struct walsender *server)
{
    return server->bytes;
}

void walsender_answer(const struct walsender *server, const char *text, struct buf *out)
{
    for (size_t i = 0; i < server->rule_count; i++) {
        if (strcmp(server->rules[i].text, text) == 0) {
            buf_put_bytes(out, buf_bytes(&server->rules[i].reply));
        }
    }
}

unsigned walsender_queries(const struct walsender *server, const char *text)
{
    unsigned count = 0;
    for (size_t i = 0; i < server->query_count; i++) {
        count += strstr(server->queries[i], text) != NULL;
    }
    return count;
}

const char *walsender_query(const struct walsender *server, const char *text)
{
    for (size_t i = server->query_count; i > 0; i--) {
        if (strstr(server->queries[i - 1], text) != NULL) {
            return server->queries[i - 1];
        }
    }
    return "";
}

const char *walsender_parameter(const struct walsender *server, const char *name)
{
    struct reader reader;
    reader_init(&reader, buf_bytes(&server->startup));
    while (reader_left(&reader) > 1) {
        struct bytes key = reader_cstr(&reader);
        struct bytes value = reader_cstr(&reader);
        if (bytes_is(key, name)) {
            return (const char *)value.ptr;
        }
    }
    return "";
}

bool walsender_copy_done(const struct walsender *server)
{
    return server->copy_done;
}

struct walsender_status walsender_status(const struct walsender *server)
{
    return server->status;
}
