/* SPDX-License-Identifier: Apache-2.0 */
#include "demo_server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "walferry/base/clock.h"
#include "walferry/pg/pg.h"

#define START_MS   60000
#define CONNECT_MS 5000
#define LOOK_MS    20

static void close_pair(const int pair[2])
{
    close(pair[0]);
    close(pair[1]);
}

static bool begin(struct demo_server *server, struct err *err)
{
    int control[2];
    int reports[2];
    if (pipe2(control, O_CLOEXEC) != 0) {
        return err_set(err, ERR_OS, "cannot make a pipe: %s", strerror(errno));
    }
    if (pipe2(reports, O_CLOEXEC) != 0) {
        close_pair(control);
        return err_set(err, ERR_OS, "cannot make a pipe: %s", strerror(errno));
    }
    if (!keeper_fork(control, reports, &server->keeper, err)) {
        close_pair(control);
        close_pair(reports);
        return false;
    }
    close(control[0]);
    close(reports[1]);
    server->control_fd = control[1];
    server->report_fd = reports[0];
    return true;
}

enum news { NEWS_NONE, NEWS_STARTED, NEWS_ENDED };

static enum news next_news(const struct demo_server *server, int timeout_ms,
                           struct keeper_report *report, struct err *err)
{
    struct pollfd fd = {.fd = server->report_fd, .events = POLLIN};
    if (poll(&fd, 1, timeout_ms) <= 0) {
        return NEWS_NONE;
    }
    if (read(server->report_fd, report, sizeof(*report)) != (ssize_t)sizeof(*report)) {
        err_set(err, ERR_DEMO_SERVER, "the process that keeps the private PostgreSQL is gone");
        return NEWS_ENDED;
    }
    if (report->started) {
        return NEWS_STARTED;
    }
    *err = report->err;
    return NEWS_ENDED;
}

static bool answers(const struct demo_server *server)
{
    const struct pg_opts opts = {.conninfo = server->conninfo, .application_name = "walferry_demo"};
    struct pg *pg;
    if (server->directory[0] == '\0' || !pg_connect(&opts, CONNECT_MS, &pg, NULL)) {
        return false;
    }
    pg_close(pg);
    return true;
}

static bool await_answer(bool (*interrupted)(void), struct demo_server *server, struct err *err)
{
    uint64_t end_ns = clock_mono_ns() + START_MS * NS_PER_MS;
    struct keeper_report report;
    while (!answers(server)) {
        switch (next_news(server, LOOK_MS, &report, err)) {
        case NEWS_ENDED:
            return false;
        case NEWS_STARTED:
            memcpy(server->directory, report.directory, sizeof(server->directory));
            snprintf(server->conninfo, sizeof(server->conninfo),
                     "host=%s port=%s user=%s dbname=postgres", server->directory, KEEPER_PORT,
                     KEEPER_ROLE);
            break;
        case NEWS_NONE:
            break;
        }
        if (interrupted()) {
            return err_set(err, ERR_INTERRUPTED, "the demo was ended while it started");
        }
        if (clock_mono_ns() >= end_ns) {
            return err_set(err, ERR_DEMO_SERVER, "the private PostgreSQL takes no connection");
        }
    }
    return true;
}

bool demo_server_start(bool (*interrupted)(void), struct demo_server *ret_server, struct err *err)
{
    struct demo_server server = {.keeper = -1};
    if (!begin(&server, err)) {
        return false;
    }
    if (!await_answer(interrupted, &server, err)) {
        demo_server_stop(&server);
        return false;
    }
    *ret_server = server;
    return true;
}

bool demo_server_ended(const struct demo_server *server, struct err *ret_err)
{
    struct keeper_report report;
    return next_news(server, 0, &report, ret_err) == NEWS_ENDED;
}

void demo_server_stop(struct demo_server *server)
{
    close(server->control_fd);
    while (waitpid(server->keeper, NULL, 0) < 0 && errno == EINTR) {
    }
    close(server->report_fd);
}
