/* The registry's series, bounds, rules and path labels, and the Prometheus text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "gateway/metrics_priv.h"

#define S(text) FL_SLICE_LIT(text)

static struct config_metrics defaults(void)
{
    return (struct config_metrics){.is_enabled = true, .has_increased_cardinality = true};
}

static struct gw_metrics *make(const struct config_metrics *config)
{
    return gw_metrics_new(
        &(struct gw_metrics_settings){.app_id = S("app"), .name_space = S(""), .config = config});
}

static struct fl_buffer rendered;

/* The text as one string; valid until the next call. */
static const char *render(struct gw_metrics *metrics)
{
    fl_buffer_clear(&rendered);
    gw_metrics_render(metrics, &rendered);
    return fl_buffer_cstr(&rendered);
}

static void assert_has(const char *text, const char *line)
{
    const char *at = strstr(text, line);
    if (!at)
        fail_msg("no \"%s\" in:\n%.4000s", line, text);
}

static void assert_lacks(const char *text, const char *line)
{
    if (strstr(text, line))
        fail_msg("\"%s\" is in:\n%.4000s", line, text);
}

static size_t count_of(const char *text, const char *what)
{
    size_t count = 0;
    for (; (text = strstr(text, what)); text += strlen(what))
        count++;
    return count;
}

static int drop_text(void **state)
{
    (void)state;
    fl_buffer_fini(&rendered);
    return 0;
}

static void a_series_shows_after_its_first_record(void **state)
{
    (void)state;
    struct gw_metrics *metrics = make(NULL);
    struct fl_slice values[] = {S("pubsub"), S("true"), S("orders")};
    struct gw_counter *counter = gw_metrics_counter(metrics, GW_PUBSUB_EGRESS_COUNT, values);
    struct gw_gauge *gauge = gw_metrics_gauge(metrics, GW_CONNECTOR_UP, values);
    gw_metrics_histogram(metrics, GW_PUBSUB_EGRESS_LATENCIES, values);
    assert_lacks(render(metrics), "app_id");
    gw_counter_add(counter, 2);
    gw_gauge_set(gauge, 0);
    const char *text = render(metrics);
    assert_has(text, "# HELP dapr_component_pubsub_egress_count Messages published through the "
                     "API\n# TYPE dapr_component_pubsub_egress_count counter\n"
                     "dapr_component_pubsub_egress_count{app_id=\"app\",component=\"pubsub\","
                     "namespace=\"\",success=\"true\",topic=\"orders\"} 2\n");
    assert_has(text, "# TYPE fairlead_connector_up gauge\nfairlead_connector_up{app_id=\"app\","
                     "component=\"pubsub\",namespace=\"\"} 0\n");
    assert_lacks(text, "egress_latencies");
    gw_gauge_unset(gauge);
    assert_lacks(render(metrics), "connector_up");
    gw_metrics_free(&metrics);
    assert_null(metrics);
    gw_metrics_free(&metrics);
}

static void the_same_values_give_the_same_series(void **state)
{
    (void)state;
    struct gw_metrics *metrics = make(NULL);
    struct fl_slice a[] = {S("p"), S("t")}, b[] = {S("pt"), S("")};
    struct gw_counter *counter = gw_metrics_counter(metrics, GW_DELIVERED_TOTAL, a);
    assert_ptr_equal(counter, gw_metrics_counter(metrics, GW_DELIVERED_TOTAL, a));
    assert_ptr_not_equal(counter, gw_metrics_counter(metrics, GW_DELIVERED_TOTAL, b));
    assert_ptr_not_equal(counter, gw_metrics_counter(metrics, GW_RETRIED_TOTAL, a));
    assert_ptr_equal(gw_metrics_counter(metrics, GW_COMPONENT_LOADED, NULL),
                     gw_metrics_counter(metrics, GW_COMPONENT_LOADED, NULL));
    gw_metrics_free(&metrics);
}

static void a_histogram_has_cumulative_buckets_sum_and_count(void **state)
{
    (void)state;
    struct gw_metrics *metrics = make(NULL);
    struct fl_slice values[] = {S("POST"), S("/a"), S("200")};
    struct gw_histogram *ms = gw_metrics_histogram(metrics, GW_HTTP_SERVER_LATENCY, values);
    struct gw_histogram *bytes = gw_metrics_histogram(metrics, GW_HTTP_SERVER_REQUEST_BYTES, NULL);
    static const uint64_t samples[] = {0, 1, 99, 100, 127, 128, 129, 130, 99999, 100000, 1u << 30};
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++)
        gw_histogram_add(ms, samples[i]);
    gw_histogram_add(bytes, 1023);
    gw_histogram_add(bytes, 5000000);
#define LATENCY                                                                                    \
    "dapr_http_server_latency_bucket{app_id=\"app\",method=\"POST\",path=\"/a\",status=\"200\","
    const char *text = render(metrics);
    assert_has(text, LATENCY "le=\"1\"} 1\n" LATENCY "le=\"2\"} 2\n");
    assert_has(text, LATENCY "le=\"80\"} 2\n" LATENCY "le=\"100\"} 3\n" LATENCY
                             "le=\"130\"} 7\n" LATENCY "le=\"160\"} 8\n");
    assert_has(text, LATENCY "le=\"50000\"} 8\n" LATENCY "le=\"100000\"} 9\n" LATENCY
                             "le=\"+Inf\"} 11\n");
    assert_has(text, "dapr_http_server_latency_sum{app_id=\"app\",method=\"POST\",path=\"/a\","
                     "status=\"200\"} 1.073942537e+09\n");
    assert_has(text, "dapr_http_server_latency_count{app_id=\"app\",method=\"POST\",path=\"/a\","
                     "status=\"200\"} 11\n");
    assert_has(text, "dapr_http_server_request_bytes_bucket{app_id=\"app\",le=\"1024\"} 1\n");
    assert_has(text, "{app_id=\"app\",le=\"1.048576e+06\"} 1\n");
    assert_has(text, "{app_id=\"app\",le=\"1.6777216e+07\"} 2\n");
    assert_has(text, "{app_id=\"app\",le=\"4.294967296e+09\"} 2\n");
    assert_int_equal(count_of(text, "latency_bucket"), 35);
    assert_int_equal(count_of(text, "request_bytes_bucket"), 14);
    gw_metrics_free(&metrics);
}

static void every_value_falls_below_the_first_larger_bound(void **state)
{
    (void)state;
    struct gw_metrics *metrics = make(NULL);
    const struct gw_buckets *buckets = &metrics->latency;
    struct gw_histogram *histogram =
        gw_metrics_histogram(metrics, GW_HTTP_HEALTHPROBES_ROUNDTRIP_LATENCY, &S("200"));
    for (uint64_t value = 0; value < 1000; value++) {
        gw_histogram_add(histogram, value);
        uint32_t at = 0;
        while (buckets->bounds[at] <= value)
            at++;
        assert_int_equal(histogram->counts[at], 1);
        histogram->counts[at] = 0;
    }
    gw_metrics_free(&metrics);
}

static void numbers_look_as_go_writes_them(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0, "0"},
        {1, "1"},
        {-1, "-1"},
        {999999, "999999"},
        {1000000, "1e+06"},
        {1048576, "1.048576e+06"},
        {1234567, "1.234567e+06"},
        {100000, "100000"},
        {0.5, "0.5"},
        {0.25, "0.25"},
        {123456.75, "123456.75"},
        {1234567.5, "1.2345675e+06"},
        {0.0001, "0.0001"},
        {0.00001, "1e-05"},
        {1.0 / 3, "0.3333333333333333"},
        {0.1, "0.1"},
        {10.5, "10.5"},
        {1792101600.25, "1.79210160025e+09"},
        {18446744073709551615.0, "1.8446744073709552e+19"},
        {9007199254740991.0, "9.007199254740991e+15"},
        {-2500000.0, "-2.5e+06"},
        {1e300 * 1e300, "+Inf"},
        {-1e300 * 1e300, "-Inf"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[32];
        size_t len = gw_metrics_format(rows[i].value, text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(len, strlen(text));
    }
}

static void families_and_series_are_sorted(void **state)
{
    (void)state;
    struct gw_metrics *metrics = make(NULL);
    static const char *const topics[] = {"b", "a!", "a", "c\"", ""};
    for (size_t i = 0; i < 5; i++) {
        struct fl_slice values[] = {S("p"), fl_slice_str(topics[i])};
        gw_counter_add(gw_metrics_counter(metrics, GW_DELIVERED_TOTAL, values), i + 1);
        gw_counter_add(gw_metrics_counter(metrics, GW_PUBLISHED_TOTAL, values), 1);
    }
    gw_counter_add(gw_metrics_counter(metrics, GW_COMPONENT_LOADED, NULL), 1);
    const char *text = render(metrics);
#define DELIVERED "fairlead_delivered_total{app_id=\"app\",component=\"p\",namespace=\"\",topic=\""
    assert_has(text, DELIVERED "\"} 5\n" DELIVERED "a\"} 3\n" DELIVERED "a!\"} 2\n" DELIVERED
                               "b\"} 1\n" DELIVERED "c\\\"\"} 4\n");
    const char *last = "";
    char names[100][64];
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, "# TYPE ")); at++) {
        assert_int_equal(sscanf(at, "# TYPE %63s", names[count]), 1);
        assert_true(strcmp(last, names[count]) < 0);
        last = names[count++];
    }
    assert_true(count >= 9);
    gw_metrics_free(&metrics);
}

static void label_values_are_cleaned_and_escaped(void **state)
{
    (void)state;
    struct gw_metrics *metrics = make(NULL);
    struct fl_slice values[] = {S("q\"b\\n\n"), fl_slice_of("x\0y\xff\xc3\xa9", 6)};
    gw_counter_add(gw_metrics_counter(metrics, GW_DELIVERED_TOTAL, values), 1);
    assert_has(render(metrics), "component=\"q\\\"b\\\\n\\n\",namespace=\"\","
                                "topic=\"x?y?\xc3\xa9\"} 1\n");
    char large[1000];
    memset(large, 'l', sizeof large);
    memcpy(large + GW_LABEL_VALUE_MAX - 1, "\xc3\xa9", 2);
    struct fl_slice wide[] = {S("c"), fl_slice_of(large, sizeof large)};
    gw_counter_add(gw_metrics_counter(metrics, GW_DELIVERED_TOTAL, wide), 1);
    assert_has(render(metrics), "llll\"} 1\n");
    gw_metrics_free(&metrics);
}

static void a_full_family_folds_topics_then_everything(void **state)
{
    (void)state;
    struct gw_metrics *metrics = make(NULL);
    char topic[32], component[32];
    for (unsigned i = 0; i < GW_SERIES_MAX + 500; i++) {
        snprintf(topic, sizeof topic, "t%u", i);
        struct fl_slice values[] = {S("p"), fl_slice_str(topic)};
        gw_counter_add(gw_metrics_counter(metrics, GW_DELIVERED_TOTAL, values), 1);
    }
    assert_has(render(metrics), "component=\"p\",namespace=\"\",topic=\"other\"} 500\n");
    assert_has(render(metrics), "metric=\"fairlead_delivered_total\",namespace=\"\"} 500\n");
    for (unsigned i = 0; i < 2 * GW_SERIES_OTHER_MAX; i++) {
        snprintf(component, sizeof component, "p%u", i);
        struct fl_slice values[] = {fl_slice_str(component), S("t0")};
        gw_counter_add(gw_metrics_counter(metrics, GW_DELIVERED_TOTAL, values), 1);
    }
    const char *text = render(metrics);
    assert_has(text, "component=\"p98\",namespace=\"\",topic=\"other\"} 1\n");
    assert_has(text, "component=\"other\",namespace=\"\",topic=\"other\"} 101\n");
    assert_int_equal(count_of(text, "fairlead_delivered_total{"),
                     GW_SERIES_MAX + GW_SERIES_OTHER_MAX + 1);
    struct fl_slice old[] = {S("p"), S("t7")};
    assert_int_equal(gw_metrics_counter(metrics, GW_DELIVERED_TOTAL, old)->value, 1);
    gw_metrics_free(&metrics);
}

static void switches_of_the_configuration_hide_families(void **state)
{
    (void)state;
    struct fl_slice values[] = {S("a"), S("b"), S("c"), S("d")};
    struct config_metrics config = defaults();
    for (int round = 0; round < 3; round++) {
        config.is_enabled = round != 0;
        config.records_error_codes = round == 2;
        config.has_increased_cardinality = round != 2;
        struct gw_metrics *metrics = make(&config);
        gw_counter_add(gw_metrics_counter(metrics, GW_ERROR_CODE_TOTAL, values), 1);
        gw_counter_add(gw_metrics_counter(metrics, GW_HTTP_SERVER_RESPONSE_COUNT, values), 1);
        gw_counter_add(gw_metrics_counter(metrics, GW_HTTP_SERVER_REQUEST_COUNT, values), 1);
        gw_histogram_add(gw_metrics_histogram(metrics, GW_HTTP_SERVER_LATENCY, values), 1);
        gw_gauge_set(gw_metrics_gauge(metrics, GW_CONNECTIONS, NULL), 1);
        const char *text = render(metrics);
        assert_int_equal(count_of(text, "dapr_error_code_total{"), round == 2);
        assert_int_equal(count_of(text, "dapr_http_server_response_count{"), round == 1);
        assert_int_equal(count_of(text, "dapr_http_server_request_count{"), round != 0);
        assert_int_equal(count_of(text, "dapr_http_server_latency_count{"), round != 0);
        assert_int_equal(count_of(text, "fairlead_connections{"), round != 0);
        assert_has(text, "process_resident_memory_bytes ");
        gw_metrics_free(&metrics);
    }
}

static void latency_bounds_come_from_the_configuration(void **state)
{
    (void)state;
    struct config_metrics config = defaults();
    int64_t bounds[GW_LATENCY_BUCKETS_MAX + 50] = {500, 10, -4, 10, 0, 2500000};
    config.latency_buckets_ms = bounds;
    config.latency_bucket_count = 6;
    struct gw_metrics *metrics = make(&config);
    struct gw_histogram *histogram =
        gw_metrics_histogram(metrics, GW_HTTP_HEALTHPROBES_ROUNDTRIP_LATENCY, &S("200"));
    gw_histogram_add(histogram, 9);
    gw_histogram_add(histogram, 10);
    gw_histogram_add(histogram, 499);
    gw_histogram_add(histogram, 500);
#define PROBE "dapr_http_healthprobes_roundtrip_latency_bucket{app_id=\"app\",status=\"200\",le=\""
    assert_has(render(metrics),
               PROBE "10\"} 1\n" PROBE "500\"} 3\n" PROBE "2.5e+06\"} 4\n" PROBE "+Inf\"} 4\n");
    gw_metrics_free(&metrics);
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++)
        bounds[i] = (int64_t)i + 1;
    config.latency_bucket_count = sizeof bounds / sizeof bounds[0];
    metrics = make(&config);
    assert_int_equal(metrics->latency.count, GW_LATENCY_BUCKETS_MAX);
    gw_metrics_free(&metrics);
}

static struct fl_slice path_of(const struct gw_metrics *metrics, const char *path)
{
    return gw_metrics_http_path(metrics, fl_slice_str(path));
}

#define assert_slice(slice, text)                                                                  \
    do {                                                                                           \
        struct fl_slice given = (slice);                                                           \
        if (!fl_slice_eq_str(given, text))                                                         \
            fail_msg("\"%.*s\" is not \"%s\"", FL_SLICE_ARG(given), text);                         \
    } while (0)

static void paths_show_without_the_keys_of_stores(void **state)
{
    (void)state;
    struct gw_metrics *metrics = make(NULL);
    assert_slice(path_of(metrics, "/v1.0/publish/p/t/u"), "/v1.0/publish/p/t/u");
    assert_slice(path_of(metrics, "/v1.0/state/store/a/b"), "/v1.0/state/store");
    assert_slice(path_of(metrics, "/v1.0/secrets/store/a"), "/v1.0/secrets/store");
    assert_slice(path_of(metrics, "/v1.0/state/store"), "/v1.0/state/store");
    assert_slice(path_of(metrics, "/v1.0/state"), "/v1.0/state");
    assert_slice(path_of(metrics, "/"), "/");
    assert_slice(path_of(metrics, ""), "");
    assert_slice(path_of(metrics, "x"), "x");
    gw_metrics_free(&metrics);
}

static void low_cardinality_leaves_patterns_and_our_own_calls(void **state)
{
    (void)state;
    struct config_metrics config = defaults();
    config.has_increased_cardinality = false;
    struct fl_slice patterns[] = {S("/orders/{id}"),
                                  S("orders//new"),
                                  S("/files/{rest...}"),
                                  S("/tree/"),
                                  S("/end/{$}"),
                                  S("/orders/{id}/items/{n}"),
                                  S("/v1.0/invoke/x/method/y")};
    config.path_matching = (struct config_list){patterns, sizeof patterns / sizeof patterns[0]};
    struct gw_metrics *metrics = make(&config);
    static const char *const rows[][2] = {
        {"/orders/7", "/orders/{id}"},
        {"/orders/new", "/orders/new"},
        {"/orders/7/items/8", "/orders/{id}/items/{n}"},
        {"/orders/7/items", ""},
        {"/orders/", ""},
        {"/orders", ""},
        {"/files/a/b/c", "/files/{rest...}"},
        {"/tree/a/b", "/tree/"},
        {"/tree", ""},
        {"/end/", "/end/{$}"},
        {"/end/x", ""},
        {"/v1.0/invoke/shop/method/orders/7", "/v1.0/invoke/{app_id}/method/orders/{id}"},
        {"/v1.0/invoke/x/method/y", "/v1.0/invoke/x/method/y"},
        {"/dapr/config", ""},
        {"/", ""},
        {"", ""},
        {"no-slash", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_slice(path_of(metrics, rows[i][0]), rows[i][1]);
    assert_slice(gw_metrics_http_client_path(metrics, S("/dapr/config")), "/dapr/config");
    assert_slice(gw_metrics_http_client_path(metrics, S("/healthz")), "/healthz");
    assert_slice(gw_metrics_http_client_path(metrics, S("/mine")), "");
    gw_metrics_free(&metrics);
    config.has_increased_cardinality = true;
    metrics = make(&config);
    assert_slice(path_of(metrics, "/orders/7"), "/orders/{id}");
    assert_slice(path_of(metrics, "/mine"), "/mine");
    gw_metrics_free(&metrics);
}

static void methods_and_statuses_are_few(void **state)
{
    (void)state;
    struct config_metrics config = defaults();
    struct gw_metrics *metrics = make(&config);
    assert_slice(gw_metrics_http_method(metrics, S("PATCH")), "PATCH");
    assert_slice(gw_metrics_http_method(metrics, S("BREW")), "UNKNOWN");
    assert_slice(gw_metrics_http_method(metrics, S("get")), "UNKNOWN");
    gw_metrics_free(&metrics);
    config.excludes_verbs = true;
    metrics = make(&config);
    assert_slice(gw_metrics_http_method(metrics, S("PATCH")), "");
    gw_metrics_free(&metrics);
    for (unsigned status = 100; status < 600; status++) {
        char text[8];
        snprintf(text, sizeof text, "%u", status);
        assert_slice(gw_metrics_http_status(status), text);
    }
    assert_slice(gw_metrics_http_status(0), "");
    assert_slice(gw_metrics_http_status(99), "other");
    assert_slice(gw_metrics_http_status(600), "other");
}

/* What one rule makes of a topic. */
static const char *rewrite(const char *pattern, const char *replacement, const char *topic)
{
    static char result[300];
    struct config_metrics config = defaults();
    struct config_pair pair = {fl_slice_str(replacement), fl_slice_str(pattern)};
    struct config_metric_label label = {S("topic"), {&pair, 1}};
    struct config_metric_rule rule = {S("dapr_component_pubsub_egress/count"), &label, 1};
    config.rules = &rule;
    config.rule_count = 1;
    struct gw_metrics *metrics = make(&config);
    struct gw_label *last = &metrics->families[GW_PUBSUB_EGRESS_COUNT].labels[4];
    assert_slice(last->name, "topic");
    struct fl_slice values[] = {S("p"), S("true"), fl_slice_str(topic)};
    struct gw_counter *counter = gw_metrics_counter(metrics, GW_PUBSUB_EGRESS_COUNT, values);
    gw_counter_add(counter, 1);
    const char *at = strstr(render(metrics), "topic=\"") + strlen("topic=\"");
    const char *end = strstr(at, "\"} 1\n");
    snprintf(result, sizeof result, "%s%.*s", last->rules ? "" : "refused:", (int)(end - at), at);
    gw_metrics_free(&metrics);
    return result;
}

static void rules_rewrite_label_values_as_go_would(void **state)
{
    (void)state;
    static const char *const rows[][4] = {
        {"orders/.+", "orders/", "orders/77", "orders/"},
        {"orders/.+", "orders/", "other", "other"},
        {"\\d+", "N", "a12b3", "aNbN"},
        {"(\\w+)-(?:x|y)-(\\w+)", "$2.${1}!$3$", "left-y-right", "right.left!$"},
        {"([a-z]+)", "$1s", "ab", ""},
        {"([a-z]+)", "<$0$$>", "ab cd", "<ab$> <cd$>"},
        {"a*", "x", "baac", "xbxcx"},
        {".*", "x", "abc", "x"},
        {"$", "!", "abc", "abc!"},
        {"^", "!", "abc", "!abc"},
        {"^a", "", "aaa", "aa"},
        {"q*", "-", "\xc3\xa9", "-\xc3\xa9-"},
        {"(?i)ORDER", "o", "order Order", "o o"},
        {"\\.", "_", "a.b.c", "a_b_c"},
        {"[\\d\\.]+$", "V", "name-1.2", "name-V"},
        {"[[:digit:]]", "#", "a1", "a#"},
        {"[]x]", "#", "a]x", "a##"},
        {"\\^\\\\\\]", "#", "^\\]", "#"},
        {"\\Aab\\z", "#", "ab", "#"},
        {"\\bcat\\b", "dog", "cat concat", "dog concat"},
        {"\\D", "", "a1b2", "12"},
        {"a+?", "x", "aa", "refused:aa"},
        {"(?P<n>a)", "x", "a", "refused:a"},
        {"[", "x", "a", "refused:a"},
        {"(", "x", "a", "refused:a"},
        {"\\pL", "x", "a", "refused:a"},
        {"\\1", "x", "a", "refused:a"},
        {"a\\", "x", "a", "refused:a"},
        {"[\\]]", "x", "a", "refused:a"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(rewrite(rows[i][0], rows[i][1], rows[i][2]), rows[i][3]);
}

static void rules_never_pass_the_bound_of_a_value(void **state)
{
    (void)state;
    char topic[300];
    memset(topic, 'a', 299);
    topic[299] = 0;
    const char *text = rewrite("a", "\xc3\xa9\xc3\xa9", topic);
    assert_int_equal(strlen(text), GW_LABEL_VALUE_MAX - 1);
    assert_true(fl_utf8_is_valid(fl_slice_str(text)));
}

static void a_later_rule_takes_the_place_of_an_earlier(void **state)
{
    (void)state;
    struct config_metrics config = defaults();
    struct config_pair first = {S("1"), S("t")}, second[] = {{S("u"), S("t")}, {S("v"), S("u")}};
    struct config_metric_label labels[] = {{S("topic"), {&first, 1}}, {S("topic"), {second, 2}}};
    struct config_metric_rule rules[] = {{S("fairlead_delivered_total"), labels, 2},
                                         {S("nothing_such"), labels, 1}};
    config.rules = rules;
    config.rule_count = 2;
    struct gw_metrics *metrics = make(&config);
    struct fl_slice values[] = {S("p"), S("t")};
    gw_counter_add(gw_metrics_counter(metrics, GW_DELIVERED_TOTAL, values), 1);
    assert_has(render(metrics), "topic=\"v\"} 1\n");
    gw_metrics_free(&metrics);
}

static void set_connections(struct gw_metrics *metrics, void *context)
{
    gw_gauge_set(gw_metrics_gauge(metrics, GW_CONNECTIONS, NULL), *(double *)context);
}

static void the_hook_sets_gauges_before_the_text(void **state)
{
    (void)state;
    struct gw_metrics *metrics = make(NULL);
    double connections = 12;
    gw_metrics_set_scrape_hook(metrics, set_connections, &connections);
    assert_has(render(metrics), "fairlead_connections{app_id=\"app\",namespace=\"\"} 12\n");
    connections = 13;
    assert_has(render(metrics), "fairlead_connections{app_id=\"app\",namespace=\"\"} 13\n");
    gw_metrics_free(&metrics);
}

static double figure(const char *text, const char *name)
{
    char line[80];
    snprintf(line, sizeof line, "\n%s ", name);
    assert_has(text, line);
    return strtod(strstr(text, line) + strlen(line), NULL);
}

static void the_process_tells_about_itself(void **state)
{
    (void)state;
    struct gw_metrics *metrics = make(NULL);
    const char *text = render(metrics);
    assert_true(figure(text, "process_resident_memory_bytes") > 100000);
    assert_true(figure(text, "process_virtual_memory_bytes") >
                figure(text, "process_resident_memory_bytes"));
    assert_true(figure(text, "process_open_fds") >= 3);
    assert_true(figure(text, "process_open_fds") < figure(text, "process_max_fds"));
    assert_true(figure(text, "process_cpu_seconds_total") < 100);
    double age_s = (double)time(NULL) - figure(text, "process_start_time_seconds");
    assert_true(age_s > -2 && age_s < 600);
    gw_metrics_free(&metrics);
}

static void every_row_is_whole_and_in_the_reference(void **state)
{
    (void)state;
    struct gw_metrics *metrics = make(NULL);
    struct fl_buffer markdown = {0};
    gw_metrics_print_markdown(&markdown);
    const char *text = fl_buffer_cstr(&markdown);
    for (size_t i = 0; i < GW_METRIC_COUNT; i++) {
        const struct gw_family *family = &metrics->families[i];
        assert_non_null(family->row->name);
        assert_true(strlen(family->row->help) > 8);
        assert_has(text, family->row->name);
        for (size_t at = 1; at < family->label_count; at++)
            assert_true(fl_slice_compare(family->labels[at - 1].name, family->labels[at].name) < 0);
        size_t next = 0;
        for (size_t at = 0; at < family->label_count; at++)
            if (family->labels[at].source == GW_LABEL_VALUE)
                assert_int_equal(family->labels[at].at, next++);
    }
    fl_buffer_fini(&markdown);
    gw_metrics_free(&metrics);
}

static void connectors_count_under_names_of_their_own(void **state)
{
    (void)state;
    struct gw_metrics *metrics = make(NULL);
    struct gw_connector_figure figure = {.name = "syncs_total",
                                         .help = "Times that the file was synced",
                                         .component = S("one"),
                                         .type = S("pubsub.a"),
                                         .value = 3};
    gw_metrics_set_figure(metrics, &figure);
    figure.component = S("two");
    gw_metrics_set_figure(metrics, &figure);
    figure.value = 5;
    gw_metrics_set_figure(metrics, &figure);
    figure.is_gauge = true; /* a counter elsewhere */
    gw_metrics_set_figure(metrics, &figure);
    figure.name = "file_bytes";
    figure.value = 0;
    gw_metrics_set_figure(metrics, &figure);
    figure.name = "up"; /* a family of ours */
    gw_metrics_set_figure(metrics, &figure);
    figure.name = "no name";
    gw_metrics_set_figure(metrics, &figure);
    const char *text = render(metrics);
#define FIGURE(name, component)                                                                    \
    "fairlead_connector_" name "{app_id=\"app\",component=\"" component                            \
    "\",namespace=\"\",type=\"pubsub.a\"} "
    assert_has(text,
               "# HELP fairlead_connector_file_bytes Times that the file was synced\n"
               "# TYPE fairlead_connector_file_bytes gauge\n" FIGURE(
                   "file_bytes",
                   "two") "0\n"
                          "# HELP fairlead_connector_syncs_total Times that the file was synced\n"
                          "# TYPE fairlead_connector_syncs_total counter\n" FIGURE(
                              "syncs_total", "one") "3\n" FIGURE("syncs_total", "two") "5\n");
    assert_lacks(text, "connector_up");
    assert_lacks(text, "no name");
    gw_metrics_free(&metrics);
}

static void names_of_connectors_are_bounded(void **state)
{
    (void)state;
    struct gw_metrics *metrics = make(NULL);
    char names[GW_CONNECTOR_FAMILIES_MAX + 5][16];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(names[i], sizeof names[i], "n%zu", i);
        gw_metrics_set_figure(
            metrics,
            &(struct gw_connector_figure){
                .name = names[i], .help = "", .component = S("c"), .type = S("t"), .value = 1});
    }
    assert_int_equal(count_of(render(metrics), "\nfairlead_connector_n"),
                     GW_CONNECTOR_FAMILIES_MAX);
    gw_metrics_free(&metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_series_shows_after_its_first_record),
        cmocka_unit_test(the_same_values_give_the_same_series),
        cmocka_unit_test(connectors_count_under_names_of_their_own),
        cmocka_unit_test(names_of_connectors_are_bounded),
        cmocka_unit_test(a_histogram_has_cumulative_buckets_sum_and_count),
        cmocka_unit_test(every_value_falls_below_the_first_larger_bound),
        cmocka_unit_test(numbers_look_as_go_writes_them),
        cmocka_unit_test(families_and_series_are_sorted),
        cmocka_unit_test(label_values_are_cleaned_and_escaped),
        cmocka_unit_test(a_full_family_folds_topics_then_everything),
        cmocka_unit_test(switches_of_the_configuration_hide_families),
        cmocka_unit_test(latency_bounds_come_from_the_configuration),
        cmocka_unit_test(paths_show_without_the_keys_of_stores),
        cmocka_unit_test(low_cardinality_leaves_patterns_and_our_own_calls),
        cmocka_unit_test(methods_and_statuses_are_few),
        cmocka_unit_test(rules_rewrite_label_values_as_go_would),
        cmocka_unit_test(rules_never_pass_the_bound_of_a_value),
        cmocka_unit_test(a_later_rule_takes_the_place_of_an_earlier),
        cmocka_unit_test(the_hook_sets_gauges_before_the_text),
        cmocka_unit_test(the_process_tells_about_itself),
        cmocka_unit_test(every_row_is_whole_and_in_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, drop_text);
}
