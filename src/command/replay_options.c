/* SPDX-License-Identifier: Apache-2.0 */
#include "replay_options.h"

#include <stdlib.h>

#include "walferry/base/clock.h"
#include "walferry/base/parse.h"
#include "walferry/base/utf8.h"

#define TIMEOUT_MS    UINT64_C(60000)
#define IDS_BYTES_MAX ((size_t)64 << 20)
/* A longer list is not written into the command that goes on. */
#define IDS_SHOWN_MAX 400
#define US_PER_MS     1000

const struct replay_filter replay_filters[REPLAY_FILTERS] = {
    {"--type", EVENT_event_type, true},
    {"--aggregate-id", EVENT_aggregate_id, false},
};

static bool usage(struct err *err)
{
    return err_hint(err, "see walferry replay --help");
}

/* --- times --- */

/* Without a zone people mean their own, and that is not known here. */
static bool has_zone(struct bytes text)
{
    bool zone = false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        zone = zone || (i > 10 && (byte == 'Z' || byte == 'z' || byte == '+' || byte == '-'));
    }
    return zone;
}

static bool read_time(const char *option, const char *value, int64_t now_us, int64_t *ret_us,
                      struct err *err)
{
    struct bytes text = bytes_str(value);
    uint64_t age_ms;
    if (clock_parse(text, ret_us) && has_zone(text))
        return true;
    if (parse_duration_ms(text, &age_ms) && age_ms < INT64_MAX / US_PER_MS) {
        *ret_us = now_us - (int64_t)age_ms * US_PER_MS;
        return true;
    }
    err_set(err, ERR_USAGE, "%s: \"%s\" is neither a time with its zone nor an age", option, value);
    return err_hint(err, "write %s %s, or an age such as %s 2h or %s 1.5d", option,
                    clock_format(now_us - now_us % US_PER_S).text, option, option);
}

static bool read_window(const struct arguments *arguments, int64_t now_us,
                        struct replay_options *options, struct err *err)
{
    const char *from = arguments_value(arguments, "--from");
    const char *to = arguments_value(arguments, "--to");
    options->has_from = from != NULL;
    options->has_to = to != NULL;
    if (from != NULL && !read_time("--from", from, now_us, &options->from_us, err))
        return false;
    if (to != NULL && !read_time("--to", to, now_us, &options->to_us, err))
        return false;
    if (to == NULL || from == NULL || options->from_us < options->to_us)
        return true;
    discard(err_set(err, ERR_USAGE, "--from %s does not lie before --to %s",
                    clock_format(options->from_us).text, clock_format(options->to_us).text));
    return usage(err);
}

/* --- ids --- */

static bool read_input(FILE *input, struct buf *out, struct err *err)
{
    char block[8192];
    size_t len;
    while ((len = fread(block, 1, sizeof(block), input)) > 0)
        buf_put(out, block, len);
    if (ferror(input) != 0)
        return err_set(err, ERR_OS, "standard input cannot be read");
    return true;
}

/* That the buffer holds all of them. */
static bool check_whole(const struct buf *text, struct err *err)
{
    if (buf_ok(text))
        return true;
    if (text->starved)
        return err_set(err, ERR_MEMORY, "no memory for the ids");
    discard(err_set(err, ERR_USAGE, "the ids have more than %zu bytes", IDS_BYTES_MAX));
    return err_hint(err, "give them in parts");
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Cut at `separator`, without white space around; empty ones are none. */
static size_t split(char *text, char separator, const char **items)
{
    size_t count = 0;
    for (char *next = text; next != NULL;) {
        char *item = next;
        next = strchr(item, separator);
        char *end = next == NULL ? item + strlen(item) : next++;
        while (is_space(*item))
            item++;
        while (end > item && is_space(end[-1]))
            end--;
        *end = '\0';
        if (*item != '\0')
            items[count++] = item;
    }
    return count;
}

static int compare(const void *a, const void *b)
{
    const char *const *left = a;
    const char *const *right = b;
    return strcmp(*left, *right);
}

static void sort_unique(struct replay_ids *ids)
{
    size_t kept = 0;
    qsort(ids->items, ids->count, sizeof(ids->items[0]), compare);
    for (size_t i = 0; i < ids->count; i++)
        if (i == 0 || strcmp(ids->items[i], ids->items[kept - 1]) != 0)
            ids->items[kept++] = ids->items[i];
    ids->count = kept;
}

static bool take_ids(struct bytes text, char separator, struct replay_ids *ids, struct err *err)
{
    size_t most = 1;
    for (size_t i = 0; i < text.len; i++)
        most += text.ptr[i] == (uint8_t)separator;
    if (!utf8_valid(text) || (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL))
        return err_set(err, ERR_USAGE, "the ids are not text: UTF-8, without NUL");
    ids->text = strndup((const char *)text.ptr, text.len);
    ids->items = calloc(most, sizeof(ids->items[0]));
    if (ids->text == NULL || ids->items == NULL)
        return err_set(err, ERR_MEMORY, "no memory for the ids");
    ids->count = split(ids->text, separator, ids->items);
    sort_unique(ids);
    if (ids->count > 0)
        return true;
    discard(err_set(err, ERR_USAGE, "--ids names no id"));
    return err_hint(err, "write --ids ID,ID or --ids - with one a line on standard input");
}

static bool read_ids(const char *value, FILE *input, struct replay_options *options,
                     struct err *err)
{
    struct buf text;
    bool piped = strcmp(value, "-") == 0;
    options->by_ids = true;
    buf_init(&text, IDS_BYTES_MAX);
    if (!piped)
        buf_put_str(&text, value);
    bool ok = (!piped || read_input(input, &text, err)) && check_whole(&text, err) &&
              take_ids(buf_bytes(&text), piped ? '\n' : ',', &options->ids, err);
    buf_deinit(&text);
    return ok;
}

/* --- the whole --- */

static bool read_timeout(const char *value, struct replay_options *options, struct err *err)
{
    options->timeout_ms = TIMEOUT_MS;
    if (value == NULL ||
        (parse_duration_ms(bytes_str(value), &options->timeout_ms) && options->timeout_ms > 0))
        return true;
    discard(err_set(err, ERR_USAGE, "--timeout: \"%s\" is not a duration", value));
    return err_hint(err, "write --timeout 60s");
}

static bool check_filters(const struct replay_options *options, struct err *err)
{
    for (size_t i = 0; i < REPLAY_FILTERS; i++) {
        const char *wanted = options->filters[i];
        if (wanted == NULL || !replay_filters[i].glob || glob_valid(bytes_str(wanted)))
            continue;
        discard(err_set(err, ERR_USAGE, "%s: \"%s\" ends in a backslash that quotes nothing",
                        replay_filters[i].option, wanted));
        return usage(err);
    }
    return true;
}

static bool check(const struct replay_options *options, struct err *err)
{
    if (options->by_ids && (options->has_from || options->has_to))
        err_set(err, ERR_USAGE, "--ids and a window of time exclude each other");
    else if (!options->by_ids && !options->has_from)
        err_set(err, ERR_USAGE, "what is to be published again? Say --from T or --ids ID,ID");
    else if (options->json && !options->dry_run)
        err_set(err, ERR_USAGE, "--json is the form of the lines of --dry-run");
    else
        return check_filters(options, err);
    return usage(err);
}

bool replay_options_read(const struct arguments *arguments, int64_t now_us, FILE *input,
                         struct replay_options *ret_options, struct err *err)
{
    struct replay_options options = {
        .after = arguments_value(arguments, "--after"),
        .table = arguments_value(arguments, "--table"),
        .conninfo = arguments_value(arguments, "--conninfo"),
        .dry_run = arguments_value(arguments, "--dry-run") != NULL,
        .json = arguments_value(arguments, "--json") != NULL,
    };
    const char *ids = arguments_value(arguments, "--ids");
    for (size_t i = 0; i < REPLAY_FILTERS; i++)
        options.filters[i] = arguments_value(arguments, replay_filters[i].option);
    options.by_ids = ids != NULL;
    bool ok = read_window(arguments, now_us, &options, err) && check(&options, err) &&
              read_timeout(arguments_value(arguments, "--timeout"), &options, err) &&
              (ids == NULL || read_ids(ids, input, &options, err));
    if (!ok) {
        replay_options_free(&options);
        return false;
    }
    *ret_options = options;
    return true;
}

void replay_options_free(struct replay_options *options)
{
    free(options->ids.text);
    free(options->ids.items);
    options->ids = (struct replay_ids){0};
}

bool replay_options_pass(const struct replay_options *options, const struct event *event)
{
    for (size_t i = 0; i < REPLAY_FILTERS; i++) {
        const char *wanted = options->filters[i];
        struct bytes text = event_text(event, replay_filters[i].field);
        if (!bytes_present(text))
            text = BYTES_LIT("");
        if (wanted == NULL)
            continue;
        if (replay_filters[i].glob ? !glob_match(bytes_str(wanted), text) : !bytes_is(text, wanted))
            return false;
    }
    return true;
}

/* --- the command that goes on --- */

void replay_put_word(struct buf *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./:,=@%+";
    if (word[0] != '\0' && word[strspn(word, plain)] == '\0') {
        buf_put_str(out, word);
        return;
    }
    buf_put_u8(out, '\'');
    for (; *word != '\0'; word++) {
        if (*word == '\'')
            buf_put_str(out, "'\\'");
        buf_put_u8(out, (uint8_t)*word);
    }
    buf_put_u8(out, '\'');
}

/* Bound to a value that would be read as another option if it stood alone. */
static void put_option(struct buf *out, const char *option, const char *value)
{
    if (value == NULL)
        return;
    bool bound = value[0] == '-' && value[1] != '\0';
    buf_printf(out, " %s%c", option, bound ? '=' : ' ');
    replay_put_word(out, value);
}

static void put_blanked(struct buf *out, const char *option, const char *value)
{
    struct buf text;
    if (value == NULL)
        return;
    buf_init(&text, 65536);
    config_redact(value, &text);
    put_option(out, option, buf_cstr(&text));
    buf_deinit(&text);
}

static void put_rows(const struct replay_options *options, const struct arguments *arguments,
                     struct buf *out)
{
    const char *ids = arguments_value(arguments, "--ids");
    if (options->has_from)
        put_option(out, "--from", clock_format(options->from_us).text);
    if (options->has_to)
        put_option(out, "--to", clock_format(options->to_us).text);
    if (ids != NULL)
        put_option(out, "--ids", strlen(ids) > IDS_SHOWN_MAX ? "-" : ids);
}

void replay_options_resume(const struct replay_options *options, const struct arguments *arguments,
                           const char *after, struct buf *out)
{
    buf_put_str(out, "walferry replay");
    /* A letter takes its value as the next word only. */
    bool letter = arguments->config == NULL || arguments->config[0] != '-';
    put_option(out, letter ? "-c" : "--config", arguments->config);
    for (size_t i = 0; i < arguments->set_count; i++)
        put_blanked(out, "--set", arguments->sets[i]);
    put_blanked(out, "--conninfo", options->conninfo);
    put_rows(options, arguments, out);
    put_option(out, "--table", options->table);
    for (size_t i = 0; i < REPLAY_FILTERS; i++)
        put_option(out, replay_filters[i].option, options->filters[i]);
    put_option(out, "--timeout", arguments_value(arguments, "--timeout"));
    put_option(out, "--after", after != NULL ? after : options->after);
    if (options->dry_run)
        buf_put_str(out, options->json ? " --dry-run --json" : " --dry-run");
}
