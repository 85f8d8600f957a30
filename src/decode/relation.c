/* SPDX-License-Identifier: Apache-2.0 */
#include "relation.h"

#include <stdlib.h>

#include "walferry/base/assert.h"

/* NAMEDATALEN is 64; servers built with longer names exist, names without end do not. */
#define NAME_LENGTH_MAX 1023
#define FLAG_KEY        1

/* Per process and not per decoder: a capture may outlive the decoder whose relations it resolved.
 */
static uint64_t generation_last;

static size_t slot_of(uint32_t oid)
{
    return (oid * UINT32_C(2654435769)) >> 18 & (RELATION_SLOTS - 1);
}

/* Where the relation stands, or the free slot where it would. */
static size_t probe(const struct relation_cache *cache, uint32_t oid)
{
    size_t slot = slot_of(oid);
    while (cache->slots[slot] != NULL && cache->slots[slot]->oid != oid)
        slot = (slot + 1) & (RELATION_SLOTS - 1);
    return slot;
}

void relation_cache_clear(struct relation_cache *cache)
{
    for (size_t i = 0; i < cache->count; i++) {
        free(cache->slots[cache->used[i]]);
        cache->slots[cache->used[i]] = NULL;
    }
    cache->count = 0;
    cache->last = NULL;
}

const struct relation *relation_cache_look_up(struct relation_cache *cache, uint32_t oid)
{
    cache->last = cache->slots[probe(cache, oid)];
    return cache->last;
}

/* A name that is there; *size grows by what its copy takes. */
static bool read_name(struct reader *reader, bool may_be_empty, size_t *size,
                      struct bytes *ret_name)
{
    struct bytes name = reader_cstr(reader);
    if (!bytes_present(name) || name.len > NAME_LENGTH_MAX || (name.len == 0 && !may_be_empty))
        return false;
    *size += name.len + 1;
    *ret_name = name;
    return true;
}

/* The parts before the columns, and the measure of the whole. */
struct draft {
    uint32_t oid;
    struct bytes schema;
    struct bytes name;
    char replica_identity;
    uint16_t column_count;
    size_t text_size; /* of all names with their NUL */
};

static bool read_head(struct reader *reader, struct draft *draft, struct err *err)
{
    draft->oid = reader_u32(reader);
    if (!read_name(reader, true, &draft->text_size, &draft->schema))
        return err_set(err, ERR_PROTOCOL, "the schema's name is cut or too long");
    /* The server leaves the schema pg_catalog out. */
    if (draft->schema.len == 0) {
        draft->schema = BYTES_LIT("pg_catalog");
        draft->text_size += draft->schema.len;
    }
    if (!read_name(reader, false, &draft->text_size, &draft->name))
        return err_set(err, ERR_PROTOCOL, "the table's name is cut, empty or too long");
    uint8_t identity = reader_u8(reader);
    if (identity == 0 || strchr("dnfi", identity) == NULL)
        return err_set(err, ERR_PROTOCOL, "replica identity 0x%02X is not known", identity);
    draft->replica_identity = (char)identity;
    draft->column_count = reader_u16(reader);
    if (reader->failed)
        return err_set(err, ERR_PROTOCOL, "the message is cut before the number of columns");
    if (draft->column_count > COLUMN_MAX)
        return err_set(err, ERR_PROTOCOL, "%u columns are more than a table can have (%d)",
                       draft->column_count, COLUMN_MAX);
    return true;
}

/* First pass over the columns: everything is there and of a sane size. */
static bool measure_columns(struct reader columns, struct draft *draft, struct err *err)
{
    for (uint16_t i = 0; i < draft->column_count; i++) {
        uint8_t flags = reader_u8(&columns);
        struct bytes name;
        if (!read_name(&columns, false, &draft->text_size, &name))
            return err_set(err, ERR_PROTOCOL, "the name of column %u is cut, empty or too long",
                           i + 1U);
        if ((flags & ~FLAG_KEY) != 0)
            return err_set(err, ERR_PROTOCOL, "column %u has unknown flags 0x%02X", i + 1U, flags);
        discard(bytes_present(reader_take(&columns, 2 * sizeof(uint32_t))));
        if (columns.failed)
            return err_set(err, ERR_PROTOCOL, "the type of column %u is cut", i + 1U);
    }
    if (!reader_done(&columns))
        return err_set(err, ERR_PROTOCOL, "bytes are left after the last column");
    return true;
}

static const char *store_text(char **text, struct bytes name)
{
    char *stored = *text;
    ASSERT(bytes_present(name)); /* the first pass saw it */
    memcpy(stored, name.ptr, name.len);
    stored[name.len] = '\0';
    *text += name.len + 1;
    return stored;
}

/* Second pass: the relation, its columns and its names in one block. */
static struct relation *build(const struct draft *draft, struct reader *reader)
{
    size_t columns_size = draft->column_count * sizeof(struct column);
    size_t head_size = sizeof(struct relation) + columns_size;
    _Static_assert(sizeof(struct relation) % _Alignof(struct column) == 0, "columns follow it");
    struct relation *relation = malloc(head_size + draft->text_size);
    if (relation == NULL)
        return NULL;
    struct column *columns = (struct column *)(relation + 1);
    char *text = (char *)relation + head_size;
    *relation = (struct relation){
        .oid = draft->oid,
        .schema = store_text(&text, draft->schema),
        .name = store_text(&text, draft->name),
        .replica_identity = draft->replica_identity,
        .column_count = draft->column_count,
        .columns = columns,
        .generation = ++generation_last,
    };
    for (uint16_t i = 0; i < draft->column_count; i++) {
        columns[i].key = (reader_u8(reader) & FLAG_KEY) != 0;
        columns[i].name = store_text(&text, reader_cstr(reader));
        columns[i].type_oid = reader_u32(reader);
        columns[i].type_mod = (int32_t)reader_u32(reader);
    }
    ASSERT(reader_done(reader));
    return relation;
}

bool relation_cache_read(struct relation_cache *cache, struct reader *reader,
                         const struct relation **ret_relation, struct err *err)
{
    struct draft draft = {0};
    if (!read_head(reader, &draft, err) || !measure_columns(*reader, &draft, err))
        return false;
    size_t slot = probe(cache, draft.oid);
    if (cache->slots[slot] == NULL && cache->count == PGOUTPUT_RELATIONS_MAX)
        return err_set(err, ERR_PROTOCOL, "more than %d relations in one session",
                       PGOUTPUT_RELATIONS_MAX);
    struct relation *relation = build(&draft, reader);
    if (relation == NULL) {
        discard(
            err_set(err, ERR_MEMORY, "no memory for a relation of %u columns", draft.column_count));
        return err_hint(err, "raise the memory limit of the process (MemoryMax= of its unit)");
    }
    if (cache->slots[slot] == NULL)
        cache->used[cache->count++] = (uint16_t)slot;
    free(cache->slots[slot]);
    cache->slots[slot] = relation;
    cache->last = NULL;
    *ret_relation = relation;
    return true;
}
