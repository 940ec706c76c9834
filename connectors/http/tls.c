/* TLS; see the header.
 *
 * A value that holds a PEM block is the text itself, any other is a path, as daprd has it. Texts
 * are parsed here although libcurl parses them again at each connection, so that what is wrong with
 * them is told once, at the start, and not by every call. Messages name the option and never what
 * it holds.
 *
 * The names of the environment's trust are those that OpenSSL and Go's programs heed; libcurl, as a
 * library, does not.
 */
#include "connectors/http/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"

enum { MOST_PEM_BYTES = 1024 * 1024 };

#define PEM_START "-----BEGIN "

static bool is_text(struct fl_slice value)
{
    return value.len && memmem(value.data, value.len, PEM_START, sizeof PEM_START - 1);
}

/* --- parsing --- */

static bool is_certificate(BIO *bio)
{
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    X509_free(certificate);
    return certificate != NULL;
}

/* A key that needs a passphrase is none; nobody is asked for it. */
static int no_passphrase(char *text, int room, int is_writing, void *context)
{
    (void)text, (void)room, (void)is_writing, (void)context;
    return -1;
}

static bool is_key(BIO *bio)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    EVP_PKEY_free(key);
    return key != NULL;
}

static enum fl_err check_pem(const char *option, struct fl_slice pem, struct fl_error *error)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    bool wants_key = strcmp(option, "MTLSClientKey") == 0;
    bool is_good = bio && (wants_key ? is_key(bio) : is_certificate(bio));
    BIO_free(bio);
    ERR_clear_error();
    if (is_good)
        return FL_OK;
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL,
                        "%s: found no %s in it; accepted is PEM text, or the path of a PEM file",
                        option, wants_key ? "private key without a passphrase" : "certificate");
}

/* Both were parsed before. */
static bool belong_together(struct fl_slice certificate, struct fl_slice key)
{
    BIO *of_certificate = BIO_new_mem_buf(certificate.data, (int)certificate.len);
    BIO *of_key = BIO_new_mem_buf(key.data, (int)key.len);
    X509 *x509 = PEM_read_bio_X509(of_certificate, NULL, NULL, NULL);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(of_key, NULL, no_passphrase, NULL);
    bool is_pair = x509 && pkey && X509_check_private_key(x509, pkey) == 1;
    X509_free(x509);
    EVP_PKEY_free(pkey);
    BIO_free(of_certificate);
    BIO_free(of_key);
    ERR_clear_error();
    return is_pair;
}

static enum fl_err check_pair(struct fl_slice certificate, struct fl_slice key,
                              struct fl_error *error)
{
    if (belong_together(certificate, key))
        return FL_OK;
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL,
                        "MTLSClientKey: is not the key of MTLSClientCert");
}

static enum fl_err check_text(const char *option, struct fl_slice value, struct fl_error *error)
{
    if (value.len > MOST_PEM_BYTES)
        return fl_error_set(error, FL_ERR_TOO_LARGE, FL_CLASS_FATAL,
                            "%s: found %zu bytes; at most %d are accepted", option, value.len,
                            MOST_PEM_BYTES);
    return is_text(value) ? check_pem(option, value, error) : FL_OK;
}

enum fl_err cn_http_tls_check(const struct cn_http_settings *settings, struct fl_error *error)
{
    bool has_cert = settings->client_cert.len > 0, has_key = settings->client_key.len > 0;
    if (has_cert != has_key)
        return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_FATAL,
                            "%s: is set without %s; a client has both or none",
                            has_cert ? "MTLSClientCert" : "MTLSClientKey",
                            has_cert ? "MTLSClientKey" : "MTLSClientCert");
    enum fl_err err = check_text("MTLSRootCA", settings->root_ca, error);
    if (!err)
        err = check_text("MTLSClientCert", settings->client_cert, error);
    if (!err)
        err = check_text("MTLSClientKey", settings->client_key, error);
    if (!err && is_text(settings->client_cert) && is_text(settings->client_key))
        err = check_pair(settings->client_cert, settings->client_key, error);
    return err;
}

/* --- reading --- */

static enum fl_err read_file(const char *option, struct fl_slice path, struct fl_buffer *out,
                             struct fl_error *error)
{
    char *name = fl_strdup(path), *chunk = fl_alloc(MOST_PEM_BYTES + 1);
    FILE *file = fopen(name, "re");
    size_t len = file ? fread(chunk, 1, MOST_PEM_BYTES + 1, file) : 0;
    bool is_read = file && !ferror(file);
    enum fl_err err = FL_OK;
    if (!is_read)
        err = fl_error_set(error, FL_ERR_SYSTEM, FL_CLASS_FATAL,
                           "%s: the file %s cannot be read: %s", option, name, strerror(errno));
    else if (len > MOST_PEM_BYTES)
        err = fl_error_set(error, FL_ERR_TOO_LARGE, FL_CLASS_FATAL,
                           "%s: the file %s has more than %d bytes", option, name, MOST_PEM_BYTES);
    else
        fl_buffer_append(out, chunk, len);
    if (file)
        fclose(file);
    OPENSSL_cleanse(chunk, len);
    fl_free(chunk);
    fl_free(name);
    return err;
}

static enum fl_err load(const char *option, struct fl_slice value, struct fl_buffer *out,
                        struct fl_error *error)
{
    if (value.len == 0)
        return FL_OK;
    if (is_text(value)) {
        fl_buffer_append_slice(out, value);
        return FL_OK;
    }
    enum fl_err err = read_file(option, value, out, error);
    return err ? err : check_pem(option, fl_buffer_slice(out), error);
}

static char *of_environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? fl_strdup(fl_slice_str(value)) : NULL;
}

enum fl_err cn_http_tls_init(struct cn_http_tls *tls, const struct cn_http_settings *settings,
                             struct fl_error *error)
{
    struct cn_http_tls made = {0};
    made.is_renegotiable = settings->renegotiation != CN_HTTP_RENEGOTIATE_NEVER;
    enum fl_err err = load("MTLSRootCA", settings->root_ca, &made.root_ca, error);
    if (!err)
        err = load("MTLSClientCert", settings->client_cert, &made.client_cert, error);
    if (!err)
        err = load("MTLSClientKey", settings->client_key, &made.client_key, error);
    if (!err && made.client_cert.len)
        err = check_pair(fl_buffer_slice(&made.client_cert), fl_buffer_slice(&made.client_key),
                         error);
    if (err) {
        cn_http_tls_fini(&made);
        return err;
    }
    if (made.root_ca.len == 0) {
        made.trust_file = of_environment("SSL_CERT_FILE");
        made.trust_folder = of_environment("SSL_CERT_DIR");
    }
    *tls = made;
    return FL_OK;
}

void cn_http_tls_fini(struct cn_http_tls *tls)
{
    if (tls->client_key.data)
        OPENSSL_cleanse(tls->client_key.data, tls->client_key.len);
    fl_buffer_fini(&tls->root_ca);
    fl_buffer_fini(&tls->client_cert);
    fl_buffer_fini(&tls->client_key);
    FL_FREE(tls->trust_file);
    FL_FREE(tls->trust_folder);
}

/* --- using --- */

static CURLcode forbid_renegotiation(CURL *easy, void *context, void *unused)
{
    (void)easy, (void)unused;
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
    return CURLE_OK;
}

static void set_blob(CURL *easy, CURLoption option, const struct fl_buffer *text)
{
    struct curl_blob blob = {.data = text->data, .len = text->len, .flags = CURL_BLOB_NOCOPY};
    if (text->len)
        curl_easy_setopt(easy, option, &blob);
}

void cn_http_tls_apply(const struct cn_http_tls *tls, CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    set_blob(easy, CURLOPT_CAINFO_BLOB, &tls->root_ca);
    set_blob(easy, CURLOPT_SSLCERT_BLOB, &tls->client_cert);
    set_blob(easy, CURLOPT_SSLKEY_BLOB, &tls->client_key);
    /* The component's own roots replace those of the system. */
    if (tls->root_ca.len)
        curl_easy_setopt(easy, CURLOPT_CAPATH, (char *)NULL);
    if (tls->trust_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, tls->trust_file);
    if (tls->trust_folder)
        curl_easy_setopt(easy, CURLOPT_CAPATH, tls->trust_folder);
    if (!tls->is_renegotiable)
        curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, forbid_renegotiation);
}
