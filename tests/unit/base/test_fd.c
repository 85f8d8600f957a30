/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/fd.h"

#include <errno.h>
#include <fcntl.h>

#include "scratch.h"

static char into[16];
static size_t len;

static int file_of(const char *content)
{
    char path[SCRATCH_PATH_MAX];
    scratch_path(path, "file");
    scratch_write(path, content, strlen(content), 0600);
    return open(path, O_RDONLY | O_CLOEXEC);
}

START_TEST(a_failed_read_writes_nothing_and_keeps_errno)
{
    len = 77;
    ck_assert(!fd_read(-1, into, sizeof(into), &len));
    ck_assert_int_eq(errno, EBADF);
    ck_assert_uint_eq(len, 77);
    int fd AUTO(fd_close) = open("/", O_RDONLY | O_CLOEXEC);
    ck_assert(!fd_read(fd, into, sizeof(into), &len));
    ck_assert_int_eq(errno, EISDIR);
    ck_assert_uint_eq(len, 77);
}
END_TEST

START_TEST(a_file_is_read_to_its_end_or_to_the_size)
{
    int fd AUTO(fd_close) = file_of("0123456789");
    ck_assert(fd_read(fd, into, 4, &len));
    ck_assert_bytes(bytes_make(into, len), "0123");
    ck_assert(fd_read(fd, into, sizeof(into), &len));
    ck_assert_bytes(bytes_make(into, len), "456789");
    ck_assert(fd_read(fd, into, sizeof(into), &len));
    ck_assert_uint_eq(len, 0);
}
END_TEST

START_TEST(no_room_reads_nothing)
{
    int fd AUTO(fd_close) = file_of("0");
    ck_assert(fd_read(fd, into, 0, &len));
    ck_assert_uint_eq(len, 0);
}
END_TEST

/* In packet mode each read returns one of the pieces. */
START_TEST(short_reads_are_put_together)
{
    int pipe_fd[2];
    ck_assert_int_eq(pipe2(pipe_fd, O_CLOEXEC | O_DIRECT), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(write(pipe_fd[1], "ab", 2), 2);
    ck_assert_int_eq(close(pipe_fd[1]), 0);
    ck_assert(fd_read(pipe_fd[0], into, sizeof(into), &len));
    ck_assert_bytes(bytes_make(into, len), "ababab");
    ck_assert_int_eq(close(pipe_fd[0]), 0);
}
END_TEST

START_TEST(a_descriptor_is_closed_when_it_leaves_its_scope)
{
    int seen;
    {
        int fd AUTO(fd_close) = file_of("");
        ck_assert_int_ge(fd, 0);
        seen = fd;
    }
    ck_assert_int_eq(fcntl(seen, F_GETFD), -1);
    ck_assert_int_eq(errno, EBADF);
    errno = 0;
    int none AUTO(fd_close) = -1;
    fd_close(&none);
    ck_assert_int_eq(errno, 0);
}
END_TEST

static Suite *suite_of_fd(void)
{
    Suite *suite = suite_create("base/fd");
    TCase *tests = tcase_create("fd");
    tcase_add_test(tests, a_failed_read_writes_nothing_and_keeps_errno);
    tcase_add_test(tests, a_file_is_read_to_its_end_or_to_the_size);
    tcase_add_test(tests, no_room_reads_nothing);
    tcase_add_test(tests, short_reads_are_put_together);
    tcase_add_test(tests, a_descriptor_is_closed_when_it_leaves_its_scope);
    suite_add_tcase(suite, tests);
    return suite;
}

TEST_MAIN_SCRATCH(suite_of_fd())
