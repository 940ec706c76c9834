/* Reading an HTTPEndpoint for its mistakes: every field is read by its row and thrown away. Values
 * that daprd takes from secret stores have one shape in headers and in the client's certificate. */
#include "config/http_endpoint.h"

#include <stdio.h>

#include "config/value_source_priv.h"

struct document {
    struct config_resource_head head;
    const struct config_node *spec, *auth;
};

struct spec {
    struct fl_slice base_url;
    const struct config_node *headers, *tls;
};

struct tls {
    const struct config_node *root_ca, *certificate, *private_key;
    struct fl_slice renegotiation;
};

static const struct config_field document_fields[] = {
    CONFIG_RESOURCE_HEAD_FIELDS(document, head),
    CONFIG_FIELD(document, spec, "spec", CONFIG_FIELD_MAP),
    CONFIG_FIELD(document, auth, "auth", CONFIG_FIELD_MAP),
    {NULL},
};

static const struct config_field spec_fields[] = {
    CONFIG_FIELD(spec, base_url, "baseUrl", CONFIG_FIELD_STRING),
    CONFIG_FIELD(spec, headers, "headers", CONFIG_FIELD_LIST),
    CONFIG_FIELD(spec, tls, "clientTLS", CONFIG_FIELD_MAP),
    {NULL},
};

static const struct config_field tls_fields[] = {
    CONFIG_FIELD(tls, root_ca, "rootCA", CONFIG_FIELD_MAP),
    CONFIG_FIELD(tls, certificate, "certificate", CONFIG_FIELD_MAP),
    CONFIG_FIELD(tls, private_key, "privateKey", CONFIG_FIELD_MAP),
    CONFIG_FIELD(tls, renegotiation, "renegotiation", CONFIG_FIELD_STRING),
    {NULL},
};

static enum fl_err check_value(const struct config_reader *reader, const struct config_node *node,
                               const char *path, bool has_name, struct config_value_source *value,
                               struct fl_error *error)
{
    struct config_secret_ref secret = {0};
    enum fl_err err = config_value_source_read(reader, node, path, has_name, value, error);
    if (err == FL_OK)
        err = config_value_source_read_secret(reader, value, path, &secret, error);
    return err;
}

static enum fl_err check_headers(const struct config_reader *reader, const struct config_node *list,
                                 struct fl_error *error)
{
    enum fl_err err = FL_OK;
    for (size_t i = 0; list && i < list->list.count && err == FL_OK; i++) {
        const struct config_node *node = list->list.items[i];
        struct config_value_source value = {0};
        char path[64];
        snprintf(path, sizeof path, "spec.headers[%zu]", i);
        err = check_value(reader, node, path, true, &value, error);
        if (err == FL_OK && value.name.len == 0)
            err = config_field_doubt(reader, error, "%s:%u: %s: name is missing or empty",
                                     node->file, node->line, path);
    }
    return err;
}

static enum fl_err check_tls(const struct config_reader *reader, const struct config_node *node,
                             struct fl_error *error)
{
    struct tls tls = {0};
    enum fl_err err = config_fields_read(reader, node, "spec.clientTLS", tls_fields, &tls, error);
    const struct {
        const struct config_node *node;
        const char *path;
    } parts[] = {
        {tls.root_ca, "spec.clientTLS.rootCA"},
        {tls.certificate, "spec.clientTLS.certificate"},
        {tls.private_key, "spec.clientTLS.privateKey"},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts && err == FL_OK; i++) {
        struct config_value_source value = {0};
        err = check_value(reader, parts[i].node, parts[i].path, false, &value, error);
    }
    return err;
}

static enum fl_err check_base_url(const struct config_reader *reader,
                                  const struct config_node *root, const struct config_node *spec,
                                  struct fl_slice url, struct fl_error *error)
{
    const struct config_node *at = config_node_find(spec, "baseUrl");
    if (url.len == 0)
        return config_field_doubt(reader, error, "%s:%u: spec.baseUrl is missing or empty",
                                  root->file,
                                  at     ? at->line
                                  : spec ? spec->line
                                         : root->line);
    if (fl_slice_starts_with_nocase(url, FL_SLICE_LIT("http://")) ||
        fl_slice_starts_with_nocase(url, FL_SLICE_LIT("https://")))
        return FL_OK;
    return config_field_doubt(reader, error,
                              "%s:%u: spec.baseUrl: found \"%.*s\"; accepted: a URL that begins "
                              "with http:// or https://",
                              root->file, at ? at->line : root->line,
                              (int)(url.len > 100 ? 100 : url.len), url.data);
}

enum fl_err config_http_endpoint_decode(const struct config_reader *reader,
                                        const struct config_node *root,
                                        struct config_resource_head *head, struct fl_error *error)
{
    struct document document = {0};
    struct spec spec = {0};
    struct fl_slice secret_store = {0};
    enum fl_err err = config_fields_read(reader, root, "", document_fields, &document, error);
    if (err == FL_OK)
        err = config_resource_head_read(reader, root, &document.head, error);
    if (err == FL_OK)
        err = config_fields_read(reader, document.spec, "spec", spec_fields, &spec, error);
    if (err == FL_OK)
        err = config_auth_read(reader, document.auth, &secret_store, error);
    if (err == FL_OK)
        err = check_headers(reader, spec.headers, error);
    if (err == FL_OK)
        err = check_tls(reader, spec.tls, error);
    err = config_field_end(reader, err, error);
    if (err == FL_OK)
        err = check_base_url(reader, root, document.spec, spec.base_url, error);
    if (err == FL_OK)
        *head = document.head;
    return err;
}
