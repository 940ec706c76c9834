/* consumerMode and startFrom: what they take, what they refuse, and which of two places counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "gateway/consume_options.h"

#define S(text) FL_SLICE_LIT(text)

static const struct connector_traits with_history = {.history = true};
static const struct connector_traits without_history;

static struct fl_arena arena;
static struct fl_error error;

static int drop_arena(void **state)
{
    (void)state;
    fl_arena_fini(&arena);
    return 0;
}

static enum fl_err read_pair(const char *name, const char *value,
                             const struct connector_traits *traits, struct gw_consume *consume)
{
    struct config_value pair = {fl_slice_str(name), fl_slice_str(value), "subs.yaml", 7};
    struct config_bind how = {.owner = "orders", .arena = &arena};
    error = (struct fl_error){0};
    return gw_consume_read(&pair, 1, &how, traits, consume, &error);
}

static void assert_start(const char *value, enum connector_start start, const char *start_value)
{
    struct gw_consume consume = {0};
    assert_int_equal(read_pair("startFrom", value, &with_history, &consume), FL_OK);
    assert_int_equal(consume.start, start);
    assert_true(fl_slice_eq_str(consume.start_value, start_value));
}

static void reads_words_times_and_positions(void **state)
{
    (void)state;
    assert_start("earliest", CONNECTOR_START_EARLIEST, "");
    assert_start(" Latest ", CONNECTOR_START_LATEST, "");
    assert_start("2026-01-31T12:00:00+09:00", CONNECTOR_START_TIME, "2026-01-31T12:00:00+09:00");
    assert_start("position: 42-0", CONNECTOR_START_POSITION, "42-0");
    assert_start("", CONNECTOR_START_DEFAULT, "");
}

static void refuses_what_is_no_start(void **state)
{
    (void)state;
    static const char *const bad[] = {"earlyest", "2026-02-30T00:00:00Z", "position:", "position",
                                      "2026-01-31"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct gw_consume consume = {.start = CONNECTOR_START_LATEST};
        assert_int_equal(read_pair("startFrom", bad[i], &with_history, &consume), FL_ERR_INVALID);
        assert_int_equal(consume.start, CONNECTOR_START_LATEST);
        assert_non_null(strstr(error.text, "subs.yaml:7: orders: startFrom: found \""));
    }
}

static void refuses_a_start_without_history(void **state)
{
    (void)state;
    struct gw_consume consume = {0};
    assert_int_equal(read_pair("startFrom", "earliest", &without_history, &consume),
                     FL_ERR_UNSUPPORTED);
    assert_non_null(strstr(error.text, "keeps no history"));
    assert_int_equal(read_pair("consumerMode", "compete", &without_history, &consume), FL_OK);
}

static void reads_the_mode_and_names_the_nearest(void **state)
{
    (void)state;
    struct gw_consume consume = {0};
    assert_int_equal(read_pair("consumermode", "Broadcast", &with_history, &consume), FL_OK);
    assert_int_equal(consume.mode, CONNECTOR_MODE_BROADCAST);
    assert_int_equal(read_pair("consumerMode", "broadcsat", &with_history, &consume),
                     FL_ERR_INVALID);
    assert_non_null(strstr(error.text, "the nearest is \"broadcast\""));
}

static void keeps_what_the_metadata_does_not_give(void **state)
{
    (void)state;
    struct gw_consume consume = {CONNECTOR_MODE_BROADCAST, CONNECTOR_START_POSITION, S("9")};
    assert_int_equal(read_pair("rawPayload", "true", &with_history, &consume), FL_OK);
    assert_int_equal(consume.mode, CONNECTOR_MODE_BROADCAST);
    assert_int_equal(consume.start, CONNECTOR_START_POSITION);
    assert_int_equal(read_pair("startFrom", "latest", &with_history, &consume), FL_OK);
    assert_int_equal(consume.mode, CONNECTOR_MODE_BROADCAST);
    assert_int_equal(consume.start, CONNECTOR_START_LATEST);
    assert_int_equal(consume.start_value.len, 0);
    assert_int_equal(read_pair("consumerMode", "compete", &with_history, &consume), FL_OK);
    assert_int_equal(consume.mode, CONNECTOR_MODE_COMPETE);
}

static const struct config_option own_rows[] = {
    {.name = "queueType", .type = CONFIG_STRING},
    {.name = NULL},
};
static const struct connector_type with_rows = {.subscribe_options = own_rows};

/* What is told about one pair of a Subscription's metadata; "" for nothing. */
static const char *told_about(const char *name, const char *value)
{
    struct config_notes notes;
    struct config_value pair = {fl_slice_str(name), fl_slice_str(value), "subs.yaml", 7};
    struct config_bind how = {.owner = "orders", .arena = &arena, .notes = &notes};
    config_notes_init(&notes, &arena);
    assert_int_equal(gw_consume_check_keys(&pair, 1, &how, &with_rows, &error), FL_OK);
    return notes.first ? notes.first->text : "";
}

static void tells_keys_of_a_subscription_that_nobody_reads(void **state)
{
    (void)state;
    assert_string_equal(told_about("rawPayload", "True"), "");
    assert_string_equal(told_about("RAWpayload", "x"),
                        "subs.yaml:7: orders: \"RAWpayload\" is not a known key; the nearest known "
                        "one is \"rawPayload\", whose spelling has to be exact");
    assert_string_equal(told_about("rawPayload", "yes"),
                        "subs.yaml:7: orders: rawPayload: found \"yes\"; accepted: true or false; "
                        "nothing can be delivered with this one");
    assert_string_equal(told_about("startfrom", "x"), "");
    assert_string_equal(told_about("QueueType", "x"), "");
    assert_string_equal(
        told_about("consumerMod", "x"),
        "subs.yaml:7: orders: \"consumerMod\" is not a known key; the nearest known "
        "one is \"consumerMode\"");
    assert_string_equal(told_about("queuType", "x"),
                        "subs.yaml:7: orders: \"queuType\" is not a known key; the nearest known "
                        "one is \"queueType\"");
    assert_string_equal(told_about("colour", "x"),
                        "subs.yaml:7: orders: \"colour\" is not a known key");
}

static void keys_that_nobody_reads_are_errors_when_strict(void **state)
{
    (void)state;
    struct config_value pair = {S("rawPayloads"), S("true"), NULL, 0};
    struct config_bind how = {.arena = &arena, .is_strict = true};
    assert_int_equal(gw_consume_check_keys(&pair, 1, &how, &with_rows, &error), FL_ERR_INVALID);
    assert_string_equal(error.text, "\"rawPayloads\" is not a known key; the nearest known one is "
                                    "\"rawPayload\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_words_times_and_positions),
        cmocka_unit_test(refuses_what_is_no_start),
        cmocka_unit_test(refuses_a_start_without_history),
        cmocka_unit_test(reads_the_mode_and_names_the_nearest),
        cmocka_unit_test(keeps_what_the_metadata_does_not_give),
        cmocka_unit_test(tells_keys_of_a_subscription_that_nobody_reads),
        cmocka_unit_test(keys_that_nobody_reads_are_errors_when_strict),
    };
    return cmocka_run_group_tests_name("consume options", tests, NULL, drop_arena);
}
