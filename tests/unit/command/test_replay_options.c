/* SPDX-License-Identifier: Apache-2.0 */
#include "replay_options.h"

#include <stdlib.h>

#include "test.h"
#include "walferry/base/clock.h"

#define NOW_US INT64_C(1767225600000000) /* 2026-01-01 */

/* The linker puts this in the place of realloc(). */
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);
static bool starving;

void *__wrap_realloc(void *memory, size_t size)
{
    return starving ? NULL : __real_realloc(memory, size);
}

static struct arguments arguments;
static struct replay_options options;
static struct buf command;
static struct err err;

static void setup(void)
{
    ck_assert_int_eq(unsetenv("WALFERRY_CONFIG"), 0);
    options = (struct replay_options){0};
    buf_init(&command, 65536);
    err = ERR_INIT;
}

static void teardown(void)
{
    replay_options_free(&options);
    buf_deinit(&command);
}

static const struct command *replay_command(void)
{
    for (const struct command *row = commands; row->name != NULL; row++)
        if (strcmp(row->name, "replay") == 0)
            return row;
    ck_abort_msg("there is no command replay");
    return NULL;
}

static void parse(const char *const *words)
{
    static char storage[40][512];
    char *argv[40];
    int argc = 0;
    for (; words[argc] != NULL; argc++) {
        snprintf(storage[argc], sizeof(storage[argc]), "%s", words[argc]);
        argv[argc] = storage[argc];
    }
    ck_assert_int_eq(arguments_parse(replay_command(), argc, argv, &arguments, &err),
                     ARGUMENTS_RUN);
}

static bool read_from(const char *input, const char *const *words)
{
    parse(words);
    replay_options_free(&options);
    FILE *file = input[0] == '\0' ? fopen("/dev/null", "r")
                                  : fmemopen((void *)(uintptr_t)input, strlen(input), "r");
    ck_assert_ptr_nonnull(file);
    bool ok = replay_options_read(&arguments, NOW_US, file, &options, &err);
    fclose(file);
    return ok;
}

#define READ(...)              read_from("", (const char *const[]){__VA_ARGS__, NULL})
#define READ_INPUT(input, ...) read_from(input, (const char *const[]){__VA_ARGS__, NULL})

static void assert_usage(bool ok, const char *part)
{
    ck_assert(!ok);
    ck_assert_str_eq(err_name(err.code), "USAGE");
    ck_assert_msg(strstr(err.message, part) != NULL, "\"%s\" lacks \"%s\"", err.message, part);
    ck_assert_ptr_null(options.ids.text);
}

START_TEST(times_and_ages)
{
    static const struct {
        const char *text;
        int64_t us;
    } times[] = {
        {"2026-01-01T00:00:00Z", NOW_US},
        {"2026-01-01T02:00:00+02:00", NOW_US},
        {"2025-12-31 23:59:59.999999-00", NOW_US - 1},
        {"2h", NOW_US - INT64_C(7200) * US_PER_S},
        {"1.5d", NOW_US - INT64_C(129600) * US_PER_S},
        {"250ms", NOW_US - 250000},
        {"0", NOW_US},
    };
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        ck_assert_msg(READ("--from", times[i].text), "%s: %s", times[i].text, err.message);
        ck_assert_msg(options.from_us == times[i].us, "%s", times[i].text);
        ck_assert(options.has_from && !options.has_to && !options.by_ids);
    }
    ck_assert_uint_eq(options.timeout_ms, 60000);
}
END_TEST

START_TEST(what_is_no_time)
{
    static const char *const texts[] = {"",
                                        "yesterday",
                                        "2026-01-01",
                                        "2 h",
                                        "2026-01-01T00:00:00",
                                        "2026-02-30T00:00:00Z",
                                        "-2h",
                                        "2026-01-01T00:00",
                                        "infinity",
                                        "9999999999999999999d"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_usage(READ("--from", texts[i]), "neither a time with its zone nor an age");
    ck_assert_msg(strstr(err.hint, "--from 2026-01-01T00:00:00Z") != NULL, "%s", err.hint);
    assert_usage(READ("--from", "2h", "--to", "x"), "--to");
}
END_TEST

START_TEST(the_window_is_not_empty)
{
    ck_assert(READ("--from", "2h", "--to", "1h"));
    ck_assert(options.has_to);
    assert_usage(READ("--from", "1h", "--to", "2h"), "does not lie before");
    assert_usage(READ("--from", "1h", "--to", "60m"), "does not lie before");
}
END_TEST

START_TEST(one_way_to_say_which_rows)
{
    assert_usage(READ("--dry-run"), "--from T or --ids");
    assert_usage(READ("--to", "1h"), "--from T or --ids");
    assert_usage(READ("--ids", "1", "--from", "1h"), "exclude each other");
    assert_usage(READ("--ids", "1", "--to", "1h"), "exclude each other");
    assert_usage(READ("--from", "1h", "--json"), "--dry-run");
    assert_usage(READ("--from", "1h", "--timeout", "0"), "not a duration");
    assert_usage(READ("--from", "1h", "--timeout", "soon"), "not a duration");
    assert_usage(READ("--from", "1h", "--type", "x\\"), "backslash");
    ck_assert(READ("--from", "1h", "--aggregate-id", "x\\", "--timeout", "5s"));
    ck_assert_uint_eq(options.timeout_ms, 5000);
}
END_TEST

START_TEST(ids_are_sorted_and_stand_once)
{
    ck_assert(READ("--ids", "c, a ,b,,a"));
    ck_assert(options.by_ids);
    ck_assert_uint_eq(options.ids.count, 3);
    ck_assert_str_eq(options.ids.items[0], "a");
    ck_assert_str_eq(options.ids.items[1], "b");
    ck_assert_str_eq(options.ids.items[2], "c");
    assert_usage(READ("--ids", " , "), "names no id");
    assert_usage(READ("--ids", ""), "names no id");
}
END_TEST

START_TEST(ids_come_from_standard_input)
{
    /* A comma is part of an id there. */
    ck_assert(READ_INPUT("two,three\r\n\n one \nlast", "--ids", "-"));
    ck_assert_uint_eq(options.ids.count, 3);
    ck_assert_str_eq(options.ids.items[0], "last");
    ck_assert_str_eq(options.ids.items[1], "one");
    ck_assert_str_eq(options.ids.items[2], "two,three");
    assert_usage(READ_INPUT("\n\n", "--ids", "-"), "names no id");
    assert_usage(READ_INPUT("\xFF\n", "--ids", "-"), "not text");
}
END_TEST

START_TEST(without_memory_nobody_is_told_to_give_fewer_ids)
{
    static const struct {
        const char *input;
        const char *ids;
    } cases[] = {{"1\n2\n", "-"}, {"", "1,2"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        starving = true;
        bool ok = READ_INPUT(cases[i].input, "--ids", cases[i].ids);
        starving = false;
        ck_assert(!ok);
        ck_assert_str_eq(err_name(err.code), "MEMORY");
        ck_assert_ptr_null(options.ids.text);
    }
}
END_TEST

START_TEST(filters_let_pass_what_matches)
{
    struct event event = {.event_type = BYTES_LIT("order.placed"), .aggregate_id = BYTES_LIT("a*")};
    ck_assert(READ("--from", "1h"));
    ck_assert(replay_options_pass(&options, &event));
    ck_assert(READ("--from", "1h", "--type", "order.*", "--aggregate-id", "a*"));
    ck_assert(replay_options_pass(&options, &event));
    event.aggregate_id = BYTES_LIT("ab");
    ck_assert(!replay_options_pass(&options, &event));
    event.aggregate_id = BYTES_LIT("a*");
    event.event_type = BYTES_LIT("orders.placed");
    ck_assert(!replay_options_pass(&options, &event));
    ck_assert(READ("--from", "1h", "--aggregate-id="));
    ck_assert(!replay_options_pass(&options, &event));
    event.aggregate_id = BYTES_ABSENT;
    ck_assert(replay_options_pass(&options, &event));
}
END_TEST

static void assert_resume(const char *after, const char *expected)
{
    buf_reset(&command);
    replay_options_resume(&options, &arguments, after, &command);
    ck_assert_str_eq(buf_cstr(&command), expected);
}

START_TEST(the_command_goes_on)
{
    ck_assert(READ("-c", "orders.yaml", "--from", "2h", "--to", "1h"));
    assert_resume("e-1", "walferry replay -c orders.yaml --from 2025-12-31T22:00:00Z --to "
                         "2025-12-31T23:00:00Z --after e-1");
    assert_resume(NULL, "walferry replay -c orders.yaml --from 2025-12-31T22:00:00Z --to "
                        "2025-12-31T23:00:00Z");
    ck_assert(READ("-c", "my orders.yaml", "--set", "log.level=debug", "--set",
                   "sink.kafka.sasl.password=secret", "--conninfo", "dbname=shop password=secret",
                   "--from", "2025-12-31T22:00:00.5Z", "--table", "public.o", "--type", "order.*",
                   "--aggregate-id", "it's", "--timeout", "5s", "--after", "e-0", "--dry-run",
                   "--json"));
    assert_resume("$(x) '1'",
                  "walferry replay -c 'my orders.yaml' --set log.level=debug --set "
                  "'sink.kafka.sasl.password=******' --conninfo 'dbname=shop password=******' "
                  "--from 2025-12-31T22:00:00.500000Z --table public.o --type 'order.*' "
                  "--aggregate-id 'it'\\''s' --timeout 5s --after '$(x) '\\''1'\\''' --dry-run "
                  "--json");
    /* One that went nowhere goes on where it began. */
    buf_reset(&command);
    replay_options_resume(&options, &arguments, NULL, &command);
    ck_assert_ptr_nonnull(strstr(buf_cstr(&command), "--after e-0"));
}
END_TEST

START_TEST(a_long_list_of_ids_comes_from_standard_input)
{
    char ids[451];
    memset(ids, 'x', sizeof(ids) - 1);
    ids[sizeof(ids) - 1] = '\0';
    ck_assert(READ("-c", "o.yaml", "--ids", "1,2"));
    assert_resume("1", "walferry replay -c o.yaml --ids 1,2 --after 1");
    ck_assert(READ("-c", "o.yaml", "--ids", ids));
    assert_resume("1", "walferry replay -c o.yaml --ids - --after 1");
}
END_TEST

START_TEST(values_that_look_like_options_stay_values)
{
    ck_assert(READ("--config=--set", "--ids=-1,2", "--set=--json", "--table=--dry-run",
                   "--after=--json", "--dry-run"));
    assert_resume(NULL, "walferry replay --config=--set --set=--json --ids=-1,2 --table=--dry-run "
                        "--after=--json --dry-run");
    assert_resume("--ids=$", "walferry replay --config=--set --set=--json --ids=-1,2 "
                             "--table=--dry-run --after='--ids=$' --dry-run");
    ck_assert(READ("-c", "-", "--from", "1h", "--after", "-"));
    assert_resume(NULL, "walferry replay --config - --from 2025-12-31T23:00:00Z --after -");
}
END_TEST

static Suite *suite_of_replay_options(void)
{
    Suite *suite = suite_create("replay_options");
    TCase *tcase = tcase_create("replay_options");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, times_and_ages);
    tcase_add_test(tcase, what_is_no_time);
    tcase_add_test(tcase, the_window_is_not_empty);
    tcase_add_test(tcase, one_way_to_say_which_rows);
    tcase_add_test(tcase, ids_are_sorted_and_stand_once);
    tcase_add_test(tcase, ids_come_from_standard_input);
    tcase_add_test(tcase, without_memory_nobody_is_told_to_give_fewer_ids);
    tcase_add_test(tcase, filters_let_pass_what_matches);
    tcase_add_test(tcase, the_command_goes_on);
    tcase_add_test(tcase, a_long_list_of_ids_comes_from_standard_input);
    tcase_add_test(tcase, values_that_look_like_options_stay_values);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_replay_options())
