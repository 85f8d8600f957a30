/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "answer.h"

#define WHITE " \t"

static struct bytes trim(struct bytes text)
{
    while (text.len > 0 && strchr(WHITE, text.ptr[0]) != NULL)
        text = bytes_make(text.ptr + 1, text.len - 1);
    while (text.len > 0 && strchr(WHITE, text.ptr[text.len - 1]) != NULL)
        text.len--;
    return text;
}

static bool is(struct bytes text, const char *word)
{
    return text.len == strlen(word) && strncasecmp((const char *)text.ptr, word, text.len) == 0;
}

/* Cut up to `separator` off `rest`; false at the end. */
static bool cut(struct bytes *rest, char separator, struct bytes *ret_part)
{
    if (!bytes_present(*rest))
        return false;
    const uint8_t *at = rest->len == 0 ? NULL : memchr(rest->ptr, separator, rest->len);
    if (at == NULL) {
        *ret_part = trim(*rest);
        *rest = BYTES_ABSENT;
        return true;
    }
    size_t len = (size_t)(at - rest->ptr);
    *ret_part = trim(bytes_make(rest->ptr, len));
    *rest = bytes_make(at + 1, rest->len - len - 1);
    return true;
}

/* A quality value as RFC 9110, section 12.4.2, has it, in thousandths; what is no such value counts
 * as not wanted. */
static int quality(struct bytes text)
{
    if (text.len == 0 || text.len > 5 || (text.ptr[0] != '0' && text.ptr[0] != '1') ||
        (text.len > 1 && text.ptr[1] != '.'))
        return 0;
    int thousandths = (text.ptr[0] - '0') * 1000;
    int place = 100;
    for (size_t i = 2; i < text.len; i++, place /= 10) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return 0;
        thousandths += (text.ptr[i] - '0') * place;
    }
    return thousandths > 1000 ? 0 : thousandths;
}

struct range {
    struct bytes type;
    int quality;        /* thousandths */
    bool other_version; /* of OpenMetrics than the one that is served */
};

static struct range parse_range(struct bytes text)
{
    struct range range = {.quality = 1000};
    struct bytes part;
    if (!cut(&text, ';', &range.type))
        return range;
    while (cut(&text, ';', &part)) {
        struct bytes name;
        if (!cut(&part, '=', &name) || !bytes_present(part))
            continue;
        struct bytes value = trim(part);
        if (is(name, "q"))
            range.quality = quality(value);
        else if (is(name, "version"))
            range.other_version = !is(value, "1.0.0") && !is(value, "\"1.0.0\"");
    }
    return range;
}

bool accept_openmetrics(const char *accept)
{
    int openmetrics = 0;
    int text = 0;
    struct bytes rest = bytes_str(accept);
    struct bytes part;
    while (cut(&rest, ',', &part)) {
        struct range range = parse_range(part);
        if (is(range.type, "application/openmetrics-text") && !range.other_version &&
            range.quality > openmetrics)
            openmetrics = range.quality;
        else if (is(range.type, "text/plain") && range.quality > text)
            text = range.quality;
    }
    return openmetrics > 0 && openmetrics >= text;
}
