/* SPDX-License-Identifier: Apache-2.0 */
/* Lives of relays: coroutines with a heap of their own, so that one can be abandoned anywhere. */
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "sim.h"
#include "walferry/base/assert.h"
#include "walferry/loop/loop.h"
#include "walferry/relay/relay.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef SANITIZED
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#define STACK_SIZE ((size_t)1 << 20)

struct stack {
    void *memory;
    ucontext_t context;
    void *fake; /* the sanitizer's */
};

struct life *life_now;
struct life lives[LIVES];

static struct stack stacks[LIVES];
static ucontext_t driver;
static unsigned life_count;

/* ---- memory: what a life took is known, so that its death gives it back ---- */

struct block {
    struct block *next;
    struct block *before;
    struct life *owner; /* NULL: the world's */
    size_t size;
};

#define HEAD 32
_Static_assert(sizeof(struct block) <= HEAD, "memory behind it stays aligned");

void *__real_malloc(size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);
char *__wrap_strdup(const char *text);

static void link_block(struct block *block, struct life *owner, size_t size)
{
    *block = (struct block){.owner = owner, .size = size};
    if (owner == NULL)
        return;
    block->next = owner->heap;
    if (block->next != NULL)
        block->next->before = block;
    owner->heap = block;
    owner->heap_bytes += size;
    if (owner->heap_bytes > owner->heap_peak)
        owner->heap_peak = owner->heap_bytes;
}

static void unlink_block(struct block *block)
{
    struct life *owner = block->owner;
    if (owner == NULL)
        return;
    if (block->before != NULL)
        block->before->next = block->next;
    else
        owner->heap = block->next;
    if (block->next != NULL)
        block->next->before = block->before;
    owner->heap_bytes -= block->size;
}

void *__wrap_malloc(size_t size)
{
    struct block *block = __real_malloc(size + HEAD);
    if (block == NULL)
        return NULL;
    link_block(block, life_now, size);
    return (char *)block + HEAD;
}

void *__wrap_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *memory = __wrap_malloc(bytes);
    if (memory != NULL)
        memset(memory, 0, bytes);
    return memory;
}

static struct block *block_of(void *memory)
{
    return (struct block *)(void *)((char *)memory - HEAD);
}

void *__wrap_realloc(void *memory, size_t size)
{
    if (memory == NULL)
        return __wrap_malloc(size);
    struct block *block = block_of(memory);
    struct life *owner = block->owner;
    unlink_block(block);
    block = __real_realloc(block, size + HEAD);
    ASSERT(block != NULL);
    link_block(block, owner, size);
    return (char *)block + HEAD;
}

void __wrap_free(void *memory)
{
    if (memory == NULL)
        return;
    unlink_block(block_of(memory));
    __real_free(block_of(memory));
}

char *__wrap_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = __wrap_malloc(size);
    if (copy != NULL)
        memcpy(copy, text, size);
    return copy;
}

/* ---- switching ---- */

#ifdef SANITIZED
static const void *driver_stack;
static size_t driver_stack_size;
#endif

/* The calling side hands over to `to`. `gone`: it never comes back. */
static void leave(struct stack *from, struct stack *to, bool gone)
{
#ifdef SANITIZED
    static void *driver_fake;
    void **fake = from == NULL ? &driver_fake : &from->fake;
    __sanitizer_start_switch_fiber(gone ? NULL : fake, to == NULL ? driver_stack : to->memory,
                                   to == NULL ? driver_stack_size : STACK_SIZE);
#endif
    swapcontext(from == NULL ? &driver : &from->context, to == NULL ? &driver : &to->context);
#ifdef SANITIZED
    __sanitizer_finish_switch_fiber(*fake, NULL, NULL);
#endif
    (void)gone;
}

static void relay_of_life(void)
{
#ifdef SANITIZED
    __sanitizer_finish_switch_fiber(NULL, &driver_stack, &driver_stack_size);
#endif
    struct life *life = life_now;
    life->status = relay_run(&life->config, NULL);
    life_abandon(LIFE_ENDED);
}

void life_abandon(enum life_state state)
{
    struct life *life = life_now;
    life->state = state;
    life->fuse = 0;
    leave(life->stack, NULL, true);
    UNREACHABLE();
}

static void stack_prepare(struct stack *stack)
{
    if (stack->memory == NULL) {
        stack->memory = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        ASSERT(stack->memory != MAP_FAILED);
    }
#ifdef SANITIZED
    __asan_unpoison_memory_region(stack->memory, STACK_SIZE);
#endif
    int got = getcontext(&stack->context);
    ASSERT(got == 0);
    stack->context.uc_stack.ss_sp = stack->memory;
    stack->context.uc_stack.ss_size = STACK_SIZE;
    stack->context.uc_link = NULL;
    makecontext(&stack->context, relay_of_life, 0);
}

/* ---- lives ---- */

void lives_reset(void)
{
    for (size_t i = 0; i < LIVES; i++) {
        life_reap(&lives[i]);
        lives[i] = (struct life){.state = LIFE_NONE};
    }
    life_now = NULL;
    life_count = 0;
}

struct life *life_on(unsigned host)
{
    for (size_t i = 0; i < LIVES; i++)
        if (lives[i].state != LIFE_NONE && lives[i].host == host)
            return &lives[i];
    return NULL;
}

struct life *life_by_id(unsigned id)
{
    for (size_t i = 0; i < LIVES; i++)
        if (lives[i].state != LIFE_NONE && lives[i].id == id)
            return &lives[i];
    return NULL;
}

bool life_runs(const struct life *life)
{
    return life != NULL &&
           (life->state == LIFE_READY || life->state == LIFE_WAITING || life->state == LIFE_PAUSED);
}

uint64_t life_wake(const struct life *life)
{
    uint64_t at = UINT64_MAX;
    switch (life->state) {
    case LIFE_READY:
        return life->floor_ns;
    case LIFE_PAUSED:
        return life->resume_ns;
    case LIFE_WAITING:
        break;
    case LIFE_NONE:
    case LIFE_ENDED:
    case LIFE_DEAD:
        return UINT64_MAX;
    }
    at = life->signal_count > 0 ? life->floor_ns : life->wake_ns;
    for (unsigned i = 0; i < LOOP_WATCH_MAX && at > life->floor_ns; i++) {
        int fd = life->loop->fds[i];
        if (fd < 0)
            continue;
        uint64_t ready = fd >= FD_SINK ? sink_ready_ns(fd) : pg_ready_ns(fd, life->loop->wants[i]);
        at = ready < at ? ready : at;
    }
    return at > life->floor_ns ? at : life->floor_ns;
}

void life_resume(struct life *life)
{
    ASSERT(life_now == NULL && life_runs(life));
    if (life->state == LIFE_PAUSED)
        TRACE("the process goes on", 0);
    life->state = LIFE_READY;
    life_now = life;
    sim.turns++;
    leave(NULL, life->stack, false);
    life_now = NULL;
}

void life_yield(struct loop *loop, uint64_t wake_ns)
{
    struct life *life = life_now;
    life->loop = loop;
    life->wake_ns = wake_ns;
    /* A turn takes its time, so that time always passes. */
    life->floor_ns = sim.now_ns + rng_between(&sim.net, 3000, 40000);
    life->state = LIFE_WAITING;
    leave(life->stack, NULL, false);
}

static void stop_here(uint64_t ns)
{
    struct life *life = life_now;
    TRACE("the process is stopped for %u ms", ns / MS);
    life->resume_ns = sim.now_ns + ns;
    life->paused_ns = life->resume_ns;
    life->state = LIFE_PAUSED;
    leave(life->stack, NULL, false);
    life->paused_ns = sim.now_ns;
}

void life_pause(struct life *life, uint64_t ns)
{
    if (!life_runs(life))
        return;
    life->floor_ns = sim.now_ns + ns;
    life->paused_ns = life->floor_ns;
}

void edge(enum edge edge)
{
    struct life *life = life_now;
    if (life == NULL || life->fuse == 0)
        return;
    if (life->fuse_edge != EDGE_ANY && life->fuse_edge != edge)
        return;
    if (--life->fuse > 0)
        return;
    fault_fired(life->fuse_fault);
    if (life->fuse_pause_ns > 0) {
        stop_here(life->fuse_pause_ns);
        return;
    }
    TRACE("killed inside a call", 0);
    life_abandon(LIFE_DEAD);
}

static void gone(struct life *life, bool machine)
{
    pg_life_gone(life, machine);
    sink_life_gone(life);
    disk_life_gone(life);
    edges_life_gone(life);
}

void life_kill(struct life *life)
{
    ASSERT(life_now == NULL);
    if (!life_runs(life))
        return;
    TRACE("relay %u is killed", life->id);
    life->state = LIFE_DEAD;
}

bool life_was_paused(uint64_t since_ns)
{
    bool paused = false;
    for (size_t i = 0; i < LIVES; i++)
        paused = paused || (life_runs(&lives[i]) && lives[i].paused_ns > since_ns);
    return paused;
}

void life_signal(struct life *life, int signal)
{
    if (life_runs(life) && life->signal_count < ARRAY_LEN(life->signals))
        life->signals[life->signal_count++] = signal;
}

void life_reap(struct life *life)
{
    if (life->state == LIFE_NONE)
        return;
    gone(life, false);
    CHECK(sim.failed || life->state != LIFE_ENDED || life->heap == NULL,
          "the relay ended with %zu bytes of memory not given back", life->heap_bytes);
    while (life->heap != NULL) {
        struct block *block = life->heap;
        life->heap = block->next;
        __real_free(block);
    }
    life->heap_bytes = 0;
    life->stack = NULL;
    life->state = LIFE_NONE;
}

static struct stack *free_stack(void)
{
    for (size_t i = 0; i < LIVES; i++) {
        bool taken = false;
        for (size_t j = 0; j < LIVES; j++)
            taken = taken || lives[j].stack == &stacks[i];
        if (!taken)
            return &stacks[i];
    }
    UNREACHABLE();
}

void config_of_life(struct life *life);

struct life *life_start(unsigned host)
{
    struct life *life = NULL;
    for (size_t i = 0; i < LIVES && life == NULL; i++)
        if (lives[i].state == LIFE_NONE)
            life = &lives[i];
    ASSERT(life != NULL);
    *life = (struct life){
        .id = ++life_count,
        .host = host,
        .state = LIFE_READY,
        .stack = free_stack(),
        .started_ns = sim.now_ns,
        .floor_ns = sim.now_ns,
    };
    config_of_life(life);
    stack_prepare(life->stack);
    TRACE("relay %u starts on host %u", life->id, host);
    return life;
}
