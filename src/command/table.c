/* SPDX-License-Identifier: Apache-2.0 */
#include "walferry/command/command.h"

static const struct option_spec run_options[] = {
    {"--init", NULL, NULL, "Do what `walferry init` does before anything else."},
    {NULL, NULL, NULL, NULL},
};

static const struct option_spec init_options[] = {
    {"--print-sql", NULL, NULL, "Print the SQL that would be run, connect nowhere."},
    {"--conninfo", NULL, "OWNER",
     "Connect as the owner of the schema instead of source.conninfo; needed once, to make schema, "
     "role and publication."},
    {NULL, NULL, NULL, NULL},
};

static const struct option_spec demo_options[] = {
    {"--kafka", NULL, "HOST:PORT", "Publish to this Kafka instead of the one in the process."},
    {"--count", NULL, "N", "Write and read back N sample orders, then end."},
    {"--conninfo", NULL, "CONNINFO",
     "Use this PostgreSQL instead of a private one; what the demo makes there is dropped at its "
     "end."},
    {NULL, NULL, NULL, NULL},
};

static const struct option_spec replay_options[] = {
    {"--from", NULL, "T",
     "Rows whose occurred_at is T or later: RFC 3339 with its zone, or an age such as 2h."},
    {"--to", NULL, "T", "And earlier than this; the same forms. Without it: all later rows."},
    {"--ids", NULL, "ID,ID,...",
     "The rows with these ids instead; - reads them from standard input, one a line."},
    {"--table", NULL, "SCHEMA.TABLE", "Of this captured table only; without it of all of them."},
    {"--type", NULL, "GLOB", "Only events whose type matches, as in routing rules: 'order.*'."},
    {"--aggregate-id", NULL, "ID", "Only events of this aggregate."},
    {"--after", NULL, "ID", "Go on behind the row with this id, as an unfinished replay says."},
    {"--dry-run", NULL, NULL,
     "Publish nothing, connect to no Kafka: one line a row, with id, type, topic, key and "
     "occurred_at."},
    {"--json", NULL, NULL, "With --dry-run: each line is a JSON object."},
    {"--conninfo", NULL, "CONNINFO",
     "Read as this role instead of source.conninfo's, when that one may not read the table."},
    {"--timeout", NULL, "DURATION", "Give up when nothing is acknowledged for so long: 60s."},
    {NULL, NULL, NULL, NULL},
};

static const struct option_spec version_options[] = {
    {"--json", NULL, NULL, "As one JSON object."},
    {NULL, NULL, NULL, NULL},
};

static const struct option_spec no_options[] = {
    {NULL, NULL, NULL, NULL},
};

const struct command commands[] = {
    {
        .name = "run",
        .synopsis = "-c FILE [--init] [--set KEY=VALUE]...",
        .summary = "relay events, in the foreground, until a signal comes",
        .help = "Follows the replication slot and publishes what it captures. SIGTERM and SIGINT "
                "finish what is in flight, save the checkpoint and end; a second one ends at once. "
                "SIGHUP reloads what can be reloaded and names what needs a restart.\n"
                "\n"
                "Example: walferry run -c /etc/walferry/orders.yaml",
        .takes_config = true,
        .options = run_options,
        .run = command_run,
    },
    {
        .name = "check",
        .synopsis = "-c FILE [--set KEY=VALUE]...",
        .summary = "validate the configuration; no connection is made",
        .help = "Prints every fault with its place and a hint, and ends with 78 if there is one.\n"
                "\n"
                "Example: walferry check -c orders.yaml && systemctl restart walferry@orders",
        .takes_config = true,
        .options = no_options,
        .run = command_check,
    },
    {
        .name = "init",
        .synopsis = "-c FILE [--print-sql] [--conninfo OWNER] [--set KEY=VALUE]...",
        .summary = "make schema, outbox, role, publication, slot and topics; safe to run twice",
        .help = "Makes what is missing, in the right order (the publication before the slot), and "
                "says what it found. Rows that are older than the slot are not streamed; they are "
                "counted and named.\n"
                "\n"
                "Example: walferry init -c orders.yaml --conninfo \"dbname=shop user=postgres\"",
        .takes_config = true,
        .options = init_options,
        .run = command_init,
    },
    {
        .name = "demo",
        .synopsis = "[--kafka HOST:PORT] [--conninfo CONNINFO] [--count N]",
        .summary = "see it work: a private PostgreSQL, a Kafka in the process, sample orders",
        .help =
            "Starts a throw-away PostgreSQL from the installed server and the Kafka cluster that "
            "librdkafka carries, makes the outbox, writes sample orders, relays them, reads them "
            "back and prints them. Nothing is left behind, however it ends; only the topics "
            "walferry-demo.* stay in a Kafka named by --kafka. The slot is always a temporary "
            "one. PostgreSQL refuses to run as root: then the user postgres or nobody runs it.\n"
            "\n"
            "With --conninfo the role needs REPLICATION and the right to make a schema and a "
            "publication. An outbox that somebody publishes already is refused, because the sample "
            "orders would go there too.\n"
            "\n"
            "Example: walferry demo --count 5",
        .options = demo_options,
        .run = command_demo,
    },
    {
        .name = "replay",
        .synopsis = "-c FILE --from T [--to T] | --ids ID,ID,...|- [--table SCHEMA.TABLE] "
                    "[--type GLOB] [--aggregate-id ID] [--after ID] [--dry-run] [--json] "
                    "[--conninfo CONNINFO] [--timeout DURATION]",
        .summary = "publish again rows that still stand in the outbox table",
        .help =
            "Reads the rows over an ordinary session and sends each through the same capture, "
            "rules and envelope as the relay does, with the same id: consumers that keep the ids "
            "they have seen recognise it. CloudEvents bear the attribute replay and no sequence, "
            "because the table does not know the place of the commit; their time is occurred_at. "
            "Rows of a time window come in the order of (occurred_at, id). Where the table has no "
            "occurred_at, only --ids finds rows, and they come in the order of a numeric id, else "
            "as they lie in the table. A row without occurred_at has no time either, unless the "
            "server keeps commit times (track_commit_timestamp).\n"
            "\n"
            "A record bears occurred_at as its timestamp, as it did the first time: a topic whose "
            "retention.ms is shorter than the age of the row deletes it again.\n"
            "\n"
            "It may run while the relay runs; how replays and live events of one key mix is not "
            "promised. Under exactly_once too they are written by a plain idempotent producer, "
            "outside the chain of transactions. Rows that cannot be published go where "
            "delivery.poison says. A dry run does not see what only Kafka knows: partitions and "
            "limits of size.\n"
            "\n"
            "occurred_at is when the row was written, not when it was committed: to fill a gap, "
            "begin earlier than it by the length of the longest transaction. Messages stand in no "
            "table and cannot be replayed.\n"
            "\n"
            "When Kafka is away for longer than --timeout, or a signal comes, what was published "
            "is said, with the command that goes on from there. Ids without a row are named at the "
            "end, with exit status 1.\n"
            "\n"
            "Example: walferry replay -c orders.yaml --from 2h --dry-run",
        .takes_config = true,
        .options = replay_options,
        .run = command_replay,
    },
    {
        .name = "version",
        .synopsis = "[--json]",
        .summary = "print the versions of walferry and its libraries",
        .help = "Example: walferry version --json",
        .options = version_options,
        .run = command_version,
    },
    {.name = NULL},
};
