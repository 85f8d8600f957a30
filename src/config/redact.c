/* SPDX-License-Identifier: Apache-2.0 */
#include <strings.h>

#include "walferry/config/config.h"

#define MASK "******"

/* Names whose value is a secret, in connection strings, URI parameters and property lists. A name
 * that ends in one of them counts too ("sslpassword", "ssl.key.password"). */
static const char *const secret_names[] = {
    "password", "passphrase", "secret", "token", "key.pem", "ssl_key", "oauthbearer.config",
};

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool ends_in_secret(const char *text, const char *name_end)
{
    for (size_t i = 0; i < ARRAY_LEN(secret_names); i++) {
        size_t len = strlen(secret_names[i]);
        if ((size_t)(name_end - text) >= len &&
            strncasecmp(name_end - len, secret_names[i], len) == 0) {
            return true;
        }
    }
    return false;
}

/* End of a quoted value, behind its closing quote; a backslash quotes the next character, as libpq
 * has it, and a doubled quote is one, as YAML has it. */
static const char *quoted_end(const char *at)
{
    char quote = *at++;
    while (*at != '\0' && (*at != quote || at[1] == quote)) {
        at += (*at == '\\' || *at == quote) && at[1] != '\0' ? 2 : 1;
    }
    return *at == '\0' ? at : at + 1;
}

static const char *value_end(const char *at, bool in_uri)
{
    if (*at == '\'' || *at == '"') {
        return quoted_end(at);
    }
    while (*at != '\0' && !is_space(*at) && !(in_uri && *at == '&')) {
        at += *at == '\\' && at[1] != '\0' ? 2 : 1;
    }
    return at;
}

/* At an '=' or ':' behind a secret's name: where its value begins; NULL when none does. White space
 * may stand on both sides of '=' as libpq allows; ':' is YAML's and wants some behind it. */
static const char *secret_value(const char *text, const char *at)
{
    const char *name_end = at;
    while (name_end > text && is_space(name_end[-1])) {
        name_end--;
    }
    if (*at == ':' && !is_space(at[1])) {
        return NULL;
    }
    if (name_end == text || !is_name(name_end[-1]) || !ends_in_secret(text, name_end)) {
        return NULL;
    }
    const char *value = at + 1;
    while (is_space(*value)) {
        value++;
    }
    return *value == '\0' ? NULL : value;
}

/* At "://": the password in user:password@host, its '@' in *ret_end; NULL when there is none. */
static const char *uri_password(const char *at, const char **ret_end)
{
    const char *authority = at + strlen("://");
    size_t len = strcspn(authority, "/?# \t\r\n");
    const char *sign = memrchr(authority, '@', len);
    if (sign == NULL) {
        /* A password may hold a slash that should have been written %2F. */
        size_t word = strcspn(authority, " \t\r\n");
        sign = memrchr(authority, '@', word);
    }
    const char *colon = sign == NULL ? NULL : memchr(authority, ':', (size_t)(sign - authority));
    if (colon == NULL) {
        return NULL;
    }
    *ret_end = sign;
    return colon + 1;
}

void config_redact(const char *text, struct buf *out)
{
    bool in_uri = false;
    const char *at = text;
    while (*at != '\0') {
        const char *secret = NULL;
        const char *end = NULL;
        if (strncmp(at, "://", 3) == 0) {
            in_uri = true;
            secret = uri_password(at, &end);
        } else if (*at == '=' || *at == ':') {
            secret = secret_value(text, at);
            end = secret == NULL ? NULL : value_end(secret, in_uri);
        }
        in_uri = in_uri && !is_space(*at);
        if (secret == NULL) {
            buf_put_u8(out, (uint8_t)*at++);
            continue;
        }
        buf_put(out, at, (size_t)(secret - at));
        buf_put_str(out, MASK);
        at = end;
    }
}
