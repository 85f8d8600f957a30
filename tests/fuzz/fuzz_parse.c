/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The readers of small texts, one by the first byte of the input. What is read is written again and
 * read to the same; where there is a simpler way to the answer, both ways agree.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "answer.h"
#include "fields.h"
#include "listen.h"
#include "replay_options.h"
#include "walferry/base/assert.h"
#include "walferry/base/buf.h"
#include "walferry/base/clock.h"
#include "walferry/base/json.h"
#include "walferry/base/lsn.h"
#include "walferry/base/parse.h"
#include "walferry/base/utf8.h"
#include "walferry/command/command.h"

#define TEXT_SIZE 512
#define WORDS_MAX 16
/* Of a command that goes on. */
#define RESUME_WORDS_MAX 64
#define NOW_US           INT64_C(1767225600000000) /* 2026-01-01 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_lsn(struct bytes text)
{
    struct lsn lsn;
    struct lsn again;
    if (!lsn_parse(text, &lsn))
        return;
    struct lsn_text shown = lsn_format(lsn);
    ASSERT(lsn_parse(bytes_str(shown.text), &again) && lsn_cmp(lsn, again) == 0);
    ASSERT(text.len >= strlen(shown.text) && text.len <= LSN_TEXT_MAX - 1);
}

static void check_numbers(struct bytes text)
{
    char plain[TEXT_SIZE];
    char *end = NULL;
    uint64_t natural;
    int64_t whole;
    field_text(&text, plain, sizeof(plain));
    struct bytes all = bytes_str(plain);
    bool digits = all.len > 0 && strspn(plain, "0123456789") == all.len;
    errno = 0;
    unsigned long long expected = strtoull(plain, &end, 10);
    bool fits = digits && errno == 0;
    ASSERT(parse_u64(all, &natural) == fits);
    ASSERT(!fits || natural == expected);
    size_t sign = plain[0] == '-' ? 1 : 0;
    digits = all.len > sign && strspn(plain + sign, "0123456789") == all.len - sign;
    errno = 0;
    long long expected_whole = strtoll(plain, &end, 10);
    fits = digits && errno == 0;
    ASSERT(parse_i64(all, &whole) == fits);
    ASSERT(!fits || whole == expected_whole);
}

static void check_duration(struct bytes text)
{
    uint64_t ms;
    uint64_t again;
    char plain[64];
    if (!parse_duration_ms(text, &ms))
        return;
    int len = snprintf(plain, sizeof(plain), "%" PRIu64 "ms", ms);
    ASSERT(parse_duration_ms(bytes_make(plain, (size_t)len), &again) && again == ms);
    ASSERT(text.ptr[0] >= '0' && text.ptr[0] <= '9');
}

static void check_size(struct bytes text)
{
    uint64_t bytes;
    uint64_t again;
    char plain[64];
    if (!parse_size(text, &bytes))
        return;
    int len = snprintf(plain, sizeof(plain), "%" PRIu64, bytes);
    ASSERT(parse_size(bytes_make(plain, (size_t)len), &again) && again == bytes);
    ASSERT(text.ptr[0] >= '0' && text.ptr[0] <= '9');
}

/* RFC 3339 or what PostgreSQL shows. Offsets may carry a time past the years that can be written.
 */
static void check_clock(struct bytes text)
{
    int64_t time_us;
    int64_t again;
    int64_t first;
    int64_t last;
    ASSERT(clock_parse(BYTES_LIT("0001-01-01T00:00:00Z"), &first));
    ASSERT(clock_parse(BYTES_LIT("9999-12-31T23:59:59.999999Z"), &last));
    if (!clock_parse(text, &time_us))
        return;
    struct clock_text shown = clock_format(time_us);
    ASSERT(clock_parse(bytes_str(shown.text), &again));
    ASSERT(again == (time_us < first ? first : time_us > last ? last : time_us));
    ASSERT(clock_from_pg(clock_to_pg(again)) == again);
}

/* By the book: whether the first i of the pattern match the first j of the text. */
static bool glob_slowly(struct bytes pattern, struct bytes text)
{
    static bool row[TEXT_SIZE + 1];
    memset(row, 0, sizeof(row));
    row[0] = true;
    for (size_t i = 0; i < pattern.len; i++) {
        uint8_t wanted = pattern.ptr[i];
        bool any = wanted == '?';
        bool run = wanted == '*';
        if (wanted == '\\') {
            if (++i == pattern.len)
                return false;
            wanted = pattern.ptr[i];
        }
        if (run) {
            for (size_t j = 1; j <= text.len; j++)
                row[j] = row[j] || row[j - 1];
            continue;
        }
        for (size_t j = text.len; j > 0; j--)
            row[j] = row[j - 1] && (any || text.ptr[j - 1] == wanted);
        row[0] = false;
    }
    return row[text.len];
}

static void check_glob(struct bytes text)
{
    struct bytes pattern = field_next(&text);
    if (pattern.len > TEXT_SIZE || text.len > TEXT_SIZE)
        return;
    ASSERT(glob_match(pattern, text) == glob_slowly(pattern, text));
    ASSERT(glob_valid(pattern) || !glob_match(pattern, text));
}

static void check_distance(struct bytes text)
{
    char a[TEXT_SIZE];
    char b[TEXT_SIZE];
    field_text(&text, a, sizeof(a));
    field_text(&text, b, sizeof(b));
    unsigned distance = edit_distance(a, b);
    size_t longer = strlen(a) > strlen(b) ? strlen(a) : strlen(b);
    ASSERT(distance == edit_distance(b, a) && distance <= 255);
    ASSERT(distance <= longer || longer > 255);
    ASSERT((distance == 0) == (strcmp(a, b) == 0) || longer > 255);
}

static void check_listen(struct bytes text)
{
    char plain[TEXT_SIZE];
    char again[TEXT_SIZE];
    struct listen_address address;
    struct err err = ERR_INIT;
    field_text(&text, plain, sizeof(plain));
    if (!listen_parse(plain, &address, &err)) {
        ASSERT(err.code == ERR_HTTP_LISTEN && err.hint[0] != '\0');
        return;
    }
    bool brackets = plain[0] == '[';
    snprintf(again, sizeof(again), "%s%s%s:%s", brackets ? "[" : "", address.host,
             brackets ? "]" : "", address.port);
    ASSERT(strcmp(plain, again) == 0 && address.host[0] != '\0' && address.port[0] != '\0');
}

/* Whatever else is accepted, what is wanted most is served, and nothing is asked of silence. */
static void check_accept(struct bytes text)
{
    char plain[TEXT_SIZE];
    char more[TEXT_SIZE + 64];
    field_text(&text, plain, sizeof(plain));
    bool wanted = accept_openmetrics(plain);
    ASSERT(!wanted || strcasestr(plain, "application/openmetrics-text") != NULL);
    snprintf(more, sizeof(more), "application/openmetrics-text,%s", plain);
    ASSERT(accept_openmetrics(more));
    snprintf(more, sizeof(more), "%s, text/plain", plain);
    ASSERT(wanted || !accept_openmetrics(more));
}

static void check_utf8(struct bytes text)
{
    struct buf shown AUTO(buf_deinit);
    struct buf quoted AUTO(buf_deinit);
    buf_init(&shown, 4 * text.len + 16);
    buf_init(&quoted, 6 * text.len + 16);
    utf8_put_printable(&shown, text, text.len);
    ASSERT(buf_ok(&shown) && utf8_valid(buf_bytes(&shown)));
    struct bytes cut = utf8_cut(text, text.len / 2);
    ASSERT(cut.len <= text.len / 2);
    ASSERT(utf8_valid(cut) || !utf8_valid(text));
    if (!utf8_valid(text))
        return;
    struct json_writer json;
    struct arena arena;
    bool sound = true;
    ASSERT(arena_init(&arena, quoted.max, quoted.max));
    json_writer_init(&json, &quoted);
    json_string(&json, text);
    ASSERT(buf_ok(&quoted) && json_parse(buf_bytes(&quoted)).kind == JSON_STRING);
    struct bytes again = json_unescape(buf_bytes(&quoted), &arena, &sound);
    bool nul = text.len > 0 && memchr(text.ptr, 0, text.len) != NULL;
    ASSERT(sound != nul);
    ASSERT(nul || (again.len == text.len && memcmp(again.ptr, text.ptr, text.len) == 0));
    arena_deinit(&arena);
}

/* The words of a command line. */
static void check_arguments(struct bytes text)
{
    static char words[WORDS_MAX][TEXT_SIZE];
    char *argv[WORDS_MAX];
    int argc = 0;
    size_t count = 0;
    while (commands[count].name != NULL)
        count++;
    const struct command *command = &commands[field_number(&text, 1) % count];
    while (text.len > 0 && argc < WORDS_MAX) {
        field_text(&text, words[argc], TEXT_SIZE);
        argv[argc] = words[argc];
        argc++;
    }
    struct arguments arguments;
    struct err err = ERR_INIT;
    switch (arguments_parse(command, argc, argv, &arguments, &err)) {
    case ARGUMENTS_RUN:
        ASSERT(arguments.command == command && arguments.set_count <= (size_t)argc);
        for (size_t i = 0; command->options[i].name != NULL; i++) {
            const char *value = arguments_value(&arguments, command->options[i].name);
            ASSERT(value == NULL || command->options[i].argument != NULL || value[0] == '\0');
        }
        return;
    case ARGUMENTS_HELP:
        ASSERT(argc > 0);
        return;
    case ARGUMENTS_WRONG:
        ASSERT(err.code == ERR_USAGE && err.message[0] != '\0');
        return;
    }
    UNREACHABLE();
}

/* What a shell would give to the command, in place; nothing in it means more to a shell. */
static int shell_words(char *text, char **argv)
{
    char *to = text;
    int argc = 0;
    for (char *from = text; *from != '\0';) {
        bool quoted = false;
        ASSERT(argc < RESUME_WORDS_MAX);
        argv[argc++] = to;
        for (; *from != '\0' && (quoted || *from != ' '); from++) {
            if (*from == '\'')
                quoted = !quoted;
            else if (quoted || *from != '\\')
                *to++ = *from;
            else
                *to++ = *++from;
            ASSERT(quoted || strchr("\t\n\"$`&|;<>(){}[]*?!#~^", *from) == NULL);
        }
        ASSERT(!quoted);
        from += *from == ' ' ? 1 : 0;
        *to++ = '\0';
    }
    return argc;
}

static const struct command *command_named(const char *name)
{
    const struct command *command = commands;
    while (strcmp(command->name, name) != 0)
        command++;
    return command;
}

static bool read_replay(int argc, char **argv, struct arguments *arguments,
                        struct replay_options *options)
{
    static char ids[] = "2\n1\n";
    struct err err = ERR_INIT;
    if (arguments_parse(command_named("replay"), argc, argv, arguments, &err) != ARGUMENTS_RUN)
        return false;
    FILE *input = fmemopen(ids, sizeof(ids) - 1, "r");
    ASSERT(input != NULL);
    bool ok = replay_options_read(arguments, NOW_US, input, options, &err);
    fclose(input);
    return ok;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_but_secrets(const char *plain, const char *blanked)
{
    if (plain == NULL || blanked == NULL)
        return plain == blanked;
    struct buf text AUTO(buf_deinit);
    buf_init(&text, 65536);
    config_redact(plain, &text);
    return strcmp(buf_cstr(&text), blanked) == 0;
}

/* A time that cannot be written is written as the first or the last that can. */
static bool same_time(bool given, int64_t a, int64_t b)
{
    int64_t shown;
    if (!given)
        return true;
    ASSERT(clock_parse(bytes_str(clock_format(a).text), &shown));
    return shown == b;
}

static bool same_option(const char *name, const char *before, const char *after)
{
    if (strcmp(name, "--conninfo") == 0)
        return same_but_secrets(before, after);
    if (strcmp(name, "--from") == 0 || strcmp(name, "--to") == 0)
        return (before == NULL) == (after == NULL);
    /* A long list is not repeated. */
    if (strcmp(name, "--ids") == 0 && before != NULL && strlen(before) > 400)
        return same_text(after, "-");
    return same_text(before, after);
}

static void check_resumed(const struct arguments *before, const struct replay_options *options,
                          char *text)
{
    char *argv[RESUME_WORDS_MAX];
    struct arguments after;
    struct replay_options again;
    int argc = shell_words(text, argv);
    ASSERT(argc > 2 && strcmp(argv[0], "walferry") == 0 && strcmp(argv[1], "replay") == 0);
    if (options->has_from && options->has_to &&
        strcmp(clock_format(options->from_us).text, clock_format(options->to_us).text) == 0)
        return;
    ASSERT(read_replay(argc - 2, argv + 2, &after, &again));
    ASSERT(same_text(before->config, after.config) && before->set_count == after.set_count);
    for (size_t i = 0; i < before->set_count; i++)
        ASSERT(same_but_secrets(before->sets[i], after.sets[i]));
    for (const struct option_spec *option = before->command->options; option->name != NULL;
         option++)
        ASSERT(same_option(option->name, arguments_value(before, option->name),
                           arguments_value(&after, option->name)));
    ASSERT(same_time(options->has_from, options->from_us, again.from_us));
    ASSERT(same_time(options->has_to, options->to_us, again.to_us));
    replay_options_free(&again);
}

/* The command that goes on with a replay means what the first one meant. */
static void check_replay(struct bytes text)
{
    static char words[WORDS_MAX][TEXT_SIZE];
    char *argv[WORDS_MAX];
    int argc = 0;
    while (text.len > 0 && argc < WORDS_MAX) {
        field_text(&text, words[argc], TEXT_SIZE);
        argv[argc] = words[argc];
        argc++;
    }
    struct arguments arguments;
    struct replay_options options;
    if (!read_replay(argc, argv, &arguments, &options))
        return;
    struct buf resume AUTO(buf_deinit);
    buf_init(&resume, (size_t)1 << 20);
    replay_options_resume(&options, &arguments, NULL, &resume);
    buf_put_u8(&resume, '\0');
    ASSERT(buf_ok(&resume));
    check_resumed(&arguments, &options, (char *)resume.ptr);
    replay_options_free(&options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(struct bytes text) = {
        check_lsn,      check_numbers, check_duration, check_size, check_clock,     check_glob,
        check_distance, check_listen,  check_accept,   check_utf8, check_arguments, check_replay,
    };
    struct bytes text = bytes_make(data, size);
    if (size == 0)
        return 0;
    checks[field_number(&text, 1) % ARRAY_LEN(checks)](text);
    return 0;
}
