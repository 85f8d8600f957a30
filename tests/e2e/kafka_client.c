/* SPDX-License-Identifier: Apache-2.0 */
#include "kafka_client.h"

#include <string.h>

#include "harness.h"

#define ADMIN_MS 30000

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char message[256];
    REQUIRE(rd_kafka_conf_set(conf, name, value, message, sizeof message) == RD_KAFKA_CONF_OK, "%s",
            message);
}

rd_kafka_t *kafka_client_new(rd_kafka_type_t type, const char *address, const char *const *settings)
{
    char message[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", address);
    /* A broker that is away is part of many tests. */
    set(conf, "log_level", "0");
    for (; settings != NULL && *settings != NULL; settings += 2)
        set(conf, settings[0], settings[1]);
    rd_kafka_t *client = rd_kafka_new(type, conf, message, sizeof message);
    REQUIRE(client != NULL, "%s", message);
    return client;
}

static void set_topic_settings(rd_kafka_NewTopic_t *topic, const char *settings)
{
    char *list = text("%s", settings == NULL ? "" : settings);
    char *rest = list;
    char *pair;
    while ((pair = strsep(&rest, ",")) != NULL && pair[0] != '\0') {
        char *value = strchr(pair, '=');
        REQUIRE(value != NULL, "%s: not key=value", pair);
        *value++ = '\0';
        REQUIRE(rd_kafka_NewTopic_set_config(topic, pair, value) == RD_KAFKA_RESP_ERR_NO_ERROR,
                "%s=%s", pair, value);
    }
}

static rd_kafka_event_t *admin_result(rd_kafka_queue_t *queue, const char *topic)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, ADMIN_MS);
    REQUIRE(event != NULL, "%s: the broker did not answer", topic);
    REQUIRE(rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR, "%s: %s", topic,
            rd_kafka_event_error_string(event));
    return event;
}

static void check_topics(const rd_kafka_topic_result_t **results, size_t count)
{
    for (size_t i = 0; i < count; i++)
        REQUIRE(rd_kafka_topic_result_error(results[i]) == RD_KAFKA_RESP_ERR_NO_ERROR, "%s: %s",
                rd_kafka_topic_result_name(results[i]),
                rd_kafka_topic_result_error_string(results[i]));
}

void kafka_create_topic(const struct kafka_server *server, const char *topic, int partitions,
                        const char *settings)
{
    char message[256];
    size_t count = 0;
    rd_kafka_t *client = kafka_client_new(RD_KAFKA_PRODUCER, server->address, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_NewTopic_t *wanted =
        rd_kafka_NewTopic_new(topic, partitions, -1, message, sizeof message);
    REQUIRE(wanted != NULL, "%s: %s", topic, message);
    set_topic_settings(wanted, settings);
    rd_kafka_CreateTopics(client, &wanted, 1, NULL, queue);
    rd_kafka_event_t *event = admin_result(queue, topic);
    check_topics(
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count),
        count);
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(wanted);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
}

void kafka_delete_topic(const struct kafka_server *server, const char *topic)
{
    size_t count = 0;
    rd_kafka_t *client = kafka_client_new(RD_KAFKA_PRODUCER, server->address, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_DeleteTopic_t *wanted = rd_kafka_DeleteTopic_new(topic);
    rd_kafka_DeleteTopics(client, &wanted, 1, NULL, queue);
    rd_kafka_event_t *event = admin_result(queue, topic);
    check_topics(
        rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count),
        count);
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteTopic_destroy(wanted);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
}

bool kafka_topic_exists(const struct kafka_server *server, const char *topic)
{
    const struct rd_kafka_metadata *metadata;
    bool found = false;
    rd_kafka_t *client = kafka_client_new(RD_KAFKA_PRODUCER, server->address, NULL);
    rd_kafka_resp_err_t error = rd_kafka_metadata(client, 1, NULL, &metadata, ADMIN_MS);
    REQUIRE(error == RD_KAFKA_RESP_ERR_NO_ERROR, "%s", rd_kafka_err2str(error));
    for (int i = 0; i < metadata->topic_cnt; i++)
        found |= strcmp(metadata->topics[i].topic, topic) == 0 &&
                 metadata->topics[i].err == RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_destroy(client);
    return found;
}

static void note_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client;
    (void)opaque;
    *(rd_kafka_resp_err_t *)message->_private = message->err;
}

void kafka_produce(const struct kafka_server *server, const char *topic, int partition,
                   const char *key, const char *value)
{
    rd_kafka_resp_err_t outcome = RD_KAFKA_RESP_ERR__IN_PROGRESS;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", server->address);
    set(conf, "log_level", "0");
    rd_kafka_conf_set_dr_msg_cb(conf, note_delivery);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
    REQUIRE(client != NULL, "no producer");
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    int status = rd_kafka_produce(
        handle, partition, RD_KAFKA_MSG_F_COPY, value == NULL ? NULL : text("%s", value),
        value == NULL ? 0 : strlen(value), key, key == NULL ? 0 : strlen(key), &outcome);
    REQUIRE(status == 0, "%s: %s", topic, rd_kafka_err2str(rd_kafka_last_error()));
    rd_kafka_flush(client, ADMIN_MS);
    REQUIRE(outcome == RD_KAFKA_RESP_ERR_NO_ERROR, "%s: %s", topic, rd_kafka_err2str(outcome));
    rd_kafka_topic_destroy(handle);
    rd_kafka_destroy(client);
}

void kafka_fence(const struct kafka_server *server, const char *transactional_id)
{
    const char *const settings[] = {"transactional.id", transactional_id, NULL};
    rd_kafka_t *client = kafka_client_new(RD_KAFKA_PRODUCER, server->address, settings);
    rd_kafka_error_t *error = rd_kafka_init_transactions(client, ADMIN_MS);
    REQUIRE(error == NULL, "%s: %s", transactional_id, rd_kafka_error_string(error));
    rd_kafka_destroy(client);
}
