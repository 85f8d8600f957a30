/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_process.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

#define ARGUMENTS_MAX 32

static const char *program(void)
{
    const char *path = getenv("WALFERRY_BIN");
    REQUIRE(path != NULL && path[0] != '\0', "WALFERRY_BIN does not name the program");
    return path;
}

struct relay *relay_new(struct world *world, const char *config)
{
    static int count;
    struct relay *relay = calloc(1, sizeof *relay);
    REQUIRE(relay != NULL, "out of memory");
    relay->world = world;
    relay->http_port = free_port();
    snprintf(relay->dir, sizeof relay->dir, "%s/relay%d", world->dir, count++);
    snprintf(relay->config, sizeof relay->config, "%s/walferry.yaml", relay->dir);
    make_directory(relay->dir);
    relay_rewrite(relay, config);
    return relay;
}

void relay_rewrite(struct relay *relay, const char *config)
{
    write_file(relay->config, world_expand(relay->world, config, relay->http_port));
}

static pid_t spawn(struct relay *relay, const char *command, const char *input_path,
                   const char *const *more)
{
    const char *argv[ARGUMENTS_MAX + 5] = {program(), command, "-c", relay->config};
    for (size_t i = 0; more[i] != NULL; i++)
        argv[4 + i] = more[i];
    relay->starts++;
    snprintf(relay->out, sizeof relay->out, "%s/%d-%s.out", relay->dir, relay->starts, command);
    snprintf(relay->err, sizeof relay->err, "%s/%d-%s.err", relay->dir, relay->starts, command);
    const struct spawn spawn = {
        .argv = argv, .out_path = relay->out, .err_path = relay->err, .input_path = input_path};
    return process_spawn(&spawn);
}

static void collect(va_list list, const char **ret_arguments)
{
    size_t count = 0;
    do {
        REQUIRE(count < ARGUMENTS_MAX, "too many arguments");
        ret_arguments[count] = va_arg(list, const char *);
    } while (ret_arguments[count++] != NULL);
}

static int run_to_end(struct relay *relay, const char *command, const char *input,
                      const char *const *more)
{
    int status = 0;
    pid_t pid = spawn(relay, command, input, more);
    if (process_wait(pid, DEADLINE_MS, &status))
        return status;
    kill(pid, SIGKILL);
    fail_at(__FILE__, __LINE__, "walferry %s does not end:\n%s", command, relay_errors(relay));
}

int relay_command(struct relay *relay, const char *command, ...)
{
    const char *more[ARGUMENTS_MAX];
    va_list list;
    va_start(list, command);
    collect(list, more);
    va_end(list);
    return run_to_end(relay, command, NULL, more);
}

int relay_command_input(struct relay *relay, const char *input, const char *command, ...)
{
    const char *more[ARGUMENTS_MAX];
    const char *path = text("%s/input", relay->dir);
    va_list list;
    va_start(list, command);
    collect(list, more);
    va_end(list);
    write_file(path, input);
    return run_to_end(relay, command, path, more);
}

void relay_start(struct relay *relay, ...)
{
    const char *more[ARGUMENTS_MAX];
    va_list list;
    REQUIRE(relay->pid == 0, "the relay runs already");
    va_start(list, relay);
    collect(list, more);
    va_end(list);
    relay->pid = spawn(relay, "run", NULL, more);
}

void relay_begin(struct relay *relay)
{
    int status = relay_command(relay, "init", NULL);
    REQUIRE(status == 0, "init: status %d\n%s", status, relay_errors(relay));
    relay_start(relay, NULL);
    relay_wait_ready(relay);
}

bool relay_running(struct relay *relay)
{
    if (relay->pid != 0 && process_wait(relay->pid, 0, &relay->status))
        relay->pid = 0;
    return relay->pid != 0;
}

void relay_signal(struct relay *relay, int signal)
{
    REQUIRE(relay_running(relay), "the relay ended with status %d:\n%s", relay->status,
            relay_errors(relay));
    kill(relay->pid, signal);
}

int relay_wait(struct relay *relay)
{
    if (relay->pid != 0) {
        REQUIRE(process_wait(relay->pid, DEADLINE_MS, &relay->status),
                "the relay does not end:\n%s", relay_errors(relay));
        relay->pid = 0;
    }
    return relay->status;
}

void relay_stop(struct relay *relay)
{
    relay_signal(relay, SIGTERM);
    int status = relay_wait(relay);
    REQUIRE(status == 0, "stopped with status %d:\n%s", status, relay_errors(relay));
}

void relay_kill(struct relay *relay)
{
    relay_signal(relay, SIGKILL);
    relay_wait(relay);
}

void relay_free(struct relay *relay)
{
    if (relay_running(relay))
        relay_kill(relay);
    free(relay);
}

/* ---- what it says -------------------------------------------------------------------------- */

static void still_runs(struct relay *relay, const char *until)
{
    REQUIRE(relay_running(relay), "the relay ended with status %d before %s:\n%s", relay->status,
            until, relay_errors(relay));
}

void relay_wait_ready(struct relay *relay)
{
    uint64_t give_up = now_ms() + DEADLINE_MS;
    char *body = text("%s", "(no answer)");
    while (relay_http(relay, "/readyz", &body) != 200) {
        still_runs(relay, "it was ready");
        REQUIRE(now_ms() < give_up, "the relay does not get ready: %s\n%s", body,
                relay_errors(relay));
        pause_ms(20);
    }
}

static bool log_holds(const struct relay *relay, const char *words)
{
    static char line[65536];
    bool found = false;
    FILE *log = fopen(relay->err, "re");
    while (!found && log != NULL && fgets(line, sizeof line, log) != NULL)
        found = strstr(line, words) != NULL;
    if (log != NULL)
        fclose(log);
    return found;
}

void relay_wait_log(struct relay *relay, const char *words)
{
    uint64_t give_up = now_ms() + DEADLINE_MS;
    while (!log_holds(relay, words)) {
        still_runs(relay, text("it said \"%s\"", words));
        REQUIRE(now_ms() < give_up, "no \"%s\" in the log:\n%s", words, relay_errors(relay));
        pause_ms(20);
    }
}

void relay_wait_counter(struct relay *relay, const char *name, int64_t count)
{
    uint64_t give_up = now_ms() + DEADLINE_MS;
    for (;;) {
        still_runs(relay, text("it counted %lld %s", (long long)count, name));
        json_t *status = relay_status(relay);
        int64_t value =
            json_integer_value(json_object_get(json_object_get(status, "counters"), name));
        json_decref(status);
        if (value >= count)
            return;
        REQUIRE(now_ms() < give_up, "%s stays at %lld, below %lld:\n%s", name, (long long)value,
                (long long)count, relay_errors(relay));
        pause_ms(20);
    }
}

int relay_http(const struct relay *relay, const char *path, char **ret_body)
{
    return http_get(relay->http_port, path, NULL, ret_body);
}

json_t *relay_status(const struct relay *relay)
{
    char *body;
    json_error_t error;
    if (relay_http(relay, "/status", &body) != 200)
        return json_object();
    json_t *status = json_loads(body, 0, &error);
    REQUIRE(status != NULL, "/status: %s in: %s", error.text, body);
    return status;
}

double relay_metric(const struct relay *relay, const char *name)
{
    char *body;
    double sum = 0;
    size_t len = strlen(name);
    REQUIRE(relay_http(relay, "/metrics", &body) == 200, "no /metrics");
    for (char *line; (line = strsep(&body, "\n")) != NULL;) {
        if (strncmp(line, name, len) != 0 || (line[len] != ' ' && line[len] != '{'))
            continue;
        const char *value = strrchr(line, ' ');
        sum += value == NULL ? 0 : strtod(value, NULL);
    }
    return sum;
}

long relay_peak_kib(const struct relay *relay)
{
    return process_peak_kib(relay->pid);
}

char *relay_output(const struct relay *relay)
{
    return read_file(relay->out);
}

char *relay_errors(const struct relay *relay)
{
    return read_file(relay->err);
}
