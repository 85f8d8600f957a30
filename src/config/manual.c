/* SPDX-License-Identifier: Apache-2.0 */
#include "schema.h"

#define LINE_COLUMNS 72

/* No line may begin with a control character of roff. */
static void guard_line(struct buf *out, const char *line)
{
    if (line[0] == '.' || line[0] == '\'') {
        buf_put_str(out, "\\&");
    }
}

static void put_prose_byte(struct buf *out, char byte, bool *bold)
{
    switch (byte) {
    case '`':
        *bold = !*bold;
        buf_put_str(out, *bold ? "\\fB" : "\\fR");
        break;
    case '\\':
        buf_put_str(out, "\\e");
        break;
    case '-':
        buf_put_str(out, "\\-");
        break;
    default:
        buf_put_u8(out, (uint8_t)byte);
        break;
    }
}

/* Prose for mdoc: `x` in bold, wrapped. */
static void put_prose(struct buf *out, const char *text)
{
    bool bold = false;
    size_t column = 0;
    guard_line(out, text);
    for (const char *at = text; *at != '\0'; at++, column++) {
        size_t word = *at == ' ' ? 1 + strcspn(at + 1, " ") : 0;
        /* mdoc wants each sentence on a line of its own. */
        bool sentence = word > 0 && at > text && at[-1] == '.';
        if (sentence || (word > 0 && column + word > LINE_COLUMNS)) {
            buf_put_u8(out, '\n');
            guard_line(out, at + 1);
            column = 0;
        } else {
            put_prose_byte(out, *at, &bold);
        }
    }
    buf_put_u8(out, '\n');
}

static void put_facts(struct buf *out, const struct key *key)
{
    struct buf text AUTO(buf_deinit);
    buf_init(&text, 2048);
    if (key->type == KEY_ENUM) {
        buf_put_str(&text, "One of the values below.");
    } else {
        buf_printf(&text, "Takes %s.", key_type_syntax(key->type));
    }
    if ((key->flags & KEY_REQUIRED) != 0) {
        buf_put_str(&text, " Required.");
    }
    if (key->preset != NULL) {
        buf_printf(&text, " Default: %s%s%s.", key->preset[0] == '\0' ? "" : "`",
                   key->preset[0] == '\0' ? "empty" : key->preset,
                   key->preset[0] == '\0' ? "" : "`");
    }
    if (key->max > 0) {
        buf_printf(&text, " From %s to %s.", key_number(key->type, key->min).text,
                   key_number(key->type, key->max).text);
    }
    if (key->unavailable != NULL) {
        buf_put_str(&text, " Not available in this version.");
    }
    if ((key->flags & KEY_HOT) != 0) {
        buf_put_str(&text, " Reloaded on SIGHUP.");
    }
    put_prose(out, buf_cstr(&text));
}

static void put_values(struct buf *out, const struct key *key)
{
    if (key->values == NULL) {
        return;
    }
    struct buf text AUTO(buf_deinit);
    buf_init(&text, 2048);
    const char *separator = "Values: ";
    for (const struct enum_value *value = key->values; value->text != NULL; value++) {
        buf_printf(&text, "%s`%s`", separator, value->text);
        separator = ", ";
    }
    buf_put_str(&text, ".");
    put_prose(out, buf_cstr(&text));
}

static void put_key(struct buf *out, const struct key *key)
{
    buf_printf(out, ".It Ic %s\n", key->path);
    put_prose(out, key->doc);
    if (key->type != KEY_MAP) {
        put_facts(out, key);
        put_values(out, key);
    }
}

static void put_general(struct buf *out)
{
    buf_put_str(out,
                ".Sh DESCRIPTION\n"
                "The configuration of\n.Xr walferry 1\nis one YAML document of at most 1 MiB.\n"
                "Types come from the keys, not from YAML; anchors, aliases, tags and further\n"
                "documents are refused.\n"
                "Unknown keys, wrong types and contradictions are errors with line and\ncolumn; "
                "all of them are reported at once.\n"
                ".Pp\n"
                "In every scalar\n.Li ${VAR}\nand\n.Li ${VAR:\\-default}\n"
                "stand for environment variables, whose names are upper\\-case, and\n.Li $$\n"
                "for a dollar sign.\n"
                "They are expanded after parsing.\n"
                "Lower\\-case placeholders such as\n.Li ${aggregate_type}\n"
                "belong to topic templates.\n"
                ".Pp\n"
                "Durations are written\n.Li 250ms , 10s , 5m , 1h ;\nsizes\n"
                ".Li 64KiB , 16MiB .\n"
                ".Pp\n"
                "The option\n.Fl \\-set Ar key.path Ns = Ns Ar value\n"
                "of every command overrides one key.\n"
                "Behind\n.Li sink.kafka\nthe rest is one key, dots included; elements of lists\n"
                "go by number, as in\n.Li capture.0.payload=text .\n");
}

void config_manual(struct buf *out)
{
    put_general(out);
    buf_put_str(out, ".Sh KEYS\n.Bl -tag -width Ds\n");
    for (size_t i = 0; i < schema_key_count; i++) {
        put_key(out, &schema_keys[i]);
    }
    buf_put_str(out, ".El\n");
}
