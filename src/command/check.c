/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/command/command.h"

#include <stdio.h>

int command_check(const struct arguments *arguments)
{
    struct config *config;
    int status = arguments_config(arguments, &config);
    if (status != 0)
        return status;
    printf("%s: pipeline %s is in order: slot %s, publication %s, %zu captures, %zu rules\n",
           config->path, config->name, config->source.slot, config->source.publication,
           config->capture_count, config->route.rule_count);
    config_free(config);
    return 0;
}
