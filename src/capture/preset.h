/* SPDX-License-Identifier: Apache-2.0 */
/*
 * preset: where the outbox tables of known projects keep the fields of an event. Static data.
 */
#pragma once

#include "walferry/capture/capture.h"

enum reader {
    READ_VALUE,      /* the column's value by field and column type; headers: a JSON object */
    READ_PROPERTIES, /* the property named like the field, in the text of a java.util.Properties */
    READ_HEADER,     /* only the header named in `header`; the column is the one of the headers */
    READ_ARRAYS,     /* headers: names in `column`, values in `pair`, both arrays of text */
};

struct preset_field {
    const char *column; /* NULL: none */
    const char *pair;   /* READ_ARRAYS only */
    const char *header; /* when the row has this header, its text wins over the column */
    enum reader reader;
};

struct preset {
    const char *name;
    enum payload_mode payload; /* what payload: auto means */
    struct preset_field fields[EVENT_FIELD_COUNT];
};

const struct preset *preset_get(enum preset_id preset);
