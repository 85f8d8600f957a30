/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/command/command.h"

#include <stdio.h>

#include "walferry/base/json.h"
#include "walferry/pg/pg.h"
#include "walferry/sink/kafka.h"

int command_version(const struct arguments *arguments)
{
    if (arguments_value(arguments, "--json") == NULL) {
        printf("walferry %s (libpq %s, %s)\n", WALFERRY_VERSION, pg_library_version(),
               kafka_library_version());
        return 0;
    }
    struct buf out;
    struct json_writer json;
    buf_init(&out, 4096);
    json_writer_init(&json, &out);
    json_object_begin(&json);
    json_key(&json, "version");
    json_str(&json, WALFERRY_VERSION);
    json_key(&json, "libpq");
    json_str(&json, pg_library_version());
    json_key(&json, "librdkafka");
    json_str(&json, kafka_library_version());
    json_key(&json, "checkpoint_version");
    json_u64(&json, CHECKPOINT_VERSION);
    json_key(&json, "envelope_version");
    json_u64(&json, 1);
    json_object_end(&json);
    struct err err;
    bool ok = buf_ok(&out) || err_set(&err, ERR_MEMORY, "no memory for the versions");
    if (ok)
        printf("%s\n", buf_cstr(&out));
    buf_deinit(&out);
    return ok ? 0 : command_fail(&err);
}
