/* SPDX-License-Identifier: Apache-2.0 */
/* with_kafka COMMAND ARGUMENT...: runs the command while a broker of Apache Kafka is there, named
 * by WALFERRY_TEST_KAFKA; so that a run of many test binaries starts one only once. Ends with the
 * command's status. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static int run(void *context)
{
    char *const *command = context;
    int status;
    struct kafka_server *kafka = kafka_start(NULL);
    setenv("WALFERRY_TEST_KAFKA", kafka->address, 1);
    pid_t pid = fork();
    if (pid == 0) {
        execvp(command[0], command);
        fprintf(stderr, "%s: %s\n", command[0], strerror(errno));
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return EXIT_FAILURE;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: with_kafka COMMAND ARGUMENT...\n");
        return 64;
    }
    return harness_keep(run, argv + 1);
}
