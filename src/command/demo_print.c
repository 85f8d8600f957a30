/* SPDX-License-Identifier: Apache-2.0 */
#include "demo_print.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "walferry/base/json.h"
#include "walferry/base/utf8.h"

#define SHOWN_MAX 4096
#define TEXT_MAX  (4 * SHOWN_MAX + 8)

enum style { STYLE_PLAIN, STYLE_STRONG, STYLE_FAINT, STYLE_TYPE, STYLE_GOOD, STYLE_BAD };

static const char *const styles[] = {
    [STYLE_PLAIN] = "",          [STYLE_STRONG] = "\033[1m", [STYLE_FAINT] = "\033[2m",
    [STYLE_TYPE] = "\033[1;36m", [STYLE_GOOD] = "\033[32m",  [STYLE_BAD] = "\033[1;31m",
};

void demo_print_init(struct demo_print *print)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    *print = (struct demo_print){
        .colour = isatty(STDOUT_FILENO) == 1 && (no_colour == NULL || no_colour[0] == '\0') &&
                  terminal != NULL && strcmp(terminal, "dumb") != 0,
    };
}

bool demo_print_ok(void)
{
    return ferror(stdout) == 0;
}

/* `width`: pad with spaces behind the text. */
static void put(const struct demo_print *print, enum style style, struct bytes text, int width)
{
    char storage[TEXT_MAX];
    struct buf shown;
    buf_init_over(&shown, storage, sizeof(storage));
    utf8_put_printable(&shown, text, SHOWN_MAX);
    bool dressed = print->colour && style != STYLE_PLAIN;
    printf("%s%s%s", dressed ? styles[style] : "", buf_cstr(&shown), dressed ? "\033[0m" : "");
    if (width > 0 && (size_t)width > shown.len) {
        printf("%*s", width - (int)shown.len, "");
    }
}

static void put_str(const struct demo_print *print, enum style style, const char *text, int width)
{
    put(print, style, bytes_str(text), width);
}

/* --- start and end --- */

static void put_label(const struct demo_print *print, const char *label)
{
    printf("  ");
    put_str(print, STYLE_FAINT, label, 12);
}

void demo_print_start(const struct demo_print *print, const struct demo_start *start)
{
    put_str(print, STYLE_STRONG, "walferry demo", 0);
    printf(": orders from an outbox in PostgreSQL to Kafka, and read back\n\n");
    put_label(print, "PostgreSQL");
    printf("%s%s, ", start->server_version, start->private_server ? ", private" : "");
    put_str(print, STYLE_PLAIN, start->server, 0);
    printf("\n");
    put_label(print, "Kafka");
    put_str(print, STYLE_PLAIN, start->bootstrap, 0);
    printf("%s\n", start->mock ? ", inside this process" : "");
    if (start->http_port != 0) {
        put_label(print, "status");
        printf("http://127.0.0.1:%u/\n", start->http_port);
    }
    printf("\n");
    put_label(print, "look");
    printf("kcat -b %s -C -t %s -J -u\n", start->bootstrap, start->topic);
    put_label(print, "write");
    printf("psql \"%s\" -c \"INSERT INTO outbox.event (aggregate_type, aggregate_id, event_type, "
           "payload) VALUES ('order', 'by-hand', 'order.noted', '{}')\"\n",
           start->psql);
    put_label(print, "end");
    printf("%s\n\n", start->ends_by_itself ? "by itself, or with Ctrl-C" : "Ctrl-C");
    fflush(stdout);
}

void demo_print_sums(const struct demo_print *print, const struct demo_sums *sums)
{
    char text[256];
    char median[64] = "";
    if (sums->has_median) {
        snprintf(median, sizeof(median), ", %.1f ms from commit to consumed (median)",
                 (double)sums->median_ns / 1e6);
    }
    snprintf(text, sizeof(text), "%llu written, %llu published, %llu consumed%s",
             (unsigned long long)sums->written, (unsigned long long)sums->published,
             (unsigned long long)sums->consumed, median);
    put_str(print, STYLE_STRONG, text, 0);
    printf("\n");
    fflush(stdout);
}

/* --- records --- */

struct bytes demo_header(const struct kafka_message *message, const char *name)
{
    for (size_t i = 0; i < message->header_count; i++) {
        if (bytes_is(message->headers[i].name, name)) {
            return message->headers[i].value;
        }
    }
    return BYTES_ABSENT;
}

static struct bytes unquoted(struct bytes raw)
{
    bool quoted = raw.len >= 2 && raw.ptr[0] == '"';
    return quoted ? bytes_make(raw.ptr + 1, raw.len - 2) : raw;
}

struct bytes demo_member(struct bytes document, const char *name)
{
    struct json_value root = json_parse(document);
    struct json_members members;
    struct json_value value;
    struct bytes key;
    if (root.kind != JSON_OBJECT) {
        return BYTES_ABSENT;
    }
    json_members_init(&members, root);
    while (json_members_next(&members, &key, &value)) {
        if (bytes_is(unquoted(key), name)) {
            return value.kind == JSON_STRING ? unquoted(value.raw) : value.raw;
        }
    }
    return BYTES_ABSENT;
}

/* Every member on a line of its own. */
static void put_document(const struct demo_print *print, struct bytes document)
{
    struct json_members members;
    struct json_value value;
    struct bytes key;
    json_members_init(&members, json_parse(document));
    while (json_members_next(&members, &key, &value)) {
        printf("    ");
        put(print, STYLE_FAINT, unquoted(key), 18);
        put(print, STYLE_PLAIN, value.raw, 0);
        printf("\n");
    }
}

static void put_short(const struct demo_print *print, struct bytes document)
{
    struct bytes data = demo_member(document, "data");
    printf("    ");
    put(print, STYLE_FAINT, demo_member(document, "id"), 38);
    put(print, STYLE_PLAIN, bytes_present(data) ? data : document, 0);
    printf("\n");
}

static void put_place(const struct demo_print *print, const struct kafka_message *message,
                      struct bytes document)
{
    char place[TOPIC_NAME_MAX + 64];
    struct bytes time = demo_member(document, "time");
    snprintf(place, sizeof(place), "%s [%d] @%lld", message->topic, message->partition,
             (long long)message->offset);
    put_str(print, STYLE_PLAIN, place, 30);
    /* Of 2026-01-31T12:34:56.123456Z the time of day in milliseconds. */
    if (time.len > 19) {
        put(print, STYLE_FAINT, bytes_make(time.ptr + 11, time.len >= 23 ? 12 : 8), 13);
    }
}

static void put_dead_letter(const struct demo_print *print, const struct kafka_message *message)
{
    printf("    ");
    put(print, STYLE_BAD, demo_header(message, "walferry_error"), 0);
    printf(" ");
    put(print, STYLE_PLAIN, demo_header(message, "walferry_reason"), 0);
    printf("\n");
}

void demo_print_record(struct demo_print *print, const struct kafka_message *message,
                       uint64_t latency_ns)
{
    bool dead = bytes_present(demo_header(message, "walferry_error"));
    struct json_value document = json_parse(message->value);
    struct bytes type = demo_member(message->value, "type");
    put(print, dead ? STYLE_BAD : STYLE_TYPE, dead ? BYTES_LIT("dead letter") : type, 15);
    put(print, STYLE_STRONG, message->key, 13);
    put_place(print, message, message->value);
    if (latency_ns != 0) {
        char text[32];
        snprintf(text, sizeof(text), "%8.1f ms", (double)latency_ns / 1e6);
        put_str(print, STYLE_GOOD, text, 0);
    }
    printf("\n");
    if (dead) {
        put_dead_letter(print, message);
    } else if (document.kind == JSON_OBJECT && !print->shown_in_full) {
        put_document(print, message->value);
        print->shown_in_full = true;
    } else {
        put_short(print, message->value);
    }
    fflush(stdout);
}
