/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/http/http.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "answer.h"
#include "listen.h"
#include "walferry/base/assert.h"
#include "walferry/base/clock.h"
#include "walferry/base/failpoint.h"

#define CONNECTIONS_MAX   32
#define CONNECTION_MEMORY ((size_t)16 * 1024)
#define CONNECTION_IDLE_S 5u
#define CONNECTION_NS     (10 * NS_PER_S)
#define ANSWER_MAX        ((size_t)2 * 1024 * 1024)
#define ANSWER_KEEP       ((size_t)128 * 1024)
#define RUNS_IN_A_TURN    4
#define NONCE_BYTES       16
#define CONTENT_SECURITY_POLICY                                                                    \
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/* One connection, for its deadline: whatever its peer does, it does not last longer. */
struct guest {
    int fd; /* -1: free */
    uint64_t deadline_ns;
    bool cut;
};

struct http {
    struct MHD_Daemon *daemon;
    int epoll_fd;
    unsigned port;
    struct http_source source;
    uint64_t now_ns; /* of the turn */
    struct guest guests[CONNECTIONS_MAX];
    unsigned guest_count;
    struct status status;
    struct buf out;
};

/* What goes back beside the body, which stands in http->out. */
struct answer {
    unsigned status;
    const char *content_type;
    const char *allow; /* or NULL */
    char nonce[2 * NONCE_BYTES + 1];
};

#define TEXT_PLAIN "text/plain; charset=utf-8"

static void answer_live(struct http *http, UNUSED struct MHD_Connection *connection,
                        UNUSED struct answer *answer)
{
    buf_put_str(&http->out, "ok\n");
}

static void answer_ready(struct http *http, struct MHD_Connection *connection,
                         struct answer *answer)
{
    static const char verbose_key[] = "verbose";
    const char *value = NULL;
    size_t len = 0;
    bool verbose = MHD_lookup_connection_value_n(connection, MHD_GET_ARGUMENT_KIND, verbose_key,
                                                 sizeof(verbose_key) - 1, &value, &len) == MHD_YES;
    http->source.fill(http->source.context, &http->status);
    if (!health_render_ready(&http->status, verbose, &http->out))
        answer->status = MHD_HTTP_SERVICE_UNAVAILABLE;
}

static void answer_status(struct http *http, UNUSED struct MHD_Connection *connection,
                          struct answer *answer)
{
    http->source.fill(http->source.context, &http->status);
    status_render_json(&http->status, &http->out);
    answer->content_type = "application/json";
}

static void answer_metrics(struct http *http, struct MHD_Connection *connection,
                           struct answer *answer)
{
    bool openmetrics = accept_openmetrics(
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT));
    http->source.refresh(http->source.context);
    metrics_render(http->source.metrics, openmetrics, &http->out);
    answer->content_type = openmetrics
                               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                               : "text/plain; version=0.0.4; charset=utf-8";
}

static bool make_nonce(struct answer *answer)
{
    uint8_t random[NONCE_BYTES];
    if (getrandom(random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
        return false;
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(answer->nonce + 2 * i, 3, "%02x", random[i]);
    return true;
}

static void answer_page(struct http *http, UNUSED struct MHD_Connection *connection,
                        struct answer *answer)
{
    /* Without randomness, early after a boot, the page comes without its style. */
    if (!make_nonce(answer))
        answer->nonce[0] = '\0';
    http->source.fill(http->source.context, &http->status);
    page_render(&http->status, answer->nonce, &http->out);
    answer->content_type = "text/html; charset=utf-8";
}

static const struct route {
    const char *path;
    void (*answer)(struct http *http, struct MHD_Connection *connection, struct answer *answer);
} routes[] = {
    {"/", answer_page},        {"/livez", answer_live},    {"/readyz", answer_ready},
    {"/healthz", answer_live}, {"/status", answer_status}, {"/metrics", answer_metrics},
};

static void answer_not_found(struct http *http, struct answer *answer)
{
    answer->status = MHD_HTTP_NOT_FOUND;
    buf_put_str(&http->out, "not found; the paths are\n");
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        buf_printf(&http->out, "%s\n", routes[i].path);
}

static void fill_answer(struct http *http, struct MHD_Connection *connection, const char *url,
                        const char *method, struct answer *answer)
{
    buf_reset(&http->out);
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        answer->status = MHD_HTTP_METHOD_NOT_ALLOWED;
        answer->allow = "GET, HEAD";
        buf_put_str(&http->out, "only GET and HEAD: nothing can be changed here\n");
        return;
    }
    const struct route *route = NULL;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (strcmp(url, routes[i].path) == 0)
            route = &routes[i];
    }
    if (route == NULL)
        answer_not_found(http, answer);
    else
        route->answer(http, connection, answer);
    if (!buf_ok(&http->out)) {
        buf_reset(&http->out);
        *answer = (struct answer){MHD_HTTP_INTERNAL_SERVER_ERROR, TEXT_PLAIN, NULL, ""};
        buf_put_str(&http->out, "the answer is too large\n");
    }
}

static bool add_headers(struct MHD_Response *response, const struct answer *answer)
{
    char policy[256];
    snprintf(policy, sizeof(policy), CONTENT_SECURITY_POLICY "%s%s%s",
             answer->nonce[0] == '\0' ? "" : "; style-src 'nonce-", answer->nonce,
             answer->nonce[0] == '\0' ? "" : "'");
    const struct {
        const char *name;
        const char *value;
    } headers[] = {
        {MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type},
        {MHD_HTTP_HEADER_CACHE_CONTROL, "no-store"},
        {"Content-Security-Policy", policy},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        /* A client that keeps its connection would race with our deadline. */
        {MHD_HTTP_HEADER_CONNECTION, "close"},
        {MHD_HTTP_HEADER_ALLOW, answer->allow},
    };
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        if (headers[i].value != NULL &&
            MHD_add_response_header(response, headers[i].name, headers[i].value) != MHD_YES)
            return false;
    }
    return true;
}

/* The library says what it is called with. */
/* NOLINTNEXTLINE(readability-function-size) */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, UNUSED const char *version,
                              UNUSED const char *upload, UNUSED size_t *upload_size,
                              UNUSED void **request)
{
    struct http *http = context;
    struct answer answer = {MHD_HTTP_OK, TEXT_PLAIN, NULL, ""};
    fill_answer(http, connection, url, method, &answer);
    struct bytes body = buf_bytes(&http->out);
    union { /* the library copies, and only asks for a pointer that is not const */
        const uint8_t *from;
        void *to;
    } data = {.from = body.ptr};
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body.len, data.to, MHD_RESPMEM_MUST_COPY);
    buf_shrink(&http->out, ANSWER_KEEP);
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result queued = MHD_NO;
    if (!FAILPOINT(HTTP_REPLY) && add_headers(response, &answer))
        queued = MHD_queue_response(connection, answer.status, response);
    MHD_destroy_response(response);
    return queued;
}

static void greet(struct http *http, struct MHD_Connection *connection, void **guest_context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    ASSERT(info != NULL);
    discard(FAILPOINT(HTTP_ACCEPT));
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct guest *guest = &http->guests[i];
        if (guest->fd < 0) {
            *guest = (struct guest){info->connect_fd, http->now_ns + CONNECTION_NS, false};
            *guest_context = guest;
            http->guest_count++;
            return;
        }
    }
    UNREACHABLE(); /* the library was told the limit */
}

static void notify(void *context, struct MHD_Connection *connection, void **guest_context,
                   enum MHD_ConnectionNotificationCode code)
{
    struct http *http = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        greet(http, connection, guest_context);
    } else if (*guest_context != NULL) {
        struct guest *guest = *guest_context;
        guest->fd = -1;
        http->guest_count--;
        *guest_context = NULL;
    }
}

/* What the library has to say is about its peers' faults, and standard error is not its own. */
static void say_nothing(UNUSED void *context, UNUSED const char *format, UNUSED va_list args)
{
}

static void panic(UNUSED void *context, const char *file, unsigned line, const char *reason)
{
    assert_failed(reason == NULL ? "libmicrohttpd" : reason, file == NULL ? "" : file, (int)line,
                  "libmicrohttpd");
}

static bool start(struct http *http, int listen_fd)
{
    MHD_set_panic_func(panic, NULL);
    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL, 0, NULL, NULL, handle, http, MHD_OPTION_EXTERNAL_LOGGER, say_nothing, NULL,
        MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
        CONNECTION_IDLE_S, MHD_OPTION_NOTIFY_CONNECTION, notify, http, MHD_OPTION_END);
    if (http->daemon == NULL)
        return false;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    ASSERT(info != NULL);
    http->epoll_fd = info->epoll_fd;
    return true;
}

bool http_open(const struct http_opts *opts, const struct http_source *source,
               struct http **ret_http, struct err *err)
{
    int listen_fd;
    struct http *http = calloc(1, sizeof(*http));
    if (http == NULL)
        return err_set(err, ERR_MEMORY, "no memory for the HTTP listener");
    http->source = *source;
    http->now_ns = clock_mono_ns();
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        http->guests[i].fd = -1;
    buf_init(&http->out, ANSWER_MAX);
    if (!listen_open(opts->listen, &listen_fd, &http->port, err)) {
        http_close(http);
        return false;
    }
    if (!start(http, listen_fd)) {
        /* The library closes the socket, or a process that ends now does. */
        http_close(http);
        discard(err_set(err, ERR_HTTP_LISTEN, "the HTTP library does not start"));
        return err_hint(err, "run without it: --set http.listen=off");
    }
    *ret_http = http;
    return true;
}

void http_close(struct http *http)
{
    if (http == NULL)
        return;
    if (http->daemon != NULL)
        MHD_stop_daemon(http->daemon);
    buf_deinit(&http->out);
    free(http);
}

int http_fd(const struct http *http)
{
    return http->epoll_fd;
}

unsigned http_port(const struct http *http)
{
    return http->port;
}

/* The library notices by itself, as if the peer had gone. */
static void cut_late_guests(struct http *http)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct guest *guest = &http->guests[i];
        if (guest->fd >= 0 && !guest->cut && http->now_ns >= guest->deadline_ns) {
            guest->cut = true;
            (void)shutdown(guest->fd, SHUT_RDWR);
        }
    }
}

static bool wants_to_run(const struct http *http)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
    return MHD_get_timeout(http->daemon, &timeout_ms) == MHD_YES && timeout_ms == 0;
}

void http_turn(struct http *http, uint64_t now_ns)
{
    http->now_ns = now_ns;
    cut_late_guests(http);
    bool again = true;
    for (int runs = 0; again && runs < RUNS_IN_A_TURN; runs++) {
        unsigned before = http->guest_count;
        (void)MHD_run(http->daemon);
        /* With all places taken the library stops watching for guests, and takes that up again no
         * sooner than with the run after the one in which a place became free. */
        bool room_again = before == CONNECTIONS_MAX && http->guest_count < before;
        again = room_again || wants_to_run(http);
    }
}

uint64_t http_deadline(const struct http *http)
{
    uint64_t deadline_ns = UINT64_MAX;
    MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
    if (MHD_get_timeout(http->daemon, &timeout_ms) == MHD_YES)
        deadline_ns = http->now_ns + (uint64_t)timeout_ms * NS_PER_MS;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        const struct guest *guest = &http->guests[i];
        if (guest->fd >= 0 && !guest->cut && guest->deadline_ns < deadline_ns)
            deadline_ns = guest->deadline_ns;
    }
    return deadline_ns;
}
