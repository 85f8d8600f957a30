/* SPDX-License-Identifier: Apache-2.0 */
#include "schema.h"
#include "walferry/base/assert.h"
#include "walferry/base/json.h"

#define VARIABLE_PATTERN "\\$\\{[A-Z_]"

static void put_object(struct json_writer *json, const char *parent);

static void put_member(struct json_writer *json, const char *key, const char *value)
{
    json_key(json, key);
    json_str(json, value);
}

/* What a scalar may also be: text with a variable in it. */
static void put_variable_choice(struct json_writer *json)
{
    json_object_begin(json);
    put_member(json, "type", "string");
    put_member(json, "pattern", VARIABLE_PATTERN);
    json_object_end(json);
}

static void put_values(struct json_writer *json, const struct key *key)
{
    json_key(json, "enum");
    json_array_begin(json);
    for (const struct enum_value *value = key->values; value->text != NULL; value++) {
        json_str(json, value->text);
    }
    json_array_end(json);
}

static const char *pattern_of(enum key_type type)
{
    switch ((unsigned)type) {
    case KEY_NAME:
        return "^[a-z][a-z0-9_]{0,39}$";
    case KEY_SLOT:
        return "^[a-z0-9_]{1,63}$";
    case KEY_TABLE:
        return "^[^.]+\\..+$";
    case KEY_TOPIC:
        return "^[A-Za-z0-9._-]{1,249}$";
    case KEY_DURATION:
        return "^(0|[0-9]+(\\.[0-9]+)?(ms|s|m|h|d))$";
    case KEY_SIZE:
        return "^[0-9]+(B|KiB|MiB|GiB|TiB|KB|MB|GB|TB)?$";
    default:
        return NULL;
    }
}

static void put_scalar_type(struct json_writer *json, const struct key *key)
{
    json_object_begin(json);
    switch ((unsigned)key->type) {
    case KEY_VERSION:
        json_key(json, "const");
        json_i64(json, 1);
        break;
    case KEY_BOOL:
        put_member(json, "type", "boolean");
        break;
    case KEY_INT:
        put_member(json, "type", "integer");
        json_key(json, "minimum");
        json_i64(json, key->min);
        json_key(json, "maximum");
        json_i64(json, key->max);
        break;
    case KEY_ENUM:
        put_values(json, key);
        break;
    default:
        json_key(json, "type");
        json_array_begin(json);
        json_str(json, "string");
        json_str(json, "number");
        json_array_end(json);
        if (pattern_of(key->type) != NULL) {
            put_member(json, "pattern", pattern_of(key->type));
        }
        break;
    }
    json_object_end(json);
}

static void put_free_map(struct json_writer *json)
{
    put_member(json, "type", "object");
    json_key(json, "additionalProperties");
    json_object_begin(json);
    json_key(json, "type");
    json_array_begin(json);
    json_str(json, "string");
    json_str(json, "number");
    json_str(json, "boolean");
    json_array_end(json);
    json_object_end(json);
}

static void put_type(struct json_writer *json, const struct key *key)
{
    char parent[64];
    switch ((unsigned)key->type) {
    case KEY_ANY:
        return;
    case KEY_MAP:
        put_object(json, key->path);
        return;
    case KEY_LIST:
        ASSERT(strlen(key->path) + 3 <= sizeof(parent));
        memcpy(parent, key->path, strlen(key->path));
        memcpy(parent + strlen(key->path), "[]", 3);
        put_member(json, "type", "array");
        json_key(json, "items");
        json_object_begin(json);
        put_object(json, parent);
        json_object_end(json);
        return;
    case KEY_COLUMNS:
    case KEY_WHEN:
    case KEY_PROPERTIES:
        put_free_map(json);
        return;
    default:
        json_key(json, "anyOf");
        json_array_begin(json);
        put_scalar_type(json, key);
        put_variable_choice(json);
        json_array_end(json);
        return;
    }
}

static void put_key(struct json_writer *json, const struct key *key)
{
    json_key(json, key_name(key));
    json_object_begin(json);
    put_member(json, "description", key->doc);
    if (key->unavailable != NULL) {
        /* Editors show it as one that must not be written. */
        json_key(json, "not");
        json_object_begin(json);
        json_object_end(json);
        json_object_end(json);
        return;
    }
    if (key->preset != NULL && (key->flags & KEY_DERIVED) == 0) {
        json_key(json, "default");
        if (key->type == KEY_INT || key->type == KEY_BOOL) {
            json_raw(json, bytes_str(key->preset));
        } else {
            json_str(json, key->preset);
        }
    }
    put_type(json, key);
    json_object_end(json);
}

static void put_object(struct json_writer *json, const char *parent)
{
    put_member(json, "type", "object");
    json_key(json, "additionalProperties");
    json_bool(json, false);
    json_key(json, "required");
    json_array_begin(json);
    for (size_t i = 0; i < schema_key_count; i++) {
        if (key_is_child(&schema_keys[i], parent) && (schema_keys[i].flags & KEY_REQUIRED) != 0) {
            json_str(json, key_name(&schema_keys[i]));
        }
    }
    json_array_end(json);
    json_key(json, "properties");
    json_object_begin(json);
    for (size_t i = 0; i < schema_key_count; i++) {
        if (key_is_child(&schema_keys[i], parent)) {
            put_key(json, &schema_keys[i]);
        }
    }
    json_object_end(json);
}

void config_json_schema(struct buf *out)
{
    struct json_writer json;
    json_writer_init(&json, out);
    json_object_begin(&json);
    put_member(&json, "$schema", "https://json-schema.org/draft/2020-12/schema");
    put_member(&json, "title", "Configuration of walferry, version 1");
    put_object(&json, "");
    json_object_end(&json);
    buf_put_u8(out, '\n');
}
