/* SPDX-License-Identifier: Apache-2.0 */
#include "world_clock.h"

#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/loop/loop.h"

/* How often a wait looks whether it was granted; no time limit of anybody's. */
#define LOOK_NS NS_PER_MS

struct world_clock {
    atomic_ullong skipped_ns;
    atomic_uint waits;
    atomic_uint waiting;
    atomic_uint granted;
    atomic_uint passes;
    atomic_uint seen; /* passes that the relay took a whole turn after */
};

static struct world_clock *shared;
static bool inside;
static unsigned noticed; /* passes before the present turn began */
static bool (*own_business)(void);

uint64_t __wrap_clock_mono_ns(void);
uint64_t __real_clock_mono_ns(void);
bool __wrap_loop_wait(struct loop *loop, uint64_t timeout_ns, struct err *err);
bool __real_loop_wait(struct loop *loop, uint64_t timeout_ns, struct err *err);

void world_clock_start(void)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT(shared != MAP_FAILED);
}

void world_clock_stop(void)
{
    ASSERT(munmap(shared, sizeof *shared) == 0);
    shared = NULL;
}

/* ---- the relay's process ---- */

void world_clock_enter(bool (*busy)(void))
{
    inside = true;
    own_business = busy;
}

uint64_t __wrap_clock_mono_ns(void)
{
    return __real_clock_mono_ns() + (inside ? atomic_load(&shared->skipped_ns) : 0);
}

static bool signalled(const struct loop *loop)
{
    struct pollfd fd = {.fd = loop->signal_fd, .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

static bool idle(void)
{
    return own_business == NULL || !own_business();
}

/* One that the test granted looks once more, and then makes the rest of the time pass. */
static bool wait_in_turns(struct loop *loop, uint64_t timeout_ns, unsigned wait, struct err *err)
{
    uint64_t start_ns = __wrap_clock_mono_ns();
    for (bool first = true;; first = false) {
        uint64_t gone_ns = __wrap_clock_mono_ns() - start_ns;
        uint64_t left_ns = gone_ns < timeout_ns ? timeout_ns - gone_ns : 0;
        bool granted = atomic_load(&shared->granted) == wait && idle();
        uint64_t look_ns = granted || first ? 0 : left_ns < LOOK_NS ? left_ns : LOOK_NS;
        if (!__real_loop_wait(loop, look_ns, err))
            return false;
        if (loop->ready != 0 || signalled(loop) || left_ns == 0 ||
            atomic_load(&shared->passes) != noticed)
            return true;
        if (granted) {
            atomic_fetch_add(&shared->skipped_ns, left_ns);
            return true;
        }
        if (idle())
            atomic_store(&shared->waiting, wait);
    }
}

bool __wrap_loop_wait(struct loop *loop, uint64_t timeout_ns, struct err *err)
{
    if (!inside)
        return __real_loop_wait(loop, timeout_ns, err);
    atomic_store(&shared->seen, noticed);
    unsigned wait = atomic_fetch_add(&shared->waits, 1) + 1;
    bool ok = timeout_ns == 0 ? __real_loop_wait(loop, 0, err)
                              : wait_in_turns(loop, timeout_ns, wait, err);
    atomic_store(&shared->waiting, 0);
    noticed = atomic_load(&shared->passes);
    return ok;
}

/* ---- the test's process ---- */

unsigned world_clock_waiting(void)
{
    return atomic_load(&shared->waiting);
}

bool world_clock_passed(void)
{
    return atomic_load(&shared->seen) == atomic_load(&shared->passes);
}

void world_clock_grant(unsigned wait)
{
    atomic_store(&shared->granted, wait);
}

void world_clock_pass(uint64_t ns)
{
    atomic_fetch_add(&shared->skipped_ns, ns);
    atomic_fetch_add(&shared->passes, 1);
}
