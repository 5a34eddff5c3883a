/*
 * push_join: conditions and joins.
 *
 * An outer join whose NULLs a condition above rejects is an inner one. Then each conjunct of the join's own
 * condition and of those above goes where the kind of join lets it:
 *
 *	                own, left   own, right   above, left   above, right
 *	INNER           left        right        left          right
 *	LEFT, SINGLE    -           right        left          -
 *	RIGHT           left        -            -             right
 *	FULL            -           -            -             -
 *	SEMI            left        right        left
 *	ANTI            -           right        left
 *	MARK            -           -            left
 *
 * Equalities between the sides become keys. What is said of a key column on one side and goes below is said
 * of the other side's, too, and a bound of one side's column of the other's that is compared with it.
 *
 * A conjunct that could fail is asked only of the rows that it was written for: it stays where it is, and
 * where it looks at one side it goes below as a hint. An equality that could fail is a lazy key besides.
 */
#include "query/pushdown.h"

static int failed(const struct bind *b)
{
	return b->e && b->e->code < 0 ? b->e->code : -ENOMEM;
}

struct sides {
	uint32_t left_n;
	unsigned found;
};

static bool see_side(const struct bx *x, void *ctx)
{
	struct sides *s = ctx;

	if (x->kind == BX_COLUMN)
		s->found |= x->index < s->left_n ? SIDE_LEFT : SIDE_RIGHT;
	return false;
}

unsigned bx_sides(const struct bx *x, uint32_t left_n)
{
	struct sides s = {.left_n = left_n};

	bx_any(x, see_side, &s);
	return s.found;
}

static bool is_call(const struct bx *x, const char *name, uint32_t argc)
{
	return x->kind == BX_CALL && x->argc == argc && !strcmp(x->func->name, name);
}

/* ---- outer joins that are none ------------------------------------------------------------------------ */

/* Is x NULL where all columns of that side are? */
static bool goes_null(const struct bx *x, unsigned side, uint32_t left_n)
{
	bool all = x->argc > 0;

	switch (x->kind) {
	case BX_COLUMN:
		return (x->index < left_n ? SIDE_LEFT : SIDE_RIGHT) == side;
	case BX_CALL:
		if (x->func->flags & FN_NULLS)
			return false;
		for (uint32_t i = 0; i < x->argc; i++) {
			if (x->args[i]->kind != BX_LAMBDA && goes_null(x->args[i], side, left_n))
				return true;
		}
		return false;
	case BX_CAST:
	case BX_FIELD:
	case BX_TRY:
	case BX_IN:
		return goes_null(x->args[0], side, left_n);
	case BX_COALESCE:
	case BX_AND: /* of NULLs */
	case BX_OR:
		for (uint32_t i = 0; i < x->argc; i++)
			all = all && goes_null(x->args[i], side, left_n);
		return all;
	default:
		return false;
	}
}

/* Is x not TRUE where all columns of that side are NULL? */
static bool rejects_nulls(const struct bx *x, unsigned side, uint32_t left_n)
{
	bool all = true;

	switch (x->kind) {
	case BX_CONST:
		return !bx_is_true(x);
	case BX_AND:
		for (uint32_t i = 0; i < x->argc; i++) {
			if (rejects_nulls(x->args[i], side, left_n))
				return true;
		}
		return false;
	case BX_OR:
		for (uint32_t i = 0; i < x->argc; i++)
			all = all && rejects_nulls(x->args[i], side, left_n);
		return all;
	case BX_COALESCE:
		return x->argc == 2 && bx_is_false(x->args[1]) && rejects_nulls(x->args[0], side, left_n);
	case BX_CALL:
		if (is_call(x, "not", 1) && is_call(x->args[0], "is null", 1))
			return goes_null(x->args[0]->args[0], side, left_n);
		break;
	default:
		break;
	}
	return goes_null(x, side, left_n);
}

static void reduce(struct plan *p, const struct bx_list *conds)
{
	uint32_t left_n = p->children[0]->col_count;

	if (p->join != PJ_LEFT && p->join != PJ_RIGHT && p->join != PJ_FULL)
		return;
	for (uint32_t i = 0; i < conds->n; i++) {
		if (bx_is_volatile(conds->v[i]))
			continue;
		if ((p->join == PJ_LEFT || p->join == PJ_FULL) && rejects_nulls(conds->v[i], SIDE_RIGHT, left_n))
			p->join = p->join == PJ_FULL ? PJ_RIGHT : PJ_INNER;
		if ((p->join == PJ_RIGHT || p->join == PJ_FULL) && rejects_nulls(conds->v[i], SIDE_LEFT, left_n))
			p->join = p->join == PJ_FULL ? PJ_LEFT : PJ_INNER;
	}
}

/* ---- where conjuncts go ---------------------------------------------------------------------------------- */

struct split {
	struct bind *b;
	struct plan *p;
	uint32_t left_n;
	struct bx_list left, right; /* go below; over the columns of both */
	struct bx_list rest;        /* the join's own */
	struct bx_list above;
	struct plan_join_key *keys;
	uint32_t key_n, key_cap;
};

/* May conjuncts that look at one side only go below? own: of the join's own condition. */
static bool goes_below(enum plan_join k, unsigned side, bool own)
{
	bool is_left = side == SIDE_LEFT;

	switch (k) {
	case PJ_INNER:
		return true;
	case PJ_LEFT:
	case PJ_SINGLE:
		return is_left != own;
	case PJ_RIGHT:
		return is_left == own;
	case PJ_FULL:
		return false;
	case PJ_SEMI:
		return true;
	case PJ_ANTI:
		return is_left != own;
	case PJ_MARK:
		return is_left && !own;
	}
	return false;
}

static int add_key(struct split *s, struct bx *l, struct bx *r, bool null_safe, bool is_lazy)
{
	struct plan *right = s->p->children[1];
	uint32_t *map = arena_array(s->b->arena, uint32_t, s->left_n + right->col_count + 1), at = s->key_n;

	if (s->key_n == s->key_cap) {
		uint32_t cap = MAX(4u, s->key_cap * 2);
		struct plan_join_key *v = arena_zarray(s->b->arena, struct plan_join_key, cap);
		if (!v)
			return bind_nomem(s->b);
		if (s->key_n)
			memcpy(v, s->keys, sizeof(*v) * s->key_n);
		s->keys = v;
		s->key_cap = cap;
	}
	if (!map)
		return bind_nomem(s->b);
	for (uint32_t i = 0; i < s->left_n + right->col_count; i++)
		map[i] = i < s->left_n ? i : i - s->left_n;
	r = bx_remap(s->b, r, map);
	if (!r)
		return bind_nomem(s->b);
	for (; !is_lazy && at && s->keys[at - 1].is_lazy; at--)
		s->keys[at] = s->keys[at - 1];
	s->keys[at] = (struct plan_join_key){.left = l, .right = r, .null_safe = null_safe, .is_lazy = is_lazy};
	s->key_n++;
	return 0;
}

/* l = r, or NOT (l IS DISTINCT FROM r), with a side each: 1, it is a key now. One that could fail is a condition, too. */
static int take_key(struct split *s, struct bx *x)
{
	bool null_safe = is_call(x, "not", 1) && is_call(x->args[0], "is distinct from", 2);
	bool is_lazy = false;
	unsigned side[2];
	int rc;

	if (null_safe)
		x = x->args[0];
	else if (!is_call(x, "=", 2))
		return 0;
	for (int i = 0; i < 2; i++) {
		side[i] = bx_sides(x->args[i], s->left_n);
		if (bx_is_volatile(x->args[i]))
			return 0;
		is_lazy = is_lazy || bx_can_fail(x->args[i]);
	}
	if (side[0] == SIDE_LEFT && side[1] == SIDE_RIGHT)
		rc = add_key(s, x->args[0], x->args[1], null_safe, is_lazy);
	else if (side[0] == SIDE_RIGHT && side[1] == SIDE_LEFT)
		rc = add_key(s, x->args[1], x->args[0], null_safe, is_lazy);
	else
		return 0;
	return rc < 0 || is_lazy ? rc : 1;
}

static int place(struct split *s, struct bx *x, bool own)
{
	enum plan_join kind = s->p->join;
	struct bx_list *stays = own || kind == PJ_INNER ? &s->rest : &s->above, *below;
	unsigned side = bx_sides(x, s->left_n);
	struct bx *hint = NULL;
	int rc = 0;

	if (!side) /* a constant: where it spares most */
		side = goes_below(kind, SIDE_LEFT, own) ? SIDE_LEFT : SIDE_RIGHT;
	if (bx_is_volatile(x))
		return bx_push(s->b, stays, x);
	if ((side == SIDE_LEFT || side == SIDE_RIGHT) && goes_below(kind, side, own)) {
		below = side == SIDE_LEFT ? &s->left : &s->right;
		if (!bx_can_fail(x))
			return bx_push(s->b, below, x);
		rc = bx_hint(s->b, x, &hint);
		if (rc >= 0)
			rc = bx_push(s->b, below, hint);
	} else if (kind != PJ_MARK && (own || kind == PJ_INNER)) {
		rc = take_key(s, x);
		if (rc)
			return MIN(rc, 0);
	}
	return rc < 0 ? rc : bx_push(s->b, stays, x);
}

/* ---- what is known of one side from the other ---------------------------------------------------------------- */

struct lone {
	uint32_t col;
	bool any, other;
};

static bool see_lone(const struct bx *x, void *ctx)
{
	struct lone *l = ctx;

	if (x->kind != BX_COLUMN)
		return false;
	l->other = l->other || (l->any && l->col != x->index);
	l->any = true;
	l->col = x->index;
	return false;
}

/* The only column that x looks at, or UINT32_MAX. */
static uint32_t only_column(const struct bx *x)
{
	struct lone l = {0};

	bx_any(x, see_lone, &l);
	return l.any && !l.other ? l.col : UINT32_MAX;
}

static int push_new(struct bind *b, struct bx_list *l, struct bx *x)
{
	for (uint32_t i = 0; i < l->n; i++) {
		if (bx_same(l->v[i], x))
			return 0;
	}
	return bx_push(b, l, x);
}

/* May what is known of a side's rows narrow the other side's? */
static bool narrows(enum plan_join k, unsigned side)
{
	return side == SIDE_LEFT ? k != PJ_RIGHT && k != PJ_FULL && k != PJ_MARK
				 : k == PJ_INNER || k == PJ_RIGHT || k == PJ_SEMI;
}

/* Are equal values the same to every function? 0.0 and -0.0 are not. */
static bool has_one_form(const struct type *t)
{
	enum type_layout l = type_layout(t);

	return l == LAYOUT_I64 || l == LAYOUT_STR || l == LAYOUT_BOOL;
}

/* Columns that are equal in all rows that matter: same[i] is the least of those that are equal to column i. */
struct equals {
	uint32_t *same, n;
};

static void make_equal(struct equals *q, uint32_t a, uint32_t b)
{
	uint32_t lo = MIN(q->same[a], q->same[b]), hi = MAX(q->same[a], q->same[b]);

	for (uint32_t i = 0; i < q->n; i++)
		q->same[i] = q->same[i] == hi ? lo : q->same[i];
}

/* a = b, two columns: column i of x is from + i. */
static void see_equal(struct equals *q, const struct bx *x, uint32_t from)
{
	if (is_call(x, "=", 2) && x->args[0]->kind == BX_COLUMN && x->args[1]->kind == BX_COLUMN &&
	    has_one_form(x->args[0]->type))
		make_equal(q, from + x->args[0]->index, from + x->args[1]->index);
	for (uint32_t i = 0; x->kind == BX_AND && i < x->argc; i++)
		see_equal(q, x->args[i], from);
}

/* What joins below say. An outer one says nothing of its rows without a match. */
static void see_below(struct equals *q, const struct plan *p, uint32_t from)
{
	if (p->kind != PLAN_JOIN)
		return;
	if (p->join == PJ_INNER && p->where)
		see_equal(q, p->where, from);
	if (p->join == PJ_INNER)
		see_below(q, p->children[1], from + p->children[0]->col_count);
	if (p->join != PJ_RIGHT && p->join != PJ_FULL)
		see_below(q, p->children[0], from);
}

static int find_equals(struct split *s, struct equals *q)
{
	q->n = s->left_n + s->p->children[1]->col_count;
	q->same = arena_array(s->b->arena, uint32_t, q->n + 1);
	if (!q->same)
		return bind_nomem(s->b);
	for (uint32_t i = 0; i < q->n; i++)
		q->same[i] = i;
	for (uint32_t i = 0; i < s->key_n; i++) {
		const struct bx *l = s->keys[i].left, *r = s->keys[i].right;

		if (l->kind == BX_COLUMN && r->kind == BX_COLUMN && !s->keys[i].is_in && has_one_form(l->type))
			make_equal(q, l->index, r->index + s->left_n);
	}
	for (uint32_t i = 0; i < s->left.n; i++)
		see_equal(q, s->left.v[i], 0);
	for (uint32_t i = 0; i < s->right.n; i++)
		see_equal(q, s->right.v[i], 0);
	see_below(q, s->p->children[0], 0);
	see_below(q, s->p->children[1], s->left_n);
	return 0;
}

/* x, about column a alone, about each column of the other side that is equal to it. */
static int copy_over(struct split *s, const struct equals *q, struct bx *x, uint32_t a)
{
	uint32_t *map = NULL;
	bool is_left = a < s->left_n;

	for (uint32_t c = is_left ? s->left_n : 0; c < (is_left ? q->n : s->left_n); c++) {
		struct bx *copy;
		int rc;

		if (q->same[c] != q->same[a])
			continue;
		if (!map)
			map = arena_array(s->b->arena, uint32_t, q->n + 1);
		if (!map)
			return bind_nomem(s->b);
		for (uint32_t k = 0; k < q->n; k++)
			map[k] = k == a ? c : k;
		copy = bx_remap(s->b, x, map);
		rc = copy ? push_new(s->b, is_left ? &s->right : &s->left, copy) : bind_nomem(s->b);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int copy_by_keys(struct split *s)
{
	uint32_t left_n = s->left.n, right_n = s->right.n;
	struct equals q;
	int rc = 0;

	if (!s->key_n || (!left_n && !right_n))
		return 0;
	rc = find_equals(s, &q);
	for (uint32_t i = 0; i < left_n + right_n && rc >= 0; i++) {
		struct bx *x = i < left_n ? s->left.v[i] : s->right.v[i - left_n];
		uint32_t a = only_column(x);

		if (a != UINT32_MAX && narrows(s->p->join, i < left_n ? SIDE_LEFT : SIDE_RIGHT))
			rc = copy_over(s, &q, x, a);
	}
	return rc;
}

enum order { ORDER_NONE, ORDER_LT, ORDER_LE, ORDER_GT, ORDER_GE };

static enum order order_of(const struct bx *x, bool mirrored)
{
	static const char *const names[] = {"", "<", "<=", ">", ">="};
	static const enum order mirror[] = {ORDER_NONE, ORDER_GT, ORDER_GE, ORDER_LT, ORDER_LE};

	for (enum order i = ORDER_LT; i <= ORDER_GE; i++) {
		if (is_call(x, names[i], 2))
			return mirrored ? mirror[i] : i;
	}
	return ORDER_NONE;
}

/* a op b (columns), and conjuncts b op const, give a op const. */
static int carry_bound(struct split *s, uint32_t a, enum order op, const struct bx *b, const struct bx_list *of_b,
		       uint32_t n, struct bx_list *to)
{
	static const char *const names[] = {"", "<", "<=", ">", ">="};

	for (uint32_t i = 0; i < n; i++) {
		const struct bx *x = of_b->v[i];

		for (int mirrored = 0; mirrored < 2; mirrored++) {
			enum order op2 = order_of(x, mirrored), is;
			struct bx *args[2], *bound;
			int rc;

			if (op2 == ORDER_NONE || (op2 <= ORDER_LE) != (op <= ORDER_LE) ||
			    !bx_same(x->args[mirrored], b) || x->args[!mirrored]->kind != BX_CONST)
				continue;
			/* Strict where one of them is. */
			is = op == op2 ? op : op <= ORDER_LE ? ORDER_LT : ORDER_GT;
			args[0] = bx_column(s->b, a, b->type, x->pos);
			args[1] = x->args[!mirrored];
			if (!args[0])
				return bind_nomem(s->b);
			rc = bind_func(s->b, x->pos, names[is], args, NULL, 2, &bound);
			if (rc >= 0)
				rc = bx_push(s->b, to, bound);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

/* b.time >= a.time AND a.time >= '2024-01-01': that holds for b.time, too. */
static int copy_by_order(struct split *s)
{
	uint32_t left_n = s->left.n, right_n = s->right.n;
	int rc = 0;

	for (uint32_t i = 0; i < s->rest.n && rc >= 0; i++) {
		const struct bx *x = s->rest.v[i];

		for (int mirrored = 0; mirrored < 2 && rc >= 0; mirrored++) {
			enum order op = order_of(x, mirrored);
			const struct bx *a, *c;
			bool a_left;

			if (op == ORDER_NONE)
				break;
			a = x->args[mirrored];
			c = x->args[!mirrored];
			if (a->kind != BX_COLUMN || c->kind != BX_COLUMN)
				break;
			a_left = a->index < s->left_n;
			if (a_left == (c->index < s->left_n))
				break;
			if (narrows(s->p->join, a_left ? SIDE_RIGHT : SIDE_LEFT))
				rc = carry_bound(s, a->index, op, c, a_left ? &s->right : &s->left,
						 a_left ? right_n : left_n, a_left ? &s->left : &s->right);
		}
	}
	return rc;
}

/* ---- marks ----------------------------------------------------------------------------------------------------- */

/* A condition that is the mark, or not the mark: *ret_not. maybe: NULL counts as FALSE in it. */
static bool is_mark(const struct bx *x, uint32_t mark, bool *ret_not, bool *ret_maybe)
{
	*ret_not = is_call(x, "not", 1);
	if (*ret_not)
		x = x->args[0];
	*ret_maybe = x->kind == BX_COALESCE && x->argc == 2 && bx_is_false(x->args[1]);
	if (*ret_maybe)
		x = x->args[0];
	return x->kind == BX_COLUMN && x->index == mark;
}

/* Is x never NULL? */
static bool is_known(const struct bx *x)
{
	bool all = x->argc > 0;

	switch (x->kind) {
	case BX_CONST:
		return !bx_is_null(x);
	case BX_COALESCE:
		return is_known(x->args[x->argc - 1]);
	case BX_CALL:
		if (is_call(x, "is null", 1) || is_call(x, "is distinct from", 2))
			return true;
		return is_call(x, "not", 1) && is_known(x->args[0]);
	case BX_AND:
	case BX_OR:
		for (uint32_t i = 0; i < x->argc; i++)
			all = all && is_known(x->args[i]);
		return all;
	default:
		return false;
	}
}

static bool is_row_pair(const struct plan_join_key *k)
{
	return k->is_in && k->left->kind == BX_ROW && k->right->kind == BX_ROW && k->left->argc == k->right->argc;
}

/* The keys of a MARK where its NULLs count as FALSE: IN is equality, and that of rows one of each field. */
static int plain_keys(struct bind *b, const struct plan *from, struct plan *to)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < from->join_key_count; i++)
		n += is_row_pair(&from->join_keys[i]) ? from->join_keys[i].left->argc : 1;
	to->join_keys = arena_zarray(b->arena, struct plan_join_key, n + 1);
	if (!to->join_keys)
		return bind_nomem(b);
	for (uint32_t i = 0; i < from->join_key_count; i++) {
		const struct plan_join_key *k = &from->join_keys[i];
		bool is_pair = is_row_pair(k);

		for (uint32_t f = 0; f < (is_pair ? k->left->argc : 1); f++) {
			struct plan_join_key *own = &to->join_keys[to->join_key_count++];

			*own = *k;
			own->is_in = false;
			if (is_pair) {
				own->left = k->left->args[f];
				own->right = k->right->args[f];
			}
		}
	}
	return 0;
}

/*
 * Only rows with the mark are wanted: SEMI; or only rows without: ANTI, where the mark is never NULL or NULL
 * counts as FALSE. What comes out is the left's columns and a constant mark.
 */
static int unmark(struct bind *b, struct plan *p, struct bx_list *conds, struct plan **ret)
{
	uint32_t mark = p->children[0]->col_count, at = UINT32_MAX;
	bool is_not = false, maybe, known = !p->where || is_known(p->where);
	struct plan *half, *project;
	int rc;

	*ret = p;
	for (uint32_t i = 0; i < p->join_key_count; i++)
		known = known && !p->join_keys[i].is_in;
	for (uint32_t i = 0; i < conds->n && at == UINT32_MAX; i++) {
		if (is_mark(conds->v[i], mark, &is_not, &maybe) && (!is_not || known || maybe))
			at = i;
	}
	if (at == UINT32_MAX)
		return 0;
	memmove(conds->v + at, conds->v + at + 1, sizeof(*conds->v) * (conds->n - at - 1));
	conds->n--;
	half = plan_join(b, is_not ? PJ_ANTI : PJ_SEMI, p->children[0], p->children[1], p->pos);
	project = half ? plan_project(b, half, mark + 1) : NULL;
	if (!project)
		return failed(b);
	half->where = p->where;
	rc = plain_keys(b, p, half);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < mark; i++) {
		project->cols[i] = p->cols[i];
		project->exprs[i] = bx_column(b, i, p->cols[i].type, p->pos);
		if (!project->exprs[i])
			return bind_nomem(b);
	}
	project->cols[mark] = p->cols[mark];
	rc = bind_const_bool(b, !is_not, p->pos, &project->exprs[mark]);
	*ret = project;
	return rc;
}

/* Where only TRUE counts, coalesce(x, false) is x. */
static struct bx *true_part(const struct plan *p, struct bx *x)
{
	while (p->join != PJ_MARK && x->kind == BX_COALESCE && x->argc == 2 && bx_is_false(x->args[1]))
		x = x->args[0];
	return x;
}

/* ---- a join -------------------------------------------------------------------------------------------------------- */

static int split_all(struct split *s, const struct bx_list *conds)
{
	struct bx_list own = {0};
	int rc = s->p->where ? bx_conjuncts(s->b, s->p->where, &own) : 0;

	for (uint32_t i = 0; i < s->p->join_key_count && rc >= 0; i++)
		s->keys[s->key_n++] = s->p->join_keys[i];
	for (uint32_t i = 0; i < own.n && rc >= 0; i++)
		rc = place(s, true_part(s->p, own.v[i]), true);
	for (uint32_t i = 0; i < conds->n && rc >= 0; i++)
		rc = place(s, conds->v[i], false);
	if (rc >= 0)
		rc = copy_by_keys(s);
	return rc < 0 ? rc : copy_by_order(s);
}

static int push_side(struct split *s, unsigned side)
{
	struct plan **child = &s->p->children[side == SIDE_RIGHT];
	const struct bx_list *from = side == SIDE_LEFT ? &s->left : &s->right;
	uint32_t all = s->left_n + (*child)->col_count, *map = arena_array(s->b->arena, uint32_t, all + 1);
	struct bx_list below = {0};
	int rc = 0;

	if (!map)
		return bind_nomem(s->b);
	for (uint32_t i = 0; i < all; i++)
		map[i] = side == SIDE_RIGHT && i >= s->left_n ? i - s->left_n : i;
	for (uint32_t i = 0; i < from->n && rc >= 0; i++) {
		struct bx *x = bx_remap(s->b, from->v[i], map);

		rc = x ? bx_push(s->b, &below, x) : bind_nomem(s->b);
	}
	return rc < 0 ? rc : push(s->b, *child, &below, child);
}

/* The side that looks smaller is held, or read first. */
static void choose_sides(struct plan *p)
{
	uint32_t l = plan_weight(p->children[0]), r = plan_weight(p->children[1]);
	bool has_is_in = p->join_key_count && p->join_keys[p->join_key_count - 1].is_in;

	p->build_left = l < r && (p->join == PJ_INNER || p->join == PJ_RIGHT);
	/* Laying rows aside costs something. */
	p->left_first = l <= r / 2 && p->join != PJ_INNER && p->join != PJ_RIGHT && p->join != PJ_FULL &&
			p->join_key_count && !has_is_in;
}

static int push_one(struct bind *b, struct plan *p, const struct bx_list *conds, struct plan **ret)
{
	struct split s = {.b = b, .p = p, .left_n = p->children[0]->col_count, .key_cap = p->join_key_count + 4};
	int rc;

	reduce(p, conds);
	s.keys = arena_zarray(b->arena, struct plan_join_key, s.key_cap);
	if (!s.keys)
		return bind_nomem(b);
	rc = split_all(&s, conds);
	if (rc < 0)
		return rc;
	p->join_keys = s.keys;
	p->join_key_count = s.key_n;
	p->where = NULL;
	if (s.rest.n) {
		p->where = s.rest.n == 1 ? s.rest.v[0] : bx_logic(b, BX_AND, s.rest.v, s.rest.n, s.rest.v[0]->pos);
		if (!p->where)
			return bind_nomem(b);
	}
	rc = push_side(&s, SIDE_LEFT);
	if (rc >= 0)
		rc = push_side(&s, SIDE_RIGHT);
	if (rc < 0)
		return rc;
	choose_sides(p);
	return filter_over(b, p, &s.above, ret);
}

/* The columns as FROM has them: column i is now back[i]. */
static int back_to_order(struct bind *b, struct plan *p, const struct plan *like, const uint32_t *back, struct plan **ret)
{
	struct plan *project = plan_project(b, p, like->col_count);

	if (!project)
		return failed(b);
	for (uint32_t i = 0; i < like->col_count; i++) {
		project->cols[i] = like->cols[i];
		project->exprs[i] = bx_column(b, back[i], like->cols[i].type, like->pos);
		if (!project->exprs[i])
			return bind_nomem(b);
	}
	*ret = project;
	return 0;
}

int push_join(struct bind *b, struct plan *p, const struct bx_list *conds, struct plan **ret)
{
	const struct plan *from = p;
	struct bx_list rest = {0};
	uint32_t *back = NULL;
	int rc = 0;

	for (uint32_t i = 0; i < conds->n && rc >= 0; i++)
		rc = bx_push(b, &rest, conds->v[i]);
	if (rc >= 0 && p->join == PJ_MARK) {
		struct plan *project;

		rc = unmark(b, p, &rest, &project);
		if (rc < 0)
			return rc;
		if (project != p)
			return push(b, project, &rest, ret);
	}
	if (rc >= 0 && p->join == PJ_INNER)
		rc = join_order(b, &p, &rest, &back);
	if (rc >= 0)
		rc = push_one(b, p, &rest, ret);
	return rc < 0 || !back ? rc : back_to_order(b, *ret, from, back, ret);
}
