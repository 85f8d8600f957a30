/* SPDX-License-Identifier: Apache-2.0 */
#include "row.h"

static inline bool read_value(struct reader *reader, struct value *ret_value)
{
    uint8_t kind = reader_u8(reader);
    switch (kind) {
    case 'n':
        *ret_value = (struct value){.kind = VALUE_NULL};
        return true;
    case 'u':
        *ret_value = (struct value){.kind = VALUE_UNCHANGED};
        return true;
    case 't':
    case 'b':
        *ret_value = (struct value){
            .kind = kind == 't' ? VALUE_TEXT : VALUE_BINARY,
            .bytes = reader_take(reader, reader_u32(reader)),
        };
        return !reader->failed;
    default:
        return false;
    }
}

/*
 * TupleData
 *   int16  number of columns
 *   for each column:
 *     byte1  n null | u unchanged TOAST value | t text | b binary
 *     int32  length, and that many bytes          (t and b only)
 */
bool row_read_tuple(struct reader *reader, const struct relation *relation, struct value *values,
                    struct tuple *ret_tuple, struct err *err)
{
    uint16_t count = reader_u16(reader);
    if (reader->failed)
        return err_set(err, ERR_PROTOCOL, "the message is cut before the number of columns");
    if (count != relation->column_count)
        return err_set(err, ERR_PROTOCOL, "the row has %u columns, but %s.%s was announced with %u",
                       count, relation->schema, relation->name, relation->column_count);
    /* A copy that need not be in memory while the values are read. */
    struct reader tight = *reader;
    uint16_t read = 0;
    while (read < count && read_value(&tight, &values[read]))
        read++;
    *reader = tight;
    if (read < count)
        return err_set(err, ERR_PROTOCOL,
                       "the value of column \"%s\" of %s.%s is cut or of no known kind",
                       relation->columns[read].name, relation->schema, relation->name);
    *ret_tuple = (struct tuple){.count = count, .values = values};
    return true;
}
