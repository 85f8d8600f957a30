/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/command/command.h"

#include <stdio.h>

#include "walferry/base/parse.h"

#define LINE_WIDTH    80
#define OPTION_INDENT 27

/* Broken between words; lines of the text stay apart. The first line begins at `column`. */
static void print_wrapped(FILE *out, const char *text, size_t column, size_t indent)
{
    while (*text != '\0') {
        size_t word = strcspn(text, " \n");
        if (column > indent && column + 1 + word > LINE_WIDTH) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", (int)word, text);
        column += word;
        text += word;
        for (; *text == '\n'; text++) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
        }
        text += *text == ' ' ? 1 : 0;
    }
    fputc('\n', out);
}

static void print_option(FILE *out, const char *left, const char *help)
{
    fprintf(out, "  %-24s ", left);
    print_wrapped(out, help, OPTION_INDENT, OPTION_INDENT);
}

static void print_options(FILE *out, const struct option_spec *options)
{
    for (; options->name != NULL; options++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s%s%s", options->letter == NULL ? "" : options->letter,
                 options->letter == NULL ? "" : ", ", options->name,
                 options->argument == NULL ? "" : " ",
                 options->argument == NULL ? "" : options->argument);
        print_option(out, left, options->help);
    }
}

static void help_command(FILE *out, const struct command *command)
{
    fprintf(out, "walferry %s: %s\n\nUsage: walferry %s %s\n\n", command->name, command->summary,
            command->name, command->synopsis);
    print_wrapped(out, command->help, 0, 0);
    fprintf(out, "\nOptions:\n");
    if (command->takes_config)
        print_options(out, arguments_shared);
    print_options(out, command->options);
    print_option(out, "-h, --help", "This text.");
}

static void help_all(FILE *out)
{
    fprintf(out,
            "walferry: carries the rows of a PostgreSQL outbox to Kafka, in commit order, none "
            "lost\n\n"
            "  walferry demo --count 5            see it work, nothing is left behind\n"
            "  walferry init -c orders.yaml       make what the relay needs\n"
            "  walferry run -c orders.yaml        relay\n\nCommands:\n");
    for (const struct command *command = commands; command->name != NULL; command++)
        fprintf(out, "  %-10s %s\n", command->name, command->summary);
    fprintf(out, "\nwalferry COMMAND --help tells more. Manual: walferry(1), walferry.yaml(5).\n");
}

static const struct command *find(const char *name)
{
    for (const struct command *command = commands; command->name != NULL; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

static int unknown(const char *name)
{
    const char *best = NULL;
    unsigned distance = 3;
    struct err err;
    for (const struct command *command = commands; command->name != NULL; command++) {
        unsigned d = edit_distance(command->name, name);
        if (d < distance) {
            distance = d;
            best = command->name;
        }
    }
    discard(err_set(&err, ERR_USAGE, "there is no command \"%s\"", name));
    if (best != NULL)
        err_hint(&err, "did you mean walferry %s?", best);
    else
        err_hint(&err, "see walferry --help");
    return command_fail(&err);
}

static int run_command(const struct command *command, int argc, char **argv)
{
    struct arguments arguments;
    struct err err;
    switch (arguments_parse(command, argc, argv, &arguments, &err)) {
    case ARGUMENTS_HELP:
        help_command(stdout, command);
        return 0;
    case ARGUMENTS_WRONG:
        return command_fail(&err);
    case ARGUMENTS_RUN:
        break;
    }
    return command->run(&arguments);
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        help_all(stderr);
        return err_exit_status(ERR_USAGE);
    }
    if (arguments_is_help(argv[1])) {
        const struct command *command = argc > 2 ? find(argv[2]) : NULL;
        if (argc > 2 && command == NULL)
            return unknown(argv[2]);
        if (command == NULL)
            help_all(stdout);
        else
            help_command(stdout, command);
        return 0;
    }
    const char *name = strcmp(argv[1], "--version") == 0 ? "version" : argv[1];
    const struct command *command = find(name);
    return command == NULL ? unknown(argv[1]) : run_command(command, argc - 2, argv + 2);
}

/* Output that did not arrive, on a full disk say, is no success. */
int command_main(int argc, char **argv)
{
    struct err err;
    int status = dispatch(argc, argv);
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return status;
    discard(err_set(&err, ERR_OS, "standard output cannot be written"));
    err_hint(&err, "is its disk full, or its reader gone?");
    return status == 0 ? command_fail(&err) : status;
}
