/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test: what every unit test binary shares: Check, and a main() that runs one suite.
 *
 * Use: TEST_MAIN(suite_of_ledger()). Output is TAP when CK_TAP_LOG_FILE_NAME is set (meson does).
 * Loop tests carry no index in TAP names: give table-driven cases a name of their own in the
 * failure message.
 */
#pragma once

#include <check.h>
#include <stdlib.h>

#include "walferry/base/bytes.h"

/* Runs the suite, frees it, and returns the exit status of the binary. */
static inline int test_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#define TEST_MAIN(suite)                                                                           \
    int main(void)                                                                                 \
    {                                                                                              \
        return test_run(suite);                                                                    \
    }

/* Bytes equal a literal; says both when not. */
#define ck_assert_bytes(actual, literal)                                                           \
    do {                                                                                           \
        struct bytes actual_ = (actual);                                                           \
        struct bytes expected_ = BYTES_LIT(literal);                                               \
        ck_assert_msg(bytes_equal(actual_, expected_), "%s: \"%.*s\" is not \"%.*s\"", #actual,    \
                      BYTES_FMT(actual_), BYTES_FMT(expected_));                                   \
    } while (0)
