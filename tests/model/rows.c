/*
 * Rows in: as batches, as versioned batches, as lines of text.
 */
#include "tests/model/model.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/ingest.h"

/* ---- what to write ------------------------------------------------------------------------------------ */

static uint32_t some_series(struct m_table *mt)
{
	struct twin *tw = &mt->twin;

	if (tw->series_n < 8 || (tw->series_n < SERIES_MOST && chance(tw->series_n * 20))) {
		struct m_series s = {.measure = (uint8_t)rnd(MEASURES)};
		for (uint32_t d = 0; d < DIMS; d++)
			s.dim[d] = (uint8_t)(chance(3) ? 0 : rnd(dim_count(d)));
		return add_series(mt, &s);
	}
	return (uint32_t)rnd(tw->series_n);
}

/* An alive row to be written again, or NONE. */
static uint32_t some_row(const struct twin *tw)
{
	for (int i = 0; i < 5 && tw->n; i++) {
		uint32_t k = (uint32_t)rnd(tw->n);
		if (tw->keys[k].is_alive)
			return k;
	}
	return NONE;
}

enum habit { FRESH, LATE, VERY_LATE, AGAIN, FUTURE };

static int64_t some_time(const struct twin *tw, enum habit h, int64_t base)
{
	int64_t grid = chance(30) ? 1 : NS_PER_S;

	if (chance(40)) /* where rows become due for tiles, and around it */
		return w.now - tw->memory_ns + (int64_t)rnd(4) - 2;
	switch (h) {
	case FRESH:
		return (w.now / NS_PER_S - (int64_t)rnd(90)) * NS_PER_S;
	case FUTURE:
		return (w.now / NS_PER_S + (int64_t)rnd((uint64_t)(tw->future_ns / NS_PER_S) + 1)) * NS_PER_S;
	default:
		return base + (int64_t)rnd(200) * grid;
	}
}

static void random_values(const struct twin *tw, struct m_write *wr)
{
	uint32_t most = chance(2) ? 2 : COLS_MAX; /* wide rows and narrow ones */

	for (uint32_t c = 0; c < COLS_MAX; c++) {
		if (!(tw->has_cols >> c & 1) || !chance(chance(2) ? most : 2))
			continue;
		wr->valid |= UINT32_C(1) << c;
		wr->value[c] = random_value(&tw->cols[c]);
	}
	/* Every fourth seed has a column without NULLs, for all that is done in another way then. */
	if (!wr->valid || (w.seed % 4 == 1 && !(wr->valid & 1))) {
		wr->valid |= 1;
		wr->value[0] = random_value(&tw->cols[0]);
	}
}

int64_t near_version(int64_t version)
{
	int64_t v = version + (int64_t)rnd(4) - 1;
	return MAX(v, 1);
}

/* Versions around the one that is stored; sometimes its very values. */
static void random_version(const struct twin *tw, struct m_write *wr)
{
	uint32_t i = twin_find(tw, wr->series, wr->time);

	wr->version = 1 + (int64_t)rnd(chance(10) ? 1000000000000 : 3);
	if (i == NONE || !tw->keys[i].is_alive)
		return;
	const struct m_row *r = &tw->rows[i];
	if (!chance(4))
		wr->version = near_version(r->version);
	if (chance(3)) {
		wr->valid = r->valid;
		memcpy(wr->value, r->value, sizeof wr->value);
	}
}

static uint32_t how_many(uint32_t most)
{
	uint64_t d = rnd(1000);
	uint32_t n = d < 700 ? 8 : d < 960 ? 50 : d < 995 ? 400 : ROWS_MOST;

	return 1 + (uint32_t)rnd(MIN(n, most));
}

uint32_t make_writes(struct m_table *mt, struct m_write *v, uint32_t most, bool versions)
{
	struct twin *tw = &mt->twin;
	enum habit h = chance(2) ? FRESH : (enum habit)rnd(5);
	int64_t lo = twin_lo(tw, w.now), hi = twin_hi(tw, w.now);
	int64_t reach = h == VERY_LATE ? 5 * NS_PER_DAY : 4000 * NS_PER_S;
	int64_t base = w.now - (int64_t)rnd((uint64_t)reach) / NS_PER_S * NS_PER_S;
	uint32_t tries = how_many(most), n = 0;

	for (uint32_t k = 0; k < tries && n < tries; k++) {
		uint32_t again = h == AGAIN && !chance(4) ? some_row(tw) : NONE;
		struct m_write wr = {.series = again != NONE ? tw->keys[again].series : some_series(mt),
				     .time = again != NONE ? tw->keys[again].time : some_time(tw, h, base)};
		if (wr.series == NONE || wr.time < lo || wr.time >= hi)
			continue;
		random_values(tw, &wr);
		if (versions)
			random_version(tw, &wr);
		v[n++] = wr;
		if (n < tries && chance(20)) { /* once more in the same batch, with other fields */
			v[n] = wr;
			v[n].valid = 0;
			random_values(tw, &v[n]);
			v[n].version = versions ? near_version(wr.version) : 0;
			n++;
		}
	}
	return n;
}

/* ---- batches ------------------------------------------------------------------------------------------- */

static void put_value(struct batch *b, uint32_t slot, const struct m_col *mc, int64_t v)
{
	struct col *c = &b->cols[slot].col;
	char buf[32];

	switch (mc->type) {
	case COL_DOUBLE:
		c->f64[b->n] = (double)v / 8;
		break;
	case COL_BOOLEAN:
		c->b8[b->n] = (uint8_t)v;
		break;
	case COL_VARCHAR:
		c->str[b->n] = text_of(v, buf);
		if (c->str[b->n].ptr == buf)
			c->str[b->n] = arena_str(&b->strings, c->str[b->n]);
		break;
	default:
		c->i64[b->n] = v;
	}
	c->valid[b->n] = 1;
	b->cols[slot].has_values = true;
}

static void fill_batch(const struct append *a, struct batch *b)
{
	struct m_table *mt = a->mt;

	b->has_version = a->has_version;
	for (uint32_t i = 0; i < a->n; i++) {
		if (batch_reserve(b) < 0)
			fail("batch_reserve");
		b->series[b->n] = mt->ids[a->v[i].series];
		b->time_ns[b->n] = a->v[i].time;
		if (a->has_version)
			b->version[b->n] = a->v[i].version;
		for (uint32_t c = 0; c < COLS_MAX; c++) {
			if (!(a->v[i].valid >> c & 1))
				continue;
			int slot = batch_col(b, mt->col_ids[c], mt->twin.cols[c].type);
			if (slot < 0)
				fail("batch_col: %d", slot);
			put_value(b, (uint32_t)slot, &mt->twin.cols[c], a->v[i].value[c]);
		}
		b->n++;
	}
}

/* What the rules say of each row: lost rows as conflicts, the others into the twin. */
static struct version_conflict *apply(const struct append *a, uint32_t *ret_n, uint32_t *ret_stored)
{
	struct version_conflict *v = malloc((a->n + 1) * sizeof *v);
	uint32_t n = 0, stored = 0;

	for (uint32_t i = 0; i < a->n; i++) {
		int64_t existing = 0;
		if (!a->has_version) {
			twin_patch(&a->mt->twin, &a->v[i], w.op);
			continue;
		}
		enum m_outcome o = twin_replace(&a->mt->twin, &a->v[i], w.op, &existing);
		stored += o == STORED;
		if (o == REFUSED_LOWER || o == REFUSED_SAME)
			v[n++] = (struct version_conflict){i, existing, o == REFUSED_SAME};
	}
	*ret_n = n;
	*ret_stored = stored;
	return v;
}

static void check_conflicts(const struct append *a, const struct table_batch *tb,
			    const struct version_conflict *want, uint32_t want_n, uint32_t stored)
{
	for (uint32_t i = 0; i < MAX(want_n, tb->conflict_n); i++) {
		const struct version_conflict *x = i < want_n ? &want[i] : NULL;
		const struct version_conflict *y = i < tb->conflict_n ? &tb->conflicts[i] : NULL;
		if (x && y && x->row == y->row && x->existing == y->existing && x->is_same == y->is_same)
			continue;
		const struct m_write *wr = &a->v[x && (!y || x->row <= y->row) ? x->row : y->row];
		fail("%s: conflict %u: row %lld version %lld is_same %d, should be row %lld version %lld is_same %d "
		     "(series %u time %lld, version %lld written)",
		     a->mt->name, i, y ? (long long)y->row : -1, y ? (long long)y->existing : -1, y ? y->is_same : -1,
		     x ? (long long)x->row : -1, x ? (long long)x->existing : -1, x ? x->is_same : -1, wr->series,
		     (long long)wr->time, (long long)wr->version);
	}
	if (a->has_version && tb->batch->n != stored)
		fail("%s: %u rows are left of a batch of %u with %u conflicts, should be %u", a->mt->name, tb->batch->n, a->n,
		     want_n, stored);
}

void append_writes(struct append *a, uint32_t count)
{
	struct table_batch tb[TABLES] = {0};
	struct batch b[TABLES];
	struct err e = {0};

	for (uint32_t i = 0; i < count; i++) {
		batch_init(&b[i]);
		fill_batch(&a[i], &b[i]);
		tb[i] = (struct table_batch){.table = a[i].mt->t, .batch = &b[i]};
		trace("%s: %u rows%s", a[i].mt->name, a[i].n, a[i].has_version ? " with versions" : "");
		w.rows_in += a[i].n;
	}
	bool is_good = went_well(db_append(w.db, tb, count, &e), &e, "db_append");
	for (uint32_t i = 0; i < count; i++) {
		uint32_t want_n, stored;
		struct version_conflict *want = apply(&a[i], &want_n, &stored);
		if (is_good)
			check_conflicts(&a[i], &tb[i], want, want_n, stored);
		free(want);
		free(tb[i].conflicts);
		batch_release(&b[i]);
	}
}

static void check_window(struct m_table *mt)
{
	struct table_window win;

	table_window(mt->t, &win);
	if (win.lo_ns != twin_lo(&mt->twin, w.now) || win.hi_ns != twin_hi(&mt->twin, w.now))
		fail("%s: the window is [%lld, %lld), should be [%lld, %lld)", mt->name, (long long)win.lo_ns,
		     (long long)win.hi_ns, (long long)twin_lo(&mt->twin, w.now), (long long)twin_hi(&mt->twin, w.now));
}

static void append_some(uint32_t versions_of)
{
	static struct m_write writes[TABLES][ROWS_MOST];
	struct append a[TABLES];
	uint32_t count = chance(6) ? 1 + (uint32_t)rnd(TABLES) : 1, first = (uint32_t)rnd(TABLES), k = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct m_table *mt = &w.tables[(first + i) % TABLES];
		bool versions = versions_of && chance(versions_of);
		check_window(mt);
		uint32_t n = make_writes(mt, writes[i], versions ? 500 : ROWS_MOST, versions);
		if (n)
			a[k++] = (struct append){mt, writes[i], n, versions};
	}
	if (k)
		append_writes(a, k);
}

void op_append(void)
{
	append_some(0);
}

void op_append_versions(void)
{
	append_some(chance(4) ? 2 : 1);
}

/* ---- line protocol --------------------------------------------------------------------------------------- */

static void add_escaped(struct buf *out, struct str s, const char *which)
{
	for (size_t i = 0; i < s.len; i++) {
		if (strchr(which, s.ptr[i]))
			buf_addc(out, '\\');
		buf_addc(out, s.ptr[i]);
	}
}

static void add_field(struct buf *out, const struct m_col *mc, int64_t v)
{
	char buf[32];

	add_escaped(out, str_from(mc->name), ",= ");
	buf_addc(out, '=');
	switch (mc->type) {
	case COL_DOUBLE:
		buf_addf(out, v % 8 == 0 && chance(2) ? "%.0f" : "%.17g", (double)v / 8);
		break;
	case COL_BOOLEAN:
		buf_adds(out, v ? "true" : "f");
		break;
	case COL_VARCHAR:
		buf_addc(out, '"');
		add_escaped(out, text_of(v, buf), "\"\\");
		buf_addc(out, '"');
		break;
	default:
		buf_addf(out, "%lldi", (long long)v);
	}
}

static void add_line(struct buf *out, const struct twin *tw, const struct m_write *wr, bool is_bad_type)
{
	const struct m_series *s = &tw->series[wr->series];
	bool is_first = true;

	add_escaped(out, str_from(measure_names[s->measure]), ", ");
	for (uint32_t d = 0; d < DIMS; d++) {
		if (!s->dim[d])
			continue;
		buf_addf(out, ",%s=", dim_names[d]);
		add_escaped(out, str_from(dim_value(d, s->dim[d])), ",= ");
	}
	for (uint32_t c = 0; c < COLS_MAX; c++) {
		if (!(wr->valid >> c & 1))
			continue;
		buf_addc(out, is_first ? ' ' : ',');
		add_field(out, &tw->cols[c], wr->value[c]);
		is_first = false;
	}
	if (is_bad_type)
		buf_adds(out, wr->valid & 8 ? ",b2=\"no boolean\"" : ",s3=1.5");
	buf_addf(out, " %lld\n", (long long)wr->time);
}

/* Lines good and bad; what is bad must be counted, and nothing else of the write be lost. */
void op_ingest(void)
{
	static struct m_write writes[ROWS_MOST];
	struct m_table *mt = some_table();
	struct twin *tw = &mt->twin;
	struct ingest *in;
	struct ingest_source src = {.file = "d/t/ingest"};
	struct table_stats before, after;
	struct err e = {0};
	struct buf text;
	uint32_t n = make_writes(mt, writes, 300, false), bad = 0;

	buf_init(&text, (size_t)64 << 20);
	table_stats(mt->t, &before);
	for (uint32_t i = 0; i < n; i++) {
		struct m_write *wr = &writes[i];
		bool is_bad = chance(15), is_bad_type = is_bad && chance(2);
		wr->valid &= ~(UINT32_C(1) << 5); /* no timestamps in line protocol */
		if (!wr->valid)
			wr->valid = 1;
		if (is_bad_type)
			wr->valid &= ~(UINT32_C(1) << (wr->valid & 8 ? 2 : 3));
		if (is_bad && !is_bad_type)
			wr->time = chance(2) ? twin_lo(tw, w.now) - 1 - (int64_t)rnd(10) : twin_hi(tw, w.now) + (int64_t)rnd(10);
		if (!is_bad_type && wr->time < 0)
			continue;
		add_line(&text, tw, wr, is_bad_type);
		if (is_bad)
			bad++;
		else
			twin_patch(tw, wr, w.op);
		w.rows_in++;
		wr->version = is_bad;
	}
	trace("%s: %u lines, %u bad", mt->name, n, bad);
	if (text.len) {
		must(ingest_open(w.db, mt->t, &src, &in, &e), &e, "ingest_open");
		/* In two pieces, so that a line is cut somewhere. */
		size_t cut = chance(2) ? rnd(text.len) : 0;
		int64_t rc = 0;
		if (cut)
			rc = ingest_write(in, text.data, cut, &e);
		if (rc < 0 && rc != -EINVAL)
			must((int)rc, &e, "ingest_write");
		if (rc >= 0)
			rc = ingest_write(in, text.data + cut, text.len - cut, &e);
		else /* consumed nothing: all of it once more */
			rc = ingest_write(in, text.data, text.len, &e);
		if (rc < 0 && rc != -EINVAL)
			must((int)rc, &e, "ingest_write");
		if (bad != 0 && !ingest_take_rejected(in))
			fail("%s: %u bad lines of %u, and no word of it", mt->name, bad, n);
		ingest_close(in);
		table_stats(mt->t, &after);
		if (after.lines_rejected - before.lines_rejected != bad)
			fail("%s: %llu lines were rejected of %u, should be %u", mt->name,
			     (unsigned long long)(after.lines_rejected - before.lines_rejected), n, bad);
	}
	buf_release(&text);
}
