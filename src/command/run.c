/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/command/command.h"
#include "walferry/relay/relay.h"

static struct config *load_again(void *context)
{
    struct config *config;
    return arguments_config(context, &config) == 0 ? config : NULL;
}

int command_run(const struct arguments *arguments)
{
    struct config *config;
    struct arguments again = *arguments;
    const struct relay_hooks hooks = {.reload = load_again, .context = &again};
    if (arguments_value(arguments, "--init") != NULL) {
        int status = command_init(arguments);
        if (status != 0)
            return status;
    }
    int status = arguments_config(arguments, &config);
    if (status != 0)
        return status;
    status = relay_run(config, &hooks);
    config_free(config);
    return status;
}
