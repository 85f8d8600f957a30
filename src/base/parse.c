/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/base/parse.h"

#define EDIT_LENGTH_MAX     255
#define FRACTION_DIGITS_MAX 9

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {
    {"ms", 1},
    {"s", 1000},
    {"m", UINT64_C(60) * 1000},
    {"h", UINT64_C(3600) * 1000},
    {"d", UINT64_C(24) * 3600 * 1000},
};

static const struct unit size_units[] = {
    {"", 1},
    {"B", 1},
    {"KiB", UINT64_C(1) << 10},
    {"MiB", UINT64_C(1) << 20},
    {"GiB", UINT64_C(1) << 30},
    {"TiB", UINT64_C(1) << 40},
    {"KB", UINT64_C(1000)},
    {"MB", UINT64_C(1000) * 1000},
    {"GB", UINT64_C(1000) * 1000 * 1000},
    {"TB", UINT64_C(1000) * 1000 * 1000 * 1000},
};

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static size_t digits_at(struct bytes text, size_t from)
{
    size_t count = 0;
    while (from + count < text.len && is_digit(text.ptr[from + count]))
        count++;
    return count;
}

static struct bytes slice(struct bytes text, size_t from, size_t len)
{
    return bytes_make(text.ptr + from, len);
}

static bool find_unit(const struct unit *units, size_t count, struct bytes name,
                      uint64_t *ret_factor)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes_is(name, units[i].name)) {
            *ret_factor = units[i].factor;
            return true;
        }
    }
    return false;
}

bool parse_u64(struct bytes text, uint64_t *ret_value)
{
    if (bytes_empty(text))
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.ptr[i]))
            return false;
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.ptr[i] - '0'), &value))
            return false;
    }
    *ret_value = value;
    return true;
}

bool parse_i64(struct bytes text, int64_t *ret_value)
{
    bool negative = text.len > 0 && text.ptr[0] == '-';
    struct bytes digits = negative ? slice(text, 1, text.len - 1) : text;
    uint64_t magnitude = 0;
    if (!parse_u64(digits, &magnitude))
        return false;
    if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return false;
    /* The smallest number has no positive counterpart, hence the detour by one. */
    if (negative && magnitude > 0)
        *ret_value = -(int64_t)(magnitude - 1) - 1;
    else
        *ret_value = (int64_t)magnitude;
    return true;
}

bool parse_bool(struct bytes text, bool *ret_value)
{
    bool is_true = bytes_is(text, "true");
    if (!is_true && !bytes_is(text, "false"))
        return false;
    *ret_value = is_true;
    return true;
}

/* Digits after the point, of a number in `factor` milliseconds, to whole milliseconds. */
static bool fraction_ms(struct bytes digits, uint64_t factor, uint64_t *ret_ms)
{
    uint64_t fraction = 0;
    if (digits.len > FRACTION_DIGITS_MAX || !parse_u64(digits, &fraction))
        return false;
    uint64_t scale = 1;
    for (size_t i = 0; i < digits.len; i++)
        scale *= 10;
    /* At most 9 digits times a day of milliseconds: far from overflow. */
    if (fraction * factor % scale != 0)
        return false;
    *ret_ms = fraction * factor / scale;
    return true;
}

bool parse_duration_ms(struct bytes text, uint64_t *ret_ms)
{
    if (bytes_is(text, "0")) {
        *ret_ms = 0;
        return true;
    }
    size_t whole_len = digits_at(text, 0);
    uint64_t whole = 0;
    if (whole_len == 0 || !parse_u64(slice(text, 0, whole_len), &whole))
        return false;
    size_t at = whole_len;
    struct bytes fraction = BYTES_ABSENT;
    if (at < text.len && text.ptr[at] == '.') {
        fraction = slice(text, at + 1, digits_at(text, at + 1));
        at += 1 + fraction.len;
    }
    uint64_t factor = 0;
    if (!find_unit(duration_units, ARRAY_LEN(duration_units), slice(text, at, text.len - at),
                   &factor))
        return false;
    uint64_t ms = 0;
    uint64_t extra = 0;
    if (bytes_present(fraction) && !fraction_ms(fraction, factor, &extra))
        return false;
    if (__builtin_mul_overflow(whole, factor, &ms) || __builtin_add_overflow(ms, extra, &ms))
        return false;
    *ret_ms = ms;
    return true;
}

bool parse_size(struct bytes text, uint64_t *ret_bytes)
{
    size_t whole_len = digits_at(text, 0);
    uint64_t whole = 0;
    uint64_t factor = 0;
    uint64_t size = 0;
    if (whole_len == 0 || !parse_u64(slice(text, 0, whole_len), &whole))
        return false;
    if (!find_unit(size_units, ARRAY_LEN(size_units), slice(text, whole_len, text.len - whole_len),
                   &factor))
        return false;
    if (__builtin_mul_overflow(whole, factor, &size))
        return false;
    *ret_bytes = size;
    return true;
}

bool glob_valid(struct bytes pattern)
{
    for (size_t i = 0; i < pattern.len; i++) {
        if (pattern.ptr[i] != '\\')
            continue;
        if (i + 1 == pattern.len)
            return false;
        i++;
    }
    return true;
}

/* Does the element of the pattern at *at, which is no star, match the byte? Moves past it if so. */
static bool glob_element(struct bytes pattern, size_t *at, uint8_t byte)
{
    if (*at >= pattern.len)
        return false;
    size_t quoted = pattern.ptr[*at] == '\\' ? 1 : 0;
    uint8_t wanted = pattern.ptr[*at + quoted];
    if (wanted != byte && (quoted == 1 || wanted != '?'))
        return false;
    *at += 1 + quoted;
    return true;
}

static bool glob_is_star(struct bytes pattern, size_t at)
{
    return at < pattern.len && pattern.ptr[at] == '*';
}

bool glob_match(struct bytes pattern, struct bytes text)
{
    if (!glob_valid(pattern))
        return false;
    size_t at = 0;
    size_t pos = 0;
    /* When the rest does not fit, only the last star has to take one byte more: what an earlier
     * star could take instead, the last one can take as well. */
    bool has_star = false;
    size_t after_star = 0;
    size_t star_pos = 0;
    while (pos < text.len) {
        if (glob_is_star(pattern, at)) {
            has_star = true;
            after_star = ++at;
            star_pos = pos;
        } else if (glob_element(pattern, &at, text.ptr[pos])) {
            pos++;
        } else if (has_star) {
            at = after_star;
            pos = ++star_pos;
        } else {
            return false;
        }
    }
    while (glob_is_star(pattern, at))
        at++;
    return at == pattern.len;
}

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment over three rows: the one being filled and the two before it. */
unsigned edit_distance(const char *a, const char *b)
{
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);
    unsigned rows[3][EDIT_LENGTH_MAX + 1];
    if (a_len > EDIT_LENGTH_MAX || b_len > EDIT_LENGTH_MAX)
        return EDIT_LENGTH_MAX;
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3];
        const unsigned *two_above = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned replaced = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = smaller(replaced, 1 + smaller(above[j], row[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = smaller(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}
