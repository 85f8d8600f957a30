/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/command/command.h"

#include <stdio.h>

int command_check(const struct arguments *arguments)
{
    struct config *config;
    int status = arguments_config(arguments, &config);
    if (status != 0)
        return status;
    printf("%s is in order: pipeline %s, slot %s, publication %s, %zu capture%s, %zu rule%s\n",
           config->path, config->name, config->source.slot, config->source.publication,
           config->capture_count, config->capture_count == 1 ? "" : "s", config->route.rule_count,
           config->route.rule_count == 1 ? "" : "s");
    config_free(config);
    return 0;
}
