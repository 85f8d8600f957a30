/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/failpoint.h"

enum { SIGNAL_WATCH = LOOP_WATCH_MAX };

_Static_assert(LOOP_WATCH_MAX <= 32, "one bit of struct loop's ready for each watch");

static bool fail(struct err *err, const char *what)
{
    int number = errno;
    err_set(err, ERR_OS, "%s: %s", what, strerror(number));
    if (number == EMFILE) {
        return err_hint(err, "raise the limit of open files: LimitNOFILE= in the unit, ulimit -n");
    }
    if (number == EPERM) {
        return err_hint(err, "a regular file or directory cannot be waited for: use a pipe");
    }
    return err_hint(err, "see sysctl fs.file-max fs.epoll.max_user_watches, and free memory");
}

/* Away from 0 to 2, which a caller may have closed: a zeroed loop then owns nothing. */
static int above_standard(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO) {
        return fd;
    }
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int number = errno;
    close(fd);
    errno = number;
    return moved;
}

static void close_own(int *fd)
{
    if (*fd > STDERR_FILENO) {
        close(*fd);
    }
    *fd = -1;
}

bool loop_init(struct loop *loop, struct err *err)
{
    *loop = (struct loop){.epoll_fd = -1, .signal_fd = -1};
    for (size_t i = 0; i < LOOP_WATCH_MAX; i++) {
        loop->fds[i] = -1;
    }
    loop->epoll_fd = above_standard(epoll_create1(EPOLL_CLOEXEC));
    return loop->epoll_fd >= 0 || fail(err, "cannot create an epoll set");
}

void loop_deinit(struct loop *loop)
{
    close_own(&loop->signal_fd);
    close_own(&loop->epoll_fd);
}

/* An fd that its owner closed has left the set by itself, and its number may be another file now:
 * so every call goes to the kernel, and what is there or not there already is no error. */
static bool add_or_change(struct loop *loop, unsigned watch, int fd, unsigned wants)
{
    struct epoll_event event = {
        .events =
            ((wants & LOOP_READ) != 0 ? EPOLLIN : 0u) | ((wants & LOOP_WRITE) != 0 ? EPOLLOUT : 0u),
        .data.u32 = watch,
    };
    if (loop->fds[watch] == fd && epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0) {
        return true;
    }
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void stop_watching(struct loop *loop, unsigned watch)
{
    if (loop->fds[watch] >= 0) {
        /* Fails when the fd was closed before: then it is not in the set either. */
        discard(epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, loop->fds[watch], NULL) == 0);
    }
    loop->fds[watch] = -1;
    loop->wants[watch] = 0;
    loop->ready &= ~(UINT32_C(1) << watch);
}

bool loop_watch(struct loop *loop, unsigned watch, int fd, unsigned wants, struct err *err)
{
    ASSERT(watch < LOOP_WATCH_MAX);
    ASSERT((wants & ~(unsigned)(LOOP_READ | LOOP_WRITE)) == 0);
    bool stop = fd < 0 || wants == 0;
    if (stop || fd != loop->fds[watch]) {
        stop_watching(loop, watch);
    }
    if (stop) {
        return true;
    }
    if (!add_or_change(loop, watch, fd, wants)) {
        bool failed = fail(err, "cannot watch a file descriptor");
        stop_watching(loop, watch);
        return failed;
    }
    loop->fds[watch] = fd;
    loop->wants[watch] = wants;
    return true;
}

/* For epoll_wait(): milliseconds, rounded up, -1 without limit. */
static int timeout_ms(uint64_t timeout_ns)
{
    if (timeout_ns == UINT64_MAX) {
        return -1;
    }
    uint64_t ms = timeout_ns / NS_PER_MS + (timeout_ns % NS_PER_MS != 0 ? 1 : 0);
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* How much of `timeout_ns` is left since `start_ns`. */
static uint64_t time_left(uint64_t timeout_ns, uint64_t start_ns)
{
    if (timeout_ns == UINT64_MAX) {
        return UINT64_MAX;
    }
    uint64_t gone = clock_mono_ns() - start_ns;
    return gone < timeout_ns ? timeout_ns - gone : 0;
}

/* epoll_wait() knows milliseconds only. Interrupted or failed, it ends early. */
static void wait_briefly(const struct loop *loop, uint64_t timeout_ns)
{
    struct pollfd entry = {.fd = loop->epoll_fd, .events = POLLIN};
    const struct timespec timeout = {.tv_nsec = (long)timeout_ns};
    discard(ppoll(&entry, 1, &timeout, NULL) > 0);
}

bool loop_wait(struct loop *loop, uint64_t timeout_ns, struct err *err)
{
    struct epoll_event events[LOOP_WATCH_MAX + 1];
    uint64_t start_ns = clock_mono_ns();
    uint64_t left_ns = timeout_ns;
    int count = 0;
    loop->ready = 0;
    if (timeout_ns != 0 && timeout_ns < NS_PER_MS) {
        wait_briefly(loop, timeout_ns);
        timeout_ns = left_ns = 0;
    }
    for (;;) {
        count = FAILPOINT(LOOP_WAIT) ? -1
                                     : epoll_wait(loop->epoll_fd, events, (int)ARRAY_LEN(events),
                                                  timeout_ms(left_ns));
        if (count < 0 && errno != EINTR) {
            return fail(err, "cannot wait for events");
        }
        /* Interrupted by a signal that is not ours, or the limit was beyond what one call takes. */
        left_ns = time_left(timeout_ns, start_ns);
        if (count > 0 || left_ns == 0) {
            break;
        }
    }
    for (int i = 0; i < count; i++) {
        if (events[i].data.u32 != SIGNAL_WATCH) {
            loop->ready |= UINT32_C(1) << events[i].data.u32;
        }
    }
    return true;
}

bool loop_signals(struct loop *loop, struct err *err)
{
    if (loop->signal_fd >= 0) {
        return true;
    }
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (sigaction(SIGPIPE, &ignore, NULL) != 0) {
        return fail(err, "cannot ignore SIGPIPE");
    }
    errno = pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (errno != 0) {
        return fail(err, "cannot block signals");
    }
    loop->signal_fd = above_standard(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
    if (loop->signal_fd < 0) {
        return fail(err, "cannot create a file descriptor for signals");
    }
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = SIGNAL_WATCH};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->signal_fd, &event) != 0) {
        bool failed = fail(err, "cannot watch for signals");
        close_own(&loop->signal_fd);
        return failed;
    }
    return true;
}

int loop_signal(struct loop *loop)
{
    struct signalfd_siginfo info;
    if (loop->signal_fd < 0) {
        return 0;
    }
    ssize_t size = 0;
    do {
        size = read(loop->signal_fd, &info, sizeof(info));
    } while (size < 0 && errno == EINTR);
    ASSERT(size >= 0 || errno == EAGAIN);
    return size == (ssize_t)sizeof(info) ? (int)info.ssi_signo : 0;
}
