/* A VFS for SQLite whose computer loses power: at the cut, what was not synced is gone or torn.
 *
 * It is registered as the default one, so that the connector's own VFS lies above it. Writes go to
 * the real files at once, and are remembered until their file is synced. At the cut each file is
 * put back to what the last sync of it left, some of the later writes survive in pieces of 512
 * bytes as a device may have it, and the process exits. Nothing is really synced: the model alone
 * decides, which also makes a hundred cuts quick.
 *
 * Names have a durability of their own. A file that was made or removed is so for certain only
 * after its folder was synced, which the VFS below does at the first sync of a journal or a log
 * that it made, and when it is asked to at a removal.
 *
 * Not in the model: shared memory (the files of it mean nothing after a reboot), and files that
 * are not opened through SQLite.
 *
 * Thread: any, one process.
 */
#ifndef POWER_VFS_H
#define POWER_VFS_H

#include <stdbool.h>
#include <stdint.h>

/* From when on operations count towards the cut. */
enum power_moment {
    POWER_AT_ONCE,
    POWER_WHEN_TOLD,     /* power_arm */
    POWER_AT_CHECKPOINT, /* when told, and then from the first write to the database itself on */
    POWER_MOMENT_COUNT,
};

struct power_plan {
    enum power_moment moment;
    unsigned operations; /* the one at which power is lost, from 1 on; 0: never */
    unsigned survival;   /* of 256: how likely a piece that was not synced survives */
    uint64_t seed;
};

/* The exit status of a process that lost power. */
enum { POWER_EXIT = 77 };

/* Makes the VFS the default of this process; once, for its life. */
void power_start(const struct power_plan *plan);
/* Counting begins, for POWER_WHEN_TOLD and POWER_AT_CHECKPOINT. Any thread. */
void power_arm(void);

#endif
