/* SPDX-License-Identifier: Apache-2.0 */
#include "template.h"

#include <stdlib.h>

#include "walferry/base/assert.h"
#include "walferry/base/parse.h"

/* Longer names are shown cut and get no suggestion. */
#define NAME_MAX_SHOWN 63
/* More than two slips of the finger are another word. */
#define SUGGEST_DISTANCE_MAX 2

struct compiler {
    const char *text;
    size_t length;
    size_t position; /* of the byte in hand */
    struct template *template;
    uint8_t *literal_end; /* where the next literal byte goes */
};

static bool template_fault(struct err *err, const char *text, size_t position, const char *what)
{
    err_set(err, ERR_TEMPLATE, "template \"%.200s\", column %zu: %s", text, position + 1, what);
    return err_hint(err, "fields are written ${field}, a dollar sign as $$");
}

/* A literal byte joins the literal before it, so that `a$$b` is one part. */
static void add_literal_byte(struct compiler *compiler, uint8_t byte)
{
    struct template *template = compiler->template;
    if (template->part_count == 0 ||
        !bytes_present(template->parts[template->part_count - 1].literal)) {
        template->parts[template->part_count++] =
            (struct template_part){bytes_make(compiler->literal_end, 0), EVENT_FIELD_COUNT};
    }
    *compiler->literal_end++ = byte;
    template->parts[template->part_count - 1].literal.len++;
}

static const char *nearest_field(const char *name)
{
    const char *nearest = NULL;
    size_t length = strlen(name);
    /* A name that would have to be changed altogether is near to nothing. */
    unsigned distance_min =
        length > SUGGEST_DISTANCE_MAX ? SUGGEST_DISTANCE_MAX + 1 : (unsigned)length;
    for (enum event_field field = 0; field < EVENT_FIELD_COUNT; field++) {
        if (!event_field_is_text(field)) {
            continue;
        }
        unsigned distance = edit_distance(name, event_field_name(field));
        if (distance < distance_min) {
            distance_min = distance;
            nearest = event_field_name(field);
        }
    }
    return nearest;
}

static bool unknown_field(const struct compiler *compiler, struct bytes name, struct err *err)
{
    char shown[NAME_MAX_SHOWN + 1] = "";
    size_t length = name.len < NAME_MAX_SHOWN ? name.len : NAME_MAX_SHOWN;
    memcpy(shown, name.ptr, length);
    err_set(err, ERR_TEMPLATE, "template \"%.200s\", column %zu: there is no field \"%s\"",
            compiler->text, compiler->position + 1, shown);
    const char *nearest = name.len <= NAME_MAX_SHOWN ? nearest_field(shown) : NULL;
    if (nearest != NULL) {
        return err_hint(err, "did you mean ${%s}?", nearest);
    }
    return err_hint(err, "the fields are id, aggregate_type, aggregate_id, event_type, "
                         "event_version, visibility, correlation_id, causation_id, topic and key");
}

/* At `${`. */
static bool compile_field(struct compiler *compiler, struct err *err)
{
    const char *name_start = compiler->text + compiler->position + 2;
    const char *name_end = strchr(name_start, '}');
    if (name_end == NULL) {
        return template_fault(err, compiler->text, compiler->position, "\"${\" is never closed");
    }
    struct bytes name = bytes_make(name_start, (size_t)(name_end - name_start));
    enum event_field field = EVENT_FIELD_COUNT;
    if (!event_field_parse(name, &field)) {
        return unknown_field(compiler, name, err);
    }
    if (!event_field_is_text(field)) {
        err_set(err, ERR_TEMPLATE, "template \"%.200s\", column %zu: %s cannot be part of a name",
                compiler->text, compiler->position + 1, event_field_name(field));
        return err_hint(err, "take a field that is plain text, such as ${aggregate_type}");
    }
    struct template *template = compiler->template;
    template->parts[template->part_count++] = (struct template_part){BYTES_ABSENT, field};
    compiler->position = (size_t)(name_end - compiler->text) + 1;
    return true;
}

static bool compile_dollar(struct compiler *compiler, struct err *err)
{
    switch (compiler->text[compiler->position + 1]) {
    case '$':
        add_literal_byte(compiler, '$');
        compiler->position += 2;
        return true;
    case '{':
        return compile_field(compiler, err);
    default:
        return template_fault(err, compiler->text, compiler->position,
                              "a dollar sign that begins no field");
    }
}

static bool compile_parts(struct compiler *compiler, struct err *err)
{
    while (compiler->position < compiler->length) {
        char byte = compiler->text[compiler->position];
        if (byte != '$') {
            add_literal_byte(compiler, (uint8_t)byte);
            compiler->position++;
        } else if (!compile_dollar(compiler, err)) {
            return false;
        }
    }
    return true;
}

/* Every field begins with a dollar sign, and at most one literal stands before each and one last.
 */
static size_t part_count_max(const char *text)
{
    size_t dollars = 0;
    for (const char *at = strchr(text, '$'); at != NULL; at = strchr(at + 1, '$')) {
        dollars++;
    }
    return 2 * dollars + 1;
}

bool template_compile(const char *text, struct template **ret_template, struct err *err)
{
    ASSERT(text != NULL);
    ASSERT(ret_template != NULL);
    size_t length = strlen(text);
    size_t parts_max = part_count_max(text);
    size_t parts_size = parts_max * sizeof(struct template_part);
    /* After the parts: the text with its NUL, then at most as many literal bytes. */
    struct template *template = calloc(1, sizeof(*template) + parts_size + 2 * length + 1);
    if (template == NULL) {
        return err_set(err, ERR_MEMORY, "no memory for the template \"%.200s\"", text);
    }
    char *copy = (char *)&template->parts[parts_max];
    memcpy(copy, text, length + 1);
    template->text = copy;
    struct compiler compiler = {copy, length, 0, template, (uint8_t *)copy + length + 1};
    if (!compile_parts(&compiler, err)) {
        template_free(template);
        return false;
    }
    ASSERT(template->part_count <= parts_max);
    *ret_template = template;
    return true;
}

void template_free(struct template *template)
{
    free(template);
}

static struct bytes part_bytes(const struct template_part *part, const struct event *event)
{
    return bytes_present(part->literal) ? part->literal : event_text(event, part->field);
}

struct bytes template_render(const struct template *template, const struct event *event,
                             struct arena *arena, enum event_field *ret_missing)
{
    ASSERT(template != NULL);
    size_t length = 0;
    for (size_t i = 0; i < template->part_count; i++) {
        struct bytes bytes = part_bytes(&template->parts[i], event);
        if (bytes_empty(bytes)) {
            *ret_missing = template->parts[i].field;
            return BYTES_ABSENT;
        }
        length += bytes.len;
    }
    /* One part needs no copy: the template and the event outlive what is made of them. */
    if (template->part_count == 1) {
        return part_bytes(&template->parts[0], event);
    }
    uint8_t *text = arena_alloc(arena, length);
    if (text == NULL) {
        *ret_missing = EVENT_FIELD_COUNT;
        return BYTES_ABSENT;
    }
    uint8_t *end = text;
    for (size_t i = 0; i < template->part_count; i++) {
        struct bytes bytes = part_bytes(&template->parts[i], event);
        memcpy(end, bytes.ptr, bytes.len);
        end += bytes.len;
    }
    ASSERT(end == text + length);
    return bytes_make(text, length);
}

bool template_uses(const struct template *template, enum event_field field)
{
    for (size_t i = 0; i < template->part_count; i++) {
        if (!bytes_present(template->parts[i].literal) && template->parts[i].field == field) {
            return true;
        }
    }
    return false;
}
