/*
 * bx: bound expressions and plans made by hand, for tests of the executor without a binder.
 */
#ifndef TIDE_TEST_BX_H
#define TIDE_TEST_BX_H

#include "tests/unit/unit.h"
#include "query/op.h"

#define BX_UNUSED __attribute__((unused)) static

static struct arena bx_arena; /* unlimited; of the test's process */

BX_UNUSED struct bx *bx_make(enum bx_kind kind, const struct type *t, uint32_t argc, struct bx **args)
{
	struct bx *x = arena_new(&bx_arena, struct bx);
	*x = (struct bx){.kind = kind, .type = t, .argc = argc, .pos = {1, 7}};
	x->args = arena_array(&bx_arena, struct bx *, argc + 1);
	for (uint32_t i = 0; i < argc; i++)
		x->args[i] = args[i];
	return x;
}

#define BX_ARGS(...) (sizeof((struct bx *[]){__VA_ARGS__}) / sizeof(struct bx *)), (struct bx *[]){__VA_ARGS__}

BX_UNUSED struct bx *bx_null(const struct type *t)
{
	struct bx *x = bx_make(BX_CONST, t, 0, NULL);
	ck_assert_int_eq(vec_const_null(&x->value, t, &bx_arena, NULL), 0);
	return x;
}

BX_UNUSED struct bx *bx_const(const struct type *t)
{
	struct bx *x = bx_make(BX_CONST, t, 0, NULL);
	ck_assert_int_eq(vec_alloc(&x->value, t, 1, &bx_arena, NULL), 0);
	x->value.form = VEC_CONST;
	return x;
}

BX_UNUSED struct bx *bx_int(int64_t v)
{
	struct bx *x = bx_const(&type_bigint);
	x->value.i64[0] = v;
	return x;
}

BX_UNUSED struct bx *bx_bool(bool v)
{
	struct bx *x = bx_const(&type_boolean);
	x->value.b8[0] = v;
	return x;
}

BX_UNUSED struct bx *bx_text(const char *v)
{
	struct bx *x = bx_const(&type_varchar);
	x->value.str[0] = str_from(v);
	return x;
}

BX_UNUSED struct bx *bx_column(uint32_t i, const struct type *t)
{
	struct bx *x = bx_make(BX_COLUMN, t, 0, NULL);
	x->index = i;
	return x;
}

BX_UNUSED struct func_match bx_resolve(const char *name, uint32_t argc, struct bx **args)
{
	const struct type *types[8];
	bool literal[8] = {false};
	struct func_match m;
	struct err e = {0};

	for (uint32_t i = 0; i < argc; i++)
		types[i] = args[i]->type;
	int rc = func_resolve(&bx_arena, str_from(name), types, literal, argc, &m, &e);
	ck_assert_msg(rc == 0, "%s: %s", name, e.text);
	return m;
}

BX_UNUSED struct bx *bx_call(const char *name, uint32_t argc, struct bx **args)
{
	struct func_match m = bx_resolve(name, argc, args);
	struct bx *x = bx_make(BX_CALL, m.ret, argc, args);
	x->func = m.func;
	for (uint32_t i = 0; i < argc; i++)
		ck_assert(type_equal(args[i]->type, m.arg_types[i]));
	return x;
}

/* ---- vectors ---------------------------------------------------------------------------------- */

#define NIL INT64_MIN /* stands for NULL in lists of integers */

BX_UNUSED struct vec bx_ints(uint32_t n, const int64_t *v)
{
	struct vec r;
	ck_assert_int_eq(vec_alloc(&r, &type_bigint, n, &bx_arena, NULL), 0);
	ck_assert_int_eq(vec_alloc_valid(&r, n, &bx_arena, NULL), 0);
	for (uint32_t i = 0; i < n; i++) {
		r.valid[i] = v[i] != NIL;
		r.i64[i] = v[i] == NIL ? 0 : v[i];
	}
	return r;
}
#define BX_INTS(...)                                                                               \
	bx_ints(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[]){__VA_ARGS__})

BX_UNUSED struct vec bx_texts(uint32_t n, const char *const *v)
{
	struct vec r;
	ck_assert_int_eq(vec_alloc(&r, &type_varchar, n, &bx_arena, NULL), 0);
	ck_assert_int_eq(vec_alloc_valid(&r, n, &bx_arena, NULL), 0);
	for (uint32_t i = 0; i < n; i++) {
		r.valid[i] = v[i] != NULL;
		r.str[i] = v[i] ? str_from(v[i]) : (struct str){"", 0};
	}
	return r;
}
#define BX_TEXTS(...)                                                                              \
	bx_texts(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

/* v by way of codes into itself. */
BX_UNUSED struct vec bx_dict(const struct vec *v, uint32_t dict_n, uint32_t n, const uint32_t *codes)
{
	struct vec *d = arena_new(&bx_arena, struct vec);
	uint32_t *c = arena_array(&bx_arena, uint32_t, n);
	*d = *v;
	memcpy(c, codes, n * sizeof *c);
	return (struct vec){.type = v->type, .form = VEC_DICT, .codes = c, .dict = d, .dict_n = dict_n};
}

/* "1 2 - 4": the values of a vector as text, "-" for NULL. */
BX_UNUSED const char *bx_show(const struct vec *v, uint32_t n)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	for (uint32_t i = 0; i < n; i++) {
		if (i)
			buf_addc(&b, ' ');
		if (vec_is_null(v, i))
			buf_addc(&b, '-');
		else
			vec_format(v, i, &b);
	}
	char *z = (char *)arena_str(&bx_arena, buf_str(&b)).ptr;
	buf_release(&b);
	return z;
}

/* ---- plans -------------------------------------------------------------------------------------- */

BX_UNUSED struct plan *bx_plan(enum plan_kind kind, struct plan *child, uint32_t cols,
			       const struct type *const *types)
{
	struct plan *p = arena_new(&bx_arena, struct plan);
	p->kind = kind;
	p->col_count = cols;
	p->cols = arena_zarray(&bx_arena, struct plan_col, cols + 1);
	for (uint32_t i = 0; i < cols; i++)
		p->cols[i] = (struct plan_col){STR_LIT("c"), types[i]};
	p->children = arena_zarray(&bx_arena, struct plan *, 2);
	p->children[0] = child;
	p->child_count = child != NULL;
	p->limit = UINT64_MAX;
	return p;
}

BX_UNUSED struct plan *bx_values(uint32_t rows, uint32_t cols, const struct vec *v)
{
	const struct type *types[8];
	for (uint32_t i = 0; i < cols; i++)
		types[i] = v[i].type;
	struct plan *p = bx_plan(PLAN_VALUES, NULL, cols, types);
	p->values = arena_array(&bx_arena, struct vec, cols + 1);
	memcpy(p->values, v, cols * sizeof *v);
	p->row_count = rows;
	return p;
}

/* The same columns as the child. */
BX_UNUSED struct plan *bx_over(enum plan_kind kind, struct plan *child)
{
	const struct type *types[8];
	for (uint32_t i = 0; i < child->col_count; i++)
		types[i] = child->cols[i].type;
	return bx_plan(kind, child, child->col_count, types);
}

#endif
