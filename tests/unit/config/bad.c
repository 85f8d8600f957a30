/* SPDX-License-Identifier: Apache-2.0 */
#include "bad.h"

#include <stdio.h>

void bad_case_check(const struct bad_case *bad)
{
    struct config *config = NULL;
    struct config_problems problems;
    size_t set_count = bad->set == NULL ? 0 : 1;
    bool loaded =
        config_load_text("w.yaml", bytes_str(bad->text), &bad->set, set_count, &config, &problems);
    ck_assert_msg(!loaded, "accepted:\n%s", bad->text);
    ck_assert_ptr_null(config);
    const struct err *err = &problems.items[0];
    ck_assert_msg(problems.count == 1,
                  "%zu faults, the first \"%s: %s\", the second \"%s: %s\":\n%s", problems.count,
                  err->where, err->message, problems.items[1].where, problems.items[1].message,
                  bad->text);
    char where[300];
    snprintf(where, sizeof(where), "%s%s", bad->where[0] == '-' ? "" : "w.yaml", bad->where);
    ck_assert_msg(err->code == bad->code, "%s instead of %s: %s:\n%s", err_name(err->code),
                  err_name(bad->code), err->message, bad->text);
    ck_assert_msg(strcmp(err->where, where) == 0, "at %s, not %s: %s:\n%s", err->where, where,
                  err->message, bad->text);
    ck_assert_msg(strstr(err->message, bad->message) != NULL, "message \"%s\" without \"%s\":\n%s",
                  err->message, bad->message, bad->text);
    ck_assert_msg(err->hint[0] != '\0', "no hint: %s", err->message);
    ck_assert_msg(strstr(err->hint, bad->hint) != NULL, "hint \"%s\" without \"%s\":\n%s",
                  err->hint, bad->hint, bad->text);
}

struct config *good_load(const char *text, const char *const *sets, size_t set_count)
{
    struct config *config = NULL;
    struct config_problems problems;
    bool loaded = config_load_text("w.yaml", bytes_str(text), sets, set_count, &config, &problems);
    ck_assert_msg(loaded, "refused: %s: %s:\n%s", problems.items[0].where,
                  problems.items[0].message, text);
    ck_assert_uint_eq(problems.count, 0);
    ck_assert_ptr_nonnull(config);
    return config;
}
