/* Tokens of the match language (CEL's lexical rules), one at a time.
 *
 * The text is borrowed for as long as the lexer is used; decoded strings go into the caller's
 * arena. The text must be well-formed UTF-8 and of bounded length, which `route_expression_new`
 * sees to.
 *
 * Thread: one at a time.
 */
#ifndef ROUTE_LEXER_PRIV_H
#define ROUTE_LEXER_PRIV_H

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

enum route_token_kind {
    ROUTE_TOKEN_END,
    ROUTE_TOKEN_NAME,   /* identifiers and the words true, false, null, in */
    ROUTE_TOKEN_STRING, /* `value` is decoded */
    ROUTE_TOKEN_NUMBER, /* `number`; all numeric literals compare as doubles with JSON's numbers */
    ROUTE_TOKEN_EQUAL,  /* == */
    ROUTE_TOKEN_MINUS,
    ROUTE_TOKEN_DOT,
    ROUTE_TOKEN_OPEN,         /* ( */
    ROUTE_TOKEN_CLOSE,        /* ) */
    ROUTE_TOKEN_OPEN_SQUARE,  /* [ */
    ROUTE_TOKEN_CLOSE_SQUARE, /* ] */
    ROUTE_TOKEN_OTHER,        /* of the whole language, with no meaning in this version */
};

struct route_token {
    enum route_token_kind kind;
    struct fl_slice text;  /* as written */
    struct fl_slice value; /* ROUTE_TOKEN_STRING */
    double number;         /* ROUTE_TOKEN_NUMBER */
};

struct route_lexer {
    struct fl_slice text;
    size_t at;
    struct fl_arena *arena; /* borrowed */
};

/* Reads the next token. FL_ERR_INVALID with the column: no token of the language begins here. */
enum fl_err route_lexer_next(struct route_lexer *lexer, struct route_token *token,
                             struct fl_error *error) FL_MUST_USE;

/* The place of byte `at` as a person counts it: characters, from 1. */
size_t route_lexer_column(const struct route_lexer *lexer, size_t at);

#endif
