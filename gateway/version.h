/* The commit that this binary was built from. */
#ifndef GW_VERSION_H
#define GW_VERSION_H

const char *gw_commit(void);

#endif
