/*
 * func_array: arrays. Where a result's elements all come from one argument, the kernel only picks
 * their places and gathers once (struct picks); where they come from several, it builds.
 *
 * Elements are compared as GROUP BY does: NULL equals NULL, unless a function says otherwise.
 */
#include "query/func_array.h"
#include "query/func_time.h"

#include <stdlib.h>

#define GROUP "Array"


/* ---- a set of elements -------------------------------------------------------------------------- */

struct set {
	struct slot {
		const struct vec *v; /* NULL: free */
		uint32_t at;
	} *slots;
	uint32_t size; /* a power of two, at least twice the elements */
};

/* Empty, with room for n elements. */
static int set_clear(struct set *s, uint32_t n, struct arena *a, struct err *e)
{
	uint32_t size = 16;

	while (size < 2 * (uint64_t)n && size < UINT32_C(1) << 31)
		size *= 2;
	if (size > s->size) {
		s->slots = arena_array(a, struct slot, size);
		s->size = size;
	}
	if (!s->slots)
		return func_no_memory(e);
	memset(s->slots, 0, s->size * sizeof(*s->slots));
	return 0;
}

static struct slot *set_find(struct set *s, const struct vec *v, uint32_t at)
{
	uint32_t h = (uint32_t)vec_hash(v, at, 0) & (s->size - 1);

	while (s->slots[h].v && !vec_same(s->slots[h].v, s->slots[h].at, v, at))
		h = (h + 1) & (s->size - 1);
	return &s->slots[h];
}

static bool set_has(struct set *s, const struct vec *v, uint32_t at)
{
	return set_find(s, v, at)->v != NULL;
}

/* true: it was not in yet. */
static bool set_add(struct set *s, const struct vec *v, uint32_t at)
{
	struct slot *slot = set_find(s, v, at);

	if (slot->v)
		return false;
	*slot = (struct slot){v, at};
	return true;
}

/* ---- parts of one array ------------------------------------------------------------------------- */

static int distinct_row(struct picks *p, uint32_t i, struct vec_list l, struct err *e)
{
	const struct vec *child = p->c->args[0].child;
	struct set seen = {NULL, 0};
	int rc = set_clear(&seen, l.len, p->c->arena, e);

	for (uint32_t k = l.off; rc >= 0 && k < l.off + l.len; k++)
		if (set_add(&seen, child, k))
			rc = pick(p, k, e);
	return rc;
}
PICKING(array_distinct, distinct_row)

/* Elements of the first that are (or are not) in the second, each once. */
static int compare_sets(struct picks *p, uint32_t i, struct vec_list l, bool want, struct err *e)
{
	const struct vec *x = p->c->args[0].child, *y = p->c->args[1].child;
	struct vec_list m = arg_list(p->c, 1, i);
	struct set other = {NULL, 0}, seen = {NULL, 0};
	int rc = set_clear(&other, m.len, p->c->arena, e);

	if (rc >= 0)
		rc = set_clear(&seen, l.len, p->c->arena, e);
	for (uint32_t k = m.off; rc >= 0 && k < m.off + m.len; k++)
		set_add(&other, y, k);
	for (uint32_t k = l.off; rc >= 0 && k < l.off + l.len; k++)
		if (set_has(&other, x, k) == want && set_add(&seen, x, k))
			rc = pick(p, k, e);
	return rc;
}

static int intersect_row(struct picks *p, uint32_t i, struct vec_list l, struct err *e)
{
	return compare_sets(p, i, l, true, e);
}
static int except_row(struct picks *p, uint32_t i, struct vec_list l, struct err *e)
{
	return compare_sets(p, i, l, false, e);
}
PICKING(array_intersect, intersect_row)
PICKING(array_except, except_row)

static int remove_row(struct picks *p, uint32_t i, struct vec_list l, struct err *e)
{
	const struct vec *child = p->c->args[0].child;
	int rc = 0;

	for (uint32_t k = l.off; rc >= 0 && k < l.off + l.len; k++)
		if (!vec_same(child, k, &p->c->args[1], i))
			rc = pick(p, k, e);
	return rc;
}
PICKING(array_remove, remove_row)

static int reverse_row(struct picks *p, uint32_t i, struct vec_list l, struct err *e)
{
	int rc = 0;

	for (uint32_t k = l.len; rc >= 0 && k-- > 0;)
		rc = pick(p, l.off + k, e);
	return rc;
}
PICKING(array_reverse, reverse_row)

/* NULLs last; ties stay in order. */
static int by_value(const void *a, const void *b, void *child)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	bool xn = vec_is_null(child, x), yn = vec_is_null(child, y);
	int c = xn || yn ? xn - yn : vec_cmp(child, x, child, y);

	return c ? c : (x > y) - (x < y);
}

static int sort_row(struct picks *p, uint32_t i, struct vec_list l, struct err *e)
{
	int rc = 0;

	for (uint32_t k = 0; rc >= 0 && k < l.len; k++)
		rc = pick(p, l.off + k, e);
	if (rc >= 0)
		qsort_r(p->sel + p->first, l.len, sizeof(*p->sel), by_value, p->c->args[0].child);
	return rc;
}
PICKING(array_sort, sort_row)

static int shuffle_row(struct picks *p, uint32_t i, struct vec_list l, struct err *e)
{
	uint64_t *s = p->c->exec->random_state;
	int rc = 0;

	for (uint32_t k = 0; rc >= 0 && k < l.len; k++)
		rc = pick(p, l.off + k, e);
	for (uint32_t k = l.len; rc >= 0 && k > 1; k--) {
		uint32_t *v = p->sel + p->first, swap = v[k - 1], j;

		s[0] = hash_u64(s[0] + UINT64_C(0x9e3779b97f4a7c15));
		j = (uint32_t)(s[0] % k);
		v[k - 1] = v[j];
		v[j] = swap;
	}
	return rc;
}
PICKING(shuffle, shuffle_row)

static int slice_row(struct picks *p, uint32_t i, struct vec_list l, struct err *e)
{
	int64_t start = arg_i64(p->c, 1, i), len = arg_i64(p->c, 2, i);
	int rc = 0;

	if (start == 0)
		return err_set(e, -EINVAL, "slice: positions count from 1");
	if (len < 0)
		return err_set(e, -EINVAL, "slice: the length must not be negative");
	if (start < 0)
		start = start < -(int64_t)l.len ? (int64_t)l.len + 1 : start + l.len + 1;
	for (int64_t k = start; rc >= 0 && k <= l.len && k - start < len; k++)
		rc = pick(p, l.off + (uint32_t)k - 1, e);
	return rc;
}
PICKING(slice, slice_row)

/* ---- one element -------------------------------------------------------------------------------- */

/* The element at an index, or NULL beyond the end, or (strict) an error. */
static int element(struct fn_call *c, struct vec *ret, bool strict, struct err *e)
{
	uint32_t *places = arena_array(c->arena, uint32_t, c->n + 1);

	if (!places)
		return func_no_memory(e);
	for (uint32_t i = 0; i < c->n; i++) {
		struct vec_list l = arg_list(c, 0, i);
		int64_t at;

		places[i] = ELEM_NONE;
		if (!row_ok(c, i))
			continue;
		at = arg_i64(c, 1, i);
		if (at == 0 || (strict && (at < 0 || at > l.len)))
			return err_set(e, -EINVAL, "array index %lld is out of range: the array has %u elements, "
				       "counted from 1", (long long)at, l.len);
		if (at < 0)
			at += (int64_t)l.len + 1;
		if (at >= 1 && at <= l.len)
			places[i] = l.off + (uint32_t)at - 1;
	}
	return gather_places(c->args[0].child, places, c->n, c->arena, ret, e);
}

static int element_at(struct fn_call *c, struct vec *ret, struct err *e)
{
	return element(c, ret, false, e);
}

static int subscript(struct fn_call *c, struct vec *ret, struct err *e)
{
	return element(c, ret, true, e);
}

static int extreme(struct fn_call *c, struct vec *ret, int sign, struct err *e)
{
	uint32_t *places = arena_array(c->arena, uint32_t, c->n + 1);
	const struct vec *child = c->args[0].child;

	if (!places)
		return func_no_memory(e);
	for (uint32_t i = 0; i < c->n; i++) {
		struct vec_list l = row_ok(c, i) ? arg_list(c, 0, i) : (struct vec_list){0, 0};

		places[i] = l.len ? l.off : ELEM_NONE;
		for (uint32_t k = l.off; k < l.off + l.len && places[i] != ELEM_NONE; k++) {
			if (vec_is_null(child, k))
				places[i] = ELEM_NONE;
			else if (vec_cmp(child, k, child, places[i]) * sign > 0)
				places[i] = k;
		}
	}
	return gather_places(child, places, c->n, c->arena, ret, e);
}

static int array_max(struct fn_call *c, struct vec *ret, struct err *e)
{
	return extreme(c, ret, 1, e);
}

static int array_min(struct fn_call *c, struct vec *ret, struct err *e)
{
	return extreme(c, ret, -1, e);
}

/* ---- questions ---------------------------------------------------------------------------------- */

static int cardinality(struct fn_call *c, struct vec *ret, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++)
		ret->i64[i] = arg_list(c, 0, i).len;
	return 0;
}

static int array_position(struct fn_call *c, struct vec *ret, struct err *e)
{
	for (uint32_t i = 0; i < c->n; i++) {
		struct vec_list l = arg_list(c, 0, i);

		ret->i64[i] = 0;
		for (uint32_t k = 0; row_ok(c, i) && k < l.len && !ret->i64[i]; k++)
			if (vec_same(c->args[0].child, l.off + k, &c->args[1], i))
				ret->i64[i] = k + 1;
	}
	return 0;
}

/* TRUE where x is in; NULL where it is not but a NULL might be it. */
static int contains(struct fn_call *c, struct vec *ret, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		struct vec_list l = arg_list(c, 0, i);
		bool unknown = false;

		ret->b8[i] = 0;
		for (uint32_t k = l.off; row_ok(c, i) && k < l.off + l.len && !ret->b8[i]; k++) {
			unknown |= vec_is_null(c->args[0].child, k);
			ret->b8[i] = vec_same(c->args[0].child, k, &c->args[1], i);
		}
		if (unknown && !ret->b8[i])
			rc = ret_set_null(c, ret, i, e);
	}
	return rc;
}

static int arrays_overlap(struct fn_call *c, struct vec *ret, struct err *e)
{
	const struct vec *x = c->args[0].child, *y = c->args[1].child;
	struct set set = {NULL, 0};
	int rc = 0;

	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		struct vec_list l = arg_list(c, 0, i), m = arg_list(c, 1, i);
		bool nulls = false;

		ret->b8[i] = 0;
		if (!row_ok(c, i))
			continue;
		rc = set_clear(&set, l.len, c->arena, e);
		for (uint32_t k = l.off; rc >= 0 && k < l.off + l.len; k++)
			if (vec_is_null(x, k))
				nulls = true;
			else
				set_add(&set, x, k);
		for (uint32_t k = m.off; rc >= 0 && k < m.off + m.len && !ret->b8[i]; k++)
			if (vec_is_null(y, k))
				nulls = true;
			else
				ret->b8[i] = set_has(&set, y, k);
		if (rc >= 0 && nulls && !ret->b8[i])
			rc = ret_set_null(c, ret, i, e);
	}
	return rc;
}

static int array_join(struct fn_call *c, struct vec *ret, struct err *e)
{
	const struct vec *child = c->args[0].child;
	struct buf b;
	int rc = 0;

	buf_init(&b, SIZE_MAX / 2);
	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		struct vec_list l = arg_list(c, 0, i);
		bool first = true;

		buf_clear(&b);
		for (uint32_t k = l.off; row_ok(c, i) && k < l.off + l.len; k++) {
			bool null = vec_is_null(child, k);

			if (null && c->argc < 3)
				continue;
			if (!first)
				buf_add_str(&b, arg_str(c, 1, i));
			first = false;
			if (null)
				buf_add_str(&b, arg_str(c, 2, i));
			else
				vec_format(child, k, &b);
		}
		ret->str[i] = b.rc ? (struct str){NULL, 0} : b.len ? arena_str(c->arena, buf_str(&b)) : STR_LIT("");
		rc = ret->str[i].ptr ? 0 : func_no_memory(e);
	}
	buf_release(&b);
	return rc;
}

/* ---- new arrays --------------------------------------------------------------------------------- */

static int add_elements(struct vec_builder *b, const struct vec *v, struct vec_list l, struct err *e)
{
	int rc = 0;

	for (uint32_t k = l.off; rc >= 0 && k < l.off + l.len; k++)
		rc = vb_add(vb_elem(b), v->child, k, e);
	return rc;
}

/* Arguments of the result's type are concatenated; others are elements. */
static int array_concat(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct vec_builder b;
	int rc = vb_init(&b, c->ret_type, c->n, c->arena, e);

	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		uint32_t before = vb_elem(&b)->n;

		if (!row_ok(c, i)) {
			rc = vb_add_null(&b, e);
			continue;
		}
		for (uint32_t k = 0; rc >= 0 && k < c->argc; k++)
			rc = type_equal(c->args[k].type, c->ret_type)
				     ? add_elements(&b, &c->args[k], arg_list(c, k, i), e)
				     : vb_add(vb_elem(&b), &c->args[k], i, e);
		if (rc >= 0)
			rc = vb_add_list(&b, vb_elem(&b)->n - before, e);
	}
	if (rc >= 0)
		vb_finish(&b, ret);
	return rc;
}

static int array_union(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct set seen = {NULL, 0};
	struct vec_builder b;
	int rc = vb_init(&b, c->ret_type, c->n, c->arena, e);

	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		uint32_t before = vb_elem(&b)->n;

		if (!row_ok(c, i)) {
			rc = vb_add_null(&b, e);
			continue;
		}
		rc = set_clear(&seen, arg_list(c, 0, i).len + arg_list(c, 1, i).len, c->arena, e);
		for (uint32_t k = 0; k < 2; k++) {
			struct vec_list l = arg_list(c, k, i);

			for (uint32_t j = l.off; rc >= 0 && j < l.off + l.len; j++)
				if (set_add(&seen, c->args[k].child, j))
					rc = vb_add(vb_elem(&b), c->args[k].child, j, e);
		}
		if (rc >= 0)
			rc = vb_add_list(&b, vb_elem(&b)->n - before, e);
	}
	if (rc >= 0)
		vb_finish(&b, ret);
	return rc;
}

static int repeat(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct vec_builder b;
	int rc = vb_init(&b, c->ret_type, c->n, c->arena, e);

	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		int64_t n;

		if (vec_is_null(&c->args[1], i)) {
			rc = vb_add_null(&b, e);
			continue;
		}
		n = arg_i64(c, 1, i);
		if (n < 0 || n > ELEMENTS_MAX)
			return err_set(e, -EINVAL, "repeat: the count must be between 0 and %d", ELEMENTS_MAX);
		for (int64_t k = 0; rc >= 0 && k < n; k++)
			rc = vb_add(vb_elem(&b), &c->args[0], i, e);
		if (rc >= 0)
			rc = vb_add_list(&b, (uint32_t)n, e);
	}
	if (rc >= 0)
		vb_finish(&b, ret);
	return rc;
}

/* Start and step k times; months are counted from the start, so that the day does not wander. */
static int sequence_value(enum type_kind kind, bool months, int64_t start, int64_t step, int64_t k,
			  int64_t *ret)
{
	int64_t by;

	/* The step k times may leave 64 bits while the value does not. */
	if (!months)
		return __builtin_add_overflow(__extension__(__int128)step * k, start, ret) ? -ERANGE : 0;
	if (__builtin_mul_overflow(step, k, &by))
		return -ERANGE;
	return kind == TY_DATE ? date_add_months(start, by, ret) : timestamp_add_months(start, by, ret);
}

static int sequence(struct fn_call *c, struct vec *ret, struct err *e)
{
	enum type_kind kind = c->args[0].type->kind;
	bool months = c->argc > 2 && c->args[2].type->kind == TY_INTERVAL_YM;
	struct vec_builder b;
	int rc = vb_init(&b, c->ret_type, c->n, c->arena, e);

	for (uint32_t i = 0; rc >= 0 && i < c->n; i++) {
		int64_t start, stop, step, v, k = 0;

		if (!row_ok(c, i)) {
			rc = vb_add_null(&b, e);
			continue;
		}
		start = arg_i64(c, 0, i);
		stop = arg_i64(c, 1, i);
		step = kind == TY_TIMESTAMP ? NS_PER_DAY : kind == TY_BIGINT && stop < start ? -1 : 1;
		if (c->argc > 2)
			step = arg_i64(c, 2, i);
		if (c->argc > 2 && kind == TY_DATE && !months) {
			if (step % NS_PER_DAY)
				return err_set(e, -EINVAL, "sequence: the step of dates must be whole days");
			step /= NS_PER_DAY;
		}
		if (step == 0 || (start < stop && step < 0) || (start > stop && step > 0))
			return err_set(e, -EINVAL, "sequence: the step must lead from the start to the stop");
		for (; rc >= 0; k++) {
			if (sequence_value(kind, months, start, step, k, &v) < 0 ||
			    (step > 0 ? v > stop : v < stop))
				break;
			if (k == ELEMENTS_MAX)
				return err_set(e, -EINVAL, "sequence: more than %d elements", ELEMENTS_MAX);
			rc = vb_add_i64(vb_elem(&b), v, e);
		}
		if (rc >= 0)
			rc = vb_add_list(&b, (uint32_t)k, e);
	}
	if (rc >= 0)
		vb_finish(&b, ret);
	return rc;
}

/* zip(array(A), array(B), ...) -> array(row(A, B, ...)) */
static int zip_resolve(struct arena *a, const struct func *f, const struct type *const *args, uint32_t argc,
		       struct func_match *ret, struct err *e)
{
	struct type_field *fields = arena_zarray(a, struct type_field, MAX(argc, 1));
	const struct type **types = arena_zarray(a, const struct type *, MAX(argc, 1));
	const struct type *row;

	if (!fields || !types)
		return -ENOMEM;
	if (argc < 2)
		return -1;
	for (uint32_t k = 0; k < argc; k++) {
		if (args[k]->kind != TY_ARRAY)
			return -1;
		fields[k].type = args[k]->elem;
		types[k] = args[k];
	}
	row = type_row(a, fields, argc);
	*ret = (struct func_match){f, types, row ? type_array(a, row) : NULL};
	return ret->ret ? 0 : -ENOMEM;
}

static int zip_row(struct fn_call *c, uint32_t i, struct vec_builder *b, struct err *e)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < c->argc; k++)
		n = MAX(n, arg_list(c, k, i).len);
	for (uint32_t j = 0; j < n; j++) {
		int rc = 0;

		for (uint32_t k = 0; rc >= 0 && k < c->argc; k++) {
			struct vec_list l = arg_list(c, k, i);
			struct vec_builder *field = vb_field(vb_elem(b), k);

			rc = j < l.len ? vb_add(field, c->args[k].child, l.off + j, e) : vb_add_null(field, e);
		}
		if (rc >= 0)
			rc = vb_add_row(vb_elem(b), e);
		if (rc < 0)
			return rc;
	}
	return vb_add_list(b, n, e);
}

static int zip(struct fn_call *c, struct vec *ret, struct err *e)
{
	struct vec_builder b;
	int rc = vb_init(&b, c->ret_type, c->n, c->arena, e);

	for (uint32_t i = 0; rc >= 0 && i < c->n; i++)
		rc = row_ok(c, i) ? zip_row(c, i, &b, e) : vb_add_null(&b, e);
	if (rc >= 0)
		vb_finish(&b, ret);
	return rc;
}

#define ARR "array(T)"
#define YM  "interval year to month"

const struct func func_rows_array[] = {
	OPERATOR("[]", "array(T), bigint", "T", subscript, "the element, counted from 1"),
	OPERATOR("||", "array(T), array(T)", ARR, array_concat, "one array after the other"),
	OPERATOR("||", "array(T), T", ARR, array_concat, "the array and one more element"),
	OPERATOR("||", "T, array(T)", ARR, array_concat, "an element and the array"),
	SCALAR("array_distinct", "array(T)", ARR, array_distinct, "without repetitions"),
	SCALAR("array_intersect", "array(T), array(T)", ARR, array_intersect, "elements of both, each once"),
	SCALAR("array_union", "array(T), array(T)", ARR, array_union, "elements of either, each once"),
	SCALAR("array_except", "array(T), array(T)", ARR, array_except,
	       "elements of the first that are not in the second, each once"),
	SCALAR("array_join", "array(T), varchar", "varchar", array_join,
	       "the elements as text, NULLs left out"),
	SCALAR("array_join", "array(T), varchar, varchar", "varchar", array_join,
	       "the elements as text, with a text for NULLs"),
	SCALAR("array_max", "array(T)", "T", array_max,
	       "the largest element; NULL where one is NULL or there is none"),
	SCALAR("array_min", "array(T)", "T", array_min,
	       "the smallest element; NULL where one is NULL or there is none"),
	SCALAR("array_position", "array(T), T", "bigint", array_position,
	       "the first place of a value, counted from 1; 0: none"),
	SCALAR("array_remove", "array(T), T", ARR, array_remove, "without all elements equal to a value"),
	SCALAR("array_sort", "array(T)", ARR, array_sort, "ascending, NULLs last"),
	SCALAR("arrays_overlap", "array(T), array(T)", "boolean", arrays_overlap,
	       "whether both share an element; NULL where they do not and one holds a NULL"),
	SCALAR("cardinality", "array(T)", "bigint", cardinality, "the number of elements"),
	SCALAR("concat", "array(T)...", ARR, array_concat, "the arrays one after the other"),
	SCALAR("contains", "array(T), T", "boolean", contains,
	       "whether the value is an element; NULL where it is not and a NULL is"),
	SCALAR("element_at", "array(T), bigint", "T", element_at,
	       "the element, counted from 1, negative from the end; NULL beyond; 0 is an error"),
	SCALAR_F("repeat", "T, bigint", ARR, repeat, FN_NULLS,
		 "an array of so many times the value, at most 10,000"),
	SCALAR("reverse", "array(T)", ARR, array_reverse, "backwards"),
	SCALAR("sequence", "bigint, bigint", "array(bigint)", sequence,
	       "from start to stop by 1 or -1, at most 10,000 elements"),
	SCALAR("sequence", "bigint, bigint, bigint", "array(bigint)", sequence,
	       "from start to stop by a step, at most 10,000 elements; a step that leads away is an error"),
	SCALAR("sequence", "timestamp, timestamp", "array(timestamp)", sequence,
	       "from start to stop by a day, at most 10,000 elements"),
	SCALAR("sequence", "timestamp, timestamp, interval", "array(timestamp)", sequence,
	       "from start to stop by a step, at most 10,000 elements; a step that leads away is an error"),
	SCALAR("sequence", "timestamp, timestamp, " YM, "array(timestamp)", sequence,
	       "from start to stop by a step, at most 10,000 elements; a step that leads away is an error"),
	SCALAR("sequence", "date, date", "array(date)", sequence,
	       "from start to stop by a day, at most 10,000 elements"),
	SCALAR("sequence", "date, date, interval", "array(date)", sequence,
	       "from start to stop by a step, at most 10,000 elements; a step that leads away is an error"),
	SCALAR("sequence", "date, date, " YM, "array(date)", sequence,
	       "from start to stop by a step, at most 10,000 elements; a step that leads away is an error"),
	SCALAR_F("shuffle", "array(T)", ARR, shuffle, FN_VOLATILE, "in random order"),
	SCALAR("slice", "array(T), bigint, bigint", ARR, slice,
	       "so many elements from a place on, counted from 1, negative from the end; 0 is an error"),
	{.name = "zip", .params = "array(T), array(U), ...", .ret = "array(row(T, U, ...))", .scalar = zip,
	 .resolve = zip_resolve, .group = GROUP,
	 .help = "rows of the first, second, ... elements; arrays that are shorter are padded with NULL"},
	FUNC_END,
};
