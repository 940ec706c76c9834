/* Any bytes as a folder of resources: the whole way from files to what a gateway starts with.
 *
 * The first byte is a choice of how to load; what follows are up to four files, separated by zero
 * bytes, written into a folder in memory (/dev/shm, or /tmp where there is none).
 *
 * Claims: a refusal has a text, unless notes kept it; what is loaded has unique names, resolved
 * values and at most one subscription of a topic; loading twice gives the same; nothing leaks.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/map.h"
#include "config/resolve.h"
#include "config/resources.h"
#include "config/resources_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    IS_STRICT = 1,
    KEEPS_ERRORS = 2,
    TAKES_ALL_SCOPES = 4,
    MAKES_DEFAULT = 8,
    HAS_CONFIGURATION = 16,
    HAS_MISSING_FOLDER = 32,
    IS_CONFIGURATION = 64,
    FILE_COUNT = 4
};

static const char *const names[FILE_COUNT] = {"a.yaml", "b.YML", "c.yaml", "notes.txt"};
static char folder[64];

static void remove_folder(void)
{
    char path[128];
    for (size_t i = 0; i < FILE_COUNT; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/folder.yaml", folder);
    rmdir(path);
    rmdir(folder);
}

static void make_folder(void)
{
    char path[128];
    if (folder[0])
        return;
    snprintf(folder, sizeof folder, "%s/fl-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    FL_ASSERT(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/folder.yaml", folder);
    FL_ASSERT(mkdir(path, 0700) == 0);
    atexit(remove_folder);
    setenv("NAMESPACE", "ns", 1);
    setenv("FL_FUZZ", "`quoted`", 1);
    setenv("DAPR_ENV_KEYS", "OTHER FL_FUZZ", 1);
}

/* A file that the input does not have is not there. */
static void write_files(struct fl_slice text)
{
    bool is_there = true;
    for (size_t i = 0; i < FILE_COUNT; i++) {
        char path[128];
        size_t len = fl_slice_find_byte(text, '\0');
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
        if (!is_there)
            continue;
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        FL_ASSERT(fd >= 0 && write(fd, text.data, len) == (ssize_t)len);
        close(fd);
        is_there = len < text.len;
        if (is_there)
            text = fl_slice_of(text.data + len + 1, text.len - len - 1);
    }
}

/* Whatever the values are, hiding shortens a text and never cuts it open. */
static void check_hiding(const struct config_component *component)
{
    char text[512];
    const struct config_value *values = component->metadata;
    for (size_t i = 0; i < component->metadata_count; i++) {
        int len = snprintf(text, sizeof text, "found \"%.*s\" here", FL_SLICE_ARG(values[i].value));
        config_component_hide_secrets(component, text);
        FL_ASSERT(strlen(text) <= (size_t)len);
    }
}

/* Of all applications together, two may have components of one name. */
static void check_components(const struct config_resources *resources, bool is_of_one_application)
{
    struct fl_map seen = {0};
    for (size_t i = 0; i < resources->component_count; i++) {
        const struct config_component *component = &resources->components[i];
        FL_ASSERT(component->name.len > 0 && component->init_timeout_ms > 0);
        void *namesake = fl_map_set(&seen, component->name, (void *)component);
        FL_ASSERT(!namesake || !is_of_one_application);
        FL_ASSERT((component->standing == CONFIG_BROKEN) == (component->trouble != NULL));
        for (size_t at = 0; at < component->metadata_count; at++)
            FL_ASSERT(component->metadata[at].name.len > 0 && component->metadata[at].value.data);
        (void)config_component_find(component, "consumerID");
        check_hiding(component);
        (void)config_component_system(component);
    }
    fl_map_fini(&seen);
}

static void check_subscriptions(const struct config_resources *resources)
{
    struct fl_map seen = {0};
    struct fl_arena arena = {0};
    for (size_t i = 0; i < resources->subscriptions.count; i++) {
        const struct config_subscription *subscription = &resources->subscriptions.items[i];
        struct fl_slice key = config_subscription_key(subscription, &arena);
        FL_ASSERT(fl_map_set(&seen, key, (void *)subscription) == NULL);
        FL_ASSERT(subscription->file && subscription->line > 0);
    }
    fl_arena_fini(&arena);
    fl_map_fini(&seen);
}

static void check_policies(const struct config_resources *resources)
{
    static const struct config_counts counts = {10, 4, 6, 0, 3};
    for (size_t i = 0; i < resources->component_count; i++) {
        struct config_policy policy =
            config_resiliency_find(&resources->resiliency, resources->components[i].name,
                                   CONFIG_OUTBOUND, CONFIG_CATEGORY_PUBSUB);
        FL_ASSERT(policy.timeout_ms >= 0);
        if (policy.breaker)
            (void)config_trip_is_met(&policy.breaker->trip, &counts);
    }
}

/* Notes are written as lines of a log that nobody reads. */
static void write_notes(const struct config_notes *notes)
{
    static struct fl_log log;
    if (log.fd == 0) {
        fl_log_init(&log, "1");
        log.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    }
    config_notes_write(notes, &log);
}

/* Returns how much was loaded and told, in one number. */
static size_t load(const struct config_load *how)
{
    struct config_resources resources;
    struct fl_error error = {.text = ""};
    size_t sum = 0;
    enum fl_err err = config_resources_load(how, &resources, &error);
    FL_ASSERT(resources.notes.count <= CONFIG_NOTES_MAX);
    write_notes(&resources.notes);
    if (err == FL_OK) {
        check_components(&resources, !how->takes_all_scopes);
        check_subscriptions(&resources);
        check_policies(&resources);
        sum = resources.component_count + 1000 * resources.subscriptions.count;
    } else {
        FL_ASSERT(error.text[0] != '\0' || how->keeps_errors);
    }
    sum += 1000000 * resources.notes.count;
    config_resources_fini(&resources);
    return sum;
}

/* The first two files as configurations, one over the other. */
static void check_configuration(uint8_t choice)
{
    struct fl_arena arena = {0};
    struct config_notes notes;
    struct config_configuration configuration;
    struct fl_error error = {.text = ""};
    char paths[2][128];
    struct fl_slice files[2];
    for (size_t i = 0; i < 2; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%s", folder, names[i]);
        files[i] = fl_slice_str(paths[i]);
    }
    const struct config_list list = {files, choice & HAS_MISSING_FOLDER ? 2 : 1};
    config_notes_init(&notes, &arena);
    notes.keeps_errors = choice & KEEPS_ERRORS;
    config_configuration_init(&configuration);
    if (config_configuration_load(&list, choice & IS_STRICT, &arena, &notes, &configuration,
                                  &error) != FL_OK)
        FL_ASSERT(notes.keeps_errors || error.text[0] != '\0');
    (void)config_component_is_denied(&configuration, FL_SLICE_LIT("pubsub.redis"),
                                     FL_SLICE_LIT("v1"));
    (void)config_api_is_allowed(&configuration, "v1.0", "publish");
    fl_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fl_slice denied[] = {FL_SLICE_LIT("pubsub.denied"),
                                       FL_SLICE_LIT("bindings.http/v2")};
    struct config_configuration configuration;
    if (size == 0)
        return 0;
    make_folder();
    write_files(fl_slice_of((const char *)data + 1, size - 1));
    config_configuration_init(&configuration);
    configuration.components_deny = (struct config_list){denied, 2};
    struct fl_slice folders[] = {fl_slice_str(folder), FL_SLICE_LIT("/nowhere")};
    struct config_load how = {
        .folders = {folders, data[0] & HAS_MISSING_FOLDER ? 2 : 1},
        .identity = config_identity_of(FL_SLICE_LIT("app")),
        .configuration = data[0] & HAS_CONFIGURATION ? &configuration : NULL,
        .makes_default = data[0] & MAKES_DEFAULT,
        .is_strict = data[0] & IS_STRICT,
        .keeps_errors = data[0] & KEEPS_ERRORS,
        .takes_all_scopes = data[0] & TAKES_ALL_SCOPES,
    };
    FL_ASSERT(load(&how) == load(&how));
    if (data[0] & IS_CONFIGURATION)
        check_configuration(data[0]);
    return 0;
}
