/* SPDX-License-Identifier: Apache-2.0 */
#include "schema.h"
#include "walferry/base/assert.h"

#define LINE_MAX_COLUMNS 96

/* Steps of two spaces: one for each map above, two for each list. */
static size_t indent_of(const struct key *key)
{
    size_t indent = 0;
    for (const char *at = key->path; *at != '\0'; at++) {
        indent += *at == '.' ? 2 : 0;
        indent += *at == '[' ? 2 : 0;
    }
    return indent;
}

static void put_spaces(struct buf *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_put_u8(out, ' ');
    }
}

/* Wrapped at spaces, each line a comment. */
static void put_comment(struct buf *out, size_t indent, const char *text)
{
    const char *at = text;
    while (*at != '\0') {
        size_t room = LINE_MAX_COLUMNS - indent;
        size_t len = strlen(at);
        if (len > room) {
            len = room;
            while (len > 0 && at[len] != ' ') {
                len--;
            }
            ASSERT(len > 0);
        }
        put_spaces(out, indent);
        buf_put_str(out, "# ");
        buf_put(out, at, len);
        buf_put_u8(out, '\n');
        at += len;
        at += *at == ' ' ? 1 : 0;
    }
}

static void put_values(struct buf *out, const struct key *key)
{
    const char *separator = " One of ";
    for (const struct enum_value *value = key->values; value != NULL && value->text != NULL;
         value++) {
        buf_printf(out, "%s%s", separator, value->text);
        separator = ", ";
    }
    if (key->values != NULL) {
        buf_put_u8(out, '.');
    }
}

/* What the row says besides the prose: "Default 10s. From 100ms to 1h." */
static void put_facts(struct buf *out, const struct key *key)
{
    if ((key->flags & KEY_REQUIRED) != 0) {
        buf_put_str(out, " Required.");
    }
    if (key->unavailable != NULL) {
        buf_put_str(out, " Not available in this version.");
    }
    put_values(out, key);
    if (key->preset != NULL) {
        buf_printf(out, " Default: %s.", key->preset[0] == '\0' ? "empty" : key->preset);
    }
    if (key->max > 0) {
        buf_printf(out, " From %s to %s.", key_number(key->type, key->min).text,
                   key_number(key->type, key->max).text);
    }
    if ((key->flags & KEY_HOT) != 0) {
        buf_put_str(out, " Reloaded on SIGHUP.");
    }
}

/* A default that YAML or a reader would take for something else is quoted. */
static void put_value(struct buf *out, const struct key *key)
{
    const char *value = key->sample != NULL ? key->sample : key->preset;
    if (value == NULL) {
        return;
    }
    bool quote = key->sample == NULL && strpbrk(value, "{:$") != NULL;
    buf_printf(out, quote ? " \"%s\"" : " %s", value);
}

static bool is_commented(const struct key *key)
{
    for (size_t i = 0; i < schema_key_count; i++) {
        const struct key *above = &schema_keys[i];
        size_t len = strlen(above->path);
        bool below = strncmp(key->path, above->path, len) == 0 &&
                     (key->path[len] == '\0' || key->path[len] == '.' || key->path[len] == '[');
        if (below && (above->flags & KEY_COMMENT) != 0) {
            return true;
        }
    }
    return false;
}

static void put_line(struct buf *out, const struct key *key)
{
    bool element = (key->flags & KEY_ELEMENT) != 0;
    put_spaces(out, indent_of(key) - (element ? 2 : 0));
    buf_put_str(out, is_commented(key) ? "# " : "");
    buf_put_str(out, element ? "- " : "");
    if ((key->flags & KEY_LINE) != 0) {
        buf_printf(out, "%s\n", key->sample);
        return;
    }
    buf_printf(out, "%s:", key_name(key));
    put_value(out, key);
    buf_put_u8(out, '\n');
}

void config_reference(struct buf *out)
{
    buf_put_str(out, "# The reference configuration of walferry: every key, what it means, its "
                     "default.\n"
                     "# Made from the table that reads it. A smaller start is "
                     "walferry.example.yaml.\n"
                     "#\n"
                     "# Values take ${VAR}, ${VAR:-default} and $$ for a dollar sign. Durations: "
                     "250ms 10s 5m.\n"
                     "# Sizes: 64KiB 16MiB. Secrets also come from the keys that end in _file.\n");
    struct buf text AUTO(buf_deinit);
    buf_init(&text, 4096);
    for (size_t i = 0; i < schema_key_count; i++) {
        const struct key *key = &schema_keys[i];
        buf_reset(&text);
        buf_put_str(&text, key->doc);
        put_facts(&text, key);
        buf_put_u8(out, '\n');
        put_comment(out, indent_of(key) - ((key->flags & KEY_ELEMENT) != 0 ? 2 : 0),
                    buf_cstr(&text));
        put_line(out, key);
    }
}
