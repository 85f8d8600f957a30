/* SPDX-License-Identifier: Apache-2.0 */
#include "demo_player.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "setup.h"
#include "walferry/base/clock.h"
#include "walferry/base/parse.h"
#include "walferry/pg/pg.h"

#define CONNECT_MS 15000
#define INSERT_MS  15000
#define POLL_MS    100
#define PACE_NS    (300 * NS_PER_MS)
/* With a number of orders to write, so many may be on their way at once. */
#define EAGER_WINDOW 64
/* Orders go through their steps side by side. */
#define ORDERS_ABREAST 3
/* Events that did not come back for so long will not. */
#define PATIENCE_NS   (60 * NS_PER_S)
#define STATEMENT_MAX 4096

/* --- the service: orders and their events --- */

struct order {
    unsigned number;
    unsigned lines;
    unsigned euros;
};

static void put_placed(struct buf *out, const struct order *order)
{
    buf_printf(out,
               "{\"order\":\"order-%u\",\"customer\":\"customer-%u\",\"lines\":%u,"
               "\"total\":{\"amount\":\"%u.90\",\"currency\":\"EUR\"}}",
               order->number, 7 + order->number % 90, order->lines, order->euros);
}

static void put_paid(struct buf *out, const struct order *order)
{
    buf_printf(out,
               "{\"order\":\"order-%u\",\"method\":\"card\","
               "\"total\":{\"amount\":\"%u.90\",\"currency\":\"EUR\"}}",
               order->number, order->euros);
}

static void put_shipped(struct buf *out, const struct order *order)
{
    buf_printf(out, "{\"order\":\"order-%u\",\"carrier\":\"by sea\",\"parcel\":\"P-%u-%u\"}",
               order->number, order->number, order->lines);
}

struct order_step {
    const char *type;
    void (*put_payload)(struct buf *out, const struct order *order);
};

static const struct order_step order_steps[] = {
    {"order.placed", put_placed},
    {"order.paid", put_paid},
    {"order.shipped", put_shipped},
};

/* Events are numbered through; three orders are placed, then paid, then shipped. */
static struct order order_of(uint64_t number)
{
    uint64_t round = number / (ORDERS_ABREAST * ARRAY_LEN(order_steps));
    unsigned order = (unsigned)(1001 + round * ORDERS_ABREAST + number % ORDERS_ABREAST);
    return (struct order){.number = order, .lines = 1 + order % 4, .euros = 12 + order * 37 % 180};
}

static const struct order_step *step_of(uint64_t number)
{
    return &order_steps[number / ORDERS_ABREAST % ARRAY_LEN(order_steps)];
}

/* Each event is a span of its own in the trace of its order. */
static void put_traceparent(struct buf *out, const struct order *order)
{
    uint64_t span = 0;
    while (span == 0) {
        discard(getrandom(&span, sizeof(span), 0) == (ssize_t)sizeof(span));
    }
    buf_printf(out, "'00-%016llx%016llx-%016llx-01'", 0x77616c6665727279ULL,
               (unsigned long long)order->number, (unsigned long long)span);
}

static void put_insert(struct demo_player *player, struct buf *sql)
{
    uint64_t number = player->written;
    struct order order = order_of(number);
    const struct order_step *step = step_of(number);
    const char *cause = player->last_id[order.number % PLAYER_WINDOW];
    buf_put_str(sql, "INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, payload,"
                     " headers, traceparent, correlation_id, causation_id) VALUES ('order', ");
    buf_printf(sql, "'order-%u', '%s', '", order.number, step->type);
    step->put_payload(sql, &order);
    buf_printf(sql, "', '{\"demo\":\"%s\",\"number\":\"%llu\"}', ", player->name,
               (unsigned long long)number);
    put_traceparent(sql, &order);
    buf_printf(sql, ", 'checkout-%u', ", order.number);
    if (step == &order_steps[0]) {
        buf_put_str(sql, "NULL");
    } else {
        setup_put_literal(sql, cause);
    }
    buf_put_str(sql, ") RETURNING id");
}

static bool write_event(struct demo_player *player)
{
    char storage[STATEMENT_MAX];
    struct buf sql;
    buf_init_over(&sql, storage, sizeof(storage));
    put_insert(player, &sql);
    if (!pg_query(player->pg, buf_cstr(&sql), INSERT_MS, &player->err)) {
        return err_context(&player->err, "writing order %llu",
                           (unsigned long long)player->written + 1);
    }
    char *id = player->last_id[order_of(player->written).number % PLAYER_WINDOW];
    snprintf(id, sizeof(player->last_id[0]), "%.*s", BYTES_FMT(pg_value(player->pg, 0, 0)));
    uint64_t now_ns = clock_mono_ns();
    player->committed_ns[player->written % PLAYER_WINDOW] = now_ns;
    player->written++;
    player->next_write_ns = now_ns + (player->count == 0 ? PACE_NS : 0);
    return true;
}

/* The first one goes alone, until the consumer has found the topic. */
static bool may_write(const struct demo_player *player)
{
    uint64_t under_way = player->written - player->consumed;
    uint64_t window = player->count == 0 ? PLAYER_WINDOW : EAGER_WINDOW;
    if (player->consumed == 0) {
        window = 1;
    }
    return under_way < window && (player->count == 0 || player->written < player->count) &&
           clock_mono_ns() >= player->next_write_ns;
}

/* --- the consumer --- */

/* Time since the commit; 0 when it is no event of ours, or came before. */
static uint64_t take_back(struct demo_player *player, const struct kafka_message *message)
{
    uint64_t number;
    if (!bytes_is(demo_header(message, "demo"), player->name) ||
        !parse_u64(demo_header(message, "number"), &number) || number >= player->written) {
        return 0;
    }
    uint64_t *committed_ns = &player->committed_ns[number % PLAYER_WINDOW];
    if (*committed_ns == 0) {
        return 0;
    }
    uint64_t now_ns = clock_mono_ns();
    uint64_t latency_ns = now_ns - *committed_ns + 1;
    *committed_ns = 0;
    player->latencies_ns[player->consumed++ % PLAYER_LATENCIES] = latency_ns;
    player->progress_ns = now_ns;
    return latency_ns;
}

/* A Kafka of the user may hold records of earlier demos, and of others. */
static bool is_of_this_demo(const struct demo_player *player, const struct kafka_message *message)
{
    char source[64];
    snprintf(source, sizeof(source), "/%s", player->name);
    return bytes_is(demo_member(message->value, "source"), source) ||
           bytes_is(demo_header(message, "walferry_pipeline"), player->name);
}

static uint64_t poll_ms(const struct demo_player *player)
{
    uint64_t now_ns = clock_mono_ns();
    if (may_write(player)) {
        return 0;
    }
    uint64_t until_ns =
        player->next_write_ns > now_ns ? player->next_write_ns - now_ns : UINT64_MAX;
    return until_ns < POLL_MS * NS_PER_MS ? until_ns / NS_PER_MS + 1 : POLL_MS;
}

static bool read_back(struct demo_player *player)
{
    struct kafka_message message;
    struct err err;
    switch (kafka_consumer_poll(player->consumer, poll_ms(player), &message, &err)) {
    case KAFKA_MESSAGE:
        if (is_of_this_demo(player, &message)) {
            demo_print_record(player->print, &message, take_back(player, &message));
        }
        return true;
    case KAFKA_NOTHING:
    case KAFKA_END:
        return true;
    case KAFKA_FAILED:
        break;
    }
    player->err = err;
    return err_class(err.code) == ERR_CLASS_TRANSIENT;
}

/* --- the thread --- */

static bool overdue(struct demo_player *player)
{
    if (player->consumed == player->written || player->count == 0 ||
        clock_mono_ns() < player->progress_ns + PATIENCE_NS) {
        return false;
    }
    err_set(&player->err, ERR_CHECK_FAILED, "%llu of %llu events did not come back within a minute",
            (unsigned long long)(player->written - player->consumed),
            (unsigned long long)player->written);
    err_hint(&player->err, "see what the relay says above; with --kafka, whether that Kafka works");
    return true;
}

static bool turn(struct demo_player *player)
{
    if (player->count != 0 && player->consumed == player->count) {
        return false;
    }
    if (may_write(player) && !write_event(player)) {
        return false;
    }
    if (!read_back(player)) {
        return false;
    }
    player->err = ERR_INIT;
    if (player->server != NULL && demo_server_ended(player->server, &player->err)) {
        return false;
    }
    return demo_print_ok() && !overdue(player);
}

static void *play(void *context)
{
    struct demo_player *player = context;
    const struct pg_opts opts = {.conninfo = player->conninfo, .application_name = "walferry_demo"};
    player->progress_ns = clock_mono_ns();
    if (pg_connect(&opts, CONNECT_MS, &player->pg, &player->err)) {
        while (!atomic_load(&player->told_to_end) && turn(player)) {
        }
        pg_close(player->pg);
    }
    atomic_store(&player->ended, true);
    return NULL;
}

bool demo_player_begin(struct demo_player *player, struct err *err)
{
    int number = pthread_create(&player->thread, NULL, play, player);
    if (number != 0) {
        return err_set(err, ERR_OS, "cannot start a thread: %s", strerror(number));
    }
    player->running = true;
    return true;
}

void demo_player_end(struct demo_player *player)
{
    if (!player->running) {
        return;
    }
    atomic_store(&player->told_to_end, true);
    discard(pthread_join(player->thread, NULL) == 0);
    player->running = false;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

bool demo_player_median(struct demo_player *player, uint64_t *ret_ns)
{
    size_t count =
        player->consumed < PLAYER_LATENCIES ? (size_t)player->consumed : PLAYER_LATENCIES;
    if (count == 0) {
        return false;
    }
    qsort(player->latencies_ns, count, sizeof(player->latencies_ns[0]), compare);
    *ret_ns = player->latencies_ns[(count - 1) / 2];
    return true;
}
