/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops: the rows of the table of sinks; private to the sinks.
 */
#pragma once

#include "walferry/sink/sink.h"

extern const struct sink_ops sink_kafka_ops;
extern const struct sink_ops sink_stdout_ops;
extern const struct sink_ops sink_file_ops;

/* The stdout sink on another descriptor, which stays the caller's. */
MUST_USE bool sink_stdout_open_fd(const struct sink_opts *opts, int fd, struct sink **ret_sink,
                                  struct err *err);
