/* SPDX-License-Identifier: Apache-2.0 */
#include "points.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../unit/test.h"

static struct nth_report *report;
static struct nth_site sites[NTH_SITES_MAX];
static unsigned stride = 1;
static unsigned failures;
static unsigned failures_seen;

/* In memory, and open as long as the test runs: the program finds it by its descriptor. */
static void open_report(void)
{
    char path[64];
    int fd = memfd_create("report", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, sizeof(*report)), 0);
    report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert(report != MAP_FAILED);
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), fd);
    ck_assert_int_eq(setenv("WALFERRY_NTH_REPORT", path, 1), 0);
}

static void arm(const struct point *point)
{
    char plan[128];
    memset(report, 0, sizeof(*report));
    snprintf(plan, sizeof(plan), "%s:%llx:%llu:%llu", nth_kind_names[point->kind],
             (unsigned long long)point->site, (unsigned long long)point->count,
             (unsigned long long)point->last);
    ck_assert_int_eq(setenv("WALFERRY_NTH", plan, 1), 0);
}

void points_disarm(void)
{
    ck_assert_int_eq(unsetenv("WALFERRY_NTH"), 0);
}

bool points_fired(void)
{
    return report->fired > 0;
}

void points_complain(const struct point *point, const char *format, ...)
{
    va_list list;
    failures++;
    fprintf(stderr, "%s, call %llu%s of %s at 0x%llx: ", nth_kind_names[point->kind],
            (unsigned long long)point->count, point->last == 0 ? " and later" : "", point->function,
            (unsigned long long)point->site);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
}

bool points_failures_new(void)
{
    bool more = failures > failures_seen;
    failures_seen = failures;
    return more;
}

void points_stride(unsigned wanted)
{
    stride = wanted;
}

static unsigned learn(enum nth_kind kind, points_scenario scenario)
{
    const struct point none = {.kind = kind, .function = "none"};
    arm(&none);
    scenario(&none);
    memcpy(sites, report->sites, sizeof(sites));
    ck_assert_uint_eq(report->fired, 0);
    return report->site_count;
}

/* The i-th of `spread` counts from 1 to `calls`, both among them. */
static uint64_t count_of(uint64_t calls, unsigned spread, unsigned i)
{
    return calls <= spread || spread == 1 ? i + 1 : 1 + i * (calls - 1) / (spread - 1);
}

static unsigned run_site(const struct nth_site *site, enum nth_kind kind, points_scenario scenario,
                         unsigned spread, bool lasting, unsigned *points)
{
    struct point point = {.kind = kind, .function = site->function, .site = site->site};
    unsigned fired = 0;
    for (unsigned i = 0; i < spread && i < site->calls; i++) {
        point.count = point.last = count_of(site->calls, spread, i);
        arm(&point);
        scenario(&point);
        fired += points_fired();
        ++*points;
    }
    if (lasting) {
        point.count = 1;
        point.last = 0;
        arm(&point);
        scenario(&point);
        fired += points_fired();
        ++*points;
    }
    return fired;
}

void points_run(enum nth_kind kind, points_scenario scenario, unsigned spread, bool lasting)
{
    unsigned points = 0;
    unsigned fired = 0;
    unsigned missed = 0;
    if (report == NULL)
        open_report();
    unsigned count = learn(kind, scenario);
    for (unsigned i = 0; i < count; i += stride) {
        unsigned here = run_site(&sites[i], kind, scenario, spread, lasting, &points);
        if (here == 0) {
            fprintf(stderr, "%s at 0x%llx never failed\n", sites[i].function,
                    (unsigned long long)sites[i].site);
            missed++;
        }
        fired += here;
    }
    fprintf(stderr, "%s: %u sites, %u points, %u fired\n", nth_kind_names[kind], count, points,
            fired);
    ck_assert_uint_eq(failures, 0);
    /* Some calls depend on the moment. */
    ck_assert_uint_le(missed, 1 + count / 10);
}
