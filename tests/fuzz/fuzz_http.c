/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of a stranger over loopback, in two parts: whatever they are, the listener answers by HTTP
 * with our headers, or refuses, or says nothing; it never changes anything, no connection outlives
 * its deadline, and the next guest is served. The first two bytes say where the request is cut in
 * two, and whether the peer closes its side.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fields.h"
#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/http/http.h"

#define RESPONSE_MAX  ((size_t)1 << 18)
#define TURNS_MAX     64
#define LIFETIME_NS   (10 * NS_PER_S)
#define REQUEST_MAX   ((size_t)64 * 1024)
#define USUAL_REQUEST "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http *http;
static struct metrics *metrics;
static uint64_t now_ns = 1000 * NS_PER_S;
static char response[RESPONSE_MAX];

static void fill(void *context, struct status *ret_status)
{
    (void)context;
    *ret_status = (struct status){.pipeline = "orders", .version = "1", .state = "streaming"};
}

static void refresh(void *context)
{
    (void)context;
}

static void open_listener(void)
{
    const struct http_opts opts = {.listen = "127.0.0.1:0"};
    struct err err = ERR_INIT;
    metrics = metrics_new();
    ASSERT(metrics != NULL);
    const struct http_source source = {.fill = fill, .refresh = refresh, .metrics = metrics};
    ASSERT(http_open(&opts, &source, &http, &err));
}

static int connect_guest(void)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
    } name = {.v4 = {.sin_family = AF_INET,
                     .sin_port = htons((uint16_t)http_port(http)),
                     .sin_addr = {htonl(INADDR_LOOPBACK)}}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* Closed with a reset: thousands of connections a second must leave no port waiting. */
    const struct linger reset = {.l_onoff = 1};
    ASSERT(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) == 0);
    if (connect(fd, &name.any, sizeof(name.v4)) != 0) {
        /* The fuzzer's own timer. */
        struct pollfd connected = {.fd = fd, .events = POLLOUT};
        ASSERT(errno == EINTR);
        while (poll(&connected, 1, -1) != 1)
            ASSERT(errno == EINTR);
    }
    return fd;
}

static void say(int fd, struct bytes text)
{
    /* Who is refused already is closed to, and says nothing more. */
    if (text.len > 0)
        (void)!send(fd, text.ptr, text.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    http_turn(http, now_ns);
}

/* False while the listener keeps the connection. */
static bool read_some(int fd, size_t *len)
{
    for (;;) {
        ssize_t got = recv(fd, response + *len, RESPONSE_MAX - 1 - *len, MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN)
            return false;
        if (got <= 0)
            return true;
        *len += (size_t)got;
        ASSERT(*len < RESPONSE_MAX - 1);
    }
}

/* The whole answer; the listener has closed. */
static struct bytes listen_to(int fd)
{
    size_t len = 0;
    bool closed = false;
    for (int turn = 0; !closed && turn < TURNS_MAX; turn++) {
        http_turn(http, now_ns);
        closed = read_some(fd, &len);
    }
    if (!closed) {
        ASSERT(http_deadline(http) <= now_ns + LIFETIME_NS);
        now_ns += LIFETIME_NS;
    }
    for (int turn = 0; !closed && turn < TURNS_MAX; turn++) {
        http_turn(http, now_ns);
        closed = read_some(fd, &len);
    }
    ASSERT(closed);
    response[len] = '\0';
    return bytes_make(response, len);
}

static bool has_line(const char *head, const char *line)
{
    const char *at = strstr(head, line);
    return at != NULL && at[-1] == '\n' && strncmp(at + strlen(line), "\r\n", 2) == 0;
}

/* Answers of ours, and those of the library to what it could not read. */
static void check_answer(struct bytes answer)
{
    static const int ours[] = {200, 404, 405, 503};
    static const int refusals[] = {100, 400, 408, 411, 413, 414, 431, 500, 501, 505};
    int status = 0;
    if (answer.len == 0)
        return;
    ASSERT(sscanf(response, "HTTP/1.%*1[01] %3d ", &status) == 1);
    char *body = strstr(response, "\r\n\r\n");
    ASSERT(body != NULL);
    body[2] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        if (status == refusals[i])
            return;
    }
    bool known = false;
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        known = known || status == ours[i];
    ASSERT(known);
    ASSERT(has_line(response, "X-Content-Type-Options: nosniff"));
    ASSERT(has_line(response, "Cache-Control: no-store"));
    ASSERT(has_line(response, "Referrer-Policy: no-referrer"));
    ASSERT(strstr(response, "\nContent-Security-Policy: default-src 'none';") != NULL);
    ASSERT(status != 405 || has_line(response, "Allow: GET, HEAD"));
    const char *length = strstr(response, "\nContent-Length: ");
    ASSERT(length != NULL);
    size_t promised = strtoul(length + strlen("\nContent-Length: "), NULL, 10);
    size_t sent = answer.len - (size_t)(body + 4 - response);
    ASSERT(sent == promised || sent == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes request = bytes_make(data, size < REQUEST_MAX ? size : REQUEST_MAX);
    if (http == NULL)
        open_listener();
    bool closes = field_number(&request, 1) & 1;
    size_t first = field_number(&request, 1) * request.len / 256;
    int fd = connect_guest();
    say(fd, bytes_make(request.ptr, first));
    say(fd, bytes_make(request.ptr + first, request.len - first));
    if (closes)
        ASSERT(shutdown(fd, SHUT_WR) == 0 || errno == ENOTCONN);
    check_answer(listen_to(fd));
    ASSERT(close(fd) == 0);
    fd = connect_guest();
    say(fd, BYTES_LIT(USUAL_REQUEST));
    struct bytes answer = listen_to(fd);
    ASSERT(answer.len > 0 && strncmp(response, "HTTP/1.1 200 OK\r\n", 17) == 0);
    ASSERT(close(fd) == 0);
    return 0;
}
