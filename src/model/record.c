/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/model/record.h"

/* What librdkafka keeps for a message beside its bytes: the message, its delivery report and the
 * list of headers; and an allocation of its own for each header. About 560 bytes were measured for
 * a record with three short headers: both numbers err on the side of less in flight. */
#define RECORD_OVERHEAD 512
#define HEADER_OVERHEAD 64

uint64_t record_cost(const struct record *record)
{
    uint64_t cost = RECORD_OVERHEAD;
    cost += record->value.len;
    cost += record->placement.key.len;
    cost += record->placement.topic.len;
    for (size_t i = 0; i < record->header_count; i++)
        cost += HEADER_OVERHEAD + record->headers[i].name.len + record->headers[i].value.len;
    return cost;
}

bool record_header(struct record *record, struct bytes name, struct bytes value)
{
    if (record->header_count >= RECORD_HEADERS_MAX)
        return false;
    record->headers[record->header_count++] = (struct header){name, value};
    return true;
}
