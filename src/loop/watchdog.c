/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/loop/watchdog.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "idle.h"
#include "walferry/base/assert.h"
#include "walferry/base/failpoint.h"
#include "walferry/base/log.h"

#define TICK_MS 1000

static struct {
    bool running;
    unsigned limit_s;
    int stop_fd;
    pthread_t thread;
    atomic_bool stopping;
    _Atomic uint64_t pats;
    const char *_Atomic phase;
} dog = {.stop_fd = -1, .phase = "start"};

/* Nobody else logs now: the thread that does hangs. The library may hold any lock, so nothing is
 * cleaned up. */
static void NORETURN give_up(void)
{
    struct err err;
    discard(err_set(&err, ERR_HUNG, "the main loop did not turn for %u s", dog.limit_s));
    err_where(&err, "phase %s", atomic_load_explicit(&dog.phase, memory_order_relaxed));
    err_hint(&err, "start it again, which is safe at any moment; if it happens again, report the "
                   "phase, and what walferry version --json prints");
    discard(FAILPOINT(WATCHDOG_FIRE));
    log_err(LOG_ERROR, "walferry hangs and ends itself", &err);
    _exit(err_exit_status(ERR_HUNG));
}

static void *watch(void *unused)
{
    struct pollfd stop = {.fd = dog.stop_fd, .events = POLLIN};
    struct idle idle = {0};
    (void)unused;
    for (;;) {
        int ready = poll(&stop, 1, TICK_MS);
        if (ready > 0 || atomic_load(&dog.stopping)) {
            return NULL;
        }
        /* An interrupted wait is no second that passed. */
        uint64_t pats = atomic_load_explicit(&dog.pats, memory_order_relaxed);
        if (ready == 0 && !idle_tick(&idle, pats, dog.limit_s)) {
            give_up();
        }
    }
}

/* Signals are for the thread that asked for them. */
static int start_thread(void)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    int number = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (number != 0) {
        return number;
    }
    number = pthread_create(&dog.thread, NULL, watch, NULL);
    int restored = pthread_sigmask(SIG_SETMASK, &before, NULL);
    ASSERT(restored == 0);
    return number;
}

bool watchdog_start(unsigned limit_s, struct err *err)
{
    ASSERT(!dog.running);
    if (limit_s == 0) {
        return true;
    }
    dog.limit_s = limit_s;
    atomic_store(&dog.stopping, false);
    dog.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int number = dog.stop_fd < 0 ? errno : start_thread();
    if (number != 0) {
        if (dog.stop_fd >= 0) {
            close(dog.stop_fd);
        }
        dog.stop_fd = -1;
        err_set(err, ERR_OS, "cannot start the watchdog: %s", strerror(number));
        return err_hint(err, "raise the limits of open files and of processes (LimitNOFILE= and "
                             "TasksMax= in the unit)");
    }
    dog.running = true;
    return true;
}

void watchdog_pat(const char *phase)
{
    atomic_store_explicit(&dog.phase, phase, memory_order_relaxed);
    atomic_fetch_add_explicit(&dog.pats, 1, memory_order_relaxed);
}

void watchdog_stop(void)
{
    const uint64_t one = 1;
    if (!dog.running) {
        return;
    }
    /* The descriptor only spares the wait for the next tick. */
    atomic_store(&dog.stopping, true);
    discard(write(dog.stop_fd, &one, sizeof one) == (ssize_t)sizeof one);
    int joined = pthread_join(dog.thread, NULL);
    ASSERT(joined == 0);
    close(dog.stop_fd);
    dog.stop_fd = -1;
    dog.running = false;
}
