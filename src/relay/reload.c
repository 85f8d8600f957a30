/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_private.h"

static void differs(void *context, const char *path, bool hot)
{
    unsigned *cold = context;
    if (hot) {
        log_info("changed by the reload", F_STR("key", path));
        return;
    }
    (*cold)++;
    log_warn("changed in the file, but only a restart applies it", F_STR("key", path));
}

void reload(struct relay *relay)
{
    char message[96];
    unsigned cold = 0;
    if (relay->hooks == NULL || relay->hooks->reload == NULL) {
        log_warn("there is no file to reload", F_STR("signal", "SIGHUP"));
        return;
    }
    snprintf(message, sizeof message, "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)(relay->now_ns / 1000));
    notify_send(message);
    struct config *fresh =
        FAILPOINT(RELOAD_PARSE) ? NULL : relay->hooks->reload(relay->hooks->context);
    if (fresh == NULL) {
        log_error("the configuration is not in order and stays as it was",
                  F_STR("file", relay->config->path));
    } else {
        discard(FAILPOINT(RELOAD_APPLY));
        config_compare(relay->config, fresh, differs, &cold);
        relay->checkpoint_interval_ms = fresh->checkpoint_interval_ms;
        relay->drain_timeout_ms = fresh->delivery.drain_timeout_ms;
        log_setup(fresh->log_format, fresh->log_level, relay->config->name);
        log_info("reloaded", F_STR("file", relay->config->path),
                 F_U64("waiting_for_restart", cold));
        config_free(fresh);
    }
    notify_send("READY=1");
}
