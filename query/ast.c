#include "query/parse.h"

#include <stdio.h>

#include "query/sql.h"

int parse_fail(struct parser *p, int code, struct pos at, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (p->rc < 0)
		return p->rc; /* the first one stands */
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	p->rc = err_set(p->e, code, "line %u:%u: %s", at.line, at.col, text);
	return p->rc;
}

void *ast_alloc(struct parser *p, size_t n, void *spare)
{
	void *x = arena_zalloc(p->arena, n);

	if (x)
		return x;
	if (p->rc >= 0)
		p->rc = err_set(p->e, -ENOMEM, "out of memory for the statement");
	memset(spare, 0, n);
	return spare;
}

/* Every list of ast.h begins like this. */
struct any_list {
	void *v;
	uint32_t n, cap;
};

void *ast_push(struct parser *p, void *list, size_t size)
{
	struct any_list *l = list;

	if (l->n == l->cap) {
		uint32_t cap = l->cap ? l->cap * 2 : 4;
		void *v = arena_alloc(p->arena, size * cap);

		if (!v) {
			if (p->rc >= 0)
				p->rc = err_set(p->e, -ENOMEM, "out of memory for the statement");
			return NULL;
		}
		if (l->n)
			memcpy(v, l->v, size * l->n);
		l->v = v;
		l->cap = cap;
	}
	return (char *)l->v + size * l->n++;
}

struct ident ast_ident(const struct token *t)
{
	return (struct ident){t->value, t->code == TK_QID, t->pos};
}

/* ---- depth ------------------------------------------------------------------------------------ */

static uint32_t expr_depth(const struct ast_expr *x)
{
	return x ? x->depth : 0;
}

static uint32_t list_depth(const struct expr_list *l)
{
	uint32_t d = 0;

	for (uint32_t i = 0; i < l->n; i++)
		d = MAX(d, expr_depth(l->v[i]));
	return d;
}

static uint32_t order_depth(const struct order_list *l)
{
	uint32_t d = 0;

	for (uint32_t i = 0; i < l->n; i++)
		d = MAX(d, expr_depth(l->v[i].expr));
	return d;
}

static uint32_t window_depth(const struct ast_window *w)
{
	uint32_t d;

	if (!w)
		return 0;
	d = MAX(list_depth(&w->partition), order_depth(&w->order));
	return MAX(d, MAX(expr_depth(w->start_expr), expr_depth(w->end_expr)));
}

static uint32_t call_depth(const struct ast_call *c)
{
	uint32_t d;

	if (!c)
		return 0;
	d = MAX(list_depth(&c->args), order_depth(&c->order));
	return MAX(d, MAX(expr_depth(c->filter), window_depth(c->over)));
}

static uint16_t deeper(struct parser *p, struct pos at, uint32_t depth)
{
	if (depth > SQL_DEPTH_MAX) {
		parse_fail(p, -E2BIG, at, "nested deeper than %d levels", SQL_DEPTH_MAX);
		return SQL_DEPTH_MAX;
	}
	return (uint16_t)depth;
}

struct ast_expr *ast_done(struct parser *p, struct ast_expr *x, const char *from)
{
	uint32_t d = MAX(expr_depth(x->a), MAX(expr_depth(x->b), expr_depth(x->c)));

	d = MAX(d, MAX(list_depth(&x->list), call_depth(x->call)));
	if (x->query)
		d = MAX(d, (uint32_t)x->query->depth);
	/* A chain of one operator counts as one level: its left spine is walked in a loop. */
	if ((x->kind == EX_AND || x->kind == EX_OR) && x->a && x->a->kind == x->kind &&
	    !x->a->parens && expr_depth(x->a) > expr_depth(x->b))
		x->depth = x->a->depth;
	else
		x->depth = deeper(p, x->pos, d + 1);
	if (from && p->prev_end && p->prev_end >= from)
		x->source = (struct str){from, (size_t)(p->prev_end - from)};
	return x;
}

struct ast_query *ast_query_done(struct parser *p, struct ast_query *q)
{
	uint32_t d = q->body ? q->body->depth : 0;

	for (uint32_t i = 0; i < q->with.n; i++)
		d = MAX(d, (uint32_t)q->with.v[i].query->depth);
	d = MAX(d, order_depth(&q->order));
	d = MAX(d, MAX(expr_depth(q->offset), expr_depth(q->limit)));
	q->depth = deeper(p, q->pos, d + SQL_QUERY_DEPTH);
	return q;
}

struct ast_body *ast_body_of(struct parser *p, enum body_kind kind, struct pos at)
{
	struct ast_body *b = AST_NEW(p, body);

	b->kind = kind;
	b->pos = at;
	return b;
}

static uint32_t select_depth(const struct ast_select *s)
{
	uint32_t d;

	if (!s)
		return 0;
	d = MAX(expr_depth(s->where), expr_depth(s->having));
	if (s->from)
		d = MAX(d, (uint32_t)s->from->depth);
	for (uint32_t i = 0; i < s->items.n; i++)
		d = MAX(d, expr_depth(s->items.v[i].expr));
	for (uint32_t i = 0; i < s->groups.n; i++) {
		d = MAX(d, expr_depth(s->groups.v[i].expr));
		for (uint32_t k = 0; k < s->groups.v[i].set_n; k++)
			d = MAX(d, list_depth(&s->groups.v[i].sets[k]));
	}
	for (uint32_t i = 0; i < s->windows.n; i++)
		d = MAX(d, window_depth(s->windows.v[i].window));
	return d;
}

bool ast_body_goes_on(const struct ast_body *b)
{
	const struct ast_body *l = b->left;

	return b->kind == BODY_SET && b->op == SET_UNION && l->kind == BODY_SET && l->op == SET_UNION && (l->all || !b->all);
}

struct ast_body *ast_body_done(struct parser *p, struct ast_body *b)
{
	uint32_t d = MAX(select_depth(b->select), list_depth(&b->values));

	if (b->left)
		d = MAX(d, MAX((uint32_t)b->left->depth - ast_body_goes_on(b), (uint32_t)b->right->depth));
	if (b->query)
		d = MAX(d, (uint32_t)b->query->depth);
	b->depth = deeper(p, b->pos, d + 1);
	return b;
}

struct ast_from *ast_from_of(struct parser *p, enum from_kind kind, struct pos at)
{
	struct ast_from *f = AST_NEW(p, from);

	f->kind = kind;
	f->pos = at;
	return f;
}

struct ast_from *ast_from_done(struct parser *p, struct ast_from *f)
{
	uint32_t d = MAX(list_depth(&f->exprs), expr_depth(f->on));

	if (f->query)
		d = MAX(d, (uint32_t)f->query->depth);
	if (f->left)
		d = MAX(d, MAX((uint32_t)f->left->depth, (uint32_t)f->right->depth));
	f->depth = deeper(p, f->pos, d + 1);
	return f;
}

struct ast_from *ast_join(struct parser *p, enum join_kind kind, struct pos at, struct ast_from *left,
			  struct ast_from *right)
{
	struct ast_from *f = ast_from_of(p, FROM_JOIN, at);

	f->join = kind;
	f->left = left;
	f->right = right;
	return f;
}

struct ast_stmt *ast_stmt_of(struct parser *p, enum stmt_kind kind, struct pos at)
{
	struct ast_stmt *s = AST_NEW(p, stmt);

	s->kind = kind;
	s->pos = at;
	return s;
}

/* ---- expressions ------------------------------------------------------------------------------ */

struct ast_expr *ast_leaf(struct parser *p, enum expr_kind kind, const struct token *t)
{
	struct ast_expr *x = AST_NEW(p, expr);

	x->kind = kind;
	x->pos = t->pos;
	x->text = t->value;
	if (kind == EX_DURATION)
		x->text = t->text;
	x->depth = 1;
	x->source = t->text;
	return x;
}

struct ast_expr *ast_unary(struct parser *p, enum expr_kind kind, const struct token *op, struct ast_expr *a)
{
	struct ast_expr *x = AST_NEW(p, expr);

	x->kind = kind;
	x->pos = op->pos;
	x->a = a;
	return ast_done(p, x, MIN(op->text.ptr, a->source.ptr));
}

static const char *op_text(int code)
{
	switch (code) {
	case TK_EQ: return "=";
	case TK_NE: return "<>";
	case TK_LT: return "<";
	case TK_LE: return "<=";
	case TK_GT: return ">";
	case TK_GE: return ">=";
	case TK_PLUS: return "+";
	case TK_MINUS: return "-";
	case TK_STAR: return "*";
	case TK_SLASH: return "/";
	case TK_PERCENT: return "%";
	default: return "||";
	}
}

struct ast_expr *ast_binary(struct parser *p, enum expr_kind kind, const struct token *op,
			    struct ast_expr *a, struct ast_expr *b)
{
	struct ast_expr *x = AST_NEW(p, expr);

	x->kind = kind;
	x->pos = op->pos;
	x->a = a;
	x->b = b;
	if (kind == EX_BINARY || kind == EX_QUANTIFIED)
		x->op = op_text(op->code);
	return ast_done(p, x, a->source.ptr);
}

/*
 * 9223372036854775808 is no bigint, its negation is: .boolean marks it until a minus comes (a minus
 * that is directly in front takes it away, anything else is told at the binder's first look).
 */
struct ast_expr *ast_integer(struct parser *p, const struct token *t)
{
	struct ast_expr *x = ast_leaf(p, EX_INT, t);
	char r = t->text.len > 2 ? t->text.ptr[1] | 0x20 : 0;
	unsigned base = r == 'x' ? 16 : r == 'b' ? 2 : r == 'o' ? 8 : 10;
	uint64_t v = 0;

	for (size_t i = base == 10 ? 0 : 2; i < t->text.len; i++) {
		char c = t->text.ptr[i];
		unsigned d = c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);

		if (c == '_')
			continue;
		if (v > (UINT64_MAX - d) / base) {
			v = UINT64_MAX;
			break;
		}
		v = v * base + d;
	}
	if (v > (uint64_t)INT64_MAX + 1 && base != 10)
		parse_fail(p, -EINVAL, t->pos, "the integer %.*s does not fit a bigint",
			   (int)MIN(t->text.len, 40), t->text.ptr);
	else if (v > (uint64_t)INT64_MAX + 1)
		parse_fail(p, -EINVAL, t->pos, "the integer %.*s does not fit a bigint; write %.*s.0 for a double",
			   (int)MIN(t->text.len, 40), t->text.ptr, (int)MIN(t->text.len, 40), t->text.ptr);
	x->boolean = v == (uint64_t)INT64_MAX + 1;
	x->integer = x->boolean ? INT64_MIN : (int64_t)v;
	return x;
}

struct ast_expr *ast_double(struct parser *p, const struct token *t)
{
	struct ast_expr *x = ast_leaf(p, EX_DOUBLE, t);
	char *to = arena_alloc(p->arena, t->text.len + 1);
	size_t n = 0;

	if (!to) {
		p->rc = err_set(p->e, -ENOMEM, "out of memory for the statement");
		return x;
	}
	for (size_t i = 0; i < t->text.len; i++) {
		if (t->text.ptr[i] != '_')
			to[n++] = t->text.ptr[i];
	}
	if (f64_parse((struct str){to, n}, &x->number) < 0)
		parse_fail(p, -EINVAL, t->pos, "the number %.*s does not fit a double",
			   (int)MIN(t->text.len, 40), t->text.ptr);
	return x;
}

struct ast_expr *ast_minus(struct parser *p, const struct token *op, struct ast_expr *a)
{
	if (a->kind == EX_INT && a->boolean && !a->parens) {
		a->boolean = false;
		a->pos = op->pos;
		a->source = (struct str){op->text.ptr, (size_t)(a->source.ptr + a->source.len - op->text.ptr)};
		return a;
	}
	return ast_unary(p, EX_NEG, op, a);
}

static size_t utf8_put(char *to, uint32_t c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xC0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3F));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xE0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 0x3F));
		to[2] = (char)(0x80 | (c & 0x3F));
		return 3;
	}
	to[0] = (char)(0xF0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 0x3F));
	to[2] = (char)(0x80 | (c >> 6 & 0x3F));
	to[3] = (char)(0x80 | (c & 0x3F));
	return 4;
}

/* n hex digits at s; -1 where there are not that many. */
static int32_t hex_at(struct str s, size_t at, size_t n)
{
	int32_t v = 0;

	if (s.len - at < n)
		return -1;
	for (size_t i = at; i < at + n; i++) {
		char c = s.ptr[i];

		if (c >= '0' && c <= '9')
			v = v * 16 + (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v * 16 + ((c | 0x20) - 'a' + 10);
		else
			return -1;
	}
	return v;
}

/* U&'\00e9 \+01F600 \\': an escape is 6 bytes or more, what it stands for at most 4. */
struct ast_expr *ast_unicode(struct parser *p, const struct token *t, const struct token *escape)
{
	struct ast_expr *x = ast_leaf(p, EX_STRING, t);
	struct str s = t->value;
	char *to = arena_alloc(p->arena, s.len + 1);
	char esc = '\\';
	size_t n = 0;

	if (!to) {
		p->rc = err_set(p->e, -ENOMEM, "out of memory for the statement");
		return x;
	}
	if (escape) {
		esc = escape->value.len == 1 ? escape->value.ptr[0] : 0;
		if (!esc || strchr("+'\" \t\n", esc) || hex_at(escape->value, 0, 1) >= 0) {
			parse_fail(p, -EINVAL, escape->pos,
				   "UESCAPE takes one character that is no hex digit, plus, quote or blank");
			return x;
		}
	}
	for (size_t i = 0; i < s.len;) {
		if (s.ptr[i] != esc) {
			to[n++] = s.ptr[i++];
			continue;
		}
		if (i + 1 < s.len && s.ptr[i + 1] == esc) {
			to[n++] = esc;
			i += 2;
			continue;
		}
		size_t plus = i + 1 < s.len && s.ptr[i + 1] == '+';
		int32_t c = hex_at(s, i + 1 + plus, plus ? 6 : 4);

		if (c <= 0 || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) {
			parse_fail(p, -EINVAL, t->pos,
				   "in U&'...' an escape is \\XXXX or \\+XXXXXX with the hex number of a character");
			return x;
		}
		n += utf8_put(to + n, (uint32_t)c);
		i += 1 + plus + (plus ? 6 : 4);
	}
	x->text = (struct str){to, n};
	return x;
}

struct ast_expr *ast_typed(struct parser *p, const struct token *type, const struct token *text)
{
	struct ast_expr *x = ast_leaf(p, EX_TYPED, text);
	char *name = arena_alloc(p->arena, type->text.len + 1);

	x->pos = type->pos;
	x->cast_type = AST_NEW(p, type);
	x->cast_type->pos = type->pos;
	if (!name) {
		p->rc = err_set(p->e, -ENOMEM, "out of memory for the statement");
		return x;
	}
	for (size_t i = 0; i < type->text.len; i++)
		name[i] = type->text.ptr[i] | 0x20; /* the type words are letters only */
	x->cast_type->name = (struct str){name, type->text.len};
	x->source = (struct str){type->text.ptr, (size_t)(text->text.ptr + text->text.len - type->text.ptr)};
	return x;
}

struct ast_expr *ast_dot(struct parser *p, struct ast_expr *a, struct ident name)
{
	struct ast_expr *x = a;

	if (a->kind != EX_COLUMN || a->parens) {
		x = AST_NEW(p, expr);
		x->kind = EX_FIELD;
		x->pos = a->pos;
		x->a = a;
	}
	AST_PUSH(p, &x->names, name);
	return ast_done(p, x, a->source.ptr);
}

struct ast_expr *ast_star_of(struct parser *p, struct ast_expr *a, const struct token *star)
{
	if (a->kind != EX_COLUMN || a->parens)
		parse_fail(p, -EINVAL, star->pos, "in front of '.*' stands a table's name or alias");
	a->kind = EX_STAR;
	return ast_done(p, a, a->source.ptr);
}

struct ast_expr *ast_parens(struct parser *p, const struct token *lp, struct ast_expr *a)
{
	a->parens = true;
	if (p->prev_end)
		a->source = (struct str){lp->text.ptr, (size_t)(p->prev_end - lp->text.ptr)};
	return a;
}

struct ast_expr *ast_lambda(struct parser *p, const struct token *from, struct expr_list params,
			    struct ast_expr *body)
{
	struct ast_expr *x = AST_NEW(p, expr);

	x->kind = EX_LAMBDA;
	x->pos = from->pos;
	x->a = body;
	for (uint32_t i = 0; i < params.n; i++) {
		struct ast_expr *name = params.v[i];

		if (name->kind != EX_COLUMN || name->names.n != 1 || name->parens) {
			parse_fail(p, -EINVAL, name->pos,
				   "in front of '->' stand parameter names: x -> ..., (s, x) -> ...");
			break;
		}
		AST_PUSH(p, &x->names, name->names.v[0]);
	}
	return ast_done(p, x, from->text.ptr);
}

struct ast_expr *ast_subquery(struct parser *p, enum expr_kind kind, struct pos at, const char *from,
			      struct ast_query *q)
{
	struct ast_expr *x = AST_NEW(p, expr);

	x->kind = kind;
	x->pos = at;
	x->query = q;
	return ast_done(p, x, from);
}

struct ast_expr *ast_call_of(struct parser *p, struct ident name, const char *from, struct expr_list args)
{
	struct ast_expr *x = AST_NEW(p, expr);

	x->kind = EX_CALL;
	x->pos = name.pos;
	x->call = AST_NEW(p, call);
	x->call->name = name;
	x->call->args = args;
	return ast_done(p, x, from);
}

struct ast_expr *ast_call2(struct parser *p, const struct token *name, const char *as,
			   struct ast_expr *a, struct ast_expr *b, struct ast_expr *c)
{
	struct expr_list args = {0};

	AST_PUSH(p, &args, a);
	if (b)
		AST_PUSH(p, &args, b);
	if (c)
		AST_PUSH(p, &args, c);
	return ast_call_of(p, (struct ident){str_from(as), false, name->pos}, name->text.ptr, args);
}

/* ---- types ------------------------------------------------------------------------------------ */

struct ast_type *ast_field(struct parser *p, struct ident name, struct ast_type *type)
{
	struct ast_type *f = AST_NEW(p, type);

	f->args = arena_alloc(p->arena, sizeof(*f->args));
	f->arg_names = arena_alloc(p->arena, sizeof(*f->arg_names));
	if (!f->args || !f->arg_names) {
		p->rc = err_set(p->e, -ENOMEM, "out of memory for the statement");
		return f;
	}
	f->args[0] = type;
	f->arg_names[0] = name;
	f->arg_n = 1;
	return f;
}

void ast_field_add(struct parser *p, struct ast_type *row, const struct ast_type *field)
{
	uint32_t n = row->arg_n;

	if (p->rc < 0 || !field->arg_n)
		return;
	if ((n & (n - 1)) == 0) { /* room is a power of two */
		uint32_t cap = n ? n * 2 : 1;
		struct ast_type **args = arena_alloc(p->arena, sizeof(*args) * cap);
		struct ident *names = arena_alloc(p->arena, sizeof(*names) * cap);

		if (!args || !names) {
			p->rc = err_set(p->e, -ENOMEM, "out of memory for the statement");
			return;
		}
		if (n) {
			memcpy(args, row->args, sizeof(*args) * n);
			memcpy(names, row->arg_names, sizeof(*names) * n);
		}
		row->args = args;
		row->arg_names = names;
	}
	row->args[n] = field->args[0];
	row->arg_names[n] = field->arg_names[0];
	row->arg_n++;
}
