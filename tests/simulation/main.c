/* SPDX-License-Identifier: Apache-2.0 */
/*
 * simulation [--seed N [--verbose]] [--first N] [--seeds N] [--processes N] [--self-test]
 *
 * Runs seeds and prints TAP. A seed that fails prints its number, the promise that was broken and
 * the newest events; --seed N --verbose replays it with all of them.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"
#include "walferry/base/parse.h"

/* So many seeds, and every kind of fault has come. */
enum { SHOWN_MAX = 10, PROCESSES_MAX = 64, SEEDS_ALL = 2000 };

struct options {
    uint64_t first;
    uint64_t seeds;
    uint64_t processes;
    bool one;
    bool verbose;
    bool self_test;
};

/* What the processes share. */
struct totals {
    uint64_t ran;
    uint64_t failed;
    uint64_t few; /* seeds with fewer than 20 faults */
    uint64_t rows;
    uint64_t transactions;
    uint64_t turns;
    uint64_t virtual_ms;
    uint64_t fired[FAULT_COUNT];
};

static void usage(void)
{
    fputs("usage: simulation [--seed N [--verbose]] [--first N] [--seeds N] [--processes N]\n"
          "                  [--self-test]\n",
          stderr);
    exit(64);
}

static uint64_t number(const char *text)
{
    uint64_t value = 0;
    if (text == NULL || !parse_u64(bytes_str(text), &value))
        usage();
    return value;
}

static struct options read_options(int argc, char **argv)
{
    struct options options = {.first = 1, .seeds = 300, .processes = 1};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            options.verbose = true;
        } else if (strcmp(argv[i], "--self-test") == 0) {
            options.self_test = true;
        } else if (strcmp(argv[i], "--seed") == 0) {
            options.first = number(argv[++i]);
            options.seeds = 1;
            options.one = true;
        } else if (strcmp(argv[i], "--first") == 0) {
            options.first = number(argv[++i]);
        } else if (strcmp(argv[i], "--seeds") == 0) {
            options.seeds = number(argv[++i]);
        } else if (strcmp(argv[i], "--processes") == 0) {
            options.processes = number(argv[++i]);
        } else {
            usage();
        }
    }
    if (options.processes == 0 || options.processes > PROCESSES_MAX)
        usage();
    return options;
}

static void say_seed(void)
{
    printf("# seed %" PRIu64 ": %s\n", sim.seed, sim.failure);
    printf("# replay: simulation --seed %" PRIu64 " --verbose\n", sim.seed);
    if (!sim.verbose)
        trace_print(stdout);
    fflush(stdout);
}

static void add(struct totals *totals, bool good)
{
    __atomic_fetch_add(&totals->ran, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&totals->rows, row_count, __ATOMIC_RELAXED);
    __atomic_fetch_add(&totals->transactions, txn_count, __ATOMIC_RELAXED);
    __atomic_fetch_add(&totals->turns, sim.turns, __ATOMIC_RELAXED);
    __atomic_fetch_add(&totals->virtual_ms, sim.now_ns / MS, __ATOMIC_RELAXED);
    if (faults_fired() < 20)
        __atomic_fetch_add(&totals->few, 1, __ATOMIC_RELAXED);
    if (good)
        return;
    if (__atomic_fetch_add(&totals->failed, 1, __ATOMIC_RELAXED) < SHOWN_MAX)
        say_seed();
}

static void crashed(int signal)
{
    /* The last words of a process that is lost anyway. */
    fprintf(stderr, "simulation: seed %" PRIu64 ": signal %d\n", sim.seed, signal);
    fflush(stdout);
    _Exit(70);
}

static void run_seeds(const struct options *options, uint64_t process, struct totals *totals)
{
    static uint8_t stack[64 << 10];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = crashed, .sa_flags = SA_ONSTACK};
    (void)sigaltstack(&alternate, NULL);
    (void)sigaction(SIGSEGV, &action, NULL);
    for (uint64_t i = process; i < options->seeds; i += options->processes)
        add(totals, world_run(options->first + i, options->verbose));
    for (size_t i = 0; i < FAULT_COUNT; i++)
        __atomic_fetch_add(&totals->fired[i], fault_totals[i], __ATOMIC_RELAXED);
}

/* False: a process died. */
static bool run_processes(const struct options *options, struct totals *totals)
{
    pid_t children[PROCESSES_MAX];
    bool good = true;
    if (options->processes == 1) {
        run_seeds(options, 0, totals);
        return true;
    }
    fflush(stdout);
    for (uint64_t i = 0; i < options->processes; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            run_seeds(options, i, totals);
            fflush(stdout);
            _exit(0);
        }
    }
    for (uint64_t i = 0; i < options->processes; i++) {
        int status = 0;
        while (waitpid(children[i], &status, 0) < 0 && errno == EINTR) {
        }
        good = good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    return good;
}

/* ---- reports ---- */

static unsigned tests;
static unsigned bad_tests;

static void test(bool good, const char *name)
{
    printf("%sok %u - %s\n", good ? "" : "not ", ++tests, name);
    bad_tests += !good;
}

static void report_faults(const struct totals *totals)
{
    bool all = true;
    for (size_t i = 0; i < FAULT_COUNT; i++) {
        printf("# %10" PRIu64 "  %s\n", totals->fired[i], fault_name((enum fault)i));
        all = all && totals->fired[i] > 0;
    }
    if (totals->ran >= SEEDS_ALL)
        test(all, "every kind of fault came");
}

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void report(const struct options *options, const struct totals *totals, bool alive,
                   uint64_t took_ms)
{
    printf("# %" PRIu64 " seeds from %" PRIu64 ", %" PRIu64 " transactions, %" PRIu64
           " rows, %" PRIu64 " turns, %" PRIu64 " virtual s, %" PRIu64 " ms\n",
           totals->ran, options->first, totals->transactions, totals->rows, totals->turns,
           totals->virtual_ms / 1000, took_ms);
    test(alive && totals->failed == 0 && totals->ran == options->seeds, "every promise was kept");
    if (options->one)
        return;
    test(totals->few == 0, "every seed had twenty faults");
    report_faults(totals);
}

/* The same seed gives the same trace, whatever ran before it. */
static void self_test(void)
{
    enum { SEEDS = 8 };
    uint64_t hashes[SEEDS];
    bool same = true, different = true;
    for (uint64_t i = 0; i < SEEDS; i++) {
        (void)world_run(i + 1, false);
        hashes[i] = trace_hash();
        different = different && (i == 0 || hashes[i] != hashes[i - 1]);
    }
    for (uint64_t i = SEEDS; i > 0; i--) {
        (void)world_run(i, false);
        same = same && hashes[i - 1] == trace_hash();
    }
    test(same, "a seed gives the same trace again");
    test(different, "another seed gives another one");
}

int main(int argc, char **argv)
{
    struct options options = read_options(argc, argv);
    struct totals *totals =
        mmap(NULL, sizeof *totals, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (totals == MAP_FAILED)
        return 71;
    /* Nobody is to be told of the states of relays that are none. */
    (void)unsetenv("NOTIFY_SOCKET");
    uint64_t began = now_ms();
    if (options.self_test) {
        self_test();
    } else {
        bool alive = run_processes(&options, totals);
        report(&options, totals, alive, now_ms() - began);
    }
    if (options.one)
        printf("# trace %016" PRIx64 ", %" PRIu64 " events\n", trace_hash(), trace_count());
    printf("1..%u\n", tests);
    return bad_tests == 0 ? 0 : 1;
}
