/* Notices that resources on disk are no longer those that were loaded, and says so.
 *
 * Nothing is loaded by it: SIGHUP, or the next start, reads them (runtime.md §4). Watched are the
 * resources folders and the configuration files. One line tells of a burst of changes.
 *
 * Thread: the loop's.
 */
#ifndef GW_RESOURCE_WATCH_H
#define GW_RESOURCE_WATCH_H

struct gateway;
struct gw_resource_watch;

/* Never fails: what cannot be watched is said once. */
void gw_resource_watch_start(struct gateway *gateway);
void gw_resource_watch_stop(struct gateway *gateway);

#endif
