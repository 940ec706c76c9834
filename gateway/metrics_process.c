/* What Prometheus clients tell about every process, read from /proc when the text is made.
 *
 * A figure that cannot be read is left out; nothing here can fail the scrape. The names sort behind
 * all families of the table.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "gateway/metrics_priv.h"

static void render_value(struct fl_buffer *out, const char *name, const char *type,
                         const char *help, double value)
{
    char text[32];
    size_t len = gw_metrics_format(value, text);
    gw_metrics_render_head(out, name, type, help);
    fl_buffer_printf(out, "%s %.*s\n", name, (int)len, text);
}

/* The start of a small file with a NUL behind it. */
static bool read_file(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t len = read(fd, text, room - 1);
    close(fd);
    if (len <= 0)
        return false;
    text[len] = 0;
    return true;
}

struct usage {
    double cpu_s, start_s, virtual_bytes, resident_bytes; /* start_s: since boot */
};

/* The process's name may hold spaces and brackets, so fields are counted from the last bracket. */
static bool read_usage(struct usage *usage)
{
    char text[1024];
    if (!read_file("/proc/self/stat", text, sizeof text))
        return false;
    const char *rest = strrchr(text, ')');
    unsigned long long user, system, start, virtual_bytes;
    long long resident_pages;
    if (!rest || sscanf(rest + 1,
                        " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d "
                        "%*d %*d %llu %llu %lld",
                        &user, &system, &start, &virtual_bytes, &resident_pages) != 5)
        return false;
    double ticks = (double)sysconf(_SC_CLK_TCK);
    *usage =
        (struct usage){.cpu_s = (double)(user + system) / ticks,
                       .start_s = (double)start / ticks,
                       .virtual_bytes = (double)virtual_bytes,
                       .resident_bytes = (double)resident_pages * (double)sysconf(_SC_PAGESIZE)};
    return true;
}

double gw_metrics_boot_time_s(void)
{
    struct timespec wall, since_boot;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &since_boot);
    return (double)(wall.tv_sec - since_boot.tv_sec) +
           (double)(wall.tv_nsec - since_boot.tv_nsec) / 1e9;
}

/* Newer kernels tell the number as the folder's size; older ones have it counted. */
static double count_open_fds(void)
{
    struct stat info;
    if (stat("/proc/self/fd", &info) == 0 && info.st_size > 0)
        return (double)info.st_size;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return -1;
    double count = -1; /* the folder's own descriptor */
    for (struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] != '.')
            count++;
    closedir(folder);
    return count;
}

/* Go's library writes the largest 64-bit number for "no limit". */
static double limit_of(__rlimit_resource_t resource)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0)
        return 0;
    return (double)limit.rlim_cur;
}

void gw_metrics_render_process(struct fl_buffer *out, double boot_s)
{
    struct usage usage;
    bool has_usage = read_usage(&usage);
    double open_fds = count_open_fds();
    if (has_usage)
        render_value(out, "process_cpu_seconds_total", "counter",
                     "Processor time spent, user and system", usage.cpu_s);
    render_value(out, "process_max_fds", "gauge", "File descriptors allowed",
                 limit_of(RLIMIT_NOFILE));
    if (open_fds >= 0)
        render_value(out, "process_open_fds", "gauge", "File descriptors open", open_fds);
    if (!has_usage)
        return;
    render_value(out, "process_resident_memory_bytes", "gauge", "Memory resident",
                 usage.resident_bytes);
    render_value(out, "process_start_time_seconds", "gauge", "Start, in seconds since 1970",
                 boot_s + usage.start_s);
    render_value(out, "process_virtual_memory_bytes", "gauge", "Memory mapped",
                 usage.virtual_bytes);
    render_value(out, "process_virtual_memory_max_bytes", "gauge", "Memory that may be mapped",
                 limit_of(RLIMIT_AS));
}
