/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template: what a compiled template is made of, for this module only (route.h is the contract).
 *
 * Parts are literal text and fields in turn; two literals never stand side by side. The template
 * owns its source text and the literals, in one allocation with the parts.
 */
#pragma once

#include "walferry/route/route.h"

struct template_part {
    struct bytes literal;   /* absent: the part is a field */
    enum event_field field; /* EVENT_FIELD_COUNT: the part is literal */
};

struct template
{
    const char *text; /* as written, for error messages */
    size_t part_count;
    struct template_part parts[];
};
