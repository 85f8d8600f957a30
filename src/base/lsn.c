/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/lsn.h"

#include <inttypes.h>
#include <stdio.h>

#include "walferry/base/parse.h"

enum { HALF_DIGITS_MAX = 8 };

struct lsn_text lsn_format(struct lsn lsn)
{
    struct lsn_text text;
    snprintf(text.text, sizeof(text.text), "%" PRIX32 "/%" PRIX32, (uint32_t)(lsn.value >> 32),
             (uint32_t)lsn.value);
    return text;
}

/* -1 for what is no hexadecimal digit. */
static bool parse_half(const uint8_t *digits, size_t count, uint64_t *ret_value)
{
    if (count == 0 || count > HALF_DIGITS_MAX) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++) {
        int digit = parse_hex_digit(digits[i]);
        if (digit < 0) {
            return false;
        }
        value = value << 4 | (uint64_t)digit;
    }
    *ret_value = value;
    return true;
}

bool lsn_parse(struct bytes text, struct lsn *ret_lsn)
{
    const uint8_t *slash = text.len == 0 ? NULL : memchr(text.ptr, '/', text.len);
    if (slash == NULL) {
        return false;
    }
    size_t high_digits = (size_t)(slash - text.ptr);
    uint64_t high = 0;
    uint64_t low = 0;
    if (!parse_half(text.ptr, high_digits, &high) ||
        !parse_half(slash + 1, text.len - high_digits - 1, &low)) {
        return false;
    }
    *ret_lsn = lsn_make(high << 32 | low);
    return true;
}
