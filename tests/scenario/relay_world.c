/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_world.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/test.h"
#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/config/config.h"
#include "walferry/relay/relay.h"
#include "world_clock.h"

#define TRANSACTIONS_MAX 256
#define LSN_STEP         0x100
#define COMMIT_SIZE      0x30
#define OUTPUT_MAX       (4u << 20)

struct walsender *world_server;
char world_directory[96];
char world_output[128];

static struct {
    const char *transactions[TRANSACTIONS_MAX];
    unsigned transaction_count;
    char *yaml;
    const char *capture;
    char *sink;
    const char *set;
    pid_t child;
    int status;
    unsigned starts_before; /* of the present relay */
    unsigned starts;        /* START_REPLICATIONs that were served */
    unsigned cut_after;
    bool cutting;
    struct lsn slot;
    unsigned pause_after;
    struct buf held; /* what the silence holds back */
    bool holding;
    bool refuse_start;
    struct buf fault;
    enum fault_end fault_end;
    unsigned faults;     /* sessions that will have it */
    unsigned beginnings; /* sessions that will not stream */
    bool ignore_end;
    bool end_answered;
    unsigned sent; /* in the newest session */
    bool relation_known;
    bool (*busy)(void);
} world;

/* ---- messages of the output plugin ---- */

struct lsn world_commit_lsn(unsigned transaction)
{
    return lsn_make(WORLD_LSN_START + (uint64_t)(transaction + 1) * LSN_STEP);
}

struct lsn world_end_lsn(unsigned transaction)
{
    return lsn_make(world_commit_lsn(transaction).value + COMMIT_SIZE);
}

static void put_text(struct buf *out, const char *text)
{
    buf_put(out, text, strlen(text) + 1);
}

static void put_begin(struct buf *out, unsigned transaction)
{
    buf_put_u8(out, 'B');
    buf_put_u64(out, world_commit_lsn(transaction).value);
    buf_put_u64(out, 1000 + transaction);
    buf_put_u32(out, 700 + transaction);
}

static void put_commit(struct buf *out, unsigned transaction)
{
    buf_put_u8(out, 'C');
    buf_put_u8(out, 0);
    buf_put_u64(out, world_commit_lsn(transaction).value);
    buf_put_u64(out, world_end_lsn(transaction).value);
    buf_put_u64(out, 1000 + transaction);
}

static void put_relation(struct buf *out)
{
    static const struct {
        const char *name;
        uint32_t type;
    } COLUMNS[] = {{"id", 2950}, {"event_type", 25}, {"payload", 114}};
    buf_put_u8(out, 'R');
    buf_put_u32(out, 16400);
    put_text(out, "outbox");
    put_text(out, "event");
    buf_put_u8(out, 'd');
    buf_put_u16(out, ARRAY_LEN(COLUMNS));
    for (size_t i = 0; i < ARRAY_LEN(COLUMNS); i++) {
        buf_put_u8(out, i == 0);
        put_text(out, COLUMNS[i].name);
        buf_put_u32(out, COLUMNS[i].type);
        buf_put_u32(out, UINT32_MAX);
    }
}

static void put_value(struct buf *out, const char *text)
{
    if (text == NULL) {
        buf_put_u8(out, 'n');
        return;
    }
    buf_put_u8(out, 't');
    buf_put_u32(out, (uint32_t)strlen(text));
    buf_put_str(out, text);
}

static void put_row(struct buf *out, char kind, unsigned number)
{
    char id[40], payload[32];
    snprintf(id, sizeof id, "00000000-0000-4000-8000-%012u", number);
    snprintf(payload, sizeof payload, "{\"n\":%u}", number);
    buf_put_u8(out, kind == 'u' ? 'U' : 'I');
    buf_put_u32(out, 16400);
    buf_put_u8(out, 'N');
    buf_put_u16(out, 3);
    put_value(out, kind == 'p' ? NULL : id);
    put_value(out, kind == 'd' ? "debug.trace" : kind == 'o' ? "other.event" : "order.placed");
    put_value(out, payload);
}

static void put_heartbeat(struct buf *out, unsigned transaction)
{
    buf_put_u8(out, 'M');
    buf_put_u8(out, 1);
    buf_put_u64(out, world_commit_lsn(transaction).value - 8);
    put_text(out, "walferry.heartbeat");
    buf_put_u32(out, 4);
    buf_put_str(out, "beat");
}

/* ---- the server's side ---- */

static void put_event_message(struct buf *out, unsigned transaction, unsigned number)
{
    char content[160];
    snprintf(content, sizeof content,
             "{\"id\":\"00000000-0000-4000-8000-%012u\",\"event_type\":\"order.placed\","
             "\"payload\":{\"n\":%u}}",
             number, number);
    buf_put_u8(out, 'M');
    buf_put_u8(out, 1);
    buf_put_u64(out, world_commit_lsn(transaction).value - 8);
    put_text(out, "outbox");
    buf_put_u32(out, (uint32_t)strlen(content));
    buf_put_str(out, content);
}

static bool is_event(char kind)
{
    return kind == 'e' || kind == 'm' || kind == 'p' || kind == 'd' || kind == 'o';
}

static unsigned events_of(unsigned transaction)
{
    unsigned count = 0;
    for (const char *row = world.transactions[transaction]; *row != '\0'; row++)
        count += is_event(*row);
    return count;
}

static void send_or_hold(const struct buf *framed)
{
    if (world.holding)
        buf_put_bytes(&world.held, buf_bytes(framed));
    else
        walsender_send(world_server, framed);
}

/* Queue one message unless the session is to be cut before it. */
static void give(const struct buf *message, struct lsn lsn)
{
    struct buf framed;
    if (world.cutting)
        return;
    if (world.cut_after > 0 && world.sent == world.cut_after) {
        world.cutting = true;
        walsender_hang_up(world_server);
        return;
    }
    if (world.pause_after > 0 && world.sent == world.pause_after)
        world.holding = true;
    buf_init(&framed, 65536);
    reply_data(&framed, buf_bytes(message), lsn);
    send_or_hold(&framed);
    buf_deinit(&framed);
    world.sent++;
}

static void give_keepalive(struct lsn lsn, bool reply)
{
    struct buf frame;
    if (world.cutting)
        return;
    buf_init(&frame, 256);
    reply_keepalive(&frame, lsn, reply);
    send_or_hold(&frame);
    buf_deinit(&frame);
}

static void give_transaction(unsigned transaction, unsigned number)
{
    struct buf message;
    buf_init(&message, 65536);
    put_begin(&message, transaction);
    give(&message, world_commit_lsn(transaction));
    for (const char *row = world.transactions[transaction]; *row != '\0'; row++) {
        struct lsn at = lsn_make(world_commit_lsn(transaction).value - 16);
        number += is_event(*row);
        buf_reset(&message);
        if (*row == 'k' || *row == 'K') {
            give_keepalive(at, *row == 'K');
            continue;
        }
        if (*row == 'h') {
            put_heartbeat(&message, transaction);
        } else if (*row == 'm') {
            put_event_message(&message, transaction, number);
        } else if (*row == 'x') {
            buf_put_str(&message, "\x01garbage");
        } else {
            if (!world.relation_known) {
                put_relation(&message);
                give(&message, LSN_NONE);
                buf_reset(&message);
                world.relation_known = true;
            }
            put_row(&message, *row, number);
        }
        give(&message, at);
    }
    buf_reset(&message);
    put_commit(&message, transaction);
    give(&message, world_end_lsn(transaction));
    buf_deinit(&message);
}

struct lsn world_asked(void)
{
    const char *query = walsender_query(world_server, "START_REPLICATION");
    const char *at = strstr(query, "LOGICAL ");
    struct lsn lsn = LSN_NONE;
    if (at != NULL) {
        size_t len = strcspn(at + 8, " ");
        ck_assert(lsn_parse(bytes_make(at + 8, len), &lsn));
    }
    return lsn;
}

static void be_faulty(void)
{
    if (world.fault_end == FAULT_CLOSES)
        walsender_hang_up(world_server);
    else if (world.fault_end == FAULT_RESETS)
        walsender_reset(world_server);
}

static void end_in_fault(void)
{
    walsender_send(world_server, &world.fault);
    world.faults--;
    world.cutting = world.fault_end != FAULT_GOES_ON;
    be_faulty();
}

static void answer_start(struct bytes wire)
{
    struct buf reply;
    buf_init(&reply, 4096);
    buf_put_bytes(&reply, wire);
    walsender_on(world_server, "START_REPLICATION", &reply);
    buf_deinit(&reply);
}

static void refuse_stream(void)
{
    static const uint8_t COPY_BOTH[] = {'W', 0, 0, 0, 7, 0, 0, 0};
    be_faulty();
    if (--world.beginnings == 0)
        answer_start(bytes_make(COPY_BOTH, sizeof COPY_BOTH));
}

static void serve(void)
{
    unsigned number = 0;
    struct lsn start = lsn_max(world_asked(), world.slot);
    world.sent = 0;
    world.relation_known = false;
    world.cutting = false;
    world.holding = false;
    buf_reset(&world.held);
    for (unsigned i = 0; i < world.transaction_count; i++) {
        if (lsn_cmp(world_commit_lsn(i), start) >= 0)
            give_transaction(i, number);
        if (i == 0 && world.faults > 0)
            end_in_fault();
        number += events_of(i);
    }
}

void world_transaction(const char *rows)
{
    ASSERT(world.transaction_count < TRANSACTIONS_MAX);
    world.transactions[world.transaction_count++] = rows;
}

void world_commit(const char *rows)
{
    unsigned number = 0;
    for (unsigned i = 0; i < world.transaction_count; i++)
        number += events_of(i);
    world_transaction(rows);
    give_transaction(world.transaction_count - 1, number);
}

void world_replace(unsigned transaction, const char *rows)
{
    ASSERT(transaction < world.transaction_count);
    world.transactions[transaction] = rows;
}

void world_pause_after(unsigned messages)
{
    world.pause_after = messages;
}

bool world_paused(void)
{
    return world.holding && walsender_sent(world_server);
}

void world_resume(void)
{
    if (world.holding)
        walsender_send(world_server, &world.held);
    world.holding = false;
    buf_reset(&world.held);
}

void world_fault(struct bytes wire, enum fault_end end, unsigned sessions)
{
    buf_reset(&world.fault);
    buf_put_bytes(&world.fault, wire);
    world.fault_end = end;
    world.faults = sessions;
}

void world_beginning(struct bytes wire, enum fault_end end, unsigned sessions)
{
    answer_start(wire);
    world.fault_end = end;
    world.beginnings = sessions;
}

void world_keepalive(struct lsn lsn, bool reply)
{
    give_keepalive(lsn, reply);
}

void world_cut(void)
{
    world.cutting = true;
    walsender_hang_up(world_server);
}

static void on_row(const char *text, size_t columns, const char *const *values)
{
    struct buf reply;
    buf_init(&reply, 4096);
    reply_row(&reply, columns, values);
    walsender_on(world_server, text, &reply);
    buf_deinit(&reply);
}

void world_slot(struct lsn confirmed)
{
    struct lsn_text text = lsn_format(confirmed);
    const char *const slot[] = {
        "walferry_orders", "f",     NULL,       "t",  "f", "f", "pgoutput", "shop",
        text.text,         "0/800", "reserved", NULL, NULL};
    on_row("pg_replication_slots", ARRAY_LEN(slot), slot);
    world.slot = confirmed;
}

void world_promote(struct lsn fork)
{
    static const char *const SYSTEM[] = {"7000000000000000001", "2", "0/100000", "shop"};
    char line[80];
    snprintf(line, sizeof line, "1\t%s\tno recovery target specified\n", lsn_format(fork).text);
    const char *const history[] = {"00000002.history", line};
    on_row("IDENTIFY_SYSTEM", ARRAY_LEN(SYSTEM), SYSTEM);
    on_row("TIMELINE_HISTORY", ARRAY_LEN(history), history);
}

void world_refuse_start(bool refuse)
{
    struct buf reply;
    world.refuse_start = refuse;
    buf_init(&reply, 4096);
    if (refuse) {
        reply_error(&reply, "55006", "replication slot is active for PID 4712");
        reply_ready(&reply);
    } else {
        reply_copy_both(&reply);
    }
    walsender_on(world_server, "START_REPLICATION", &reply);
    buf_deinit(&reply);
}

void world_answer_end(bool answer)
{
    world.ignore_end = !answer;
}

void world_cut_after(unsigned messages)
{
    world.cut_after = messages;
}

unsigned world_messages(void)
{
    unsigned count = 0;
    bool relation = false;
    for (unsigned i = 0; i < world.transaction_count; i++) {
        count += 2;
        for (const char *row = world.transactions[i]; *row != '\0'; row++) {
            count += *row != 'k' && *row != 'K';
            relation = relation || (is_event(*row) && *row != 'm') || *row == 'u';
        }
    }
    return count + relation;
}

unsigned world_sent(void)
{
    return world.sent;
}

unsigned world_sessions(void)
{
    return world.starts - world.starts_before;
}

struct lsn world_end(void)
{
    return world.transaction_count == 0 ? LSN_NONE : world_end_lsn(world.transaction_count - 1);
}

/* ---- life ---- */

void world_start(const char *more)
{
    static const char *const SYSTEM[] = {"7000000000000000001", "1", "0/100000", "shop"};
    memset(&world, 0, sizeof world);
    world.capture = "[{outbox: outbox.event}]";
    world_clock_start();
    world_server = walsender_new();
    walsender_replication_only(world_server);
    buf_init(&world.held, 1u << 20);
    buf_init(&world.fault, 1u << 20);
    on_row("IDENTIFY_SYSTEM", ARRAY_LEN(SYSTEM), SYSTEM);
    /* The test's scratch directory, as TEST_MAIN_SCRATCH left it. */
    snprintf(world_directory, sizeof world_directory, "%s/relay-XXXXXX", getenv("TMPDIR"));
    ck_assert_ptr_nonnull(mkdtemp(world_directory));
    snprintf(world_output, sizeof world_output, "%s/out.jsonl", world_directory);
    int len = asprintf(&world.yaml,
                       "version: 1\nname: orders\n"
                       "source: {conninfo: \"%s\", status_interval: 1s}\n"
                       "route:\n  topic: events\n  rules:\n"
                       "    - {when: {event_type: \"debug.*\"}, drop: true}\n"
                       "    - {when: {event_type: \"other.*\"}, topic: other}\n"
                       "envelope: {format: raw}\n"
                       "http: {listen: \"off\"}\n"
                       "log: {level: info, format: text}\n%s",
                       walsender_conninfo(world_server), more);
    ck_assert_int_gt(len, 0);
    len = asprintf(&world.sink, "{file: {path: \"%s\"}}", world_output);
    ck_assert_int_gt(len, 0);
}

void world_free(void)
{
    if (world.child > 0 && !world_ended()) {
        kill(world.child, SIGKILL);
        (void)waitpid(world.child, NULL, 0);
    }
    free(world.yaml);
    free(world.sink);
    buf_deinit(&world.held);
    buf_deinit(&world.fault);
    walsender_free(world_server);
    world_clock_stop();
}

void world_capture(const char *entries)
{
    world.capture = entries;
}

void world_sink(const char *yaml)
{
    free(world.sink);
    world.sink = strdup(yaml);
}

void world_set(const char *assignment)
{
    world.set = assignment;
}

static char *whole_yaml(void)
{
    char *yaml = NULL;
    int len = asprintf(&yaml, "%ssink: %s\ncapture: %s\n", world.yaml, world.sink, world.capture);
    ASSERT(len > 0);
    return yaml;
}

void world_write_config(const char *path)
{
    char *yaml = whole_yaml();
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(yaml, file), 0);
    ck_assert_int_eq(fclose(file), 0);
    free(yaml);
}

static void be_relay(void)
{
    char *yaml = whole_yaml();
    struct config *config;
    struct config_problems problems;
    char log[160];
    char directory[160];
    snprintf(log, sizeof log, "%s/log", world_directory);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    (void)dup2(fd, STDERR_FILENO);
    (void)dup2(fd, STDOUT_FILENO);
    snprintf(directory, sizeof directory, "checkpoint.directory=%s/state", world_directory);
    const char *sets[] = {directory, world.set};
    size_t set_count = world.set == NULL ? 1 : 2;
    /* Check's own handlers are not for this process. */
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGALRM, SIG_DFL);
    if (!config_load_text("test.yaml", bytes_str(yaml), sets, set_count, &config, &problems)) {
        fprintf(stderr, "%s\n", problems.items[0].message);
        _exit(199);
    }
    log_setup(config->log_format, config->log_level, config->name);
    _exit(relay_run(config, NULL));
}

void world_relay(void)
{
    world_relay_as(be_relay);
}

void world_relay_as(void (*child)(void))
{
    fflush(NULL);
    world.status = -1;
    world.starts_before = world.starts;
    world.child = fork();
    ck_assert_int_ge(world.child, 0);
    if (world.child == 0) {
        world_clock_enter(world.busy);
        child();
    }
}

bool world_ended(void)
{
    int status;
    if (world.status >= 0)
        return true;
    if (waitpid(world.child, &status, WNOHANG) != world.child)
        return false;
    world.status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    return true;
}

/* Gives the other process the processor; nothing depends on how long. */
static void yield_turn(long ns)
{
    const struct timespec pause = {.tv_nsec = ns};
    if (walsender_sent(world_server))
        (void)ppoll(NULL, 0, &pause, NULL);
}

static void answer_end(void)
{
    static const uint8_t COPY_DONE[] = {'c', 0, 0, 0, 4};
    struct buf reply;
    buf_init(&reply, 256);
    buf_put(&reply, COPY_DONE, sizeof COPY_DONE);
    reply_complete(&reply, "COPY 0");
    reply_ready(&reply);
    walsender_send(world_server, &reply);
    buf_deinit(&reply);
    world.end_answered = true;
}

void world_busy(bool (*busy)(void))
{
    world.busy = busy;
}

static void serve_all(void)
{
    walsender_pump(world_server);
    unsigned starts = walsender_queries(world_server, "START_REPLICATION");
    if (starts > world.starts && world.refuse_start) {
        world.starts = starts;
        world.starts_before++;
    } else if (starts > world.starts) {
        world.starts = starts;
        if (world.beginnings > 0)
            refuse_stream();
        else
            serve();
        walsender_pump(world_server);
    }
    if (!walsender_copy_done(world_server))
        world.end_answered = false;
    else if (!world.end_answered && !world.ignore_end)
        answer_end();
}

void world_step(void)
{
    serve_all();
    yield_turn(1000000);
}

/* A relay that waited before the step, while nothing came of it, waits for time alone. */
void world_pump(void)
{
    unsigned wait = world_clock_waiting();
    serve_all();
    if (wait != 0 && walsender_idle(world_server))
        world_clock_grant(wait);
    yield_turn(300000);
}

#define PASS_MS 20u

void world_pass(unsigned ms)
{
    for (unsigned passed = 0; passed < ms && !world_ended(); passed += PASS_MS) {
        world_clock_pass(PASS_MS * NS_PER_MS);
        while (!world_clock_passed() && !world_ended())
            world_step();
    }
}

void world_pass_asleep(unsigned ms)
{
    world_clock_pass(ms * NS_PER_MS);
}

int world_wait(void)
{
    while (!world_ended())
        world_pump();
    return world.status;
}

void world_signal(int signal)
{
    ck_assert_int_eq(kill(world.child, signal), 0);
}

unsigned world_said(const char *text)
{
    char path[160], line[1024];
    unsigned count = 0;
    snprintf(path, sizeof path, "%s/log", world_directory);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        count += strstr(line, text) != NULL;
    if (file != NULL)
        (void)fclose(file);
    return count;
}

size_t world_read(unsigned *numbers, size_t max)
{
    static const char MARK[] = "{\\\"n\\\":";
    FILE *file = fopen(world_output, "r");
    char *line = NULL;
    size_t size = 0, count = 0;
    ssize_t len = file == NULL ? -1 : getline(&line, &size, file);
    for (; len > 0 && line[len - 1] == '\n'; len = getline(&line, &size, file)) {
        const char *at = strstr(line, MARK);
        ck_assert_msg(at != NULL, "no number in %s", line);
        ck_assert_uint_lt(count, max);
        numbers[count++] = (unsigned)strtoul(at + strlen(MARK), NULL, 10);
    }
    free(line);
    if (file != NULL)
        (void)fclose(file);
    return count;
}
