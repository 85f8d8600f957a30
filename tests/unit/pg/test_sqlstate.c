/* SPDX-License-Identifier: Apache-2.0 */
#include "pg_private.h"

#include "../test.h"

static void code_is(const char *state, enum err_code code)
{
    enum err_code got = sqlstate_find(state)->code;
    ck_assert_msg(got == code, "%s is %s, not %s", state, err_name(got), err_name(code));
}

START_TEST(codes)
{
    code_is("28P01", ERR_PG_AUTH);
    code_is("28000", ERR_PG_AUTH);
    code_is("3D000", ERR_PG_DATABASE);
    code_is("42501", ERR_PG_PERMISSION);
    code_is("53300", ERR_PG_CONNECT);
    code_is("55006", ERR_SLOT_ACTIVE);
    code_is("57P01", ERR_PG_SHUTDOWN);
    code_is("57P03", ERR_PG_SHUTDOWN);
    code_is("08006", ERR_PG_LOST);
    code_is("22021", ERR_PG_ENCODING);
    code_is("58P01", ERR_PG_QUERY);
    code_is("42704", ERR_PG_QUERY);
    code_is("XX000", ERR_PG_QUERY);
    code_is("", ERR_PG_LOST);
}
END_TEST

/* A state that says "try again" must never be of a class that ends the relay. */
START_TEST(retried_states_are_transient)
{
    static const char *const STATES[] = {"08000", "08006", "53300", "53100", "53200", "55000",
                                         "55006", "57P01", "57P02", "57P03", "58P01", "28P01",
                                         "3D000", "42501", "42704", "XX000", "40001"};
    for (size_t i = 0; i < ARRAY_LEN(STATES); i++) {
        ck_assert_msg(err_class(sqlstate_find(STATES[i])->code) == ERR_CLASS_TRANSIENT, "%s",
                      STATES[i]);
        ck_assert(sqlstate_find(STATES[i])->hint != NULL);
    }
}
END_TEST

static void found(const char *message, const char *expected)
{
    char state[6];
    pg_find_sqlstate(message, state);
    ck_assert_str_eq(state, expected);
}

START_TEST(state_in_verbose_text)
{
    found("connection to server at \"::1\", port 5432 failed: FATAL:  28P01: password "
          "authentication failed for user \"x\"\nLOCATION:  auth_failed, auth.c:330\n",
          "28P01");
    found("connection to server failed: FATAL:  53300: sorry\nconnection to server failed: FATAL:  "
          "57P03: starting up\n",
          "57P03");
    found("SCHWERWIEGEND:  3D000: Datenbank existiert nicht\n", "3D000");
    found("connection refused\n\tIs the server running?\n", "");
    found("FATAL:  28p01: x", "");
    found("FATAL:  28P0", "");
    found("", "");
}
END_TEST

START_TEST(escaped_on_one_line)
{
    char out[64];
    pg_escape(BYTES_LIT("one\n\tin\nLOCATION:  f, x.c:1\ntwo\x1b[31m\n"), out, sizeof out);
    ck_assert_str_eq(out, "one; in; two\\x1B[31m");
    char tiny[4];
    pg_escape(BYTES_LIT("abcdef"), tiny, sizeof tiny);
    ck_assert_str_eq(tiny, "abc");
    pg_escape(BYTES_ABSENT, out, sizeof out);
    ck_assert_str_eq(out, "");
}
END_TEST

static Suite *sqlstate_suite(void)
{
    Suite *suite = suite_create("sqlstate");
    TCase *tcase = tcase_create("sqlstate");
    tcase_add_test(tcase, codes);
    tcase_add_test(tcase, retried_states_are_transient);
    tcase_add_test(tcase, state_in_verbose_text);
    tcase_add_test(tcase, escaped_on_one_line);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(sqlstate_suite())
