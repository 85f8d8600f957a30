/* SPDX-License-Identifier: Apache-2.0 */
#include "conninfo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "walferry/base/buf.h"
#include "walferry/base/fd.h"
#include "walferry/base/parse.h"
#include "walferry/base/utf8.h"

static void free_options(PQconninfoOption **options)
{
    PQconninfoFree(*options);
}

static void free_message(char **message)
{
    PQfreemem(*message);
}

/* libpq quotes the piece it stumbled over, which may be a piece of a password: nothing between the
 * first and the last quotation mark is shown. */
static void redact(const char *message, char *out, size_t size)
{
    const char *first = strchr(message, '"');
    const char *last = strrchr(message, '"');
    if (first == NULL || last == first) {
        pg_escape(bytes_str(first == NULL ? message : "the string is malformed"), out, size);
        return;
    }
    char text[256];
    snprintf(text, sizeof text, "%.*s\"...\"%.100s",
             (int)(first - message > 100 ? 100 : first - message), message, last + 1);
    pg_escape(bytes_str(text), out, size);
}

bool pg_conninfo_check(const char *conninfo, struct err *err)
{
    char *message AUTO(free_message) = NULL;
    PQconninfoOption *options AUTO(free_options) = PQconninfoParse(conninfo, &message);
    if (options != NULL) {
        return true;
    }
    char text[256];
    redact(message == NULL ? "out of memory" : message, text, sizeof text);
    err_set(err, ERR_PG_CONNINFO, "the connection string is malformed: %s", text);
    return err_hint(err, "write keyword=value pairs, 'quoted' where a value has spaces, or a URI: "
                         "host=/run/postgresql dbname=shop user=walferry");
}

static const char *option(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *at = options; at != NULL && at->keyword != NULL; at++) {
        if (strcmp(at->keyword, keyword) == 0 && at->val != NULL && at->val[0] != '\0') {
            return at->val;
        }
    }
    return NULL;
}

void pg_conninfo_describe(const char *conninfo, char *out, size_t size)
{
    static const char *const SHOWN[] = {"service", "host", "hostaddr", "port", "dbname", "user"};
    PQconninfoOption *options AUTO(free_options) = PQconninfoParse(conninfo, NULL);
    struct buf buf;
    buf_init(&buf, 1024);
    for (size_t i = 0; i < ARRAY_LEN(SHOWN); i++) {
        const char *value = option(options, SHOWN[i]);
        if (value != NULL) {
            buf_printf(&buf, "%s%s=", buf.len == 0 ? "" : " ", SHOWN[i]);
            utf8_put_printable(&buf, bytes_str(value), 128);
        }
    }
    snprintf(out, size, "%s", buf.len == 0 ? "PostgreSQL" : buf_cstr(&buf));
    buf_deinit(&buf);
}

static uint64_t number(const char *text, uint64_t otherwise)
{
    uint64_t value = 0;
    return text != NULL && parse_u64(bytes_str(text), &value) && value > 0 ? value : otherwise;
}

static uint64_t count_hosts(const PQconninfoOption *options)
{
    const char *hosts = option(options, "hostaddr");
    if (hosts == NULL) {
        hosts = option(options, "host");
    }
    uint64_t count = 1;
    for (; hosts != NULL && *hosts != '\0'; hosts++) {
        count += *hosts == ',';
    }
    return count;
}

bool conninfo_read(const char *conninfo, struct conninfo *ret_conninfo, struct err *err)
{
    if (!pg_conninfo_check(conninfo, err)) {
        return false;
    }
    PQconninfoOption *options AUTO(free_options) = PQconninfoParse(conninfo, NULL);
    const char *user_options = option(options, "options");
    if (user_options == NULL) {
        user_options = getenv("PGOPTIONS");
    }
    int len = snprintf(ret_conninfo->options, sizeof ret_conninfo->options, "%s%s%s",
                       user_options == NULL ? "" : user_options, user_options == NULL ? "" : " ",
                       CONNINFO_SESSION);
    if (len < 0 || (size_t)len >= sizeof ret_conninfo->options) {
        err_set(err, ERR_PG_CONNINFO, "the options of the connection string are too long");
        return err_hint(err, "set them for the role instead: ALTER ROLE walferry SET ...");
    }
    uint64_t seconds = number(option(options, "connect_timeout"), CONNINFO_TIMEOUT_S);
    snprintf(ret_conninfo->timeout_s, sizeof ret_conninfo->timeout_s, "%llu",
             (unsigned long long)seconds);
    snprintf(ret_conninfo->tcp_timeout_ms, sizeof ret_conninfo->tcp_timeout_ms, "%llu",
             (unsigned long long)seconds * 1000);
    uint64_t hosts = count_hosts(options);
    ret_conninfo->total_ms = (seconds * 1000 + 1000) * hosts;
    ret_conninfo->want_primary = hosts > 1 && getenv("PGTARGETSESSIONATTRS") == NULL;
    return true;
}

/* A file that is away for a moment (secrets are rotated by rename) is a login that fails now and
 * may succeed in half a minute: not a reason to end. */
static bool password_fail(const char *path, const char *reason, struct err *err)
{
    err_set(err, ERR_PG_AUTH, "the password file cannot be used: %s", reason);
    err_where(err, "%s", path);
    return err_hint(err, "write the password, and nothing else, into %s", path);
}

bool conninfo_password(const char *path, char out[PG_PASSWORD_MAX], struct err *err)
{
    int fd AUTO(fd_close) = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    if (fd < 0 || !fd_read(fd, out, PG_PASSWORD_MAX, &len)) {
        return password_fail(path, strerror(errno), err);
    }
    if (len >= PG_PASSWORD_MAX - 1) {
        return password_fail(path, strerror(EFBIG), err);
    }
    if (len > 0 && out[len - 1] == '\n') {
        len--;
    }
    if (len == 0 || memchr(out, '\0', len) != NULL) {
        return password_fail(path, len == 0 ? "it is empty" : "it holds a NUL byte", err);
    }
    out[len] = '\0';
    return true;
}
