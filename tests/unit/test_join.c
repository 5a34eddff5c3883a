/* Joins over plans made by hand, against nested loops over the same rows. */
#include "tests/unit/bx.h"

#include <math.h>

#define MEMORY ((size_t)256 << 20)

/* ---- running ---------------------------------------------------------------------------------------- */

/* All rows: "1 a|2 b": columns by blanks, rows by bars; or "!" and the sentence. */
static void run(const struct plan *p, size_t memory, struct buf *out)
{
	struct budget budget;
	struct arena arena;
	struct exec x = {0};
	struct op *root;
	struct vbatch b;
	struct err e = {0};

	budget_init(&budget, memory);
	arena_init(&arena, &budget);
	x.arena = &arena;
	x.ctx.budget = &budget;
	buf_init(out, 1 << 30);
	int rc = op_open(&x, p, &root, &e);
	ck_assert_msg(rc == 0, "%s", e.text);
	while ((rc = op_next(root, &b, &e)) > 0) {
		ck_assert_uint_gt(b.n, 0);
		ck_assert_uint_le(b.n, VEC_ROWS);
		ck_assert_uint_eq(b.col_count, p->col_count);
		for (uint32_t i = 0; i < b.n; i++) {
			for (uint32_t c = 0; c < b.col_count; c++) {
				buf_addc(out, c ? ' ' : '|');
				if (vec_is_null(&b.cols[c], i))
					buf_addc(out, '-');
				else
					vec_format(&b.cols[c], i, out);
			}
		}
	}
	if (rc < 0) {
		buf_clear(out);
		buf_addf(out, "!%s", e.text);
	}
	buf_addc(out, '\0');
	op_close(root);
	arena_release(&arena);
	ck_assert_uint_eq(atomic_load(&budget.used), 0); /* everything was given back */
}

/* ---- the model --------------------------------------------------------------------------------------- */

#define COLS 4 /* bigint, varchar, double, and the row's number */

struct side {
	uint32_t n;
	struct vec cols[COLS];
};

static const char *const texts[] = {"", "a", "b", "ab", "a long text that is more than a few bytes"};

static struct side random_side(struct unit_rng *r, uint64_t n, uint64_t range)
{
	struct side s = {.n = (uint32_t)n};
	const struct type *types[COLS] = {&type_bigint, &type_varchar, &type_double, &type_bigint};

	for (uint32_t c = 0; c < COLS; c++) {
		ck_assert_int_eq(vec_alloc(&s.cols[c], types[c], s.n + 1, &bx_arena, NULL), 0);
		ck_assert_int_eq(vec_alloc_valid(&s.cols[c], s.n + 1, &bx_arena, NULL), 0);
	}
	for (uint32_t i = 0; i < s.n; i++) {
		static const double doubles[] = {0.0, -0.0, 1.5, NAN, 2.5};
		s.cols[0].i64[i] = (int64_t)unit_below(r, range);
		s.cols[0].valid[i] = unit_below(r, 10) != 0;
		s.cols[1].str[i] = str_from(texts[unit_below(r, MIN(range, ARRAY_LEN(texts)))]);
		s.cols[1].valid[i] = unit_below(r, 10) != 0;
		s.cols[2].f64[i] = doubles[unit_below(r, ARRAY_LEN(doubles))];
		s.cols[2].valid[i] = unit_below(r, 10) != 0;
		s.cols[3].i64[i] = i;
	}
	return s;
}

/* 1, 0, or -1: not known. */
static int equal(const struct side *l, uint32_t i, const struct side *r, uint32_t k, uint32_t col, bool null_safe)
{
	bool ln = !l->cols[col].valid[i], rn = !r->cols[col].valid[k];
	int is;

	if (ln || rn)
		return null_safe ? ln && rn : -1;
	if (col == 1)
		is = str_eq(l->cols[1].str[i], r->cols[1].str[k]);
	else if (col == 2) {
		double a = l->cols[2].f64[i], b = r->cols[2].f64[k];
		is = a == b || (null_safe && isnan(a) && isnan(b));
	} else {
		is = l->cols[col].i64[i] == r->cols[col].i64[k];
	}
	return is;
}

struct model {
	struct side l, r;
	uint32_t keys[3], key_n;
	bool null_safe[3], is_in; /* the last key */
	bool has_where;           /* left.0 <= right.3 % 5 + 1 */
};

static int where_is(const struct model *m, uint32_t i, uint32_t k)
{
	if (!m->has_where)
		return 1;
	return m->l.cols[0].valid[i] ? m->l.cols[0].i64[i] <= m->r.cols[3].i64[k] % 5 + 1 : -1;
}

/* Do the rows match? -1: not known, where a MARK join cares. */
static int match(const struct model *m, uint32_t i, uint32_t k)
{
	int is = where_is(m, i, k);

	for (uint32_t c = 0; c < m->key_n; c++) {
		int eq = equal(&m->l, i, &m->r, k, m->keys[c], m->null_safe[c]);
		bool in = m->is_in && c + 1 == m->key_n;
		if (eq == 0 || (eq < 0 && !in))
			return 0;
		if (eq < 0 && is)
			is = -1;
	}
	return is;
}

static void show(const struct side *s, uint32_t i, struct buf *out)
{
	for (uint32_t c = 0; c < COLS; c++) {
		buf_addc(out, ' ');
		if (i == UINT32_MAX || !s->cols[c].valid[i])
			buf_addc(out, '-');
		else
			vec_format(&s->cols[c], i, out);
	}
}

static void pair(const struct model *m, uint32_t i, uint32_t k, struct buf *out)
{
	size_t from = out->len;

	show(&m->l, i, out);
	show(&m->r, k, out);
	out->data[from] = '|';
}

/* swapped: INNER and RIGHT in the order of the right. */
static void loops(const struct model *m, enum plan_join kind, bool swapped, struct buf *out)
{
	bool *matched = calloc(m->r.n + 1, 1);

	buf_init(out, 1 << 30);
	for (uint32_t k = 0; swapped && k < m->r.n; k++) {
		bool any = false;
		for (uint32_t i = 0; i < m->l.n; i++) {
			if (match(m, i, k) != 1)
				continue;
			pair(m, i, k, out);
			any = true;
		}
		if (!any && kind == PJ_RIGHT)
			pair(m, UINT32_MAX, k, out);
	}
	for (uint32_t i = 0; !swapped && i < m->l.n; i++) {
		uint32_t found = 0;
		bool unknown = false;
		size_t from;
		for (uint32_t k = 0; k < m->r.n; k++) {
			int is = match(m, i, k);
			unknown = unknown || is < 0;
			if (is != 1)
				continue;
			found++;
			matched[k] = true;
			if (kind <= PJ_FULL || kind == PJ_SINGLE)
				pair(m, i, k, out);
		}
		if (kind == PJ_SINGLE && found > 1) {
			buf_clear(out);
			buf_adds(out, "!line 3:9: the subquery gives more than one row");
			break;
		}
		if (!found && (kind == PJ_LEFT || kind == PJ_FULL || kind == PJ_SINGLE))
			pair(m, i, UINT32_MAX, out);
		if (kind == PJ_MARK || (kind == PJ_SEMI && found) || (kind == PJ_ANTI && !found)) {
			from = out->len;
			show(&m->l, i, out);
			out->data[from] = '|';
		}
		if (kind == PJ_MARK)
			buf_adds(out, found ? " true" : unknown ? " -" : " false");
	}
	for (uint32_t k = 0; !swapped && k < m->r.n && (kind == PJ_RIGHT || kind == PJ_FULL); k++) {
		if (!matched[k])
			pair(m, UINT32_MAX, k, out);
	}
	buf_addc(out, '\0');
	free(matched);
}

/* ---- plans ---------------------------------------------------------------------------------------------- */

static struct plan *side_plan(const struct side *s, bool as_dict)
{
	struct plan *p = bx_values(s->n, COLS, s->cols);
	struct bx *exprs[COLS];
	const struct type *types[COLS];

	if (!as_dict)
		return p;
	/* Through a concatenation nothing changes but the memory that texts lie in. */
	for (uint32_t c = 0; c < COLS; c++) {
		types[c] = s->cols[c].type;
		exprs[c] = bx_column(c, types[c]);
	}
	exprs[1] = bx_call("||", BX_ARGS(exprs[1], bx_text("")));
	p = bx_plan(PLAN_PROJECT, p, COLS, types);
	p->exprs = arena_array(&bx_arena, struct bx *, COLS);
	memcpy(p->exprs, exprs, sizeof exprs);
	return p;
}

static struct plan *join_plan(const struct model *m, enum plan_join kind, bool as_dict)
{
	const struct type *types[2 * COLS + 1];
	uint32_t n = kind == PJ_SEMI || kind == PJ_ANTI ? COLS : kind == PJ_MARK ? COLS + 1 : 2 * COLS;

	for (uint32_t c = 0; c < 2 * COLS; c++)
		types[c] = m->l.cols[c % COLS].type;
	if (kind == PJ_MARK)
		types[COLS] = &type_boolean;
	struct plan *p = bx_plan(PLAN_JOIN, side_plan(&m->l, as_dict), n, types);
	p->children[1] = side_plan(&m->r, as_dict);
	p->child_count = 2;
	p->join = kind;
	p->pos = (struct pos){3, 9};
	p->join_key_count = m->key_n;
	p->join_keys = arena_zarray(&bx_arena, struct plan_join_key, m->key_n + 1);
	for (uint32_t k = 0; k < m->key_n; k++)
		p->join_keys[k] = (struct plan_join_key){
			.left = bx_column(m->keys[k], types[m->keys[k]]),
			.right = bx_column(m->keys[k], types[m->keys[k]]),
			.null_safe = m->null_safe[k],
			.is_in = m->is_in && k + 1 == m->key_n,
		};
	if (m->has_where)
		p->where = bx_call("<=", BX_ARGS(bx_column(0, &type_bigint),
						 bx_call("+", BX_ARGS(bx_call("%", BX_ARGS(bx_column(COLS + 3, &type_bigint),
											   bx_int(5))),
								      bx_int(1)))));
	return p;
}

static void compare(const struct model *m, enum plan_join kind, size_t memory, const char *what, uint32_t round,
		    const struct unit_rng *r)
{
	bool holds_left = kind == PJ_INNER || kind == PJ_RIGHT;
	bool can_turn = holds_left || (kind != PJ_FULL && m->key_n && !m->is_in);

	for (int how = 0; how < (can_turn ? 4 : 2); how++) {
		struct plan *p = join_plan(m, kind, how & 1);
		struct buf want, got;
		p->build_left = how & 2 && holds_left;
		p->left_first = how & 2 && !holds_left;
		loops(m, kind, p->build_left, &want);
		run(p, memory, &got);
		if (strcmp(want.data, got.data) != 0) {
			size_t at = 0;
			while (want.data[at] && want.data[at] == got.data[at])
				at++;
			size_t from = at > 80 ? at - 80 : 0;
			unit_assert(r, false, "%s, kind %d, round %u, how %d, %u x %u rows, %u keys %s %s: at %zu\nwant %.200s\ngot  %.200s", what, kind,
				     round, how, m->l.n, m->r.n, m->key_n, m->has_where ? "where" : "",
				     m->is_in ? "in" : "", at, want.data + from, got.data + from);
		}
		buf_release(&want);
		buf_release(&got);
	}
}

static struct model random_model(struct unit_rng *r, uint32_t max)
{
	struct model m = {0};
	uint64_t range = 1 + unit_below(r, 3 * max);

	m.l = random_side(r, unit_below(r, max), range);
	m.r = random_side(r, unit_below(r, 4) ? unit_below(r, max) : 0, range);
	m.key_n = (uint32_t)unit_below(r, 4);
	for (uint32_t k = 0; k < m.key_n; k++) {
		m.keys[k] = (uint32_t)unit_below(r, 3);
		m.null_safe[k] = unit_below(r, 4) == 0;
	}
	m.has_where = unit_below(r, 2);
	return m;
}

START_TEST(every_kind_is_nested_loops)
{
	struct unit_rng r = unit_rng();

	for (uint32_t round = 0; round < 400; round++) {
		struct model m = random_model(&r, round % 2 ? 12 : 120);
		for (enum plan_join kind = PJ_INNER; kind <= PJ_SINGLE; kind++) {
			compare(&m, kind, MEMORY, "plain", round, &r);
			if (kind != PJ_MARK || !m.key_n)
				continue;
			m.is_in = true;
			m.null_safe[m.key_n - 1] = false;
			compare(&m, kind, MEMORY, "in", round, &r);
			m.is_in = false;
		}
		arena_reset(&bx_arena);
	}
}
END_TEST

/* More than a batch on both sides, many matches a row, and more matches a row than a batch has. */
START_TEST(many_rows)
{
	struct unit_rng r = unit_rng();

	for (uint32_t round = 0; round < 12; round++) {
		struct model m = {.key_n = 1, .keys = {round % 3}, .has_where = round % 4 > 1};
		uint32_t range = round % 3 == 0 ? 5000 : 4;
		m.l = random_side(&r, round % 3 == 0 ? 4000 : 100, range);
		m.r = random_side(&r, 4100, range);
		for (enum plan_join kind = PJ_INNER; kind <= PJ_SINGLE; kind++)
			compare(&m, kind, MEMORY, "many", round, &r);
		arena_reset(&bx_arena);
	}
}
END_TEST

/* More than the memory takes gives the same rows in the same order; what cannot be cut up says so. */
START_TEST(large_sides_go_to_files)
{
	struct unit_rng r = unit_rng();

	for (uint32_t round = 0; round < 2; round++) {
		struct model m = {.key_n = 1 + round % 2, .keys = {0, 1}, .null_safe = {false, true}, .has_where = round % 2};
		m.l = random_side(&r, 12000, 25000);
		m.r = random_side(&r, 40000, 25000);
		for (enum plan_join kind = PJ_INNER; kind <= PJ_SINGLE; kind++) {
			for (int turned = 0; turned < 2; turned++) {
				struct plan *p = join_plan(&m, kind, turned);
				struct buf want, got;
				p->build_left = turned && (kind == PJ_INNER || kind == PJ_RIGHT);
				p->left_first = turned && kind >= PJ_SEMI;
				run(p, MEMORY, &want);
				run(p, (size_t)7 << 20, &got);
				unit_assert(&r, !strcmp(want.data, got.data), "kind %d, round %u, turned %d: %.100s", kind,
					    round, turned, got.data);
				buf_release(&want);
				buf_release(&got);
			}
		}
		struct plan *p = join_plan(&m, PJ_INNER, false);
		struct buf got;
		p->join_key_count = 0;
		run(p, (size_t)1 << 20, &got);
		unit_assert(&r, strstr(got.data, "memory") != NULL, "%.100s", got.data);
		buf_release(&got);
		arena_reset(&bx_arena);
	}
}
END_TEST

int main(void)
{
	const TTest *tests[] = {every_kind_is_nested_loops, many_rows, large_sides_go_to_files};
	return unit_main("join", 300, tests, ARRAY_LEN(tests));
}
