/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "load.h"
#include "walferry/base/assert.h"
#include "walferry/base/parse.h"
#include "walferry/pg/pg.h"

/* For messages: values of secrets are never shown, and what came from the environment is shown as
 * it was written. */
static const char *shown(const struct key *key, const struct node *node)
{
    return (key->flags & KEY_SECRET) != 0 ? "******" : node->text;
}

const char *value_text(struct load *load, const struct node *node, const char *name,
                       enum text_use use)
{
    if (node->kind != NODE_SCALAR) {
        const char *what = node->kind == NODE_LIST ? "a list" : "a mapping";
        err_hint(fault(load->faults, node->mark, ERR_CONFIG_TYPE,
                       "`%.100s` takes a single value, not %s", name, what),
                 "write it as `%.100s: VALUE`; quote text that begins with { or [", name);
        return NULL;
    }
    if (node_is_null(node)) {
        err_hint(fault(load->faults, node->mark, ERR_CONFIG_TYPE, "`%.100s` has no value", name),
                 "write a value, or leave the key out to take the default; \"\" is empty text");
        return NULL;
    }
    const char *text = NULL;
    struct err err = ERR_INIT;
    if (!variable_expand(node->text, use, load->pool, &text, &err)) {
        err_context(&err, "`%.100s`", name);
        faults_take(load->faults, node->mark, &err);
        return NULL;
    }
    return text;
}

static void store_integer(const struct key *key, void *base, int64_t value)
{
    void *at = (char *)base + key->offset;
    switch (key->size) {
    case 0:
        return;
    case sizeof(bool):
        ASSERT(value == 0 || value == 1);
        *(bool *)at = value != 0;
        return;
    case sizeof(uint32_t):
        ASSERT(value >= INT32_MIN && value <= UINT32_MAX);
        memcpy(at, &(uint32_t){(uint32_t)value}, sizeof(uint32_t));
        return;
    case sizeof(uint64_t):
        memcpy(at, &value, sizeof(value));
        return;
    default:
        UNREACHABLE();
    }
}

static void store_text(const struct key *key, void *base, const char *text)
{
    if (key->size > 0) {
        ASSERT(key->size == sizeof(text));
        memcpy((char *)base + key->offset, &text, sizeof(text));
    }
}

static bool all_of(const char *text, const char *accepted, size_t max)
{
    size_t len = strlen(text);
    return len >= 1 && len <= max && strspn(text, accepted) == len;
}

static bool name_valid(const char *text)
{
    return text[0] >= 'a' && text[0] <= 'z' &&
           all_of(text, "abcdefghijklmnopqrstuvwxyz0123456789_", PIPELINE_NAME_MAX);
}

static bool slot_valid(const char *text)
{
    return all_of(text, "abcdefghijklmnopqrstuvwxyz0123456789_", SLOT_NAME_MAX);
}

/* PostgreSQL cuts longer names, and then finds another object or none. */
static bool identifier_valid(const char *text, size_t len)
{
    return len >= 1 && len <= SLOT_NAME_MAX && text[0] != '\0';
}

static bool table_valid(const char *text)
{
    const char *dot = strchr(text, '.');
    return dot != NULL && identifier_valid(text, (size_t)(dot - text)) &&
           identifier_valid(dot + 1, strlen(dot + 1));
}

static bool topic_valid(const char *text)
{
    return strncmp(text, "__", 2) != 0 && topic_name_valid(bytes_str(text));
}

/* Text of a key whose type is a pattern. */
static bool pattern_valid(enum key_type type, const char *text)
{
    switch ((unsigned)type) {
    case KEY_NAME:
        return name_valid(text);
    case KEY_SLOT:
        return slot_valid(text);
    case KEY_PUBLICATION:
        return identifier_valid(text, strlen(text));
    case KEY_TABLE:
        return table_valid(text);
    case KEY_TOPIC:
        return topic_valid(text);
    default:
        return text[0] != '\0';
    }
}

static const char *pattern_hint(enum key_type type)
{
    switch ((unsigned)type) {
    case KEY_NAME:
    case KEY_SLOT:
        return "write capitals small and - as _, for example orders_eu";
    case KEY_TABLE:
        return "name the table with its schema, for example outbox.event or public.outbox";
    case KEY_TOPIC:
        return "names that begin with __ are Kafka's own; take letters, digits, dots and hyphens";
    default:
        return "write a value, or leave the key out to take the default";
    }
}

/* The text between placeholders must be fit for a topic name. */
static bool template_literal_valid(const char *text)
{
    const char *rest = text;
    while (*rest != '\0') {
        if (rest[0] == '$' && rest[1] == '{') {
            rest += strcspn(rest, "}");
            rest += *rest == '}' ? 1 : 0;
            continue;
        }
        char one[2] = {*rest, '\0'};
        if (*rest != '.' && !topic_name_valid(bytes_str(one))) {
            return false;
        }
        rest++;
    }
    return strncmp(text, "__", 2) != 0;
}

static bool template_check(const char *text, struct err *err)
{
    if (text[0] == '\0') {
        err_set(err, ERR_TEMPLATE, "the template is empty");
        return err_hint(err, "for example outbox.event.${aggregate_type}");
    }
    struct template *template = NULL;
    if (!template_compile(text, &template, err)) {
        return false;
    }
    template_free(template);
    if (!template_literal_valid(text)) {
        err_set(err, ERR_TEMPLATE,
                "the template \"%.200s\" cannot give a topic name that Kafka takes", text);
        return err_hint(err, "between placeholders take A-Z a-z 0-9 . _ - only, and begin with "
                             "anything but __");
    }
    return true;
}

static bool prefix_check(const char *text, struct err *err)
{
    if (text[0] == '\0' || strncmp(text, "walferry.", strlen("walferry.")) == 0) {
        err_set(err, ERR_CONFIG_VALUE, "\"%.100s\" cannot be a prefix of messages", text);
        return err_hint(err, "prefixes that begin with walferry. are walferry's own; take another, "
                             "for example outbox");
    }
    return true;
}

/* Keys whose values another module or the system judges. */
static bool foreign_check(struct load *load, enum key_type type, const char *text, struct err *err)
{
    const char *secret = NULL;
    switch ((unsigned)type) {
    case KEY_CONNINFO:
        return pg_conninfo_check(text, err);
    case KEY_TEMPLATE:
        return template_check(text, err);
    case KEY_PREFIX:
        return prefix_check(text, err);
    case KEY_LISTEN:
        return strcmp(text, "off") == 0 || http_listen_check(text, err);
    case KEY_SECRET_FILE:
        return secret_read(text, load->pool, &secret, err);
    default:
        UNREACHABLE();
    }
}

static void store_foreign(struct load *load, const struct key *key, const struct node *node,
                          void *base, const char *text)
{
    struct err err = ERR_INIT;
    if (!foreign_check(load, key->type, text, &err)) {
        /* Read from a file, it is a fault of the file, whatever it would be at run time. */
        bool kept = err_class(err.code) == ERR_CLASS_CONFIG || err.code == ERR_MEMORY;
        err.code = kept ? err.code : ERR_CONFIG_VALUE;
        err_context(&err, "`%s`", key_name(key));
        faults_take(load->faults, node->mark, &err);
        return;
    }
    store_text(key, base, text);
}

static void store_pattern(struct load *load, const struct key *key, const struct node *node,
                          void *base, const char *text)
{
    if (!pattern_valid(key->type, text)) {
        err_hint(fault(load->faults, node->mark, ERR_CONFIG_VALUE, "`%s` takes %s, not \"%.100s\"",
                       key_name(key), key_type_syntax(key->type), shown(key, node)),
                 "%s", pattern_hint(key->type));
        return;
    }
    store_text(key, base, text);
}

static const char *unit_hint(enum key_type type)
{
    switch ((unsigned)type) {
    case KEY_DURATION:
        return "a number and a unit: ms, s, m, h or d";
    case KEY_SIZE:
        return "a whole number and a unit: B, KiB, MiB, GiB, TiB, KB, MB, GB or TB";
    case KEY_BOOL:
        return "write true or false; yes, no, on and off are not taken";
    case KEY_VERSION:
        return "write version: 1";
    default:
        return "write digits without a unit";
    }
}

/* Text of a typed scalar to its number; false when it is none. */
static bool number_parse(const struct key *key, const char *text, int64_t *ret_value)
{
    struct bytes bytes = bytes_str(text);
    uint64_t value = 0;
    bool truth = false;
    bool ok = false;
    switch ((unsigned)key->type) {
    case KEY_BOOL:
        ok = parse_bool(bytes, &truth);
        value = truth ? 1 : 0;
        break;
    case KEY_DURATION:
        ok = parse_duration_ms(bytes, &value);
        break;
    case KEY_SIZE:
        ok = parse_size(bytes, &value);
        break;
    default:
        return parse_i64(bytes, ret_value);
    }
    *ret_value = value > INT64_MAX ? INT64_MAX : (int64_t)value;
    return ok;
}

static bool in_range(const struct key *key, int64_t value)
{
    switch ((unsigned)key->type) {
    case KEY_BOOL:
        return true;
    case KEY_VERSION:
        return value == 1;
    default:
        return value >= key->min && value <= key->max;
    }
}

static void store_number(struct load *load, const struct key *key, const struct node *node,
                         void *base, const char *text)
{
    int64_t value = 0;
    if (!number_parse(key, text, &value)) {
        err_hint(fault(load->faults, node->mark, ERR_CONFIG_TYPE, "`%s` takes %s, not \"%.100s\"",
                       key_name(key), key_type_syntax(key->type), node->text),
                 "%s", unit_hint(key->type));
        return;
    }
    if (key->type == KEY_VERSION && value != 1) {
        err_hint(fault(load->faults, node->mark, ERR_CONFIG_VALUE,
                       "version %.20s of the configuration format is not known", node->text),
                 "this walferry reads `version: 1`; a newer format needs a newer walferry");
        return;
    }
    if (!in_range(key, value)) {
        err_hint(fault(load->faults, node->mark, ERR_CONFIG_VALUE,
                       "`%s` takes %s to %s, not \"%.100s\"", key_name(key),
                       key_number(key->type, key->min).text, key_number(key->type, key->max).text,
                       node->text),
                 "the default is %s", key->preset);
        return;
    }
    store_integer(key, base, value);
}

static void report_choice(struct load *load, const struct key *key, const struct node *node,
                          const char *text)
{
    char list[256] = "";
    size_t len = 0;
    const char *nearest = NULL;
    unsigned distance_min = 3;
    for (const struct enum_value *value = key->values; value->text != NULL; value++) {
        len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", len == 0 ? "" : ", ",
                                value->text);
        ASSERT(len < sizeof(list));
        unsigned distance = edit_distance(text, value->text);
        if (distance < distance_min) {
            distance_min = distance;
            nearest = value->text;
        }
    }
    struct err *err =
        fault(load->faults, node->mark, ERR_CONFIG_VALUE, "`%s` takes one of %s, not \"%.100s\"",
              key_name(key), list, node->text);
    if (nearest != NULL) {
        err_hint(err, "did you mean `%s`?", nearest);
    } else if (key->preset != NULL) {
        err_hint(err, "the default is %s", key->preset);
    }
}

static void store_choice(struct load *load, const struct key *key, const struct node *node,
                         void *base, const char *text)
{
    for (const struct enum_value *value = key->values; value->text != NULL; value++) {
        if (strcmp(value->text, text) == 0) {
            store_integer(key, base, value->value);
            return;
        }
    }
    report_choice(load, key, node, text);
}

void value_store(struct load *load, const struct key *key, const struct node *node, void *base)
{
    ASSERT(key_is_scalar(key));
    enum text_use use = key->type == KEY_TEMPLATE        ? TEXT_TEMPLATE
                        : (key->flags & KEY_SECRET) != 0 ? TEXT_SECRET
                                                         : TEXT_PLAIN;
    const char *text = value_text(load, node, key_name(key), use);
    if (text == NULL) {
        return;
    }
    switch ((unsigned)key->type) {
    case KEY_VERSION:
    case KEY_INT:
    case KEY_BOOL:
    case KEY_DURATION:
    case KEY_SIZE:
        store_number(load, key, node, base, text);
        break;
    case KEY_ENUM:
        store_choice(load, key, node, base, text);
        break;
    case KEY_CONNINFO:
    case KEY_TEMPLATE:
    case KEY_PREFIX:
    case KEY_LISTEN:
    case KEY_SECRET_FILE:
        store_foreign(load, key, node, base, text);
        break;
    default:
        store_pattern(load, key, node, base, text);
        break;
    }
}

static void store_default(const struct key *key, void *base)
{
    int64_t number = 0;
    const struct enum_value *value = key->values;
    switch ((unsigned)key->type) {
    case KEY_INT:
    case KEY_BOOL:
    case KEY_DURATION:
    case KEY_SIZE:
        ASSERT(number_parse(key, key->preset, &number) && in_range(key, number));
        store_integer(key, base, number);
        break;
    case KEY_ENUM:
        while (strcmp(value->text, key->preset) != 0) {
            value++;
            ASSERT(value->text != NULL);
        }
        store_integer(key, base, value->value);
        break;
    default:
        store_text(key, base, key->preset);
        break;
    }
}

void value_defaults(struct load *load, const char *parent, void *base)
{
    ASSERT(load->config != NULL);
    for (size_t i = 0; i < schema_key_count; i++) {
        const struct key *key = &schema_keys[i];
        if (!key_is_child(key, parent)) {
            continue;
        }
        if (key->type == KEY_MAP) {
            value_defaults(load, key->path, base);
        } else if (key->preset != NULL && key->size > 0 && (key->flags & KEY_DERIVED) == 0) {
            store_default(key, base);
        }
    }
}
