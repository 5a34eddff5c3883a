/*
 * lex: text to tokens. Codes are the grammar's TK_*; words come out as keywords where the documented
 * list reserves them, and as what words.c makes of them where only their neighbours can tell.
 */
#ifndef TIDE_LEX_H
#define TIDE_LEX_H

#include "query/ast.h"

struct token {
	int code;         /* TK_*; 0: the end */
	struct pos pos;
	struct str text;  /* as written */
	struct str value; /* names and strings: without quotes, doubled ones resolved */
};

struct lex {
	struct arena *arena; /* for values that differ from the text */
	struct str text;
	size_t off;
	struct pos pos;
	bool partial;    /* more text may come: what is not closed yet ends the tokens quietly */
	bool open;       /* partial: a string, name or comment was not closed */
};

void lex_init(struct lex *l, struct arena *a, struct str text, bool partial);

/*
 * 1: *ret is the next token; 0: no more (ret->code is 0, ret->pos behind the last byte).
 *   -EINVAL "line 1:8: ..."
 */
int lex_next(struct lex *l, struct token *ret, struct err *e) must_check;

/* May this token become a longer one when the text goes on? For tokens at the text's end. */
bool lex_may_grow(const struct lex *l, const struct token *t);

/* ---- words.c ------------------------------------------------------------------------------------ */

/* TK_ code of a word: a keyword's, or TK_ID. */
int word_code(struct str word);

/* The reserved words and keywords, for "did you mean". */
uint32_t word_list(const struct str **ret);

/*
 * Settles words whose meaning depends on their neighbours: `prev` is the token in front (code 0: none),
 * next and after are those behind. in_window: directly inside a window's parentheses; in_position:
 * directly inside POSITION( ... ), before its IN.
 */
struct word_context {
	const struct token *prev, *next, *after;
	bool in_window, in_position;
};
int word_settle(const struct token *t, const struct word_context *c);
bool word_is_contextual(const struct token *t); /* can word_settle() change it? */

#endif
