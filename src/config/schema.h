/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schema: the table of all keys; a row says everything about its key.
 *
 * The loader, `--set`, "did you mean", the reference configuration, the JSON Schema and the manual
 * are made from it. Rows stand in the order of the reference, parents before children. A path names
 * maps by key and elements of lists by [], "capture[].preset". Static data.
 */
#pragma once

#include "walferry/config/config.h"

enum key_type {
    KEY_MAP,
    KEY_LIST, /* of maps */
    KEY_ANY,  /* not looked into: only below keys that are not available */
    KEY_VERSION,
    KEY_NAME,
    KEY_SLOT,
    KEY_PUBLICATION,
    KEY_TEXT,
    KEY_PATH,
    KEY_SECRET_FILE,
    KEY_CONNINFO,
    KEY_TABLE,
    KEY_PREFIX,
    KEY_TOPIC,
    KEY_TEMPLATE,
    KEY_LISTEN,
    KEY_INT,
    KEY_BOOL,
    KEY_DURATION, /* milliseconds */
    KEY_SIZE,     /* bytes */
    KEY_ENUM,
    KEY_COLUMNS,    /* event field to column */
    KEY_WHEN,       /* event field to glob */
    KEY_PROPERTIES, /* librdkafka's, any name */
    KEY_TYPE_COUNT
};

enum key_flag {
    KEY_REQUIRED = 1,  /* within its map */
    KEY_SECRET = 2,    /* its value is never shown */
    KEY_HOT = 4,       /* can be reloaded while running */
    KEY_ELEMENT = 8,   /* begins an element of its list in the reference */
    KEY_COMMENT = 16,  /* stands as a comment in the reference, with what is below it */
    KEY_LINE = 32,     /* the sample is the whole line of the reference */
    KEY_DERIVED = 64,  /* the default text explains, it is not a value */
    KEY_OF_TABLE = 128 /* belongs to capture entries with `table` */
};

struct enum_value {
    const char *text; /* NULL ends the list */
    int value;
};

struct key {
    const char *path;
    enum key_type type;
    unsigned flags;
    size_t offset;      /* in struct config, capture_entry or route_rule */
    size_t size;        /* of the member; 0: the value lands nowhere by itself */
    const char *preset; /* default, as it would be written; NULL for none */
    int64_t min;        /* of numbers, in ms or bytes where these are the unit */
    int64_t max;
    const struct enum_value *values;
    const char *unavailable; /* why this version does not take it; NULL when it does */
    const char *hint;        /* with unavailable */
    const char *sample;      /* value in the reference, where the default does not serve */
    const char *doc;
};

extern const struct key schema_keys[];
extern const size_t schema_key_count;

/* By the whole path; NULL when there is none. */
const struct key *schema_find(const char *parent, const char *name);
/* The part of the path after the last dot. */
const char *key_name(const struct key *key);
/* Whether the row stands directly below `parent` ("" for the top, "capture[]" for elements). */
bool key_is_child(const struct key *key, const char *parent);
/* What a value looks like, "a duration such as 250ms, 10s or 5m". */
const char *key_type_syntax(enum key_type type);
bool key_is_scalar(const struct key *key);
/* A number as it would be written for the type: "5m", "16MiB", "3". */
struct key_number {
    char text[32];
};
struct key_number key_number(enum key_type type, int64_t value);
