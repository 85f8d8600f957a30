/* SPDX-License-Identifier: Apache-2.0 */
#include "yaml_read.h"

#include <yaml.h>

#include "walferry/base/assert.h"

struct builder {
    struct pool *pool;
    struct faults *faults;
    struct node *root;
    struct node *open[YAML_NESTING_MAX];
    size_t depth;
    const char *key; /* read, its value still to come; NULL for none */
    struct mark key_mark;
    bool key_twice;
    size_t nodes;
    unsigned documents;
};

static struct mark mark_of(yaml_mark_t mark)
{
    return (struct mark){.line = (unsigned)mark.line + 1, .column = (unsigned)mark.column + 1};
}

static bool refuse_anchor(struct builder *builder, const yaml_char_t *anchor, struct mark mark)
{
    if (anchor != NULL) {
        err_hint(fault(builder->faults, mark, ERR_CONFIG_SYNTAX,
                       "anchors and aliases are not accepted (&%.60s)", (const char *)anchor),
                 "write the value out where it is needed, or use ${VARIABLE}; quote text that "
                 "begins with & or *");
    }
    return anchor != NULL;
}

static void refuse_tag(struct builder *builder, const yaml_char_t *tag, struct mark mark)
{
    if (tag != NULL) {
        err_hint(fault(builder->faults, mark, ERR_CONFIG_SYNTAX, "tags are not accepted (%.60s)",
                       (const char *)tag),
                 "leave the tag out: types come from the keys; quote text that begins with !");
    }
}

static bool in_map(const struct builder *builder)
{
    return builder->depth > 0 && builder->open[builder->depth - 1]->kind == NODE_MAP;
}

/* A key is due: a map is open and no key waits for its value. */
static bool wants_key(const struct builder *builder)
{
    return in_map(builder) && builder->key == NULL;
}

/* Make a node and hang it into the tree; NULL after a fault. */
static struct node *place(struct builder *builder, enum node_kind kind, struct mark mark)
{
    struct node *node = node_new(builder->pool, kind, mark);
    if (node == NULL || ++builder->nodes > YAML_NODES_MAX) {
        err_hint(
            fault(builder->faults, mark, ERR_CONFIG_SYNTAX, "more than %d values", YAML_NODES_MAX),
            "split the pipeline into several");
        return NULL;
    }
    if (builder->depth == 0) {
        builder->root = node;
        return node;
    }
    if (in_map(builder)) {
        ASSERT(builder->key != NULL);
        node->key = builder->key;
        node->key_mark = builder->key_mark;
        node->ignored = builder->key_twice;
        builder->key = NULL;
    }
    node_append(builder->open[builder->depth - 1], node);
    return node;
}

static bool open_node(struct builder *builder, enum node_kind kind, struct mark mark)
{
    if (wants_key(builder)) {
        err_hint(
            fault(builder->faults, mark, ERR_CONFIG_SYNTAX, "a mapping or list cannot be a key"),
            "quote text that begins with { or [");
        return false;
    }
    if (builder->depth == YAML_NESTING_MAX) {
        err_hint(fault(builder->faults, mark, ERR_CONFIG_SYNTAX, "nested deeper than %d levels",
                       YAML_NESTING_MAX),
                 "no key of walferry needs that depth: check brackets and indentation");
        return false;
    }
    struct node *node = place(builder, kind, mark);
    if (node == NULL) {
        return false;
    }
    builder->open[builder->depth++] = node;
    return true;
}

static void take_key(struct builder *builder, const char *key, struct mark mark)
{
    const struct node *first = node_child(builder->open[builder->depth - 1], key);
    builder->key = key;
    builder->key_mark = mark;
    builder->key_twice = first != NULL;
    if (first != NULL) {
        err_hint(fault(builder->faults, mark, ERR_CONFIG_DUPLICATE,
                       "`%.100s` stands twice: first at line %u, column %u", key,
                       first->key_mark.line, first->key_mark.column),
                 "remove one of the two");
    }
}

static bool take_scalar(struct builder *builder, const yaml_event_t *event, struct mark mark)
{
    const char *value = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    refuse_anchor(builder, event->data.scalar.anchor, mark);
    refuse_tag(builder, event->data.scalar.tag, mark);
    if (memchr(value, '\0', len) != NULL) {
        err_hint(fault(builder->faults, mark, ERR_CONFIG_SYNTAX, "a value holds a NUL byte"),
                 "remove the escape \\0");
        return false;
    }
    const char *text = pool_text(builder->pool, value, len);
    if (wants_key(builder)) {
        take_key(builder, text, mark);
        return true;
    }
    struct node *node = place(builder, NODE_SCALAR, mark);
    if (node == NULL) {
        return false;
    }
    node->text = text;
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return true;
}

static bool take_alias(struct builder *builder, const yaml_event_t *event, struct mark mark)
{
    refuse_anchor(builder, event->data.alias.anchor, mark);
    if (wants_key(builder)) {
        return false;
    }
    struct node *node = place(builder, NODE_SCALAR, mark);
    if (node == NULL) {
        return false;
    }
    node->ignored = true;
    return true;
}

static bool take_document(struct builder *builder, struct mark mark)
{
    if (++builder->documents > 1) {
        err_hint(fault(builder->faults, mark, ERR_CONFIG_SYNTAX, "a second document begins here"),
                 "one file describes one pipeline: remove the --- line, or use a file for each");
        return false;
    }
    return true;
}

static bool take_event(struct builder *builder, const yaml_event_t *event)
{
    struct mark mark = mark_of(event->start_mark);
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return take_scalar(builder, event, mark);
    case YAML_ALIAS_EVENT:
        return take_alias(builder, event, mark);
    case YAML_MAPPING_START_EVENT:
        refuse_anchor(builder, event->data.mapping_start.anchor, mark);
        refuse_tag(builder, event->data.mapping_start.tag, mark);
        return open_node(builder, NODE_MAP, mark);
    case YAML_SEQUENCE_START_EVENT:
        refuse_anchor(builder, event->data.sequence_start.anchor, mark);
        refuse_tag(builder, event->data.sequence_start.tag, mark);
        return open_node(builder, NODE_LIST, mark);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        ASSERT(builder->depth > 0);
        ASSERT(builder->key == NULL);
        builder->depth--;
        return true;
    case YAML_DOCUMENT_START_EVENT:
        return take_document(builder, mark);
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return true;
    }
    UNREACHABLE();
}

static struct mark mark_at_offset(struct bytes text, size_t offset)
{
    struct mark mark = {.line = 1, .column = 1};
    for (size_t i = 0; i < offset && i < text.len; i++) {
        if (text.ptr[i] == '\n') {
            mark.line++;
            mark.column = 1;
        } else if ((text.ptr[i] & 0xC0) != 0x80) {
            mark.column++;
        }
    }
    return mark;
}

static void parser_fault(struct builder *builder, const yaml_parser_t *parser, struct bytes text)
{
    const char *problem = parser->problem == NULL ? "unknown problem" : parser->problem;
    if (parser->error == YAML_MEMORY_ERROR) {
        fault(builder->faults, (struct mark){0}, ERR_MEMORY, "no memory for the configuration");
        return;
    }
    if (parser->error == YAML_READER_ERROR) {
        struct mark mark = mark_at_offset(text, parser->problem_offset);
        err_hint(
            fault(builder->faults, mark, ERR_CONFIG_SYNTAX, "not readable as text: %s", problem),
            "save the file as UTF-8 without control characters");
        return;
    }
    struct mark mark = mark_of(parser->problem_mark);
    size_t at = parser->problem_mark.index;
    bool tab = at < text.len && text.ptr[at] == '\t';
    const char *context = parser->context == NULL ? "" : parser->context;
    struct err *err = fault(builder->faults, mark, ERR_CONFIG_SYNTAX, "not valid YAML: %s%s%s",
                            context, context[0] == '\0' ? "" : ": ", problem);
    err_hint(err, "%s",
             tab ? "indent with spaces, not with tabs"
                 : "check indentation, brackets and quotes; quote values that contain \": \" or "
                   "\" #\" or begin with one of & * ! % @ `");
}

static bool read_events(struct builder *builder, yaml_parser_t *parser, struct bytes text)
{
    bool more = true;
    while (more) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event)) {
            parser_fault(builder, parser, text);
            return false;
        }
        more = event.type != YAML_STREAM_END_EVENT;
        bool ok = take_event(builder, &event);
        yaml_event_delete(&event);
        if (!ok) {
            return false;
        }
    }
    return true;
}

struct node *yaml_read(struct bytes text, struct pool *pool, struct faults *faults)
{
    struct builder builder = {.pool = pool, .faults = faults};
    struct bytes byte_order_mark = BYTES_LIT("\xEF\xBB\xBF");
    if (text.len >= 3 && bytes_equal(bytes_make(text.ptr, 3), byte_order_mark)) {
        text = bytes_make(text.ptr + 3, text.len - 3);
    }
    if (text.len > YAML_SIZE_MAX) {
        err_hint(fault(faults, (struct mark){0}, ERR_CONFIG_SYNTAX, "larger than %zu bytes",
                       YAML_SIZE_MAX),
                 "check that -c names the configuration file");
        return NULL;
    }
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        fault(faults, (struct mark){0}, ERR_MEMORY, "no memory for the configuration");
        return NULL;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, text.ptr, text.len);
    bool ok = read_events(&builder, &parser, text);
    yaml_parser_delete(&parser);
    if (!ok) {
        return NULL;
    }
    if (builder.root == NULL || node_is_null(builder.root)) {
        err_hint(
            fault(faults, mark_at_offset(text, 0), ERR_CONFIG_SYNTAX, "the configuration is empty"),
            "it needs at least version, name, capture and sink; see walferry.yaml(5)");
        return NULL;
    }
    return builder.root;
}
