/* Waits between tries; see the header. */
#include "gateway/retry.h"

#include "base/random.h"

enum { FIRST_BACKOFF_MS = 1000, MOST_BACKOFF_MS = 60000, FIRST_EXPONENTIAL_MS = 500 };

/* daprd's exponential policy ends once the next wait would pass this. */
static const int64_t most_exponential_ms = 15 * 60 * 1000;

static double exponential_base(uint32_t failures, int64_t most_ms)
{
    double wait = FIRST_EXPONENTIAL_MS;
    for (uint32_t i = 1; i < failures && wait < (double)most_ms; i++)
        wait *= 1.5;
    return wait < (double)most_ms ? wait : (double)most_ms;
}

/* What fails at once would be tried again in the same turn of the loop, and that turn never end. */
static int64_t at_least(int64_t wait_ms)
{
    return wait_ms > 0 ? wait_ms : 1;
}

int64_t gw_retry_policy_wait_ms(const struct config_retry *retry, uint32_t failures,
                                int64_t elapsed_ms, int http_status)
{
    if (!config_retry_matches(retry, http_status))
        return -1;
    if (retry->max_retries >= 0 && (int64_t)failures > retry->max_retries)
        return -1;
    if (!retry->is_exponential)
        return at_least(retry->duration_ms);
    double wait = exponential_base(failures, retry->max_interval_ms) * (0.5 + fl_random_unit());
    return elapsed_ms + (int64_t)wait > most_exponential_ms ? -1 : at_least((int64_t)wait);
}

int64_t gw_retry_backoff_ms(uint32_t failures)
{
    int64_t wait = FIRST_BACKOFF_MS;
    for (uint32_t i = 1; i < failures && wait < MOST_BACKOFF_MS; i++)
        wait *= 2;
    if (wait > MOST_BACKOFF_MS)
        wait = MOST_BACKOFF_MS;
    return (int64_t)((double)wait * (0.8 + 0.4 * fl_random_unit()));
}
