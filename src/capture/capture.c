/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/capture/capture.h"

#include <stdlib.h>

#include "walferry/base/assert.h"
#include "walferry/base/buf.h"

#include "message.h"
#include "outbox.h"

#define QUOTED_MAX 300

struct capture {
    struct capture_entry *entries; /* own copy; outboxes point into it */
    size_t entry_count;
    struct outbox *outboxes; /* one an entry; those of messages are not used */
};

static const char *const skip_names[SKIP_COUNT] = {
    [SKIP_UPDATE] = "update",     [SKIP_DELETE] = "delete",
    [SKIP_TRUNCATE] = "truncate", [SKIP_NOT_TRANSACTIONAL] = "not_transactional",
    [SKIP_PREFIX] = "prefix",     [SKIP_RULE] = "rule",
    [SKIP_POISON] = "poison",     [SKIP_POSITION] = "position",
};

const char *skip_reason_name(enum skip_reason reason)
{
    ASSERT((size_t)reason < SKIP_COUNT);
    return skip_names[reason];
}

static bool init_messages(const struct capture_entry *entry, struct err *err)
{
    if (entry->name[0] == '\0') {
        discard(err_set(err, ERR_CONFIG_VALUE, "capture: messages needs a prefix"));
        return err_hint(err,
                        "write the first text of pg_logical_emit_message(true, 'outbox', ...): "
                        "messages: outbox");
    }
    bool plain = entry->payload == PAYLOAD_AUTO || entry->payload == PAYLOAD_AS_JSON;
    for (size_t i = 0; i < EVENT_FIELD_COUNT; i++)
        plain = plain && entry->columns[i] == NULL;
    if (plain)
        return true;
    discard(err_set(err, ERR_CONFIG_CONTRADICTION,
                    "capture: messages %s has columns or a payload mode", entry->name));
    return err_hint(err, "take columns and payload away: messages carry the fields of an event by "
                         "their own names");
}

static bool check_unique(const struct capture *capture, size_t index, struct err *err)
{
    const struct capture_entry *entry = &capture->entries[index];
    for (size_t i = 0; i < index; i++) {
        const struct capture_entry *other = &capture->entries[i];
        if (other->kind == entry->kind && strcmp(other->name, entry->name) == 0) {
            discard(err_set(err, ERR_CONFIG_CONTRADICTION, "capture: \"%s\" stands twice",
                            entry->name));
            return err_hint(err, "remove one of the two entries for %s", entry->name);
        }
    }
    return true;
}

static bool init_entries(struct capture *capture, struct err *err)
{
    for (size_t i = 0; i < capture->entry_count; i++) {
        const struct capture_entry *entry = &capture->entries[i];
        bool messages = entry->kind == CAPTURE_MESSAGES;
        bool sound =
            messages ? init_messages(entry, err) : outbox_init(&capture->outboxes[i], entry, err);
        if (!sound || !check_unique(capture, i, err))
            return false;
    }
    return true;
}

bool capture_new(const struct capture_entry *entries, size_t count, struct capture **ret_capture,
                 struct err *err)
{
    if (count == 0) {
        discard(err_set(err, ERR_CONFIG_MISSING, "capture: there is nothing to capture"));
        return err_hint(err, "name a table of events or a prefix of messages under capture: "
                             "- outbox: outbox.event");
    }
    struct capture *capture = calloc(1, sizeof(*capture));
    if (capture != NULL) {
        capture->entry_count = count;
        capture->entries = calloc(count, sizeof(*capture->entries));
        capture->outboxes = calloc(count, sizeof(*capture->outboxes));
    }
    if (capture == NULL || capture->entries == NULL || capture->outboxes == NULL) {
        capture_free(capture);
        discard(err_set(err, ERR_MEMORY, "no memory for %zu capture entries", count));
        return err_hint(err, "raise the memory limit of the process (MemoryMax= of its unit)");
    }
    memcpy(capture->entries, entries, count * sizeof(*entries));
    if (!init_entries(capture, err)) {
        capture_free(capture);
        return false;
    }
    *ret_capture = capture;
    return true;
}

void capture_free(struct capture *capture)
{
    if (capture == NULL)
        return;
    free(capture->entries);
    free(capture->outboxes);
    free(capture);
}

void capture_reset(struct capture *capture)
{
    for (size_t i = 0; i < capture->entry_count; i++)
        capture->outboxes[i].resolved = false;
}

static struct outbox *find_outbox(struct capture *capture, const struct relation *relation)
{
    for (size_t i = 0; i < capture->entry_count; i++) {
        if (outbox_is_current(&capture->outboxes[i], relation))
            return &capture->outboxes[i];
    }
    for (size_t i = 0; i < capture->entry_count; i++) {
        if (capture->entries[i].kind == CAPTURE_OUTBOX &&
            outbox_matches(&capture->outboxes[i], relation))
            return &capture->outboxes[i];
    }
    return NULL;
}

/* An SQL identifier, for a hint that people paste. */
static void put_identifier(struct buf *out, const char *name)
{
    buf_put_u8(out, '"');
    for (; *name != '\0'; name++) {
        if (*name == '"')
            buf_put_u8(out, '"');
        buf_put_u8(out, (uint8_t)*name);
    }
    buf_put_u8(out, '"');
}

static bool unknown_relation(const struct relation *relation, const char *renamed_from,
                             struct err *err)
{
    char storage[QUOTED_MAX];
    struct buf quoted;
    buf_init_over(&quoted, storage, sizeof(storage));
    put_identifier(&quoted, relation->schema);
    buf_put_u8(&quoted, '.');
    put_identifier(&quoted, relation->name);
    const char *table = buf_cstr(&quoted);
    if (renamed_from != NULL)
        discard(err_set(err, ERR_RELATION_UNKNOWN,
                        "the captured table %s goes by a new name, which no capture entry has",
                        renamed_from));
    else
        discard(err_set(err, ERR_RELATION_UNKNOWN,
                        "the publication sends this table, but no capture entry names it"));
    discard(err_hint(err,
                     "add \"- outbox: %s.%s\" under capture (with its preset), or take it out: "
                     "ALTER PUBLICATION ... DROP TABLE %s; for partitions of a captured table: "
                     "ALTER PUBLICATION ... SET (publish_via_partition_root = true)",
                     relation->schema, relation->name, table));
    return err_where(err, "table %s.%s", relation->schema, relation->name);
}

static const char *renamed_from(const struct capture *capture, const struct relation *relation)
{
    ASSERT(capture->entry_count == 0 || capture->outboxes != NULL);
    for (size_t i = 0; i < capture->entry_count; i++) {
        const struct outbox *outbox = &capture->outboxes[i];
        if (outbox->resolved && outbox->oid == relation->oid)
            return outbox->entry->name;
    }
    return NULL;
}

bool capture_relation(struct capture *capture, const struct relation *relation, struct err *err)
{
    struct outbox *outbox = find_outbox(capture, relation);
    if (outbox != NULL)
        return outbox_resolve(outbox, relation, err);
    const char *old_name = renamed_from(capture, relation);
    return old_name == NULL || unknown_relation(relation, old_name, err);
}

static enum capture_outcome skip(enum skip_reason reason, enum skip_reason *ret_reason)
{
    *ret_reason = reason;
    return CAPTURE_SKIP;
}

static enum capture_outcome capture_insert(struct capture *capture, const struct change *change,
                                           struct arena *arena, struct event *ret_event,
                                           struct err *err)
{
    const struct relation *relation = change->as.row.relation;
    struct outbox *outbox = find_outbox(capture, relation);
    if (outbox == NULL) {
        discard(unknown_relation(relation, renamed_from(capture, relation), err));
        return CAPTURE_FAIL;
    }
    if (!outbox_is_current(outbox, relation) && !outbox_resolve(outbox, relation, err))
        return CAPTURE_FAIL;
    bool event = outbox_read(outbox, relation, change->as.row.new_tuple, arena, ret_event, err);
    return event ? CAPTURE_EVENT : CAPTURE_POISON;
}

static enum capture_outcome skip_row(struct capture *capture, const struct relation *relation,
                                     enum skip_reason reason, enum skip_reason *ret_reason,
                                     struct err *err)
{
    if (find_outbox(capture, relation) != NULL)
        return skip(reason, ret_reason);
    discard(unknown_relation(relation, renamed_from(capture, relation), err));
    return CAPTURE_FAIL;
}

static enum capture_outcome skip_truncate(struct capture *capture, const struct change *change,
                                          enum skip_reason *ret_reason, struct err *err)
{
    for (uint32_t i = 0; i < change->as.truncate.count; i++) {
        if (skip_row(capture, change->as.truncate.relations[i], SKIP_TRUNCATE, ret_reason, err) ==
            CAPTURE_FAIL)
            return CAPTURE_FAIL;
    }
    return skip(SKIP_TRUNCATE, ret_reason);
}

static enum capture_outcome capture_message(const struct capture *capture,
                                            const struct change *change, struct arena *arena,
                                            struct event *ret_event, enum skip_reason *ret_reason,
                                            struct err *err)
{
    for (size_t i = 0; i < capture->entry_count; i++) {
        const struct capture_entry *entry = &capture->entries[i];
        if (entry->kind != CAPTURE_MESSAGES || !bytes_is(change->as.message.prefix, entry->name))
            continue;
        if (!change->as.message.transactional)
            return skip(SKIP_NOT_TRANSACTIONAL, ret_reason);
        bool event = message_read(change->as.message.content, entry->name, arena, ret_event, err);
        return event ? CAPTURE_EVENT : CAPTURE_POISON;
    }
    return skip(SKIP_PREFIX, ret_reason);
}

enum capture_outcome capture_change(struct capture *capture, const struct change *change,
                                    struct arena *arena, struct event *ret_event,
                                    enum skip_reason *ret_reason, struct err *err)
{
    switch (change->kind) {
    case CHANGE_INSERT:
        return capture_insert(capture, change, arena, ret_event, err);
    case CHANGE_UPDATE:
        return skip_row(capture, change->as.row.relation, SKIP_UPDATE, ret_reason, err);
    case CHANGE_DELETE:
        return skip_row(capture, change->as.row.relation, SKIP_DELETE, ret_reason, err);
    case CHANGE_TRUNCATE:
        return skip_truncate(capture, change, ret_reason, err);
    case CHANGE_MESSAGE:
        return capture_message(capture, change, arena, ret_event, ret_reason, err);
    case CHANGE_BEGIN:
    case CHANGE_COMMIT:
    case CHANGE_ORIGIN:
    case CHANGE_RELATION:
    case CHANGE_TYPE:
        break;
    }
    UNREACHABLE();
}
