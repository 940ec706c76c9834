/* The command line in two steps: tokens to raw values by pflag's rules (flags_tokens.c; a mistake
 * is exit 2), raw values to typed ones (flags_finish.c; a mistake is exit 1). The split follows
 * daprd, which complains about meaning only when all tokens are read.
 *
 * Subcommands share the rows and the steps; they differ in which rows they take and in short forms.
 * What else is different about them is in flags_form.c. */
#include "config/flags.h"

#include "config/flags_priv.h"

/* daprd: message and usage on standard error, the message alone on standard output, exit 2. */
void config_flags_end(struct config_parser *p, const char *message, const char *hint)
{
    struct config_flags_result *result = p->result;
    result->outcome = CONFIG_EXIT;
    if (p->command != CONFIG_SERVE) {
        config_form_end(p, message, hint);
        return;
    }
    result->status = 2;
    fl_buffer_printf(&result->err, "%s\n%s", message, hint);
    config_flags_print_help("fairlead", &result->err);
    fl_buffer_printf(&result->out, "%s\n", message);
}

void config_flags_parse(int argc, char *const *argv, const struct config_build *build,
                        struct config_flags_result *result)
{
    *result = (struct config_flags_result){.outcome = CONFIG_RUN};
    struct config_parser *p = FL_ARENA_NEW(&result->arena, struct config_parser);
    p->result = result;
    config_notes_init(&result->notes, &result->arena);
    if (!config_form_choose(p, argc, argv, build))
        return;
    result->flags.command = p->command;
    if (config_flags_take_tokens(p, argc, argv))
        config_flags_finish(p, build);
}

void config_flags_fini(struct config_flags_result *result)
{
    fl_buffer_fini(&result->out);
    fl_buffer_fini(&result->err);
    fl_arena_fini(&result->arena);
    *result = (struct config_flags_result){0};
}
