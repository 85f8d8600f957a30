/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/crc32c.h"
#include "walferry/base/parse.h"
#include "walferry/checkpoint/checkpoint.h"

#define CHECKSUM_KEY  "crc32c="
#define CHECKSUM_LINE (sizeof(CHECKSUM_KEY) - 1 + 8 + 1) /* eight digits and the newline */

uint32_t checkpoint_chain(uint32_t chain, struct position position)
{
    uint8_t bytes[16];
    for (unsigned i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(chain >> (24 - 8 * i));
        bytes[12 + i] = (uint8_t)(position.index >> (24 - 8 * i));
    }
    for (unsigned i = 0; i < 8; i++)
        bytes[4 + i] = (uint8_t)(position.commit_lsn.value >> (56 - 8 * i));
    return crc32c(bytes_make(bytes, sizeof(bytes)));
}

static void put_chain(const struct checkpoint *checkpoint, struct buf *out)
{
    buf_printf(out, "previous_lsn=%s\n", lsn_format(checkpoint->previous).text);
    buf_printf(out, "events=%" PRIu64 "\n", checkpoint->events);
    buf_printf(out, "chain=%" PRIu32 "\n", checkpoint->chain);
    buf_printf(out, "host=%s\n", checkpoint->host);
    buf_printf(out, "commit_time_us=%" PRId64 "\n", checkpoint->commit_time_us);
    buf_printf(out, "commit_time=%s\n", clock_format(checkpoint->commit_time_us).text);
}

void checkpoint_encode(const struct checkpoint *checkpoint, struct buf *out)
{
    const struct cursor *partial = &checkpoint->partial;
    size_t start = out->len;
    ASSERT(checkpoint->version >= 1 && checkpoint->version <= CHECKPOINT_VERSION);
    buf_printf(out, "walferry_checkpoint=%" PRIu32 "\n", checkpoint->version);
    buf_printf(out, "pipeline=%s\n", checkpoint->pipeline);
    buf_printf(out, "slot=%s\n", checkpoint->slot);
    buf_printf(out, "system_identifier=%" PRIu64 "\n", checkpoint->system_id);
    buf_printf(out, "timeline=%" PRIu32 "\n", checkpoint->timeline);
    buf_printf(out, "lsn=%s\n", lsn_format(checkpoint->lsn).text);
    buf_printf(out, "partial_commit_lsn=%s\n", lsn_format(partial->commit_lsn).text);
    buf_printf(out, "partial_ordinal=%" PRIu32 "\n", partial->ordinal);
    buf_printf(out, "partial_index=%" PRIu32 "\n", partial->index);
    if (checkpoint->version >= 2)
        put_chain(checkpoint, out);
    buf_printf(out, "sequence=%" PRIu64 "\n", checkpoint->sequence);
    buf_printf(out, "saved_at_us=%" PRId64 "\n", checkpoint->saved_at_us);
    buf_printf(out, "saved_at=%s\n", clock_format(checkpoint->saved_at_us).text);
    if (!buf_ok(out))
        return;
    uint32_t checksum = crc32c(bytes_make(out->ptr + start, out->len - start));
    buf_printf(out, CHECKSUM_KEY "%08" PRIx32 "\n", checksum);
}

/* Cut the next "key=value\n" off `text`. */
static bool take_line(struct bytes *text, const char *key, struct bytes *ret_value)
{
    const uint8_t *newline = text->len == 0 ? NULL : memchr(text->ptr, '\n', text->len);
    if (newline == NULL)
        return false;
    struct bytes line = bytes_make(text->ptr, (size_t)(newline - text->ptr));
    size_t key_len = strlen(key);
    if (line.len < key_len + 1 || memcmp(line.ptr, key, key_len) != 0 || line.ptr[key_len] != '=')
        return false;
    *ret_value = bytes_make(line.ptr + key_len + 1, line.len - key_len - 1);
    *text = bytes_make(newline + 1, text->len - line.len - 1);
    return true;
}

static bool take_u64(struct bytes *text, const char *key, uint64_t *ret_value)
{
    struct bytes value;
    return take_line(text, key, &value) && parse_u64(value, ret_value);
}

static bool take_u32(struct bytes *text, const char *key, uint32_t *ret_value)
{
    uint64_t value;
    if (!take_u64(text, key, &value) || value > UINT32_MAX)
        return false;
    *ret_value = (uint32_t)value;
    return true;
}

static bool take_lsn(struct bytes *text, const char *key, struct lsn *ret_lsn)
{
    struct bytes value;
    return take_line(text, key, &value) && lsn_parse(value, ret_lsn);
}

static bool take_text(struct bytes *text, const char *key, const char *allowed, char *ret_text,
                      size_t max)
{
    struct bytes value;
    if (!take_line(text, key, &value) || value.len > max)
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] == '\0' || strchr(allowed, value.ptr[i]) == NULL)
            return false;
    if (value.len > 0)
        memcpy(ret_text, value.ptr, value.len);
    ret_text[value.len] = '\0';
    return true;
}

/* A name of lower-case letters, digits and underscores, as slots have it. */
static bool take_name(struct bytes *text, const char *key, char *ret_name, size_t max)
{
    return take_text(text, key, "abcdefghijklmnopqrstuvwxyz0123456789_", ret_name, max) &&
           ret_name[0] != '\0';
}

static bool take_time(struct bytes *text, const char *us_key, const char *key, int64_t *ret_us)
{
    struct bytes value;
    return take_line(text, us_key, &value) && parse_i64(value, ret_us) &&
           take_line(text, key, &value);
}

static bool take_chain(struct bytes *text, struct checkpoint *into)
{
    return take_lsn(text, "previous_lsn", &into->previous) &&
           take_u64(text, "events", &into->events) && take_u32(text, "chain", &into->chain) &&
           take_text(text, "host", CHECKPOINT_HOST_LETTERS, into->host, HOST_NAME_MAX_SHOWN) &&
           take_time(text, "commit_time_us", "commit_time", &into->commit_time_us);
}

static bool take_fields(struct bytes text, struct checkpoint *into)
{
    return take_u32(&text, "walferry_checkpoint", &into->version) && into->version >= 1 &&
           into->version <= CHECKPOINT_VERSION &&
           take_name(&text, "pipeline", into->pipeline, PIPELINE_NAME_MAX) &&
           take_name(&text, "slot", into->slot, SLOT_NAME_MAX) &&
           take_u64(&text, "system_identifier", &into->system_id) &&
           take_u32(&text, "timeline", &into->timeline) && take_lsn(&text, "lsn", &into->lsn) &&
           take_lsn(&text, "partial_commit_lsn", &into->partial.commit_lsn) &&
           take_u32(&text, "partial_ordinal", &into->partial.ordinal) &&
           take_u32(&text, "partial_index", &into->partial.index) &&
           (into->version < 2 || take_chain(&text, into)) &&
           take_u64(&text, "sequence", &into->sequence) &&
           take_time(&text, "saved_at_us", "saved_at", &into->saved_at_us) && text.len == 0;
}

/* There is one way to write a checkpoint: what we would write otherwise, somebody else wrote. */
static bool is_canonical(struct bytes text, const struct checkpoint *checkpoint)
{
    struct buf again;
    buf_init(&again, CHECKPOINT_TEXT_MAX);
    checkpoint_encode(checkpoint, &again);
    bool same = buf_ok(&again) && bytes_equal(buf_bytes(&again), text);
    buf_deinit(&again);
    return same;
}

static bool checksum_is_right(struct bytes text)
{
    if (text.len < CHECKSUM_LINE)
        return false;
    char expected[CHECKSUM_LINE + 1];
    struct bytes body = bytes_make(text.ptr, text.len - CHECKSUM_LINE);
    int len = snprintf(expected, sizeof(expected), CHECKSUM_KEY "%08" PRIx32 "\n", crc32c(body));
    ASSERT(len == (int)CHECKSUM_LINE);
    return memcmp(text.ptr + body.len, expected, CHECKSUM_LINE) == 0;
}

bool checkpoint_decode(struct bytes text, struct checkpoint *ret_checkpoint, struct err *err)
{
    if (text.len > CHECKPOINT_TEXT_MAX)
        return err_set(err, ERR_CHECKPOINT_INVALID, "the checkpoint is larger than %d bytes",
                       CHECKPOINT_TEXT_MAX);
    if (!checksum_is_right(text))
        return err_set(err, ERR_CHECKPOINT_INVALID,
                       "the checkpoint is cut short or damaged: its checksum does not fit");
    uint64_t version;
    struct bytes rest = text;
    if (take_u64(&rest, "walferry_checkpoint", &version) && version > CHECKPOINT_VERSION) {
        discard(err_set(err, ERR_CHECKPOINT_VERSION,
                        "the checkpoint has format %" PRIu64 ", this walferry knows up to %d",
                        version, CHECKPOINT_VERSION));
        return err_hint(err, "start the version of walferry that wrote it, or a newer one");
    }
    struct checkpoint checkpoint = {.sequence = 0};
    struct bytes body = bytes_make(text.ptr, text.len - CHECKSUM_LINE);
    if (!take_fields(body, &checkpoint) || !is_canonical(text, &checkpoint))
        return err_set(err, ERR_CHECKPOINT_INVALID,
                       "the checkpoint does not have the fields of its format");
    *ret_checkpoint = checkpoint;
    return true;
}
