/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/sink/sink.h"

#include "ops.h"
#include "walferry/base/assert.h"

static const struct sink_ops *const table[] = {
    [SINK_KAFKA] = &sink_kafka_ops,
    [SINK_STDOUT] = &sink_stdout_ops,
    [SINK_FILE] = &sink_file_ops,
};

const struct sink_ops *sink_ops_of(enum sink_kind kind)
{
    ASSERT((size_t)kind < ARRAY_LEN(table));
    return table[kind];
}
