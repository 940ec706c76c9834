/* Optimal string alignment distance, three rows at a time, on words of at most 64 bytes. Comparing
 * without case makes `consumerid` zero edits away from `consumerID`, which is what a reader of the
 * message wants to see. */
#include "config/spelling.h"

#define WORD_MAX 64

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* One cell from its neighbours; `before` is the row above `above`. */
static unsigned cell(const unsigned char *before, const unsigned char *above,
                     const unsigned char *row, struct fl_slice a, struct fl_slice b, size_t i,
                     size_t j)
{
    char x = fl_ascii_lower(a.data[i - 1]), y = fl_ascii_lower(b.data[j - 1]);
    unsigned edits = above[j - 1] + (x != y);
    edits = least(edits, above[j] + 1U);
    edits = least(edits, row[j - 1] + 1U);
    if (i > 1 && j > 1 && x == fl_ascii_lower(b.data[j - 2]) && fl_ascii_lower(a.data[i - 2]) == y)
        edits = least(edits, before[j - 2] + 1U);
    return edits;
}

static unsigned distance(struct fl_slice a, struct fl_slice b)
{
    unsigned char rows[3][WORD_MAX + 1];
    for (size_t j = 0; j <= b.len; j++)
        rows[0][j] = (unsigned char)j;
    for (size_t i = 1; i <= a.len; i++) {
        unsigned char *row = rows[i % 3];
        row[0] = (unsigned char)i;
        for (size_t j = 1; j <= b.len; j++)
            row[j] = (unsigned char)cell(rows[(i + 1) % 3], rows[(i + 2) % 3], row, a, b, i, j);
    }
    return rows[a.len % 3][b.len];
}

void config_spelling_init(struct config_spelling *spelling, struct fl_slice word)
{
    *spelling = (struct config_spelling){.word = word, .best_edits = ~0U};
}

void config_spelling_offer(struct config_spelling *spelling, struct fl_slice candidate)
{
    struct fl_slice word = spelling->word;
    if (word.len > WORD_MAX || candidate.len > WORD_MAX || candidate.len == 0)
        return;
    size_t longer = word.len > candidate.len ? word.len : candidate.len;
    unsigned most = least((unsigned)longer / 3, 3);
    unsigned edits = distance(word, candidate);
    if (edits > most || edits >= spelling->best_edits)
        return;
    spelling->best = candidate;
    spelling->best_edits = edits;
}

const char *config_spelling_nearest(struct fl_slice word, const char *const *candidates,
                                    size_t count)
{
    struct config_spelling spelling;
    config_spelling_init(&spelling, word);
    for (size_t i = 0; i < count; i++)
        config_spelling_offer(&spelling, fl_slice_str(candidates[i]));
    return spelling.best.data;
}
