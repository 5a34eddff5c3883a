/*
 * join_order: which relations are joined first, and which side of a join is held. By the plan's shape
 * alone: the same statement is worked out the same way whatever the tables hold.
 *
 * FROM a, b, c WHERE a.x = c.x AND c.y = b.y says nothing of a and b, so joining in the order of FROM
 * would build all of their pairs. Relations are taken in that order, but each time the first one that an
 * equality ties to those before; where there is none a new group begins, and groups are crossed in the end.
 */
#include "query/pushdown.h"

#define RELATIONS_MAX 64

struct relation {
	struct plan *plan;
	uint32_t from; /* its first column, among all of them in the order of FROM */
	uint32_t to;   /* ...and in the new order */
};

struct ordering {
	struct bind *b;
	struct relation rel[RELATIONS_MAX];
	uint32_t n, col_n;
	struct bx_list conds; /* of the joins, over all columns in the order of FROM */
	uint64_t ties[RELATIONS_MAX]; /* relations that an equality ties to it alone */
	uint32_t order[RELATIONS_MAX]; /* relations as they are taken */
	bool starts[RELATIONS_MAX];    /* by place in order: a new group */
	bool too_many;
};

static int failed(const struct bind *b)
{
	return b->e && b->e->code < 0 ? b->e->code : -ENOMEM;
}

static bool is_plain(const struct plan *p)
{
	return p->kind == PLAN_JOIN && p->join == PJ_INNER && !p->join_key_count &&
	       (!p->where || !bx_is_volatile(p->where));
}

/* Conjuncts of x, whose column i is `from` + i of all. */
static int add_conds(struct ordering *o, struct bx *x, uint32_t from, uint32_t n)
{
	uint32_t *map = arena_array(o->b->arena, uint32_t, n + 1);

	if (!map)
		return bind_nomem(o->b);
	for (uint32_t i = 0; i < n; i++)
		map[i] = from + i;
	x = bx_remap(o->b, x, map);
	return x ? bx_conjuncts(o->b, x, &o->conds) : bind_nomem(o->b);
}

static int flatten(struct ordering *o, struct plan *p)
{
	uint32_t from = o->col_n;
	int rc;

	if (!is_plain(p)) {
		if (o->n == RELATIONS_MAX) {
			o->too_many = true;
			return 0;
		}
		o->rel[o->n++] = (struct relation){.plan = p, .from = from};
		o->col_n += p->col_count;
		return 0;
	}
	rc = flatten(o, p->children[0]);
	if (rc >= 0)
		rc = flatten(o, p->children[1]);
	if (rc < 0 || !p->where)
		return rc;
	return add_conds(o, p->where, from, p->col_count);
}

/* The relations that x looks at. */
struct looks {
	const struct ordering *o;
	uint64_t at;
};

static bool see_relation(const struct bx *x, void *ctx)
{
	struct looks *l = ctx;
	uint32_t i = 0;

	if (x->kind != BX_COLUMN)
		return false;
	while (i + 1 < l->o->n && l->o->rel[i + 1].from <= x->index)
		i++;
	/* Relations without columns begin where the next one does. */
	while (!l->o->rel[i].plan->col_count && i)
		i--;
	l->at |= UINT64_C(1) << i;
	return false;
}

static uint64_t relations_of(const struct ordering *o, const struct bx *x)
{
	struct looks l = {.o = o};

	bx_any(x, see_relation, &l);
	return l.at;
}

static bool is_one(uint64_t bits)
{
	return bits && !(bits & (bits - 1));
}

/* Equalities between one relation and another one. */
static void find_ties(struct ordering *o, const struct bx *x)
{
	uint64_t a, b;

	if (x->kind != BX_CALL || x->argc != 2 || strcmp(x->func->name, "=") != 0)
		return;
	if (!bx_can_only_overflow(x->args[0]) || !bx_can_only_overflow(x->args[1]) || bx_is_volatile(x))
		return;
	a = relations_of(o, x->args[0]);
	b = relations_of(o, x->args[1]);
	if (!is_one(a) || !is_one(b) || a == b)
		return;
	o->ties[__builtin_ctzll(a)] |= b;
	o->ties[__builtin_ctzll(b)] |= a;
}

/* True where the order is another one than FROM's, or relations are grouped. */
static bool choose(struct ordering *o)
{
	uint64_t taken = 0, reached = 0;
	bool changed = false;

	for (uint32_t k = 0; k < o->n; k++) {
		uint32_t best = UINT32_MAX;

		for (uint32_t i = 0; i < o->n && best == UINT32_MAX; i++) {
			if (!(taken >> i & 1) && (reached >> i & 1))
				best = i;
		}
		o->starts[k] = best == UINT32_MAX;
		for (uint32_t i = 0; i < o->n && best == UINT32_MAX; i++) {
			if (!(taken >> i & 1))
				best = i;
		}
		o->order[k] = best;
		taken |= UINT64_C(1) << best;
		reached |= o->ties[best];
		changed = changed || best != k;
		/* A group behind the first that has several relations is joined before it is crossed. */
		changed = changed || (k && !o->starts[k] && o->starts[k - 1] && k > 1);
	}
	return changed;
}

static struct plan *join_two(struct ordering *o, struct plan *l, struct plan *r, struct pos at)
{
	return l ? plan_join(o->b, PJ_INNER, l, r, at) : r;
}

/* Each group left-deep, then the groups; where the relations' columns went is noted. */
static struct plan *rebuild(struct ordering *o, struct pos at)
{
	struct plan *all = NULL, *group = NULL;
	uint32_t to = 0;

	for (uint32_t k = 0; k < o->n; k++) {
		struct relation *r = &o->rel[o->order[k]];

		if (k && o->starts[k]) {
			all = join_two(o, all, group, at);
			if (!all)
				return NULL;
			group = NULL;
		}
		r->to = to;
		to += r->plan->col_count;
		group = join_two(o, group, r->plan, at);
		if (!group)
			return NULL;
	}
	return join_two(o, all, group, at);
}

int join_order(struct bind *b, struct plan **p, struct bx_list *conds, uint32_t **ret_back)
{
	struct ordering o = {.b = b};
	struct plan *to;
	uint32_t *map;
	int rc;

	*ret_back = NULL;
	if (!is_plain(*p) || (!is_plain((*p)->children[0]) && !is_plain((*p)->children[1])))
		return 0; /* two relations */
	rc = flatten(&o, *p);
	if (rc < 0 || o.too_many)
		return rc;
	for (uint32_t i = 0; i < conds->n && rc >= 0; i++)
		rc = bx_push(b, &o.conds, conds->v[i]);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < o.conds.n; i++)
		find_ties(&o, o.conds.v[i]);
	if (!choose(&o))
		return 0;
	to = rebuild(&o, (*p)->pos);
	map = arena_array(b->arena, uint32_t, o.col_n + 1);
	if (!to || !map)
		return to ? bind_nomem(b) : failed(b);
	for (uint32_t i = 0; i < o.n; i++) {
		for (uint32_t c = 0; c < o.rel[i].plan->col_count; c++)
			map[o.rel[i].from + c] = o.rel[i].to + c;
	}
	conds->n = 0;
	for (uint32_t i = 0; i < o.conds.n && rc >= 0; i++) {
		struct bx *x = bx_remap(b, o.conds.v[i], map);

		rc = x ? bx_push(b, conds, x) : bind_nomem(b);
	}
	*p = to;
	*ret_back = map;
	return rc;
}

/* ---- weights ------------------------------------------------------------------------------------------ */

static uint32_t scan_weight(const struct plan *p)
{
	uint32_t w = 400;

	if (p->t_lo > p->t_hi)
		return 0;
	if (p->series_where)
		w -= 100;
	if (p->t_lo != INT64_MIN)
		w -= 60;
	if (p->t_lo != INT64_MIN && p->t_hi != INT64_MAX)
		w -= 40;
	return p->t_lo == p->t_hi ? w / 4 : w;
}

uint32_t plan_weight(const struct plan *p)
{
	uint32_t w = 0;

	switch (p->kind) {
	case PLAN_SCAN:
		return scan_weight(p);
	case PLAN_VALUES:
		return p->row_count <= 1 ? 0 : p->row_count <= VEC_ROWS ? 5 : 100;
	case PLAN_FILTER:
		w = plan_weight(p->children[0]);
		return w - w / 10;
	case PLAN_AGG:
		return p->is_global ? 1 : plan_weight(p->children[0]) / 3;
	case PLAN_UNNEST: /* some elements a row */
		return plan_weight(p->children[0]) + 10;
	case PLAN_WORKING:
		return 5;
	case PLAN_SORT:
	case PLAN_LIMIT:
		w = plan_weight(p->children[0]);
		return p->limit <= 1 ? MIN(w, 1u) : p->limit <= VEC_ROWS ? MIN(w, 5u) : w;
	case PLAN_JOIN:
		w = plan_weight(p->children[0]);
		if (p->join == PJ_SEMI || p->join == PJ_ANTI || p->join == PJ_MARK || p->join == PJ_SINGLE)
			return w;
		return MAX(w, plan_weight(p->children[1])) + (p->join_key_count ? 20 : 200);
	default:
		for (uint32_t i = 0; i < p->child_count; i++) {
			uint32_t k = plan_weight(p->children[i]);

			w = MAX(w, k);
		}
		return w;
	}
}
