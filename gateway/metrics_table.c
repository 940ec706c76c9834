/* Every metric family, one row each, and the reference that is printed from the rows.
 *
 * Names, types and labels of the first part are daprd's; dashboards and alerts made for it keep
 * working. What Dapr has no word for begins with "fairlead_". A new family is a member of
 * `enum gw_metric`, a row here, and a call where the thing happens.
 *
 * Dapr's resiliency families carry the namespace of the Resiliency resource, which only the caller
 * knows; the others carry the process's, which the registry adds.
 */
#include "gateway/metrics_priv.h"

#define HTTP_LABELS "method path status"
#define TOPIC_LABELS "component topic"
#define POLICY_LABELS "flow_direction name namespace policy status target"

const struct gw_metric_row gw_metric_rows[GW_METRIC_COUNT] = {
    [GW_HTTP_SERVER_REQUEST_COUNT] = {"dapr_http_server_request_count", GW_COUNTER, GW_ALWAYS,
                                      false, HTTP_LABELS, "HTTP requests received"},
    [GW_HTTP_SERVER_RESPONSE_COUNT] = {"dapr_http_server_response_count", GW_COUNTER,
                                       GW_IF_INCREASED_CARDINALITY, false, HTTP_LABELS,
                                       "HTTP responses sent"},
    [GW_HTTP_SERVER_LATENCY] = {"dapr_http_server_latency", GW_LATENCIES, GW_ALWAYS, false,
                                HTTP_LABELS,
                                "Time from a request's head to the end of its response, in ms"},
    [GW_HTTP_SERVER_REQUEST_BYTES] = {"dapr_http_server_request_bytes", GW_SIZES, GW_ALWAYS, false,
                                      "", "Size of the bodies of requests"},
    [GW_HTTP_SERVER_RESPONSE_BYTES] = {"dapr_http_server_response_bytes", GW_SIZES, GW_ALWAYS,
                                       false, "", "Size of the bodies of responses"},
    [GW_HTTP_CLIENT_COMPLETED_COUNT] = {"dapr_http_client_completed_count", GW_COUNTER, GW_ALWAYS,
                                        false, HTTP_LABELS,
                                        "Calls to the application that were answered"},
    [GW_HTTP_CLIENT_ROUNDTRIP_LATENCY] = {"dapr_http_client_roundtrip_latency", GW_LATENCIES,
                                          GW_ALWAYS, false, HTTP_LABELS,
                                          "Time from the start of a call to the application to "
                                          "the end of its answer, in ms"},
    [GW_HTTP_CLIENT_SENT_BYTES] = {"dapr_http_client_sent_bytes", GW_SIZES, GW_ALWAYS, false,
                                   HTTP_LABELS, "Size of what calls to the application carry"},
    [GW_HTTP_CLIENT_RECEIVED_BYTES] = {"dapr_http_client_received_bytes", GW_SIZES, GW_ALWAYS,
                                       false, "", "Size of the application's answers"},
    [GW_HTTP_HEALTHPROBES_COMPLETED_COUNT] = {"dapr_http_healthprobes_completed_count", GW_COUNTER,
                                              GW_ALWAYS, false, "status",
                                              "Health probes of the application that were "
                                              "answered"},
    [GW_HTTP_HEALTHPROBES_ROUNDTRIP_LATENCY] = {"dapr_http_healthprobes_roundtrip_latency",
                                                GW_LATENCIES, GW_ALWAYS, false, "status",
                                                "Time that a health probe of the application "
                                                "took, in ms"},

    [GW_PUBSUB_INGRESS_COUNT] = {"dapr_component_pubsub_ingress_count", GW_COUNTER, GW_ALWAYS, true,
                                 "component process_status status topic",
                                 "Deliveries to the application, one for each attempt"},
    [GW_PUBSUB_INGRESS_LATENCIES] = {"dapr_component_pubsub_ingress_latencies", GW_LATENCIES,
                                     GW_ALWAYS, true, "component process_status status topic",
                                     "Time that the application took for a delivery, in ms"},
    [GW_PUBSUB_INGRESS_BULK_COUNT] = {"dapr_component_pubsub_ingress_bulk_count", GW_COUNTER,
                                      GW_ALWAYS, true, "component process_status topic",
                                      "Bulk deliveries to the application"},
    [GW_PUBSUB_INGRESS_BULK_EVENT_COUNT] = {"dapr_component_pubsub_ingress_bulk_event_count",
                                            GW_COUNTER, GW_ALWAYS, true,
                                            "component process_status topic",
                                            "Reports on events that came in bulk deliveries"},
    [GW_PUBSUB_INGRESS_BULK_LATENCIES] = {"dapr_component_pubsub_ingress_bulk_latencies",
                                          GW_LATENCIES, GW_ALWAYS, true,
                                          "component process_status topic",
                                          "Time that the application took for a bulk delivery, "
                                          "in ms"},
    [GW_PUBSUB_EGRESS_COUNT] = {"dapr_component_pubsub_egress_count", GW_COUNTER, GW_ALWAYS, true,
                                "component success topic", "Messages published through the API"},
    [GW_PUBSUB_EGRESS_LATENCIES] = {"dapr_component_pubsub_egress_latencies", GW_LATENCIES,
                                    GW_ALWAYS, true, "component success topic",
                                    "Time until a component had taken a message, in ms"},
    [GW_PUBSUB_EGRESS_BULK_COUNT] = {"dapr_component_pubsub_egress_bulk_count", GW_COUNTER,
                                     GW_ALWAYS, true, "component success topic",
                                     "Bulk publishes through the API"},
    [GW_PUBSUB_EGRESS_BULK_LATENCIES] = {"dapr_component_pubsub_egress_bulk_latencies",
                                         GW_LATENCIES, GW_ALWAYS, true, "component success topic",
                                         "Time until a component had taken a bulk publish, in ms"},

    [GW_RESILIENCY_LOADED] = {"dapr_resiliency_loaded", GW_COUNTER, GW_ALWAYS, false,
                              "name namespace", "Resiliency resources loaded"},
    [GW_RESILIENCY_COUNT] = {"dapr_resiliency_count", GW_COUNTER, GW_ALWAYS, false, POLICY_LABELS,
                             "Look-ups of a resiliency policy"},
    [GW_RESILIENCY_ACTIVATIONS_TOTAL] = {"dapr_resiliency_activations_total", GW_COUNTER, GW_ALWAYS,
                                         false, POLICY_LABELS,
                                         "Operations in which a resiliency policy took effect"},

    [GW_RESILIENCY_CB_STATE] = {"dapr_resiliency_cb_state", GW_GAUGE, GW_ALWAYS, false,
                                POLICY_LABELS,
                                "1 for the state that a circuit breaker had when it was last "
                                "looked up, else 0"},

    [GW_INPUT_BINDING_COUNT] = {"dapr_component_input_binding_count", GW_COUNTER, GW_ALWAYS, true,
                                "component success",
                                "Events of input bindings that were sent to the application"},
    [GW_INPUT_BINDING_LATENCIES] = {"dapr_component_input_binding_latencies", GW_LATENCIES,
                                    GW_ALWAYS, true, "component success",
                                    "Time that the application took for an event of an input "
                                    "binding, in ms"},
    [GW_OUTPUT_BINDING_COUNT] = {"dapr_component_output_binding_count", GW_COUNTER, GW_ALWAYS, true,
                                 "component operation success",
                                 "Calls of output bindings through the API"},
    [GW_OUTPUT_BINDING_LATENCIES] = {"dapr_component_output_binding_latencies", GW_LATENCIES,
                                     GW_ALWAYS, true, "component operation success",
                                     "Time that a call of an output binding took, in ms"},

    [GW_ERROR_CODE_TOTAL] = {"dapr_error_code_total", GW_COUNTER, GW_IF_ERROR_CODES, false,
                             "category error_code", "Errors by the code that the API answered"},
    [GW_COMPONENT_INIT_TOTAL] = {"dapr_runtime_component_init_total", GW_COUNTER, GW_ALWAYS, false,
                                 "component", "Components initialised, by type"},
    [GW_COMPONENT_INIT_FAIL_TOTAL] = {"dapr_runtime_component_init_fail_total", GW_COUNTER,
                                      GW_ALWAYS, false, "component componentName reason",
                                      "Failures to initialise a component, by type"},
    [GW_COMPONENT_LOADED] = {"dapr_runtime_component_loaded", GW_COUNTER, GW_ALWAYS, false, "",
                             "Components loaded"},

    [GW_PUBLISHED_TOTAL] = {"fairlead_published_total", GW_COUNTER, GW_ALWAYS, true, TOPIC_LABELS,
                            "Messages that a component confirmed to have taken"},
    [GW_REFUSED_TOTAL] = {"fairlead_refused_total", GW_COUNTER, GW_ALWAYS, true, "component reason",
                          "Publishes that were refused"},
    [GW_PUBLISH_WAITING] = {"fairlead_publish_waiting", GW_GAUGE, GW_ALWAYS, true, "component",
                            "Publishes that wait until the component can take more"},
    [GW_DELIVERED_TOTAL] = {"fairlead_delivered_total", GW_COUNTER, GW_ALWAYS, true, TOPIC_LABELS,
                            "Messages that the application took"},
    [GW_RETRIED_TOTAL] = {"fairlead_retried_total", GW_COUNTER, GW_ALWAYS, true, TOPIC_LABELS,
                          "Deliveries that will be tried again"},
    [GW_RETRY_WAITING] = {"fairlead_retry_waiting", GW_GAUGE, GW_ALWAYS, true, TOPIC_LABELS,
                          "Deliveries that wait for their next try"},
    [GW_DROPPED_TOTAL] = {"fairlead_dropped_total", GW_COUNTER, GW_ALWAYS, true,
                          "component reason topic", "Messages dropped, by reason"},
    [GW_DEAD_LETTERED_TOTAL] = {"fairlead_dead_lettered_total", GW_COUNTER, GW_ALWAYS, true,
                                TOPIC_LABELS, "Messages that went to their dead-letter topic"},
    [GW_IN_FLIGHT] = {"fairlead_in_flight", GW_GAUGE, GW_ALWAYS, true, TOPIC_LABELS,
                      "Deliveries that the application has not answered yet"},
    [GW_WINDOW] = {"fairlead_window", GW_GAUGE, GW_ALWAYS, true, TOPIC_LABELS,
                   "Deliveries that may be under way at once"},
    [GW_CONNECTOR_UP] = {"fairlead_connector_up", GW_GAUGE, GW_ALWAYS, true, "component",
                         "1 while the component is connected to its broker, else 0"},
    [GW_LOOP_LAG_SECONDS] = {"fairlead_loop_lag_seconds", GW_GAUGE, GW_ALWAYS, true, "",
                             "How late the loop's last timer was"},
    [GW_BUDGET_BYTES] = {"fairlead_budget_bytes", GW_GAUGE, GW_ALWAYS, true, "",
                         "Bytes that messages and bodies may hold"},
    [GW_BUDGET_USED_BYTES] = {"fairlead_budget_used_bytes", GW_GAUGE, GW_ALWAYS, true, "",
                              "Bytes that messages and bodies hold"},
    [GW_CONNECTIONS] = {"fairlead_connections", GW_GAUGE, GW_ALWAYS, true, "",
                        "Connections that clients of the API hold open"},
    [GW_METRICS_FOLDED_TOTAL] = {"fairlead_metrics_folded_total", GW_COUNTER, GW_ALWAYS, true,
                                 "metric",
                                 "Look-ups answered with labels \"other\", because the family is "
                                 "full"},
};

static const char *kind_text(enum gw_metric_kind kind)
{
    switch (kind) {
    case GW_COUNTER:
        return "counter";
    case GW_GAUGE:
        return "gauge";
    case GW_LATENCIES:
        return "histogram (ms)";
    case GW_SIZES:
        return "histogram (bytes)";
    }
    return "";
}

static const char *gate_text(enum gw_metric_gate gate)
{
    switch (gate) {
    case GW_ALWAYS:
        return "";
    case GW_IF_ERROR_CODES:
        return "; only with `recordErrorCodes: true`";
    case GW_IF_INCREASED_CARDINALITY:
        return "; not with `http.increasedCardinality: false`";
    }
    return "";
}

void gw_metrics_print_markdown(struct fl_buffer *out)
{
    fl_buffer_printf(
        out,
        "# Metrics\n\n"
        "Prometheus text on the metrics port (9090), under any path. Names that begin with `dapr_` "
        "are Dapr's, with its\nlabels; every family also has the label `app_id`. A series shows "
        "after its first record. A family has at most\n%d series; what comes later is counted "
        "under the label value `other` and in `fairlead_metrics_folded_total`.\n`process_*` is "
        "there as Prometheus clients have it.\n\n"
        "| Name | Type | Labels | Meaning |\n|---|---|---|---|\n",
        GW_SERIES_MAX);
    for (size_t i = 0; i < GW_METRIC_COUNT; i++) {
        const struct gw_metric_row *row = &gw_metric_rows[i];
        fl_buffer_printf(out, "| `%s` | %s | app_id%s%s%s | %s%s |\n", row->name,
                         kind_text(row->kind), row->has_namespace ? " namespace" : "",
                         row->labels[0] ? " " : "", row->labels, row->help, gate_text(row->gate));
    }
    fl_buffer_append_str(out, "| `fairlead_connector_*` | counter or gauge | app_id namespace "
                              "component type | What a component's connector counts; the "
                              "connector's page says under which names |\n");
}
