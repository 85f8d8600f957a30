/* SPDX-License-Identifier: Apache-2.0 */
/* The table itself, and what is made from it. */
#include <stdio.h>

#include "../../../src/config/load.h"
#include "../../../src/config/schema.h"
#include "bad.h"
#include "walferry/base/json.h"

#define TEXT_MAX ((size_t)1024 * 1024)

static void read_text(const char *name, struct buf *out)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", CONFIG_DIR, name);
    FILE *file = fopen(path, "re");
    ck_assert_msg(file != NULL, "%s is missing", path);
    char text[4096];
    size_t len = 0;
    while ((len = fread(text, 1, sizeof(text), file)) > 0) {
        buf_put(out, text, len);
    }
    ck_assert_int_eq(fclose(file), 0);
    ck_assert(buf_ok(out));
}

static void compare_file(const char *name, const char *argument, void (*write)(struct buf *out))
{
    struct buf made AUTO(buf_deinit);
    struct buf stored AUTO(buf_deinit);
    buf_init(&made, TEXT_MAX);
    buf_init(&stored, TEXT_MAX);
    write(&made);
    read_text(name, &stored);
    ck_assert(buf_ok(&made));
    ck_assert_msg(bytes_equal(buf_bytes(&made), buf_bytes(&stored)),
                  "config/%s is not what the table says; bring it up to date with `config_generate "
                  "%s > config/%s`",
                  name, argument, name);
}

START_TEST(the_stored_files_are_up_to_date)
{
    compare_file("walferry.reference.yaml", "reference", config_reference);
    compare_file("walferry.schema.json", "schema", config_json_schema);
}
END_TEST

START_TEST(the_stored_files_load)
{
    static const char *const names[] = {"walferry.reference.yaml", "walferry.example.yaml"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct buf text AUTO(buf_deinit);
        buf_init(&text, TEXT_MAX);
        read_text(names[i], &text);
        struct config *config = good_load(buf_cstr(&text), NULL, 0);
        ck_assert_str_eq(config->name, "orders");
        config_free(config);
    }
}
END_TEST

START_TEST(the_reference_says_the_defaults)
{
    struct buf text AUTO(buf_deinit);
    buf_init(&text, TEXT_MAX);
    config_reference(&text);
    struct config *reference = good_load(buf_cstr(&text), NULL, 0);
    struct config *bare = good_load(GOOD, NULL, 0);
    ck_assert_str_eq(reference->source.slot, bare->source.slot);
    ck_assert_uint_eq(reference->source.status_interval_ms, bare->source.status_interval_ms);
    ck_assert_int_eq(reference->source.failover, bare->source.failover);
    ck_assert_int_eq(reference->captures[0].preset, bare->captures[0].preset);
    ck_assert_str_eq(reference->route.topic, bare->route.topic);
    ck_assert_uint_eq(reference->delivery.max_in_flight_bytes, bare->delivery.max_in_flight_bytes);
    ck_assert_int_eq(reference->sink.topics_partitions, bare->sink.topics_partitions);
    ck_assert_str_eq(reference->http.listen, bare->http.listen);
    ck_assert_int_eq(reference->log_level, bare->log_level);
    config_free(reference);
    config_free(bare);
}
END_TEST

START_TEST(every_key_stands_in_what_is_made)
{
    struct buf reference AUTO(buf_deinit);
    struct buf manual AUTO(buf_deinit);
    struct buf schema AUTO(buf_deinit);
    buf_init(&reference, TEXT_MAX);
    buf_init(&manual, TEXT_MAX);
    buf_init(&schema, TEXT_MAX);
    config_reference(&reference);
    config_manual(&manual);
    config_json_schema(&schema);
    for (size_t i = 0; i < schema_key_count; i++) {
        const struct key *key = &schema_keys[i];
        char text[128];
        snprintf(text, sizeof(text), "%s:", key_name(key));
        ck_assert_ptr_nonnull(strstr(buf_cstr(&reference), text));
        snprintf(text, sizeof(text), ".It Ic %s\n", key->path);
        ck_assert_ptr_nonnull(strstr(buf_cstr(&manual), text));
        snprintf(text, sizeof(text), "\"%s\":{\"description\":", key_name(key));
        ck_assert_ptr_nonnull(strstr(buf_cstr(&schema), text));
    }
    ck_assert_int_eq(json_parse(buf_bytes(&schema)).kind, JSON_OBJECT);
    ck_assert_ptr_nonnull(strstr(buf_cstr(&manual), ".Sh DESCRIPTION\n"));
    ck_assert_ptr_null(strstr(buf_cstr(&manual), "\n\n"));
}
END_TEST

START_TEST(rows_are_complete_and_stand_once)
{
    for (size_t i = 0; i < schema_key_count; i++) {
        const struct key *key = &schema_keys[i];
        ck_assert_msg(key->doc != NULL && key->doc[strlen(key->doc) - 1] == '.', "%s", key->path);
        ck_assert_msg((key->unavailable == NULL) == (key->hint == NULL), "%s", key->path);
        ck_assert_msg((key->type == KEY_ENUM) == (key->values != NULL), "%s", key->path);
        ck_assert_msg(key->sample != NULL || key->preset != NULL || !key_is_scalar(key), "%s",
                      key->path);
        for (size_t j = 0; j < i; j++) {
            ck_assert_str_ne(key->path, schema_keys[j].path);
        }
    }
}
END_TEST

START_TEST(presets_are_those_of_capture)
{
    const struct key *key = schema_find("capture[]", "preset");
    ck_assert_ptr_nonnull(key);
    unsigned count = 0;
    for (const struct enum_value *value = key->values; value->text != NULL; value++, count++) {
        ck_assert_str_eq(value->text, preset_name((enum preset_id)value->value));
    }
    ck_assert_uint_eq(count, PRESET_COUNT);
}
END_TEST

START_TEST(numbers_are_written_with_their_unit)
{
    ck_assert_str_eq(key_number(KEY_DURATION, 0).text, "0");
    ck_assert_str_eq(key_number(KEY_DURATION, 250).text, "250ms");
    ck_assert_str_eq(key_number(KEY_DURATION, 90000).text, "90s");
    ck_assert_str_eq(key_number(KEY_DURATION, 3600000).text, "1h");
    ck_assert_str_eq(key_number(KEY_SIZE, 65536).text, "64KiB");
    ck_assert_str_eq(key_number(KEY_SIZE, 1000).text, "1000B");
    ck_assert_str_eq(key_number(KEY_INT, -1).text, "-1");
}
END_TEST

START_TEST(secret_properties_are_known_by_name)
{
    static const char *const secrets[] = {"sasl.password",
                                          "ssl.key.password",
                                          "ssl.keystore.password",
                                          "ssl.key.pem",
                                          "ssl_key",
                                          "sasl.oauthbearer.client.secret",
                                          "sasl.oauthbearer.config",
                                          "sasl.oauthbearer.assertion.private.key.passphrase"};
    static const char *const others[] = {"sasl.username",       "ssl.key.location",  "client.id",
                                         "ssl.certificate.pem", "bootstrap.servers", ""};
    for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
        ck_assert_msg(secret_property(secrets[i]), "%s", secrets[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        ck_assert_msg(!secret_property(others[i]), "%s", others[i]);
    }
}
END_TEST

static Suite *suite_of_schema(void)
{
    Suite *suite = suite_create("config_schema");
    TCase *cases = tcase_create("schema");
    tcase_add_test(cases, the_stored_files_are_up_to_date);
    tcase_add_test(cases, the_stored_files_load);
    tcase_add_test(cases, the_reference_says_the_defaults);
    tcase_add_test(cases, every_key_stands_in_what_is_made);
    tcase_add_test(cases, rows_are_complete_and_stand_once);
    tcase_add_test(cases, presets_are_those_of_capture);
    tcase_add_test(cases, numbers_are_written_with_their_unit);
    tcase_add_test(cases, secret_properties_are_known_by_name);
    suite_add_tcase(suite, cases);
    return suite;
}

TEST_MAIN(suite_of_schema())
