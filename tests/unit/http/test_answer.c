/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"

#include "walferry/base/json.h"
#include "walferry/base/utf8.h"

#include "sample.h"
#include "test.h"

static struct buf out;

static void setup(void)
{
    buf_init(&out, 1 << 20);
}

static void teardown(void)
{
    buf_deinit(&out);
}

/* The raw JSON of `path` ("source.slot") in the document; "" when it is not there. */
static struct bytes member_of(struct bytes document, const char *path)
{
    struct json_value value = json_parse(document);
    while (value.kind == JSON_OBJECT && *path != '\0') {
        size_t len = strcspn(path, ".");
        struct json_members members;
        struct bytes key;
        struct json_value member;
        struct json_value found = {.kind = JSON_INVALID, .raw = BYTES_LIT("")};
        json_members_init(&members, value);
        while (json_members_next(&members, &key, &member)) {
            if (key.len == len + 2 && memcmp(key.ptr + 1, path, len) == 0)
                found = member;
        }
        value = found;
        path += len + (path[len] == '.');
    }
    return value.raw;
}

static const struct {
    const char *path;
    const char *json;
} members[] = {
    {"status_version", "1"},
    {"pipeline", "\"orders\""},
    {"version", "\"1.2.3\""},
    {"state", "\"streaming\""},
    {"ready", "true"},
    {"reason", "\"\""},
    {"source.slot", "\"walferry_orders\""},
    {"source.publication", "\"walferry_orders_pub\""},
    {"source.server_version", "\"16.3\""},
    {"source.system_identifier", "\"18446744073709551615\""},
    {"source.timeline", "3"},
    {"positions.received", "\"16/40\""},
    {"positions.published", "\"16/30\""},
    {"positions.durable", "\"16/20\""},
    {"positions.confirmed", "\"16/10\""},
    {"lag.bytes", "48"},
    {"lag.seconds", "1.5"},
    {"slot.retained_bytes", "16777216"},
    {"slot.safe_bytes", "-5"},
    {"slot.wal_status", "\"reserved\""},
    {"counters.received", "10"},
    {"counters.published", "9"},
    {"counters.skipped", "8"},
    {"counters.dead_letters", "7"},
    {"sink.kind", "\"kafka\""},
    {"sink.connected", "true"},
    {"sink.detail", "\"\""},
    {"sink.library", "\"librdkafka 2.0.2\""},
    {"sink.in_flight_events", "6"},
    {"sink.in_flight_bytes", "5000"},
    {"errors", "[{\"code\":\"WF-2001\",\"message\":\"connection refused\","
               "\"where\":\"127.0.0.1:5432\",\"hint\":\"start PostgreSQL\",\"count\":4,"
               "\"time\":\"2026-01-01T00:00:01Z\"}]"},
    {"checks", "[{\"name\":\"source\",\"ok\":true,\"detail\":\"\"},"
               "{\"name\":\"sink\",\"ok\":true,\"detail\":\"\"}]"},
    {"started_at", "\"2026-01-01T00:00:00Z\""},
};

START_TEST(status_has_the_members_of_the_contract)
{
    struct status status = sample_healthy();
    status_render_json(&status, &out);
    struct bytes raw = member_of(buf_bytes(&out), members[_i].path);
    ck_assert_msg(bytes_is(raw, members[_i].json), "%s: %.*s", members[_i].path, BYTES_FMT(raw));
}
END_TEST

START_TEST(what_is_not_known_is_null)
{
    struct status status = {.pipeline = "orders", .state = "starting", .version = "1"};
    status_render_json(&status, &out);
    struct bytes document = buf_bytes(&out);
    static const char *const nulls[] = {
        "source.slot",     "source.server_version", "source.timeline", "source.system_identifier",
        "slot.wal_status", "slot.retained_bytes",   "slot.safe_bytes", "sink.library"};
    for (size_t i = 0; i < ARRAY_LEN(nulls); i++)
        ck_assert_msg(bytes_is(member_of(document, nulls[i]), "null"), "%s", nulls[i]);
    ck_assert(bytes_is(member_of(document, "positions.received"), "\"0/0\""));
    ck_assert(bytes_is(member_of(document, "errors"), "[]"));
    buf_reset(&out);
    status = sample_healthy();
    status.has_safe_bytes = false;
    status_render_json(&status, &out);
    ck_assert(bytes_is(member_of(buf_bytes(&out), "slot.safe_bytes"), "null"));
}
END_TEST

/* No byte that a terminal or a parser could take for more than text. */
static void ck_printable(struct bytes text)
{
    ck_assert(utf8_valid(text));
    for (size_t i = 0; i < text.len; i++)
        ck_assert_msg((text.ptr[i] >= ' ' && text.ptr[i] != 0x7f) || text.ptr[i] == '\n',
                      "byte %02x", text.ptr[i]);
}

START_TEST(hostile_text_stays_text_in_json)
{
    struct status status = sample_hostile();
    status_render_json(&status, &out);
    ck_assert(buf_ok(&out));
    struct bytes document = buf_bytes(&out);
    ck_assert_int_eq(json_parse(document).kind, JSON_OBJECT);
    ck_printable(document);
    ck_assert(bytes_is(member_of(document, "ready"), "false"));
    ck_assert(bytes_is(member_of(document, "status_version"), "1"));
}
END_TEST

static unsigned count_of(const char *text, const char *word)
{
    unsigned count = 0;
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word))
        count++;
    return count;
}

START_TEST(hostile_text_stays_text_on_the_page)
{
    struct status status = sample_hostile();
    page_render(&status, "n0nce", &out);
    ck_assert(buf_ok(&out));
    const char *page = buf_cstr(&out);
    ck_printable(buf_bytes(&out));
    ck_assert_ptr_null(strstr(page, "<script"));
    ck_assert_uint_eq(count_of(page, "</title>"), 1);
    ck_assert_uint_eq(count_of(page, "</style>"), 1);
    ck_assert_ptr_null(strstr(page, "\xe2\x80\xae"));
    /* Every `<` opens or closes an element that the page is made of. */
    static const char *const elements[] = {
        "!doctype", "html",  "head", "meta", "title", "style", "body", "h1", "h2",  "p",
        "span",     "table", "tr",   "th",   "td",    "br",    "code", "a",  "div", "section",
    };
    for (const char *at = strchr(page, '<'); at != NULL; at = strchr(at + 1, '<')) {
        const char *name = at[1] == '/' ? at + 2 : at + 1;
        size_t len = strcspn(name, " >");
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(elements); i++)
            known = known || (strlen(elements[i]) == len && strncmp(name, elements[i], len) == 0);
        ck_assert_msg(known, "%.20s", at);
    }
    ck_assert_uint_eq(count_of(page, "<table>"), count_of(page, "</table>"));
    ck_assert_uint_ge(count_of(page, "&lt;script&gt;alert(&#39;x&#39;)"), 40);
    ck_assert_uint_ge(count_of(page, "&lt;/script&gt;&amp;&quot;\\"), 40);
}
END_TEST

START_TEST(the_page_shows_what_matters)
{
    struct status status = sample_healthy();
    page_render(&status, "n0nce", &out);
    const char *page = buf_cstr(&out);
    static const char *const shown[] = {
        "<style nonce=\"n0nce\">",
        "http-equiv=\"refresh\" content=\"5\"",
        "prefers-color-scheme",
        ">streaming<",
        "16/10",
        "16/20",
        "16/30",
        "16/40",
        "16.0 MiB",
        "WF-2001",
        "connection refused",
        "start PostgreSQL",
        "walferry_orders_pub",
        "18446744073709551615",
        "2026-01-01T00:00:00Z",
        "librdkafka 2.0.2",
    };
    for (size_t i = 0; i < ARRAY_LEN(shown); i++)
        ck_assert_msg(strstr(page, shown[i]) != NULL, "no %s", shown[i]);
    ck_assert_ptr_null(strstr(page, "http://"));
    ck_assert_ptr_null(strstr(page, "https://"));
}
END_TEST

START_TEST(the_page_of_an_empty_snapshot)
{
    struct status status = {.state = "starting"};
    page_render(&status, "", &out);
    ck_assert(buf_ok(&out));
    ck_assert_ptr_null(strstr(buf_cstr(&out), "(null)"));
}
END_TEST

START_TEST(ready_in_one_word)
{
    struct status status = sample_healthy();
    ck_assert(health_render_ready(&status, false, &out));
    ck_assert_bytes(buf_bytes(&out), "ok\n");
    buf_reset(&out);
    status.ready = false;
    status.state = "blocked";
    snprintf(status.reason, sizeof(status.reason), "%s", "no right to write");
    ck_assert(!health_render_ready(&status, false, &out));
    ck_assert_bytes(buf_bytes(&out), "not ready: blocked: no right to write\n");
}
END_TEST

START_TEST(ready_check_by_check)
{
    struct status status = sample_healthy();
    ck_assert(health_render_ready(&status, true, &out));
    ck_assert_bytes(buf_bytes(&out), "[+]source ok\n[+]sink ok\nreadyz check passed\n");
    buf_reset(&out);
    status.ready = false;
    status.checks[1].ok = false;
    snprintf(status.checks[1].detail, sizeof(status.checks[1].detail), "%s", "no broker");
    ck_assert(!health_render_ready(&status, true, &out));
    ck_assert_bytes(buf_bytes(&out), "[+]source ok\n[-]sink failed: no broker\n"
                                     "not ready: streaming\nreadyz check failed\n");
}
END_TEST

START_TEST(hostile_text_makes_no_line_in_readyz)
{
    struct status status = sample_hostile();
    status.state = "blocked";
    ck_assert(!health_render_ready(&status, true, &out));
    ck_printable(buf_bytes(&out));
    ck_assert_ptr_null(strstr(buf_cstr(&out), "\n[+]all ok"));
    ck_assert_uint_eq(count_of(buf_cstr(&out), "\n"), STATUS_CHECKS_MAX + 2);
}
END_TEST

START_TEST(a_full_buffer_is_noticed)
{
    struct status status = sample_healthy();
    struct buf small;
    buf_init(&small, 100);
    status_render_json(&status, &small);
    ck_assert(!buf_ok(&small));
    buf_reset(&small);
    page_render(&status, "", &small);
    ck_assert(!buf_ok(&small));
    buf_deinit(&small);
}
END_TEST

static Suite *suite_of_answer(void)
{
    Suite *suite = suite_create("answer");
    TCase *tcase = tcase_create("answer");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, status_has_the_members_of_the_contract, 0, (int)ARRAY_LEN(members));
    tcase_add_test(tcase, what_is_not_known_is_null);
    tcase_add_test(tcase, hostile_text_stays_text_in_json);
    tcase_add_test(tcase, hostile_text_stays_text_on_the_page);
    tcase_add_test(tcase, the_page_shows_what_matters);
    tcase_add_test(tcase, the_page_of_an_empty_snapshot);
    tcase_add_test(tcase, ready_in_one_word);
    tcase_add_test(tcase, ready_check_by_check);
    tcase_add_test(tcase, hostile_text_makes_no_line_in_readyz);
    tcase_add_test(tcase, a_full_buffer_is_noticed);
    suite_add_tcase(suite, tcase);
    return suite;
}

TEST_MAIN(suite_of_answer())
