/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command: what `walferry WORD` does, one file a command, one table.
 *
 * The table gives dispatch, help and the manual. A command gets the arguments after its name and
 * returns the exit status (README, "Exit status"). Data goes to standard output, everything else to
 * standard error.
 */
#pragma once

#include "walferry/base/err.h"
#include "walferry/config/config.h"

#define COMMAND_SETS_MAX    64
#define COMMAND_OPTIONS_MAX 16

struct option_spec {
    const char *name;     /* "--config" */
    const char *letter;   /* "-c", or NULL */
    const char *argument; /* "FILE", or NULL for a flag */
    const char *help;     /* one sentence */
};

struct arguments;

struct command {
    const char *name;
    const char *synopsis;              /* "-c FILE [--init]" */
    const char *summary;               /* one line */
    const char *help;                  /* paragraphs and examples */
    bool takes_config;                 /* -c FILE and --set KEY=VALUE are understood */
    const struct option_spec *options; /* own ones, ended by a row without a name */
    int (*run)(const struct arguments *arguments);
};

/* Ended by a row without a name. */
extern const struct command commands[];

/* -c and --set, which every command with takes_config understands; ended as above. */
extern const struct option_spec arguments_shared[];

/* What was given on the command line; strings are borrowed from argv. */
struct arguments {
    const struct command *command;
    const char *config; /* -c, else WALFERRY_CONFIG, else NULL */
    const char *sets[COMMAND_SETS_MAX];
    size_t set_count;
    /* By the row of the command's own options: "" for a flag that is given, NULL when not given. */
    const char *values[COMMAND_OPTIONS_MAX];
};

/* Parse argv and run; the whole program behind main(). */
int command_main(int argc, char **argv);

enum arguments_outcome {
    ARGUMENTS_RUN,   /* all is understood */
    ARGUMENTS_HELP,  /* help was asked for */
    ARGUMENTS_WRONG, /* err: ERR_USAGE with what is near */
};

/* -h, --help, help */
bool arguments_is_help(const char *word);
/* argv[0] is the first word after the command's name. */
MUST_USE enum arguments_outcome arguments_parse(const struct command *command, int argc,
                                                char **argv, struct arguments *ret_arguments,
                                                struct err *err);
/* Load the configuration; prints every problem to standard error and sets up the log. 0, or the
 * exit status. */
MUST_USE int arguments_config(const struct arguments *arguments, struct config **ret_config);
/* Value of an own option by name; NULL when not given, "" for a flag. */
const char *arguments_value(const struct arguments *arguments, const char *name);
/* Print to standard error and return its exit status. */
int command_fail(const struct err *err);

int command_run(const struct arguments *arguments);
int command_check(const struct arguments *arguments);
int command_init(const struct arguments *arguments);
int command_demo(const struct arguments *arguments);
int command_replay(const struct arguments *arguments);
int command_version(const struct arguments *arguments);
