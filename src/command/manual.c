/* SPDX-License-Identifier: Apache-2.0 */
#include "manual.h"

#include "walferry/command/command.h"
#include "walferry/metrics/metrics.h"

/* A word of text into mdoc; a backslash is an escape there, and so is a dot at a line's beginning.
 */
static void put_word(struct buf *out, const char *word, size_t len, bool line_start)
{
    if (line_start && (word[0] == '.' || word[0] == '\''))
        buf_put_str(out, "\\&");
    for (size_t i = 0; i < len; i++) {
        if (word[i] == '\\')
            buf_put_str(out, "\\e");
        else if (word[i] == '-')
            buf_put_str(out, "\\-");
        else
            buf_put_u8(out, (uint8_t)word[i]);
    }
}

/* Text into mdoc: a new line for each sentence, none longer than 78 bytes, a paragraph for an empty
 * line. */
static void put_text(struct buf *out, const char *text)
{
    size_t column = 0;
    char last = '\0'; /* of the word before */
    while (*text != '\0') {
        size_t len = strcspn(text, " \n");
        bool sentence = column > 0 && (last == '.' || last == ':') && *text >= 'A' && *text <= 'Z';
        if (column > 0)
            buf_put_u8(out, sentence || column + len > 76 ? '\n' : ' ');
        if (sentence || column + len > 76)
            column = 0;
        put_word(out, text, len, column == 0);
        column += len + 1;
        text += len;
        last = '\0';
        if (len > 0)
            last = text[-1];
        if (text[0] == '\n' && text[1] == '\n') {
            buf_put_str(out, "\n.Pp\n");
            column = 0;
            text++;
        }
        if (*text != '\0')
            text++;
    }
    buf_put_u8(out, '\n');
}

static void put_head(struct buf *out, const char *name, const char *title, int section,
                     const char *summary)
{
    buf_printf(out,
               ".\\\" SPDX-License-Identifier: Apache-2.0\n"
               ".\\\" Made from the tables of the source; do not edit.\n"
               ".Dd November 21, 2026\n.Dt %s %d\n.Os\n.Sh NAME\n.Nm %s\n.Nd %s\n",
               title, section, name, summary);
}

static void put_option(struct buf *out, const struct option_spec *option)
{
    buf_put_str(out, ".It Fl ");
    if (option->letter != NULL)
        buf_printf(out, "%s , Fl ", option->letter + 1);
    buf_printf(out, "\\-%s", option->name + 2);
    if (option->argument != NULL)
        buf_printf(out, " Ar %s", option->argument);
    buf_put_str(out, "\n");
    put_text(out, option->help);
}

static void put_command(struct buf *out, const struct command *command)
{
    buf_printf(out, ".Ss walferry %s\n", command->name);
    put_text(out, command->synopsis);
    buf_put_str(out, ".Pp\n");
    put_text(out, command->help);
    if (!command->takes_config && command->options->name == NULL)
        return;
    buf_put_str(out, ".Bl -tag -width Ds\n");
    for (const struct option_spec *o = arguments_shared; command->takes_config && o->name; o++)
        put_option(out, o);
    for (const struct option_spec *o = command->options; o->name != NULL; o++)
        put_option(out, o);
    buf_put_str(out, ".El\n");
}

struct exit_row {
    int status;
    bool restart; /* whether a supervisor should start it again */
    const char *meaning;
};

static const struct exit_row exits[] = {
    {0, false, "Done; after a signal: everything in flight was finished and confirmed."},
    {1, false, "A check found a fault."},
    {64, false, "The command line is not understood."},
    {65, false, "A row cannot be published, and the policy is to halt; or a dead letter failed."},
    {66, false,
     "Events may be missing: slot or publication lost, slot moved by somebody else, "
     "diverged timeline, no readable checkpoint."},
    {69, true, "PostgreSQL or Kafka cannot be reached (one-shot commands; run keeps trying)."},
    {70, true, "A bug in walferry."},
    {71, true, "The disk or the operating system refused something."},
    {73, false, "The server, the slot or the checkpoint belongs to something else."},
    {75, true, "Temporary; start again."},
    {76, true, "The server broke the replication protocol again and again."},
    {77, false, "Login or permission refused (one-shot commands; run keeps trying)."},
    {78, false, "The configuration is wrong, or nothing was set up yet."},
    {79, false, "Another instance took over."},
};

static void put_exits(struct buf *out)
{
    buf_put_str(out, ".Sh EXIT STATUS\n.Bl -tag -width Ds\n");
    for (size_t i = 0; i < ARRAY_LEN(exits); i++) {
        buf_printf(out, ".It %d\n", exits[i].status);
        put_text(out, exits[i].meaning);
        if (exits[i].status != 0)
            put_text(out, exits[i].restart ? "A supervisor should start it again."
                                           : "A supervisor should not start it again by itself.");
    }
    buf_put_str(out, ".El\n");
}

void command_manual(struct buf *out)
{
    put_head(out, "walferry", "WALFERRY", 1, "relay of a PostgreSQL outbox to Kafka");
    buf_put_str(out, ".Sh SYNOPSIS\n");
    for (const struct command *command = commands; command->name != NULL; command++) {
        buf_printf(out, ".Nm walferry\n%s\n", command->name);
        put_text(out, command->synopsis);
        buf_put_str(out, ".Pp\n");
    }
    out->len -= sizeof ".Pp\n" - 1;
    buf_put_str(out, ".Sh DESCRIPTION\n");
    put_text(out,
             "walferry runs beside a service's PostgreSQL database. It follows the outbox table by "
             "logical replication, wraps each row in a CloudEvents envelope and publishes it to "
             "Kafka, in commit order. A position is confirmed to PostgreSQL only when every event "
             "before it was acknowledged and the checkpoint is on disk.");
    for (const struct command *command = commands; command->name != NULL; command++)
        put_command(out, command);
    buf_put_str(out, ".Sh SIGNALS\n");
    put_text(out,
             "SIGTERM and SIGINT finish the transaction in hand and what is in flight, save the "
             "checkpoint, confirm it and end; a second one ends at once. SIGHUP reads the "
             "configuration anew: log.level, log.format, checkpoint.interval and "
             "delivery.drain_timeout are applied, other changes are named and wait for a "
             "restart, and a file that is not in order changes nothing.");
    put_exits(out);
    buf_put_str(out, ".Sh SEE ALSO\n.Xr walferry.yaml 5 ,\n.Xr walferry-errors 7 ,\n.Xr "
                     "walferry-guarantees 7\n");
}

void errors_manual(struct buf *out)
{
    put_head(out, "walferry-errors", "WALFERRY-ERRORS", 7, "what walferry's errors mean");
    buf_put_str(out, ".Sh DESCRIPTION\n");
    put_text(out,
             "Every error has a stable code. The class says what the relay does about it: "
             "transient, it tries again; poison, the row goes where delivery.poison says; config "
             "and stop, it ends with the exit status given; bug, please report it.");
    buf_put_str(out, ".Bl -tag -width Ds\n");
    for (enum err_code code = ERR_NONE + 1; code < ERR_COUNT; code++) {
        buf_printf(out, ".It WF\\-%04u , %s , exit %d , label %s\n", err_number(code),
                   err_class_name(err_class(code)), err_exit_status(code), err_label(code));
        put_text(out, err_text(code));
    }
    buf_put_str(out, ".El\n.Sh SEE ALSO\n.Xr walferry 1 ,\n.Xr walferry.yaml 5 ,\n"
                     ".Xr walferry-guarantees 7\n");
}

void config_page(struct buf *out)
{
    put_head(out, "walferry.yaml", "WALFERRY.YAML", 5, "configuration of walferry");
    config_manual(out);
    buf_put_str(
        out,
        ".Sh SEE ALSO\n.Xr walferry 1 ,\n.Xr walferry-errors 7 ,\n.Xr walferry-guarantees 7\n");
}

void exits_markdown(struct buf *out)
{
    buf_put_str(out, "| status | meaning | restart |\n|---|---|---|\n");
    for (size_t i = 0; i < ARRAY_LEN(exits); i++)
        buf_printf(out, "| %d | %s | %s |\n", exits[i].status, exits[i].meaning,
                   exits[i].status == 0 ? ""
                   : exits[i].restart   ? "yes"
                                        : "no");
}

void metrics_markdown(struct buf *out)
{
    static const char *const kinds[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
    buf_put_str(out, "| metric | kind | meaning |\n|---|---|---|\n");
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        const char *label = metric_label(metric);
        buf_printf(out, "| `walferry_%s%s%s%s` | %s | %s |\n", metric_name(metric),
                   label == NULL ? "" : "{", label == NULL ? "" : label, label == NULL ? "" : "}",
                   kinds[metric_kind_of(metric)], metric_help(metric));
    }
}
