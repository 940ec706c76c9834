/* Looking at a place and a file before anything is opened; see guard.h.
 *
 * From the outside in: the folder, its file system, the kind of file, its header. The header is
 * read through SQLite and not by hand, for two reasons: closing a descriptor of our own would drop
 * the locks of a component that has the same file open, and the newest header may stand in the log.
 *
 * With an empty log the database is opened as immutable: no locks, no log, nothing made beside it.
 * With a log that holds something it is opened to be read as usual. A process that begins to write
 * between the two looks can make an immutable read see half a change, so a bad answer counts only
 * when there is still no log.
 */
#include "connectors/sqlite/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/slice.h"
#include "connectors/sqlite/path.h"
#include "connectors/sqlite/store.h"

enum { NAME_BYTES = CN_PATH_BYTES_MAX + 16 };

static enum fl_err refuse(struct fl_error *error, enum fl_err code, const char *format, ...)
    FL_PRINTF(3, 4);

static enum fl_err refuse(struct fl_error *error, enum fl_err code, const char *format, ...)
{
    char text[sizeof error->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fl_error_set(error, code, FL_CLASS_FATAL, "%s", text);
}

/* --- file systems --- */

/* Numbers of the kernel's linux/magic.h and of the file systems' own sources. */
static const struct network_type {
    uint32_t number;
    const char *name;
} network_types[] = {
    {0x6969, "NFS"},          {0x517b, "SMB"},       {0xff534d42, "CIFS"},
    {0xfe534d42, "SMB2"},     {0x01021997, "9P"},    {0x5346414f, "AFS"},
    {0x6b414653, "AFS"},      {0x00c36400, "Ceph"},  {0x0bd00bd0, "Lustre"},
    {0x73757245, "Coda"},     {0x564c, "NCP"},       {0x7461636f, "OCFS2"},
    {0x01161970, "GFS2"},     {0x47504653, "GPFS"},  {0x19830326, "BeeGFS"},
    {0x20030528, "OrangeFS"}, {0xaad7aaea, "PanFS"}, {0x786f4256, "VirtualBox"},
};

/* The number is 32 bits wide; where a long is too, its sign is no part of it. */
static const char *network_name(long f_type)
{
    for (size_t i = 0; i < sizeof network_types / sizeof *network_types; i++)
        if (network_types[i].number == (uint32_t)f_type)
            return network_types[i].name;
    return NULL;
}

bool cn_guard_is_network(long f_type)
{
    return network_name(f_type) != NULL;
}

static enum fl_err check_file_system(const char *name, struct fl_error *error)
{
    struct statfs type;
    struct statvfs flags;
    if (statfs(name, &type) || statvfs(name, &flags))
        return refuse(error, FL_ERR_SYSTEM, "cannot look at the file system of %.300s: %s", name,
                      strerror(errno));
    const char *network = network_name((long)type.f_type);
    if (network)
        return refuse(error, FL_ERR_UNSUPPORTED,
                      "%.300s is on a network file system (%s), where locks do not hold between "
                      "hosts: use a disk of this host",
                      name, network);
    if (flags.f_flag & ST_RDONLY)
        return refuse(error, FL_ERR_SYSTEM, "%.300s is on a read-only file system", name);
    return FL_OK;
}

/* --- the folder --- */

/* Cuts `name` to the folder that holds it; "/" stays. */
static void cut_to_folder(char *name)
{
    char *slash = strrchr(name, '/');
    if (slash)
        slash[slash == name] = 0;
}

/* Cuts `name` to the nearest folder above that exists. */
static enum fl_err find_folder(char *name, struct fl_error *error)
{
    struct stat found;
    cut_to_folder(name);
    while (stat(name, &found)) {
        if (errno != ENOENT || strcmp(name, "/") == 0)
            return refuse(error, FL_ERR_SYSTEM, "cannot look at the folder %.300s: %s", name,
                          strerror(errno));
        cut_to_folder(name);
    }
    if (!S_ISDIR(found.st_mode))
        return refuse(error, FL_ERR_INVALID, "%.300s is not a folder", name);
    return FL_OK;
}

static enum fl_err check_folder(const char *path, struct fl_error *error)
{
    char name[NAME_BYTES];
    if (path[0] != '/' || strlen(path) > CN_PATH_BYTES_MAX)
        return refuse(error, FL_ERR_INVALID, "not an absolute path of at most %d bytes: %.300s",
                      CN_PATH_BYTES_MAX, path);
    snprintf(name, sizeof name, "%s", path);
    enum fl_err err = find_folder(name, error);
    if (!err)
        err = check_file_system(name, error);
    if (!err && faccessat(AT_FDCWD, name, W_OK | X_OK, AT_EACCESS))
        return refuse(error, FL_ERR_SYSTEM, "the folder %.300s cannot be written by user %u: %s",
                      name, (unsigned)geteuid(), strerror(errno));
    return err;
}

/* --- the kind of file --- */

static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "a folder";
    case S_IFIFO:
        return "a pipe";
    case S_IFSOCK:
        return "a socket";
    case S_IFLNK:
        return "a symbolic link to nothing";
    case S_IFCHR:
    case S_IFBLK:
        return "a device";
    default:
        return "of an unknown kind";
    }
}

/* A file that was mounted by itself, as containers do, has its log beside the mount and not beside
 * the file. Kernels before 5.8 do not tell. */
static bool is_mount(const char *path)
{
    struct statx found;
    return statx(AT_FDCWD, path, 0, STATX_TYPE, &found) == 0 &&
           (found.stx_attributes_mask & found.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

static enum fl_err check_plain_file(const char *path, const struct stat *found,
                                    struct fl_error *error)
{
    if (!S_ISREG(found->st_mode))
        return refuse(error, FL_ERR_INVALID, "%.300s is %s, not a file", path,
                      kind_of(found->st_mode));
    if (found->st_nlink > 1)
        return refuse(error, FL_ERR_INVALID,
                      "%.300s has %lu names (hard links): two of them would be used as two "
                      "databases; remove or copy the others",
                      path, (unsigned long)found->st_nlink);
    if (is_mount(path))
        return refuse(error, FL_ERR_INVALID,
                      "%.300s is mounted by itself: mount its folder, which holds more files of "
                      "the database",
                      path);
    if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS))
        return refuse(error, FL_ERR_SYSTEM, "%.300s cannot be written by user %u: %s", path,
                      (unsigned)geteuid(), strerror(errno));
    return FL_OK;
}

/* *size: of the file; 0 when there is none. */
static enum fl_err check_kind(const char *path, off_t *size, struct fl_error *error)
{
    struct stat found;
    if (stat(path, &found) && (errno != ENOENT || lstat(path, &found))) {
        if (errno == ENOENT) {
            *size = 0;
            return FL_OK;
        }
        return refuse(error, FL_ERR_SYSTEM, "cannot look at %.300s: %s", path, strerror(errno));
    }
    enum fl_err err = check_plain_file(path, &found, error);
    if (!err)
        *size = found.st_size;
    return err;
}

/* --- what is in it --- */

struct header {
    sqlite3_int64 application, version, entries;
};

static int read_number(sqlite3 *db, const char *sql, sqlite3_int64 *number)
{
    sqlite3_stmt *statement = NULL;
    int status = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (status == SQLITE_OK)
        status = sqlite3_step(statement);
    if (status == SQLITE_ROW) {
        *number = sqlite3_column_int64(statement, 0);
        status = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return status;
}

/* Reads a page or a few of each table: a file whose first pages were overwritten is refused at
 * once, and not opened again and again. Deeper damage is met when what it holds is needed. */
static int read_tables(sqlite3 *db)
{
    sqlite3_int64 ignored;
    return read_number(db,
                       "SELECT (SELECT count(value) FROM meta), (SELECT max(since) FROM owner),"
                       " (SELECT max(id) FROM topic), (SELECT max(seq) FROM message),"
                       " (SELECT max(id) FROM consumer), (SELECT topic FROM cursor LIMIT 1),"
                       " (SELECT id FROM claim LIMIT 1), (SELECT seq FROM waiting LIMIT 1),"
                       " (SELECT max(id) FROM delayed)",
                       &ignored);
}

/* As a URI, which is the only way to say immutable. Every byte that could mean something there is
 * percent-encoded. */
static void make_uri(const char *path, bool is_immutable, char *uri, size_t room)
{
    size_t len = (size_t)snprintf(uri, room, "file://");
    for (; *path && len + 4 < room; path++)
        len += (size_t)snprintf(uri + len, room - len,
                                *path == '%' || *path == '?' || *path == '#' ? "%%%02X" : "%c",
                                (unsigned char)*path);
    if (is_immutable)
        snprintf(uri + len, room - len, "?immutable=1");
}

/* SQLite's status; *header is filled on SQLITE_OK. */
static int read_header(const char *path, bool is_immutable, struct header *header)
{
    char uri[CN_PATH_BYTES_MAX * 3 + 32];
    sqlite3 *db = NULL;
    make_uri(path, is_immutable, uri, sizeof uri);
    int status = sqlite3_open_v2(
        uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_PRIVATECACHE, NULL);
    if (status == SQLITE_OK)
        status = read_number(db, "PRAGMA application_id", &header->application);
    if (status == SQLITE_OK)
        status = read_number(db, "PRAGMA user_version", &header->version);
    if (status == SQLITE_OK)
        status = read_number(db, "SELECT count(*) FROM sqlite_schema", &header->entries);
    if (status == SQLITE_OK && header->application == CN_APPLICATION_ID &&
        header->version == CN_SCHEMA_VERSION)
        status = read_tables(db);
    sqlite3_close(db);
    return status;
}

static bool has_log(const char *path)
{
    char name[NAME_BYTES];
    struct stat found;
    snprintf(name, sizeof name, "%s-wal", path);
    return stat(name, &found) == 0 && found.st_size > 0;
}

static enum fl_err judge_status(const char *path, int status, struct fl_error *error)
{
    switch (status & 0xff) {
    case SQLITE_NOTADB:
        return refuse(error, FL_ERR_INVALID, "%.300s is not a SQLite database", path);
    case SQLITE_CORRUPT:
        return refuse(error, FL_ERR_INVALID, "%.300s is damaged: %s", path, sqlite3_errstr(status));
    default:
        return refuse(error, FL_ERR_SYSTEM, "cannot read %.300s: %s", path, sqlite3_errstr(status));
    }
}

static enum fl_err judge_header(const char *path, int version, const struct header *header,
                                struct fl_error *error)
{
    if (header->application == 0 && header->entries == 0)
        return FL_OK;
    if (header->application != CN_APPLICATION_ID)
        return refuse(error, FL_ERR_UNSUPPORTED,
                      "%.300s is the database of another application: its application_id is "
                      "0x%08x with %lld tables and indexes, Fairlead's is 0x%08x",
                      path, (unsigned)header->application, (long long)header->entries,
                      (unsigned)CN_APPLICATION_ID);
    if (header->version > version)
        return refuse(error, FL_ERR_UNSUPPORTED,
                      "%.300s has schema %lld of a newer Fairlead, this one knows up to schema %d",
                      path, (long long)header->version, version);
    return FL_OK;
}

static enum fl_err check_content(const char *path, int version, struct fl_error *error)
{
    struct header header = {0};
    bool is_immutable = !has_log(path);
    int status = read_header(path, is_immutable, &header);
    if (status != SQLITE_OK && is_immutable && has_log(path))
        status = read_header(path, false, &header);
    if ((status & 0xff) == SQLITE_BUSY)
        return FL_OK;
    return status == SQLITE_OK ? judge_header(path, version, &header, error)
                               : judge_status(path, status, error);
}

enum fl_err cn_guard_inspect(const char *path, int version, struct fl_error *error)
{
    off_t size = 0;
    enum fl_err err = check_folder(path, error);
    if (!err)
        err = check_kind(path, &size, error);
    if (!err && size > 0)
        err = check_content(path, version, error);
    return err;
}
