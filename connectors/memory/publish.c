/* Publishing: who gets a message, and the answers.
 *
 * Exact topics are one look-up. Patterns are prefixes: they stand in a second map, by prefix, and
 * one look-up is made for each length that prefixes have, so a thousand patterns cost as many
 * look-ups as they have different lengths. Answers gather until the end of the turn.
 */
#include "base/alloc.h"
#include "base/budget.h"
#include "base/clock.h"
#include "connectors/memory/memory_priv.h"

/* Answers of one turn; what is beyond waits in the gateway's line until `writable`. */
enum { MOST_ANSWERS = 4096 };

/* --- names of topics --- */

static struct cn_memory_name *new_name(struct cn_memory *memory, struct fl_slice topic)
{
    struct cn_memory_name *name = fl_alloc(sizeof *name + topic.len);
    name->references = 0;
    name->len = (uint32_t)topic.len;
    memcpy(name->text, topic.data, topic.len);
    fl_budget_charge(memory->connector.host->budget, sizeof *name + topic.len);
    return name;
}

void cn_memory_name_release(struct cn_memory *memory, struct cn_memory_name **name)
{
    struct cn_memory_name *old = *name;
    *name = NULL;
    if (!old || --old->references > 0)
        return;
    if (memory->last_name == old)
        memory->last_name = NULL;
    size_t size = sizeof *old + old->len;
    fl_free(old);
    fl_budget_release(memory->connector.host->budget, size);
}

/* Nobody holds a new one yet; the caller has a subscriber that will. */
static struct cn_memory_name *name_of(struct cn_memory *memory, struct fl_slice topic)
{
    struct cn_memory_name *last = memory->last_name;
    if (last && fl_slice_eq(fl_slice_of(last->text, last->len), topic))
        return last;
    return memory->last_name = new_name(memory, topic);
}

/* --- the index --- */

static bool is_pattern(struct fl_slice topic)
{
    return topic.len && topic.data[topic.len - 1] == '*';
}

static struct fl_slice key_of(struct fl_slice topic)
{
    return fl_slice_of(topic.data, topic.len - is_pattern(topic));
}

static struct cn_memory_length *find_length(struct cn_memory *memory, size_t len)
{
    for (size_t i = 0; i < memory->length_count; i++) {
        if (memory->lengths[i].len == len)
            return &memory->lengths[i];
    }
    return NULL;
}

static void add_length(struct cn_memory *memory, size_t len)
{
    struct cn_memory_length *length = find_length(memory, len);
    if (!length) {
        memory->lengths =
            fl_realloc(memory->lengths, sizeof *memory->lengths * (memory->length_count + 1));
        length = &memory->lengths[memory->length_count++];
        *length = (struct cn_memory_length){.len = len};
    }
    length->count++;
}

static void remove_length(struct cn_memory *memory, size_t len)
{
    struct cn_memory_length *length = find_length(memory, len);
    FL_ASSERT(length);
    if (--length->count == 0)
        *length = memory->lengths[--memory->length_count];
}

void cn_memory_index_add(struct cn_memory *memory, struct cn_memory_subscriber *subscriber)
{
    struct fl_slice topic = subscriber->subscription->topic, key = key_of(topic);
    struct fl_map *map = is_pattern(topic) ? &memory->prefixes : &memory->topics;
    struct cn_memory_topic *entry = fl_map_find(map, key);
    if (!entry) {
        entry = fl_zalloc(sizeof *entry);
        fl_list_init(&entry->subscribers);
        fl_map_set(map, key, entry);
        if (is_pattern(topic))
            add_length(memory, key.len);
    }
    fl_list_add_last(&entry->subscribers, &subscriber->peer);
    subscriber->topic = entry;
}

void cn_memory_index_remove(struct cn_memory *memory, struct cn_memory_subscriber *subscriber)
{
    struct cn_memory_topic *entry = subscriber->topic;
    if (!entry)
        return;
    subscriber->topic = NULL;
    fl_list_remove(&subscriber->peer);
    if (!fl_list_is_empty(&entry->subscribers))
        return;
    struct fl_slice topic = subscriber->subscription->topic, key = key_of(topic);
    fl_map_remove(is_pattern(topic) ? &memory->prefixes : &memory->topics, key);
    if (is_pattern(topic))
        remove_length(memory, key.len);
    fl_free(entry);
}

/* --- publishing --- */

int64_t cn_memory_wall_ms(struct cn_memory *memory)
{
    int64_t now_ms = net_loop_now_ms(memory->connector.host->loop);
    if (now_ms != memory->wall_read_at_ms) {
        memory->wall_read_at_ms = now_ms;
        memory->wall_ms = fl_clock_wall_ns() / 1000000;
    }
    return memory->wall_ms;
}

static void offer_to(struct cn_memory_topic *topic, struct ce_event *event,
                     struct cn_memory_name *name, int64_t stored_wall_ms)
{
    FL_LIST_EACH(at, &topic->subscribers)
    cn_memory_enqueue(FL_LIST_ENTRY(at, struct cn_memory_subscriber, peer), event, name,
                      stored_wall_ms);
}

static void offer(struct cn_memory *memory, const struct connector_publish *item)
{
    struct cn_memory_topic *topic = fl_map_find(&memory->topics, item->topic);
    if (topic)
        offer_to(topic, item->event, NULL, cn_memory_wall_ms(memory));
    for (size_t i = 0; i < memory->length_count; i++) {
        size_t len = memory->lengths[i].len;
        topic = len < item->topic.len
                    ? fl_map_find(&memory->prefixes, fl_slice_of(item->topic.data, len))
                    : NULL;
        if (topic)
            offer_to(topic, item->event, name_of(memory, item->topic), cn_memory_wall_ms(memory));
    }
}

static void add_answer(struct cn_memory_answers *answers, void *token)
{
    if (answers->count == answers->room) {
        answers->room = answers->room ? answers->room * 2 : 64;
        answers->items = fl_realloc(answers->items, sizeof *answers->items * answers->room);
    }
    answers->items[answers->count++] = (struct connector_published){.token = token};
}

size_t cn_memory_publish(struct connector *connector, const struct connector_publish *items,
                         size_t count)
{
    struct cn_memory *memory = cn_memory_of(connector);
    if (memory->is_closing)
        return 0;
    size_t taken = 0;
    for (; taken < count && memory->answers.count < MOST_ANSWERS; taken++) {
        add_answer(&memory->answers, items[taken].token);
        offer(memory, &items[taken]);
    }
    memory->owes_writable |= taken < count;
    cn_memory_wake(memory);
    return taken;
}

/* The gateway may publish again from inside its callback; those answers gather in the other array.
 */
void cn_memory_give_answers(struct cn_memory *memory)
{
    struct connector *connector = &memory->connector;
    if (memory->answers.count) {
        struct cn_memory_answers now = memory->answers;
        memory->answers = memory->given;
        memory->answers.count = 0;
        memory->given = now;
        connector->host->callbacks->published(connector, now.items, now.count);
    }
    if (memory->owes_writable && !memory->is_closing) {
        memory->owes_writable = false;
        connector->host->callbacks->writable(connector);
    }
}
