/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command: what `walferry WORD` does, one file a command, one table.
 *
 * The table gives dispatch, help, and the manual. A command gets the arguments after its name and
 * returns the exit status. Data goes to standard output, everything else to standard error.
 */
#pragma once

#include "walferry/base/err.h"
#include "walferry/config/config.h"

#define COMMAND_SETS_MAX 64

struct option_spec {
    const char *name;     /* "--config" */
    const char *letter;   /* "-c", or NULL */
    const char *argument; /* "FILE", or NULL for a flag */
    const char *help;
};

struct command {
    const char *name;
    const char *synopsis; /* "-c FILE [--set KEY=VALUE]..." */
    const char *summary;  /* one line */
    const char *help;     /* paragraphs */
    const struct option_spec *options; /* ended by a row without a name */
    int (*run)(const struct command *self, int argc, char **argv);
};

/* Ended by a row without a name. */
extern const struct command commands[];

/* Parse argv[1..] and run; the whole program behind main(). */
int command_main(int argc, char **argv);

/* Options of a command, by its table. */
struct arguments {
    const char *config;
    const char *sets[COMMAND_SETS_MAX];
    size_t set_count;
    /* Values of the command's own options in the order of its table; "" for a flag that is given,
     * NULL for what is not. */
    const char *values[16];
};

/* 0 to go on, else the exit status to end with (help was shown, or usage is wrong). */
MUST_USE int arguments_parse(const struct command *command, int argc, char **argv,
                             struct arguments *ret_arguments, bool *ret_done);
/* Load the configuration named by -c or WALFERRY_CONFIG; prints every problem. */
MUST_USE int arguments_config(const struct arguments *arguments, struct config **ret_config);
/* Print to standard error and return its exit status. */
int command_fail(const struct err *err);

int command_run(const struct command *self, int argc, char **argv);
int command_check(const struct command *self, int argc, char **argv);
int command_init(const struct command *self, int argc, char **argv);
int command_demo(const struct command *self, int argc, char **argv);
int command_version(const struct command *self, int argc, char **argv);
