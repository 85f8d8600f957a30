/* SPDX-License-Identifier: Apache-2.0 */
#include "kafka_server.h"

#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

/* Any will do: each broker is a cluster of its own. */
#define CLUSTER_ID "walferryTestsCluster00"
#define ANSWER_MS  2000

static const char base_settings[] =
    "process.roles=broker,controller\n"
    "node.id=1\n"
    "controller.listener.names=CONTROLLER\n"
    "inter.broker.listener.name=PLAINTEXT\n"
    "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
    "auto.create.topics.enable=false\n"
    "offsets.topic.replication.factor=1\n"
    "offsets.topic.num.partitions=1\n"
    "transaction.state.log.replication.factor=1\n"
    "transaction.state.log.min.isr=1\n"
    "transaction.state.log.num.partitions=2\n"
    "share.coordinator.state.topic.replication.factor=1\n"
    "share.coordinator.state.topic.min.isr=1\n"
    "share.coordinator.state.topic.num.partitions=1\n"
    "group.initial.rebalance.delay.ms=0\n"
    /* A killed broker may come back only when its session is over. */
    "broker.heartbeat.interval.ms=500\n"
    "broker.session.timeout.ms=3000\n"
    "log.cleaner.dedupe.buffer.size=16777216\n"
    "num.network.threads=2\n"
    "num.io.threads=2\n";

static char *library_path(void)
{
    const char *cache = getenv("WALFERRY_TEST_CACHE");
    if (cache == NULL || cache[0] == '\0')
        cache = text("%s/tests/.cache", E2E_SOURCE_ROOT);
    char *path = text("%s/kafka/lib", cache);
    REQUIRE(access(path, R_OK) == 0,
            "no Apache Kafka in %s: run tests/run once, or set WALFERRY_TEST_CACHE", path);
    return path;
}

static char *settings_path(const struct kafka_server *server)
{
    return text("%s/server.properties", server->dir);
}

/* A quick start matters more than speed later. */
static pid_t spawn_java(const struct kafka_server *server, const char *const *arguments)
{
    const char *argv[17] = {
        "java", "-Xmx512m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
        "-Xshare:auto", "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
        /* A broker that is killed leaves its libraries there. */
        text("-Djava.io.tmpdir=%s", server->dir), "-cp", text("%s/*", library_path())};
    size_t count = 10;
    while (*arguments != NULL && count < 16)
        argv[count++] = *arguments++;
    const struct spawn spawn = {.argv = argv, .out_path = server->log, .err_path = server->log};
    return process_spawn(&spawn);
}

static void format_storage(const struct kafka_server *server)
{
    const char *const arguments[] = {"kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c",
                                     settings_path(server),     NULL};
    int status = 0;
    pid_t pid = spawn_java(server, arguments);
    REQUIRE(process_wait(pid, DEADLINE_MS, &status) && status == 0, "StorageTool failed:\n%s",
            read_file(server->log));
}

void kafka_configure(struct kafka_server *server, const char *settings)
{
    FILE *file = fopen(settings_path(server), "ae");
    REQUIRE(file != NULL && fprintf(file, "%s\n", settings) > 0 && fclose(file) == 0,
            "%s cannot be written", settings_path(server));
}

struct kafka_server *kafka_start(const char *settings)
{
    static int count;
    struct kafka_server *server = calloc(1, sizeof *server);
    REQUIRE(server != NULL, "out of memory");
    snprintf(server->dir, sizeof server->dir, "%s/kafka%d-%d", harness_dir(), (int)getpid(),
             count++);
    snprintf(server->log, sizeof server->log, "%s/log", server->dir);
    server->port = free_port();
    server->controller_port = free_port();
    snprintf(server->address, sizeof server->address, "127.0.0.1:%u", server->port);
    make_directory(server->dir);
    kafka_configure(server, base_settings);
    kafka_configure(server, text("num.partitions=%d\n"
                                 "controller.quorum.voters=1@127.0.0.1:%u\n"
                                 "listeners=PLAINTEXT://127.0.0.1:%u,CONTROLLER://127.0.0.1:%u\n"
                                 "log.dirs=%s/data\n",
                                 KAFKA_PARTITIONS, server->controller_port, server->port,
                                 server->controller_port, server->dir));
    if (settings != NULL)
        kafka_configure(server, settings);
    format_storage(server);
    kafka_resume(server);
    return server;
}

struct kafka_server *kafka_external(const char *address)
{
    struct kafka_server *server = calloc(1, sizeof *server);
    REQUIRE(server != NULL, "out of memory");
    snprintf(server->address, sizeof server->address, "%s", address);
    server->external = true;
    return server;
}

/* librdkafka's threads do not survive a fork, so before the tests it lives in a process of its own.
 */
static bool answers(const struct kafka_server *server)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        const struct rd_kafka_metadata *metadata;
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        rd_kafka_conf_set(conf, "bootstrap.servers", server->address, NULL, 0);
        rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
        rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
        rd_kafka_resp_err_t error = rd_kafka_metadata(client, 0, NULL, &metadata, ANSWER_MS);
        _exit(error == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->broker_cnt > 0 ? 0 : 1);
    }
    return process_wait(pid, 4 * ANSWER_MS, &status) && status == 0;
}

void kafka_launch(struct kafka_server *server)
{
    const char *const arguments[] = {"kafka.Kafka", settings_path(server), NULL};
    REQUIRE(server->pid == 0 && !server->external, "the broker is not a stopped one of ours");
    server->pid = spawn_java(server, arguments);
}

bool kafka_answers(struct kafka_server *server)
{
    int status;
    REQUIRE(!process_wait(server->pid, 0, &status), "Kafka ended:\n%s", read_file(server->log));
    return answers(server);
}

void kafka_resume(struct kafka_server *server)
{
    uint64_t give_up = now_ms() + 2 * DEADLINE_MS;
    kafka_launch(server);
    while (!kafka_answers(server)) {
        REQUIRE(now_ms() < give_up, "Kafka does not answer:\n%s", read_file(server->log));
        pause_ms(100);
    }
}

static void end(struct kafka_server *server, int signal)
{
    int status;
    REQUIRE(!server->shared, "a shared broker may not be stopped: use kafka_start()");
    REQUIRE(server->pid != 0, "the broker is stopped already");
    kill(server->pid, signal);
    REQUIRE(process_wait(server->pid, DEADLINE_MS, &status), "Kafka does not stop:\n%s",
            read_file(server->log));
    server->pid = 0;
}

void kafka_stop(struct kafka_server *server)
{
    end(server, SIGTERM);
}

void kafka_kill(struct kafka_server *server)
{
    end(server, SIGKILL);
}

void kafka_free(struct kafka_server *server)
{
    if (server == NULL)
        return;
    if (server->pid != 0)
        kafka_kill(server);
    if (server->dir[0] != '\0')
        remove_tree(server->dir);
    free(server);
}
