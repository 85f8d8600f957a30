/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"

#include "test.h"

static const struct {
    const char *accept;
    bool openmetrics;
} rows[] = {
    {NULL, false},
    {"", false},
    {"*/*", false},
    {"text/plain", false},
    {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false},
    {"application/openmetrics-text", true},
    {"Application/OpenMetrics-Text ; Version=1.0.0", true},
    {"application/openmetrics-text; version=\"1.0.0\"; charset=utf-8", true},
    {"application/openmetrics-text;version=0.0.1", false},
    {"application/openmetrics-text;version=2.0.0", false},
    {"application/openmetrics-text2", false},
    {"xapplication/openmetrics-text", false},
    {"application/openmetrics-text;q=0", false},
    {"application/openmetrics-text;q=0.000", false},
    {"application/openmetrics-text;q=0.001", true},
    {"application/openmetrics-text;q=2", false},
    {"application/openmetrics-text;q=1.5", false},
    {"application/openmetrics-text;q=-1", false},
    {"application/openmetrics-text;q=", false},
    {"application/openmetrics-text;q", true},
    {"application/openmetrics-text;q=0.5, text/plain;q=0.4", true},
    {"application/openmetrics-text;q=0.5, text/plain;q=0.5", true},
    {"application/openmetrics-text;q=0.4, text/plain;q=0.5", false},
    {"application/openmetrics-text;q=0.4, text/plain", false},
    /* As Prometheus sends it. */
    {"application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;"
     "q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
     true},
    {",,;;,=,;q=1,", false},
};

START_TEST(openmetrics_is_for_those_who_ask)
{
    ck_assert_msg(accept_openmetrics(rows[_i].accept) == rows[_i].openmetrics, "%s",
                  rows[_i].accept);
}
END_TEST

static Suite *suite_of_accept(void)
{
    Suite *suite = suite_create("accept");
    TCase *tcase = tcase_create("accept");
    tcase_add_loop_test(tcase, openmetrics_is_for_those_who_ask, 0, (int)ARRAY_LEN(rows));
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_accept())
