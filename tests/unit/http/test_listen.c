/* SPDX-License-Identifier: Apache-2.0 */
#include "listen.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "walferry/http/http.h"

#include "test.h"

static const char *const refused[] = {
    "",
    "9188",
    ":9188",
    "127.0.0.1",
    "127.0.0.1:",
    "127.0.0.1:65536",
    "127.0.0.1:-1",
    "127.0.0.1:+1",
    "127.0.0.1: 80",
    "127.0.0.1:80 ",
    "127.0.0.1:http",
    "127.0.0.1:000080",
    "::1:9188",
    "[::1]",
    "[::1]9188",
    "[::1:9188",
    "[]:9188",
    "[[::1]]:9188",
    "http://127.0.0.1:9188",
    "127.0.0.1/8:80",
    "a b:80",
    "a\nb:80",
    "h\xc3\xb6st:80",
};

START_TEST(malformed_addresses_are_refused)
{
    struct err err = ERR_INIT;
    ck_assert_msg(!http_listen_check(refused[_i], &err), "%s", refused[_i]);
    ck_assert_int_eq(err.code, ERR_HTTP_LISTEN);
    ck_assert_str_ne(err.message, "");
    ck_assert_ptr_nonnull(strstr(err.hint, "127.0.0.1:9188"));
}
END_TEST

static const struct {
    const char *listen;
    const char *host;
    const char *port;
} accepted[] = {
    {"127.0.0.1:9188", "127.0.0.1", "9188"},
    {"0.0.0.0:0", "0.0.0.0", "0"},
    {"localhost:65535", "localhost", "65535"},
    {"[::1]:9188", "::1", "9188"},
    {"[fe80::1%eth0]:80", "fe80::1%eth0", "80"},
    {"relay-1.example.org:1", "relay-1.example.org", "1"},
};

START_TEST(addresses_are_taken_apart)
{
    struct listen_address address;
    struct err err = ERR_INIT;
    ck_assert_msg(listen_parse(accepted[_i].listen, &address, &err), "%s", err.message);
    ck_assert_str_eq(address.host, accepted[_i].host);
    ck_assert_str_eq(address.port, accepted[_i].port);
    ck_assert(http_listen_check(accepted[_i].listen, &err));
}
END_TEST

START_TEST(a_long_host_is_refused)
{
    char listen[400];
    memset(listen, 'a', sizeof(listen));
    memcpy(listen + 300, ":80", 4);
    struct err err = ERR_INIT;
    ck_assert(!http_listen_check(listen, &err));
}
END_TEST

START_TEST(port_0_is_any_port)
{
    int fd = -1;
    unsigned port = 0;
    struct err err = ERR_INIT;
    ck_assert_msg(listen_open("127.0.0.1:0", &fd, &port, &err), "%s", err.message);
    ck_assert_uint_gt(port, 0);
    int listening = 0;
    socklen_t len = sizeof(listening);
    ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len), 0);
    ck_assert_int_eq(listening, 1);
    ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);

    char same[64];
    snprintf(same, sizeof(same), "127.0.0.1:%u", port);
    int second = -1;
    ck_assert(!listen_open(same, &second, &port, &err));
    ck_assert_int_eq(err.code, ERR_HTTP_LISTEN);
    ck_assert_str_eq(err.where, "http.listen");
    ck_assert_ptr_nonnull(strstr(err.message, same));
    ck_assert_ptr_nonnull(strstr(err.hint, "ss -ltnp"));
    ck_assert_ptr_nonnull(strstr(err.hint, "http.listen"));
    ck_assert_int_eq(second, -1);
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(names_are_resolved)
{
    int fd = -1;
    unsigned port = 0;
    struct err err = ERR_INIT;
    ck_assert_msg(listen_open("localhost:0", &fd, &port, &err), "%s", err.message);
    ck_assert_int_eq(close(fd), 0);
    ck_assert(!listen_open("no-such-host.invalid:0", &fd, &port, &err));
    ck_assert_int_eq(err.code, ERR_HTTP_LISTEN);
    ck_assert_str_ne(err.hint, "");
}
END_TEST

START_TEST(an_address_of_another_machine_is_refused)
{
    int fd = -1;
    unsigned port = 0;
    struct err err = ERR_INIT;
    ck_assert(!listen_open("192.0.2.1:0", &fd, &port, &err)); /* RFC 5737 */
    ck_assert_int_eq(err.code, ERR_HTTP_LISTEN);
    ck_assert_ptr_nonnull(strstr(err.hint, "ip -brief address"));
}
END_TEST

static Suite *suite_of_listen(void)
{
    Suite *suite = suite_create("listen");
    TCase *tcase = tcase_create("listen");
    tcase_add_loop_test(tcase, malformed_addresses_are_refused, 0, (int)ARRAY_LEN(refused));
    tcase_add_loop_test(tcase, addresses_are_taken_apart, 0, (int)ARRAY_LEN(accepted));
    tcase_add_test(tcase, a_long_host_is_refused);
    tcase_add_test(tcase, port_0_is_any_port);
    tcase_add_test(tcase, names_are_resolved);
    tcase_add_test(tcase, an_address_of_another_machine_is_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_listen())
