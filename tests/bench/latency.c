/* SPDX-License-Identifier: Apache-2.0 */
/* latency conninfo=... topic=... partitions=N rate=N seconds=N [warmup=SECONDS] [payload=BYTES]
 *         [connections=N] [wait=SECONDS] PROPERTY=VALUE...
 *
 * Commits transactions of one row at a steady rate, reads the records that a relay makes of them,
 * and prints as JSON how long it took from commit to consumer, in microseconds.
 *
 * The load is open: each transaction has its moment beforehand, and is sent at that moment whether
 * or not those before it were answered (pipelines on several connections). What is measured begins
 * at that moment, not when the process got round to it, so no delay hides those behind it. `commit`
 * is what of it had passed when the server had answered the commit. */
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#define CONNECTIONS_MAX 64
#define AGGREGATES      10000
#define MARK            "bench"
#define CONSUME_MS      50
#define MICROSECOND     1000

struct sender {
    PGconn *db;
    int64_t sent; /* transactions */
    int64_t answered;
};

struct measure {
    struct sender senders[CONNECTIONS_MAX];
    int64_t connections;
    int64_t begin; /* of transaction 0 */
    int64_t rate;
    int64_t total;
    int64_t warmup; /* transactions that do not count */
    size_t payload_len;
    int64_t latest; /* worst delay of sending */
    int64_t *commits;
    int64_t *arrivals; /* -1: not arrived */
    rd_kafka_t *consumer;
    atomic_int_fast64_t arrived;
    atomic_int_fast64_t twice;
    atomic_int_fast64_t ends;
    atomic_bool done;
};

static int64_t moment(const struct measure *measure, int64_t number)
{
    return measure->begin + number * NANOSECONDS / measure->rate;
}

/* ---- the consumer --------------------------------------------------------------------------- */

/* The number behind the mark, however the payload was quoted on its way; -1: a record of others. */
static int64_t number_of(const rd_kafka_message_t *message)
{
    const char *end = (const char *)message->payload + message->len;
    const char *at = message->payload == NULL
                         ? NULL
                         : memmem(message->payload, message->len, MARK, strlen(MARK));
    if (at == NULL)
        return -1;
    while (at < end && (*at < '0' || *at > '9'))
        at++;
    int64_t number = 0;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (*at - '0');
    return number;
}

static void arrive(struct measure *measure, const rd_kafka_message_t *message)
{
    int64_t now = now_ns();
    int64_t number = number_of(message);
    if (number < 0)
        return;
    if (number >= measure->total)
        fail("a record has number %lld", (long long)number);
    if (measure->arrivals[number] >= 0) {
        atomic_fetch_add(&measure->twice, 1);
        return;
    }
    measure->arrivals[number] = now - moment(measure, number);
    atomic_fetch_add(&measure->arrived, 1);
}

static void *consume(void *context)
{
    struct measure *measure = context;
    while (!atomic_load(&measure->done)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(measure->consumer, CONSUME_MS);
        if (message == NULL)
            continue;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            arrive(measure, message);
        else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            atomic_fetch_add(&measure->ends, 1);
        else
            fail("%s", rd_kafka_message_errstr(message));
        rd_kafka_message_destroy(message);
    }
    return NULL;
}

/* Until every partition was read to its end once: then nothing that follows waits for the start. */
static void start_consumer(struct measure *measure, const char *topic, int64_t partitions)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    for (int64_t i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(list, topic, (int32_t)i)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_poll_set_consumer(measure->consumer);
    if (rd_kafka_assign(measure->consumer, list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        fail("the partitions cannot be assigned");
    rd_kafka_topic_partition_list_destroy(list);
}

/* ---- the load ------------------------------------------------------------------------------- */

static void open_sender(struct sender *sender, const char *conninfo)
{
    sender->db = PQconnectdb(conninfo);
    if (PQstatus(sender->db) != CONNECTION_OK)
        fail("%s", PQerrorMessage(sender->db));
    PGresult *result =
        PQprepare(sender->db, "publish",
                  "INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, payload) "
                  "VALUES ('order0', $1, 'order.paid', $2)",
                  2, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        fail("%s", PQerrorMessage(sender->db));
    PQclear(result);
    if (PQsetnonblocking(sender->db, 1) != 0 || PQenterPipelineMode(sender->db) != 1)
        fail("%s", PQerrorMessage(sender->db));
}

static void send_one(struct measure *measure, int64_t number)
{
    static char payload[1 << 20];
    char key[32];
    struct sender *sender = &measure->senders[number % measure->connections];
    PGconn *db = sender->db;
    snprintf(key, sizeof key, "a%lld", (long long)(number % AGGREGATES));
    size_t len = (size_t)snprintf(payload, sizeof payload, "{\"" MARK "\":\"%lld\",\"text\":\"",
                                  (long long)number);
    for (; len + 2 < measure->payload_len; len++)
        payload[len] = (char)('a' + (len * 7 + (size_t)number) % 26);
    memcpy(payload + len, "\"}", 3);
    const char *const values[] = {key, payload};
    int64_t late = now_ns() - moment(measure, number);
    measure->latest = late > measure->latest ? late : measure->latest;
    if (PQsendQueryPrepared(db, "publish", 2, values, NULL, NULL, 0) != 1 ||
        PQpipelineSync(db) != 1 || PQflush(db) < 0)
        fail("%s", PQerrorMessage(db));
    sender->sent++;
}

static void answers(struct measure *measure, int64_t which)
{
    struct sender *sender = &measure->senders[which];
    if (PQflush(sender->db) < 0 || PQconsumeInput(sender->db) != 1)
        fail("%s", PQerrorMessage(sender->db));
    int64_t now = now_ns();
    while (sender->answered < sender->sent && PQisBusy(sender->db) == 0) {
        PGresult *result = PQgetResult(sender->db);
        ExecStatusType status = PQresultStatus(result);
        /* Behind each command's result comes a NULL, behind that its synchronisation point. */
        if (result != NULL && status != PGRES_COMMAND_OK && status != PGRES_PIPELINE_SYNC)
            fail("a row was not committed: %s", PQresultErrorMessage(result));
        if (result != NULL && status == PGRES_PIPELINE_SYNC) {
            int64_t number = which + sender->answered * measure->connections;
            measure->commits[number] = now - moment(measure, number);
            sender->answered++;
        }
        PQclear(result);
    }
}

static void wait_until(struct measure *measure, int64_t until)
{
    struct pollfd polls[CONNECTIONS_MAX];
    int64_t left = until - now_ns();
    for (int64_t i = 0; i < measure->connections; i++)
        polls[i] = (struct pollfd){.fd = PQsocket(measure->senders[i].db), .events = POLLIN};
    left = left < 0 ? 0 : left;
    const struct timespec timeout = {.tv_sec = left / NANOSECONDS, .tv_nsec = left % NANOSECONDS};
    if (ppoll(polls, (nfds_t)measure->connections, &timeout, NULL) <= 0)
        return;
    for (int64_t i = 0; i < measure->connections; i++) {
        if (polls[i].revents != 0)
            answers(measure, i);
    }
}

static void load(struct measure *measure)
{
    int64_t next = 0;
    while (next < measure->total) {
        wait_until(measure, moment(measure, next));
        for (; next < measure->total && moment(measure, next) <= now_ns(); next++)
            send_one(measure, next);
    }
}

/* What was sent has time to arrive. */
static void settle(struct measure *measure, int64_t seconds)
{
    int64_t give_up = now_ns() + seconds * NANOSECONDS;
    for (;;) {
        int64_t answered = 0;
        for (int64_t i = 0; i < measure->connections; i++) {
            answers(measure, i);
            answered += measure->senders[i].answered;
        }
        if ((answered == measure->total && atomic_load(&measure->arrived) == measure->total) ||
            now_ns() > give_up)
            return;
        wait_until(measure, now_ns() + CONSUME_MS * 1000 * MICROSECOND);
    }
}

/* ---- the report ----------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static void print_percentiles(const char *name, int64_t *values, int64_t count)
{
    static const struct {
        const char *name;
        double part;
    } points[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};
    qsort(values, (size_t)count, sizeof *values, ascending);
    printf(", \"%s\": {\"count\": %lld", name, (long long)count);
    for (size_t i = 0; count > 0 && i < sizeof points / sizeof points[0]; i++) {
        int64_t at = (int64_t)(points[i].part * (double)count);
        at = at >= count ? count - 1 : at;
        printf(", \"%s\": %lld", points[i].name, (long long)(values[at] / MICROSECOND));
    }
    printf("}");
}

/* Those after the warm-up, without those that never came. */
static int64_t counted(const struct measure *measure, int64_t *values)
{
    int64_t count = 0;
    for (int64_t i = measure->warmup; i < measure->total; i++) {
        if (values[i] >= 0)
            values[count++] = values[i];
    }
    return count;
}

static void report(struct measure *measure)
{
    int64_t commits = counted(measure, measure->commits);
    int64_t arrivals = counted(measure, measure->arrivals);
    printf("{\"rate\": %lld, \"sent\": %lld, \"arrived\": %lld, \"twice\": %lld, \"latest\": %lld",
           (long long)measure->rate, (long long)measure->total,
           (long long)atomic_load(&measure->arrived), (long long)atomic_load(&measure->twice),
           (long long)(measure->latest / MICROSECOND));
    print_percentiles("commit", measure->commits, commits);
    print_percentiles("latency", measure->arrivals, arrivals);
    printf("}\n");
}

static int64_t *places(int64_t count)
{
    int64_t *list = malloc((size_t)count * sizeof *list);
    if (list == NULL)
        fail("out of memory");
    memset(list, 0xff, (size_t)count * sizeof *list);
    return list;
}

int main(int argc, char **argv)
{
    static struct measure measure;
    pthread_t thread;
    const char *conninfo = take_required(argc, argv, "conninfo");
    const char *topic = take_required(argc, argv, "topic");
    int64_t partitions = take_number(argc, argv, "partitions", 1);
    int64_t seconds = take_number(argc, argv, "seconds", 20);
    int64_t wait = take_number(argc, argv, "wait", 30);
    measure.rate = take_number(argc, argv, "rate", 1000);
    measure.warmup = take_number(argc, argv, "warmup", 2) * measure.rate;
    measure.total = measure.warmup + seconds * measure.rate;
    measure.payload_len = (size_t)take_number(argc, argv, "payload", 400);
    measure.connections = take_number(argc, argv, "connections", 16);
    if (measure.rate == 0 || measure.connections == 0 || measure.connections > CONNECTIONS_MAX ||
        measure.payload_len > 1000000)
        fail("rate, connections or payload is out of range");
    measure.commits = places(measure.total);
    measure.arrivals = places(measure.total);
    for (int64_t i = 0; i < measure.connections; i++)
        open_sender(&measure.senders[i], conninfo);
    measure.consumer = consumer_new(argc, argv);
    start_consumer(&measure, topic, partitions);
    if (pthread_create(&thread, NULL, consume, &measure) != 0)
        fail("no thread");
    while (atomic_load(&measure.ends) < partitions)
        poll(NULL, 0, CONSUME_MS);
    measure.begin = now_ns() + CONSUME_MS * 1000 * MICROSECOND;
    load(&measure);
    settle(&measure, wait);
    atomic_store(&measure.done, true);
    pthread_join(thread, NULL);
    report(&measure);
    return EXIT_SUCCESS;
}
