/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/command/command.h"

#include <stdio.h>

#include "walferry/base/parse.h"

static void print_options(FILE *out, const struct option_spec *options)
{
    for (; options->name != NULL; options++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s%s%s", options->letter == NULL ? "" : options->letter,
                 options->letter == NULL ? "" : ", ", options->name,
                 options->argument == NULL ? "" : " ",
                 options->argument == NULL ? "" : options->argument);
        fprintf(out, "  %-24s %s\n", left, options->help);
    }
}

static void help_command(FILE *out, const struct command *command)
{
    fprintf(out, "walferry %s: %s\n\nUsage: walferry %s %s\n\n%s\n\nOptions:\n", command->name,
            command->summary, command->name, command->synopsis, command->help);
    if (command->takes_config)
        print_options(out, arguments_shared);
    print_options(out, command->options);
    fprintf(out, "  %-24s %s\n", "-h, --help", "This text.");
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
