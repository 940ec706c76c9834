/* The schema and the statements.
 *
 * Instants named `stored`, `expires` and those of `delayed.due` are milliseconds since 1970,
 * because people and other machines mean them. `claim.until` and `waiting.due` are milliseconds of
 * the monotonic clock, so a wall clock that jumps ends no lease and stretches no back-off; they
 * mean nothing after a reboot, which `meta.boot` tells.
 */
#include "connectors/sqlite/sql.h"

#include "base/error.h"
#include "connectors/sqlite/store.h"

static const char schema_1[] =
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "INSERT INTO meta VALUES('boot', '');"

    "CREATE TABLE owner("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " application TEXT NOT NULL, pid INTEGER NOT NULL, since INTEGER NOT NULL);"

    "CREATE TABLE topic("
    " id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " last INTEGER NOT NULL);"

    "CREATE TABLE message("
    " seq INTEGER PRIMARY KEY, key TEXT, stored INTEGER NOT NULL, expires INTEGER,"
    " type TEXT, metadata TEXT, body NOT NULL);"
    "CREATE INDEX message_expires ON message(expires) WHERE expires IS NOT NULL;"

    "CREATE TABLE consumer("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, topic TEXT NOT NULL,"
    " pattern INTEGER NOT NULL, owner INTEGER, created INTEGER NOT NULL, seen INTEGER NOT NULL,"
    " server INTEGER NOT NULL DEFAULT 0,"
    " UNIQUE(name, topic));"

    "CREATE TABLE cursor("
    " topic INTEGER NOT NULL, consumer INTEGER NOT NULL,"
    " position INTEGER NOT NULL, parked INTEGER NOT NULL DEFAULT 0,"
    " PRIMARY KEY(topic, consumer)) WITHOUT ROWID;"
    "CREATE INDEX cursor_consumer ON cursor(consumer);"

    "CREATE TABLE claim("
    " owner INTEGER NOT NULL, id INTEGER NOT NULL, consumer INTEGER NOT NULL,"
    " first INTEGER NOT NULL, mask INTEGER NOT NULL, lane INTEGER NOT NULL,"
    " until INTEGER NOT NULL, attempt INTEGER NOT NULL,"
    " PRIMARY KEY(owner, id)) WITHOUT ROWID;"
    "CREATE INDEX claim_lane ON claim(consumer, lane) WHERE lane <> 0;"

    "CREATE TABLE waiting("
    " consumer INTEGER NOT NULL, seq INTEGER NOT NULL, lane INTEGER NOT NULL,"
    " due INTEGER, attempt INTEGER NOT NULL,"
    " PRIMARY KEY(consumer, seq)) WITHOUT ROWID;"
    "CREATE INDEX waiting_due ON waiting(consumer, due) WHERE due IS NOT NULL;"
    "CREATE INDEX waiting_lane ON waiting(consumer, lane, seq) WHERE lane <> 0;"

    "CREATE TABLE delayed("
    " id INTEGER PRIMARY KEY, due INTEGER NOT NULL, event_id TEXT,"
    " topic TEXT NOT NULL, key TEXT, lifetime INTEGER, type TEXT, metadata TEXT, body NOT NULL);"
    "CREATE INDEX delayed_due ON delayed(due);"
    "CREATE INDEX delayed_event ON delayed(event_id);"

    /* For people. */
    "CREATE VIEW messages AS SELECT topic.name AS topic, seq & 1099511627775 AS number,"
    " strftime('%Y-%m-%dT%H:%M:%fZ', stored / 1000.0, 'unixepoch') AS stored,"
    " key, metadata, body FROM message JOIN topic ON topic.id = seq >> 40;"
    "CREATE VIEW groups AS SELECT consumer.name AS 'group', consumer.topic AS subscription,"
    " topic.name AS topic, topic.last - position AS unread,"
    " (SELECT count(*) FROM waiting WHERE consumer = consumer.id AND seq >> 40 = topic.id)"
    " AS waiting FROM cursor JOIN consumer ON consumer.id = cursor.consumer"
    " JOIN topic ON topic.id = cursor.topic;";

static const char *const upgrades[] = {schema_1};

const char *cn_sql_upgrade(int version)
{
    return version >= 1 && version <= CN_SCHEMA_VERSION ? upgrades[version - 1] : NULL;
}

#define MESSAGE_COLUMNS "seq, key, stored, expires, type, metadata, body"

static const char *const texts[CN_SQL_COUNT] = {
    [CN_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [CN_SQL_COMMIT] = "COMMIT",
    [CN_SQL_ROLLBACK] = "ROLLBACK",
    [CN_SQL_DATA_VERSION] = "PRAGMA data_version",
    [CN_SQL_USER_VERSION] = "PRAGMA user_version",
    [CN_SQL_PAGE_COUNT] = "PRAGMA page_count",
    [CN_SQL_FREE_PAGES] = "PRAGMA freelist_count",

    [CN_SQL_OWNER_ADD] = "INSERT INTO owner(pid, since, application) VALUES(?1, ?2, ?3)",
    /* One that still has something in the file stays, so that others find and bury it. */
    [CN_SQL_OWNER_REMOVE] = "DELETE FROM owner WHERE id = ?1"
                            " AND NOT EXISTS (SELECT 1 FROM claim WHERE owner = ?1)"
                            " AND NOT EXISTS (SELECT 1 FROM consumer WHERE owner = ?1)",
    [CN_SQL_OWNER_OTHERS] = "SELECT id FROM owner WHERE id <> ?1 AND id > ?2"
                            " ORDER BY id LIMIT 1",

    [CN_SQL_TOPIC_BY_NAME] = "SELECT id, last FROM topic WHERE name = ?1",
    [CN_SQL_TOPIC_LAST] = "SELECT last FROM topic WHERE id = ?1",
    [CN_SQL_TOPIC_ADD] = "INSERT INTO topic(name, last) VALUES(?1, 0)",
    [CN_SQL_TOPIC_COUNT] = "SELECT max(id) FROM topic",
    [CN_SQL_TOPIC_SET_LAST] = "UPDATE topic SET last = ?2 WHERE id = ?1",
    [CN_SQL_TOPIC_AFTER] = "SELECT id, name, last FROM topic WHERE id > ?1 ORDER BY id",

    [CN_SQL_MESSAGE_ADD] = "INSERT INTO message(seq, stored, expires, key, type, metadata, body)"
                           " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [CN_SQL_MESSAGE_RANGE] =
        "SELECT " MESSAGE_COLUMNS " FROM message WHERE seq > ?1 AND seq <= ?2 ORDER BY seq",
    [CN_SQL_MESSAGE_ONE] = "SELECT " MESSAGE_COLUMNS " FROM message WHERE seq = ?1",
    [CN_SQL_MESSAGE_FIRST] = "SELECT min(seq) FROM message WHERE seq > ?1 AND seq <= ?2",
    [CN_SQL_MESSAGE_SINCE] = "SELECT min(seq) FROM message WHERE seq > ?1 AND seq <= ?2"
                             " AND stored >= ?3",

    [CN_SQL_CONSUMER_FIND] = "SELECT id FROM consumer WHERE name = ?1 AND topic = ?2",
    [CN_SQL_CONSUMER_ADD] =
        "INSERT INTO consumer(created, seen, pattern, owner, name, topic, server)"
        " VALUES(?1, ?1, ?2, ?3, ?4, ?5, ?6)",
    [CN_SQL_CONSUMER_SEEN] = "UPDATE consumer SET seen = ?2, server = ?3,"
                             " owner = iif(owner IS NULL, NULL, ?3) WHERE id = ?1",
    [CN_SQL_CONSUMER_PATTERNS] = "SELECT id, topic FROM consumer WHERE pattern <> 0",
    [CN_SQL_CONSUMER_REMOVE] = "DELETE FROM consumer WHERE id = ?1",
    [CN_SQL_CONSUMER_OF_OWNER] = "SELECT id FROM consumer WHERE owner = ?1",

    [CN_SQL_CURSOR_ADD] =
        "INSERT OR IGNORE INTO cursor(topic, consumer, position) VALUES(?1, ?2, ?3)",
    [CN_SQL_CURSOR_GET] = "SELECT position, parked FROM cursor WHERE topic = ?1 AND consumer = ?2",
    [CN_SQL_CURSOR_SET] = "UPDATE cursor SET position = ?3, parked = ?4"
                          " WHERE topic = ?1 AND consumer = ?2",
    [CN_SQL_CURSOR_BEHIND] = "SELECT topic.id FROM cursor JOIN topic ON topic.id = cursor.topic"
                             " WHERE consumer = ?1 AND topic.last > position",
    [CN_SQL_CURSOR_UNPARK] = "UPDATE cursor SET parked = parked - 1"
                             " WHERE topic = ?1 AND consumer = ?2 AND parked > 0",
    [CN_SQL_CURSOR_REMOVE_ALL] = "DELETE FROM cursor WHERE consumer = ?1",

    [CN_SQL_CLAIM_ADD] = "INSERT INTO claim(owner, id, consumer, first, mask, lane, until, attempt)"
                         " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [CN_SQL_CLAIM_CLEAR] = "UPDATE claim SET mask = mask & ~?3 WHERE owner = ?1 AND id = ?2",
    [CN_SQL_CLAIM_TAKE_BIT] = "UPDATE claim SET mask = mask & ~?3"
                              " WHERE owner = ?1 AND id = ?2 AND mask & ?3",
    [CN_SQL_CLAIM_REMOVE_EMPTY] = "DELETE FROM claim WHERE owner = ?1 AND id = ?2 AND mask = 0",
    [CN_SQL_CLAIM_REMOVE] = "DELETE FROM claim WHERE owner = ?1 AND id = ?2",
    [CN_SQL_CLAIM_EXTEND] = "UPDATE claim SET until = ?3 WHERE owner = ?1 AND id = ?2",
    [CN_SQL_CLAIM_SPLIT] = "UPDATE claim SET mask = ?3 WHERE owner = ?1 AND id = ?2",
    [CN_SQL_CLAIM_LAPSED] = "SELECT owner, id, consumer, first, mask, lane, attempt FROM claim"
                            " WHERE until <= ?1 AND owner <> ?2",
    [CN_SQL_CLAIM_NEXT_LAPSE] = "SELECT min(until) FROM claim WHERE owner <> ?1",
    [CN_SQL_CLAIM_OWNERS] = "SELECT DISTINCT owner FROM claim",
    [CN_SQL_CLAIM_OF_OWNER] = "SELECT owner, id, consumer, first, mask, lane, attempt FROM claim"
                              " WHERE owner = ?1",
    [CN_SQL_CLAIM_IN_LANE] = "SELECT 1 FROM claim WHERE consumer = ?1 AND lane = ?2 AND lane <> 0",
    [CN_SQL_CLAIM_REMOVE_ALL] = "DELETE FROM claim WHERE consumer = ?1",

    [CN_SQL_WAITING_ADD] = "INSERT OR REPLACE INTO waiting(consumer, seq, lane, due, attempt)"
                           " VALUES(?1, ?2, ?3, nullif(?4, -1), ?5)",
    [CN_SQL_WAITING_DUE] = "SELECT seq, lane, attempt FROM waiting"
                           " WHERE consumer = ?1 AND due IS NOT NULL AND due <= ?2"
                           " ORDER BY due LIMIT ?3",
    [CN_SQL_WAITING_NEXT_DUE] =
        "SELECT min(due) FROM waiting WHERE consumer = ?1 AND due IS NOT NULL",
    [CN_SQL_WAITING_REMOVE] = "DELETE FROM waiting WHERE consumer = ?1 AND seq = ?2",
    [CN_SQL_WAITING_IN_LANE] =
        "SELECT seq FROM waiting WHERE consumer = ?1 AND lane = ?2 AND lane <> 0"
        " ORDER BY seq LIMIT 1",
    [CN_SQL_WAITING_PROMOTE] = "UPDATE waiting SET due = 0"
                               " WHERE consumer = ?1 AND seq = ?2 AND due IS NULL",
    [CN_SQL_WAITING_REMOVE_ALL] = "DELETE FROM waiting WHERE consumer = ?1",

    /* Reading only: a deferred transaction takes no lock and sees one state of the file. */
    [CN_SQL_READ_BEGIN] = "BEGIN DEFERRED",
    [CN_SQL_PAGE_SIZE] = "PRAGMA page_size",

    [CN_SQL_DELAYED_ADD] =
        "INSERT INTO delayed(due, lifetime, event_id, topic, key, type, metadata, body)"
        " VALUES(?1, nullif(?2, 0), ?3, ?4, ?5, ?6, ?7, ?8)",
    [CN_SQL_DELAYED_DUE] = "SELECT id, topic, lifetime, key, type, metadata, body FROM delayed"
                           " WHERE due <= ?1 ORDER BY due, id LIMIT ?2",
    [CN_SQL_DELAYED_NEXT_DUE] = "SELECT min(due) FROM delayed",
    [CN_SQL_DELAYED_REMOVE] = "DELETE FROM delayed WHERE id = ?1",
    [CN_SQL_DELAYED_PUT_OFF] = "UPDATE delayed SET due = ?2 WHERE id = ?1",
    [CN_SQL_DELAYED_AT] = "SELECT 1 FROM delayed WHERE due = ?1 LIMIT 1",
    [CN_SQL_DELAYED_CANCEL] = "DELETE FROM delayed WHERE event_id = ?1 AND topic = ?2",

    [CN_SQL_TIDY_TOPICS] = "SELECT id FROM topic WHERE id > ?1 ORDER BY id LIMIT ?2",
    [CN_SQL_TIDY_MESSAGES] = "SELECT seq, stored FROM message WHERE seq > ?1 AND seq <= ?2"
                             " ORDER BY seq LIMIT ?3",
    /* The highest seq up to which no cursor of a topic (?2, its seqs from ?1 on) has anything left
     * but claims; NULL without a cursor. */
    [CN_SQL_TIDY_SETTLED] =
        "SELECT min(ifnull((SELECT seq - 1 FROM waiting WHERE waiting.consumer = cursor.consumer"
        " AND seq > ?1 AND seq <= ?1 + position ORDER BY seq LIMIT 1), ?1 + position))"
        " FROM cursor WHERE topic = ?2",
    [CN_SQL_TIDY_CLAIMS] = "SELECT first, mask FROM claim WHERE mask <> 0",
    [CN_SQL_TIDY_REMOVE] = "DELETE FROM message WHERE seq > ?1 AND seq <= ?2",
    [CN_SQL_TIDY_OWNER] = "SELECT since FROM owner WHERE id = ?1",
    [CN_SQL_TIDY_GROUPS] = "SELECT id, name, topic, server FROM consumer"
                           " WHERE owner IS NULL AND seen < ?1",

    /* A group ?2 of subscription ?1, and the members of a broadcast one: `group/...`, where the
     * byte after the slash is 0. */
    [CN_SQL_BACKLOG_GROUP] =
        "SELECT id FROM consumer WHERE name >= ?2 AND name < ?2 || '0' AND topic = ?1"
        " AND (name = ?2 OR (owner IS NOT NULL AND name >= ?2 || '/'))",
    [CN_SQL_BACKLOG_TOPIC] = "SELECT id FROM consumer WHERE topic = ?1",
    [CN_SQL_BACKLOG_CURSORS] = "SELECT topic, position FROM cursor WHERE consumer = ?1",
    [CN_SQL_BACKLOG_LAST] = "SELECT max(seq) FROM message WHERE seq > ?1 AND seq <= ?2",
    [CN_SQL_BACKLOG_OLDEST] =
        "SELECT stored FROM (SELECT stored, expires FROM message WHERE seq > ?1 AND seq <= ?2"
        " ORDER BY seq LIMIT ?4) WHERE expires IS NULL OR expires > ?3 LIMIT 1",
    [CN_SQL_BACKLOG_EXPIRED] =
        "SELECT count(*), sum(EXISTS (SELECT 1 FROM cursor WHERE topic = seq >> 40"
        " AND consumer = ?1 AND position < seq & 1099511627775))"
        " FROM (SELECT seq FROM message WHERE expires IS NOT NULL AND expires <= ?2"
        " ORDER BY expires DESC LIMIT ?3)",
    [CN_SQL_BACKLOG_WAITING] = "SELECT count(*) FROM waiting WHERE consumer = ?1",
    [CN_SQL_BACKLOG_NEXT_WAITING] =
        "SELECT seq FROM waiting WHERE consumer = ?1 AND seq > ?2 ORDER BY seq LIMIT 1",
    [CN_SQL_BACKLOG_CLAIMS] =
        "SELECT first, mask, attempt FROM claim WHERE consumer = ?1 AND mask <> 0",
    [CN_SQL_BACKLOG_STORED] = "SELECT stored FROM message WHERE seq = ?1",

    /* The unary plus keeps the order of ids, in which one call goes on where another ended. */
    [CN_SQL_PEEK_TOPIC] = "SELECT id, name FROM topic WHERE id > ?1 AND +name >= ?2"
                          " AND +name <= ?3 ORDER BY id LIMIT 1",
    [CN_SQL_PEEK_CONSUMERS] =
        "SELECT consumer.id, position FROM cursor JOIN consumer ON consumer.id = cursor.consumer"
        " WHERE cursor.topic = ?1 AND name = ?2 ORDER BY consumer.id",
    [CN_SQL_PEEK_WAITING] = "SELECT seq, due, attempt FROM waiting WHERE consumer = ?1"
                            " AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4",
    [CN_SQL_PEEK_DELAYED] = "SELECT delayed.due, topic, key, type, metadata, body FROM"
                            " (SELECT due, id FROM delayed ORDER BY due, id LIMIT ?1) AS early"
                            " CROSS JOIN delayed USING(id) WHERE topic >= ?3 AND topic <= ?4"
                            " ORDER BY delayed.due, delayed.id LIMIT ?2",
    [CN_SQL_PEEK_CLAIMS] =
        "SELECT consumer, first, mask, attempt FROM claim"
        " WHERE consumer IN (SELECT id FROM consumer WHERE name = ?1) AND mask <> 0",
    [CN_SQL_PEEK_GROUPS] = "SELECT DISTINCT name FROM consumer WHERE owner IS NULL",
};

const char *cn_sql_text(enum cn_sql sql)
{
    FL_ASSERT(sql < CN_SQL_COUNT && texts[sql]);
    return texts[sql];
}
