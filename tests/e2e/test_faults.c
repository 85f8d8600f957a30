/* SPDX-License-Identifier: Apache-2.0 */
/* test_e2e_faults MODE [SHARD/SHARDS [GLOB]]: every failpoint with every action in one
 * mode of the relay (fault_table.h), each on a pipeline of its own with rows written meanwhile.
 * Whatever breaks, afterwards all must be in Kafka, as the judge says.
 *
 * A case whose fault did not fire is a failure, and the last test asks for all of them once more.
 * test_e2e_faults table: whether the table is whole, without servers. */
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
/* Bytes of a batch that the topic takes: more than all small rows make up. */
#define TOPIC_MAX 200000
/* Behind the large one: more than fit into a batch with it, and so few that the topic takes what is
 * left of them in one. */
#define ROWS_BEHIND 1100

#define CONFIG_TO(sink)                                                                            \
    "version: 1\n"                                                                                 \
    "name: @NAME@\n"                                                                               \
    "source: {conninfo: \"@CONNINFO@ password=" CANARY "-1 options='-c wal_sender_timeout=6s'\","  \
    " status_interval: 500ms}\n"                                                                   \
    "capture: [{outbox: outbox.event}]\n"                                                          \
    "route: {topic: \"@NAME@.${aggregate_type}\"}\n"                                               \
    "sink: {" sink "}\n"                                                                           \
    "http: {listen: \"@HTTP@\"}\n"                                                                 \
    "log: {format: json, level: debug}\n"
#define CONFIG CONFIG_TO("kafka: {bootstrap.servers: \"@KAFKA@\", ssl.key.password: " CANARY "-2}")

#define IN_FILES "checkpoint: {directory: \"@DIR@/state\", interval: 200ms}\n"

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
    int64_t rows;               /* written before the judge came */
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
        return CONFIG IN_FILES;
    case MODE_SLOT:
        return CONFIG "checkpoint: {store: slot, interval: 200ms}\n";
    case MODE_KAFKA:
        return CONFIG "checkpoint: {store: kafka, topic: @NAME@.checkpoints, interval: 200ms}\n";
    case MODE_ONCE:
        return CONFIG "delivery: {guarantee: exactly_once, commit_interval: 50ms}\n"
                      "checkpoint: {topic: @NAME@.checkpoints}\n";
    case MODE_LINES:
        return CONFIG_TO("file: {path: \"@DIR@/out.jsonl\"}") IN_FILES;
    case MODE_PIPE:
        return CONFIG_TO("stdout: {}");
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

/* At first as many rows as a case needs; then as few as keep the stream alive, for as long as it
 * waits. */
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
    for (int count = 0; getppid() == parent; count++) {
        write_transaction(db);
        pause_ms(count < 30 ? 25 : 80);
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
    scene->world = world_new_emptied("fault");
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

static bool in_files(enum mode mode)
{
    return mode == MODE_FILE || mode == MODE_LINES;
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
    if (in_files(scene->test->mode))
        return read_checkpoint(scene->relay).lsn;
    return scene->test->mode == MODE_SLOT ? read_slot(scene).confirmed : 0;
}

static void sample(struct scene *scene)
{
    if (scene->test->mode == MODE_PIPE)
        return;
    struct slot_state slot = read_slot(scene);
    judge_positions(scene->judge, slot.confirmed,
                    in_files(scene->test->mode) ? read_checkpoint(scene->relay).lsn : 0);
}

/* wait_until() with an eye on the positions, and seldom: more would keep the servers busy. */
#define watch_until(scene, condition, ...)                                                         \
    do {                                                                                           \
        uint64_t watch_end_ = now_ms() + DEADLINE_MS;                                              \
        while (!(condition)) {                                                                     \
            REQUIRE(now_ms() < watch_end_, __VA_ARGS__);                                           \
            sample(scene);                                                                         \
            pause_ms(50);                                                                          \
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

/* One line for each fault that fired, in whichever process of this binary. */
static char *fired_path(void)
{
    return text("%s/fired", harness_dir());
}

static char *fired_line(const struct test_case *test)
{
    return text("%s=%s in mode %s\n", test->fault->name, action_names[test->action],
                mode_name(test->mode));
}

static void note_fired(const struct test_case *test)
{
    FILE *file = fopen(fired_path(), "ae");
    REQUIRE(file != NULL && fputs(fired_line(test), file) >= 0 && fclose(file) == 0,
            "%s cannot be written", fired_path());
}

static bool fired(const struct scene *scene, const char *log)
{
    char line[128];
    snprintf(line, sizeof line, "failpoint %s %s\n", scene->test->fault->name,
             action_names[scene->test->action]);
    if (!holds(log, line))
        return false;
    note_fired(scene->test);
    return true;
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

/* Of text that compression does not make small. What comes after it waits until its end is known.
 */
/* More than a batch of others stands behind it, which must not pass while it is looked into. */
static void write_bulky(struct scene *scene)
{
    sql(scene->world,
        "INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, payload) SELECT "
        "'order', 'k1', 'order.changed', json_build_object('fill', string_agg(md5(i::text), '')) "
        "FROM generate_series(1, %d) AS i; "
        "INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, payload) SELECT "
        "'order', 'k1', 'order.changed', json_build_object('fill', md5(i::text)) "
        "FROM generate_series(1, %d) AS i",
        3 * TOPIC_MAX / 32, ROWS_BEHIND);
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

static void expect_said(struct scene *scene)
{
    const char *words = scene->expected->said;
    if (words != NULL)
        watch_until(scene, log_holds(scene->relay, words), "it did not say \"%s\":\n%s", words,
                    relay_errors(scene->relay));
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
    } else {
        expect_said(scene);
        if (scene->expected->result == REPLAYS && may_repeat(scene))
            judge_replay(scene->judge, scene->start);
    }
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
                rows_written(scene) >= rows + SOME_ROWS / 2 &&
                    rows_written(scene) >= scene->rows + 2 * SOME_ROWS,
                "no more rows");
    stop_writer(scene);
    watch_until(scene, judge_complete(scene->judge, scene->consumer), "not all rows arrive:\n%s",
                relay_errors(scene->relay));
    /* Without events a position in a transaction is saved seldom. */
    if (scene->test->mode != MODE_ONCE && scene->test->mode != MODE_PIPE)
        wait_confirmed(scene->world);
    expect_no_secrets(scene);
    relay_stop(scene->relay);
    judge_end(scene->judge, scene->consumer, letters(scene));
    if (scene->test->mode != MODE_PIPE && (stimulus == STOP || scene->test->action == ACTION_ERROR))
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

static void open_consumers(struct scene *scene)
{
    struct world *world = scene->world;
    if (scene->test->mode == MODE_LINES)
        scene->consumer = consumer_new_lines(text("%s/out.jsonl", world->dir));
    else
        scene->consumer = consumer_new(world, world_topic(world, "order"),
                                       world_topic(world, "dead-letter"), NULL);
    if (in_topic(scene->test->mode))
        scene->positions = consumer_new(world, world_topic(world, "checkpoints"), NULL);
}

static void run_lasting(struct scene *scene)
{
    enum stimulus stimulus = scene->test->fault->stimulus;
    init(scene);
    scene->judge = judge_new(scene->world);
    open_consumers(scene);
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
}

/* Nothing lasts here: each run has a slot of its own, and the run after the fault is judged. */
static void run_pipe(struct scene *scene)
{
    struct world *world = scene->world;
    struct relay *relay = scene->relay;
    sql_file(world, "001_outbox.sql");
    sql(world, "CREATE PUBLICATION %s FOR TABLE outbox.event WITH (publish = 'insert')",
        world->slot);
    scene->writer = start_writer(world);
    start_armed(scene);
    watch_until(scene, fired(scene, relay->err), "%s did not fire:\n%s", fault_entry(scene->test),
                relay_errors(relay));
    if (!settle(scene)) {
        expect_said(scene);
        relay_wait_ready(relay);
        relay_stop(relay);
    }
    stop_writer(scene);
    relay_start(relay, NULL);
    relay_wait_ready(relay);
    scene->judge = judge_new(world);
    scene->rows = rows_written(scene);
    scene->consumer = consumer_new_lines(relay->out);
    scene->writer = start_writer(world);
}

START_TEST(fault)
{
    struct scene *scene = scene_new(&cases[_i]);
    harness_label(text("%s in mode %s", fault_entry(scene->test), mode_name(scene->test->mode)));
    if (scene->test->mode == MODE_PIPE)
        run_pipe(scene);
    else
        run_lasting(scene);
    finish(scene);
    consumer_free(scene->consumer);
    if (scene->positions != NULL)
        consumer_free(scene->positions);
    judge_free(scene->judge);
    relay_free(scene->relay);
    world_free(scene->world);
}
END_TEST

/* A case that did not come as far as its fault has shown nothing. */
START_TEST(all_fired)
{
    for (int i = 0; i < case_count; i++)
        REQUIRE(holds(fired_path(), fired_line(&cases[i])), "never fired: %s",
                fired_line(&cases[i]));
}
END_TEST

/* ---- which ---------------------------------------------------------------------------------- */

#define FAILPOINT_ROW(id, name, meaning) name,
static const char *const names[] = {
#include "walferry/base/failpoint.def"
};
#define NAMES (sizeof names / sizeof names[0])

static const enum mode modes[] = {MODE_FILE, MODE_KAFKA, MODE_SLOT,
                                  MODE_ONCE, MODE_LINES, MODE_PIPE};
#define MODES (sizeof modes / sizeof modes[0])

static bool wanted(const char *filter, const char *name, enum action action)
{
    return filter == NULL || fnmatch(filter, text("%s=%s", name, action_names[action]), 0) == 0;
}

/* Every SHARDS-th of the mode, from SHARD on. */
static void choose(enum mode mode, unsigned shard, unsigned shards, const char *filter)
{
    unsigned number = 0;
    case_count = 0;
    for (size_t i = 0; i < NAMES; i++) {
        const struct fault *fault_row = fault_find(names[i], mode);
        REQUIRE(fault_row != NULL, "%s has no row for mode %s in fault_table.c", names[i],
                mode_name(mode));
        for (enum action action = 0; action < ACTION_COUNT; action++)
            if (fault_row->expected[action].result != NEVER && wanted(filter, names[i], action) &&
                number++ % shards == shard)
                cases[case_count++] = (struct test_case){fault_row, mode, action};
    }
}

static void add(TCase *tests)
{
    tcase_add_loop_test(tests, fault, 0, case_count);
    tcase_add_test(tests, all_fired);
}

static struct e2e_suite faults = {"faults", NEEDS_PG | NEEDS_KAFKA, add};

/* ---- the table ------------------------------------------------------------------------------ */

static bool is_failpoint(const char *name)
{
    for (size_t i = 0; i < NAMES; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

START_TEST(every_failpoint_has_one_row_for_each_mode)
{
    for (size_t i = 0; i < NAMES; i++) {
        for (size_t j = 0; j < MODES; j++) {
            unsigned rows = 0;
            for (size_t k = 0; k < fault_table_count; k++)
                rows += strcmp(fault_table[k].name, names[i]) == 0 &&
                        (fault_table[k].modes & (unsigned)modes[j]) != 0;
            bool own = modes[j] != MODE_LINES && modes[j] != MODE_PIPE;
            REQUIRE(rows == 1 || (rows == 0 && !own), "%s has %u rows for mode %s", names[i], rows,
                    mode_name(modes[j]));
        }
    }
    for (size_t i = 0; i < fault_table_count; i++)
        REQUIRE(is_failpoint(fault_table[i].name), "%s is no failpoint", fault_table[i].name);
}
END_TEST

START_TEST(what_never_fires_has_a_reason)
{
    for (size_t i = 0; i < fault_table_count; i++) {
        for (enum action action = 0; action < ACTION_COUNT; action++) {
            const struct expected *expected = &fault_table[i].expected[action];
            bool reason = expected->reason != NULL && expected->reason[0] != '\0';
            REQUIRE((expected->result == NEVER) == reason, "%s=%s: %s", fault_table[i].name,
                    action_names[action],
                    reason ? "a reason not to fire, and it does" : "no reason");
        }
    }
}
END_TEST

static bool is_reached(const char *name)
{
    for (size_t i = 0; i < fault_table_count; i++)
        for (enum action action = 0; action < ACTION_COUNT; action++)
            if (strcmp(fault_table[i].name, name) == 0 &&
                fault_table[i].expected[action].result != NEVER)
                return true;
    return false;
}

START_TEST(every_failpoint_is_reached_in_some_mode)
{
    for (size_t i = 0; i < NAMES; i++)
        REQUIRE(is_reached(names[i]), "%s is reached in no mode", names[i]);
}
END_TEST

/* What has an effect in a mode at all is killed and hung there, whatever else. */
START_TEST(what_is_reached_is_hit_by_crash_and_hang)
{
    for (size_t i = 0; i < fault_table_count; i++) {
        const struct expected *expected = fault_table[i].expected;
        bool never = expected[ACTION_CRASH].result == NEVER;
        REQUIRE((expected[ACTION_HANG].result == NEVER) == never &&
                    (!never || expected[ACTION_ERROR].result == NEVER),
                "%s: one action reaches it, and another does not", fault_table[i].name);
    }
}
END_TEST

START_TEST(shards_make_up_the_whole)
{
    enum { SHARDS = 3 };
    for (size_t i = 0; i < MODES; i++) {
        int sum = 0;
        for (unsigned shard = 0; shard < SHARDS; shard++) {
            choose(modes[i], shard, SHARDS, NULL);
            sum += case_count;
        }
        choose(modes[i], 0, 1, NULL);
        ck_assert_int_eq(sum, case_count);
        ck_assert_int_gt(sum, 0);
    }
}
END_TEST

static void add_table(TCase *tests)
{
    tcase_add_test(tests, every_failpoint_has_one_row_for_each_mode);
    tcase_add_test(tests, what_never_fires_has_a_reason);
    tcase_add_test(tests, every_failpoint_is_reached_in_some_mode);
    tcase_add_test(tests, what_is_reached_is_hit_by_crash_and_hang);
    tcase_add_test(tests, shards_make_up_the_whole);
}

static const struct e2e_suite table = {"fault_table", NEEDS_NOTHING, add_table};

int main(int argc, char **argv)
{
    unsigned shard = 0;
    unsigned shards = 1;
    unsigned mode = 0;
    cases = calloc(NAMES * ACTION_COUNT, sizeof *cases);
    if (argc == 2 && strcmp(argv[1], "table") == 0)
        return harness_main(&table);
    for (size_t i = 0; i < MODES && argc > 1; i++)
        if (strcmp(mode_name(modes[i]), argv[1]) == 0)
            mode = modes[i];
    if (cases == NULL || mode == 0 ||
        (argc > 2 && sscanf(argv[2], "%u/%u", &shard, &shards) != 2) || shard >= shards) {
        fprintf(stderr, "usage: test_e2e_faults table\n"
                        "       test_e2e_faults MODE [SHARD/SHARDS [GLOB OF NAME=ACTION]]\n");
        return 64;
    }
    choose((enum mode)mode, shard, shards, argc > 3 ? argv[3] : NULL);
    if (mode == MODE_LINES || mode == MODE_PIPE)
        faults.needs = NEEDS_PG;
    return harness_main(&faults);
}
