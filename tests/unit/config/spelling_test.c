/* Which wrong names are near which right ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "config/spelling.h"

static const char *const names[] = {"consumerID", "redisHost", "redisPassword", "host",
                                    "ttl",        "enableTLS", "redisDB"};

static void finds_the_nearest(void **state)
{
    (void)state;
    static const struct {
        const char *word, *nearest;
    } cases[] = {
        {"consumerId", "consumerID"},
        {"consumrID", "consumerID"},
        {"redishots", "redisHost"},
        {"redsHost", "redisHost"},
        {"hsot", "host"},
        {"tll", "ttl"},
        {"enableTsl", "enableTLS"},
        {"redisPasswort", "redisPassword"},
        {"x", NULL},
        {"", NULL},
        {"somethingElse", NULL},
        {"redisDatabase", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = config_spelling_nearest(fl_slice_str(cases[i].word), names,
                                                  sizeof names / sizeof *names);
        if (cases[i].nearest)
            assert_string_equal(got, cases[i].nearest);
        else
            assert_null(got);
    }
}

static void long_words_are_near_nothing(void **state)
{
    (void)state;
    char word[200];
    memset(word, 'a', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    const char *const same[] = {word};
    assert_null(config_spelling_nearest(fl_slice_str(word), same, 1));
    word[64] = '\0';
    assert_non_null(config_spelling_nearest(fl_slice_str(word), same, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_nearest),
        cmocka_unit_test(long_words_are_near_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
