/*
 * The twin: rows by (series, time), and the rules of the data model.
 *
 * A row that was erased or has expired stays in the map, dead, until there are too many of them: so
 * a row that comes back can be told from one that never was.
 */
#include "tests/model/model.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- names and values ----------------------------------------------------------------------------- */

const char *const dim_names[DIMS] = {"host", "az", "rack", "Zone"};
const char *const measure_names[MEASURES] = {"cpu", "mem", "m 2"};

static const char *const dim_values[DIMS][7] = {
	{NULL, "h1", "h10", "h2", "H", "h,3", "h\xc3\xa9"},
	{NULL, "a", "b", "aa"},
	{NULL, "1", "2"},
	{NULL, "x=y"},
};

const char *dim_value(uint32_t dim, uint32_t i)
{
	return dim_values[dim][i];
}

uint32_t dim_count(uint32_t dim)
{
	static const uint32_t counts[DIMS] = {7, 4, 3, 2};
	return counts[dim];
}

/* Dimensions by the bytes of their names, absent first, then the measure name. */
int series_order_of(const struct m_series *a, const struct m_series *b)
{
	static const uint32_t by_name[DIMS] = {3, 1, 0, 2}; /* Zone, az, host, rack */

	for (uint32_t k = 0; k < DIMS; k++) {
		const char *x = dim_values[by_name[k]][a->dim[by_name[k]]];
		const char *y = dim_values[by_name[k]][b->dim[by_name[k]]];
		int c = x && y ? strcmp(x, y) : (x != NULL) - (y != NULL);
		if (c)
			return c;
	}
	return strcmp(measure_names[a->measure], measure_names[b->measure]);
}

static struct str texts[TEXTS];

/* Different texts all: numbers are compared where texts are meant. */
void texts_init(void)
{
	static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz,=\"\\' \xc3\xa9";
	uint64_t state = 42;

	for (uint32_t i = 0; i < TEXTS; i++) {
		size_t len = i % 48 == 47 ? 2000 + i * 41 : i % 12 == 11 ? 60 + i : i % 24;
		char *p = malloc(len + 8);
		size_t n = 0;
		while (n < len) {
			state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
			size_t at = (size_t)(state >> 33) % (sizeof alphabet - 2);
			p[n++] = alphabet[at];
			if (alphabet[at] == '\xc3')
				p[n++] = '\xa9';
		}
		if (i)
			n += (size_t)snprintf(p + n, 8, "%u", i);
		texts[i] = (struct str){p, n};
	}
}

struct str text_of(int64_t v, char buf[32])
{
	if (v >= 0 && v < TEXTS)
		return texts[v];
	snprintf(buf, 32, "v%lld", (long long)v);
	return str_from(buf);
}

/* Small ones often, so that equal values and NULLs alternate; sums of all stay exact. */
int64_t random_value(const struct m_col *c)
{
	if (c->type == COL_BOOLEAN)
		return (int64_t)rnd(2);
	if (c->is_wide)
		return chance(5) ? (chance(2) ? INT64_MAX : INT64_MIN) : (int64_t)(rnd(UINT64_MAX) - INT64_MAX);
	if (c->type == COL_VARCHAR)
		return (int64_t)rnd(chance(4) ? 100000 : chance(40) ? TEXTS : 40);
	int64_t v = (int64_t)rnd(chance(3) ? UINT64_C(1) << 28 : 100);
	return c->type == COL_TIMESTAMP ? v : v - 50;
}

int64_t number_of(const struct m_col *c, const struct col *col, uint32_t row)
{
	switch (c->type) {
	case COL_DOUBLE:
		return (int64_t)(col->f64[row] * 8);
	case COL_BOOLEAN:
		return col->b8[row];
	case COL_VARCHAR:
		for (int64_t i = 0; i < TEXTS; i++)
			if (str_eq(texts[i], col->str[row]))
				return i;
		char buf[32];
		snprintf(buf, sizeof buf, "%.*s", (int)MIN(col->str[row].len, (size_t)31), col->str[row].ptr);
		return strtoll(buf + 1, NULL, 10);
	default:
		return col->i64[row];
	}
}

bool same_value(const struct m_col *c, const struct col *col, uint32_t row, int64_t v)
{
	char buf[32];

	switch (c->type) {
	case COL_DOUBLE:
		return col->f64[row] == (double)v / 8;
	case COL_BOOLEAN:
		return col->b8[row] == v;
	case COL_VARCHAR:
		return str_eq(col->str[row], text_of(v, buf));
	default:
		return col->i64[row] == v;
	}
}

const char *show_value(const struct m_col *c, int64_t v, char buf[64])
{
	char text[32];
	struct str s;

	switch (c->type) {
	case COL_DOUBLE:
		snprintf(buf, 64, "%.17g", (double)v / 8);
		break;
	case COL_VARCHAR:
		s = text_of(v, text);
		snprintf(buf, 64, "'%.*s' (%zu bytes)", (int)MIN(s.len, (size_t)30), s.ptr, s.len);
		break;
	default:
		snprintf(buf, 64, "%lld", (long long)v);
	}
	return buf;
}

/* ---- the map --------------------------------------------------------------------------------------- */

/* The same name has another type in each table: such tiles do not fit there. */
static const struct m_col all_cols[COLS_MAX] = {
	{"i0", COL_BIGINT, false},  {"f1", COL_DOUBLE, false},    {"b2", COL_BOOLEAN, false}, {"s3", COL_VARCHAR, false},
	{"w4", COL_BIGINT, true},   {"t5", COL_TIMESTAMP, false}, {"s6", COL_VARCHAR, false}, {"F 7", COL_DOUBLE, false},
	{"i8", COL_BIGINT, false},  {"x9", COL_BIGINT, false},
};

void twin_init(struct twin *tw, uint32_t table)
{
	static const enum coltype x9[] = {COL_BIGINT, COL_DOUBLE, COL_VARCHAR};

	*tw = (struct twin){.edge = INT64_MIN};
	memcpy(tw->cols, all_cols, sizeof all_cols);
	tw->cols[9].type = x9[table % ARRAY_LEN(x9)];
	tw->memory_ns = 6 * 3600 * NS_PER_S;
	tw->magnetic_ns = 73000 * NS_PER_DAY;
	tw->future_ns = 15 * 60 * NS_PER_S;
}

void twin_release(struct twin *tw)
{
	free(tw->keys);
	free(tw->rows);
	free(tw->index);
	*tw = (struct twin){0};
}

static void *copy_of(const void *p, size_t n, size_t cap)
{
	void *to = malloc(cap ? cap : 1);
	if (!to)
		abort();
	if (n)
		memcpy(to, p, n);
	return to;
}

void twin_copy(struct twin *to, const struct twin *from)
{
	twin_release(to);
	*to = *from;
	to->cap = from->n;
	to->keys = copy_of(from->keys, from->n * sizeof *from->keys, from->n * sizeof *from->keys);
	to->rows = copy_of(from->rows, from->n * sizeof *from->rows, from->n * sizeof *from->rows);
	to->index = from->index_cap ? copy_of(from->index, from->index_cap * sizeof *from->index,
					      from->index_cap * sizeof *from->index)
				    : NULL;
}

static uint32_t slot_of(const struct twin *tw, uint32_t series, int64_t time)
{
	uint64_t h = ((uint64_t)time + series * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);
	return (uint32_t)(h >> 32) & (tw->index_cap - 1);
}

uint32_t twin_find(const struct twin *tw, uint32_t series, int64_t time)
{
	if (!tw->index_cap)
		return NONE;
	for (uint32_t s = slot_of(tw, series, time);; s = (s + 1) & (tw->index_cap - 1)) {
		uint32_t i = tw->index[s];
		if (i == NONE || (tw->keys[i].series == series && tw->keys[i].time == time))
			return i;
	}
}

static void index_all(struct twin *tw, uint32_t cap)
{
	free(tw->index);
	tw->index = malloc(cap * sizeof *tw->index);
	if (!tw->index)
		abort();
	tw->index_cap = cap;
	memset(tw->index, 0xff, cap * sizeof *tw->index);
	for (uint32_t i = 0; i < tw->n; i++) {
		uint32_t s = slot_of(tw, tw->keys[i].series, tw->keys[i].time);
		while (tw->index[s] != NONE)
			s = (s + 1) & (cap - 1);
		tw->index[s] = i;
	}
}

static void forget_dead(struct twin *tw)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < tw->n; i++) {
		if (!tw->keys[i].is_alive)
			continue;
		tw->keys[n] = tw->keys[i];
		tw->rows[n++] = tw->rows[i];
	}
	tw->n = n;
	index_all(tw, tw->index_cap);
}

/* The row's number; made dead where it is new. */
static uint32_t row_at(struct twin *tw, uint32_t series, int64_t time)
{
	uint32_t i = twin_find(tw, series, time);

	if (i != NONE)
		return i;
	if (tw->n - tw->alive > 50000 + tw->alive)
		forget_dead(tw);
	if (tw->n == tw->cap) {
		tw->cap = MAX(tw->cap * 2, 1024u);
		tw->keys = realloc(tw->keys, tw->cap * sizeof *tw->keys);
		tw->rows = realloc(tw->rows, tw->cap * sizeof *tw->rows);
		if (!tw->keys || !tw->rows)
			abort();
	}
	i = tw->n++;
	tw->keys[i] = (struct m_key){time, series, false};
	tw->rows[i] = (struct m_row){0};
	if (tw->n * 2 > tw->index_cap) {
		index_all(tw, MAX(tw->index_cap * 2, 4096u));
		return i;
	}
	uint32_t s = slot_of(tw, series, time);
	while (tw->index[s] != NONE)
		s = (s + 1) & (tw->index_cap - 1);
	tw->index[s] = i;
	return i;
}

static struct m_row *bring_alive(struct twin *tw, uint32_t i, int64_t version)
{
	if (!tw->keys[i].is_alive) {
		tw->keys[i].is_alive = true;
		tw->alive++;
		tw->rows[i] = (struct m_row){.version = version};
	}
	return &tw->rows[i];
}

static void take_values(struct m_row *r, const struct m_write *wr)
{
	for (uint32_t c = 0; c < COLS_MAX; c++)
		if (wr->valid >> c & 1)
			r->value[c] = wr->value[c];
	r->valid |= wr->valid;
}

/* ---- the rules -------------------------------------------------------------------------------------- */

void twin_patch(struct twin *tw, const struct m_write *wr, uint64_t op)
{
	struct m_row *r = bring_alive(tw, row_at(tw, wr->series, wr->time), 1);

	take_values(r, wr);
	r->op = op;
}

enum m_outcome twin_replace(struct twin *tw, const struct m_write *wr, uint64_t op, int64_t *ret_existing)
{
	uint32_t i = row_at(tw, wr->series, wr->time);
	struct m_row *r = &tw->rows[i];

	if (tw->keys[i].is_alive) {
		bool same = r->valid == wr->valid;
		for (uint32_t c = 0; c < COLS_MAX && same; c++)
			same = !(r->valid >> c & 1) || r->value[c] == wr->value[c];
		*ret_existing = r->version;
		if (wr->version < r->version)
			return REFUSED_LOWER;
		if (wr->version == r->version)
			return same ? UNCHANGED : REFUSED_SAME;
	}
	r = bring_alive(tw, i, wr->version);
	r->valid = 0;
	r->version = wr->version;
	take_values(r, wr);
	r->op = op;
	return STORED;
}

void twin_store(struct twin *tw, const struct m_write *wr, uint64_t op)
{
	struct m_row *r = bring_alive(tw, row_at(tw, wr->series, wr->time), wr->version);

	*r = (struct m_row){.version = wr->version, .op = op};
	take_values(r, wr);
}

void twin_erase(struct twin *tw, uint32_t i, uint64_t op)
{
	if (!tw->keys[i].is_alive)
		return;
	tw->keys[i].is_alive = false;
	tw->rows[i].op = op;
	tw->alive--;
}

void twin_expire(struct twin *tw, int64_t edge, uint64_t op)
{
	tw->edge = MAX(tw->edge, edge);
	for (uint32_t i = 0; i < tw->n; i++)
		if (tw->keys[i].time < edge)
			twin_erase(tw, i, op);
}

static int64_t minus(int64_t a, int64_t b)
{
	int64_t r;
	return __builtin_sub_overflow(a, b, &r) ? INT64_MIN : r;
}

/* The life of a row is both retentions together; nothing lies before 1970. */
int64_t twin_lo(const struct twin *tw, int64_t now)
{
	int64_t memory = minus(now, tw->memory_ns);
	int64_t lo = MAX(minus(memory, tw->magnetic_ns), tw->edge);

	if (tw->late_reject)
		lo = MAX(lo, memory);
	return MAX(lo, 0);
}

int64_t twin_hi(const struct twin *tw, int64_t now)
{
	return now + tw->future_ns;
}
