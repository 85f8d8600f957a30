/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "walferry/base/parse.h"
#include "walferry/http/http.h"

#define BACKLOG 64

static bool syntax_err(struct err *err, const char *listen, const char *what)
{
    discard(err_set(err, ERR_HTTP_LISTEN, "\"%s\" is no address to listen on: %s", listen, what));
    return err_hint(err, "write http.listen as HOST:PORT, \"127.0.0.1:9188\" or \"[::1]:9188\"; "
                         "\"off\" for none");
}

static bool copy_port(const char *text, struct listen_address *into)
{
    uint64_t port;
    size_t len = strlen(text);
    if (len >= sizeof(into->port) || !parse_u64(bytes_make(text, len), &port) || port > 65535)
        return false;
    memcpy(into->port, text, len + 1);
    return true;
}

/* The host as it stands in the text, and what follows the colon behind it. */
static const char *split_host(const char *listen, struct bytes *ret_host, const char **ret_port)
{
    const char *colon;
    if (listen[0] == '[') {
        const char *bracket = strchr(listen, ']');
        if (bracket == NULL)
            return "the bracket is not closed";
        *ret_host = bytes_make(listen + 1, (size_t)(bracket - listen - 1));
        colon = bracket + 1;
        if (*colon != ':')
            return "no :PORT follows the bracket";
    } else {
        colon = strrchr(listen, ':');
        if (colon == NULL)
            return "it has no port";
        *ret_host = bytes_make(listen, (size_t)(colon - listen));
        if (memchr(listen, ':', ret_host->len) != NULL)
            return "an IPv6 address stands in brackets";
    }
    *ret_port = colon + 1;
    return NULL;
}

bool listen_parse(const char *listen, struct listen_address *ret_address, struct err *err)
{
    struct listen_address address = {.host = ""};
    struct bytes host;
    const char *port;
    const char *wrong = split_host(listen, &host, &port);
    if (wrong != NULL)
        return syntax_err(err, listen, wrong);
    if (host.len == 0)
        return syntax_err(err, listen, "the host is missing; every address is 0.0.0.0 or [::]");
    if (host.len >= sizeof(address.host))
        return syntax_err(err, listen, "the host is too long");
    for (size_t i = 0; i < host.len; i++) {
        if (host.ptr[i] <= ' ' || host.ptr[i] >= 0x7f || host.ptr[i] == '/' || host.ptr[i] == '[')
            return syntax_err(err, listen, "the host is neither a name nor an address");
    }
    if (!copy_port(port, &address))
        return syntax_err(err, listen, "the port is not a number from 0 to 65535");
    memcpy(address.host, host.ptr, host.len);
    *ret_address = address;
    return true;
}

bool http_listen_check(const char *listen, struct err *err)
{
    struct listen_address address;
    return listen_parse(listen, &address, err);
}

static bool listen_err(struct err *err, const char *listen, const struct listen_address *address,
                       int cause)
{
    discard(err_set(err, ERR_HTTP_LISTEN, "HTTP cannot listen on %s: %s", listen, strerror(cause)));
    discard(err_where(err, "http.listen"));
    if (cause == EADDRINUSE)
        return err_hint(err,
                        "see who listens there: ss -ltnp 'sport = :%s'; or choose another address: "
                        "--set http.listen=HOST:PORT, or \"off\"",
                        address->port);
    if (cause == EACCES)
        return err_hint(err, "ports below 1024 are not for ordinary users: choose another one with "
                             "--set http.listen=HOST:PORT");
    return err_hint(err, "see the addresses of this machine: ip -brief address; then set "
                         "http.listen to one of them, or to \"off\"");
}

/* A listening socket, or -1 and errno. */
static int listen_on(const struct addrinfo *info)
{
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int cause = errno;
    (void)close(fd);
    errno = cause;
    return -1;
}

static unsigned port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage storage;
    } name = {.storage = {0}};
    socklen_t len = sizeof(name);
    if (getsockname(fd, &name.any, &len) != 0)
        return 0;
    return ntohs(name.any.sa_family == AF_INET6 ? name.v6.sin6_port : name.v4.sin_port);
}

bool listen_open(const char *listen, int *ret_fd, unsigned *ret_port, struct err *err)
{
    struct listen_address address;
    if (!listen_parse(listen, &address, err))
        return false;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int status = getaddrinfo(address.host, address.port, &hints, &found);
    if (status != 0) {
        discard(err_set(err, ERR_HTTP_LISTEN, "the host of %s has no address: %s", listen,
                        gai_strerror(status)));
        discard(err_where(err, "http.listen"));
        return err_hint(err, "ask for it: getent ahosts '%s'; or set http.listen to an address",
                        address.host);
    }
    int fd = -1;
    int cause = 0;
    for (const struct addrinfo *info = found; info != NULL && fd < 0; info = info->ai_next) {
        fd = listen_on(info);
        cause = errno;
    }
    freeaddrinfo(found);
    if (fd < 0)
        return listen_err(err, listen, &address, cause);
    *ret_fd = fd;
    *ret_port = port_of(fd);
    return true;
}
