/* Power loss: whatever was confirmed before the cut is delivered after it.
 *
 *   parent ── fork ──► a child publishes and consumes over power_vfs.h until it loses power
 *          ◄── pipe ── each id that it sent, that was confirmed, that it accepted a delivery of
 *          ── fork ──► another child checks the file and drains it with a fresh connector
 *          ◄── pipe ── each id that it received
 *
 * The ledger says of each id what is known. An id that was confirmed and whose delivery nobody
 * accepted has to come; one that was drained in an earlier life of the file must never come again;
 * and nothing comes that was not sent, or not with its bytes. Lives follow one another on one file,
 * so a cut also meets what recovery from the one before has left.
 *
 * 30 cuts; FAIRLEAD_SOAK=1 makes it 400. POWER_SEED=n repeats the plans of a run, though not
 * the scheduling of its threads.
 */
#include "connectors/sqlite/sqlite.h"

#include <errno.h>
#include <ftw.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/conformance/fake_gateway.c"
#include "tests/conformance/power_vfs.c"

/* cmocka wants these before it. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum {
    MOST_IDS = 1 << 20,
    MOST_BODY = 70000,
    LIVES_OF_A_FILE = 6,
    PATIENCE_MS = 20000,
};

/* --- the ledger --- */

enum { SENT = 1, CONFIRMED = 2, ACCEPTED = 4, DRAINED = 8, OVER = 16 };

static unsigned char ledger[MOST_IDS];
static uint32_t next_id, first_of_file;

/* One word: what is said, above the id. */
static void say(int fd, unsigned what, size_t id)
{
    uint32_t word = what << 24 | (uint32_t)id;
    FL_ASSERT(write(fd, &word, sizeof word) == sizeof word);
}

static void listen_to(int fd)
{
    uint32_t words[4096];
    size_t have = 0;
    for (;;) {
        ssize_t got = read(fd, (char *)words + have, sizeof words - have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return;
        have += (size_t)got;
        for (size_t i = 0; i < have / sizeof *words; i++) {
            uint32_t id = words[i] & 0xffffff;
            ledger[id] |= (unsigned char)(words[i] >> 24);
            next_id = id >= next_id ? id + 1 : next_id;
        }
        memmove(words, (char *)words + have / sizeof *words * sizeof *words, have % sizeof *words);
        have %= sizeof *words;
    }
}

static size_t count_of(unsigned mask, unsigned wanted)
{
    size_t count = 0;
    for (uint32_t id = first_of_file; id < next_id; id++)
        count += (ledger[id] & mask) == wanted;
    return count;
}

/* --- messages --- */

struct plan {
    struct power_plan power;
    unsigned outstanding, enough; /* published and not confirmed; confirmed before the cut counts */
    bool is_large, closes, idles;
    uint64_t seed;
};

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 31) * 0x7fb5d329728ea185;
    x = (x ^ x >> 27) * 0x81dadef4bc2dd44d;
    return x ^ x >> 33;
}

/* Length and bytes follow from the id alone. Few are large enough to need pages of their own. */
static size_t body_of(size_t id, bool is_large, char *bytes)
{
    size_t at = (size_t)snprintf(bytes, 24, "%zu%c", id, is_large ? 'L' : 'S');
    size_t len = at + mix(id) % 600;
    if (is_large || mix(id) % 50 == 0)
        len = at + mix(id) % (MOST_BODY - 100);
    for (; at < len; at++)
        bytes[at] = (char)('a' + mix(id * 131 + at / 7) % 26);
    return len;
}

static bool is_intact(const struct fake_delivery *delivery)
{
    static char bytes[MOST_BODY];
    struct fl_slice body = delivery->what.event->body;
    size_t id = fake_number(delivery);
    char letter = 0;
    for (size_t i = 0; i < body.len && !letter; i++)
        letter = body.data[i] >= '0' && body.data[i] <= '9' ? 0 : body.data[i];
    return fl_slice_eq(body, fl_slice_of(bytes, body_of(id, letter == 'L', bytes)));
}

/* --- the child that loses power --- */

struct life {
    const struct plan *plan;
    struct fake_gateway *fake;
    int pipe;
    size_t first, seen; /* publishes below `seen` have had their answers */
    size_t answered, confirmed;
    bool is_armed;
};

static int life_pipe; /* for callbacks */

/* A third has one of a few keys, some are delayed by up to 30 ms. */
static void publish_one(struct life *life)
{
    static char bytes[MOST_BODY];
    static const char *const keys[] = {"red", "green", "blue"};
    struct fake_gateway *fake = life->fake;
    size_t id = life->first + fake->publish_count;
    uint64_t dice = mix(id ^ life->plan->seed);
    char delay[16];
    snprintf(delay, sizeof delay, "%ums", (unsigned)(dice >> 8) % 30 + 1);
    struct ce_metadata pair = {FL_SLICE_LIT("delay"), fl_slice_str(delay)};
    struct fake_message message = {
        .topic = FL_SLICE_LIT("power"),
        .body = fl_slice_of(bytes, body_of(id, life->plan->is_large, bytes)),
        .metadata = &pair,
        .metadata_count = dice % 16 == 0,
    };
    if (dice % 3 == 0)
        message.key = fl_slice_str(keys[(dice >> 4) % 3]);
    say(life->pipe, SENT, id);
    fake_publish_message(fake, &message);
}

static void look_at_answers(struct life *life)
{
    struct fake_gateway *fake = life->fake;
    while (life->seen < fake->publish_count && fake->publishes[life->seen]->answers) {
        if (fake->publishes[life->seen]->code == FL_OK) {
            say(life->pipe, SENT | CONFIRMED, life->first + life->seen);
            life->confirmed++;
        }
        life->seen++;
    }
}

/* After each callback: the closed loop. */
static bool live(const void *object, size_t number)
{
    struct life *life = (struct life *)(uintptr_t)object;
    struct fake_gateway *fake = life->fake;
    (void)number;
    look_at_answers(life);
    bool has_enough = life->confirmed >= life->plan->enough;
    if (has_enough && !life->is_armed && !life->plan->closes)
        power_arm();
    life->is_armed |= has_enough;
    if (has_enough && (life->plan->closes || life->plan->idles))
        return fake->answered_count == fake->publish_count;
    while (fake->publish_count < life->seen + life->plan->outstanding)
        publish_one(life);
    return false;
}

/* What is accepted is said before the connector can know. */
static void accept_most(struct fake_delivery *delivery)
{
    size_t id = fake_number(delivery);
    if (mix(id + delivery->what.attempt) % 16 == 0) {
        fake_settle(delivery, CONNECTOR_MODIFIED, (int64_t)(mix(id) % 20));
        return;
    }
    say(life_pipe, ACCEPTED, id);
    fake_accept(delivery);
}

static struct fake_gateway *open_connector_on(const char *path)
{
    const struct config_value values[] = {
        {.name = FL_SLICE_LIT("connectionString"), .value = fl_slice_str(path)},
    };
    struct fl_error error;
    struct fake_gateway *fake =
        fake_gateway_new(&cn_sqlite_type, values, 1, PATIENCE_MS, 60, &error);
    FL_ASSERT(fake);
    return fake;
}

/* Ends by the cut, or when all was done before it came. */
static int run_life(const char *path, const struct plan *plan, int pipe)
{
    power_start(&plan->power);
    struct life life = {.plan = plan, .pipe = pipe, .first = next_id};
    life_pipe = pipe;
    life.fake = open_connector_on(path);
    struct fake_subscription *subscription =
        fake_subscribe(life.fake, FL_SLICE_LIT("power"), "power", CONNECTOR_MODE_COMPETE);
    subscription->on_delivery = accept_most;
    if (!fake_wait_subscribed(subscription))
        return 2;
    fake_window(subscription, 64, 1 << 24);
    live(&life, 0);
    bool is_over = fake_wait(life.fake, live, &life, 0);
    if (is_over && plan->idles) /* long enough for the checkpoint that is made then */
        fake_run_quietly(life.fake, 2500);
    power_arm();
    char complaint[256];
    fake_gateway_free(&life.fake, complaint, sizeof complaint);
    if (complaint[0])
        fprintf(stderr, "life: %s\n", complaint);
    return complaint[0] ? 3 : 0;
}

/* --- the child that drains --- */

static size_t missing;
static bool is_wrong;

static void drain_one(struct fake_delivery *delivery)
{
    size_t id = fake_number(delivery);
    unsigned was = id < MOST_IDS ? ledger[id] : 0;
    const char *wrong = !(was & SENT)          ? "was never sent"
                        : was & OVER           ? "had been drained in an earlier life"
                        : was & DRAINED        ? "came twice"
                        : !is_intact(delivery) ? "came with other bytes"
                                               : NULL;
    if (wrong) {
        fprintf(stderr, "drain: message %zu %s\n", id, wrong);
        is_wrong = true;
    } else {
        ledger[id] |= DRAINED;
        missing -= (was & (CONFIRMED | ACCEPTED)) == CONFIRMED;
        say(life_pipe, DRAINED, id);
    }
    fake_accept(delivery);
}

static bool is_drained(const void *object, size_t number)
{
    (void)object;
    (void)number;
    return missing == 0;
}

/* Reads through the log that the cut has left, and leaves it there. */
static bool is_sound(const char *path)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    bool is = false;
    FL_ASSERT(sqlite3_open(path, &db) == SQLITE_OK);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL) == SQLITE_OK) {
        is = sqlite3_step(statement) == SQLITE_ROW &&
             strcmp((const char *)sqlite3_column_text(statement, 0), "ok") == 0;
        if (!is)
            fprintf(stderr, "integrity_check: %s\n", sqlite3_errmsg(db));
        sqlite3_finalize(statement);
    }
    sqlite3_close(db);
    return is;
}

/* Until nothing is left: also what was stored and not confirmed, and what was delayed. */
static bool drain(struct fake_gateway *fake)
{
    struct fake_backlog backlog = {.what.undelivered = 1};
    bool is_done = fake_wait(fake, is_drained, NULL, 0);
    for (int i = 0; is_done && i < 200; i++) {
        fake_run_quietly(fake, 2);
        if (!fake_ask_backlog(fake, FL_SLICE_LIT("power"), FL_SLICE_LIT("power"), &backlog))
            return false;
        if (backlog.what.undelivered == 0 && backlog.what.in_flight == 0)
            break;
    }
    return is_done && backlog.what.undelivered == 0;
}

static int run_drain(const char *path, int pipe)
{
    life_pipe = pipe;
    missing = count_of(CONFIRMED | ACCEPTED | OVER, CONFIRMED);
    if (!is_sound(path))
        return 4;
    struct fake_gateway *fake = open_connector_on(path);
    struct fake_subscription *subscription =
        fake_subscribe(fake, FL_SLICE_LIT("power"), "power", CONNECTOR_MODE_COMPETE);
    subscription->on_delivery = drain_one;
    if (!fake_wait_subscribed(subscription))
        return 3;
    fake_window(subscription, 64, 1 << 24);
    fake->patience_ms = missing ? PATIENCE_MS : 2000;
    bool is_done = drain(fake);
    char complaint[256];
    fake_gateway_free(&fake, complaint, sizeof complaint);
    if (missing)
        fprintf(stderr, "drain: %zu confirmed messages are lost\n", missing);
    if (complaint[0])
        fprintf(stderr, "drain: %s\n", complaint);
    return !is_done || is_wrong || complaint[0] ? 5 : is_sound(path) ? 0 : 6;
}

/* --- the parent --- */

static struct {
    char folder[64], path[96];
    uint64_t random;
    unsigned cuts, whole, by_moment[POWER_MOMENT_COUNT];
    size_t confirmed, drained;
} run;

static unsigned dice(unsigned sides)
{
    run.random = run.random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(run.random >> 33) % sides;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    (void)type;
    return at->level == 0 ? 0 : remove(path);
}

static void remove_all(void)
{
    nftw(run.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* The exit status of the child; what it says goes into the ledger. */
static int with_child(const struct plan *plan)
{
    int ends[2], status = 0;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        alarm(120);
        _exit(plan ? run_life(run.path, plan, ends[1]) : run_drain(run.path, ends[1]));
    }
    close(ends[1]);
    listen_to(ends[0]);
    close(ends[0]);
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* The files beside the database are not synced by anybody: each may be there or not, and shared
 * memory of before may hold anything. */
static void scramble_companions(void)
{
    static const char *const names[] = {"-shm", "-lock", "-bell", "-ballast"};
    char path[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s%s", run.path, names[i]);
        if (dice(2))
            unlink(path);
    }
}

static struct plan make_plan(unsigned number)
{
    static const unsigned survivals[] = {0, 128, 230, 256};
    struct plan plan = {.power = {.survival = survivals[dice(4)], .seed = dice(1 << 30)},
                        .outstanding = dice(2) ? 1 + dice(8) : 8 + dice(120),
                        .seed = dice(1 << 30)};
    /* An idle session takes its time until the checkpoint, so its turn comes half as often. */
    switch (number % 12 == 10 ? 3 : number % 6) {
    case 0: /* while the file is opened, and made if it is a new one */
        plan.power.moment = POWER_AT_ONCE;
        plan.power.operations = 1 + dice(70);
        break;
    case 1: /* in the middle of traffic */
    case 2:
        plan.power.moment = POWER_WHEN_TOLD;
        plan.enough = 50 + dice(600);
        plan.power.operations = 1 + dice(400);
        break;
    case 3: /* the checkpoint of a busy session */
        plan.power.moment = POWER_AT_CHECKPOINT;
        plan.is_large = true;
        plan.enough = 20;
        plan.outstanding = 64;
        plan.power.operations = 1 + (dice(2) ? dice(40) : dice(5000));
        break;
    case 4: /* the checkpoint of an idle one */
        plan.power.moment = POWER_AT_CHECKPOINT;
        plan.idles = true;
        plan.enough = 100 + dice(300);
        plan.power.operations = 1 + dice(30);
        break;
    default: /* closing */
        plan.power.moment = POWER_WHEN_TOLD;
        plan.closes = true;
        plan.enough = 50 + dice(400);
        plan.power.operations = 1 + dice(60);
        break;
    }
    return plan;
}

static void begin_file(void)
{
    remove_all();
    first_of_file = next_id;
}

/* What is over must not come again. */
static void close_accounts(void)
{
    run.confirmed += count_of(CONFIRMED | OVER, CONFIRMED);
    run.drained += count_of(DRAINED | OVER, DRAINED);
    for (uint32_t id = first_of_file; id < next_id; id++)
        ledger[id] |= OVER;
}

static void live_once(unsigned number)
{
    struct plan plan = make_plan(number);
    if (number % LIVES_OF_A_FILE == 0 || (plan.power.moment == POWER_AT_ONCE && dice(2)))
        begin_file();
    int status = with_child(&plan);
    if (status != POWER_EXIT && status != 0)
        fail_msg("life %u (moment %d): exit status %d", number, (int)plan.power.moment, status);
    run.cuts += status == POWER_EXIT;
    run.whole += status == 0;
    run.by_moment[plan.power.moment] += status == POWER_EXIT;
    scramble_companions();
    status = with_child(NULL);
    if (status)
        fail_msg("life %u (moment %d, operation %u, survival %u): draining ended with %d", number,
                 (int)plan.power.moment, plan.power.operations, plan.power.survival, status);
    close_accounts();
}

static void loses_nothing_that_was_confirmed(void **state)
{
    (void)state;
    unsigned wanted = getenv("FAIRLEAD_SOAK") ? 400 : 30;
    const char *seed = getenv("POWER_SEED");
    run.random = seed ? strtoull(seed, NULL, 10) : fl_random_below(1000000000);
    printf("POWER_SEED=%llu\n", (unsigned long long)run.random);
    for (unsigned number = 0; run.cuts < wanted && number < wanted * 2; number++)
        live_once(number);
    printf("figure: power loss: %u cuts (%u while opening, %u in traffic and closing, %u in "
           "checkpoints), %u lives ended before their cut; %zu messages confirmed, %zu found "
           "again, 0 lost\n",
           run.cuts, run.by_moment[POWER_AT_ONCE], run.by_moment[POWER_WHEN_TOLD],
           run.by_moment[POWER_AT_CHECKPOINT], run.whole, run.confirmed, run.drained);
    assert_true(run.cuts >= wanted);
}

/* ThreadSanitizer would wait a second in each of the children that end. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "atexit_sleep_ms=0";
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(loses_nothing_that_was_confirmed)};
    snprintf(run.folder, sizeof run.folder, "/tmp/fairlead-power-XXXXXX");
    if (!mkdtemp(run.folder))
        return 1;
    snprintf(run.path, sizeof run.path, "%s/broker.db", run.folder);
    int failed = cmocka_run_group_tests_name("sqlite_power", tests, NULL, NULL);
    remove_all();
    rmdir(run.folder);
    return failed;
}
