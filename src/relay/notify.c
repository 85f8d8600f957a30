/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_private.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define NOTIFY_NS (1 * NS_PER_S)
/* A call of a library may take so long; what hangs for longer never comes back. */
#define LIMIT_S 60

/* sd_notify(3): one datagram to the socket that NOTIFY_SOCKET names; '@' stands for the NUL of an
 * abstract address. Without the variable nobody listens. */
void notify_send(const char *message)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@'))
        return;
    size_t len = strlen(path);
    if (len >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, path, len);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    ssize_t sent =
        sendto(fd, message, strlen(message), MSG_NOSIGNAL, (const struct sockaddr *)&address, size);
    /* A supervisor that does not listen must not hold up the relay. */
    discard(sent >= 0);
    close(fd);
}

unsigned notify_limit_s(void)
{
    return (unsigned)FAILPOINT_PATIENCE(LIMIT_S);
}

static enum sense_fault find_fault(const struct relay *relay)
{
    struct sink_state sink;
    relay->sink->ops->state(relay->sink, &sink);
    const struct keep *keep = &relay->keep;
    bool room = relay->ledger == NULL || ledger_room(relay->ledger);
    const struct sense_facts facts = {
        .now_ns = relay->now_ns,
        .in_flight = relay->ledger == NULL ? 0 : ledger_records(relay->ledger),
        .pending = sink.pending,
        .reported_late = keep->transactional,
        .offered = relay->offered.present,
        .in_its_way = relay->sink_busy || !room || relay->now_ns < relay->hold_until_ns ||
                      relay->save_failed || keep_holds(relay) || !delivery_may_submit(relay),
        .save_fails = relay->save_failed || (keep->by_sink && !sink.connected),
        .save_ns = confirm_deadline(relay),
        .turn_ns = relay->store == NULL ? UINT64_MAX : source_deadline(relay->source),
        .end_ns = relay->draining && !relay->ending ? relay->drain_deadline_ns : UINT64_MAX,
    };
    return sense_find(&facts);
}

void notify_watchdog(struct relay *relay)
{
    if (relay->now_ns < relay->next_watchdog_ns)
        return;
    relay->next_watchdog_ns = relay->now_ns + NOTIFY_NS;
    enum sense_fault fault = find_fault(relay);
    if (sense_holds(&relay->sense, fault, relay->now_ns, notify_limit_s() * NS_PER_S)) {
        relay->senseless = false;
        notify_send("WATCHDOG=1");
    } else if (!relay->senseless) {
        struct err err;
        relay->senseless = true;
        discard(err_set(&err, ERR_INTERNAL, "%s", sense_text(fault)));
        err_hint(&err, "start walferry again, which is safe at any moment (under systemd with "
                       "WatchdogSec= that happens by itself), and please report it");
        health_error(relay, LOG_ERROR, "walferry waits for what cannot come", &err);
    }
}
