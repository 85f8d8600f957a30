/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "series.h"
#include "walferry/base/fd.h"

/* What of /proc/self/stat is used, see proc(5): fields are counted from 1 there, and from 3 on they
 * follow the name of the program, which may hold anything. */
enum {
    STAT_FIRST = 3,
    STAT_UTIME = 14,
    STAT_STIME = 15,
    STAT_THREADS = 20,
    STAT_STARTTIME = 22,
    STAT_VSIZE = 23,
    STAT_RSS = 24,
    STAT_END
};

static void put(const char *name, const char *help, enum metric_kind kind, double number,
                bool openmetrics, struct buf *out)
{
    render_family(name, help, kind, openmetrics, out);
    buf_printf(out, "%s ", name);
    render_number(number, out);
    buf_put_u8(out, '\n');
}

/* Length of what was read; 0 when there is nothing. `into` ends in NUL. */
static size_t read_file(const char *path, char *into, size_t size)
{
    int fd AUTO(fd_close) = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    if (fd < 0 || !fd_read(fd, into, size - 1, &len))
        return 0;
    into[len] = '\0';
    return len;
}

static bool read_stat(double *fields)
{
    char text[2048];
    size_t len = read_file("/proc/self/stat", text, sizeof(text));
    char *at = len == 0 ? NULL : strrchr(text, ')');
    if (at == NULL)
        return false;
    at++;
    for (int field = STAT_FIRST; field < STAT_END; field++) {
        at += strspn(at, " ");
        char *end = at + strcspn(at, " ");
        if (end == at)
            return false;
        /* Field 3 is a letter, the state. */
        fields[field] = field == STAT_FIRST ? 0 : strtod(at, NULL);
        at = end;
    }
    return true;
}

/* Seconds since 1970 at which the machine started; 0 when it cannot be known. */
static double boot_time(void)
{
    FILE *file = fopen("/proc/stat", "re");
    if (file == NULL)
        return 0;
    char line[256];
    double seconds = 0;
    while (seconds == 0 && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "btime ", 6) == 0)
            seconds = strtod(line + 6, NULL);
    }
    (void)fclose(file);
    return seconds;
}

static void put_descriptors(bool openmetrics, struct buf *out)
{
    DIR *listing = opendir("/proc/self/fd");
    if (listing != NULL) {
        double count = 0;
        for (const struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing))
            count += entry->d_name[0] != '.';
        (void)closedir(listing);
        /* One of them was for the listing. */
        put("process_open_fds", "Open file descriptors.", METRIC_GAUGE, count - 1, openmetrics,
            out);
    }
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        put("process_max_fds", "Most file descriptors that may be open.", METRIC_GAUGE,
            (double)limit.rlim_cur, openmetrics, out);
}

void process_render(bool openmetrics, struct buf *out)
{
    put_descriptors(openmetrics, out);
    double stat[STAT_END];
    if (!read_stat(stat))
        return;
    double ticks = (double)sysconf(_SC_CLK_TCK);
    put("process_cpu_seconds_total", "Processor time used, user and system, in seconds.",
        METRIC_COUNTER, (stat[STAT_UTIME] + stat[STAT_STIME]) / ticks, openmetrics, out);
    put("process_virtual_memory_bytes", "Virtual memory in bytes.", METRIC_GAUGE, stat[STAT_VSIZE],
        openmetrics, out);
    put("process_resident_memory_bytes", "Resident memory in bytes.", METRIC_GAUGE,
        stat[STAT_RSS] * (double)sysconf(_SC_PAGESIZE), openmetrics, out);
    put("process_threads", "Threads of the process.", METRIC_GAUGE, stat[STAT_THREADS], openmetrics,
        out);
    double boot = boot_time();
    if (boot > 0)
        put("process_start_time_seconds", "Start of the process, in seconds since 1970.",
            METRIC_GAUGE, boot + stat[STAT_STARTTIME] / ticks, openmetrics, out);
}
