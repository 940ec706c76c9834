/* The loop's side: the bounds of what is under way, and waiting for the byte budget. What every
 * binding promises is tried by the suite (tests/conformance).
 */
#include "connectors/localstorage/localstorage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/conformance/fake_gateway.c"

enum { CALLS = 10, FILE_BYTES = 8 << 20, MOST_CALLS = 4096 };

struct story {
    char folder[64];
    struct fake_gateway *fake;
};

static int open_story(void **state)
{
    struct story *story = fl_zalloc(sizeof *story);
    struct fl_error error;
    snprintf(story->folder, sizeof story->folder, "/tmp/localstorage_unit.XXXXXX");
    if (!mkdtemp(story->folder))
        return -1;
    const struct config_value values[] = {
        {.name = FL_SLICE_LIT("rootPath"), .value = fl_slice_str(story->folder)},
        {.name = FL_SLICE_LIT("syncWrites"), .value = FL_SLICE_LIT("no")},
    };
    story->fake = fake_gateway_new(&cn_localstorage_type, values, 2, 30000, 20, &error);
    *state = story;
    return story->fake && fake_wait_up(story->fake) ? 0 : -1;
}

static int close_story(void **state)
{
    struct story *story = *state;
    char complaint[256], command[128];
    fake_gateway_free(&story->fake, complaint, sizeof complaint);
    snprintf(command, sizeof command, "rm -rf %s", story->folder);
    int status = system(command);
    fl_free(story);
    if (complaint[0])
        print_error("%s\n", complaint);
    return status == 0 && !complaint[0] ? 0 : -1;
}

static void make_file(const struct story *story, const char *name, off_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", story->folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(truncate(path, size), 0);
}

static enum fl_err start(struct story *story, const char *operation, const char *name,
                         struct fl_slice data, struct fake_call *call)
{
    struct fl_error error;
    const struct ce_metadata row = {FL_SLICE_LIT("fileName"), fl_slice_str(name)};
    const struct connector_call what = {
        .operation = fl_slice_str(operation),
        .data = data,
        .metadata = &row,
        .metadata_count = 1,
        .deadline_at_ms = INT64_MAX,
        .token = call,
    };
    return cn_localstorage_type.invoke(story->fake->connector, &what, &error);
}

static void assert_answered(struct story *story, struct fake_call *call, enum fl_err code)
{
    assert_true(fake_wait(story->fake, is_call_answered, call, 1));
    assert_int_equal(call->answers, 1);
    assert_int_equal(call->code, code);
}

static void large_files_are_read_within_the_budget(void **state)
{
    struct story *story = *state;
    struct fake_call calls[CALLS] = {0};
    make_file(story, "large", FILE_BYTES);
    fl_budget_init(&story->fake->budget, 20 << 20);
    for (int i = 0; i < CALLS; i++)
        assert_int_equal(start(story, "get", "large", FL_SLICE_NULL, &calls[i]), FL_OK);
    for (int i = 0; i < CALLS; i++) {
        assert_answered(story, &calls[i], FL_OK);
        assert_int_equal(calls[i].data.len, FILE_BYTES);
    }
    assert_true(story->fake->budget.peak_bytes > FILE_BYTES);
    assert_true(story->fake->budget.peak_bytes <= 20 << 20);
}

static void small_files_do_not_wait_for_the_budget(void **state)
{
    struct story *story = *state;
    struct fake_call call = {0};
    make_file(story, "small", 1000);
    fl_budget_charge(&story->fake->budget, story->fake->budget.total_bytes);
    assert_int_equal(start(story, "get", "small", FL_SLICE_NULL, &call), FL_OK);
    assert_answered(story, &call, FL_OK);
    fl_budget_release(&story->fake->budget, story->fake->budget.total_bytes);
}

/* Waiting for memory that never comes. */
static void start_waiting(struct story *story, struct fake_call *call)
{
    struct fake_call after = {0};
    make_file(story, "large", FILE_BYTES);
    fl_budget_charge(&story->fake->budget, story->fake->budget.total_bytes);
    assert_int_equal(start(story, "get", "large", FL_SLICE_NULL, call), FL_OK);
    assert_int_equal(start(story, "list", "", FL_SLICE_NULL, &after), FL_OK);
    assert_answered(story, &after, FL_OK);
    assert_int_equal(call->answers, 0);
}

static void who_waits_for_memory_is_served_when_it_is_there(void **state)
{
    struct story *story = *state;
    struct fake_call call = {0};
    start_waiting(story, &call);
    fl_budget_release(&story->fake->budget, story->fake->budget.total_bytes);
    assert_answered(story, &call, FL_OK);
    assert_int_equal(call.data.len, FILE_BYTES);
}

static void who_waits_for_memory_leaves_the_last_eighth_and_the_line_to_others(void **state)
{
    struct story *story = *state;
    struct fl_budget *budget = &story->fake->budget;
    struct fake_call call = {0};
    size_t spare = budget->total_bytes / 8;
    start_waiting(story, &call);
    fl_budget_release(budget, spare);
    fake_run_quietly(story->fake, 100);
    assert_int_equal(call.answers, 0);
    assert_true(fl_budget_try_take(budget, 1));
    fl_budget_release(budget, budget->total_bytes - spare + 1);
    assert_answered(story, &call, FL_OK);
}

static void closing_answers_who_waits_for_memory(void **state)
{
    struct story *story = *state;
    struct fake_call call = {0};
    start_waiting(story, &call);
    fake_close(story->fake, 10);
    assert_true(fake_wait_closed(story->fake));
    assert_int_equal(call.answers, 1);
    assert_int_equal(call.code, FL_ERR_CLOSED);
    assert_true(fl_list_is_empty(&story->fake->budget.line));
    fl_budget_release(&story->fake->budget, story->fake->budget.total_bytes);
}

static void more_than_a_part_of_the_budget_is_not_taken_in(void **state)
{
    struct story *story = *state;
    struct fake_call calls[CALLS] = {0};
    struct fl_buffer data = {0};
    fl_buffer_reserve(&data, FILE_BYTES);
    memset(data.data, '1', FILE_BYTES);
    data.len = FILE_BYTES;
    fl_budget_init(&story->fake->budget, 4 << 20);
    int taken = 0;
    while (taken < CALLS &&
           start(story, "create", "x", fl_buffer_slice(&data), &calls[taken]) == FL_OK)
        taken++;
    assert_int_equal(taken, 1); /* the first one always is */
    assert_answered(story, &calls[0], FL_OK);
    assert_int_equal(start(story, "create", "x", fl_buffer_slice(&data), &calls[1]), FL_OK);
    assert_answered(story, &calls[1], FL_OK);
    fl_buffer_fini(&data);
}

static void too_many_calls_are_told_to_come_later(void **state)
{
    struct story *story = *state;
    struct fake_call *calls = fl_zalloc(sizeof *calls * (MOST_CALLS + 2));
    for (int i = 0; i < MOST_CALLS; i++)
        assert_int_equal(start(story, "delete", "x", FL_SLICE_NULL, &calls[i]), FL_OK);
    assert_int_equal(start(story, "delete", "x", FL_SLICE_NULL, &calls[MOST_CALLS]), FL_ERR_AGAIN);
    for (int i = 0; i < MOST_CALLS; i++)
        assert_answered(story, &calls[i], FL_ERR_NOT_FOUND);
    assert_int_equal(start(story, "delete", "x", FL_SLICE_NULL, &calls[MOST_CALLS]), FL_OK);
    assert_answered(story, &calls[MOST_CALLS], FL_ERR_NOT_FOUND);
    fl_free(calls);
}

static void the_last_of_equal_keys_counts_and_case_too(void **state)
{
    struct story *story = *state;
    struct fake_call call;
    static const struct ce_metadata rows[] = {
        {FL_SLICE_LIT("fileName"), FL_SLICE_LIT("first")},
        {FL_SLICE_LIT("fileName"), FL_SLICE_LIT("last")},
        {FL_SLICE_LIT("filename"), FL_SLICE_LIT("none")},
    };
    assert_true(fake_invoke(story->fake, "create", rows, 3, &call));
    assert_int_equal(call.code, FL_OK);
    assert_true(fl_slice_eq_str(call.data, "{\"fileName\":\"last\"}"));
}

#define STORY(function) cmocka_unit_test_setup_teardown(function, open_story, close_story)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(large_files_are_read_within_the_budget),
        STORY(small_files_do_not_wait_for_the_budget),
        STORY(who_waits_for_memory_is_served_when_it_is_there),
        STORY(who_waits_for_memory_leaves_the_last_eighth_and_the_line_to_others),
        STORY(closing_answers_who_waits_for_memory),
        STORY(more_than_a_part_of_the_budget_is_not_taken_in),
        STORY(too_many_calls_are_told_to_come_later),
        STORY(the_last_of_equal_keys_counts_and_case_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
