/* No name leaves the root, by openat2 and a component at a time.
 *
 * Where a place is in truth is asked of the kernel: the path that /proc has for its descriptor.
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "tests/unit/localstorage/tree.h"

/* --- where a name leads --- */

static bool is_below(const char *path, const char *root)
{
    size_t len = strlen(root);
    return strncmp(path, root, len) == 0 && (path[len] == 0 || path[len] == '/');
}

/* The place's own words and the kernel's agree that it is inside. */
static void assert_inside(struct tree *tree, struct fl_slice name)
{
    struct cn_localstorage_place place;
    char link[64], real[4200];
    if (cn_localstorage_place_find(&tree->worker.root, name, &place))
        return;
    assert_true(is_below(place.path.data, tree->root_path));
    assert_null(strstr(place.path.data + strlen(tree->root_path), "/../"));
    if (place.folder >= 0) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", place.folder);
        ssize_t len = readlink(link, real, sizeof real - 1);
        assert_true(len > 0);
        real[len] = 0;
        assert_true(is_below(real, tree->root_path));
    }
    cn_localstorage_place_fini(&place);
}

static void assert_leads_to(struct tree *tree, const char *name, const char *expected)
{
    struct cn_localstorage_place place;
    assert_int_equal(cn_localstorage_place_find(&tree->worker.root, fl_slice_str(name), &place), 0);
    struct fl_slice relative = cn_localstorage_relative(&place);
    char found[4200];
    snprintf(found, sizeof found, "%.*s", FL_SLICE_ARG(relative));
    cn_localstorage_place_fini(&place);
    assert_string_equal(found, expected);
}

static void names_are_read_as_if_the_root_were_all(void **state)
{
    static const char *const cases[][2] = {
        {"a.txt", "a.txt"},
        {"/a.txt", "a.txt"},
        {"./a.txt", "a.txt"},
        {"//d//./b.txt", "d/b.txt"},
        {"d/", "d"},
        {"", ""},
        {"/", ""},
        {"..", ""},
        {"../../x", "x"},
        {"d/../a.txt", "a.txt"},
        {"nothing/../a.txt", "a.txt"},
        {"a.txt/../d", "d"},
        {"a.txt/x", "a.txt/x"},
        {"inside/b.txt", "d/b.txt"},
        {"inside", "d"},
        {"inside/../a.txt", "a.txt"},
        {"self/self/self/d", "d"},
        {"parent/a.txt", "a.txt"},
        {"up", "secret.txt"},
        {"out/x", "outside/x"},
        {"chain/x", "outside/x"},
        {"dangling", "nowhere"},
        {"dangling/x", "nowhere/x"},
        {"magic/etc", "proc/self/root/etc"},
        {"new/deep/file", "new/deep/file"},
        {"%2e%2e/x", "%2e%2e/x"},
        {"..\\..\\x", "..\\..\\x"},
        {"...", "..."},
        {".. /x", ".. /x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_leads_to(*state, cases[i][0], cases[i][1]);
}

static void an_absolute_link_begins_at_the_root(void **state)
{
    struct tree *tree = *state;
    char expected[512];
    tree_path(tree, "secret.txt", expected);
    assert_leads_to(tree, "absolute", expected + 1);
}

static void loops_are_an_error(void **state)
{
    struct tree *tree = *state;
    static const char *const names[] = {"loop", "loop/x", "ping", "pong/x", "d/../ping"};
    struct cn_localstorage_place place;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(
            cn_localstorage_place_find(&tree->worker.root, fl_slice_str(names[i]), &place), ELOOP);
}

/* --- escapes --- */

static const char *const ways[] = {
    "..",
    "../..",
    "../../../../../../../..",
    "/..",
    "/../..",
    "//..//..",
    "/./../.",
    "./../",
    "d/../..",
    "d/e/../../..",
    "d/../../d/..",
    "nothing/../..",
    "a.txt/..",
    "a.txt/../..",
    "fifo/../..",
    "socket/..",
    "inside/..",
    "inside/../..",
    "inside/e/../../..",
    "up",
    "up/..",
    "absolute",
    "absolute/..",
    "out",
    "out/..",
    "far",
    "far/..",
    "far/../..",
    "chain",
    "chain/..",
    "chain2/../..",
    "loop",
    "loop/..",
    "ping/../..",
    "self",
    "self/..",
    "self/../self/..",
    "parent",
    "parent/parent",
    "self/parent/parent",
    "parent/..",
    "magic",
    "magic/..",
    "magic/proc/self/root",
    "cwd",
    "cwd/../..",
    "dangling",
    "dangling/..",
    "dangling/../..",
    "%2e%2e",
    "%2e%2e%2f%2e%2e",
    "..%2f..",
    "..%c0%af..",
    "\xc0\xae\xc0\xae",
    "\xef\xbc\x8e\xef\xbc\x8e",
    "..\\..",
    "....//..",
    "..;/..",
    ".. /..",
    " ../..",
    "..\n/..",
    "~",
    "$HOME",
    "file://",
    "proc/self/root",
    "/proc/self/cwd",
    "/dev/fd/0",
};
static const char *const targets[] = {"", "/secret.txt", "/outside/made", "/outside"};

enum { WAYS = sizeof ways / sizeof *ways, TARGETS = sizeof targets / sizeof *targets };

static void try_everything(struct tree *tree, const char *name)
{
    static cn_localstorage_operation_fn *const operations[] = {
        cn_localstorage_get, cn_localstorage_list, cn_localstorage_create, cn_localstorage_delete};
    assert_inside(tree, fl_slice_str(name));
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        assert_string_not_equal(tree_tell(tree, operations[i], name, "\"m a d e\""), "secret");
    assert_inside(tree, fl_slice_str(name));
}

static void two_hundred_escapes_lead_nowhere(void **state)
{
    struct tree *tree = *state;
    int tried = 0;
    tree->worker.is_synced = false;
    for (int i = 0; i < WAYS; i++) {
        for (int j = 0; j < TARGETS; j++) {
            char name[512], absolute[512];
            snprintf(name, sizeof name, "%s%s", ways[i], targets[j]);
            try_everything(tree, name);
            snprintf(name, sizeof name, "%s%s", ways[i], tree_path(tree, "secret.txt", absolute));
            try_everything(tree, name);
            tried += 2;
        }
    }
    assert_true(tried >= 200);
    tree_assert_kept(tree);
}

static void a_nul_is_refused(void **state)
{
    struct tree *tree = *state;
    struct cn_localstorage_place place;
    static const struct fl_slice names[] = {FL_SLICE_LIT("a.txt\0"), FL_SLICE_LIT("\0"),
                                            FL_SLICE_LIT("a.txt\0/../../secret.txt"),
                                            FL_SLICE_LIT("..\0/x")};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(cn_localstorage_place_find(&tree->worker.root, names[i], &place), EINVAL);
}

static void long_names_are_refused_and_deep_ones_stay_inside(void **state)
{
    struct tree *tree = *state;
    struct cn_localstorage_place place;
    struct fl_buffer name = {0};
    for (int i = 0; i < 1300; i++)
        fl_buffer_append_str(&name, "../");
    assert_inside(tree, fl_buffer_slice(&name));
    for (int i = 0; i < 40000; i++)
        fl_buffer_append_str(&name, "../");
    assert_int_equal(cn_localstorage_place_find(&tree->worker.root, fl_buffer_slice(&name), &place),
                     ENAMETOOLONG);
    fl_buffer_clear(&name);
    for (int i = 0; i < 256; i++)
        fl_buffer_append_byte(&name, 'n');
    assert_int_equal(cn_localstorage_place_find(&tree->worker.root, fl_buffer_slice(&name), &place),
                     ENAMETOOLONG);
    fl_buffer_fini(&name);
}

/* A link whose text names itself twice would grow for ever. */
static void links_that_grow_end(void **state)
{
    struct tree *tree = *state;
    struct cn_localstorage_place place;
    char target[3000] = "grow";
    while (strlen(target) < sizeof target - 16)
        strcat(target, "/../grow");
    tree_link(tree, target, "root/grow");
    int failure = cn_localstorage_place_find(&tree->worker.root, FL_SLICE_LIT("grow/x"), &place);
    assert_true(failure == ELOOP || failure == ENAMETOOLONG);
}

/* --- while somebody changes the tree --- */

struct swapper {
    char one[512], other[512];
    atomic_bool is_over;
    atomic_ulong swaps;
};

/* Exchanges a folder and a link without a moment in which the name is not there. */
static void *swap_for_ever(void *argument)
{
    struct swapper *swapper = argument;
    while (!atomic_load(&swapper->is_over)) {
        if (syscall(SYS_renameat2, AT_FDCWD, swapper->one, AT_FDCWD, swapper->other,
                    RENAME_EXCHANGE) == 0)
            atomic_fetch_add(&swapper->swaps, 1);
    }
    return NULL;
}

static void race(struct tree *tree, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "%s/secret.txt", name);
    assert_string_not_equal(tree_tell(tree, cn_localstorage_get, path, "null"), "secret");
    tree_tell(tree, cn_localstorage_delete, path, "null");
    const char *listed = tree_tell(tree, cn_localstorage_list, name, "null");
    assert_true(listed[0] == '!' || !strstr(listed, "secret.txt"));
    snprintf(path, sizeof path, "%s/outside/made", name);
    tree_tell(tree, cn_localstorage_create, path, "\"m a d e\"");
    tree_tell(tree, cn_localstorage_delete, path, "null");
    snprintf(path, sizeof path, "%s/outside", name);
    tree_tell(tree, cn_localstorage_delete, path, "null");
}

/* The link leads to the folder that holds the secret, so that every wrong step shows. */
static void race_against(struct tree *tree, const char *link_target)
{
    struct swapper swapper = {0};
    pthread_t thread;
    tree->worker.is_synced = false;
    tree_make(tree, "root/swap");
    tree_link(tree, link_target, "root/swapped");
    tree_path(tree, "root/swap", swapper.one);
    tree_path(tree, "root/swapped", swapper.other);
    assert_int_equal(pthread_create(&thread, NULL, swap_for_ever, &swapper), 0);
    for (int i = 0; i < 300 || (atomic_load(&swapper.swaps) < 300 && i < 100000); i++) {
        race(tree, "swap");
        race(tree, "d/../swap");
        race(tree, "self/swap");
    }
    atomic_store(&swapper.is_over, true);
    pthread_join(thread, NULL);
    assert_true(atomic_load(&swapper.swaps) > 0);
    tree_assert_kept(tree);
}

static void a_folder_that_becomes_a_link_leads_nowhere(void **state)
{
    struct tree *tree = *state;
    race_against(tree, tree->folder);
}

static void a_folder_that_becomes_a_link_upwards_leads_nowhere(void **state)
{
    race_against(*state, "..");
}

static void a_file_that_becomes_a_link_is_not_followed(void **state)
{
    struct tree *tree = *state;
    struct swapper swapper = {0};
    pthread_t thread;
    tree->worker.is_synced = false;
    tree_write(tree, "root/file", "f");
    tree_link(tree, "../secret.txt", "root/filed");
    tree_path(tree, "root/file", swapper.one);
    tree_path(tree, "root/filed", swapper.other);
    assert_int_equal(pthread_create(&thread, NULL, swap_for_ever, &swapper), 0);
    for (int i = 0; i < 1000 || (atomic_load(&swapper.swaps) < 300 && i < 100000); i++) {
        assert_string_not_equal(tree_tell(tree, cn_localstorage_get, "file", "null"), "secret");
        tree_tell(tree, cn_localstorage_create, "file", "\"m a d e\"");
    }
    atomic_store(&swapper.is_over, true);
    pthread_join(thread, NULL);
    tree_assert_kept(tree);
}

/* --- kernels without openat2 --- */

static int forbid_openat2(int failure)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)failure),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* In a child: a filter cannot be taken back. */
static int find_without_openat2(struct tree *tree, int failure)
{
    struct cn_localstorage_place place;
    if (forbid_openat2(failure) != 0)
        return 77;
    if (cn_localstorage_place_find(&tree->worker.root, FL_SLICE_LIT("d/e/x"), &place))
        return 2;
    return place.folder >= 0 && tree->worker.root.is_stepwise ? 0 : 3;
}

static void find_in_child(struct tree *tree, int failure)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(find_without_openat2(tree, failure));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_kernel_without_openat2_is_noticed(void **state)
{
    find_in_child(*state, ENOSYS);
}

static void a_filter_that_forbids_openat2_is_noticed(void **state)
{
    find_in_child(*state, EPERM);
}

static void with_openat2_it_is_used(void **state)
{
    struct tree *tree = *state;
    if (syscall(SYS_openat2, -1, NULL, NULL, 0) < 0 && (errno == ENOSYS || errno == EPERM))
        skip();
    assert_leads_to(tree, "d/e/x", "d/e/x");
    assert_false(tree->worker.root.is_stepwise);
}

/* --- no descriptors --- */

/* With so many descriptors left, what a name that goes up through a link is taken for: an errno, or
 * 0 and the path. */
static int find_with(struct tree *tree, int left, char *path, size_t room)
{
    struct cn_localstorage_place place;
    struct rlimit usual, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    int next = dup(0);
    close(next);
    few = usual;
    few.rlim_cur = (rlim_t)(next + left);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int failure =
        cn_localstorage_place_find(&tree->worker.root, FL_SLICE_LIT("d/across/../x"), &place);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    if (!failure) {
        snprintf(path, room, "%.*s", FL_SLICE_ARG(cn_localstorage_relative(&place)));
        cn_localstorage_place_fini(&place);
    }
    return failure;
}

static void without_descriptors_a_link_is_not_read_by_its_letters(void **state)
{
    struct tree *tree = *state;
    char path[64];
    tree_make(tree, "root/other");
    tree_make(tree, "root/other/sub");
    tree_link(tree, "../other/sub", "root/d/across");
    for (int left = 0; left < 6; left++) {
        int failure = find_with(tree, left, path, sizeof path);
        if (failure)
            assert_int_equal(failure, EMFILE);
        else
            assert_string_equal(path, "other/x");
    }
    assert_int_equal(find_with(tree, 8, path, sizeof path), 0);
}

/* --- a root that goes away --- */

static void a_root_that_is_gone_is_made_again(void **state)
{
    struct tree *tree = *state;
    tree_remove(tree, "root");
    assert_string_equal(tree_tell(tree, cn_localstorage_get, "a.txt", "null"),
                        "!file not found: FOLDER/root/a.txt");
    assert_string_equal(tree_tell(tree, cn_localstorage_get, "../x/../../y", "null"),
                        "!file not found: FOLDER/root/y");
    assert_string_equal(tree_tell(tree, cn_localstorage_create, "x/y", "\"1 2\""),
                        "{\"fileName\":\"x/y\"}");
    assert_string_equal(tree_read(tree, "root/x/y"), "1 2");
}

static void a_root_that_became_a_link_is_not_entered(void **state)
{
    struct tree *tree = *state;
    tree_remove(tree, "root");
    tree_link(tree, "outside", "root");
    assert_int_equal(tree_tell(tree, cn_localstorage_create, "x", "\"1 2\"")[0], '!');
    tree_assert_kept(tree);
}

#define BOTH(function)                                                                             \
    {#function, function, tree_open, tree_close, NULL},                                            \
    {                                                                                              \
#function " (stepwise)", function, tree_open_stepwise, tree_close, NULL                    \
    }
#define TREE_TEST(function) cmocka_unit_test_setup_teardown(function, tree_open, tree_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(names_are_read_as_if_the_root_were_all),
        BOTH(an_absolute_link_begins_at_the_root),
        BOTH(loops_are_an_error),
        BOTH(two_hundred_escapes_lead_nowhere),
        BOTH(a_nul_is_refused),
        BOTH(long_names_are_refused_and_deep_ones_stay_inside),
        BOTH(links_that_grow_end),
        BOTH(a_folder_that_becomes_a_link_leads_nowhere),
        BOTH(a_folder_that_becomes_a_link_upwards_leads_nowhere),
        BOTH(a_file_that_becomes_a_link_is_not_followed),
        TREE_TEST(a_kernel_without_openat2_is_noticed),
        TREE_TEST(a_filter_that_forbids_openat2_is_noticed),
        TREE_TEST(with_openat2_it_is_used),
        BOTH(without_descriptors_a_link_is_not_read_by_its_letters),
        BOTH(a_root_that_is_gone_is_made_again),
        BOTH(a_root_that_became_a_link_is_not_entered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
