/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "test.h"
#include "walferry/command/command.h"

#define WORDS_MAX 80

static int run_nothing(const struct arguments *arguments)
{
    (void)arguments;
    return 0;
}

static const struct option_spec own_options[] = {
    {"--init", NULL, NULL, "A flag."},
    {"--count", "-n", "N", "A value."},
    {"--conninfo", NULL, "OWNER", "Another value."},
    {NULL, NULL, NULL, NULL},
};

static const struct command with_config = {
    .name = "run", .takes_config = true, .options = own_options, .run = run_nothing};
static const struct command without_config = {
    .name = "demo", .options = own_options, .run = run_nothing};

static struct arguments arguments;
static struct err err;

static void setup(void)
{
    ck_assert_int_eq(unsetenv("WALFERRY_CONFIG"), 0);
    arguments = (struct arguments){.config = "untouched"};
    err = ERR_INIT;
}

/* Words up to the first NULL. */
static enum arguments_outcome parse(const struct command *command, const char *const *words)
{
    static char storage[WORDS_MAX][64];
    char *argv[WORDS_MAX];
    int argc = 0;
    for (; words[argc] != NULL; argc++) {
        snprintf(storage[argc], sizeof(storage[argc]), "%s", words[argc]);
        argv[argc] = storage[argc];
    }
    return arguments_parse(command, argc, argv, &arguments, &err);
}

#define PARSE(command, ...) parse(&(command), (const char *const[]){__VA_ARGS__, NULL})

static void assert_wrong(enum arguments_outcome outcome, const char *message, const char *hint)
{
    ck_assert_int_eq(outcome, ARGUMENTS_WRONG);
    ck_assert_int_eq(err.code, ERR_USAGE);
    ck_assert_msg(strstr(err.message, message) != NULL, "\"%s\" lacks \"%s\"", err.message,
                  message);
    ck_assert_msg(strstr(err.hint, hint) != NULL, "\"%s\" lacks \"%s\"", err.hint, hint);
    ck_assert_str_eq(arguments.config, "untouched");
}

START_TEST(an_unknown_option_is_refused_with_what_is_near)
{
    assert_wrong(PARSE(with_config, "--coninfo", "x"), "\"--coninfo\"", "did you mean --conninfo?");
}
END_TEST

START_TEST(a_shared_option_may_be_what_is_near)
{
    assert_wrong(PARSE(with_config, "--confg", "x"), "\"--confg\"", "did you mean --config?");
}
END_TEST

START_TEST(an_unknown_option_far_from_all_leads_to_the_help)
{
    assert_wrong(PARSE(with_config, "--frobnicate"), "\"--frobnicate\"", "walferry run --help");
}
END_TEST

START_TEST(a_word_that_is_no_option_is_refused)
{
    assert_wrong(PARSE(with_config, "orders.yaml"), "\"orders.yaml\"", "walferry run --help");
}
END_TEST

START_TEST(a_longer_word_is_not_the_option_that_it_begins_with)
{
    assert_wrong(PARSE(with_config, "--initial"), "\"--initial\"", "--init");
}
END_TEST

START_TEST(config_options_are_unknown_to_a_command_without_configuration)
{
    assert_wrong(PARSE(without_config, "-c", "x"), "\"-c\"", "");
}
END_TEST

START_TEST(config_options_are_not_suggested_to_a_command_without_configuration)
{
    assert_wrong(PARSE(without_config, "--confi"), "\"--confi\"", "");
    ck_assert_ptr_null(strstr(err.hint, "--config"));
}
END_TEST

START_TEST(an_option_at_the_end_lacks_its_value)
{
    assert_wrong(PARSE(with_config, "--count"), "--count wants N", "walferry run --help");
}
END_TEST

START_TEST(an_option_is_no_value_of_another)
{
    assert_wrong(PARSE(with_config, "--conninfo", "--init"), "--conninfo wants OWNER", "--help");
}
END_TEST

START_TEST(an_option_with_its_value_is_no_value_of_another)
{
    assert_wrong(PARSE(with_config, "-c", "--set=a=b"), "--config wants FILE", "--help");
}
END_TEST

START_TEST(a_flag_takes_no_value)
{
    assert_wrong(PARSE(with_config, "--init=yes"), "--init takes no value", "");
}
END_TEST

START_TEST(a_flag_takes_no_empty_value_either)
{
    assert_wrong(PARSE(with_config, "--init="), "--init takes no value", "");
}
END_TEST

START_TEST(one_override_more_than_there_is_room_for_is_refused)
{
    const char *words[COMMAND_SETS_MAX + 2] = {0};
    for (size_t i = 0; i <= COMMAND_SETS_MAX; i++) {
        words[i] = "--set=log.level=warn";
    }
    assert_wrong(parse(&with_config, words), "--set", "");
    words[COMMAND_SETS_MAX] = NULL;
    ck_assert_int_eq(parse(&with_config, words), ARGUMENTS_RUN);
    ck_assert_uint_eq(arguments.set_count, COMMAND_SETS_MAX);
}
END_TEST

START_TEST(nothing_given_is_nothing_set)
{
    ck_assert_int_eq(PARSE(with_config, NULL), ARGUMENTS_RUN);
    ck_assert_ptr_eq(arguments.command, &with_config);
    ck_assert_ptr_null(arguments.config);
    ck_assert_uint_eq(arguments.set_count, 0);
    ck_assert_ptr_null(arguments_value(&arguments, "--init"));
    ck_assert_ptr_null(arguments_value(&arguments, "--count"));
}
END_TEST

START_TEST(a_flag_that_is_given_is_the_empty_text)
{
    ck_assert_int_eq(PARSE(with_config, "--init"), ARGUMENTS_RUN);
    ck_assert_str_eq(arguments_value(&arguments, "--init"), "");
}
END_TEST

START_TEST(a_value_is_the_next_word_or_behind_the_equals_sign)
{
    ck_assert_int_eq(PARSE(with_config, "--count", "5", "--conninfo=user=a host=b"), ARGUMENTS_RUN);
    ck_assert_str_eq(arguments_value(&arguments, "--count"), "5");
    ck_assert_str_eq(arguments_value(&arguments, "--conninfo"), "user=a host=b");
}
END_TEST

START_TEST(a_value_behind_the_equals_sign_may_be_empty)
{
    ck_assert_int_eq(PARSE(with_config, "--count=", "--init"), ARGUMENTS_RUN);
    ck_assert_str_eq(arguments_value(&arguments, "--count"), "");
    ck_assert_str_eq(arguments_value(&arguments, "--init"), "");
}
END_TEST

START_TEST(letters_stand_for_names)
{
    ck_assert_int_eq(PARSE(with_config, "-n", "5", "-c", "a.yaml"), ARGUMENTS_RUN);
    ck_assert_str_eq(arguments_value(&arguments, "--count"), "5");
    ck_assert_str_eq(arguments.config, "a.yaml");
}
END_TEST

START_TEST(a_lone_hyphen_is_a_value)
{
    ck_assert_int_eq(PARSE(with_config, "--conninfo", "-"), ARGUMENTS_RUN);
    ck_assert_str_eq(arguments_value(&arguments, "--conninfo"), "-");
}
END_TEST

START_TEST(the_last_of_several_wins)
{
    ck_assert_int_eq(PARSE(with_config, "-c", "a", "--config=b", "--count=1", "-n", "2"),
                     ARGUMENTS_RUN);
    ck_assert_str_eq(arguments.config, "b");
    ck_assert_str_eq(arguments_value(&arguments, "--count"), "2");
}
END_TEST

START_TEST(overrides_keep_their_order)
{
    ck_assert_int_eq(PARSE(with_config, "--set", "a=1", "--set=b=2", "--set", "a=3"),
                     ARGUMENTS_RUN);
    ck_assert_uint_eq(arguments.set_count, 3);
    ck_assert_str_eq(arguments.sets[0], "a=1");
    ck_assert_str_eq(arguments.sets[1], "b=2");
    ck_assert_str_eq(arguments.sets[2], "a=3");
}
END_TEST

START_TEST(the_environment_stands_in_for_the_file)
{
    ck_assert_int_eq(setenv("WALFERRY_CONFIG", "env.yaml", 1), 0);
    ck_assert_int_eq(PARSE(with_config, "--init"), ARGUMENTS_RUN);
    ck_assert_str_eq(arguments.config, "env.yaml");
    ck_assert_int_eq(PARSE(with_config, "-c", "word.yaml"), ARGUMENTS_RUN);
    ck_assert_str_eq(arguments.config, "word.yaml");
}
END_TEST

START_TEST(help_is_found_behind_other_options)
{
    ck_assert_int_eq(PARSE(with_config, "--init", "-h"), ARGUMENTS_HELP);
    ck_assert_int_eq(PARSE(with_config, "-c", "x", "--help"), ARGUMENTS_HELP);
    ck_assert_int_eq(PARSE(with_config, "help"), ARGUMENTS_HELP);
}
END_TEST

START_TEST(a_value_is_no_cry_for_help)
{
    ck_assert_int_eq(PARSE(with_config, "--conninfo", "help"), ARGUMENTS_RUN);
    ck_assert_str_eq(arguments_value(&arguments, "--conninfo"), "help");
}
END_TEST

START_TEST(words_of_help)
{
    ck_assert(arguments_is_help("-h"));
    ck_assert(arguments_is_help("--help"));
    ck_assert(arguments_is_help("help"));
    ck_assert(!arguments_is_help("-help"));
    ck_assert(!arguments_is_help("helper"));
    ck_assert(!arguments_is_help(""));
}
END_TEST

/* --- the table --- */

START_TEST(every_command_is_complete)
{
    for (const struct command *command = commands; command->name != NULL; command++) {
        ck_assert_msg(command->run != NULL && command->options != NULL, "%s", command->name);
        ck_assert_msg(command->summary[0] != '\0', "%s", command->name);
        ck_assert_msg(strstr(command->help, "Example: walferry ") != NULL, "%s", command->name);
        bool config = strstr(command->synopsis, "-c FILE") != NULL;
        ck_assert_msg(config == command->takes_config, "%s", command->name);
        for (const struct command *other = commands; other != command; other++) {
            ck_assert_str_ne(other->name, command->name);
        }
    }
}
END_TEST

START_TEST(every_option_is_in_the_synopsis_and_in_bounds)
{
    for (const struct command *command = commands; command->name != NULL; command++) {
        size_t count = 0;
        for (; command->options[count].name != NULL; count++) {
            const struct option_spec *option = &command->options[count];
            char shown[128];
            snprintf(shown, sizeof(shown), "%s%s%s", option->letter ? option->letter : option->name,
                     option->argument ? " " : "", option->argument ? option->argument : "");
            ck_assert_msg(strstr(command->synopsis, shown) != NULL, "%s lacks %s", command->name,
                          shown);
            ck_assert_msg(option->help[strlen(option->help) - 1] == '.', "%s", option->name);
        }
        ck_assert_uint_le(count, COMMAND_OPTIONS_MAX);
    }
}
END_TEST

static Suite *suite_of_arguments(void)
{
    Suite *suite = suite_create("arguments");
    TCase *wrong = tcase_create("wrong");
    tcase_add_checked_fixture(wrong, setup, NULL);
    tcase_add_test(wrong, an_unknown_option_is_refused_with_what_is_near);
    tcase_add_test(wrong, a_shared_option_may_be_what_is_near);
    tcase_add_test(wrong, an_unknown_option_far_from_all_leads_to_the_help);
    tcase_add_test(wrong, a_word_that_is_no_option_is_refused);
    tcase_add_test(wrong, a_longer_word_is_not_the_option_that_it_begins_with);
    tcase_add_test(wrong, config_options_are_unknown_to_a_command_without_configuration);
    tcase_add_test(wrong, config_options_are_not_suggested_to_a_command_without_configuration);
    tcase_add_test(wrong, an_option_at_the_end_lacks_its_value);
    tcase_add_test(wrong, an_option_is_no_value_of_another);
    tcase_add_test(wrong, an_option_with_its_value_is_no_value_of_another);
    tcase_add_test(wrong, a_flag_takes_no_value);
    tcase_add_test(wrong, a_flag_takes_no_empty_value_either);
    tcase_add_test(wrong, one_override_more_than_there_is_room_for_is_refused);
    suite_add_tcase(suite, wrong);
    TCase *right = tcase_create("right");
    tcase_add_checked_fixture(right, setup, NULL);
    tcase_add_test(right, nothing_given_is_nothing_set);
    tcase_add_test(right, a_flag_that_is_given_is_the_empty_text);
    tcase_add_test(right, a_value_is_the_next_word_or_behind_the_equals_sign);
    tcase_add_test(right, a_value_behind_the_equals_sign_may_be_empty);
    tcase_add_test(right, letters_stand_for_names);
    tcase_add_test(right, a_lone_hyphen_is_a_value);
    tcase_add_test(right, the_last_of_several_wins);
    tcase_add_test(right, overrides_keep_their_order);
    tcase_add_test(right, the_environment_stands_in_for_the_file);
    tcase_add_test(right, help_is_found_behind_other_options);
    tcase_add_test(right, a_value_is_no_cry_for_help);
    tcase_add_test(right, words_of_help);
    suite_add_tcase(suite, right);
    TCase *table = tcase_create("table");
    tcase_add_test(table, every_command_is_complete);
    tcase_add_test(table, every_option_is_in_the_synopsis_and_in_bounds);
    suite_add_tcase(suite, table);
    return suite;
}

TEST_MAIN(suite_of_arguments())
