/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener over loopback, in this very process: a client and http_turn() take turns, driven by
 * the descriptor that the relay would watch.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "walferry/base/clock.h"
#include "walferry/base/json.h"

#include "sample.h"
#include "test.h"

#define START_NS     (1000 * NS_PER_S)
#define CONNECTIONS  32
#define PATIENCE_MS  5000
#define RESPONSE_MAX ((size_t)1 << 20)

static struct http *http;
static struct metrics *metrics;
static struct status snapshot;
static unsigned fills, refreshes;
static uint64_t now_ns;
static char *response;

static void fill(UNUSED void *context, struct status *ret_status)
{
    fills++;
    *ret_status = snapshot;
}

static void refresh(UNUSED void *context)
{
    refreshes++;
    metrics_set(metrics, METRIC_IN_FLIGHT_EVENTS, 4242);
}

static void setup(void)
{
    metrics = metrics_new();
    snapshot = sample_healthy();
    response = malloc(RESPONSE_MAX);
    now_ns = START_NS;
    struct http_opts opts = {.listen = "127.0.0.1:0"};
    struct http_source source = {.fill = fill, .refresh = refresh, .metrics = metrics};
    struct err err = ERR_INIT;
    ck_assert_msg(http_open(&opts, &source, &http, &err), "%s", err.message);
}

static void teardown(void)
{
    http_close(http);
    metrics_free(metrics);
    free(response);
}

static int client_with(int receive_buffer)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer > 0)
        ck_assert_int_eq(
            setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer)), 0);
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
    } name = {.v4 = {.sin_family = AF_INET,
                     .sin_port = htons((uint16_t)http_port(http)),
                     .sin_addr = {htonl(INADDR_LOOPBACK)}}};
    ck_assert_int_eq(connect(fd, &name.any, sizeof(name.v4)), 0);
    return fd;
}

static int client(void)
{
    return client_with(0);
}

static void say(int fd, const char *text)
{
    size_t len = strlen(text);
    ck_assert_int_eq(send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* One turn as the relay would take it. False when there was nothing to do. */
static bool turn_if_asked(int timeout_ms)
{
    struct pollfd watch = {.fd = http_fd(http), .events = POLLIN};
    if (http_deadline(http) <= now_ns)
        timeout_ms = 0;
    if (poll(&watch, 1, timeout_ms) == 0 && http_deadline(http) > now_ns)
        return false;
    http_turn(http, now_ns);
    return true;
}

/* Turns until nothing is left to do: a few, not as many as fit into the library's own timeout. */
static void settle(void)
{
    int turns = 0;
    while (turn_if_asked(0))
        ck_assert_int_lt(turns++, 20);
}

/* Everything until the peer closes, as text. */
static const char *listen_to(int fd)
{
    size_t len = 0;
    for (;;) {
        struct pollfd watch[2] = {{.fd = http_fd(http), .events = POLLIN},
                                  {.fd = fd, .events = POLLIN}};
        bool due = http_deadline(http) <= now_ns;
        ck_assert_msg(poll(watch, 2, due ? 0 : PATIENCE_MS) > 0 || due, "nothing happens");
        if (due || watch[0].revents != 0)
            http_turn(http, now_ns);
        if (watch[1].revents == 0)
            continue;
        ssize_t got = recv(fd, response + len, RESPONSE_MAX - 1 - len, 0);
        if (got <= 0)
            break;
        len += (size_t)got;
    }
    response[len] = '\0';
    return response;
}

static const char *request(const char *text)
{
    int fd = client();
    say(fd, text);
    (void)listen_to(fd);
    ck_assert_int_eq(close(fd), 0);
    return response;
}

static const char *get(const char *path)
{
    char text[512];
    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    return request(text);
}

static int status_of(const char *text)
{
    int status = 0;
    ck_assert_msg(sscanf(text, "HTTP/1.%*d %d", &status) == 1, "%s", text);
    return status;
}

static const char *body_of(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n");
    ck_assert_msg(end != NULL, "%s", text);
    return end + 4;
}

static bool has_header(const char *text, const char *header)
{
    char wanted[512];
    snprintf(wanted, sizeof(wanted), "\r\n%s\r\n", header);
    const char *at = strstr(text, wanted);
    return at != NULL && at < body_of(text);
}

#define ck_header(text, header) ck_assert_msg(has_header(text, header), "no %s in %s", header, text)

START_TEST(live_needs_nothing)
{
    const char *const paths[] = {"/livez", "/healthz"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        ck_assert_int_eq(status_of(get(paths[i])), 200);
        ck_assert_str_eq(body_of(response), "ok\n");
        ck_header(response, "Content-Type: text/plain; charset=utf-8");
        ck_header(response, "Cache-Control: no-store");
        ck_header(response, "X-Content-Type-Options: nosniff");
    }
    ck_assert_uint_eq(fills, 0);
}
END_TEST

START_TEST(ready_says_what_the_relay_says)
{
    ck_assert_int_eq(status_of(get("/readyz")), 200);
    ck_assert_str_eq(body_of(response), "ok\n");
    ck_assert_int_eq(status_of(get("/readyz?verbose")), 200);
    ck_assert_str_eq(body_of(response), "[+]source ok\n[+]sink ok\nreadyz check passed\n");
    snapshot.ready = false;
    snapshot.checks[1].ok = false;
    snprintf(snapshot.checks[1].detail, sizeof(snapshot.checks[1].detail), "%s", "no broker");
    ck_assert_int_eq(status_of(get("/readyz")), 503);
    ck_assert_int_eq(status_of(get("/readyz?verbose=1")), 503);
    ck_assert_ptr_nonnull(strstr(body_of(response), "[-]sink failed: no broker\n"));
    ck_assert_ptr_nonnull(strstr(body_of(response), "readyz check failed\n"));
    ck_header(response, "Cache-Control: no-store");
}
END_TEST

START_TEST(status_is_json)
{
    snapshot = sample_hostile();
    ck_assert_int_eq(status_of(get("/status")), 200);
    ck_header(response, "Content-Type: application/json");
    ck_header(response, "Cache-Control: no-store");
    ck_assert_int_eq(json_parse(bytes_str(body_of(response))).kind, JSON_OBJECT);
    ck_assert_uint_eq(fills, 1);
}
END_TEST

START_TEST(metrics_in_two_formats)
{
    metrics_add_label(metrics, METRIC_EVENTS_PUBLISHED, HOSTILE, 1);
    ck_assert_int_eq(status_of(get("/metrics")), 200);
    ck_header(response, "Content-Type: text/plain; version=0.0.4; charset=utf-8");
    ck_assert_ptr_nonnull(strstr(body_of(response), "\nwalferry_in_flight_events 4242\n"));
    ck_assert_ptr_nonnull(strstr(body_of(response), "\nprocess_open_fds "));
    ck_assert_ptr_null(strstr(body_of(response), "# EOF"));
    ck_assert_ptr_null(strstr(body_of(response), "\n[+]all ok"));
    ck_assert_uint_eq(refreshes, 1);
    ck_assert_int_eq(status_of(request("GET /metrics HTTP/1.1\r\nHost: x\r\naccept: "
                                       "application/openmetrics-text;version=1.0.0\r\n\r\n")),
                     200);
    ck_header(response, "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8");
    const char *body = body_of(response);
    ck_assert_str_eq(body + strlen(body) - 6, "# EOF\n");
    ck_assert_uint_eq(refreshes, 2);
}
END_TEST

START_TEST(the_page_allows_its_style_only)
{
    snapshot = sample_hostile();
    char first[128];
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(status_of(get("/")), 200);
        ck_header(response, "Content-Type: text/html; charset=utf-8");
        ck_header(response, "X-Content-Type-Options: nosniff");
        ck_header(response, "Cache-Control: no-store");
        char nonce[128];
        const char *policy = strstr(response, "Content-Security-Policy: default-src 'none'; ");
        ck_assert_ptr_nonnull(policy);
        const char *at = strstr(policy, "style-src 'nonce-");
        ck_assert_ptr_nonnull(at);
        ck_assert_int_eq(sscanf(at, "style-src 'nonce-%100[0-9a-f]'\r", nonce), 1);
        ck_assert_uint_eq(strlen(nonce), 32);
        char element[256];
        snprintf(element, sizeof(element), "<style nonce=\"%s\">", nonce);
        ck_assert_ptr_nonnull(strstr(body_of(response), element));
        ck_assert_ptr_null(strstr(response, "unsafe"));
        ck_assert_ptr_null(strstr(body_of(response), "<script"));
        if (i == 0)
            snprintf(first, sizeof(first), "%s", nonce);
        else
            ck_assert_str_ne(first, nonce);
    }
}
END_TEST

START_TEST(head_has_no_body)
{
    static const char *const paths[] = {"/", "/metrics", "/livez", "/readyz", "/status", "/no"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        char text[256];
        snprintf(text, sizeof(text), "HEAD %s HTTP/1.1\r\nHost: x\r\n\r\n", paths[i]);
        int status = status_of(request(text));
        ck_assert_str_eq(body_of(response), "");
        ck_assert_ptr_nonnull(strstr(response, "Content-Length: "));
        ck_assert_int_eq(status, i == ARRAY_LEN(paths) - 1 ? 404 : 200);
    }
}
END_TEST

START_TEST(nothing_can_be_changed)
{
    static const char *const methods[] = {"POST",  "PUT",   "DELETE", "OPTIONS",
                                          "PATCH", "TRACE", "X"};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        char text[256];
        snprintf(text, sizeof(text), "%s /status HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
                 methods[i]);
        ck_assert_int_eq(status_of(request(text)), 405);
        ck_header(response, "Allow: GET, HEAD");
    }
    ck_assert_int_eq(
        status_of(request("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd")), 405);
    ck_assert_uint_eq(fills, 0);
}
END_TEST

START_TEST(other_paths_are_not_found)
{
    static const char *const paths[] = {"/nothing",       "/livez/", "/metrics/x",
                                        "/../etc/passwd", "//",      "/Status"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        ck_assert_int_eq(status_of(get(paths[i])), 404);
        ck_assert_ptr_nonnull(strstr(body_of(response), "\n/metrics\n"));
        ck_assert_ptr_nonnull(strstr(body_of(response), "\n/readyz\n"));
        ck_assert_ptr_null(strstr(body_of(response), "passwd"));
    }
}
END_TEST

START_TEST(what_is_no_http_is_refused)
{
    const char *text = request("\x16\x03\x01\x02\r\n\r\n");
    ck_assert(text[0] == '\0' || status_of(text) == 400);
    /* The listener goes on. */
    ck_assert_int_eq(status_of(get("/livez")), 200);
}
END_TEST

START_TEST(a_large_head_is_refused)
{
    char *text = malloc(70000);
    int len = snprintf(text, 100, "GET /livez HTTP/1.1\r\nHost: x\r\nX-Large: ");
    memset(text + len, 'a', 60000);
    memcpy(text + len + 60000, "\r\n\r\n", 5);
    int fd = client();
    /* The peer may have closed already before all is sent. */
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)listen_to(fd);
    ck_assert_int_eq(close(fd), 0);
    ck_assert_msg(response[0] == '\0' || status_of(response) == 431, "%s", response);
    free(text);
    ck_assert_int_eq(status_of(get("/livez")), 200);
}
END_TEST

START_TEST(a_usual_head_fits)
{
    char text[8192];
    int len = snprintf(text, sizeof(text), "GET /livez HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; len < 6000; i++)
        len += snprintf(text + len, sizeof(text) - (size_t)len, "X-%d: %060d\r\n", i, i);
    memcpy(text + len, "\r\n", 3);
    ck_assert_int_eq(status_of(request(text)), 200);
}
END_TEST

static bool is_open(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return got > 0 || (got < 0 && errno == EAGAIN);
}

START_TEST(a_slow_sender_is_cut)
{
    ck_assert(http_deadline(http) == UINT64_MAX);
    int fd = client();
    say(fd, "GET /livez HT");
    ck_assert(turn_if_asked(PATIENCE_MS));
    ck_assert(http_deadline(http) <= START_NS + 10 * NS_PER_S);
    now_ns = START_NS + 9 * NS_PER_S;
    say(fd, "T");
    ck_assert(turn_if_asked(PATIENCE_MS));
    ck_assert(is_open(fd));
    /* Something is said all the time, and still it ends. */
    now_ns = START_NS + 10 * NS_PER_S;
    say(fd, "P");
    http_turn(http, now_ns);
    settle();
    ck_assert(!is_open(fd));
    ck_assert(http_deadline(http) == UINT64_MAX);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

/* Let the kernel take little off the listener's hands: its connections inherit that. */
static void shrink_send_buffers(void)
{
    unsigned listeners = 0;
    for (int fd = 3; fd < 256; fd++) {
        int listening = 0;
        int size = 4096;
        socklen_t len = sizeof(listening);
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening == 1 &&
            setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0)
            listeners++;
    }
    ck_assert_uint_eq(listeners, 1);
}

START_TEST(a_slow_reader_is_cut)
{
    shrink_send_buffers();
    char topic[250];
    memset(topic, 'x', sizeof(topic));
    topic[249] = '\0';
    for (int i = 0; i < METRIC_TOPICS_MAX; i++) {
        snprintf(topic, 5, "%04d", i);
        topic[4] = 'x';
        (void)metrics_topic(metrics, topic);
    }
    int fd = client_with(2048);
    say(fd, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    ck_assert(turn_if_asked(PATIENCE_MS));
    settle();
    ck_assert(http_deadline(http) != UINT64_MAX);
    now_ns += 10 * NS_PER_S;
    http_turn(http, now_ns);
    settle();
    ck_assert(http_deadline(http) == UINT64_MAX);
    ck_assert_uint_lt(strlen(listen_to(fd)), 280000);
    ck_assert_int_eq(close(fd), 0);
    ck_assert_int_eq(status_of(get("/metrics")), 200);
    ck_assert_uint_gt(strlen(response), 280000);
}
END_TEST

START_TEST(one_connection_more_waits)
{
    int fds[CONNECTIONS];
    for (size_t i = 0; i < CONNECTIONS; i++) {
        fds[i] = client();
        ck_assert(turn_if_asked(PATIENCE_MS));
    }
    int fd = client();
    say(fd, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 5; i++)
        http_turn(http, now_ns);
    char byte;
    ck_assert_int_eq(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    ck_assert_int_eq(errno, EAGAIN);
    /* Nor does it keep the loop busy. */
    struct pollfd watch = {.fd = http_fd(http), .events = POLLIN};
    ck_assert_int_eq(poll(&watch, 1, 0), 0);
    ck_assert(http_deadline(http) > now_ns);
    /* The first ones have had their time. */
    now_ns += 10 * NS_PER_S;
    http_turn(http, now_ns);
    settle();
    ck_assert_int_eq(status_of(listen_to(fd)), 200);
    ck_assert_int_eq(close(fd), 0);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        ck_assert(!is_open(fds[i]));
        ck_assert_int_eq(close(fds[i]), 0);
    }
    settle();
    ck_assert(http_deadline(http) == UINT64_MAX);
}
END_TEST

START_TEST(connections_are_closed_after_an_answer)
{
    (void)get("/livez");
    ck_header(response, "Connection: close");
    for (int i = 0; i < 200; i++)
        ck_assert_int_eq(status_of(get("/livez")), 200);
}
END_TEST

START_TEST(a_port_in_use_is_an_error)
{
    char listen[64];
    snprintf(listen, sizeof(listen), "127.0.0.1:%u", http_port(http));
    struct http_opts opts = {.listen = listen};
    struct http_source source = {.fill = fill, .refresh = refresh, .metrics = metrics};
    struct http *second = NULL;
    struct err err = ERR_INIT;
    ck_assert(!http_open(&opts, &source, &second, &err));
    ck_assert_int_eq(err.code, ERR_HTTP_LISTEN);
    ck_assert_ptr_null(second);
    http_close(NULL);
}
END_TEST

START_TEST(closing_with_guests_is_clean)
{
    int idle = client();
    int asking = client();
    say(asking, "GET /metr");
    ck_assert(turn_if_asked(PATIENCE_MS));
    settle();
    http_close(http);
    http = NULL;
    ck_assert_int_eq(close(idle), 0);
    ck_assert_int_eq(close(asking), 0);
}
END_TEST

static Suite *suite_of_http(void)
{
    Suite *suite = suite_create("http");
    TCase *tcase = tcase_create("http");
    tcase_set_timeout(tcase, 30);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, live_needs_nothing);
    tcase_add_test(tcase, ready_says_what_the_relay_says);
    tcase_add_test(tcase, status_is_json);
    tcase_add_test(tcase, metrics_in_two_formats);
    tcase_add_test(tcase, the_page_allows_its_style_only);
    tcase_add_test(tcase, head_has_no_body);
    tcase_add_test(tcase, nothing_can_be_changed);
    tcase_add_test(tcase, other_paths_are_not_found);
    tcase_add_test(tcase, what_is_no_http_is_refused);
    tcase_add_test(tcase, a_large_head_is_refused);
    tcase_add_test(tcase, a_usual_head_fits);
    tcase_add_test(tcase, a_slow_sender_is_cut);
    tcase_add_test(tcase, a_slow_reader_is_cut);
    tcase_add_test(tcase, one_connection_more_waits);
    tcase_add_test(tcase, connections_are_closed_after_an_answer);
    tcase_add_test(tcase, a_port_in_use_is_an_error);
    tcase_add_test(tcase, closing_with_guests_is_clean);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_http())
