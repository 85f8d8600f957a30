/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "answer.h"
#include "walferry/base/utf8.h"

static void put_text(const char *text, struct buf *out)
{
    utf8_put_printable(out, bytes_str(text), strlen(text));
}

static void put_checks(const struct status *status, struct buf *out)
{
    for (size_t i = 0; i < status->check_count; i++) {
        const struct status_check *check = &status->checks[i];
        buf_printf(out, check->ok ? "[+]%s ok" : "[-]%s failed", check->name);
        if (check->detail[0] != '\0') {
            buf_put_str(out, ": ");
            put_text(check->detail, out);
        }
        buf_put_u8(out, '\n');
    }
}

bool health_render_ready(const struct status *status, bool verbose, struct buf *out)
{
    if (!verbose && status->ready) {
        buf_put_str(out, "ok\n");
        return true;
    }
    if (verbose)
        put_checks(status, out);
    if (!status->ready) {
        buf_printf(out, "not ready: %s", status->state);
        if (status->reason[0] != '\0') {
            buf_put_str(out, ": ");
            put_text(status->reason, out);
        }
        buf_put_u8(out, '\n');
    }
    if (verbose)
        buf_printf(out, "readyz check %s\n", status->ready ? "passed" : "failed");
    return status->ready;
}
