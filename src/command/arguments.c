/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/command/command.h"

#include <stdio.h>
#include <stdlib.h>

#include "walferry/base/assert.h"
#include "walferry/base/log.h"
#include "walferry/base/parse.h"

const struct option_spec arguments_shared[] = {
    {"--config", "-c", "FILE", "The configuration; WALFERRY_CONFIG stands in for it."},
    {"--set", NULL, "KEY=VALUE", "Override one key of the configuration; may be given again."},
    {NULL, NULL, NULL, NULL},
};

bool arguments_is_help(const char *word)
{
    return strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "help") == 0;
}

/* `word` is the option, or the option, '=' and its value (then *ret_value is set). */
static bool matches(const struct option_spec *option, const char *word, const char **ret_value)
{
    size_t len = strlen(option->name);
    *ret_value = NULL;
    if (option->letter != NULL && strcmp(word, option->letter) == 0)
        return true;
    if (strncmp(word, option->name, len) != 0 || (word[len] != '\0' && word[len] != '='))
        return false;
    if (word[len] == '=')
        *ret_value = word + len + 1;
    return true;
}

static const struct option_spec *find(const struct option_spec *options, const char *word,
                                      const char **ret_value)
{
    for (; options->name != NULL; options++)
        if (matches(options, word, ret_value))
            return options;
    return NULL;
}

static void nearest(const struct option_spec *options, const char *word, const char **best,
                    unsigned *distance)
{
    for (; options->name != NULL; options++) {
        unsigned d = edit_distance(options->name, word);
        if (d < *distance) {
            *distance = d;
            *best = options->name;
        }
    }
}

static enum arguments_outcome unknown(const struct command *command, const char *word,
                                      struct err *err)
{
    const char *best = NULL;
    unsigned distance = 4;
    nearest(command->options, word, &best, &distance);
    if (command->takes_config)
        nearest(arguments_shared, word, &best, &distance);
    discard(err_set(err, ERR_USAGE, "walferry %s does not know \"%s\"", command->name, word));
    if (best != NULL)
        err_hint(err, "did you mean %s? See walferry %s --help", best, command->name);
    else
        err_hint(err, "see walferry %s --help", command->name);
    return ARGUMENTS_WRONG;
}

static bool store(struct arguments *arguments, const struct option_spec *option, const char *value,
                  struct err *err)
{
    if (option == &arguments_shared[0]) {
        arguments->config = value;
    } else if (option != &arguments_shared[1]) {
        ptrdiff_t row = option - arguments->command->options;
        ASSERT(row >= 0 && row < COMMAND_OPTIONS_MAX);
        arguments->values[row] = value;
    } else if (arguments->set_count == COMMAND_SETS_MAX) {
        return err_set(err, ERR_USAGE, "more than %d --set", COMMAND_SETS_MAX);
    } else {
        arguments->sets[arguments->set_count++] = value;
    }
    return true;
}

static const struct option_spec *find_any(const struct command *command, const char *word,
                                          const char **ret_value)
{
    const struct option_spec *option = find(command->options, word, ret_value);
    if (option == NULL && command->takes_config)
        option = find(arguments_shared, word, ret_value);
    return option;
}

/* The value that an option wants: behind its '=', or the next word, unless that is an option. */
static bool take_value(const struct command *command, const struct option_spec *option,
                       const char *next, const char **value, struct err *err)
{
    const char *ignored;
    if (option->argument == NULL && *value != NULL)
        return err_set(err, ERR_USAGE, "%s takes no value", option->name);
    if (option->argument == NULL) {
        *value = "";
        return true;
    }
    if (*value != NULL)
        return true;
    if (next == NULL || find_any(command, next, &ignored) != NULL) {
        err_set(err, ERR_USAGE, "%s wants %s", option->name, option->argument);
        return err_hint(err, "see walferry %s --help", command->name);
    }
    *value = next;
    return true;
}

enum arguments_outcome arguments_parse(const struct command *command, int argc, char **argv,
                                       struct arguments *ret_arguments, struct err *err)
{
    struct arguments arguments = {.command = command, .config = getenv("WALFERRY_CONFIG")};
    for (int i = 0; i < argc; i++) {
        const char *value = NULL;
        if (arguments_is_help(argv[i]))
            return ARGUMENTS_HELP;
        const struct option_spec *option = find_any(command, argv[i], &value);
        if (option == NULL)
            return unknown(command, argv[i], err);
        bool separate = option->argument != NULL && value == NULL;
        if (!take_value(command, option, i + 1 < argc ? argv[i + 1] : NULL, &value, err) ||
            !store(&arguments, option, value, err))
            return ARGUMENTS_WRONG;
        i += separate ? 1 : 0;
    }
    *ret_arguments = arguments;
    return ARGUMENTS_RUN;
}

const char *arguments_value(const struct arguments *arguments, const char *name)
{
    for (size_t i = 0; arguments->command->options[i].name != NULL; i++)
        if (strcmp(arguments->command->options[i].name, name) == 0)
            return arguments->values[i];
    UNREACHABLE();
}

int arguments_config(const struct arguments *arguments, struct config **ret_config)
{
    struct config_problems problems;
    struct err err;
    if (arguments->config == NULL || arguments->config[0] == '\0') {
        discard(err_set(&err, ERR_USAGE, "no configuration is named"));
        err_hint(&err, "walferry %s -c FILE, or set WALFERRY_CONFIG", arguments->command->name);
        return command_fail(&err);
    }
    if (!config_load(arguments->config, arguments->sets, arguments->set_count, ret_config,
                     &problems)) {
        int status = 0;
        for (size_t i = 0; i < problems.count; i++)
            status = command_fail(&problems.items[i]);
        if (problems.more > 0)
            fprintf(stderr, "walferry: and %zu more\n", problems.more);
        return status;
    }
    log_setup((*ret_config)->log_format, (*ret_config)->log_level, (*ret_config)->name);
    return 0;
}

int command_fail(const struct err *err)
{
    char text[2048];
    size_t len = err_render(err, text, sizeof text);
    fwrite(text, 1, len, stderr);
    if (len == 0 || text[len - 1] != '\n')
        fputc('\n', stderr);
    return err_exit_status(err->code);
}
