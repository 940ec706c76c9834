/* Pooled getrandom; see the header. One system call per 4 KiB: an id costs 70 ns instead of 600. */
#include "base/random.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>

#include "base/error.h"

enum { POOL_BYTES = 4096 };

static _Thread_local struct {
    unsigned char bytes[POOL_BYTES];
    size_t left;
    unsigned generation;
} pool;

static atomic_uint fork_generation = 1;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint64_t process_seed[2];

static void on_fork_in_child(void)
{
    atomic_fetch_add_explicit(&fork_generation, 1, memory_order_relaxed);
}

static void draw(void *out, size_t len)
{
    char *at = out;
    while (len) {
        ssize_t got = getrandom(at, len, 0);
        FL_ASSERT(got > 0);
        at += got;
        len -= (size_t)got;
    }
}

static void init_once(void)
{
    pthread_atfork(NULL, NULL, on_fork_in_child);
    draw(process_seed, sizeof process_seed);
}

void fl_random_bytes(void *out, size_t len)
{
    unsigned generation = atomic_load_explicit(&fork_generation, memory_order_relaxed);
    if (len > POOL_BYTES) {
        draw(out, len);
        return;
    }
    if (pool.generation != generation || pool.left < len) {
        pthread_once(&once, init_once);
        draw(pool.bytes, POOL_BYTES);
        pool.left = POOL_BYTES;
        pool.generation = generation;
    }
    pool.left -= len;
    memcpy(out, pool.bytes + pool.left, len);
    memset(pool.bytes + pool.left, 0, len);
}

uint64_t fl_random_below(uint64_t bound)
{
    FL_ASSERT(bound > 0);
    uint64_t limit = UINT64_MAX - UINT64_MAX % bound, value;
    do {
        fl_random_bytes(&value, sizeof value);
    } while (value >= limit);
    return value % bound;
}

double fl_random_unit(void)
{
    uint64_t value;
    fl_random_bytes(&value, sizeof value);
    return (double)(value >> 11) * 0x1p-53;
}

void fl_random_uuid(char out[36])
{
    static const char hex[] = "0123456789abcdef";
    unsigned char b[16];
    fl_random_bytes(b, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    char *at = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = hex[b[i] >> 4];
        *at++ = hex[b[i] & 15];
    }
}

const uint64_t *fl_random_process_seed(void)
{
    pthread_once(&once, init_once);
    return process_seed;
}
