/* SPDX-License-Identifier: Apache-2.0 */
/*
 * generate: writes what is made from the schema table to standard output, to bring the files of
 * config/ up to date: `config_generate reference | schema | manual`.
 */
#include <stdio.h>

#include "walferry/config/config.h"

#define OUTPUT_MAX ((size_t)1024 * 1024)

struct output {
    const char *name;
    void (*write)(struct buf *out);
};

static const struct output outputs[] = {
    {"reference", config_reference},
    {"schema", config_json_schema},
    {"manual", config_manual},
};

int main(int argc, char **argv)
{
    struct buf out AUTO(buf_deinit);
    buf_init(&out, OUTPUT_MAX);
    for (size_t i = 0; i < ARRAY_LEN(outputs); i++) {
        if (argc == 2 && strcmp(argv[1], outputs[i].name) == 0) {
            outputs[i].write(&out);
            return fwrite(out.ptr, 1, out.len, stdout) == out.len && buf_ok(&out) ? 0 : 1;
        }
    }
    fputs("usage: config_generate reference | schema | manual\n", stderr);
    return 64;
}
