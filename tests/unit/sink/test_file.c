/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scratch.h"
#include "walferry/sink/sink.h"

static char path[SCRATCH_PATH_MAX];
static struct sink_opts opts;
static const struct sink_ops *ops;
static struct sink *sink;
static struct err err;
static struct record record;
static struct sink_report reports[1000];

static void setup(void)
{
    scratch_path(path, "out.jsonl");
    ck_assert_int_eq(unlink(path) == 0 ? ENOENT : errno, ENOENT);
    opts = (struct sink_opts){.kind = SINK_FILE,
                              .path = path,
                              .max_records = 1000,
                              .max_bytes = 1 << 20,
                              .topics_max = 10};
    ops = sink_ops_of(SINK_FILE);
    sink = NULL;
    record = (struct record){.placement = {.topic = BYTES_LIT("t"), .partition = -1},
                             .value = BYTES_LIT("v")};
}

static void teardown(void)
{
    ops->close(sink);
}

static void open_sink(void)
{
    ck_assert_msg(ops->open(&opts, &sink, &err), "%s", err.message);
}

static bool readable(void)
{
    struct pollfd wait = {.fd = ops->fd(sink), .events = POLLIN};
    return poll(&wait, 1, 0) == 1;
}

static void submit(uint64_t tag)
{
    uint32_t topic;
    ck_assert_int_eq(ops->submit(sink, &record, tag, &topic, &err), SINK_TAKEN);
}

static void put_file(const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static size_t get_file(char *out, size_t size)
{
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    size_t len = fread(out, 1, size - 1, file);
    out[len] = '\0';
    fclose(file);
    return len;
}

START_TEST(a_directory_that_is_missing_is_said)
{
    opts.path = "/nonexistent-walferry/out";
    ck_assert(!ops->open(&opts, &sink, &err));
    ck_assert_int_eq(err.code, ERR_SINK_WRITE);
    ck_assert_str_eq(err.where, opts.path);
    ck_assert_str_ne(err.hint, "");
}
END_TEST

START_TEST(a_device_is_refused)
{
    opts.path = "/dev/null";
    ck_assert(!ops->open(&opts, &sink, &err));
    ck_assert_int_eq(err.code, ERR_SINK_WRITE);
}
END_TEST

START_TEST(a_second_writer_is_refused)
{
    open_sink();
    struct sink *second;
    ck_assert(!ops->open(&opts, &second, &err));
    ck_assert_ptr_nonnull(strstr(err.hint, "another process"));
}
END_TEST

START_TEST(nothing_counts_before_collect_and_the_descriptor_tells)
{
    open_sink();
    ck_assert(!readable());
    submit(1);
    ck_assert(readable());
    char text[256];
    ck_assert_uint_eq(get_file(text, sizeof(text)), 0);
    ck_assert_uint_eq(ops->collect(sink, reports, 1000), 1);
    ck_assert_uint_eq(reports[0].tag, 1);
    ck_assert_int_eq(reports[0].outcome, SINK_DELIVERED);
    ck_assert(!readable());
    get_file(text, sizeof(text));
    ck_assert_str_eq(text, "{\"topic\":\"t\",\"partition\":null,\"key\":null,\"timestamp\":0,"
                           "\"headers\":{},\"value\":\"v\"}\n");
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(status.st_mode & 0137, 0);
    ck_assert(!ops->volatile_acks);
}
END_TEST

START_TEST(reports_that_do_not_fit_come_later_once)
{
    open_sink();
    for (uint64_t tag = 0; tag < 10; tag++) {
        submit(tag);
    }
    uint64_t expected = 0;
    for (int i = 0; i < 4; i++) {
        size_t n = ops->collect(sink, reports, 3);
        ck_assert(readable() == (expected + n < 10));
        for (size_t j = 0; j < n; j++) {
            ck_assert_uint_eq(reports[j].tag, expected++);
        }
    }
    ck_assert_uint_eq(expected, 10);
}
END_TEST

START_TEST(a_torn_last_line_is_cut)
{
    put_file("{\"whole\":1}\n{\"torn\":");
    open_sink();
    struct sink_state state;
    ops->state(sink, &state);
    ck_assert_ptr_nonnull(strstr(state.detail, "unfinished line"));
    char text[256];
    get_file(text, sizeof(text));
    ck_assert_str_eq(text, "{\"whole\":1}\n");
    submit(1);
    ops->collect(sink, reports, 1000);
    get_file(text, sizeof(text));
    ck_assert_int_eq(strncmp(text, "{\"whole\":1}\n{\"topic\"", 20), 0);
}
END_TEST

START_TEST(a_file_that_is_one_torn_line_becomes_empty)
{
    char torn[10000];
    memset(torn, 'x', sizeof(torn) - 1);
    torn[sizeof(torn) - 1] = '\0';
    put_file(torn);
    open_sink();
    char text[16];
    ck_assert_uint_eq(get_file(text, sizeof(text)), 0);
}
END_TEST

START_TEST(a_whole_file_is_appended_to)
{
    put_file("a\nb\n");
    open_sink();
    char text[16];
    ck_assert_uint_eq(get_file(text, sizeof(text)), 4);
    struct sink_state state;
    ops->state(sink, &state);
    ck_assert_str_eq(state.detail, "");
    ck_assert(state.connected);
}
END_TEST

static void limit_size(rlim_t bytes)
{
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The limit cuts the second batch in its middle, as a full disk does. */
START_TEST(without_space_every_tag_is_a_retry_and_nothing_half_written_stays)
{
    open_sink();
    submit(1);
    ck_assert_uint_eq(ops->collect(sink, reports, 1000), 1);
    char before[256];
    size_t whole = get_file(before, sizeof(before));
    limit_size(whole + 10);
    submit(2);
    submit(3);
    ck_assert_uint_eq(ops->collect(sink, reports, 1000), 2);
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(reports[i].tag, 2 + (uint64_t)i);
        ck_assert_int_eq(reports[i].outcome, SINK_RETRY);
        ck_assert_int_eq(reports[i].code, ERR_SINK_WRITE);
        ck_assert_str_eq(reports[i].error, "EFBIG");
    }
    uint32_t topic;
    ck_assert_int_eq(ops->submit(sink, &record, 4, &topic, &err), SINK_BUSY);
    struct sink_state state;
    ops->state(sink, &state);
    ck_assert(!state.connected);
    ck_assert(ops->reset(sink, &err));
    char after[256];
    ck_assert_uint_eq(get_file(after, sizeof(after)), whole);
    ck_assert_str_eq(before, after);
    limit_size(RLIM_INFINITY);
    submit(5);
    ck_assert_uint_eq(ops->collect(sink, reports, 1000), 1);
    ck_assert_uint_eq(reports[0].tag, 5);
    ck_assert_int_eq(reports[0].outcome, SINK_DELIVERED);
    ck_assert_uint_eq(get_file(after, sizeof(after)), 2 * whole);
}
END_TEST

START_TEST(a_reset_forgets_what_was_only_buffered)
{
    open_sink();
    submit(1);
    ck_assert(ops->reset(sink, &err));
    ck_assert(!readable());
    ck_assert_uint_eq(ops->collect(sink, reports, 1000), 0);
    char text[16];
    ck_assert_uint_eq(get_file(text, sizeof(text)), 0);
}
END_TEST

START_TEST(a_reset_after_rotation_begins_a_new_file)
{
    open_sink();
    submit(1);
    ops->collect(sink, reports, 1000);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert(ops->reset(sink, &err));
    submit(2);
    ck_assert_uint_eq(ops->collect(sink, reports, 1000), 1);
    char text[256];
    ck_assert_uint_gt(get_file(text, sizeof(text)), 10);
    ck_assert_int_eq(text[0], '{');
}
END_TEST

START_TEST(tags_and_bytes_in_flight_are_bounded)
{
    opts.max_records = 3;
    open_sink();
    uint32_t topic;
    for (uint64_t tag = 0; tag < 3; tag++) {
        submit(tag);
    }
    ck_assert_int_eq(ops->submit(sink, &record, 3, &topic, &err), SINK_BUSY);
    ck_assert_uint_eq(ops->collect(sink, reports, 1000), 3);
    static char value[600000];
    memset(value, 'x', sizeof(value));
    record.value = bytes_make(value, sizeof(value));
    submit(4);
    ck_assert_int_eq(ops->submit(sink, &record, 5, &topic, &err), SINK_BUSY);
    ck_assert_uint_eq(ops->collect(sink, reports, 1000), 1);
    /* One that is larger than the limit passes alone. */
    static char large[3000000];
    memset(large, 'x', sizeof(large));
    record.value = bytes_make(large, sizeof(large));
    submit(6);
    ck_assert_uint_eq(ops->collect(sink, reports, 1000), 1);
}
END_TEST

static Suite *suite_of_file(void)
{
    Suite *suite = suite_create("sink/file");
    TCase *tests = tcase_create("file");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_directory_that_is_missing_is_said);
    tcase_add_test(tests, a_device_is_refused);
    tcase_add_test(tests, a_second_writer_is_refused);
    tcase_add_test(tests, nothing_counts_before_collect_and_the_descriptor_tells);
    tcase_add_test(tests, reports_that_do_not_fit_come_later_once);
    tcase_add_test(tests, a_torn_last_line_is_cut);
    tcase_add_test(tests, a_file_that_is_one_torn_line_becomes_empty);
    tcase_add_test(tests, a_whole_file_is_appended_to);
    tcase_add_test(tests, without_space_every_tag_is_a_retry_and_nothing_half_written_stays);
    tcase_add_test(tests, a_reset_forgets_what_was_only_buffered);
    tcase_add_test(tests, a_reset_after_rotation_begins_a_new_file);
    tcase_add_test(tests, tags_and_bytes_in_flight_are_bounded);
    suite_add_tcase(suite, tests);
    return suite;
}

TEST_MAIN_SCRATCH(suite_of_file())
