/* SPDX-License-Identifier: Apache-2.0 */
#include "conninfo.h"

#include <stdio.h>
#include <unistd.h>

#include "../scratch.h"

static struct err err;
static struct conninfo conninfo;

static void setup(void)
{
    err = ERR_INIT;
    unsetenv("PGOPTIONS");
    unsetenv("PGTARGETSESSIONATTRS");
}

START_TEST(syntax)
{
    static const char *const GOOD[] = {"", "host=a dbname=b",
                                       "postgresql://u@h:1/d?sslmode=require"};
    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
        ck_assert_msg(pg_conninfo_check(GOOD[i], &err), "%s", GOOD[i]);
    }
    static const char *const BAD[] = {"shop", "host", "nonsense=1", "host='a", "postgresql://["};
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        ck_assert_msg(!pg_conninfo_check(BAD[i], &err), "%s", BAD[i]);
        ck_assert_int_eq((int)err.code, ERR_PG_CONNINFO);
        ck_assert_str_ne(err.hint, "");
    }
}
END_TEST

START_TEST(secrets_stay_out_of_errors)
{
    static const char *const BAD[] = {"password=se canary",
                                      "password='canary",
                                      "password=a canary=b",
                                      "postgresql://u:canary@[::1",
                                      "postgresql://u:can\"canary\"@[::1/",
                                      "host=h password=canary x"};
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        ck_assert_msg(!pg_conninfo_check(BAD[i], &err), "%s", BAD[i]);
        ck_assert_msg(strstr(err.message, "canary") == NULL, "%s", err.message);
        ck_assert(strstr(err.where, "canary") == NULL && strstr(err.hint, "canary") == NULL);
    }
}
END_TEST

START_TEST(description)
{
    char out[256];
    pg_conninfo_describe("host=h port=1 dbname=d user=u password=canary sslkey=/k", out,
                         sizeof out);
    ck_assert_str_eq(out, "host=h port=1 dbname=d user=u");
    pg_conninfo_describe("postgresql://u:canary@h/d", out, sizeof out);
    ck_assert_str_eq(out, "host=h dbname=d user=u");
    pg_conninfo_describe("canary", out, sizeof out);
    ck_assert_str_eq(out, "PostgreSQL");
    pg_conninfo_describe("user='a\nb'", out, sizeof out);
    ck_assert_str_eq(out, "user=a\\x0Ab");
    char tiny[5];
    pg_conninfo_describe("user=abc", tiny, sizeof tiny);
    ck_assert_str_eq(tiny, "user");
}
END_TEST

START_TEST(options_of_the_user_come_first)
{
    ck_assert(conninfo_read("options='-c lock_timeout=1s'", &conninfo, &err));
    ck_assert_str_eq(conninfo.options, "-c lock_timeout=1s " CONNINFO_SESSION);
    setenv("PGOPTIONS", "-c a.b=1", 1);
    ck_assert(conninfo_read("", &conninfo, &err));
    ck_assert_str_eq(conninfo.options, "-c a.b=1 " CONNINFO_SESSION);
    unsetenv("PGOPTIONS");
    ck_assert(conninfo_read("", &conninfo, &err));
    ck_assert_str_eq(conninfo.options, CONNINFO_SESSION);
}
END_TEST

START_TEST(options_too_long)
{
    char text[1200];
    snprintf(text, sizeof text, "options='%01100d'", 1);
    ck_assert(!conninfo_read(text, &conninfo, &err));
    ck_assert_int_eq((int)err.code, ERR_PG_CONNINFO);
}
END_TEST

START_TEST(time_for_every_host)
{
    ck_assert(conninfo_read("host=a", &conninfo, &err));
    ck_assert_uint_eq(conninfo.total_ms, 11000);
    ck_assert_str_eq(conninfo.tcp_timeout_ms, "10000");
    ck_assert(!conninfo.want_primary);
    ck_assert(conninfo_read("host=a,b,c connect_timeout=3", &conninfo, &err));
    ck_assert_uint_eq(conninfo.total_ms, 12000);
    ck_assert_str_eq(conninfo.timeout_s, "3");
    ck_assert(conninfo.want_primary);
    ck_assert(conninfo_read("host=a connect_timeout=0", &conninfo, &err));
    ck_assert_uint_eq(conninfo.total_ms, 11000);
}
END_TEST

static bool password_of(const char *content, size_t len, char out[PG_PASSWORD_MAX])
{
    char path[SCRATCH_PATH_MAX];
    scratch_path(path, "password");
    scratch_write(path, content, len, 0600);
    return conninfo_password(path, out, &err);
}

START_TEST(password_file)
{
    char out[PG_PASSWORD_MAX];
    ck_assert(password_of("canary", 6, out));
    ck_assert_str_eq(out, "canary");
    ck_assert(password_of("canary\n", 7, out));
    ck_assert_str_eq(out, "canary");
    ck_assert(password_of(" canary \n\n", 10, out));
    ck_assert_str_eq(out, " canary \n");
}
END_TEST

START_TEST(password_file_refused)
{
    static const char LONG[PG_PASSWORD_MAX + 1] = {'x'};
    char out[PG_PASSWORD_MAX];
    ck_assert(!password_of("", 0, out));
    ck_assert_int_eq((int)err.code, ERR_PG_AUTH);
    ck_assert(!password_of("\n", 1, out));
    ck_assert(!password_of("a\0b", 3, out));
    ck_assert(!password_of(LONG, sizeof LONG, out));
    ck_assert(!conninfo_password("/nonexistent/canary", out, &err));
    ck_assert_int_eq((int)err.code, ERR_PG_AUTH);
    ck_assert_str_eq(err.where, "/nonexistent/canary");
}
END_TEST

static Suite *conninfo_suite(void)
{
    const TTest *const tests[] = {
        syntax,           secrets_stay_out_of_errors, description,   options_of_the_user_come_first,
        options_too_long, time_for_every_host,        password_file, password_file_refused};
    Suite *suite = suite_create("conninfo");
    TCase *tcase = tcase_create("conninfo");
    tcase_add_checked_fixture(tcase, setup, NULL);
    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN_SCRATCH(conninfo_suite())
