/* SPDX-License-Identifier: Apache-2.0 */
#include "hurry.h"

#include <pthread.h>
#include <stdlib.h>

#include "walferry/base/assert.h"
#include "walferry/base/clock.h"

#define PIECE_MS 1
/* Records that may hurry at once, and a second in the long run. */
#define BURST         2000
#define RATE_A_SECOND 8000

struct hurry {
    pthread_t thread;
    pthread_mutex_t mutex; /* of all down to quit */
    pthread_cond_t changed;
    rd_kafka_t *producer;
    bool wanted;
    bool flushing;
    bool quit;
    uint64_t counted; /* since the last hurry_ask() */
    uint64_t level;   /* of those that came faster than they may */
    uint64_t level_ns;
};

static void lock(struct hurry *hurry)
{
    int failed = pthread_mutex_lock(&hurry->mutex);
    ASSERT(failed == 0);
}

static void unlock(struct hurry *hurry)
{
    int failed = pthread_mutex_unlock(&hurry->mutex);
    ASSERT(failed == 0);
}

static void changed(struct hurry *hurry)
{
    int failed = pthread_cond_broadcast(&hurry->changed);
    ASSERT(failed == 0);
}

static void wait(struct hurry *hurry)
{
    int failed = pthread_cond_wait(&hurry->changed, &hurry->mutex);
    ASSERT(failed == 0);
}

static void flush(struct hurry *hurry)
{
    rd_kafka_t *producer = hurry->producer;
    hurry->wanted = false;
    hurry->flushing = true;
    unlock(hurry);
    (void)rd_kafka_flush(producer, PIECE_MS);
    lock(hurry);
    hurry->flushing = false;
    changed(hurry);
}

static void *work(void *argument)
{
    struct hurry *hurry = argument;
    lock(hurry);
    while (!hurry->quit) {
        if (hurry->wanted && hurry->producer != NULL) {
            flush(hurry);
        } else {
            wait(hurry);
        }
    }
    unlock(hurry);
    return NULL;
}

struct hurry *hurry_new(void)
{
    struct hurry *hurry = calloc(1, sizeof(*hurry));
    if (hurry == NULL) {
        return NULL;
    }
    pthread_mutex_init(&hurry->mutex, NULL);
    pthread_cond_init(&hurry->changed, NULL);
    if (pthread_create(&hurry->thread, NULL, work, hurry) != 0) {
        pthread_cond_destroy(&hurry->changed);
        pthread_mutex_destroy(&hurry->mutex);
        free(hurry);
        return NULL;
    }
    return hurry;
}

void hurry_free(struct hurry *hurry)
{
    if (hurry == NULL) {
        return;
    }
    lock(hurry);
    hurry->quit = true;
    changed(hurry);
    unlock(hurry);
    int failed = pthread_join(hurry->thread, NULL);
    ASSERT(failed == 0);
    pthread_cond_destroy(&hurry->changed);
    pthread_mutex_destroy(&hurry->mutex);
    free(hurry);
}

void hurry_for(struct hurry *hurry, rd_kafka_t *producer)
{
    if (hurry == NULL) {
        return;
    }
    lock(hurry);
    while (hurry->flushing) {
        wait(hurry);
    }
    hurry->producer = producer;
    hurry->wanted = false;
    unlock(hurry);
}

void hurry_count(struct hurry *hurry)
{
    if (hurry != NULL) {
        hurry->counted++;
    }
}

/* Whether the rate of what was counted allows it; what was counted is charged either way. */
static bool may_hurry(struct hurry *hurry, uint64_t now_ns)
{
    uint64_t drained = (now_ns - hurry->level_ns) / (NS_PER_S / RATE_A_SECOND);
    hurry->level -= drained < hurry->level ? drained : hurry->level;
    hurry->level_ns += drained * (NS_PER_S / RATE_A_SECOND);
    hurry->level += hurry->counted;
    hurry->level = hurry->level < 2 * BURST ? hurry->level : 2 * BURST;
    hurry->counted = 0;
    return hurry->level < BURST;
}

void hurry_ask(struct hurry *hurry, uint64_t now_ns)
{
    if (hurry == NULL || hurry->counted == 0 || !may_hurry(hurry, now_ns)) {
        return;
    }
    lock(hurry);
    hurry->wanted = true;
    if (!hurry->flushing) {
        changed(hurry);
    }
    unlock(hurry);
}
