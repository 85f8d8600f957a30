/* SPDX-License-Identifier: Apache-2.0 */
/*
 * message: an event that came as the content of a WAL message: one JSON object whose members are
 * the fields of an event. Nothing is dropped in silence: a member that is not known, or stands
 * twice, makes the message poison.
 */
#pragma once

#include "walferry/base/arena.h"
#include "walferry/base/err.h"
#include "walferry/model/event.h"

/* True: an event; false: poison, see the header of capture. The whole content is the payload for
 * the dead letter when no payload could be read. */
bool message_read(struct bytes content, const char *prefix, struct arena *arena,
                  struct event *ret_event, struct err *err);
