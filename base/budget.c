/* The byte budget; see the header. */
#include "base/budget.h"

#include "base/error.h"

static size_t line_part(const struct fl_budget *budget)
{
    return budget->total_bytes / 16;
}

static size_t main_part(const struct fl_budget *budget)
{
    return budget->total_bytes - line_part(budget);
}

void fl_budget_init(struct fl_budget *budget, size_t total_bytes)
{
    *budget = (struct fl_budget){.total_bytes = total_bytes};
    fl_list_init(&budget->line);
}

static bool has_room(const struct fl_budget *budget, size_t bytes)
{
    size_t part = main_part(budget);
    return budget->used_bytes == 0 ||
           (budget->used_bytes <= part && bytes <= part - budget->used_bytes);
}

bool fl_budget_has_room(const struct fl_budget *budget, size_t bytes)
{
    return fl_list_is_empty(&budget->line) && has_room(budget, bytes);
}

bool fl_budget_try_take(struct fl_budget *budget, size_t bytes)
{
    if (!fl_budget_has_room(budget, bytes))
        return false;
    fl_budget_charge(budget, bytes);
    return true;
}

void fl_budget_wait(struct fl_budget *budget, struct fl_budget_wish *wish)
{
    fl_list_add_last(&budget->line, &wish->link);
}

/* Grants may release again (a granted publish that is refused at once); one loop serves them all.
 */
static void serve(struct fl_budget *budget)
{
    if (budget->is_serving)
        return;
    budget->is_serving = true;
    for (struct fl_list *first; (first = fl_list_first(&budget->line));) {
        struct fl_budget_wish *wish = FL_LIST_ENTRY(first, struct fl_budget_wish, link);
        if (!has_room(budget, wish->bytes))
            break;
        fl_list_remove(&wish->link);
        fl_budget_charge(budget, wish->bytes);
        wish->granted(wish);
    }
    budget->is_serving = false;
}

void fl_budget_leave(struct fl_budget *budget, struct fl_budget_wish *wish)
{
    bool was_first = fl_list_first(&budget->line) == &wish->link;
    fl_list_remove(&wish->link);
    if (was_first)
        serve(budget);
}

void fl_budget_release(struct fl_budget *budget, size_t bytes)
{
    FL_ASSERT(bytes <= budget->used_bytes);
    budget->used_bytes -= bytes;
    if (!fl_list_is_empty(&budget->line))
        serve(budget);
}

bool fl_budget_hold_waiting(struct fl_budget *budget, size_t bytes)
{
    if (bytes > line_part(budget) - budget->waiting_bytes)
        return false;
    budget->waiting_bytes += bytes;
    return true;
}

void fl_budget_release_waiting(struct fl_budget *budget, size_t bytes)
{
    FL_ASSERT(bytes <= budget->waiting_bytes);
    budget->waiting_bytes -= bytes;
}
