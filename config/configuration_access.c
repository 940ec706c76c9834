/* What a configuration says about who may do what: API rules, logging of calls, pipelines, access
 * control and secrets. Of the last three only the mistakes matter here, because what they concern
 * is not here; daprd refuses to start with some of them, and so does this. */
#include <stdio.h>

#include "base/buffer.h"
#include "config/configuration_priv.h"
#include "config/spelling.h"

/* --- API rules, features, components, logging ------------------------------------------------- */

struct rules {
    const struct config_node *allowed, *denied;
};

static const struct config_field rules_fields[] = {
    CONFIG_FIELD(rules, allowed, "allowed", CONFIG_FIELD_LIST),
    CONFIG_FIELD(rules, denied, "denied", CONFIG_FIELD_LIST),
    {NULL},
};

static const struct config_field api_rule_fields[] = {
    CONFIG_FIELD(config_api_rule, name, "name", CONFIG_FIELD_STRING),
    CONFIG_FIELD(config_api_rule, version, "version", CONFIG_FIELD_STRING),
    CONFIG_FIELD(config_api_rule, protocol, "protocol", CONFIG_FIELD_STRING),
    {NULL},
};

static const struct config_field handler_fields[] = {
    CONFIG_FIELD(config_handler, name, "name", CONFIG_FIELD_STRING),
    CONFIG_FIELD(config_handler, type, "type", CONFIG_FIELD_STRING),
    CONFIG_FIELD(config_handler, version, "version", CONFIG_FIELD_STRING),
    {"selector", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

/* The groups of daprd's API. */
static const char *const api_names[] = {
    "publish",  "bindings",  "metadata",      "shutdown", "healthz", "invoke",
    "state",    "secrets",   "configuration", "actors",   "lock",    "unlock",
    "workflow", "workflows", "subscribe",     "crypto",   "jobs",    "conversation"};

enum { API_NAME_COUNT = sizeof api_names / sizeof *api_names };

/* A rule that matches nothing opens what it was to close, so each reason is told. */
static enum fl_err check_api_rule(struct config_applier *a, const struct config_node *node,
                                  const char *path, const struct config_api_rule *rule)
{
    static const char *const protocols[] = {"http", "grpc"};
    const char *near = config_near_miss(rule->name, api_names, API_NAME_COUNT);
    char place[CONFIG_PLACE_TEXT];
    config_field_place(node, node->line, place);
    if (rule->protocol.len && !fl_slice_eq_str(rule->protocol, protocols[0]) &&
        !fl_slice_eq_str(rule->protocol, protocols[1]))
        return config_field_doubt(&a->reader, a->error,
                                  "%s: %s: the rule has no effect: protocol: found \"%.*s\"; "
                                  "accepted: http, grpc",
                                  place, path,
                                  (int)(rule->protocol.len > 80 ? 80 : rule->protocol.len),
                                  rule->protocol.data);
    if (rule->name.len == 0 || rule->version.len == 0 || rule->protocol.len == 0)
        return config_field_doubt(&a->reader, a->error,
                                  "%s: %s: the rule has no effect: %s is missing or empty", place,
                                  path,
                                  rule->name.len == 0      ? "name"
                                  : rule->version.len == 0 ? "version"
                                                           : "protocol");
    if (near)
        return config_field_doubt(&a->reader, a->error,
                                  "%s: %s: \"%.*s\" is not a known name; the nearest known one is "
                                  "\"%s\"",
                                  place, path, FL_SLICE_ARG(rule->name), near);
    return FL_OK;
}

static enum fl_err check_api_rules(struct config_applier *a, const struct config_node *list,
                                   const char *path, const struct config_api_rules *rules)
{
    enum fl_err err = FL_OK;
    for (size_t i = 0; list && i < rules->count && err == FL_OK; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s[%zu]", path, i);
        err = check_api_rule(a, list->list.items[i], name, &rules->items[i]);
    }
    return err;
}

enum fl_err config_apply_api(struct config_applier *a, const struct config_node *node)
{
    struct rules rules = {0};
    struct config_configuration *into = a->into;
    enum fl_err err = config_applier_read(a, node, "spec.api", rules_fields, &rules);
    if (err == FL_OK)
        err = config_applier_read_list(a, rules.allowed, "spec.api.allowed", api_rule_fields,
                                       sizeof(struct config_api_rule), &into->api_allowed.items,
                                       &into->api_allowed.count);
    if (err == FL_OK)
        err = config_applier_read_list(a, rules.denied, "spec.api.denied", api_rule_fields,
                                       sizeof(struct config_api_rule), &into->api_denied.items,
                                       &into->api_denied.count);
    if (err == FL_OK)
        err = check_api_rules(a, rules.allowed, "spec.api.allowed", &into->api_allowed);
    if (err == FL_OK)
        err = check_api_rules(a, rules.denied, "spec.api.denied", &into->api_denied);
    return err;
}

struct logging {
    const struct config_node *api;
};

static const struct config_field logging_fields[] = {
    CONFIG_FIELD(logging, api, "apiLogging", CONFIG_FIELD_MAP),
    {NULL},
};

static const struct config_field api_logging_fields[] = {
    CONFIG_FIELD(config_configuration, api_logging, "enabled", CONFIG_FIELD_BOOL),
    CONFIG_FIELD(config_configuration, api_logging_obfuscates_urls, "obfuscateURLs",
                 CONFIG_FIELD_BOOL),
    CONFIG_FIELD(config_configuration, api_logging_omits_health, "omitHealthChecks",
                 CONFIG_FIELD_BOOL),
    {NULL},
};

enum fl_err config_apply_logging(struct config_applier *a, const struct config_node *node)
{
    struct logging logging = {0};
    enum fl_err err = config_applier_read(a, node, "spec.logging", logging_fields, &logging);
    if (err == FL_OK)
        err = config_applier_read(a, logging.api, "spec.logging.apiLogging", api_logging_fields,
                                  a->into);
    if (err == FL_OK && config_node_find(logging.api, "enabled"))
        a->into->has_api_logging = true;
    return err;
}

struct pipeline {
    const struct config_node *handlers;
};

static const struct config_field pipeline_fields[] = {
    CONFIG_FIELD(pipeline, handlers, "handlers", CONFIG_FIELD_LIST),
    {NULL},
};

enum fl_err config_apply_pipeline(struct config_applier *a, const struct config_node *node,
                                  const char *path, struct config_handlers *into)
{
    struct pipeline pipeline = {0};
    char name[64], place[CONFIG_PLACE_TEXT];
    snprintf(name, sizeof name, "%s.handlers", path);
    enum fl_err err = config_applier_read(a, node, path, pipeline_fields, &pipeline);
    if (err == FL_OK)
        err = config_applier_read_list(a, pipeline.handlers, name, handler_fields,
                                       sizeof(struct config_handler), &into->items, &into->count);
    if (err != FL_OK || into->count == 0)
        return err;
    return config_field_doubt(&a->reader, a->error,
                              "%s: %s: middleware is not part of this version; requests do not "
                              "pass through what is listed",
                              config_field_place(node, node->line, place), path);
}

/* --- access control and secrets --------------------------------------------------------------- */

struct access {
    const struct config_node *policies;
};

static const struct config_field access_fields[] = {
    CONFIG_FIELD(access, policies, "policies", CONFIG_FIELD_LIST),
    {"defaultAction", CONFIG_FIELD_KNOWN, 0},
    {"trustDomain", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

struct access_policy {
    struct fl_slice app_id, trust_domain, namespace;
};

static const struct config_field access_policy_fields[] = {
    CONFIG_FIELD(access_policy, app_id, "appId", CONFIG_FIELD_STRING),
    CONFIG_FIELD(access_policy, trust_domain, "trustDomain", CONFIG_FIELD_STRING),
    CONFIG_FIELD(access_policy, namespace, "namespace", CONFIG_FIELD_STRING),
    {"defaultAction", CONFIG_FIELD_KNOWN, 0},
    {"operations", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

static void append_name(struct fl_buffer *names, struct fl_slice name)
{
    if (names->len)
        fl_buffer_append_byte(names, ' ');
    fl_buffer_append_slice(names, name);
}

static enum fl_err check_access(struct config_applier *a, const struct config_node *list,
                                const struct access_policy *policies, size_t count)
{
    char place[CONFIG_PLACE_TEXT];
    struct fl_buffer domains = {0}, namespaces = {0};
    bool lacks_name = false, is_fine = true;
    enum fl_err err = FL_OK;
    for (size_t i = 0; i < count; i++) {
        const struct access_policy *policy = &policies[i];
        lacks_name = lacks_name || policy->app_id.len == 0;
        if (policy->trust_domain.len == 0)
            append_name(&domains, policy->app_id);
        if (policy->namespace.len == 0)
            append_name(&namespaces, policy->app_id);
        is_fine =
            is_fine && policy->app_id.len && policy->trust_domain.len && policy->namespace.len;
    }
    if (!is_fine)
        err = fl_error_set(a->error, FL_ERR_REFUSED, FL_CLASS_FATAL,
                           "invalid access control spec. missing trustdomain for apps: [%.*s], "
                           "missing namespace for apps: [%.*s], missing app name on at least one "
                           "of the app policies: %s (%s)",
                           FL_SLICE_ARG(domains), FL_SLICE_ARG(namespaces),
                           lacks_name ? "true" : "false",
                           config_field_place(list, list->line, place));
    fl_buffer_fini(&domains);
    fl_buffer_fini(&namespaces);
    return err;
}

enum fl_err config_apply_access(struct config_applier *a, const struct config_node *node)
{
    struct access access = {0};
    struct access_policy *policies = NULL;
    size_t count = 0;
    a->into->has_access_control = true;
    enum fl_err err = config_applier_read(a, node, "spec.accessControl", access_fields, &access);
    if (err == FL_OK)
        err = config_applier_read_list(a, access.policies, "spec.accessControl.policies",
                                       access_policy_fields, sizeof *policies, &policies, &count);
    if (err == FL_OK)
        err = check_access(a, access.policies, policies, count);
    if (err == FL_OK)
        config_applier_note(a, FL_LOG_INFO, node, "spec.accessControl",
                            "has no effect: it concerns service invocation, which is not here");
    return err;
}

struct secrets {
    const struct config_node *scopes;
};

static const struct config_field secrets_fields[] = {
    CONFIG_FIELD(secrets, scopes, "scopes", CONFIG_FIELD_LIST),
    {NULL},
};

struct secret_scope {
    struct fl_slice store, access;
};

static const struct config_field secret_scope_fields[] = {
    CONFIG_FIELD(secret_scope, store, "storeName", CONFIG_FIELD_STRING),
    CONFIG_FIELD(secret_scope, access, "defaultAccess", CONFIG_FIELD_STRING),
    {"allowedSecrets", CONFIG_FIELD_KNOWN, 0},
    {"deniedSecrets", CONFIG_FIELD_KNOWN, 0},
    {NULL},
};

static enum fl_err check_secret_scope(struct config_applier *a, const struct config_node *node,
                                      const struct secret_scope *scopes, size_t at)
{
    struct fl_slice access = scopes[at].access;
    char path[64];
    snprintf(path, sizeof path, "spec.secrets.scopes[%zu].defaultAccess", at);
    if (access.len && !fl_slice_eq_nocase(access, FL_SLICE_LIT("allow")) &&
        !fl_slice_eq_nocase(access, FL_SLICE_LIT("deny")))
        return config_field_error(config_node_find(node, "defaultAccess"), path, "allow, deny",
                                  a->error);
    const struct config_node *store = config_node_find(node, "storeName");
    snprintf(path, sizeof path, "spec.secrets.scopes[%zu].storeName", at);
    for (size_t i = 0; i < at; i++)
        if (fl_slice_eq(scopes[i].store, scopes[at].store))
            return config_field_error(store ? store : node, path,
                                      "a store that is not listed before", a->error);
    return FL_OK;
}

enum { SECRET_SCOPES_MAX = 1000 };

enum fl_err config_apply_secrets(struct config_applier *a, const struct config_node *node)
{
    struct secrets secrets = {0};
    struct secret_scope *scopes = NULL;
    size_t count = 0;
    a->into->has_secrets_scopes = true;
    enum fl_err err = config_applier_read(a, node, "spec.secrets", secrets_fields, &secrets);
    if (err == FL_OK && secrets.scopes && secrets.scopes->list.count > SECRET_SCOPES_MAX)
        return config_field_error(secrets.scopes, "spec.secrets.scopes", "at most 1000 scopes",
                                  a->error);
    if (err == FL_OK)
        err = config_applier_read_list(a, secrets.scopes, "spec.secrets.scopes",
                                       secret_scope_fields, sizeof *scopes, &scopes, &count);
    for (size_t i = 0; i < count && err == FL_OK; i++)
        err = check_secret_scope(a, secrets.scopes->list.items[i], scopes, i);
    if (err == FL_OK)
        config_applier_note(a, FL_LOG_INFO, node, "spec.secrets",
                            "has no effect: the secrets API is not part of this version");
    return err;
}
