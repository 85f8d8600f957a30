/* SPDX-License-Identifier: Apache-2.0 */
#include "outbox.h"

#include <stdio.h>

#include "walferry/base/assert.h"
#include "walferry/base/utf8.h"

#include "field.h"
#include "headers.h"
#include "properties.h"

#define LIST_MAX 200

static bool is_required(enum event_field field)
{
    return field == EVENT_id || field == EVENT_event_type || field == EVENT_payload;
}

static bool check_overrides(const struct capture_entry *entry, struct err *err)
{
    for (size_t i = 0; i < EVENT_FIELD_COUNT; i++) {
        const char *name = event_field_name((enum event_field)i);
        if (entry->columns[i] == NULL || entry->columns[i][0] != '\0')
            continue;
        if (is_required((enum event_field)i)) {
            discard(err_set(err, ERR_CONFIG_VALUE, "capture %s: columns.%s must name a column",
                            entry->name, name));
            return err_hint(err,
                            "an event needs its %s: write columns: {%s: ...} with the column "
                            "that has it",
                            name, name);
        }
    }
    return true;
}

bool outbox_init(struct outbox *outbox, const struct capture_entry *entry, struct err *err)
{
    const char *dot = strchr(entry->name, '.');
    if (dot == NULL || dot == entry->name || dot[1] == '\0') {
        discard(err_set(err, ERR_CONFIG_VALUE, "capture: outbox \"%s\" is not schema.table",
                        entry->name));
        return err_hint(err, "write the schema too: outbox: public.%s",
                        dot == NULL && entry->name[0] != '\0' ? entry->name : "outbox");
    }
    if (!check_overrides(entry, err))
        return false;
    *outbox = (struct outbox){
        .entry = entry,
        .schema = bytes_make(entry->name, (size_t)(dot - entry->name)),
        .table = bytes_str(dot + 1),
        .payload = entry->payload,
    };
    if (entry->payload == PAYLOAD_AUTO)
        outbox->payload = preset_get(entry->preset)->payload;
    snprintf(outbox->place, sizeof(outbox->place), "table %s", entry->name);
    return true;
}

bool outbox_matches(const struct outbox *outbox, const struct relation *relation)
{
    return bytes_is(outbox->schema, relation->schema) && bytes_is(outbox->table, relation->name);
}

bool outbox_is_current(const struct outbox *outbox, const struct relation *relation)
{
    /* Generation 0 is of a relation that no stream announced: never taken for another. */
    return outbox->resolved && relation->generation != 0 &&
           outbox->generation == relation->generation && outbox->oid == relation->oid;
}

static int find_column(const struct relation *relation, const char *name)
{
    for (uint16_t i = 0; name != NULL && i < relation->column_count; i++) {
        if (strcmp(relation->columns[i].name, name) == 0)
            return i;
    }
    return -1;
}

static void list_name(struct buf *list, const char *name)
{
    if (list->len > 0)
        buf_put_str(list, ", ");
    utf8_put_printable(list, bytes_str(name), LIST_MAX);
}

static bool report_missing(const struct outbox *outbox, const struct relation *relation,
                           struct buf *missing, struct err *err)
{
    char storage[LIST_MAX];
    struct buf present;
    buf_init_over(&present, storage, sizeof(storage));
    for (uint16_t i = 0; i < relation->column_count; i++)
        list_name(&present, relation->columns[i].name);
    discard(err_set(err, ERR_RELATION_CHANGED,
                    "the table lacks what preset %s and its overrides read: %s; it has: %s%s",
                    preset_name(outbox->entry->preset), buf_cstr(missing), buf_cstr(&present),
                    buf_ok(&present) ? "" : ", ..."));
    discard(err_hint(err,
                     "name the columns that hold these fields, as in columns: {id: event_id}, "
                     "under capture, outbox: %s; with a column list in the publication, take "
                     "them into it; or undo what was done to the table",
                     outbox->entry->name));
    return err_where(err, "%s", outbox->place);
}

/* What an entry says of a field: its override, or what the preset has. */
static struct preset_field wanted_field(const struct capture_entry *entry, enum event_field field)
{
    const char *override = entry->columns[field];
    if (override != NULL)
        return (struct preset_field){.column = override[0] == '\0' ? NULL : override};
    return preset_get(entry->preset)->fields[field];
}

const char *capture_column(const struct capture_entry *entry, size_t *index)
{
    while (entry->kind == CAPTURE_OUTBOX && *index < CAPTURE_COLUMNS_MAX) {
        struct preset_field wanted = wanted_field(entry, (enum event_field)(*index / 2));
        const char *column = *index % 2 == 0 ? wanted.column : wanted.pair;
        ++*index;
        if (column != NULL)
            return column;
    }
    return NULL;
}

/* Where one field comes from; adds to `missing` when it must and does not exist. */
static struct outbox_source resolve_field(const struct outbox *outbox,
                                          const struct relation *relation, enum event_field field,
                                          struct buf *missing)
{
    struct preset_field wanted = wanted_field(outbox->entry, field);
    struct outbox_source source = {
        .column = find_column(relation, wanted.column),
        .pair = find_column(relation, wanted.pair),
        .header = wanted.header,
        .reader = wanted.reader,
    };
    if (source.column >= 0)
        source.type_oid = relation->columns[source.column].type_oid;
    bool needed = is_required(field) || outbox->entry->columns[field] != NULL;
    if (source.column < 0 && wanted.column != NULL && needed) {
        char name[LIST_MAX];
        snprintf(name, sizeof(name), "%s (for %s)", wanted.column, event_field_name(field));
        list_name(missing, name);
    }
    return source;
}

static void list_steps(struct outbox *outbox)
{
    outbox->step_count = 0;
    outbox->from_header_count = 0;
    for (enum event_field field = 0; field < EVENT_FIELD_COUNT; field++) {
        const struct outbox_source *source = &outbox->sources[field];
        bool apart = field == EVENT_payload || field == EVENT_headers;
        bool plain = source->reader == READ_VALUE && field != EVENT_event_version;
        if (!apart && source->column >= 0 && source->reader != READ_HEADER)
            outbox->steps[outbox->step_count++] = (struct outbox_step){
                .field = field,
                .column = (uint16_t)source->column,
                .property = source->reader == READ_PROPERTIES,
                .text = plain ? draft_text_offsets[field] : 0,
            };
        if (source->header != NULL)
            outbox->from_headers[outbox->from_header_count++] = field;
    }
}

bool outbox_resolve(struct outbox *outbox, const struct relation *relation, struct err *err)
{
    char storage[LIST_MAX];
    struct buf missing;
    buf_init_over(&missing, storage, sizeof(storage));
    outbox->resolved = false;
    for (size_t i = 0; i < EVENT_FIELD_COUNT; i++)
        outbox->sources[i] = resolve_field(outbox, relation, (enum event_field)i, &missing);
    if (missing.len > 0 || !buf_ok(&missing))
        return report_missing(outbox, relation, &missing, err);
    list_steps(outbox);
    outbox->resolved = true;
    outbox->oid = relation->oid;
    outbox->generation = relation->generation;
    return true;
}

/* What one row is read with. */
struct row_reader {
    struct draft draft;
    const struct outbox *outbox;
    const struct relation *relation;
    struct tuple row;
};

/* A binary jsonb is its text behind a version byte, 1; text types and json are their text. */
static bool read_binary(struct draft *draft, uint32_t type_oid, struct bytes sent,
                        struct cell *cell)
{
    switch (type_oid) {
    case TYPE_BYTEA:
        cell->raw = true;
        break;
    case TYPE_TEXT:
    case TYPE_VARCHAR:
    case TYPE_BPCHAR:
    case TYPE_JSON:
        break;
    case TYPE_JSONB:
        if (bytes_empty(sent) || sent.ptr[0] != 1) {
            draft_fault(draft, ERR_ROW_FIELD, NULL, "the binary jsonb is of an unknown version");
            return false;
        }
        sent = bytes_make(sent.ptr + 1, sent.len - 1);
        break;
    default:
        draft_fault(draft, ERR_ROW_FIELD, NULL, "type %u came in binary format, which is not read",
                    type_oid);
        return false;
    }
    cell->bytes = sent;
    return true;
}

/* The value of a column; absent bytes for NULL and, with a fault, for what cannot be known. */
static struct cell read_cell(struct row_reader *reader, int column)
{
    const struct column *described = &reader->relation->columns[column];
    const struct value *value = &reader->row.values[column];
    struct cell cell = {.type_oid = described->type_oid};
    reader->draft.name = described->name;
    switch (value->kind) {
    case VALUE_NULL:
        break;
    case VALUE_UNCHANGED:
        draft_fault(&reader->draft, ERR_ROW_FIELD, NULL, "the server did not send the value");
        break;
    case VALUE_TEXT:
        cell.bytes = value->bytes;
        break;
    case VALUE_BINARY:
        discard(read_binary(&reader->draft, cell.type_oid, value->bytes, &cell));
        break;
    }
    return cell;
}

static void read_property(struct draft *draft, enum event_field field, struct cell cell)
{
    switch (properties_find(cell.bytes, event_field_name(field), draft->arena, &cell.bytes)) {
    case PROPERTIES_FOUND:
        field_read(draft, field, cell);
        return;
    case PROPERTIES_NONE:
        return;
    case PROPERTIES_MALFORMED:
        draft_fault(draft, ERR_ROW_FIELD, NULL, "the properties hold a malformed \\u escape");
        return;
    }
    UNREACHABLE();
}

static void read_column(struct row_reader *reader, const struct outbox_step *step)
{
    struct cell cell = read_cell(reader, step->column);
    if (!bytes_present(cell.bytes))
        return;
    if (step->property)
        read_property(&reader->draft, step->field, cell);
    else
        field_read(&reader->draft, step->field, cell);
}

/* Most values are NULL, and most others text of which only the encoding is looked at. */
static void read_columns(struct row_reader *reader)
{
    const struct outbox *outbox = reader->outbox;
    uint8_t *event = (uint8_t *)reader->draft.event;
    for (size_t i = 0; i < outbox->step_count; i++) {
        const struct outbox_step *step = &outbox->steps[i];
        const struct value *value = &reader->row.values[step->column];
        if (value->kind == VALUE_NULL)
            continue;
        if (step->text != 0 && value->kind == VALUE_TEXT && utf8_valid(value->bytes))
            memcpy(event + step->text, &value->bytes, sizeof(value->bytes));
        else
            read_column(reader, step);
    }
}

static void read_payload(struct row_reader *reader)
{
    const struct outbox_source *source = &reader->outbox->sources[EVENT_payload];
    field_read_payload(&reader->draft, reader->outbox->payload, read_cell(reader, source->column));
}

static void read_headers(struct row_reader *reader)
{
    const struct outbox_source *source = &reader->outbox->sources[EVENT_headers];
    if (source->column < 0)
        return;
    bool arrays = source->reader == READ_ARRAYS;
    if (!arrays && reader->row.values[source->column].kind == VALUE_NULL)
        return;
    struct cell cell = read_cell(reader, source->column);
    if (arrays) {
        struct cell values = {0};
        if (source->pair >= 0)
            values = read_cell(reader, source->pair);
        headers_read_arrays(&reader->draft, cell.bytes, values.bytes);
    } else if (bytes_present(cell.bytes)) {
        headers_read_json(&reader->draft, cell.bytes);
    }
}

/* Fields that the row has among its headers. */
static void read_from_headers(struct row_reader *reader)
{
    for (size_t i = 0; i < reader->outbox->from_header_count; i++) {
        enum event_field name = reader->outbox->from_headers[i];
        const char *header = reader->outbox->sources[name].header;
        struct bytes text = headers_find(reader->draft.event, header);
        struct bytes *field = draft_text(&reader->draft, name);
        ASSERT(field != NULL);
        if (bytes_present(text))
            *field = text;
    }
}

static const char *column_name(const struct row_reader *reader, enum event_field field)
{
    return reader->relation->columns[reader->outbox->sources[field].column].name;
}

bool outbox_read(const struct outbox *outbox, const struct relation *relation, struct tuple row,
                 struct arena *arena, struct event *ret_event, struct err *err)
{
    ASSERT(outbox->resolved && row.count == relation->column_count);
    struct row_reader reader = {.outbox = outbox, .relation = relation, .row = row};
    draft_init(&reader.draft, ret_event, arena, err, "column");
    read_columns(&reader);
    read_payload(&reader);
    read_headers(&reader);
    read_from_headers(&reader);
    field_require(&reader.draft, EVENT_id, column_name(&reader, EVENT_id));
    field_require(&reader.draft, EVENT_event_type, column_name(&reader, EVENT_event_type));
    if (reader.draft.poisoned)
        draft_where(&reader.draft, outbox->place);
    return !reader.draft.poisoned;
}
