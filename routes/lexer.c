/* Lexical rules of CEL; see the header.
 *
 * Every kind of token has one function that starts at `lexer->at` and leaves it behind the token.
 * `peek` answers 0 at the end of the text, which is no byte of any token, so that no function
 * compares places by itself. Escapes in strings stand for code points, never for bytes.
 */
#include <errno.h>
#include <stdlib.h>

#include "routes/lexer_priv.h"

size_t route_lexer_column(const struct route_lexer *lexer, size_t at)
{
    size_t column = 1;
    for (size_t i = 0; i < at && i < lexer->text.len; i++)
        column += ((unsigned char)lexer->text.data[i] & 0xc0) != 0x80;
    return column;
}

static enum fl_err fail(const struct route_lexer *lexer, size_t at, struct fl_error *error,
                        const char *what)
{
    return fl_error_set(error, FL_ERR_INVALID, FL_CLASS_REJECT, "column %zu: %s",
                        route_lexer_column(lexer, at), what);
}

static char peek(const struct route_lexer *lexer, size_t ahead)
{
    size_t left = lexer->text.len - lexer->at;
    return ahead < left ? lexer->text.data[lexer->at + ahead] : '\0';
}

static bool is_at_end(const struct route_lexer *lexer)
{
    return lexer->at == lexer->text.len;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_start(char c)
{
    return c == '_' || (fl_ascii_lower(c) >= 'a' && fl_ascii_lower(c) <= 'z');
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    c = fl_ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f';
}

/* White space and comments, which begin with two slashes and end with the line. */
static void skip_space(struct route_lexer *lexer)
{
    for (;;) {
        while (is_space(peek(lexer, 0)))
            lexer->at++;
        if (peek(lexer, 0) != '/' || peek(lexer, 1) != '/')
            return;
        while (!is_at_end(lexer) && peek(lexer, 0) != '\n')
            lexer->at++;
    }
}

/* --- strings --- */

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(lead[len] | c);
    return len;
}

/* `count` digits of base 8 or 16; false when one of them is none. */
static bool read_digits(struct route_lexer *lexer, int count, int base, uint32_t *value)
{
    uint32_t sum = 0;
    for (int i = 0; i < count; i++, lexer->at++) {
        int digit = hex_value(peek(lexer, 0));
        if (digit < 0 || digit >= base)
            return false;
        sum = sum * (uint32_t)base + (uint32_t)digit;
    }
    *value = sum;
    return true;
}

/* The code point of an escape that needs no digits; UINT32_MAX when `c` begins none. */
static uint32_t simple_escape(char c)
{
    static const char from[] = "abfnrtv\\?\"'`", to[] = "\a\b\f\n\r\t\v\\?\"'`";
    const char *at = c ? strchr(from, c) : NULL;
    return at ? (uint32_t)(unsigned char)to[at - from] : UINT32_MAX;
}

/* The backslash is already behind. */
static enum fl_err read_escape(struct route_lexer *lexer, uint32_t *point, struct fl_error *error)
{
    size_t began = lexer->at - 1;
    char c = peek(lexer, 0);
    *point = simple_escape(c);
    if (*point != UINT32_MAX) {
        lexer->at++;
        return FL_OK;
    }
    bool is_right;
    if (c >= '0' && c <= '3') {
        is_right = read_digits(lexer, 3, 8, point);
    } else {
        int digits = c == 'x' || c == 'X' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
        lexer->at += digits != 0;
        is_right = digits && read_digits(lexer, digits, 16, point);
    }
    if (!is_right)
        return fail(lexer, began, error,
                    "this escape is none of \\a \\b \\f \\n \\r \\t \\v \\\\ \\? \\\" \\' \\` "
                    "\\xHH \\uHHHH \\UHHHHHHHH \\OOO");
    if (*point > 0x10ffff || (*point >= 0xd800 && *point <= 0xdfff))
        return fail(lexer, began, error, "this escape names no Unicode character");
    return FL_OK;
}

static bool is_at_quotes(const struct route_lexer *lexer, char quote, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (peek(lexer, i) != quote)
            return false;
    }
    return true;
}

/* A string from its first quote on. An escape is never shorter than what it stands for, so the rest
 * of the text bounds the result. */
static enum fl_err read_string(struct route_lexer *lexer, bool is_raw, struct route_token *token,
                               struct fl_error *error)
{
    size_t began = lexer->at, len = 0;
    char quote = peek(lexer, 0);
    size_t quotes = is_at_quotes(lexer, quote, 3) ? 3 : 1;
    char *out = fl_arena_alloc(lexer->arena, lexer->text.len - lexer->at);
    lexer->at += quotes;
    while (!is_at_quotes(lexer, quote, quotes)) {
        char c = peek(lexer, 0);
        if (is_at_end(lexer) || (quotes == 1 && (c == '\n' || c == '\r')))
            return fail(lexer, began, error, "this string does not end");
        lexer->at++;
        if (c == '\\' && !is_raw) {
            uint32_t point;
            enum fl_err err = read_escape(lexer, &point, error);
            if (err)
                return err;
            len += put_utf8(out + len, point);
        } else {
            out[len++] = c;
        }
    }
    lexer->at += quotes;
    token->kind = ROUTE_TOKEN_STRING;
    token->value = fl_slice_of(out, len);
    return FL_OK;
}

/* --- numbers --- */

static void skip_digits(struct route_lexer *lexer)
{
    while (is_digit(peek(lexer, 0)))
        lexer->at++;
}

static bool skip_fraction(struct route_lexer *lexer)
{
    if (peek(lexer, 0) != '.' || !is_digit(peek(lexer, 1)))
        return false;
    lexer->at++;
    skip_digits(lexer);
    return true;
}

static bool skip_exponent(struct route_lexer *lexer)
{
    if (fl_ascii_lower(peek(lexer, 0)) != 'e')
        return false;
    size_t sign = peek(lexer, 1) == '+' || peek(lexer, 1) == '-';
    if (!is_digit(peek(lexer, 1 + sign)))
        return false;
    lexer->at += 1 + sign;
    skip_digits(lexer);
    return true;
}

/* An int, a uint (with a `u` behind) or a double. Int literals carry no sign of their own; the
 * parser sees the minus before. 2^63 is only right behind a minus, and is let through here. */
static enum fl_err read_number(struct route_lexer *lexer, struct route_token *token,
                               struct fl_error *error)
{
    size_t began = lexer->at;
    bool is_hex = peek(lexer, 0) == '0' && fl_ascii_lower(peek(lexer, 1)) == 'x' &&
                  hex_value(peek(lexer, 2)) >= 0;
    bool is_double = false;
    if (is_hex) {
        for (lexer->at += 2; hex_value(peek(lexer, 0)) >= 0;)
            lexer->at++;
    } else {
        skip_digits(lexer);
        is_double = skip_fraction(lexer);
        is_double |= skip_exponent(lexer);
    }
    const char *text =
        fl_arena_strdup(lexer->arena, fl_slice_of(lexer->text.data + began, lexer->at - began));
    token->kind = ROUTE_TOKEN_NUMBER;
    if (is_double) {
        token->number = strtod(text, NULL);
        return FL_OK;
    }
    bool is_unsigned = fl_ascii_lower(peek(lexer, 0)) == 'u';
    lexer->at += is_unsigned;
    errno = 0;
    unsigned long long value = strtoull(text, NULL, is_hex ? 16 : 10);
    if (errno == ERANGE || (!is_unsigned && value > (1ull << 63)))
        return fail(lexer, began, error, "this number does not fit into 64 bits");
    token->number = (double)value;
    return FL_OK;
}

/* --- the rest --- */

static enum fl_err read_symbol(struct route_lexer *lexer, struct route_token *token,
                               struct fl_error *error)
{
    static const struct {
        char text[3];
        enum route_token_kind kind;
    } symbols[] = {
        {"==", ROUTE_TOKEN_EQUAL}, {"!=", ROUTE_TOKEN_OTHER},      {"<=", ROUTE_TOKEN_OTHER},
        {">=", ROUTE_TOKEN_OTHER}, {"&&", ROUTE_TOKEN_OTHER},      {"||", ROUTE_TOKEN_OTHER},
        {"-", ROUTE_TOKEN_MINUS},  {".", ROUTE_TOKEN_DOT},         {"(", ROUTE_TOKEN_OPEN},
        {")", ROUTE_TOKEN_CLOSE},  {"[", ROUTE_TOKEN_OPEN_SQUARE}, {"]", ROUTE_TOKEN_CLOSE_SQUARE},
        {"<", ROUTE_TOKEN_OTHER},  {">", ROUTE_TOKEN_OTHER},       {"!", ROUTE_TOKEN_OTHER},
        {"?", ROUTE_TOKEN_OTHER},  {":", ROUTE_TOKEN_OTHER},       {"+", ROUTE_TOKEN_OTHER},
        {"*", ROUTE_TOKEN_OTHER},  {"/", ROUTE_TOKEN_OTHER},       {"%", ROUTE_TOKEN_OTHER},
        {"{", ROUTE_TOKEN_OTHER},  {"}", ROUTE_TOKEN_OTHER},       {",", ROUTE_TOKEN_OTHER},
    };
    struct fl_slice rest = fl_slice_of(lexer->text.data + lexer->at, lexer->text.len - lexer->at);
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        struct fl_slice symbol = fl_slice_str(symbols[i].text);
        if (fl_slice_starts_with(rest, symbol)) {
            token->kind = symbols[i].kind;
            lexer->at += symbol.len;
            return FL_OK;
        }
    }
    if (peek(lexer, 0) == '=')
        return fail(lexer, lexer->at, error, "\"=\" is no operator; equality is \"==\"");
    return fail(lexer, lexer->at, error, "this character has no meaning here");
}

/* How many letters before a quote say what kind of string follows (r, b, br, rb); 0 when none do.
 */
static size_t string_prefix(const struct route_lexer *lexer)
{
    size_t len = 0;
    while (len < 2 &&
           (fl_ascii_lower(peek(lexer, len)) == 'r' || fl_ascii_lower(peek(lexer, len)) == 'b'))
        len++;
    return peek(lexer, len) == '"' || peek(lexer, len) == '\'' ? len : 0;
}

static enum fl_err read_prefixed_string(struct route_lexer *lexer, size_t prefix,
                                        struct route_token *token, struct fl_error *error)
{
    bool is_raw = false, is_bytes = false;
    for (size_t i = 0; i < prefix; i++) {
        is_raw |= fl_ascii_lower(peek(lexer, i)) == 'r';
        is_bytes |= fl_ascii_lower(peek(lexer, i)) == 'b';
    }
    lexer->at += prefix;
    enum fl_err err = read_string(lexer, is_raw, token, error);
    if (!err && is_bytes)
        token->kind = ROUTE_TOKEN_OTHER;
    return err;
}

static void read_name(struct route_lexer *lexer, struct route_token *token)
{
    while (is_name_start(peek(lexer, 0)) || is_digit(peek(lexer, 0)))
        lexer->at++;
    token->kind = ROUTE_TOKEN_NAME;
}

enum fl_err route_lexer_next(struct route_lexer *lexer, struct route_token *token,
                             struct fl_error *error)
{
    skip_space(lexer);
    struct route_token next = {.kind = ROUTE_TOKEN_END};
    enum fl_err err = FL_OK;
    size_t began = lexer->at, prefix = string_prefix(lexer);
    char c = peek(lexer, 0);
    if (is_at_end(lexer))
        ;
    else if (prefix)
        err = read_prefixed_string(lexer, prefix, &next, error);
    else if (is_name_start(c))
        read_name(lexer, &next);
    else if (c == '"' || c == '\'')
        err = read_string(lexer, false, &next, error);
    else if (is_digit(c) || (c == '.' && is_digit(peek(lexer, 1))))
        err = read_number(lexer, &next, error);
    else
        err = read_symbol(lexer, &next, error);
    if (err)
        return err;
    next.text = fl_slice_of(lexer->text.data + began, lexer->at - began);
    *token = next;
    return FL_OK;
}
