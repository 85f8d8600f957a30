/* SPDX-License-Identifier: Apache-2.0 */
/* test_e2e_faults MODE [SHARD/SHARDS [GLOB]]: every failpoint with every action in one
 * mode of the relay (fault_table.h), each on a pipeline of its own with rows written meanwhile.
 * Whatever breaks, afterwards all must be in Kafka, as the judge says.
 *
 * A case whose fault did not fire is a failure. */
#include <arpa/inet.h>
#include <fnmatch.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fault_table.h"
#include "harness.h"
#include "judge.h"
#include "kafka_client.h"
#include "load.h"

#define CANARY     "correct-horse-battery"
#define SOME_ROWS  60
#define WATCHDOG_S "2"
#define REFUSALS   5
#define TOPIC_MAX  20000 /* bytes that the topic takes of a bulky row */

#define CONFIG                                                                                     \
    "version: 1\n"                                                                                 \
    "name: @NAME@\n"                                                                               \
    "source: {conninfo: \"@CONNINFO@ password=" CANARY "-1 options='-c wal_sender_timeout=6s'\","  \
    " status_interval: 500ms}\n"                                                                   \
    "capture: [{outbox: outbox.event}]\n"                                                          \
    "route: {topic: \"@NAME@.${aggregate_type}\"}\n"                                               \
    "sink: {kafka: {bootstrap.servers: \"@KAFKA@\", ssl.key.password: " CANARY "-2}}\n"            \
    "http: {listen: \"@HTTP@\"}\n"                                                                 \
    "log: {format: json, level: debug}\n"

struct test_case {
    const struct fault *fault;
    enum mode mode;
    enum action action;
};

static struct test_case *cases;
static int case_count;

struct scene {
    const struct test_case *test;
    const struct expected *expected;
    struct world *world;
    struct relay *relay;
    struct judge *judge;
    struct consumer *consumer;
    struct consumer *positions; /* of the checkpoint topic; NULL without one */
    uint64_t start;             /* durable position when the fault was armed */
    pid_t writer;
    bool done;        /* the stimulus, where one is enough */
    uint64_t next_ms; /* of the stimulus */
};

/* ---- the pipeline -------------------------------------------------------------------------- */

static const char *config_of(enum mode mode)
{
    switch (mode) {
    case MODE_FILE:
        return CONFIG "checkpoint: {directory: \"@DIR@/state\", interval: 200ms}\n";
    case MODE_SLOT:
        return CONFIG "checkpoint: {store: slot, interval: 200ms}\n";
    case MODE_KAFKA:
        return CONFIG "checkpoint: {store: kafka, topic: @NAME@.checkpoints, interval: 200ms}\n";
    case MODE_ONCE:
        return CONFIG "delivery: {guarantee: exactly_once, commit_interval: 50ms}\n"
                      "checkpoint: {topic: @NAME@.checkpoints}\n";
    case MODE_LINES:
    case MODE_PIPE:
        break;
    }
    return NULL;
}

/* One small transaction: most are committed, some are rolled back, whole or in part. */
static void write_transaction(PGconn *db)
{
    static const int sizes[] = {1, 1, 2, 3, 5, 12, 30};
    const char *insert =
        text("INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, payload) SELECT "
             "'order', 'k' || (random() * 30)::int, 'order.changed', json_build_object('n', "
             "gen_random_uuid(), 'text', repeat('x', i)) FROM generate_series(1, %d) AS i",
             sizes[random() % (long)(sizeof sizes / sizeof sizes[0])]);
    switch (random() % 8) {
    case 0:
        PQclear(PQexec(db, text("BEGIN; %s; ROLLBACK", insert)));
        return;
    case 1:
        PQclear(PQexec(db, text("BEGIN; %s; SAVEPOINT s; %s; ROLLBACK TO s; %s; COMMIT", insert,
                                insert, insert)));
        return;
    default:
        PQclear(PQexec(db, insert));
    }
}

static pid_t start_writer(const struct world *world)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    REQUIRE(pid >= 0, "fork failed");
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGTERM, SIG_DFL);
    srandom(1);
    PGconn *db = PQconnectdb(world->conninfo);
    while (getppid() == parent) {
        write_transaction(db);
        pause_ms(25);
    }
    _exit(0);
}

static void stop_writer(struct scene *scene)
{
    int status;
    kill(scene->writer, SIGTERM);
    REQUIRE(process_wait(scene->writer, DEADLINE_MS, &status), "the writer does not end");
}

static int64_t rows_written(const struct scene *scene)
{
    return sql_number(scene->world, "SELECT count(*) FROM outbox.event");
}

static struct scene *scene_new(const struct test_case *test)
{
    struct scene *scene = calloc(1, sizeof *scene);
    REQUIRE(scene != NULL, "out of memory");
    scene->test = test;
    scene->expected = &test->fault->expected[test->action];
    scene->world = world_new("fault");
    scene->relay = relay_new(scene->world, config_of(test->mode));
    return scene;
}

/* ---- positions ----------------------------------------------------------------------------- */

struct slot_state {
    bool active;
    uint64_t confirmed;
};

static struct slot_state read_slot(const struct scene *scene)
{
    PGresult *row = sql_rows(scene->world,
                             "SELECT active, confirmed_flush_lsn FROM pg_replication_slots WHERE "
                             "slot_name = '%s'",
                             scene->world->slot);
    REQUIRE(PQntuples(row) == 1, "there is no slot");
    struct slot_state state = {PQgetvalue(row, 0, 0)[0] == 't', parse_lsn(PQgetvalue(row, 0, 1))};
    PQclear(row);
    return state;
}

static bool in_topic(enum mode mode)
{
    return mode == MODE_KAFKA || mode == MODE_ONCE;
}

/* The newest position in the checkpoint topic. */
static uint64_t read_topic(struct scene *scene)
{
    struct records records = consumer_drain(scene->positions);
    if (records.count == 0)
        return 0;
    const char *at = strstr(records.items[records.count - 1].value, "\nlsn=");
    REQUIRE(at != NULL, "no position in: %s", records.items[records.count - 1].value);
    return parse_lsn(at + strlen("\nlsn="));
}

/* What is durable, when nobody works on it. */
static uint64_t read_durable(struct scene *scene)
{
    if (in_topic(scene->test->mode))
        return read_topic(scene);
    return scene->test->mode == MODE_FILE ? read_checkpoint(scene->relay).lsn
                                          : read_slot(scene).confirmed;
}

static void sample(struct scene *scene)
{
    struct slot_state slot = read_slot(scene);
    judge_positions(scene->judge, slot.confirmed,
                    scene->test->mode == MODE_FILE ? read_checkpoint(scene->relay).lsn : 0);
}

/* wait_until() with an eye on the positions. */
#define watch_until(scene, condition, ...)                                                         \
    do {                                                                                           \
        uint64_t watch_end_ = now_ms() + DEADLINE_MS;                                              \
        while (!(condition)) {                                                                     \
            REQUIRE(now_ms() < watch_end_, __VA_ARGS__);                                           \
            sample(scene);                                                                         \
            pause_ms(20);                                                                          \
        }                                                                                          \
    } while (0)

/* ---- the fault ----------------------------------------------------------------------------- */

static char *fault_entry(const struct test_case *test)
{
    return text("%s=%s%s", test->fault->name, action_names[test->action], test->fault->passage);
}

static void arm(const struct test_case *test)
{
    const struct fault *fault = test->fault;
    setenv("WALFERRY_FAILPOINTS",
           text("%s%s%s", fault->with == NULL ? "" : fault->with, fault->with == NULL ? "" : ",",
                fault_entry(test)),
           1);
    /* Else a case that hangs by mistake would look like one that is slow. */
    setenv("WALFERRY_WATCHDOG_S",
           test->action == ACTION_HANG || fault->with != NULL ? WATCHDOG_S : "0", 1);
}

static void disarm(void)
{
    unsetenv("WALFERRY_FAILPOINTS");
    unsetenv("WALFERRY_WATCHDOG_S");
}

static bool holds(const char *path, const char *words)
{
    static char line[65536];
    bool found = false;
    FILE *file = fopen(path, "re");
    while (!found && file != NULL && fgets(line, sizeof line, file) != NULL)
        found = strstr(line, words) != NULL;
    if (file != NULL)
        fclose(file);
    return found;
}

static bool fired(const struct scene *scene, const char *log)
{
    char line[128];
    snprintf(line, sizeof line, "failpoint %s %s\n", scene->test->fault->name,
             action_names[scene->test->action]);
    return holds(log, line);
}

static bool log_holds(const struct relay *relay, const char *words)
{
    return holds(relay->err, words);
}

/* Asks for /status, and does not wait for the answer. */
static void visit(const struct scene *scene)
{
    static const char request[] = "GET /status HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n";
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)scene->relay->http_port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0)
        close(fd);
}

/* True once, when the stream flows. */
static bool some_rows(struct scene *scene)
{
    bool now = !scene->done && log_holds(scene->relay, "\"streaming\"") &&
               rows_written(scene) >= SOME_ROWS && relay_running(scene->relay);
    scene->done |= now;
    return now;
}

static void signal_once(struct scene *scene, int signal)
{
    if (some_rows(scene))
        kill(scene->relay->pid, signal);
}

/* As another instance would. */
static void take_over(struct scene *scene)
{
    const char *const settings[] = {
        "transactional.id",
        text("walferry-%s-%s-%s", scene->world->name,
             sql_value(scene->world, "SELECT system_identifier FROM pg_control_system()"),
             scene->world->slot),
        NULL};
    rd_kafka_t *rival = kafka_client_new(RD_KAFKA_PRODUCER, scene->world->kafka->address, settings);
    rd_kafka_error_t *error = rd_kafka_init_transactions(rival, DEADLINE_MS);
    REQUIRE(error == NULL, "%s", rd_kafka_error_string(error));
    rd_kafka_destroy(rival);
}

static void write_bulky(struct scene *scene)
{
    sql(scene->world,
        "INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, payload) VALUES "
        "('order', 'k1', 'order.changed', json_build_object('fill', repeat('x', %d)))",
        2 * TOPIC_MAX);
}

/* The server asks after half of wal_sender_timeout, and lets go after the whole of it. */
static void fall_silent(struct scene *scene)
{
    if (!log_holds(scene->relay, "\"streaming\"") || !relay_running(scene->relay))
        return;
    kill(scene->relay->pid, SIGSTOP);
    pause_ms(3500);
    kill(scene->relay->pid, SIGCONT);
}

static void stimulate(struct scene *scene)
{
    if (now_ms() < scene->next_ms)
        return;
    scene->next_ms = now_ms() + 200;
    switch (scene->test->fault->stimulus) {
    case NOTHING:
    case AGAIN:
    case INIT:
        return;
    case STOP:
        signal_once(scene, SIGTERM);
        return;
    case RELOAD:
        signal_once(scene, SIGHUP);
        return;
    case VISIT:
        visit(scene);
        return;
    case SEPARATE:
        sql(scene->world,
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = "
            "'%s' AND active",
            scene->world->slot);
        return;
    case SILENCE:
        fall_silent(scene);
        return;
    case RIVAL:
        if (some_rows(scene))
            take_over(scene);
        return;
    case BULKY:
        if (some_rows(scene))
            write_bulky(scene);
        return;
    }
}

static void expect_ends(struct scene *scene, int expected)
{
    int status = relay_wait(scene->relay);
    REQUIRE(status == expected, "it ended with status %d instead of %d:\n%s", status, expected,
            relay_errors(scene->relay));
}

/* What happened at once; true when the relay has ended. */
static bool settle(struct scene *scene)
{
    const struct expected *expected = scene->expected;
    struct relay *relay = scene->relay;
    switch (expected->result) {
    case NEVER:
        break;
    case KILLED:
        expect_ends(scene, 128 + SIGKILL);
        return true;
    case WATCHED:
        expect_ends(scene, 75);
        REQUIRE(log_holds(relay, "hangs and ends itself"), "not by the watchdog:\n%s",
                relay_errors(relay));
        return true;
    case UNANSWERED:
        expect_ends(scene, 75);
        REQUIRE(log_holds(relay, "has not returned"), "not for the call that hangs:\n%s",
                relay_errors(relay));
        return true;
    case STUCK:
        relay_kill(relay);
        return true;
    case ENDS:
        expect_ends(scene, expected->status);
        REQUIRE(log_holds(relay, "\"error.hint\":\""), "it says no remedy:\n%s",
                relay_errors(relay));
        return true;
    case GOES_ON:
    case REPLAYS:
    case LETTER:
        if (scene->done && scene->test->fault->stimulus == STOP) {
            expect_ends(scene, 0);
            return true;
        }
        REQUIRE(relay_running(relay), "it ended with status %d:\n%s", relay->status,
                relay_errors(relay));
        return false;
    }
    fail_at(__FILE__, __LINE__, "this cannot be");
}

/* What is past the last durable position may come again. */
static bool may_repeat(const struct scene *scene)
{
    enum result result = scene->expected->result;
    return scene->test->mode != MODE_ONCE && result != GOES_ON && result != LETTER;
}

/* As it stands when nobody works on it any more. */
static void judge_the_end(struct scene *scene)
{
    struct slot_state slot = {.active = true};
    uint64_t durable = 0;
    watch_until(scene, !(slot = read_slot(scene)).active, "the slot stays active");
    /* Kafka shows what is committed a moment later. */
    wait_until((durable = read_durable(scene)) >= slot.confirmed || durable == 0,
               "what is confirmed is not durable");
    if (may_repeat(scene))
        judge_replay(scene->judge, durable == 0 ? scene->start : durable);
    judge_crash(scene->judge, scene->consumer, durable, slot.confirmed,
                scene->test->mode == MODE_ONCE);
}

static void start_armed(struct scene *scene)
{
    const char *set = scene->test->fault->set;
    scene->start = read_durable(scene);
    arm(scene->test);
    relay_start(scene->relay, set == NULL ? NULL : "--set", set, NULL);
    disarm();
}

static void run_fault(struct scene *scene)
{
    struct relay *relay = scene->relay;
    start_armed(scene);
    watch_until(scene, (stimulate(scene), fired(scene, relay->err)), "%s did not fire:\n%s",
                fault_entry(scene->test), relay_errors(relay));
    if (settle(scene)) {
        judge_the_end(scene);
        relay_start(relay, NULL);
    } else if (scene->expected->said != NULL) {
        watch_until(scene, log_holds(relay, scene->expected->said), "it did not say \"%s\":\n%s",
                    scene->expected->said, relay_errors(relay));
    }
    if (scene->expected->result == REPLAYS && may_repeat(scene))
        judge_replay(scene->judge, scene->start);
    relay_wait_ready(relay);
}

/* ---- before and after ---------------------------------------------------------------------- */

static void init(struct scene *scene)
{
    struct relay *relay = scene->relay;
    if (scene->test->fault->stimulus == INIT) {
        const char *log = text("%s/armed-init.err", relay->dir);
        const char *const argv[] = {getenv("WALFERRY_BIN"), "init", "-c", relay->config, NULL};
        const struct spawn spawn = {.argv = argv, .err_path = log};
        int status = 0;
        arm(scene->test);
        pid_t pid = process_spawn(&spawn);
        disarm();
        wait_until(fired(scene, log), "%s did not fire:\n%s", fault_entry(scene->test),
                   read_file(log));
        kill(pid, SIGKILL);
        REQUIRE(process_wait(pid, DEADLINE_MS, &status), "init does not end");
    }
    int status = relay_command(relay, "init", NULL);
    REQUIRE(status == 0, "init: status %d\n%s", status, relay_errors(relay));
}

/* Leaves two generations of the checkpoint. */
static void run_before(struct scene *scene)
{
    relay_start(scene->relay, NULL);
    watch_until(scene, read_checkpoint(scene->relay).sequence >= 3, "no checkpoint");
    relay_stop(scene->relay);
}

static void expect_no_secrets(const struct scene *scene)
{
    struct relay *relay = scene->relay;
    static const char *const pages[] = {"/status", "/metrics", "/"};
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        char *body = NULL;
        REQUIRE(relay_http(relay, pages[i], &body) == 200, "no %s", pages[i]);
        REQUIRE(strstr(body, CANARY) == NULL, "%s shows a secret:\n%s", pages[i], body);
    }
    const char *const argv[] = {"grep",     "-rlF", "--include=*.err", "--include=*.out", CANARY,
                                relay->dir, NULL};
    const struct spawn spawn = {.argv = argv};
    REQUIRE(process_run(&spawn, DEADLINE_MS) == 1, "a log shows a secret");
}

/* A stop in order leaves nothing to send again. */
static void expect_quiet_restart(struct scene *scene)
{
    size_t before = consumer_drain(scene->consumer).count;
    relay_start(scene->relay, NULL);
    relay_wait_ready(scene->relay);
    relay_stop(scene->relay);
    size_t after = consumer_drain(scene->consumer).count;
    REQUIRE(after == before, "a restart sent %zu records again", after - before);
}

static size_t letters(const struct scene *scene)
{
    return scene->expected->result == LETTER || scene->test->fault->stimulus == BULKY ? 1 : 0;
}

static void finish(struct scene *scene)
{
    int64_t rows = rows_written(scene);
    enum stimulus stimulus = scene->test->fault->stimulus;
    watch_until(scene,
                rows_written(scene) >= rows + SOME_ROWS / 2 && rows_written(scene) >= 2 * SOME_ROWS,
                "no more rows");
    stop_writer(scene);
    watch_until(scene, judge_complete(scene->judge, scene->consumer), "not all rows arrive:\n%s",
                relay_errors(scene->relay));
    /* Without events a position in a transaction is saved seldom. */
    if (scene->test->mode != MODE_ONCE)
        wait_confirmed(scene->world);
    expect_no_secrets(scene);
    relay_stop(scene->relay);
    judge_end(scene->judge, scene->consumer, letters(scene));
    if (stimulus == STOP || scene->test->action == ACTION_ERROR)
        expect_quiet_restart(scene);
}

/* In a topic that does not take it, a batch is refused, and sent again, more than once. */
static void prepare_bulky(struct scene *scene)
{
    kafka_create_topic(scene->world->kafka, world_topic(scene->world, "order"), KAFKA_PARTITIONS,
                       text("max.message.bytes=%d", TOPIC_MAX));
    for (int i = 0; i < REFUSALS && scene->test->mode != MODE_ONCE; i++)
        judge_replay(scene->judge, 0);
}

START_TEST(fault)
{
    struct scene *scene = scene_new(&cases[_i]);
    enum stimulus stimulus = scene->test->fault->stimulus;
    harness_label(text("%s in mode %s", fault_entry(scene->test), mode_name(scene->test->mode)));
    init(scene);
    scene->judge = judge_new(scene->world);
    scene->consumer = consumer_new(scene->world, world_topic(scene->world, "order"),
                                   world_topic(scene->world, "dead-letter"), NULL);
    if (in_topic(scene->test->mode))
        scene->positions =
            consumer_new(scene->world, world_topic(scene->world, "checkpoints"), NULL);
    if (stimulus == BULKY)
        prepare_bulky(scene);
    scene->writer = start_writer(scene->world);
    if (stimulus == AGAIN)
        run_before(scene);
    if (stimulus == INIT) {
        relay_start(scene->relay, NULL);
        relay_wait_ready(scene->relay);
    } else {
        run_fault(scene);
    }
    finish(scene);
    consumer_free(scene->consumer);
    if (scene->positions != NULL)
        consumer_free(scene->positions);
    judge_free(scene->judge);
    relay_free(scene->relay);
    world_free(scene->world);
}
END_TEST

/* ---- which ---------------------------------------------------------------------------------- */

#define FAILPOINT_ROW(id, name, meaning) name,
static const char *const names[] = {
#include "walferry/base/failpoint.def"
};
#define NAMES (sizeof names / sizeof names[0])

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, fault, 0, case_count);
}

static const struct e2e_suite faults = {"faults", NEEDS_PG | NEEDS_KAFKA, add};

static bool wanted(const char *filter, const char *name, enum action action)
{
    return filter == NULL || fnmatch(filter, text("%s=%s", name, action_names[action]), 0) == 0;
}

int main(int argc, char **argv)
{
    static const enum mode modes[] = {MODE_FILE, MODE_KAFKA, MODE_SLOT, MODE_ONCE};
    unsigned shard = 0;
    unsigned shards = 1;
    unsigned number = 0;
    unsigned mode = 0;
    for (size_t i = 0; argc > 1 && i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(mode_name(modes[i]), argv[1]) == 0)
            mode = modes[i];
    if (mode == 0 || (argc > 2 && sscanf(argv[2], "%u/%u", &shard, &shards) != 2)) {
        fprintf(stderr, "usage: test_e2e_faults MODE [SHARD/SHARDS [GLOB OF NAME=ACTION]]\n");
        return 64;
    }
    cases = calloc(NAMES * ACTION_COUNT, sizeof *cases);
    for (size_t i = 0; i < NAMES; i++) {
        const struct fault *fault_row = fault_find(names[i], (enum mode)mode);
        if (fault_row == NULL) {
            fprintf(stderr, "%s has no row for mode %s in fault_table.c\n", names[i], argv[1]);
            return EXIT_FAILURE;
        }
        for (enum action action = 0; action < ACTION_COUNT; action++)
            if (fault_row->expected[action].result != NEVER &&
                wanted(argc > 3 ? argv[3] : NULL, names[i], action) && number++ % shards == shard)
                cases[case_count++] = (struct test_case){fault_row, (enum mode)mode, action};
    }
    return harness_main(&faults);
}
