/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka_server: one broker of Apache Kafka, with its own controller, on 127.0.0.1.
 *
 * Topics are not made by touching them (auto.create.topics.enable=false): who wants one creates it.
 * Data stays over stop, kill and resume. A server ends with the process that started it.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define KAFKA_PARTITIONS 3

struct kafka_server {
    char address[64]; /* bootstrap.servers */
    char dir[256];
    char log[280];
    unsigned port;
    unsigned controller_port;
    pid_t pid;     /* 0: stopped, or external */
    bool external; /* somebody else's */
    bool shared;   /* tests may not stop it */
};

/* A new broker, started. `settings`: more lines of server.properties, or NULL. New topics have
 * KAFKA_PARTITIONS partitions unless num.partitions says otherwise. */
struct kafka_server *kafka_start(const char *settings);
/* A broker that runs already. */
struct kafka_server *kafka_external(const char *address);
void kafka_stop(struct kafka_server *server); /* in order */
void kafka_kill(struct kafka_server *server); /* kill -9 */
/* Start a stopped one, on the same ports and data; waits until it answers. */
void kafka_resume(struct kafka_server *server);
/* The same in two steps, for those who have other things to do meanwhile. */
void kafka_launch(struct kafka_server *server);
bool kafka_answers(struct kafka_server *server);
/* Append lines to server.properties; they hold from the next start. */
void kafka_configure(struct kafka_server *server, const char *settings);
void kafka_free(struct kafka_server *server);
/* Create a topic; settings as "key=value,key=value" or NULL. Fails the test when it exists. */
void kafka_create_topic(const struct kafka_server *server, const char *topic, int partitions,
                        const char *settings);
void kafka_delete_topic(const struct kafka_server *server, const char *topic);
bool kafka_topic_exists(const struct kafka_server *server, const char *topic);
/* Publish one record by hand, and wait for its delivery; -1 for any partition. */
void kafka_produce(const struct kafka_server *server, const char *topic, int partition,
                   const char *key, const char *value);
/* Take a transactional id away from whoever has it. */
void kafka_fence(const struct kafka_server *server, const char *transactional_id);
