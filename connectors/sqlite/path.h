/* The setting `connectionString`: which file holds the messages.
 *
 * Thread: any. It reads the working directory and follows symbolic links, nothing else.
 */
#ifndef CN_SQLITE_PATH_H
#define CN_SQLITE_PATH_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* SQLite's own VFS takes names of 512 bytes and wants to put "-journal" behind ours. */
enum { CN_PATH_BYTES_MAX = 504 };

/* Appends the absolute path of the file to `path`, with a NUL behind it that is not counted.
 *
 * `connection_string` (borrowed) is a path, or a `file:` URI with an empty authority or localhost,
 * whose path is percent-decoded. Both may end in `?` and parameters: mode=rw, mode=rwc,
 * cache=private and _txlock are accepted and change nothing; every other one is refused, with
 * what to do instead. Empty means broker.db in `data_dir` (borrowed); when that is null, the text
 * names --data-dir. A relative path starts in the working directory. Symbolic links are followed
 * as far as the path exists, because SQLite keeps its own files beside the file that a link leads
 * to, and two processes must agree on the place of ours.
 *
 * FL_ERR_INVALID, FL_ERR_UNSUPPORTED (a database in memory, read-only or on another host),
 * FL_ERR_TOO_LARGE, FL_ERR_SYSTEM (no working directory); always FL_CLASS_FATAL. */
enum fl_err cn_path_of(struct fl_slice connection_string, struct fl_slice data_dir,
                       struct fl_buffer *path, struct fl_error *error) FL_MUST_USE;

#endif
