/* "delete": removes a file or an empty folder.
 *
 * The root itself stays: removing it would change the folder above it.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "connectors/localstorage/localstorage_priv.h"

static int remove_leaf(const struct cn_localstorage_place *place)
{
    const char *leaf = cn_localstorage_leaf(place);
    if (place->folder < 0)
        return place->failure;
    if (unlinkat(place->folder, leaf, 0) == 0)
        return 0;
    /* A folder is EISDIR on Linux and EPERM by POSIX, which also means "not permitted". */
    int failure = errno;
    if (failure != EISDIR && failure != EPERM)
        return failure;
    if (unlinkat(place->folder, leaf, AT_REMOVEDIR) == 0)
        return 0;
    return errno == ENOTDIR ? failure : errno;
}

void cn_localstorage_delete(struct cn_localstorage_worker *worker, struct cn_localstorage_job *job)
{
    static const char what[] = "error deleting file";
    struct cn_localstorage_place place;
    int failure;
    if (!cn_localstorage_find(worker, job, &place))
        return;
    if (place.is_root) {
        cn_localstorage_fail(job, what, &place.path, "it is the root folder");
    } else {
        failure = remove_leaf(&place);
        if (!failure && worker->is_synced)
            failure = cn_localstorage_sync_folder(place.folder);
        if (failure)
            cn_localstorage_fail_errno(job, what, &place.path, failure);
    }
    cn_localstorage_place_fini(&place);
}
