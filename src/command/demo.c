/* SPDX-License-Identifier: Apache-2.0 */
/*
 * demo: everything at once on throw-away parts. The relay is the real one, in this thread, with a
 * configuration made here; the service that writes and the consumer that reads are a second thread.
 * Its slot is always a temporary one, so that no way to end the demo leaves a slot behind.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "demo_database.h"
#include "demo_player.h"
#include "walferry/base/clock.h"
#include "walferry/base/log.h"
#include "walferry/base/parse.h"
#include "walferry/command/command.h"
#include "walferry/pg/pg.h"
#include "walferry/relay/relay.h"

#define HTTP_PORT   9188
#define TOPICS      "walferry-demo.*"
#define ORDER_TOPIC "walferry-demo.order"
#define COUNT_MAX   1000000000
#define START_NS    (60 * NS_PER_S)

struct demo {
    const char *kafka;    /* HOST:PORT, or NULL */
    const char *conninfo; /* of the user's, or NULL */
    uint64_t count;
    char name[32];
    bool has_server;
    struct demo_server server;
    struct kafka_mock *mock;
    struct config *config;
    struct demo_database database;
    struct kafka_consumer *consumer;
    struct demo_print print;
    struct demo_player player;
    uint64_t published;
    uint64_t start_ns;
    bool started;
    struct err err; /* what went wrong in a hook */
};

static const char *const topics[] = {TOPICS};

/* --- signals: until the relay takes them, they wait --- */

static void hold_signals(void)
{
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    sigaddset(&held, SIGHUP);
    sigprocmask(SIG_BLOCK, &held, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static bool interrupted(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1 ||
            sigismember(&pending, SIGHUP) == 1);
}

/* --- configuration --- */

/* As YAML text in which nothing is special. */
static void put_scalar(struct buf *out, const char *text)
{
    buf_put_u8(out, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '$') {
            buf_put_u8(out, (uint8_t)*text);
        }
        buf_put_u8(out, (uint8_t)*text);
    }
    buf_put_u8(out, '\'');
}

/* A relay of the user's may have the usual port. */
static bool port_is_free(uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool free = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
                bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
                listen(fd, 1) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return free;
}

static void put_config(const struct demo *demo, struct buf *out)
{
    buf_printf(out, "version: 1\nname: %s\nsource:\n  conninfo: ", demo->name);
    put_scalar(out, demo->conninfo == NULL ? demo->server.conninfo : demo->conninfo);
    buf_printf(out, "\n  slot: walferry_%s\n  publication: walferry_%s\n", demo->name, demo->name);
    buf_put_str(out, "capture:\n  - outbox: outbox.event\n"
                     "route:\n  topic: \"walferry-demo.${aggregate_type}\"\n"
                     "delivery:\n  dead_letter_topic: walferry-demo.dead-letter\n"
                     "  drain_timeout: 5s\n"
                     "sink:\n  kafka:\n    bootstrap.servers: ");
    put_scalar(out, demo->mock == NULL ? demo->kafka : kafka_mock_bootstrap(demo->mock));
    buf_printf(out, "\nhttp:\n  listen: 127.0.0.1:%d\nlog:\n  level: warn\n",
               port_is_free(HTTP_PORT) ? HTTP_PORT : 0);
}

static bool make_config(struct demo *demo, struct err *err)
{
    struct config_problems problems;
    struct buf text;
    buf_init(&text, 16384);
    put_config(demo, &text);
    bool ok = config_load_text("demo", buf_bytes(&text), NULL, 0, &demo->config, &problems);
    buf_deinit(&text);
    if (!ok) {
        *err = problems.items[0];
        err->where[0] = '\0';
        return false;
    }
    demo->config->sink.mock = demo->mock != NULL;
    demo->config->source.temporary = true;
    log_setup(demo->config->log_format, demo->config->log_level, NULL);
    return true;
}

/* --- hooks of the relay --- */

static void announce(const struct demo *demo, unsigned http_port)
{
    char server[256];
    pg_conninfo_describe(demo->config->source.conninfo, server, sizeof(server));
    const struct demo_start start = {
        .server_version = demo->database.server_version,
        .server = demo->has_server ? demo->server.directory : server,
        .psql = server,
        .private_server = demo->has_server,
        .bootstrap = demo->mock == NULL ? demo->kafka : kafka_mock_bootstrap(demo->mock),
        .mock = demo->mock != NULL,
        .topic = ORDER_TOPIC,
        .http_port = http_port,
        .ends_by_itself = demo->count != 0,
    };
    demo_print_start(&demo->print, &start);
}

static void on_started(void *context, unsigned http_port)
{
    struct demo *demo = context;
    demo->started = true;
    announce(demo, http_port);
    demo->player.name = demo->name;
    demo->player.conninfo = demo->config->source.conninfo;
    demo->player.server = demo->has_server ? &demo->server : NULL;
    demo->player.consumer = demo->consumer;
    demo->player.print = &demo->print;
    demo->player.count = demo->count;
    discard(demo_player_begin(&demo->player, &demo->err));
}

static bool on_stop(void *context)
{
    struct demo *demo = context;
    if (!demo->started && clock_mono_ns() >= demo->start_ns + START_NS) {
        err_set(&demo->err, ERR_CHECK_FAILED, "the relay does not stream after a minute");
        err_hint(&demo->err, "what it waits for is said above");
    }
    return err_is_set(&demo->err) || atomic_load(&demo->player.ended);
}

static void on_ended(void *context, const struct status *status)
{
    struct demo *demo = context;
    demo->published = status->events_published;
}

/* --- the whole --- */

static bool open_kafka(struct demo *demo, struct err *err)
{
    return demo->kafka != NULL || kafka_mock_new(1, &demo->mock, err);
}

/* Before anything is written: a Kafka that is not there would only keep the relay waiting. */
static bool open_consumer(struct demo *demo, struct err *err)
{
    struct kafka_message message;
    return kafka_consumer_new(&demo->config->sink, topics, ARRAY_LEN(topics), &demo->consumer,
                              err) &&
           kafka_consumer_poll(demo->consumer, 0, &message, err) != KAFKA_FAILED;
}

static bool prepare(struct demo *demo, struct err *err)
{
    if (demo->conninfo == NULL) {
        demo->has_server = demo_server_start(interrupted, &demo->server, err);
        if (!demo->has_server) {
            return false;
        }
    }
    return open_kafka(demo, err) && make_config(demo, err) && open_consumer(demo, err) &&
           demo_database_prepare(demo->config, &demo->database, err);
}

static int relay(struct demo *demo)
{
    const struct relay_hooks hooks = {
        .started = on_started, .stop = on_stop, .ended = on_ended, .context = demo};
    demo->start_ns = clock_mono_ns();
    int status = relay_run(demo->config, &hooks);
    demo_player_end(&demo->player);
    const struct err *err = err_is_set(&demo->err) ? &demo->err : &demo->player.err;
    struct demo_sums sums = {.written = demo->player.written,
                             .published = demo->published,
                             .consumed = demo->player.consumed};
    sums.has_median = demo_player_median(&demo->player, &sums.median_ns);
    if (sums.written > 0) {
        printf("\n");
        demo_print_sums(&demo->print, &sums);
    }
    return err_is_set(err) && status == 0 ? command_fail(err) : status;
}

static int clean(struct demo *demo)
{
    struct err err;
    int status = 0;
    /* A private server goes as a whole. */
    if (demo->config != NULL && !demo->has_server && !demo_database_clean(&demo->database, &err)) {
        err_context(&err, "what the demo made is not removed");
        err_hint(&err,
                 "DROP PUBLICATION walferry_%s;  and, if nothing else is in it, "
                 "DROP SCHEMA outbox CASCADE;",
                 demo->name);
        status = command_fail(&err);
    }
    kafka_consumer_free(demo->consumer);
    config_free(demo->config);
    kafka_mock_free(demo->mock);
    if (demo->has_server) {
        demo_server_stop(&demo->server);
    }
    return status;
}

static int play(struct demo *demo)
{
    struct err err;
    int status = 0;
    hold_signals();
    demo_print_init(&demo->print);
    if (prepare(demo, &err)) {
        status = relay(demo);
    } else if (err.code != ERR_INTERRUPTED) {
        status = command_fail(&err);
    }
    int cleaned = clean(demo);
    return status == 0 ? cleaned : status;
}

static bool read_arguments(const struct arguments *arguments, struct demo *demo, struct err *err)
{
    uint32_t unique;
    const char *count = arguments_value(arguments, "--count");
    demo->kafka = arguments_value(arguments, "--kafka");
    demo->conninfo = arguments_value(arguments, "--conninfo");
    if (count != NULL && (!parse_u64(bytes_str(count), &demo->count) || demo->count == 0 ||
                          demo->count > COUNT_MAX)) {
        err_set(err, ERR_USAGE, "--count %s: not a number from 1 to %d", count, COUNT_MAX);
        return err_hint(err, "walferry demo --count 5");
    }
    if (getrandom(&unique, sizeof(unique), 0) != (ssize_t)sizeof(unique)) {
        return err_set(err, ERR_OS, "the system has no random numbers");
    }
    snprintf(demo->name, sizeof(demo->name), "demo_%08x", unique);
    return true;
}

int command_demo(const struct arguments *arguments)
{
    struct err err;
    struct demo *demo = calloc(1, sizeof(*demo));
    if (demo == NULL) {
        discard(err_set(&err, ERR_MEMORY, "no memory for the demo"));
        return command_fail(&err);
    }
    int status = read_arguments(arguments, demo, &err) ? play(demo) : command_fail(&err);
    free(demo);
    return status;
}
