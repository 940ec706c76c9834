/* Clocks; see the header. */
#include "base/clock.h"

#include <stdbool.h>

static bool is_fake;
static int64_t fake_wall_ns, fake_mono_ns;

static int64_t read_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t fl_clock_ns(void)
{
    return is_fake ? fake_mono_ns : read_ns(CLOCK_MONOTONIC);
}

int64_t fl_clock_ms(void)
{
    return fl_clock_ns() / 1000000;
}

int64_t fl_clock_wall_ns(void)
{
    return is_fake ? fake_wall_ns : read_ns(CLOCK_REALTIME);
}

int64_t fl_clock_wall_s(void)
{
    return fl_clock_wall_ns() / 1000000000;
}

void fl_clock_fake(int64_t wall_ns)
{
    is_fake = true;
    fake_wall_ns = wall_ns;
    fake_mono_ns = 1000000000;
}

void fl_clock_fake_advance(int64_t ms)
{
    fake_wall_ns += ms * 1000000;
    fake_mono_ns += ms * 1000000;
}

void fl_clock_real(void)
{
    is_fake = false;
}
