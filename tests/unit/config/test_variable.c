/* SPDX-License-Identifier: Apache-2.0 */
/* ${VAR}, ${VAR:-default} and $$; secrets from files. */
#include "bad.h"

#include <stdio.h>
#include <unistd.h>

#include "../scratch.h"

struct expansion {
    const char *written;
    const char *expanded;
};

/* WT_HOST=h, WT_EMPTY is empty, WT_DOLLAR=${WT_HOST}, WT_NONE is not set. */
static const struct expansion expansions[] = {
    {"plain", "plain"},
    {"${WT_HOST}", "h"},
    {"a${WT_HOST}b${WT_HOST}", "ahbh"},
    {"x${WT_EMPTY}y", "xy"},
    {"${WT_EMPTY:-d}", "d"},
    {"${WT_HOST:-d}", "h"},
    {"${WT_NONE:-d}", "d"},
    {"x${WT_NONE:-}y", "xy"},
    {"${WT_NONE:-a:-b c}", "a:-b c"},
    {"${WT_NONE:-${WT_HOST}}", "h"},
    {"${WT_NONE:-${WT_NONE:-deep}}!", "deep!"},
    {"$$", "$"},
    {"a$$b$$$$c", "a$b$$c"},
    {"$${WT_HOST}", "${WT_HOST}"},
    {"${WT_DOLLAR}", "${WT_HOST}"},
    {"${_WT_UNDERSCORE_1}", "u"},
};

static const struct bad_case variable_cases[] = {
    {GOOD "envelope: {source: '${WT_NONE}'}\n", ERR_CONFIG_VARIABLE, ":8:20",
     "`source`: the environment variable WT_NONE is not set", "${WT_NONE:-default}", NULL},
    {GOOD "envelope: {source: '${WT_NONE:-${WT_NONE}}'}\n", ERR_CONFIG_VARIABLE, ":8:20",
     "WT_NONE is not set", "set WT_NONE", NULL},
    {GOOD "envelope: {source: '/${aggregate_type}'}\n", ERR_CONFIG_VARIABLE, ":8:20",
     "${aggregate_type} names no environment variable", "upper-case", NULL},
    {GOOD "envelope: {source: '${}'}\n", ERR_CONFIG_VARIABLE, ":8:20", "${}", "upper-case", NULL},
    {GOOD "envelope: {source: '${WT_HOSt}'}\n", ERR_CONFIG_VARIABLE, ":8:20", "${WT_HOSt}",
     "upper-case", NULL},
    {GOOD "envelope: {source: '${WT_HOST:?no}'}\n", ERR_CONFIG_VARIABLE, ":8:20", "${WT_HOST:?no}",
     "${VAR:-default}", NULL},
    {GOOD "envelope: {source: '${WT_HOST'}\n", ERR_CONFIG_VARIABLE, ":8:20", "closing brace",
     "${VAR}", NULL},
    {GOOD "envelope: {source: 'a$b'}\n", ERR_CONFIG_VARIABLE, ":8:20", "lone dollar sign", "$$",
     NULL},
    {GOOD "envelope: {source: 'a$'}\n", ERR_CONFIG_VARIABLE, ":8:20", "lone dollar sign", "$$",
     NULL},
    {GOOD "route: {topic: '${WT_NONE}.x'}\n", ERR_CONFIG_VARIABLE, ":8:16", "WT_NONE is not set",
     "set WT_NONE", NULL},
    {GOOD "route: {topic: '${WT_Mixed}.x'}\n", ERR_CONFIG_VARIABLE, ":8:16", "${WT_Mixed}",
     "upper-case", NULL},
    {GOOD "route: {topic: '${Mixed}.x'}\n", ERR_CONFIG_VARIABLE, ":8:16", "${Mixed}", "upper-case",
     NULL},
    {GOOD "envelope: {source: '${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-${A:-x}}}}}}}}}'}\n",
     ERR_CONFIG_VARIABLE, ":8:20", "nested too deep", "8 levels", NULL},
    {GOOD, ERR_CONFIG_VARIABLE, "--set envelope.source", "WT_NONE", "set WT_NONE",
     "envelope.source=${WT_NONE}"},
    {HEAD CAPTURE "sink: {kafka: {bootstrap.servers: '${WT_NONE}'}}\n", ERR_CONFIG_VARIABLE,
     ":5:35", "`bootstrap.servers`: the environment variable", "set WT_NONE", NULL},
    {GOOD "source: {conninfo: 'password=pa${ss}word'}\n", ERR_CONFIG_VARIABLE, ":8:20",
     "`conninfo`: ${...} names no", "$$", NULL},
    {HEAD CAPTURE "sink: {kafka: {bootstrap.servers: b, sasl.password: 'a${hunter2'}}\n",
     ERR_CONFIG_VARIABLE, ":5:53", "`sasl.password`: ${ without", "$$", NULL},
    {HEAD CAPTURE "sink: {kafka: {bootstrap.servers: b, sasl.password: '${Hunter}'}}\n",
     ERR_CONFIG_VARIABLE, ":5:53", "`sasl.password`: ${...} names", "$$", NULL},
    /* What came from the environment is shown as it was written. */
    {GOOD "source: {status_interval: '${WT_HOST}'}\n", ERR_CONFIG_TYPE, ":8:27",
     "not \"${WT_HOST}\"", "unit", NULL},
    {GOOD "source: {slot: '${WT_DOLLAR}'}\n", ERR_CONFIG_VALUE, ":8:16", "not \"${WT_DOLLAR}\"",
     "small", NULL},
    {GOOD "log: {level: '${WT_HOST}'}\n", ERR_CONFIG_VALUE, ":8:14", "not \"${WT_HOST}\"", "info",
     NULL},
};

static void set_environment(void)
{
    ck_assert_int_eq(setenv("WT_HOST", "h", 1), 0);
    ck_assert_int_eq(setenv("WT_EMPTY", "", 1), 0);
    ck_assert_int_eq(setenv("WT_DOLLAR", "${WT_HOST}", 1), 0);
    ck_assert_int_eq(setenv("_WT_UNDERSCORE_1", "u", 1), 0);
    ck_assert_int_eq(unsetenv("WT_NONE"), 0);
    ck_assert_int_eq(unsetenv("A"), 0);
}

START_TEST(variables_are_expanded_after_parsing)
{
    set_environment();
    char text[512];
    snprintf(text, sizeof(text), GOOD "envelope: {source: 'x:%s'}\n", expansions[_i].written);
    struct config *config = good_load(text, NULL, 0);
    ck_assert_str_eq(config->envelope.source + 2, expansions[_i].expanded);
    config_free(config);
}
END_TEST

START_TEST(wrong_variables_are_refused)
{
    set_environment();
    bad_case_check(&variable_cases[_i]);
}
END_TEST

START_TEST(a_value_cannot_change_the_shape_of_the_file)
{
    set_environment();
    ck_assert_int_eq(setenv("WT_HOST", "a\nlog: {level: debug} # {}", 1), 0);
    struct config *config = good_load(GOOD "envelope: {source: '${WT_HOST}'}\n", NULL, 0);
    ck_assert_str_eq(config->envelope.source, "a\nlog: {level: debug} # {}");
    ck_assert_int_eq(config->log_level, LOG_INFO);
    config_free(config);
}
END_TEST

START_TEST(templates_keep_their_placeholders)
{
    set_environment();
    struct config *config = good_load(
        GOOD "route: {topic: '${WT_HOST}.${aggregate_type}.${WT_NONE:-${key}}'}\n", NULL, 0);
    ck_assert_str_eq(config->route.topic, "h.${aggregate_type}.${key}");
    config_free(config);
}
END_TEST

START_TEST(typed_values_take_variables)
{
    ck_assert_int_eq(setenv("WT_TIME", "7s", 1), 0);
    ck_assert_int_eq(setenv("WT_BOOL", "false", 1), 0);
    ck_assert_int_eq(setenv("WT_LEVEL", "warn", 1), 0);
    struct config *config =
        good_load(GOOD "source: {status_interval: \"${WT_TIME}\", failover: \"${WT_BOOL}\"}\n"
                       "log: {level: \"${WT_LEVEL}\"}\n",
                  NULL, 0);
    ck_assert_uint_eq(config->source.status_interval_ms, 7000);
    ck_assert(!config->source.failover);
    ck_assert_int_eq(config->log_level, LOG_WARN);
    config_free(config);
}
END_TEST

struct secret_case {
    const char *content;
    size_t len;
    mode_t mode;
    const char *secret; /* NULL: refused */
    const char *message;
};

static const struct secret_case secret_cases[] = {
    {"hunter2", 7, 0600, "hunter2", NULL},
    {"hunter2\n", 8, 0400, "hunter2", NULL},
    {"hunter2\n\n", 9, 0640, "hunter2\n", NULL},
    {" a b ", 5, 0440, " a b ", NULL},
    {"", 0, 0600, NULL, "is empty"},
    {"\n", 1, 0600, NULL, "is empty"},
    {"a\0b", 3, 0600, NULL, "NUL"},
    {"hunter2\n", 8, 0644, NULL, "open to everyone (mode 0644)"},
    {"hunter2\n", 8, 0602, NULL, "open to everyone (mode 0602)"},
};

static char secret_path[SCRATCH_PATH_MAX];

static void write_secret(const char *content, size_t len, mode_t mode)
{
    scratch_path(secret_path, "secret");
    scratch_write(secret_path, content, len, mode);
}

START_TEST(secrets_come_from_files)
{
    const struct secret_case *secret = &secret_cases[_i];
    write_secret(secret->content, secret->len, secret->mode);
    char text[512];
    snprintf(text, sizeof(text),
             HEAD CAPTURE "sink: {kafka: {bootstrap.servers: b, sasl.password_file: %s}}\n",
             secret_path);
    struct config *config = NULL;
    struct config_problems problems;
    bool loaded = config_load_text("w.yaml", bytes_str(text), NULL, 0, &config, &problems);
    ck_assert_int_eq(unlink(secret_path), 0);
    ck_assert_int_eq(loaded, secret->secret != NULL);
    if (loaded) {
        const struct property *property = &config->sink.properties[1];
        ck_assert_str_eq(property->name, "sasl.password");
        ck_assert_str_eq(property->value, secret->secret);
        ck_assert(property->secret);
        config_free(config);
        return;
    }
    ck_assert_uint_eq(problems.count, 1);
    ck_assert_int_eq(problems.items[0].code, ERR_CONFIG_SECRET);
    ck_assert_str_eq(problems.items[0].where, "w.yaml:5:58");
    ck_assert_ptr_nonnull(strstr(problems.items[0].message, secret->message));
    ck_assert_ptr_null(strstr(problems.items[0].message, "hunter2"));
    ck_assert_int_ne(problems.items[0].hint[0], '\0');
}
END_TEST

START_TEST(the_password_file_is_checked_and_kept_as_a_path)
{
    char text[512];
    write_secret("hunter2\n", 8, 0600);
    snprintf(text, sizeof(text), GOOD "source: {password_file: %s}\n", secret_path);
    struct config *config = good_load(text, NULL, 0);
    ck_assert_str_eq(config->source.password_file, secret_path);
    config_free(config);
    ck_assert_int_eq(unlink(secret_path), 0);
    const struct bad_case bad = {
        text, ERR_CONFIG_SECRET, ":8:25", "cannot be read", "write the secret into a file", NULL};
    bad_case_check(&bad);
}
END_TEST

START_TEST(only_secrets_come_from_files)
{
    struct config *config = NULL;
    struct config_problems problems;
    const char *text = HEAD CAPTURE "sink: {kafka: {bootstrap.servers: b, client.id_file: /x}}\n";
    ck_assert(!config_load_text("w.yaml", bytes_str(text), NULL, 0, &config, &problems));
    ck_assert_int_eq(problems.items[0].code, ERR_KAFKA_CONFIG);
}
END_TEST

START_TEST(secrets_of_the_file_are_marked_and_never_shown)
{
    const char *text =
        HEAD CAPTURE "sink: {kafka: {bootstrap.servers: b, sasl.password: s, ssl.key.password: t,\n"
                     "  ssl.keystore.password: u, sasl.username: v}}\n";
    struct config *config = good_load(text, NULL, 0);
    ck_assert(config->sink.properties[1].secret);
    ck_assert(config->sink.properties[2].secret);
    ck_assert(config->sink.properties[3].secret);
    ck_assert(!config->sink.properties[4].secret);
    config_free(config);
    struct config_problems problems;
    text = GOOD "source: {conninfo: 'host=h password=hunter2 oops'}\n";
    ck_assert(!config_load_text("w.yaml", bytes_str(text), NULL, 0, &config, &problems));
    ck_assert_ptr_null(strstr(problems.items[0].message, "hunter2"));
    ck_assert_ptr_null(strstr(problems.items[0].hint, "hunter2"));
}
END_TEST

static Suite *suite_of_variable(void)
{
    Suite *suite = suite_create("config_variable");
    TCase *cases = tcase_create("variable");
    tcase_add_loop_test(cases, variables_are_expanded_after_parsing, 0, ARRAY_LEN(expansions));
    tcase_add_loop_test(cases, wrong_variables_are_refused, 0, ARRAY_LEN(variable_cases));
    tcase_add_test(cases, a_value_cannot_change_the_shape_of_the_file);
    tcase_add_test(cases, templates_keep_their_placeholders);
    tcase_add_test(cases, typed_values_take_variables);
    tcase_add_loop_test(cases, secrets_come_from_files, 0, ARRAY_LEN(secret_cases));
    tcase_add_test(cases, the_password_file_is_checked_and_kept_as_a_path);
    tcase_add_test(cases, only_secrets_come_from_files);
    tcase_add_test(cases, secrets_of_the_file_are_marked_and_never_shown);
    suite_add_tcase(suite, cases);
    return suite;
}

TEST_MAIN_SCRATCH(suite_of_variable())
