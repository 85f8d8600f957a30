/* SPDX-License-Identifier: Apache-2.0 */
/*
 * documents: prints one of the documents that are made from the tables of the program.
 *
 *   documents NAME          to standard output
 *   documents --check FILE NAME   0 when FILE holds exactly that text
 *   documents --section FILE NAME 0 when FILE holds it between <!-- NAME --> and <!-- /NAME -->
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manual.h"
#include "walferry/config/config.h"

#define DOCUMENT_MAX ((size_t)4 << 20)

static const struct document {
    const char *name;
    void (*write)(struct buf *out);
} documents[] = {
    {"walferry.1", command_manual},
    {"walferry-errors.7", errors_manual},
    {"walferry.yaml.5", config_page},
    {"walferry.reference.yaml", config_reference},
    {"walferry.schema.json", config_json_schema},
    {"exits", exits_markdown},
    {"metrics", metrics_markdown},
};

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, DOCUMENT_MAX);
    if (file == NULL || text == NULL || fread(text, 1, DOCUMENT_MAX - 1, file) == 0) {
        fprintf(stderr, "documents: cannot read %s\n", path);
        exit(2);
    }
    fclose(file);
    return text;
}

/* What stands between the marks, or nothing. */
static const char *section(char *text, const char *name)
{
    char mark[128];
    snprintf(mark, sizeof mark, "<!-- %s -->\n", name);
    char *from = strstr(text, mark);
    snprintf(mark, sizeof mark, "<!-- /%s -->", name);
    char *to = from == NULL ? NULL : strstr(from, mark);
    if (to == NULL)
        return "";
    *to = '\0';
    return strchr(from, '\n') + 1;
}

int main(int argc, char **argv)
{
    bool whole = argc == 4 && strcmp(argv[1], "--check") == 0;
    bool part = argc == 4 && strcmp(argv[1], "--section") == 0;
    struct buf out;
    buf_init(&out, DOCUMENT_MAX);
    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        if (strcmp(documents[i].name, argv[argc - 1]) != 0)
            continue;
        documents[i].write(&out);
        const char *made = buf_cstr(&out);
        if (!whole && !part)
            return fputs(made, stdout) < 0;
        char *text = read_file(argv[2]);
        const char *found = part ? section(text, argv[3]) : text;
        if (strcmp(found, made) == 0)
            return 0;
        fprintf(stderr, "documents: %s is stale: write it anew with `documents %s`\n", argv[2],
                argv[3]);
        return 1;
    }
    fprintf(stderr, "documents: no document of that name\n");
    return 2;
}
