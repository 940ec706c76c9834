/* Which sections a manual has; see the header. */
#include "gateway/manual.h"

#include <string.h>

#include "base/alloc.h"
#include "config/scopes.h"
#include "gateway/component_options.h"
#include "gateway/consume_options.h"

static struct gw_manual_section *add_section(struct gw_manual *manual, const char *title)
{
    FL_ASSERT(manual->section_count < GW_MANUAL_SECTIONS);
    struct gw_manual_section *section = &manual->sections[manual->section_count++];
    *section = (struct gw_manual_section){.title = title};
    return section;
}

static void add_rows(struct gw_manual *manual, const char *title, const struct config_option *rows)
{
    if (rows && rows->name)
        add_section(manual, title)->rows = rows;
}

static void add_line(struct gw_manual_section *section, const char *name, const char *help)
{
    FL_ASSERT(section->line_count < GW_MANUAL_LINES);
    section->lines[section->line_count++] = (struct gw_manual_line){name, help};
}

static void add_lines(struct gw_manual_section *section, const struct config_option *rows)
{
    for (; rows->name; rows++)
        add_line(section, rows->name, rows->help);
}

/* What a connector cannot do is said where the key stands. */
static void add_pubsub_keys(struct gw_manual *manual, const struct connector_type *type)
{
    struct gw_manual_section *section = add_section(manual, "Known to every pub/sub component");
    add_lines(section, config_scope_options);
    add_line(section, "consumerID",
             type->traits.competes ? "The consumer group; not given or empty: the application id."
                                   : "Accepted; this component has no consumer groups.");
    for (const struct config_option *row = gw_consume_options; row->name; row++)
        add_line(section, row->name,
                 strcmp(row->name, "startFrom") == 0 && !type->traits.history
                     ? "Refused: this component keeps no history to start in."
                     : row->help);
    section->closing = "`consumerMode` and `startFrom` may also stand in the metadata of a "
                       "Subscription, where they count before the component's.";
}

void gw_manual_make(const char *name, const struct connector_type *type, struct gw_manual *manual)
{
    manual->section_count = 0;
    add_rows(manual, "Component metadata", type->component_options);
    add_rows(manual, "Metadata of a publish", type->publish_options);
    add_rows(manual, "Metadata of a subscription", type->subscribe_options);
    add_rows(manual, "Metadata of an invocation", type->invoke_options);
    if (strncmp(name, "pubsub.", 7) == 0)
        add_pubsub_keys(manual, type);
    else if (strncmp(name, "bindings.", 9) == 0)
        add_lines(add_section(manual, "Known to every binding"), gw_binding_options);
}

void gw_manual_operations(const struct connector_type *type, struct fl_buffer *out)
{
    for (const char *const *name = type->operations; name && *name; name++)
        fl_buffer_printf(out, "%s%s", name == type->operations ? "" : ", ", *name);
}
