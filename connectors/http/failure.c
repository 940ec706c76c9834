/* Why a request failed, in words for the caller.
 *
 * libcurl says by a code what it met; its own text is used where it knows more than the code, as
 * for certificates. What we stopped ourselves is told first, since libcurl then only says that it
 * was stopped. The class tells whether the server may have acted: not before there was a
 * connection.
 */
#include <stdio.h>

#include "connectors/http/http_priv.h"

/* libcurl's words, or ours where it has none for this case. */
static const char *detail_of(const struct cn_http_call *call, CURLcode result)
{
    return call->detail[0] ? call->detail : curl_easy_strerror(result);
}

static void read_connecting(const struct cn_http_call *call, CURLcode result,
                            struct cn_http_failure *failure)
{
    long number = 0;
    curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &number);
    failure->class = FL_CLASS_RETRY;
    if (result == CURLE_COULDNT_RESOLVE_HOST)
        snprintf(failure->text, sizeof failure->text, "the host's name cannot be resolved");
    else if (result == CURLE_COULDNT_RESOLVE_PROXY)
        snprintf(failure->text, sizeof failure->text,
                 "the name of the proxy's host cannot be resolved");
    else if (result == CURLE_OPERATION_TIMEDOUT)
        snprintf(failure->text, sizeof failure->text, "no connection came about within %d s",
                 CN_HTTP_CONNECT_MS / 1000);
    else
        snprintf(failure->text, sizeof failure->text, "cannot connect: %s",
                 number ? strerror((int)number) : detail_of(call, result));
}

static void read_stop(enum cn_http_stop stop, struct cn_http_failure *failure)
{
    const char *text = "there is no memory for the answer";
    failure->class = FL_CLASS_RETRY;
    failure->code = FL_ERR_INVALID;
    switch (stop) {
    case CN_HTTP_STOP_HEAD:
        failure->code = FL_ERR_TOO_LARGE;
        snprintf(failure->text, sizeof failure->text,
                 "the answer has more than %d header fields or %d KiB of them",
                 CN_HTTP_MOST_HEAD_FIELDS, CN_HTTP_MOST_HEAD_BYTES / 1024);
        return;
    case CN_HTTP_STOP_LENGTH:
        text = "the answer's Content-Length is no number, or two that differ";
        break;
    case CN_HTTP_STOP_CODING:
        text = "the answer has a transfer coding other than chunked, which was not asked for";
        break;
    case CN_HTTP_STOP_GZIP:
        text = "the answer is not the gzip that it says it is";
        break;
    case CN_HTTP_STOP_MEMORY:
    case CN_HTTP_STOP_CUT:
    case CN_HTTP_STOP_REDIRECT:
    case CN_HTTP_RUNS:
        failure->code = FL_ERR_NO_MEMORY;
    }
    snprintf(failure->text, sizeof failure->text, "%s", text);
}

/* NULL: libcurl's own words are the best there are. */
static const char *text_of(CURLcode result)
{
    switch ((int)result) {
    case CURLE_URL_MALFORMAT:
        return "the URL cannot be read";
    case CURLE_UNSUPPORTED_PROTOCOL: /* an answer without a head */
    case CURLE_WEIRD_SERVER_REPLY:
        return "the answer is not HTTP/1";
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_FAIL_REWIND:
        return "the connection was closed before an answer came";
    case CURLE_PARTIAL_FILE:
        return "the connection was closed within the answer";
    case CURLE_OUT_OF_MEMORY: /* its bound for a line of a head is said so too */
        return "a line of the answer's head has more than 100 KiB, or there is no memory";
    case CURLE_SEND_ERROR:
        return "the connection broke while the request was sent";
    case CURLE_RECV_ERROR:
        return "the connection broke before the answer was complete";
    }
    return NULL;
}

static bool is_of_connecting(CURLcode result)
{
    return result == CURLE_COULDNT_CONNECT || result == CURLE_COULDNT_RESOLVE_HOST ||
           result == CURLE_COULDNT_RESOLVE_PROXY || result == CURLE_OPERATION_TIMEDOUT;
}

static bool is_of_tls(CURLcode result)
{
    return result == CURLE_SSL_CONNECT_ERROR || result == CURLE_PEER_FAILED_VERIFICATION ||
           result == CURLE_SSL_CERTPROBLEM || result == CURLE_SSL_CIPHER ||
           result == CURLE_SSL_CACERT_BADFILE || result == CURLE_SSL_ISSUER_ERROR ||
           result == CURLE_SSL_ENGINE_INITFAILED;
}

void cn_http_failure_read(const struct cn_http_call *call, CURLcode result,
                          struct cn_http_failure *failure)
{
    *failure = (struct cn_http_failure){.code = FL_ERR_REFUSED, .class = FL_CLASS_UNKNOWN};
    const char *text = text_of(result);
    if (call->stop != CN_HTTP_RUNS) {
        read_stop(call->stop, failure);
    } else if (is_of_connecting(result)) {
        read_connecting(call, result, failure);
    } else if (is_of_tls(result)) {
        failure->class = FL_CLASS_RETRY;
        snprintf(failure->text, sizeof failure->text, "TLS: %s", detail_of(call, result));
    } else {
        snprintf(failure->text, sizeof failure->text, "%s", text ? text : detail_of(call, result));
    }
}
