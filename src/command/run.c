/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/command/command.h"
#include "walferry/relay/relay.h"

int command_run(const struct arguments *arguments)
{
    struct config *config;
    if (arguments_value(arguments, "--init") != NULL) {
        int status = command_init(arguments);
        if (status != 0)
            return status;
    }
    int status = arguments_config(arguments, &config);
    if (status != 0)
        return status;
    status = relay_run(config, NULL);
    config_free(config);
    return status;
}
