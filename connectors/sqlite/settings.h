/* The settings of pubsub.sqlite, as its option rows fill them. */
#ifndef CN_SQLITE_SETTINGS_H
#define CN_SQLITE_SETTINGS_H

#include "base/slice.h"

struct cn_settings {
    struct fl_slice connection_string;
    int64_t max_bytes;       /* of the database file */
    int64_t retention_ms;    /* wall clock */
    int64_t lease_ms;        /* monotonic */
    int64_t group_expiry_ms; /* 0 = never */
    int64_t max_topics;
    int64_t busy_ms; /* how long a lock of a program that is no Fairlead is waited for */
};

#endif
