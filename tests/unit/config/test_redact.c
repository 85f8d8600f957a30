/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include "walferry/config/config.h"

struct redaction {
    const char *text;
    const char *redacted;
};

static const struct redaction redactions[] = {
    {"", ""},
    {"nothing secret here: a=b", "nothing secret here: a=b"},
    {"host=h password=hunter2 user=u", "host=h password=****** user=u"},
    {"password=hunter2", "password=******"},
    {"PASSWORD = hunter2 user=u", "PASSWORD = ****** user=u"},
    {"password='it''s' user=u", "password=****** user=u"},
    {"password='a b\\' c' user=u", "password=****** user=u"},
    {"password='open end", "password=******"},
    {"password=a\\ b user=u", "password=****** user=u"},
    {"password=", "password="},
    {"host=h sslpassword=x sslkey=/k", "host=h sslpassword=****** sslkey=/k"},
    {"passfile=/var/lib/u/.pgpass", "passfile=/var/lib/u/.pgpass"},
    {"postgresql://u:hunter2@h:5432/db", "postgresql://u:******@h:5432/db"},
    {"postgres://u:p@ss@h/db?sslmode=require", "postgres://u:******@h/db?sslmode=require"},
    {"postgres://u:p/w@h/db", "postgres://u:******@h/db"},
    {"postgres://u@h:5432/db", "postgres://u@h:5432/db"},
    {"postgres://h:5432/db", "postgres://h:5432/db"},
    {"postgres://h/db?password=hunter2&user=u", "postgres://h/db?password=******&user=u"},
    {"postgres://u:p@h/db and postgres://v:q@i/e",
     "postgres://u:******@h/db and postgres://v:******@i/e"},
    {"sasl.password: hunter2", "sasl.password: ******"},
    {"sasl.password=hunter2,x", "sasl.password=******"},
    {"ssl.key.password: \"a b\" x: y", "ssl.key.password: ****** x: y"},
    {"sasl.oauthbearer.client.secret=s x=y", "sasl.oauthbearer.client.secret=****** x=y"},
    {"sasl.oauthbearer.config=a=b", "sasl.oauthbearer.config=******"},
    {"ssl.key.pem=----- x", "ssl.key.pem=****** x"},
    {"password authentication failed for user \"u\"",
     "password authentication failed for user \"u\""},
    {"12:password:3", "12:password:3"},
};

START_TEST(secrets_are_masked)
{
    struct buf out AUTO(buf_deinit);
    buf_init(&out, 4096);
    buf_put_str(&out, ">");
    config_redact(redactions[_i].text, &out);
    ck_assert(buf_ok(&out));
    ck_assert_str_eq(buf_cstr(&out) + 1, redactions[_i].redacted);
}
END_TEST

static Suite *suite_of_redact(void)
{
    Suite *suite = suite_create("config_redact");
    TCase *cases = tcase_create("redact");
    tcase_add_loop_test(cases, secrets_are_masked, 0, ARRAY_LEN(redactions));
    suite_add_tcase(suite, cases);
    return suite;
}

TEST_MAIN(suite_of_redact())
