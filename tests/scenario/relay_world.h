/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay_world: a whole relay in a process of its own, at a walsender that follows a script.
 *
 * The script is a list of transactions. Whenever the relay starts a stream the server sends, as
 * PostgreSQL does, every transaction whose commit record does not lie before the position asked
 * for; a fault may end a session after so many messages. Events are numbered from 1 in commit
 * order; their payload is {"n":NUMBER}. Everything is driven by world_pump(); what a test waits for
 * is a fact, and only Check's own limit ends a wait that is in vain. The relay's clock is the
 * world's, see world_clock.h: a pause of the relay's is over as soon as nobody has anything to do.
 */
#pragma once

#include <sys/types.h>

#include "walsender.h"

#define WORLD_LSN_START 0x1000 /* of the slot */

/* One character a row: e event, p poison (its id is null), d dropped by a routing rule, o an event
 * for another topic, m an event as a WAL message, h heartbeat, u update, k keepalive, K keepalive
 * that wants a reply, x a message of no known kind. The text is borrowed. */
void world_transaction(const char *rows);
/* As world_transaction(), and the present session sends it now. */
void world_commit(const char *rows);
/* The same place in the script, other rows: from the next session on. */
void world_replace(unsigned transaction, const char *rows);

/* `more` is YAML appended to the configuration. */
void world_start(const char *more);
/* The list under `capture`, and the mapping under `sink`, of relays forked from now on. */
void world_capture(const char *entries);
void world_sink(const char *yaml);
/* One key=value as of --set. Borrowed. */
void world_set(const char *assignment);
void world_free(void);
/* Fork a relay. */
void world_relay(void);
/* The same, but the new process runs `child`, which does not return: a program of its own. */
void world_relay_as(void (*child)(void));
/* The configuration of relays, for such a program; checkpoints are not in it. */
void world_write_config(const char *path);
/* One step of everybody. */
void world_pump(void);
/* The same, and the relay's clock is not made to go on. */
void world_step(void);
/* So much time passes for the relay, which takes its turns meanwhile. */
void world_pass(unsigned ms);
/* The same for one that is stopped, and takes none. */
void world_pass_asleep(unsigned ms);
/* Whether something in the relay's process, such as its sink, will act although nobody else does.
 */
void world_busy(bool (*busy)(void));
/* Until the relay has ended; returns its exit status, or 1000 and the signal. */
int world_wait(void);
bool world_ended(void);
void world_signal(int signal);

extern struct walsender *world_server;
extern char world_directory[96];
extern char world_output[128];

/* Every later session is cut before the message of the output plugin after this many; 0: never. */
void world_cut_after(unsigned messages);
/* Every later session falls silent there, until world_resume(); 0: never. */
void world_pause_after(unsigned messages);
void world_resume(void);
/* Whether the silence has come. */
bool world_paused(void);
/* What a session does after it has sent something that no server sends. */
enum fault_end { FAULT_GOES_ON, FAULT_IS_SILENT, FAULT_CLOSES, FAULT_RESETS };
/* The next `sessions` sessions send, after the first transaction of the script, these bytes as they
 * are; all but those that go on send nothing more of the script. */
void world_fault(struct bytes wire, enum fault_end end, unsigned sessions);
/* The next `sessions` sessions are answered so when they ask for the stream, and hear nothing more.
 */
void world_beginning(struct bytes wire, enum fault_end end, unsigned sessions);
/* Send more: outside any transaction. */
void world_keepalive(struct lsn lsn, bool reply);
/* Break the connection now. */
void world_cut(void);
/* From the next session on the slot was confirmed up to here. */
void world_slot(struct lsn confirmed);
/* From the next session on the server is on timeline 2, which began at `fork`. */
void world_promote(struct lsn fork);
/* Whether START_REPLICATION is refused, because the slot is in use. */
void world_refuse_start(bool refuse);
/* Answer CopyDone, as a server does (so it is from the start). */
void world_answer_end(bool answer);
/* Messages of the output plugin in the whole script. */
unsigned world_messages(void);
/* Messages sent in the newest session. */
unsigned world_sent(void);
/* Sessions of the present relay that came to streaming. */
unsigned world_sessions(void);
/* End of the newest transaction. */
struct lsn world_end(void);
/* Where the commit record of a transaction begins and ends, counted from 0. */
struct lsn world_commit_lsn(unsigned transaction);
struct lsn world_end_lsn(unsigned transaction);
/* Position that the newest START_REPLICATION asked for. */
struct lsn world_asked(void);

/* How many lines of the relay's log have the text. */
unsigned world_said(const char *text);
/* The numbers in the output file, in order: at most `max`; the count. A line that is not whole is
 * not counted. */
size_t world_read(unsigned *numbers, size_t max);
