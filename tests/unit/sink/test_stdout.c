/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "ops.h"
#include "test.h"
#include "walferry/base/buf.h"

static struct sink_opts opts = {
    .kind = SINK_STDOUT, .max_records = 1000, .max_bytes = 1 << 20, .topics_max = 1};
static struct sink *sink;
static const struct sink_ops *ops;
static struct err err;
static int ends[2];
static struct record record;

static void setup(void)
{
    signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(pipe(ends), 0);
    ops = sink_ops_of(SINK_STDOUT);
    ck_assert(sink_stdout_open_fd(&opts, ends[1], &sink, &err));
    record = (struct record){.placement = {.topic = BYTES_LIT("t"), .partition = -1},
                             .value = BYTES_LIT("v")};
}

static void teardown(void)
{
    ops->close(sink);
    close(ends[0]);
    close(ends[1]);
}

static size_t drain(char *out, size_t size)
{
    size_t len = 0;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    ssize_t n;
    while (len < size && (n = read(ends[0], out + len, size - len)) > 0) {
        len += (size_t)n;
    }
    return len;
}

START_TEST(a_closed_reader_halts)
{
    close(ends[0]);
    uint32_t topic;
    struct sink_report reports[4];
    ck_assert_int_eq(ops->submit(sink, &record, 7, &topic, &err), SINK_TAKEN);
    ck_assert_uint_eq(ops->collect(sink, reports, 4), 1);
    ck_assert_uint_eq(reports[0].tag, 7);
    ck_assert_int_eq(reports[0].outcome, SINK_HALT);
    ck_assert_int_eq(reports[0].code, ERR_SINK_WRITE);
    ck_assert_str_eq(reports[0].error, "EPIPE");
    ck_assert_int_eq(ops->submit(sink, &record, 8, &topic, &err), SINK_FAIL);
    ck_assert_int_eq(err_class(err.code), ERR_CLASS_STOP);
}
END_TEST

START_TEST(a_full_pipe_holds_and_every_line_is_reported_once)
{
    char value[1000];
    memset(value, 'x', sizeof(value));
    record.value = bytes_make(value, sizeof(value));
    uint32_t topic;
    uint64_t tag = 0;
    while (ops->submit(sink, &record, tag, &topic, &err) == SINK_TAKEN) {
        tag++;
    }
    static char seen[1 << 21];
    static struct sink_report reports[1000];
    size_t reported = ops->collect(sink, reports, 1000);
    ck_assert_uint_gt(reported, 0);
    ck_assert_uint_lt(reported, tag);
    size_t len = 0;
    uint64_t expected = reported;
    while (reported < tag) {
        len += drain(seen + len, sizeof(seen) - len);
        size_t n = ops->collect(sink, reports, 3);
        for (size_t i = 0; i < n; i++) {
            ck_assert_uint_eq(reports[i].tag, expected++);
            ck_assert_int_eq(reports[i].outcome, SINK_DELIVERED);
        }
        reported += n;
    }
    len += drain(seen + len, sizeof(seen) - len);
    size_t lines = 0;
    for (size_t i = 0; i < len; i++) {
        lines += seen[i] == '\n' ? 1 : 0;
    }
    ck_assert_uint_eq(lines, tag);
    ck_assert_uint_eq(ops->collect(sink, reports, 3), 0);
}
END_TEST

START_TEST(after_a_reset_no_old_tag_is_reported_and_lines_are_whole)
{
    static char value[500000];
    memset(value, 'x', sizeof(value));
    record.value = bytes_make(value, sizeof(value));
    uint32_t topic;
    struct sink_report reports[4];
    ck_assert_int_eq(ops->submit(sink, &record, 1, &topic, &err), SINK_TAKEN);
    ck_assert_uint_eq(ops->collect(sink, reports, 4), 0);
    static char seen[1 << 20];
    size_t len = drain(seen, sizeof(seen));
    ck_assert(ops->reset(sink, &err));
    record.value = BYTES_LIT("after");
    ck_assert_int_eq(ops->submit(sink, &record, 2, &topic, &err), SINK_TAKEN);
    ck_assert_uint_eq(ops->collect(sink, reports, 4), 1);
    ck_assert_uint_eq(reports[0].tag, 2);
    len += drain(seen + len, sizeof(seen) - len);
    seen[len] = '\0';
    ck_assert_ptr_nonnull(strstr(seen, "x\n{\"topic\""));
}
END_TEST

START_TEST(topics_beyond_the_table_are_called_other)
{
    uint32_t topic;
    ck_assert_int_eq(ops->submit(sink, &record, 1, &topic, &err), SINK_TAKEN);
    ck_assert_str_eq(ops->topic_name(sink, topic), "t");
    record.placement.topic = BYTES_LIT("u");
    ck_assert_int_eq(ops->submit(sink, &record, 2, &topic, &err), SINK_TAKEN);
    ck_assert_str_eq(ops->topic_name(sink, topic), "other");
}
END_TEST

START_TEST(its_acknowledgements_are_volatile)
{
    ck_assert(ops->volatile_acks);
    ck_assert_int_eq(ops->fd(sink), -1);
    struct sink_state state;
    ops->state(sink, &state);
    ck_assert(state.connected);
}
END_TEST

static Suite *suite_of_stdout(void)
{
    Suite *suite = suite_create("sink/stdout");
    TCase *tests = tcase_create("stdout");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_closed_reader_halts);
    tcase_add_test(tests, a_full_pipe_holds_and_every_line_is_reported_once);
    tcase_add_test(tests, after_a_reset_no_old_tag_is_reported_and_lines_are_whole);
    tcase_add_test(tests, topics_beyond_the_table_are_called_other);
    tcase_add_test(tests, its_acknowledgements_are_volatile);
    suite_add_tcase(suite, tests);
    return suite;
}

TEST_MAIN(suite_of_stdout())
