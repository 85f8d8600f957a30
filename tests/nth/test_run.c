/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relay from a scripted PostgreSQL into a file, with every call that it makes failing in turn. It
 * goes on, or it ends with a documented status and says why; it never dies of a signal and never
 * hangs. Then it is started again without a fault, against a slot that stands where the server was
 * told: nothing is lost, nothing is a dead letter that should not be, the order is kept, and the
 * checkpoint is readable.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include "../scenario/relay_world.h"
#include "../unit/scratch.h"
#include "points.h"

#define LINES_MAX 512
/* Far more than any of it takes: passing it means that something hangs. */
#define PATIENCE_S 60
/* A fault that stays may stop the relay without ending it; so long it may try. */
#define TRIES_S 2
#define SPREAD  6
/* Most memory is had at one site, that of buffers. */
#define SPREAD_MEMORY 60
#define MORE          "checkpoint: {interval: 10ms}\ndelivery: {drain_timeout: 2s}\n"

/* Events are numbered in commit order; 0 ends. */
enum { EVENT_COUNT = 22 };
static const unsigned published[] = {1,  2,  3,  4,  5,  7,  8,  9,  10, 11, 12,
                                     13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 0};

static void script(void)
{
    world_capture("[{outbox: outbox.event}, {messages: outbox}]");
    world_transaction("eee");
    world_transaction("k");
    world_transaction("meduK");
    world_transaction("h");
    world_transaction("pe");
    world_transaction("oeeeeeeeeeeeee");
}

static const char *topic_of(unsigned number)
{
    return number == 7 ? "orders.dead-letter" : number == 9 ? "other" : "events";
}

/* ---- the relay ---- */

static unsigned http_port;
static bool visited;

static unsigned free_port(void)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
    } name = {.v4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}};
    socklen_t size = sizeof(name);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, &name.any, size), 0);
    ck_assert_int_eq(getsockname(fd, &name.any, &size), 0);
    ck_assert_int_eq(close(fd), 0);
    return ntohs(name.v4.sin_port);
}

static void be_program(void)
{
    char path[160], log[160], directory[160], listen[64];
    snprintf(path, sizeof(path), "%s/orders.yaml", world_directory);
    snprintf(log, sizeof(log), "%s/log", world_directory);
    snprintf(directory, sizeof(directory), "--set=checkpoint.directory=%s/state", world_directory);
    snprintf(listen, sizeof(listen), "--set=http.listen=127.0.0.1:%u", http_port);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || dup2(fd, STDERR_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0)
        _exit(126);
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGALRM, SIG_DFL);
    alarm(4 * PATIENCE_S);
    execl(WALFERRY_NTH_BIN, WALFERRY_NTH_BIN, "run", "-c", path, directory, listen,
          "--set=envelope.format=cloudevents", (char *)NULL);
    _exit(127);
}

static void start_program(void)
{
    char path[160];
    snprintf(path, sizeof(path), "%s/orders.yaml", world_directory);
    world_write_config(path);
    http_port = free_port();
    world_relay_as(be_program);
}

/* Asks for a page and reads it; false when none comes. */
static bool visit(const char *page)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
    } name = {.v4 = {.sin_family = AF_INET,
                     .sin_port = htons((uint16_t)http_port),
                     .sin_addr = {htonl(INADDR_LOOPBACK)}}};
    const struct timeval limit = {.tv_sec = 2};
    char text[4096];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    int len = snprintf(text, sizeof(text), "GET %s HTTP/1.0\r\n\r\n", page);
    size_t got = 0;
    if (connect(fd, &name.any, sizeof(name.v4)) == 0 &&
        send(fd, text, (size_t)len, MSG_NOSIGNAL) == len) {
        ssize_t more = 0;
        while ((more = recv(fd, text, sizeof(text), 0)) > 0)
            got += (size_t)more;
    }
    ck_assert_int_eq(close(fd), 0);
    return got > 0;
}

/* ---- its output ---- */

static struct line {
    unsigned number;
    char topic[32];
} lines[LINES_MAX];

static size_t read_lines(void)
{
    FILE *file = fopen(world_output, "r");
    char *text = NULL;
    size_t size = 0, count = 0;
    ssize_t len = file == NULL ? -1 : getline(&text, &size, file);
    for (; len > 0 && text[len - 1] == '\n'; len = getline(&text, &size, file)) {
        const char *number = strstr(text, "{\\\"n\\\":");
        const char *topic = strstr(text, "\"topic\":\"");
        ck_assert_msg(number != NULL && topic != NULL, "%s", text);
        ck_assert_uint_lt(count, LINES_MAX);
        struct line *line = &lines[count++];
        line->number = (unsigned)strtoul(number + 7, NULL, 10);
        snprintf(line->topic, sizeof(line->topic), "%.*s", (int)strcspn(topic + 9, "\""),
                 topic + 9);
    }
    free(text);
    if (file != NULL)
        ck_assert_int_eq(fclose(file), 0);
    return count;
}

/* Every event is there, each at its place the first time it appears, under its topic. */
static bool complete(void)
{
    size_t count = read_lines();
    size_t next = 0;
    for (size_t i = 0; i < count; i++)
        next += published[next] != 0 && lines[i].number == published[next];
    return published[next] == 0;
}

static void check_output(const struct point *point, bool repeats)
{
    size_t count = read_lines();
    unsigned newest = 0;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(lines[i].topic, topic_of(lines[i].number)) != 0)
            points_complain(point, "event %u went to %s", lines[i].number, lines[i].topic);
        if (lines[i].number <= newest && !repeats)
            points_complain(point, "event %u comes again after %u", lines[i].number, newest);
        newest = lines[i].number > newest ? lines[i].number : newest;
    }
    if (!complete())
        points_complain(point, "events are missing: %zu lines", count);
}

/* ---- a run ---- */

static double now_s(void)
{
    struct timespec now;
    ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void show_log(void)
{
    char path[160], text[4096];
    snprintf(path, sizeof(path), "%s/log", world_directory);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return;
    /* Its end. */
    if (fseek(file, -(long)sizeof(text), SEEK_END) != 0)
        rewind(file);
    size_t len = fread(text, 1, sizeof(text), file);
    fprintf(stderr, "%.*s\n", (int)len, text);
    (void)fclose(file);
}

static bool log_has(const char *words)
{
    static char text[1 << 20];
    char path[160];
    snprintf(path, sizeof(path), "%s/log", world_directory);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    ck_assert_int_eq(fclose(file), 0);
    return strstr(text, words) != NULL;
}

/* Until everything is written, or the relay has ended, or `tries_s` went by; then it is asked to
 * stop. Its status, or -1 when it hangs. */
static int run_to_end(double tries_s)
{
    double begun = now_s();
    bool asked = false;
    start_program();
    while (!world_ended()) {
        world_pump();
        double now = now_s();
        if (!asked && ((world_sessions() > 0 && walsender_sent(world_server) && complete()) ||
                       now - begun > tries_s)) {
            visited = visit("/metrics") && visit("/status");
            world_signal(SIGTERM);
            asked = true;
        }
        if (now - begun > tries_s + PATIENCE_S)
            return -1;
    }
    return world_wait();
}

static bool documented(enum nth_kind kind, int status)
{
    static const int known[] = {66, 69, 70, 71, 73, 75, 76, 78, 79};
    if (kind == NTH_MEMORY)
        return status == 70 || status == 71;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (status == known[i])
            return true;
    }
    return false;
}

static void check_run(const struct point *point)
{
    world_start(MORE);
    script();
    bool lasting = point->site != 0 && point->last == 0;
    unsigned repeats = 0;
    int status = run_to_end(lasting ? TRIES_S : PATIENCE_S);
    bool fired = points_fired();
    points_disarm();
    if (status < 0)
        points_complain(point, "hangs");
    else if (point->site == 0)
        ck_assert_int_eq(status, 0);
    else if (status != 0 && !fired)
        points_complain(point, "ends with %d without a fault", status);
    else if (status != 0 && !documented(point->kind, status))
        points_complain(point, "ends with %d", status);
    else if (status != 0 && !log_has("WF-"))
        points_complain(point, "ends with %d and does not say why", status);
    if (point->kind == NTH_ACCEPT && !lasting && !visited)
        points_complain(point, "answers nobody");
    repeats += status != 0;
    if (status >= 0) {
        /* The server does not go back behind what it was told. */
        struct lsn told = walsender_status(world_server).flush;
        if (!lsn_is_none(told))
            world_slot(told);
        int again = run_to_end(PATIENCE_S);
        if (again != 0)
            points_complain(point, "starts again with %d after %d", again, status);
        check_output(point, repeats > 0);
    }
    if (points_failures_new())
        show_log();
    world_free();
    (void)scratch_remove(world_directory);
}

START_TEST(every_failure_is_survived)
{
    bool stays = _i != NTH_SHORT && _i != NTH_SIGNAL;
    points_run((enum nth_kind)_i, check_run, _i == NTH_MEMORY ? SPREAD_MEMORY : SPREAD, stays);
}
END_TEST

static Suite *suite_of_run(void)
{
    Suite *suite = suite_create("run");
    TCase *tcase = tcase_create("run");
    tcase_set_timeout(tcase, 900);
    tcase_add_loop_test(tcase, every_failure_is_survived, 0, NTH_KIND_COUNT);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN_SCRATCH(suite_of_run())
