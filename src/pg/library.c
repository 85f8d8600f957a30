/* SPDX-License-Identifier: Apache-2.0 */
#include <libpq-fe.h>
#include <stdio.h>

#include "walferry/pg/pg.h"

const char *pg_library_version(void)
{
    static char text[32];
    int version = PQlibVersion();
    snprintf(text, sizeof text, "%d.%d", version / 10000, version % 10000);
    return text;
}

static bool copy_user(const PQconninfoOption *options, char *out, size_t size)
{
    for (; options != NULL && options->keyword != NULL; options++) {
        if (strcmp(options->keyword, "user") != 0 || options->val == NULL)
            continue;
        size_t len = strlen(options->val);
        if (len >= size)
            return false;
        memcpy(out, options->val, len + 1);
        return true;
    }
    return false;
}

bool pg_conninfo_user(const char *conninfo, char *out, size_t size)
{
    PQconninfoOption *given = PQconninfoParse(conninfo, NULL);
    PQconninfoOption *defaults = PQconndefaults();
    bool found = copy_user(given, out, size) || copy_user(defaults, out, size);
    PQconninfoFree(given);
    PQconninfoFree(defaults);
    return found;
}
