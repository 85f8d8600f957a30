/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/model/change.h"

#include "walferry/base/assert.h"

const char *change_kind_name(enum change_kind kind)
{
    static const char *const names[] = {
        [CHANGE_BEGIN] = "begin",       [CHANGE_COMMIT] = "commit", [CHANGE_ORIGIN] = "origin",
        [CHANGE_RELATION] = "relation", [CHANGE_TYPE] = "type",     [CHANGE_INSERT] = "insert",
        [CHANGE_UPDATE] = "update",     [CHANGE_DELETE] = "delete", [CHANGE_TRUNCATE] = "truncate",
        [CHANGE_MESSAGE] = "message",
    };
    ASSERT((size_t)kind < ARRAY_LEN(names));
    return names[kind];
}
