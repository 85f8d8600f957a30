/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"
#include "walferry/base/json.h"

static int reading = -1;
static char text[1 << 20];

/* Standard error becomes `fd`, and `other` the end to read it at. */
static void redirect(int fd, int other)
{
    ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    close(fd);
    reading = other;
    ck_assert_int_eq(fcntl(reading, F_SETFL, O_NONBLOCK), 0);
}

static void set_up(void)
{
    int ends[2];
    unsetenv("JOURNAL_STREAM");
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    redirect(ends[1], ends[0]);
}

/* What was written since the last call. */
static const char *written(void)
{
    size_t length = 0;
    ssize_t count = 0;
    while ((count = read(reading, text + length, sizeof(text) - 1 - length)) > 0) {
        length += (size_t)count;
    }
    text[length] = '\0';
    return text;
}

static void check_match(const char *line, const char *pattern)
{
    regex_t regex;
    ck_assert_int_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    ck_assert_msg(regexec(&regex, line, 0, NULL, 0) == 0, "\"%s\" is not %s", line, pattern);
    regfree(&regex);
}

/* One line, one JSON object. */
static void check_json(const char *line)
{
    size_t length = strlen(line);
    ck_assert_uint_gt(length, 1);
    ck_assert_uint_le(length, 4096);
    ck_assert_ptr_eq(strchr(line, '\n'), line + length - 1);
    ck_assert_msg(json_parse(bytes_make(line, length - 1)).kind == JSON_OBJECT, "%s", line);
}

#define STAMP "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{6})?Z"

START_TEST(default_is_info_and_json_on_a_pipe)
{
    ck_assert(log_enabled(LOG_INFO));
    ck_assert(!log_enabled(LOG_DEBUG));
    log_info("hello", F_U64("n", 1));
    check_json(written());
    ck_assert_ptr_null(strstr(text, "pipeline"));
}
END_TEST

START_TEST(levels_below_are_silent)
{
    log_setup(LOG_TEXT, LOG_WARN, NULL);
    log_info("no", F_U64("n", 1));
    log_debug("no", F_U64("n", 1));
    log_fields(LOG_INFO, "no", NULL, 0);
    ck_assert_str_eq(written(), "");
    log_warn("yes", F_U64("n", 1));
    check_match(written(), "^" STAMP " WARN  yes n=1\n$");
    log_error("yes", F_U64("n", 1));
    check_match(written(), "^" STAMP " ERROR yes n=1\n$");
    log_setup(LOG_TEXT, LOG_DEBUG, NULL);
    log_debug("yes", F_U64("n", 1));
    check_match(written(), "^" STAMP " DEBUG yes n=1\n$");
}
END_TEST

START_TEST(arguments_of_silent_levels_are_not_evaluated)
{
    uint64_t count = 0;
    log_setup(LOG_TEXT, LOG_WARN, NULL);
    log_info("no", F_U64("n", ++count));
    ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(text_of_every_type)
{
    log_setup(LOG_TEXT, LOG_INFO, "orders");
    log_info("streaming", F_STR("slot", "walferry_orders"), F_STR("reason", "two words"),
             F_STR("none", NULL), F_STR("empty", ""), F_BYTES("bytes", BYTES_LIT("a\0b")),
             F_U64("u", UINT64_MAX), F_I64("i", INT64_MIN), F_LSN("lsn", lsn_make(0x16B374D848)),
             F_BOOL("yes", true), F_BOOL("no", false));
    check_match(written(),
                "^" STAMP " INFO  streaming pipeline=orders slot=walferry_orders "
                "reason=\"two words\" none=null empty=\"\" bytes=\"a\\\\x00b\" "
                "u=18446744073709551615 i=-9223372036854775808 lsn=16/B374D848 yes=true no=false"
                "\n$");
}
END_TEST

START_TEST(json_of_every_type)
{
    log_setup(LOG_JSON, LOG_INFO, "orders");
    log_info("streaming", F_STR("slot", "walferry_orders"), F_STR("none", NULL), F_STR("empty", ""),
             F_BYTES("bytes", BYTES_LIT("a\0b")), F_U64("u", UINT64_MAX), F_I64("i", INT64_MIN),
             F_LSN("lsn", lsn_make(0x16B374D848)), F_BOOL("yes", true));
    check_json(written());
    check_match(text, "^\\{\"@timestamp\":\"" STAMP "\",\"log.level\":\"info\","
                      "\"message\":\"streaming\",\"service.name\":\"walferry\","
                      "\"walferry.pipeline\":\"orders\",\"slot\":\"walferry_orders\",\"none\":null,"
                      "\"empty\":\"\",\"bytes\":\"a\\\\u0000b\",\"u\":18446744073709551615,"
                      "\"i\":-9223372036854775808,\"lsn\":\"16/B374D848\",\"yes\":true\\}\n$");
}
END_TEST

START_TEST(hostile_text_stays_one_line)
{
    static const char hostile[] = "x\n2026 ERROR forged\r\x1b[31m\x7f\xff\xc3 \"q\" \\ k=v";
    log_setup(LOG_TEXT, LOG_INFO, NULL);
    log_fields(LOG_INFO, hostile, &F_STR("value", hostile), 1);
    const char *line = written();
    ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
    ck_assert_ptr_null(strpbrk(line, "\r\x1b\x7f\xff\xc3"));
    ck_assert_ptr_nonnull(strcasestr(line, "value=\"x\\x0a2026 ERROR forged\\x0d\\x1b[31m\\x7f"));
    ck_assert_ptr_nonnull(strstr(line, " \\\"q\\\" \\\\ k=v\""));

    log_setup(LOG_JSON, LOG_INFO, NULL);
    log_fields(LOG_INFO, hostile, &F_STR("value", hostile), 1);
    check_json(written());
    ck_assert_ptr_nonnull(strstr(text, "\"value\":\"x\\u000a2026 ERROR forged\\u000d\\u001b[31m"
                                       "\\u007f\\ufffd\\ufffd \\\"q\\\" \\\\ k=v\""));
}
END_TEST

START_TEST(utf8_passes_and_broken_utf8_is_replaced)
{
    log_setup(LOG_JSON, LOG_INFO, NULL);
    log_info("m", F_STR("v", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x84"));
    check_json(written());
    ck_assert_ptr_nonnull(strstr(text, "\"v\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x84\""));
    static const char *const broken[] = {"\x80",
                                         "\xc3",
                                         "\xe2\x82",
                                         "\xed\xa0\x80",
                                         "\xc0\x80",
                                         "\xf4\x90\x80\x80",
                                         "\xf8\x88\x80\x80\x80",
                                         "\xe2"};
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        log_info("m", F_STR("v", broken[i]));
        check_json(written());
        ck_assert_msg(strstr(text, "\"v\":\"\\ufffd") != NULL, "%s", text);
    }
}
END_TEST

START_TEST(long_values_are_cut)
{
    char value[9000];
    memset(value, 'v', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    for (int format = LOG_TEXT; format <= LOG_JSON; format++) {
        log_setup((enum log_format)format, LOG_INFO, NULL);
        log_info("m", F_STR("a", value), F_U64("b", 42));
        const char *line = written();
        ck_assert_uint_le(strlen(line), 4096);
        ck_assert_ptr_nonnull(strstr(line, "vvv..."));
        ck_assert_ptr_nonnull(strstr(line, "42"));
        ck_assert_ptr_null(strstr(line, "log.truncated"));
    }
    check_json(text);
}
END_TEST

START_TEST(values_that_grow_by_escaping_are_cut_shorter)
{
    char value[1024];
    memset(value, '\x01', sizeof(value));
    struct bytes bytes = bytes_make(value, sizeof(value));
    for (int format = LOG_TEXT; format <= LOG_JSON; format++) {
        log_setup((enum log_format)format, LOG_INFO, "orders");
        log_info("m", F_BYTES("a", bytes), F_BYTES("b", bytes), F_BYTES("c", bytes));
        const char *line = written();
        ck_assert_uint_le(strlen(line), 4096);
        ck_assert_ptr_nonnull(strstr(line, "..."));
        ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
    }
    check_json(text);
}
END_TEST

START_TEST(longest_message_fits)
{
    char message[2000];
    memset(message, '\x01', sizeof(message));
    message[sizeof(message) - 1] = '\0';
    log_setup(LOG_JSON, LOG_INFO, "orders");
    log_fields(LOG_INFO, message, NULL, 0);
    check_json(written());
    log_setup(LOG_TEXT, LOG_INFO, "orders");
    log_fields(LOG_INFO, message, NULL, 0);
    ck_assert_uint_le(strlen(written()), 4096);
}
END_TEST

START_TEST(fields_beyond_the_line_are_said)
{
    char value[1000];
    memset(value, 'v', sizeof(value));
    struct log_field fields[40];
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        fields[i] = F_BYTES("k", bytes_make(value, sizeof(value)));
    }
    log_setup(LOG_JSON, LOG_INFO, "orders");
    log_fields(LOG_INFO, "m", fields, ARRAY_LEN(fields));
    check_json(written());
    ck_assert_ptr_nonnull(strstr(text, ",\"log.truncated\":true}\n"));
    log_setup(LOG_TEXT, LOG_INFO, "orders");
    log_fields(LOG_INFO, "m", fields, ARRAY_LEN(fields));
    ck_assert_uint_le(strlen(written()), 4096);
    ck_assert_ptr_nonnull(strstr(text, " log.truncated=true\n"));
}
END_TEST

START_TEST(error_has_fields_of_its_own)
{
    struct err err = ERR_INIT;
    log_setup(LOG_JSON, LOG_INFO, NULL);
    err_set(&err, ERR_PG_CONNECT, "refused");
    log_err(LOG_ERROR, "connect", &err);
    check_json(written());
    check_match(text,
                "\"log.level\":\"error\",\"message\":\"connect\",\"service.name\":\"walferry\","
                "\"error.code\":\"WF-2001\",\"error.message\":\"refused\"\\}\n$");
    err_where(&err, "host db");
    err_hint(&err, "start it");
    memcpy(err.sqlstate, "57P01", 6);
    log_err(LOG_WARN, "connect", &err);
    check_json(written());
    check_match(text, "\"error.code\":\"WF-2001\",\"error.message\":\"refused\","
                      "\"error.where\":\"host db\",\"error.sqlstate\":\"57P01\","
                      "\"error.hint\":\"start it\"\\}\n$");
    log_setup(LOG_TEXT, LOG_INFO, NULL);
    log_err(LOG_ERROR, "connect", &err);
    check_match(written(), " ERROR connect error.code=WF-2001 error.message=refused "
                           "error.where=\"host db\" error.sqlstate=57P01 "
                           "error.hint=\"start it\"\n$");
}
END_TEST

START_TEST(error_of_a_bug_names_the_source)
{
    struct err err = ERR_INIT;
    log_setup(LOG_TEXT, LOG_INFO, NULL);
    err_set(&err, ERR_INTERNAL, "impossible");
    err_where(&err, "w");
    err_hint(&err, "h");
    memcpy(err.sqlstate, "XX000", 6);
    log_err(LOG_ERROR, "bug", &err);
    check_match(written(), "log.origin.file.name=test_log.c log.origin.file.line=[0-9]+\n$");
}
END_TEST

START_TEST(error_may_be_missing)
{
    struct err err = ERR_INIT;
    log_setup(LOG_TEXT, LOG_INFO, NULL);
    log_err(LOG_ERROR, "lost", NULL);
    check_match(written(), " ERROR lost\n$");
    log_err(LOG_ERROR, "lost", &err);
    check_match(written(), " ERROR lost\n$");
}
END_TEST

START_TEST(journal_gets_priorities)
{
    struct stat status;
    ck_assert_int_eq(fstat(STDERR_FILENO, &status), 0);
    char stream[64];
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_setup(LOG_AUTO, LOG_DEBUG, NULL);
    log_error("m", F_U64("n", 1));
    check_match(written(), "^<3>" STAMP " ERROR m n=1\n$");
    log_warn("m", F_U64("n", 1));
    check_match(written(), "^<4>" STAMP " WARN  m n=1\n$");
    log_info("m", F_U64("n", 1));
    check_match(written(), "^<6>" STAMP " INFO  m n=1\n$");
    log_debug("m", F_U64("n", 1));
    check_match(written(), "^<7>" STAMP " DEBUG m n=1\n$");
    log_setup(LOG_JSON, LOG_DEBUG, NULL);
    log_info("m", F_U64("n", 1));
    check_json(written());
    /* The variable is inherited by children whose standard error is something else. */
    setenv("JOURNAL_STREAM", "1:2", 1);
    log_setup(LOG_AUTO, LOG_DEBUG, NULL);
    log_info("m", F_U64("n", 1));
    check_json(written());
}
END_TEST

static void open_terminal(void)
{
    int leader = posix_openpt(O_RDWR | O_NOCTTY);
    ck_assert_int_ge(leader, 0);
    ck_assert_int_eq(grantpt(leader), 0);
    ck_assert_int_eq(unlockpt(leader), 0);
    int terminal = open(ptsname(leader), O_RDWR | O_NOCTTY);
    ck_assert_int_ge(terminal, 0);
    redirect(terminal, leader);
}

START_TEST(terminal_gets_text_in_colour)
{
    open_terminal();
    unsetenv("NO_COLOR");
    setenv("TERM", "xterm", 1);
    log_setup(LOG_AUTO, LOG_INFO, NULL);
    log_error("m", F_STR("k", "v"));
    check_match(written(), "^" STAMP " \x1b\\[31mERROR\x1b\\[0m m k=v\r?\n$");
    log_setup(LOG_JSON, LOG_INFO, NULL);
    log_error("m", F_STR("k", "v"));
    ck_assert_ptr_null(strchr(written(), '\x1b'));
    ck_assert_int_eq(text[0], '{');
}
END_TEST

START_TEST(terminal_without_colour)
{
    open_terminal();
    setenv("TERM", "xterm", 1);
    setenv("NO_COLOR", "1", 1);
    log_setup(LOG_AUTO, LOG_INFO, NULL);
    log_error("m", F_STR("k", "v"));
    check_match(written(), "^" STAMP " ERROR m k=v\r?\n$");
    unsetenv("NO_COLOR");
    setenv("TERM", "dumb", 1);
    log_setup(LOG_AUTO, LOG_INFO, NULL);
    log_error("m", F_STR("k", "v"));
    check_match(written(), "^" STAMP " ERROR m k=v\r?\n$");
}
END_TEST

/* Fill standard error with line feeds until it takes no more. */
static void fill(void)
{
    char page[4096];
    memset(page, '\n', sizeof(page));
    int flags = fcntl(STDERR_FILENO, F_GETFL);
    ck_assert_int_eq(fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK), 0);
    while (write(STDERR_FILENO, page, sizeof(page)) > 0) {
    }
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(fcntl(STDERR_FILENO, F_SETFL, flags), 0);
}

static void check_drop_and_tell(void)
{
    log_setup(LOG_TEXT, LOG_ERROR, NULL);
    fill();
    int flags = fcntl(STDERR_FILENO, F_GETFL);
    ck_assert_uint_eq(log_dropped(), 0);
    log_error("lost", F_U64("n", 1));
    ck_assert_uint_eq(log_dropped(), 1);
    log_error("lost", F_U64("n", 2));
    ck_assert_uint_eq(log_dropped(), 2);
    ck_assert_int_eq(fcntl(STDERR_FILENO, F_GETFL), flags);
    ck_assert_ptr_null(strstr(written(), "lost"));
    log_error("back", F_U64("n", 3));
    char pattern[256];
    snprintf(pattern, sizeof(pattern),
             "^" STAMP " WARN  log lines dropped lines=2\n" STAMP " ERROR back n=3\n$");
    check_match(written(), pattern);
    ck_assert_uint_eq(log_dropped(), 2);
    log_error("again", F_U64("n", 4));
    check_match(written(), "^" STAMP " ERROR again n=4\n$");
}

START_TEST(full_pipe_drops_and_tells)
{
    check_drop_and_tell();
}
END_TEST

START_TEST(full_socket_drops_and_tells)
{
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    redirect(ends[1], ends[0]);
    check_drop_and_tell();
}
END_TEST

START_TEST(no_reader_is_survived)
{
    log_setup(LOG_TEXT, LOG_INFO, NULL);
    close(reading);
    log_info("lost", F_U64("n", 1));
    ck_assert_uint_eq(log_dropped(), 1);
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    redirect(ends[1], ends[0]);
    log_setup(LOG_TEXT, LOG_INFO, NULL);
    close(reading);
    log_info("lost", F_U64("n", 1));
    ck_assert_uint_eq(log_dropped(), 2);
}
END_TEST

START_TEST(closed_standard_error_is_survived)
{
    close(STDERR_FILENO);
    log_setup(LOG_AUTO, LOG_INFO, NULL);
    log_info("lost", F_U64("n", 1));
    ck_assert_uint_eq(log_dropped(), 1);
}
END_TEST

/* A limit on the size of files makes the kernel write the first bytes of a line only. */
START_TEST(line_after_a_torn_one_stands_alone)
{
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    redirect(dup(fileno(file)), fileno(file));
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    struct rlimit tight = {.rlim_cur = 10, .rlim_max = limit.rlim_max};
    log_setup(LOG_TEXT, LOG_INFO, NULL);
    /* No assertion meanwhile: Check writes a file for each. */
    bool limited = setrlimit(RLIMIT_FSIZE, &tight) == 0;
    log_info("torn", F_U64("n", 1));
    bool lifted = setrlimit(RLIMIT_FSIZE, &limit) == 0;
    ck_assert(limited && lifted);
    ck_assert_uint_eq(log_dropped(), 1);
    log_info("whole", F_U64("n", 2));
    ck_assert_int_eq(lseek(reading, 0, SEEK_SET), 0);
    check_match(written(), "^[0-9-]{10}\n" STAMP " WARN  log lines dropped lines=1\n" STAMP
                           " INFO  whole n=2\n$");
    fclose(file);
}
END_TEST

START_TEST(errno_is_kept)
{
    log_setup(LOG_TEXT, LOG_INFO, NULL);
    close(STDERR_FILENO);
    errno = ENOTNAM;
    log_info("lost", F_U64("n", 1));
    ck_assert_int_eq(errno, ENOTNAM);
}
END_TEST

static void add_forms(Suite *suite)
{
    TCase *tcase = tcase_create("forms");
    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_test(tcase, default_is_info_and_json_on_a_pipe);
    tcase_add_test(tcase, levels_below_are_silent);
    tcase_add_test(tcase, arguments_of_silent_levels_are_not_evaluated);
    tcase_add_test(tcase, text_of_every_type);
    tcase_add_test(tcase, json_of_every_type);
    tcase_add_test(tcase, hostile_text_stays_one_line);
    tcase_add_test(tcase, utf8_passes_and_broken_utf8_is_replaced);
    tcase_add_test(tcase, long_values_are_cut);
    tcase_add_test(tcase, values_that_grow_by_escaping_are_cut_shorter);
    tcase_add_test(tcase, longest_message_fits);
    tcase_add_test(tcase, fields_beyond_the_line_are_said);
    tcase_add_test(tcase, error_has_fields_of_its_own);
    tcase_add_test(tcase, error_of_a_bug_names_the_source);
    tcase_add_test(tcase, error_may_be_missing);
    tcase_add_test(tcase, journal_gets_priorities);
    tcase_add_test(tcase, terminal_gets_text_in_colour);
    tcase_add_test(tcase, terminal_without_colour);
    suite_add_tcase(suite, tcase);
}

static void add_blocking(Suite *suite)
{
    TCase *tcase = tcase_create("blocking");
    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_test(tcase, full_pipe_drops_and_tells);
    tcase_add_test(tcase, full_socket_drops_and_tells);
    tcase_add_test(tcase, no_reader_is_survived);
    tcase_add_test(tcase, closed_standard_error_is_survived);
    tcase_add_test(tcase, line_after_a_torn_one_stands_alone);
    tcase_add_test(tcase, errno_is_kept);
    suite_add_tcase(suite, tcase);
}

static Suite *suite_of_log(void)
{
    Suite *suite = suite_create("log");
    add_forms(suite);
    add_blocking(suite);
    return suite;
}

TEST_MAIN(suite_of_log())
