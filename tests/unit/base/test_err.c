/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/err.h"

#include "test.h"

START_TEST(set_fills_and_returns_false)
{
    struct err err = ERR_INIT;
    ck_assert(!err_is_set(&err));
    memcpy(err.sqlstate, "57P01", 6);
    ck_assert(!err_where(&err, "old"));
    ck_assert(!err_hint(&err, "old"));
    int line = __LINE__ + 1;
    ck_assert(!err_set(&err, ERR_PG_CONNECT, "no answer from %s:%d", "db", 5432));
    ck_assert(err_is_set(&err));
    ck_assert_int_eq(err.code, ERR_PG_CONNECT);
    ck_assert_str_eq(err.message, "no answer from db:5432");
    ck_assert_str_eq(err.file, "test_err.c");
    ck_assert_int_eq(err.line, line);
    ck_assert_str_eq(err.where, "");
    ck_assert_str_eq(err.hint, "");
    ck_assert_str_eq(err.sqlstate, "");
}
END_TEST

START_TEST(null_is_allowed)
{
    ck_assert(!err_set(NULL, ERR_PG_CONNECT, "x"));
    ck_assert(!err_where(NULL, "x"));
    ck_assert(!err_hint(NULL, "x"));
    ck_assert(!err_context(NULL, "x"));
}
END_TEST

START_TEST(where_hint_and_context)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_CONFIG_VALUE, "\"%s\" is no number", "x");
    ck_assert(!err_where(&err, "%s:%d", "walferry.yaml", 12));
    ck_assert(!err_hint(&err, "write %s", "a number"));
    ck_assert(!err_context(&err, "key %s", "http.port"));
    ck_assert_str_eq(err.where, "walferry.yaml:12");
    ck_assert_str_eq(err.hint, "write a number");
    ck_assert_str_eq(err.message, "key http.port: \"x\" is no number");
    ck_assert_int_eq(err.code, ERR_CONFIG_VALUE);
}
END_TEST

START_TEST(arguments_may_be_its_own_text)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_OS, "disk full");
    err_hint(&err, "make room");
    err_set(&err, ERR_SINK_WRITE, "write: %s (%s)", err.message, err.hint);
    ck_assert_str_eq(err.message, "write: disk full (make room)");
    err_where(&err, "first");
    err_where(&err, "%s, then second", err.where);
    ck_assert_str_eq(err.where, "first, then second");
    err_context(&err, "%s", err.where);
    ck_assert_str_eq(err.message, "first, then second: write: disk full (make room)");
}
END_TEST

START_TEST(long_text_is_cut)
{
    char text[3000];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    struct err err = ERR_INIT;
    err_set(&err, ERR_OS, "%s", text);
    err_where(&err, "%s", text);
    err_hint(&err, "%s", text);
    ck_assert_uint_eq(strlen(err.message), sizeof(err.message) - 1);
    ck_assert_uint_eq(strlen(err.where), sizeof(err.where) - 1);
    ck_assert_uint_eq(strlen(err.hint), sizeof(err.hint) - 1);
    err_context(&err, "here");
    ck_assert_uint_eq(strlen(err.message), sizeof(err.message) - 1);
    ck_assert_ptr_eq(strstr(err.message, "here: xxx"), err.message);
    err_context(&err, "%s", text);
    ck_assert_uint_eq(strlen(err.message), sizeof(err.message) - 1);
}
END_TEST

START_TEST(cut_is_between_characters)
{
    struct err err = ERR_INIT;
    char text[3000] = "";
    for (size_t shift = 0; shift < 3; shift++) {
        memset(text, 'x', shift);
        for (size_t i = shift; i + 3 < sizeof(text); i += 3) {
            memcpy(text + i, "\xe2\x82\xac", 4);
        }
        err_set(&err, ERR_OS, "%s", text);
        err_hint(&err, "%s", text);
        err_where(&err, "%s", text);
        ck_assert_uint_eq((strlen(err.message) - shift) % 3, 0);
        ck_assert_uint_eq((strlen(err.hint) - shift) % 3, 0);
        ck_assert_uint_eq((strlen(err.where) - shift) % 3, 0);
        ck_assert_uint_ge(strlen(err.where), sizeof(err.where) - 3);
    }
}
END_TEST

START_TEST(table_of_codes)
{
    ck_assert_uint_eq(err_number(ERR_PG_CONNECT), 2001);
    ck_assert_str_eq(err_label(ERR_PG_CONNECT), "pg_connect");
    ck_assert_str_eq(err_name(ERR_PG_CONNECT), "PG_CONNECT");
    ck_assert_int_eq(err_class(ERR_PG_CONNECT), ERR_CLASS_TRANSIENT);
    ck_assert_int_eq(err_exit_status(ERR_PG_CONNECT), 69);
    ck_assert_int_eq(err_exit_status(ERR_USAGE), 64);
    ck_assert_int_eq(err_class(ERR_ROW_FIELD), ERR_CLASS_POISON);
    ck_assert_int_eq(err_class(ERR_INTERNAL), ERR_CLASS_BUG);
    ck_assert_int_eq(err_exit_status(ERR_INTERNAL), 70);
    ck_assert_int_eq(err_class(ERR_NONE), ERR_CLASS_NONE);
    ck_assert_int_eq(err_exit_status(ERR_NONE), 0);
    ck_assert_str_eq(err_class_name(ERR_CLASS_NONE), "none");
    ck_assert_str_eq(err_class_name(ERR_CLASS_TRANSIENT), "transient");
    ck_assert_str_eq(err_class_name(ERR_CLASS_POISON), "poison");
    ck_assert_str_eq(err_class_name(ERR_CLASS_CONFIG), "config");
    ck_assert_str_eq(err_class_name(ERR_CLASS_STOP), "stop");
    ck_assert_str_eq(err_class_name(ERR_CLASS_BUG), "bug");
}
END_TEST

/* Users search for the numbers and dashboards group by the labels: both must be unique. */
START_TEST(rows_are_sound)
{
    for (int a = ERR_NONE + 1; a < ERR_COUNT; a++) {
        enum err_code code = (enum err_code)a;
        const char *name = err_name(code);
        ck_assert_msg(err_number(code) >= 1000 && err_number(code) <= 9999, "%s", name);
        ck_assert_msg(err_class(code) != ERR_CLASS_NONE, "%s", name);
        ck_assert_msg(err_exit_status(code) > 0 && err_exit_status(code) < 80, "%s", name);
        size_t length = strlen(err_text(code));
        ck_assert_msg(length > 5 && err_text(code)[length - 1] == '.', "%s", name);
        const char *allowed = "abcdefghijklmnopqrstuvwxyz_";
        ck_assert_msg(strspn(err_label(code), allowed) == strlen(err_label(code)), "%s", name);
        for (int b = ERR_NONE; b < a; b++) {
            enum err_code other = (enum err_code)b;
            ck_assert_msg(err_number(code) != err_number(other), "%s", name);
            ck_assert_msg(strcmp(err_label(code), err_label(other)) != 0, "%s", name);
        }
    }
}
END_TEST

static void check_render(const struct err *err, const char *expected)
{
    char out[4096];
    size_t length = err_render(err, out, sizeof(out));
    ck_assert_str_eq(out, expected);
    ck_assert_uint_eq(length, strlen(expected));
}

START_TEST(render_has_two_lines)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_PG_CONNECT, "refused");
    check_render(&err, "walferry: error WF-2001: refused");
    err_where(&err, "source.conninfo");
    check_render(&err, "walferry: error WF-2001: source.conninfo: refused");
    err_hint(&err, "start it");
    check_render(&err, "walferry: error WF-2001: source.conninfo: refused\n  hint: start it");
}
END_TEST

START_TEST(render_escapes)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_OS, "a\nb\x1b[31m\xff");
    err_where(&err, "c\r");
    err_hint(&err, "d\x7f");
    char out[4096];
    discard(err_render(&err, out, sizeof(out)) > 0);
    char *newline = strchr(out, '\n');
    ck_assert_ptr_nonnull(newline);
    ck_assert_ptr_null(strchr(newline + 1, '\n'));
    ck_assert_ptr_null(strpbrk(out, "\r\x1b\x7f\xff"));
    ck_assert_ptr_nonnull(strcasestr(out, "a\\x0ab\\x1b[31m\\xff"));
}
END_TEST

START_TEST(render_is_cut)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_PG_CONNECT, "\xe2\x82\xac\xe2\x82\xac");
    char out[64];
    memset(out, '#', sizeof(out));
    ck_assert_uint_eq(err_render(&err, out, 0), 0);
    ck_assert_uint_eq((unsigned char)out[0], '#');
    ck_assert_uint_eq(err_render(&err, out, 1), 0);
    ck_assert_str_eq(out, "");
    ck_assert_uint_eq(err_render(&err, out, 9), 8);
    ck_assert_str_eq(out, "walferry");
    size_t head = strlen("walferry: error WF-2001: ");
    ck_assert_uint_eq(err_render(&err, out, head + 6), head + 3);
    ck_assert_uint_eq(err_render(&err, out, head + 7), head + 6);
}
END_TEST

START_TEST(render_of_the_longest)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_OS, "x");
    memset(err.message, '\x01', sizeof(err.message) - 1);
    memset(err.where, '\x01', sizeof(err.where) - 1);
    memset(err.hint, '\x01', sizeof(err.hint) - 1);
    char out[8192];
    size_t length = err_render(&err, out, sizeof(out));
    ck_assert_uint_gt(length, 4 * (511 + 255 + 767));
    ck_assert_uint_eq(length, strlen(out));
}
END_TEST

static Suite *suite_of_err(void)
{
    Suite *suite = suite_create("err");
    TCase *tcase = tcase_create("err");
    tcase_add_test(tcase, set_fills_and_returns_false);
    tcase_add_test(tcase, null_is_allowed);
    tcase_add_test(tcase, where_hint_and_context);
    tcase_add_test(tcase, arguments_may_be_its_own_text);
    tcase_add_test(tcase, long_text_is_cut);
    tcase_add_test(tcase, cut_is_between_characters);
    tcase_add_test(tcase, table_of_codes);
    tcase_add_test(tcase, rows_are_sound);
    tcase_add_test(tcase, render_has_two_lines);
    tcase_add_test(tcase, render_escapes);
    tcase_add_test(tcase, render_is_cut);
    tcase_add_test(tcase, render_of_the_longest);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_err())
