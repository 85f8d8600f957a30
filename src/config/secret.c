/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "load.h"
#include "walferry/base/fd.h"

static const char *const secret_endings[] = {
    "password", "secret", "passphrase", "key.pem", "ssl_key", "sasl.oauthbearer.config", "token",
};

bool secret_property(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < ARRAY_LEN(secret_endings); i++) {
        size_t ending = strlen(secret_endings[i]);
        if (len >= ending && strcmp(name + len - ending, secret_endings[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool unreadable(const char *path, int error, struct err *err)
{
    err_set(err, ERR_CONFIG_SECRET, "the secret file %.200s cannot be read: %s", path,
            strerror(error));
    if (error == ENOENT || error == EISDIR) {
        return err_hint(err, "write the secret into a file of that name, or correct the path");
    }
    return err_hint(err,
                    "let the user that walferry runs as read it: chown walferry %.200s && "
                    "chmod 0400 %.200s",
                    path, path);
}

static bool check_mode(const char *path, const struct stat *info, struct err *err)
{
    if (S_ISDIR(info->st_mode)) {
        return unreadable(path, EISDIR, err);
    }
    if ((info->st_mode & S_IRWXO) != 0) {
        err_set(err, ERR_CONFIG_SECRET, "the secret file %.200s is open to everyone (mode %04o)",
                path, info->st_mode & 07777U);
        return err_hint(err,
                        "chmod o= %.200s (secrets of containers: set their mode to 0400 or "
                        "0440)",
                        path);
    }
    return true;
}

static bool read_secret(const char *path, char *out, size_t size, size_t *ret_len, struct err *err)
{
    int fd AUTO(fd_close) = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return unreadable(path, errno, err);
    }
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return unreadable(path, errno, err);
    }
    if (!check_mode(path, &info, err)) {
        return false;
    }
    return fd_read(fd, out, size, ret_len) || unreadable(path, errno, err);
}

bool secret_read(const char *path, struct pool *pool, const char **ret_secret, struct err *err)
{
    char text[SECRET_SIZE_MAX + 2];
    size_t len = 0;
    if (!read_secret(path, text, sizeof(text), &len, err)) {
        return false;
    }
    if (len > 0 && text[len - 1] == '\n') {
        len--;
    }
    const char *what = len == 0                          ? "is empty"
                       : len > SECRET_SIZE_MAX           ? "is larger than 64 KiB"
                       : memchr(text, '\0', len) != NULL ? "holds a NUL byte"
                                                         : NULL;
    if (what == NULL) {
        *ret_secret = pool_text(pool, text, len);
    }
    explicit_bzero(text, sizeof(text));
    if (what != NULL) {
        err_set(err, ERR_CONFIG_SECRET, "the secret file %.200s %s", path, what);
        return err_hint(err, "write the secret alone into the file, on one line");
    }
    return true;
}
