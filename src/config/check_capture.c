/* SPDX-License-Identifier: Apache-2.0 */
/* Rules about capture entries and routing rules. */
#include "load.h"
#include "walferry/base/assert.h"

/* Keys that only an outbox entry has. */
static const char *const outbox_keys[] = {"preset", "columns", "payload"};

static const struct node *list_at(const struct load *load, const char *path)
{
    const struct node *list = tree_find(load->root, path);
    return list != NULL && list->kind == NODE_LIST ? list : NULL;
}

static void check_entry_keys(struct load *load, const struct node *node, bool messages)
{
    for (const struct node *child = node->first; child != NULL; child = child->next) {
        const struct key *key = schema_find("capture[]", child->key);
        bool of_outbox = false;
        for (size_t i = 0; i < ARRAY_LEN(outbox_keys); i++) {
            of_outbox = of_outbox || strcmp(child->key, outbox_keys[i]) == 0;
        }
        bool of_table = key != NULL && (key->flags & KEY_OF_TABLE) != 0;
        if (of_table || (of_outbox && messages)) {
            err_hint(fault(load->faults, child->key_mark, ERR_CONFIG_CONTRADICTION,
                           "`%s` belongs to an entry with `%s`", child->key,
                           of_table ? "table" : "outbox"),
                     "remove `%s` from this entry", child->key);
        }
    }
}

/* One of outbox, messages and table; a table was refused by the walk. */
static bool check_entry_kind(struct load *load, const struct node *node)
{
    const struct node *outbox = node_child(node, "outbox");
    const struct node *messages = node_child(node, "messages");
    if (node_child(node, "table") != NULL) {
        return false;
    }
    if (outbox != NULL && messages != NULL) {
        err_hint(fault(load->faults, messages->key_mark, ERR_CONFIG_CONTRADICTION,
                       "an entry captures one thing, not `outbox` and `messages`"),
                 "make it two elements of the list, each with its own hyphen");
        return false;
    }
    if (outbox == NULL && messages == NULL) {
        err_hint(fault(load->faults, node->mark, ERR_CONFIG_MISSING,
                       "the entry does not say what it captures"),
                 "write `outbox: schema.table` or `messages: prefix`");
        return false;
    }
    check_entry_keys(load, node, messages != NULL);
    return true;
}

static void check_twice(struct load *load, const struct node *node, size_t index)
{
    const struct capture_entry *entry = &load->entries[index];
    for (size_t i = 0; i < index; i++) {
        const struct capture_entry *other = &load->entries[i];
        if (other->name != NULL && other->kind == entry->kind &&
            strcmp(other->name, entry->name) == 0) {
            err_hint(fault(load->faults, node->mark, ERR_CONFIG_CONTRADICTION,
                           "\"%.100s\" is captured twice, by entries %zu and %zu", entry->name,
                           i + 1, index + 1),
                     "remove one of the two: each event would be published once for each");
            return;
        }
    }
}

static bool entry_has(const struct capture_entry *entry, enum event_field field)
{
    const char *column =
        entry->columns[field] != NULL ? entry->columns[field] : preset_column(entry->preset, field);
    return column != NULL && column[0] != '\0';
}

/* The template that decides when nothing else does: of the first rule without `when`, or the
 * general one; NULL when such a rule drops. */
static const char *template_in_force(const struct config *config)
{
    for (size_t i = 0; i < config->route.rule_count; i++) {
        if (config->route.rules[i].match_count == 0) {
            return config->route.rules[i].topic;
        }
    }
    return config->route.topic;
}

static void check_placeable(struct load *load, const struct node *node,
                            const struct capture_entry *entry, const struct template *template)
{
    for (unsigned i = 0; i < EVENT_FIELD_COUNT; i++) {
        enum event_field field = (enum event_field)i;
        if (!template_uses(template, field) || entry_has(entry, field) ||
            entry_has(entry, EVENT_topic)) {
            continue;
        }
        const char *name = event_field_name(field);
        err_hint(fault(load->faults, node->mark, ERR_CONFIG_CONTRADICTION,
                       "the topic template names ${%s}, and the preset %s has no column for it",
                       name, preset_name(entry->preset)),
                 "give the entry `columns: {%s: COLUMN}` (or topic), or write a `route.topic` "
                 "without ${%s}",
                 name, name);
    }
}

static void check_template_fields(struct load *load, const struct node *list)
{
    const char *text = template_in_force(load->config);
    struct template *template = NULL;
    if (text == NULL || !template_compile(text, &template, NULL)) {
        return;
    }
    const struct node *node = list->first;
    for (size_t i = 0; i < load->config->capture_count; i++, node = node->next) {
        ASSERT(node != NULL);
        const struct capture_entry *entry = &load->entries[i];
        if (entry->kind == CAPTURE_OUTBOX && entry->name != NULL) {
            check_placeable(load, node, entry, template);
        }
    }
    template_free(template);
}

void check_captures(struct load *load)
{
    const struct node *list = list_at(load, "capture");
    if (list == NULL || load->entries == NULL) {
        return;
    }
    if (list->count == 0) {
        err_hint(fault(load->faults, list->mark, ERR_CONFIG_MISSING, "nothing is captured"),
                 "name an outbox, for example `- outbox: outbox.event`");
        return;
    }
    ASSERT(list->count == load->config->capture_count);
    size_t i = 0;
    for (const struct node *node = list->first; node != NULL; node = node->next, i++) {
        if (!node->ignored && node->kind == NODE_MAP && check_entry_kind(load, node) &&
            load->entries[i].name != NULL) {
            check_twice(load, node, i);
        }
    }
    check_template_fields(load, list);
}

static void check_rule(struct load *load, const struct node *node, const struct route_rule *rule)
{
    const struct node *topic = node_child(node, "topic");
    if (topic != NULL && rule->drop) {
        err_hint(fault(load->faults, node_child(node, "drop")->key_mark, ERR_CONFIG_CONTRADICTION,
                       "a rule either gives a topic or drops"),
                 "keep `topic` or `drop: true`");
    }
    if (topic == NULL && !rule->drop) {
        err_hint(fault(load->faults, node->mark, ERR_CONFIG_MISSING,
                       "the rule does not say what becomes of what it matches"),
                 "write `topic: ...` or `drop: true`");
    }
}

/* A template that is plain text must not name a topic that is walferry's own. */
static void check_reserved(struct load *load, const struct node *node, const char *text)
{
    const struct route_opts *route = &load->config->route;
    for (size_t i = 0; node != NULL && text != NULL && i < route->reserved_count; i++) {
        if (strcmp(text, route->reserved[i]) == 0) {
            err_hint(fault(load->faults, node->mark, ERR_CONFIG_CONTRADICTION,
                           "events cannot go to \"%.100s\": it is the topic of %s", text,
                           i == 0 ? "checkpoints" : "dead letters"),
                     "take another topic here, or change `%s`",
                     i == 0 ? "checkpoint.topic" : "delivery.dead_letter_topic");
        }
    }
}

void check_rules(struct load *load)
{
    const struct route_opts *route = &load->config->route;
    check_reserved(load, tree_find(load->root, "route.topic"), route->topic);
    const struct node *list = list_at(load, "route.rules");
    const struct node *node = list == NULL ? NULL : list->first;
    size_t catch_all = SIZE_MAX;
    for (size_t i = 0; i < route->rule_count && node != NULL; i++, node = node->next) {
        const struct node *when = node_child(node, "when");
        bool matches_all = when == NULL || (when->kind == NODE_MAP && when->count == 0);
        if (node->ignored || node->kind != NODE_MAP) {
            continue;
        }
        check_rule(load, node, &route->rules[i]);
        check_reserved(load, node_child(node, "topic"), route->rules[i].topic);
        if (catch_all != SIZE_MAX) {
            err_hint(fault(load->faults, node->mark, ERR_CONFIG_CONTRADICTION,
                           "the rule is never reached: rule %zu matches every event",
                           catch_all + 1),
                     "give rule %zu a `when`, or move it to the end", catch_all + 1);
            return;
        }
        catch_all = matches_all ? i : catch_all;
    }
}
