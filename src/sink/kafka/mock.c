/* SPDX-License-Identifier: Apache-2.0 */
#include <librdkafka/rdkafka.h>

#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>

#include "walferry/sink/kafka.h"

struct kafka_mock {
    rd_kafka_t *rk; /* the cluster's threads belong to an instance */
    rd_kafka_mock_cluster_t *cluster;
};

bool kafka_mock_new(unsigned brokers, struct kafka_mock **ret_mock, struct err *err)
{
    struct kafka_mock *mock = calloc(1, sizeof(*mock));
    if (mock == NULL) {
        return err_set(err, ERR_MEMORY, "no memory for a cluster in a box");
    }
    char reason[256] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL);
    mock->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    if (mock->rk == NULL) {
        rd_kafka_conf_destroy(conf);
    } else {
        mock->cluster = rd_kafka_mock_cluster_new(mock->rk, (int)brokers);
    }
    if (mock->cluster == NULL) {
        kafka_mock_free(mock);
        err_set(err, ERR_OS, "the cluster in a box does not start: %s", reason);
        return err_hint(err, "name a real one: walferry demo --kafka HOST:PORT");
    }
    *ret_mock = mock;
    return true;
}

const char *kafka_mock_bootstrap(const struct kafka_mock *mock)
{
    return rd_kafka_mock_cluster_bootstraps(mock->cluster);
}

void kafka_mock_free(struct kafka_mock *mock)
{
    if (mock == NULL) {
        return;
    }
    if (mock->cluster != NULL) {
        rd_kafka_mock_cluster_destroy(mock->cluster);
    }
    if (mock->rk != NULL) {
        rd_kafka_destroy(mock->rk);
    }
    free(mock);
}
