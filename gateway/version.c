/* The only file that is compiled anew for every commit. */
#include "gateway/version.h"

#ifndef FL_COMMIT
#define FL_COMMIT "unknown"
#endif

const char *gw_commit(void)
{
    return FL_COMMIT;
}
