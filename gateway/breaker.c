/* Circuit breakers; see the header. Time moves the state only when somebody looks. */
#include "gateway/breaker.h"

#include "base/error.h"

static void begin_epoch(struct gw_breaker *breaker, int64_t now_ms)
{
    const struct config_breaker *config = breaker->config;
    breaker->epoch++;
    breaker->counts = (struct config_counts){0};
    breaker->until_ms = 0;
    if (breaker->state == GW_BREAKER_OPEN)
        breaker->until_ms = now_ms + config->timeout_ms;
    else if (breaker->state == GW_BREAKER_CLOSED && config->interval_ms > 0)
        breaker->until_ms = now_ms + config->interval_ms;
}

static void change_state(struct gw_breaker *breaker, enum gw_breaker_state state, int64_t now_ms)
{
    enum gw_breaker_state before = breaker->state;
    breaker->state = state;
    begin_epoch(breaker, now_ms);
    if (breaker->changed)
        breaker->changed(breaker, before);
}

/* What time alone changes. */
static void catch_up(struct gw_breaker *breaker, int64_t now_ms)
{
    if (breaker->until_ms == 0 || now_ms < breaker->until_ms)
        return;
    if (breaker->state == GW_BREAKER_OPEN)
        change_state(breaker, GW_BREAKER_HALF_OPEN, now_ms);
    else
        begin_epoch(breaker, now_ms);
}

void gw_breaker_init(struct gw_breaker *breaker, const struct config_breaker *config,
                     int64_t now_ms)
{
    *breaker = (struct gw_breaker){.config = config, .state = GW_BREAKER_CLOSED};
    begin_epoch(breaker, now_ms);
}

static bool is_full(const struct gw_breaker *breaker)
{
    return breaker->state == GW_BREAKER_HALF_OPEN &&
           breaker->counts.requests >= (uint64_t)breaker->config->max_requests;
}

enum gw_admission gw_breaker_admit(struct gw_breaker *breaker, int64_t now_ms, uint64_t *epoch)
{
    catch_up(breaker, now_ms);
    if (breaker->state == GW_BREAKER_OPEN)
        return GW_REFUSED_OPEN;
    if (is_full(breaker))
        return GW_REFUSED_TOO_MANY;
    breaker->counts.requests++;
    *epoch = breaker->epoch;
    return GW_ADMITTED;
}

void gw_breaker_succeeded(struct gw_breaker *breaker, int64_t now_ms, uint64_t epoch)
{
    struct config_counts *counts = &breaker->counts;
    catch_up(breaker, now_ms);
    if (epoch != breaker->epoch)
        return;
    counts->total_successes++;
    counts->consecutive_successes++;
    counts->consecutive_failures = 0;
    if (breaker->state == GW_BREAKER_HALF_OPEN &&
        counts->consecutive_successes >= (uint64_t)breaker->config->max_requests)
        change_state(breaker, GW_BREAKER_CLOSED, now_ms);
}

void gw_breaker_failed(struct gw_breaker *breaker, int64_t now_ms, uint64_t epoch)
{
    struct config_counts *counts = &breaker->counts;
    catch_up(breaker, now_ms);
    if (epoch != breaker->epoch)
        return;
    counts->total_failures++;
    counts->consecutive_failures++;
    counts->consecutive_successes = 0;
    if (breaker->state == GW_BREAKER_HALF_OPEN ||
        config_trip_is_met(&breaker->config->trip, counts))
        change_state(breaker, GW_BREAKER_OPEN, now_ms);
}

void gw_breaker_withdrew(struct gw_breaker *breaker, int64_t now_ms, uint64_t epoch)
{
    catch_up(breaker, now_ms);
    if (epoch == breaker->epoch)
        breaker->counts.requests--;
}

enum gw_breaker_state gw_breaker_state(struct gw_breaker *breaker, int64_t now_ms)
{
    catch_up(breaker, now_ms);
    return breaker->state;
}

/* While half open and full nobody knows when a verdict comes; a short wait asks again. */
int64_t gw_breaker_wait_ms(struct gw_breaker *breaker, int64_t now_ms)
{
    enum { ASK_AGAIN_MS = 100 };
    catch_up(breaker, now_ms);
    if (breaker->state == GW_BREAKER_OPEN)
        return breaker->until_ms - now_ms;
    return is_full(breaker) ? ASK_AGAIN_MS : 0;
}

const char *gw_breaker_state_name(enum gw_breaker_state state)
{
    static const char *const names[] = {
        [GW_BREAKER_CLOSED] = "closed",
        [GW_BREAKER_HALF_OPEN] = "half-open",
        [GW_BREAKER_OPEN] = "open",
    };
    return names[state];
}
