/* SPDX-License-Identifier: Apache-2.0 */
#include "fail.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern const char __executable_start[];

static const int errors[NTH_KIND_COUNT] = {
    [NTH_MEMORY] = ENOMEM, [NTH_OPEN] = EMFILE, [NTH_READ] = EIO,     [NTH_WRITE] = ENOSPC,
    [NTH_SIGNAL] = EINTR,  [NTH_SYNC] = EIO,    [NTH_CLOSE] = EIO,    [NTH_NAME] = EIO,
    [NTH_WAIT] = ENOMEM,   [NTH_LOCK] = ENOLCK, [NTH_START] = EAGAIN, [NTH_NET] = ENOBUFS,
    [NTH_ACCEPT] = EMFILE,
};

static struct {
    enum nth_kind kind;
    uint64_t site;
    uint64_t first;
    uint64_t last;
    struct nth_report *report; /* NULL: not asked for */
} nth;

/* ---- which call ---- */

__attribute__((constructor)) static void nth_begin(void)
{
    const char *plan = getenv("WALFERRY_NTH");
    const char *path = getenv("WALFERRY_NTH_REPORT");
    char kind[16];
    unsigned long long site, first, last;
    if (plan == NULL || path == NULL)
        return;
    if (sscanf(plan, "%15[a-z]:%llx:%llu:%llu", kind, &site, &first, &last) != 4)
        abort();
    while (strcmp(kind, nth_kind_names[nth.kind]) != 0)
        nth.kind++;
    nth.site = site;
    nth.first = first;
    nth.last = last;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *shared = mmap(NULL, sizeof(struct nth_report), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || shared == MAP_FAILED)
        abort();
    close(fd);
    nth.report = shared;
}

static struct nth_site *site_of(uint64_t site, const char *function)
{
    struct nth_report *report = nth.report;
    struct nth_site *found = NULL;
    while (atomic_exchange(&report->lock, 1) != 0)
        ;
    for (uint32_t i = 0; i < report->site_count && found == NULL; i++) {
        if (report->sites[i].site == site)
            found = &report->sites[i];
    }
    if (found == NULL) {
        if (report->site_count == NTH_SITES_MAX)
            abort();
        found = &report->sites[report->site_count++];
        found->site = site;
        strncpy(found->function, function, sizeof(found->function) - 1);
    }
    atomic_store(&report->lock, 0);
    return found;
}

/* Whether this call of our own is the one to fail. */
static bool fires(enum nth_kind kind, const char *function, const void *caller)
{
    if (nth.report == NULL || kind != nth.kind)
        return false;
    uint64_t site = (uint64_t)((const char *)caller - __executable_start);
    uint64_t count = ++site_of(site, function)->calls;
    bool wanted = nth.first > 0 && (nth.site == 0 || nth.site == site) && count >= nth.first &&
                  (nth.last == 0 || count <= nth.last);
    if (wanted)
        nth.report->fired++;
    return wanted;
}

static bool fails(enum nth_kind kind, const char *function, const void *caller)
{
    if (!fires(kind, function, caller))
        return false;
    errno = errors[kind];
    return true;
}

/* ---- the calls ---- */

#define CALLER __builtin_return_address(0)

#define WRAP(result, name, parameters, arguments, kind, failure)                                   \
    result __real_##name parameters;                                                               \
    result __wrap_##name parameters;                                                               \
    result __wrap_##name parameters                                                                \
    {                                                                                              \
        return fails(kind, #name, CALLER) ? (failure) : __real_##name arguments;                   \
    }

WRAP(void *, malloc, (size_t size), (size), NTH_MEMORY, NULL)
WRAP(void *, calloc, (size_t count, size_t size), (count, size), NTH_MEMORY, NULL)
WRAP(void *, realloc, (void *old, size_t size), (old, size), NTH_MEMORY, NULL)
WRAP(char *, strdup, (const char *text), (text), NTH_MEMORY, NULL)
WRAP(char *, strndup, (const char *text, size_t max), (text, max), NTH_MEMORY, NULL)

WRAP(FILE *, fopen64, (const char *path, const char *mode), (path, mode), NTH_OPEN, NULL)
WRAP(DIR *, opendir, (const char *path), (path), NTH_OPEN, NULL)
WRAP(DIR *, fdopendir, (int fd), (fd), NTH_OPEN, NULL)
WRAP(int, pipe2, (int *fds, int flags), (fds, flags), NTH_OPEN, -1)
WRAP(int, eventfd, (unsigned value, int flags), (value, flags), NTH_OPEN, -1)
WRAP(int, epoll_create1, (int flags), (flags), NTH_OPEN, -1)
WRAP(int, signalfd, (int fd, const void *mask, int flags), (fd, mask, flags), NTH_OPEN, -1)
WRAP(int, socket, (int family, int type, int protocol), (family, type, protocol), NTH_OPEN, -1)

WRAP(int, ftruncate64, (int fd, off_t size), (fd, size), NTH_WRITE, -1)
WRAP(int, fstat64, (int fd, struct stat *into), (fd, into), NTH_READ, -1)
WRAP(ssize_t, getrandom, (void *into, size_t size, unsigned flags), (into, size, flags), NTH_READ,
     -1)

WRAP(int, fsync, (int fd), (fd), NTH_SYNC, -1)
WRAP(int, fdatasync, (int fd), (fd), NTH_SYNC, -1)

WRAP(int, renameat, (int from_dir, const char *from, int to_dir, const char *to),
     (from_dir, from, to_dir, to), NTH_NAME, -1)
WRAP(int, linkat, (int from_dir, const char *from, int to_dir, const char *to, int flags),
     (from_dir, from, to_dir, to, flags), NTH_NAME, -1)
WRAP(int, unlinkat, (int dir, const char *name, int flags), (dir, name, flags), NTH_NAME, -1)
WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode), NTH_NAME, -1)
WRAP(char *, mkdtemp, (char *name), (name), NTH_NAME, NULL)

WRAP(int, epoll_ctl, (int epoll, int what, int fd, struct epoll_event *event),
     (epoll, what, fd, event), NTH_WAIT, -1)

WRAP(int, flock, (int fd, int what), (fd, what), NTH_LOCK, -1)

WRAP(pid_t, fork, (void), (), NTH_START, -1)

WRAP(int, bind, (int fd, const struct sockaddr *name, socklen_t size), (fd, name, size), NTH_NET,
     -1)
WRAP(int, listen, (int fd, int backlog), (fd, backlog), NTH_NET, -1)
WRAP(int, getsockname, (int fd, struct sockaddr *name, socklen_t *size), (fd, name, size), NTH_NET,
     -1)
WRAP(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t size),
     (fd, level, name, value, size), NTH_NET, -1)
WRAP(ssize_t, send, (int fd, const void *from, size_t size, int flags), (fd, from, size, flags),
     NTH_NET, -1)
WRAP(ssize_t, sendto,
     (int fd, const void *from, size_t size, int flags, const struct sockaddr *name,
      socklen_t name_size),
     (fd, from, size, flags, name, name_size), NTH_NET, -1)

/* Those that return the error. */

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *context), void *context);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *context), void *context);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *context), void *context)
{
    return fires(NTH_START, "pthread_create", CALLER)
               ? EAGAIN
               : __real_pthread_create(thread, attributes, run, context);
}

int __real_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **found);
int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **found);

int __wrap_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
                       struct addrinfo **found)
{
    return fires(NTH_NET, "getaddrinfo", CALLER) ? EAI_MEMORY
                                                 : __real_getaddrinfo(host, port, hints, found);
}

int __real_close(int fd);
int __wrap_close(int fd);

int __wrap_close(int fd)
{
    bool fails_too = fires(NTH_CLOSE, "close", CALLER);
    int result = __real_close(fd);
    if (fails_too)
        errno = EIO;
    return fails_too ? -1 : result;
}

int __real_fclose(FILE *file);
int __wrap_fclose(FILE *file);

int __wrap_fclose(FILE *file)
{
    bool fails_too = fires(NTH_CLOSE, "fclose", CALLER);
    int result = __real_fclose(file);
    if (fails_too)
        errno = EIO;
    return fails_too ? EOF : result;
}

/* A symbol of the program goes before that of the C library for everybody. There is one site. */
int accept4(int fd, __SOCKADDR_ARG name, socklen_t *restrict size, int flags)
{
    return fails(NTH_ACCEPT, "accept4", __executable_start + 1)
               ? -1
               : (int)syscall(SYS_accept4, fd, name.__sockaddr__, size, flags);
}

/* Those with arguments that may be left out. */

static mode_t mode_of(int flags, va_list list)
{
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(list, mode_t) : 0;
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

int __wrap_open64(const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    mode_t mode = mode_of(flags, list);
    va_end(list);
    return fails(NTH_OPEN, "open64", CALLER) ? -1 : __real_open64(path, flags, mode);
}

int __real_openat64(int dir, const char *path, int flags, ...);
int __wrap_openat64(int dir, const char *path, int flags, ...);

int __wrap_openat64(int dir, const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    mode_t mode = mode_of(flags, list);
    va_end(list);
    return fails(NTH_OPEN, "openat64", CALLER) ? -1 : __real_openat64(dir, path, flags, mode);
}

int __real_fcntl64(int fd, int what, ...);
int __wrap_fcntl64(int fd, int what, ...);

int __wrap_fcntl64(int fd, int what, ...)
{
    va_list list;
    va_start(list, what);
    void *argument = va_arg(list, void *);
    va_end(list);
    return fails(NTH_LOCK, "fcntl64", CALLER) ? -1 : __real_fcntl64(fd, what, argument);
}

/* Those that may also do less than they were asked for, or be interrupted. */

static size_t part_of(size_t size, const char *function, const void *caller)
{
    return size > 1 && fires(NTH_SHORT, function, caller) ? size / 2 : size;
}

#define WRAP_MOVE(name, parameters, kind, size, ...)                                               \
    ssize_t __real_##name parameters;                                                              \
    ssize_t __wrap_##name parameters;                                                              \
    ssize_t __wrap_##name parameters                                                               \
    {                                                                                              \
        const void *caller = CALLER;                                                               \
        if (fails(kind, #name, caller) || fails(NTH_SIGNAL, #name, caller))                        \
            return -1;                                                                             \
        size = part_of(size, #name, caller);                                                       \
        return __real_##name(__VA_ARGS__);                                                         \
    }

WRAP_MOVE(read, (int fd, void *into, size_t size), NTH_READ, size, fd, into, size)
WRAP_MOVE(__read_chk, (int fd, void *into, size_t size, size_t room), NTH_READ, size, fd, into,
          size, room)
WRAP_MOVE(pread64, (int fd, void *into, size_t size, off_t at), NTH_READ, size, fd, into, size, at)
WRAP_MOVE(__pread64_chk, (int fd, void *into, size_t size, off_t at, size_t room), NTH_READ, size,
          fd, into, size, at, room)
WRAP_MOVE(write, (int fd, const void *from, size_t size), NTH_WRITE, size, fd, from, size)
WRAP_MOVE(pwrite64, (int fd, const void *from, size_t size, off_t at), NTH_WRITE, size, fd, from,
          size, at)

#define WRAP_WAIT(name, parameters, arguments)                                                     \
    int __real_##name parameters;                                                                  \
    int __wrap_##name parameters;                                                                  \
    int __wrap_##name parameters                                                                   \
    {                                                                                              \
        const void *caller = CALLER;                                                               \
        if (fails(NTH_WAIT, #name, caller) || fails(NTH_SIGNAL, #name, caller))                    \
            return -1;                                                                             \
        return __real_##name arguments;                                                            \
    }

WRAP_WAIT(epoll_wait, (int epoll, struct epoll_event *events, int max, int timeout),
          (epoll, events, max, timeout))
WRAP_WAIT(poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout))
WRAP_WAIT(ppoll,
          (struct pollfd * fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask),
          (fds, count, timeout, mask))
WRAP_WAIT(waitpid, (pid_t pid, int *status, int flags), (pid, status, flags))
