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
        .name = "version",
        .synopsis = "[--json]",
        .summary = "print the versions of walferry and its libraries",
        .help = "Example: walferry version --json",
        .options = version_options,
        .run = command_version,
    },
    {.name = NULL},
};
