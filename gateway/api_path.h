/* Request targets: which path was meant, and its parts (http-api.md §0.1).
 *
 * Thread: any.
 */
#ifndef GW_API_PATH_H
#define GW_API_PATH_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/slice.h"

/* The path and the query of a target in origin form or absolute form; slices into the target. False
 * for what is neither. The path of "?x" and of "http://host" is empty. */
bool gw_target_split(struct fl_slice target, struct fl_slice *path, struct fl_slice *query);

/* Every '%' is followed by two hex digits. */
bool gw_path_escapes_are_valid(struct fl_slice path);

/* Unix path cleaning of the encoded path: "//" collapses, "." and ".." resolve, a trailing "/"
 * goes. The result may be `path` itself or lives in the arena. */
struct fl_slice gw_path_clean(struct fl_arena *arena, struct fl_slice path);

/* Decodes by the rules of queries: %XX, and '+' is a space. The result may be `text` itself or
 * lives in the arena. False: a bad escape. */
bool gw_query_decode(struct fl_arena *arena, struct fl_slice text, struct fl_slice *decoded);

/* The same by the rules of paths: a '+' is a '+'. */
bool gw_path_decode(struct fl_arena *arena, struct fl_slice text, struct fl_slice *decoded);

/* Appends what a configured path of the application is on the wire, as Go's URLs go there: bytes
 * that a path cannot hold are escaped, escapes that are there stay, a query follows as it is, a
 * fragment goes. The result is a target whatever the bytes are. */
void gw_target_append(struct fl_buffer *out, struct fl_slice path);

#endif
