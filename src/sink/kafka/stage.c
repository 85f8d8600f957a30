/* SPDX-License-Identifier: Apache-2.0 */
#include "stage.h"

#include <stdlib.h>

#include "walferry/base/assert.h"

#define PIECE_SIZE ((size_t)256 << 10)
/* Of a key, a value or a header's value that is absent. */
#define ABSENT UINT32_MAX

struct stage_piece {
    struct stage_piece *next;
    size_t size;
    size_t used;
    uint8_t bytes[];
};

/* What stands before the bytes of a record: then for each header the lengths of name and value, and
 * then all bytes in the order of the lengths. */
struct stored {
    uint64_t tag;
    int64_t timestamp_ms;
    size_t size; /* of all of it */
    uint32_t topic;
    uint32_t key;
    uint32_t value;
    uint32_t header_count;
};

static size_t size_of(const struct record *record)
{
    size_t size = sizeof(struct stored) + record->placement.key.len + record->value.len;
    for (size_t i = 0; i < record->header_count; i++) {
        size += 2 * sizeof(uint32_t) + record->headers[i].name.len + record->headers[i].value.len;
    }
    return size;
}

static struct stage_piece *take_spare(struct stage *stage, size_t size)
{
    struct stage_piece *piece = stage->spare;
    if (piece == NULL || piece->size < size) {
        return NULL;
    }
    stage->spare = piece->next;
    return piece;
}

static bool add_piece(struct stage *stage, size_t size)
{
    struct stage_piece *piece = take_spare(stage, size);
    if (piece == NULL) {
        size_t room = size < PIECE_SIZE ? PIECE_SIZE : size;
        piece = malloc(sizeof(*piece) + room);
        if (piece == NULL) {
            return false;
        }
        piece->size = room;
    }
    piece->next = NULL;
    piece->used = 0;
    if (stage->last == NULL) {
        stage->first = piece;
        stage->at = 0;
    } else {
        stage->last->next = piece;
    }
    stage->last = piece;
    return true;
}

/* Pieces of the usual size are kept. */
static void drop_first(struct stage *stage)
{
    struct stage_piece *piece = stage->first;
    stage->first = piece->next;
    stage->at = 0;
    if (stage->first == NULL) {
        stage->last = NULL;
    }
    if (piece->size > PIECE_SIZE) {
        free(piece);
        return;
    }
    piece->next = stage->spare;
    stage->spare = piece;
}

void stage_clear(struct stage *stage)
{
    while (stage->first != NULL) {
        drop_first(stage);
    }
    stage->count = 0;
}

void stage_deinit(struct stage *stage)
{
    stage_clear(stage);
    while (stage->spare != NULL) {
        struct stage_piece *piece = stage->spare;
        stage->spare = piece->next;
        free(piece);
    }
}

static uint32_t length(struct bytes bytes)
{
    ASSERT(bytes.len < ABSENT);
    return bytes_present(bytes) ? (uint32_t)bytes.len : ABSENT;
}

static uint8_t *put(uint8_t *at, const void *data, size_t size)
{
    if (size > 0) {
        memcpy(at, data, size);
    }
    return at + size;
}

bool stage_put(struct stage *stage, const struct record *record, uint32_t topic, uint64_t tag)
{
    ASSERT(record->placement.partition < 0);
    size_t size = size_of(record);
    bool room = stage->last != NULL && stage->last->size - stage->last->used >= size;
    if (!room && !add_piece(stage, size)) {
        return false;
    }
    const struct stored stored = {
        .tag = tag,
        .timestamp_ms = record->timestamp_ms,
        .size = size,
        .topic = topic,
        .key = length(record->placement.key),
        .value = length(record->value),
        .header_count = (uint32_t)record->header_count,
    };
    uint8_t *at = put(stage->last->bytes + stage->last->used, &stored, sizeof(stored));
    for (size_t i = 0; i < record->header_count; i++) {
        const struct header *header = &record->headers[i];
        const uint32_t lengths[2] = {length(header->name), length(header->value)};
        at = put(at, lengths, sizeof(lengths));
    }
    at = put(at, record->placement.key.ptr, record->placement.key.len);
    at = put(at, record->value.ptr, record->value.len);
    for (size_t i = 0; i < record->header_count; i++) {
        at = put(at, record->headers[i].name.ptr, record->headers[i].name.len);
        at = put(at, record->headers[i].value.ptr, record->headers[i].value.len);
    }
    ASSERT(at == stage->last->bytes + stage->last->used + size);
    stage->last->used += size;
    stage->count++;
    return true;
}

static struct bytes get(const uint8_t **at, uint32_t size)
{
    if (size == ABSENT) {
        return BYTES_ABSENT;
    }
    struct bytes bytes = bytes_make(*at, size);
    *at += size;
    return bytes;
}

bool stage_get(const struct stage *stage, struct record *ret_record, uint32_t *ret_topic,
               uint64_t *ret_tag)
{
    if (stage->count == 0) {
        return false;
    }
    struct stored stored;
    const uint8_t *lengths = stage->first->bytes + stage->at + sizeof(stored);
    memcpy(&stored, stage->first->bytes + stage->at, sizeof(stored));
    const uint8_t *at = lengths + stored.header_count * 2 * sizeof(uint32_t);
    ret_record->placement.topic = BYTES_ABSENT;
    ret_record->placement.partition = -1;
    ret_record->placement.key = get(&at, stored.key);
    ret_record->value = get(&at, stored.value);
    ret_record->timestamp_ms = stored.timestamp_ms;
    ret_record->header_count = stored.header_count;
    for (size_t i = 0; i < stored.header_count; i++) {
        uint32_t pair[2];
        memcpy(pair, lengths + i * sizeof(pair), sizeof(pair));
        ret_record->headers[i].name = get(&at, pair[0]);
        ret_record->headers[i].value = get(&at, pair[1]);
    }
    *ret_topic = stored.topic;
    *ret_tag = stored.tag;
    return true;
}

void stage_pop(struct stage *stage)
{
    struct stored stored;
    ASSERT(stage->count > 0);
    memcpy(&stored, stage->first->bytes + stage->at, sizeof(stored));
    stage->count--;
    stage->at += stored.size;
    if (stage->at == stage->first->used) {
        drop_first(stage);
    }
}
