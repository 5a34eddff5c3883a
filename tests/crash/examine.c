/*
 * The one that looks: what is found, against what was begun and what was acknowledged.
 */
#include "tests/crash/crash.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/fsck.h"
#include "engine/scan.h"

static int bad;

#define WRONG(...)                                                   \
	do {                                                         \
		if (!bad++)                                          \
			fprintf(stderr, "crash: " __VA_ARGS__);      \
		if (bad == 1)                                        \
			fputc('\n', stderr);                         \
	} while (0)

/* One row, as it was found. */
struct row {
	uint32_t series, id; /* index in world.ids; the engine's */
	int64_t time, v, version;
	bool has_v, has_s;
	struct str s;
};

static void each_row(struct world *w, int table, void (*look)(struct world *w, const struct row *r, void *ctx), void *ctx)
{
	uint32_t cols[2] = {w->v[table], w->s[table]};
	struct scan_spec spec = {.t_lo = INT64_MIN, .t_hi = INT64_MAX, .cols = cols, .col_count = 2, .times_wanted = true,
				 .versions_wanted = true};
	struct scan_batch sb;
	struct scan *scan;
	struct err e = {0};
	int rc = scan_open(w->t[table], &spec, NULL, &scan, &e);

	if (rc < 0)
		die("scan", &e, rc);
	while ((rc = scan_next(scan, &sb, &e)) > 0)
		for (uint32_t k = 0; k < sb.run_count; k++)
			for (uint32_t i = sb.runs[k].start; i < sb.runs[k].start + sb.runs[k].count; i++) {
				struct row r = {.time = sb.time_ns[i], .version = sb.version[i]};
				r.series = sb.runs[k].series_id == w->ids[table][1];
				r.has_v = !sb.cols[0].valid || sb.cols[0].valid[i];
				r.has_s = !sb.cols[1].valid || sb.cols[1].valid[i];
				r.v = r.has_v ? sb.cols[0].i64[i] : 0;
				r.s = r.has_s ? sb.cols[1].str[i] : (struct str){"", 0};
				r.id = sb.runs[k].series_id;
				if (table != T_SERIES && r.id != w->ids[table][r.series])
					WRONG("table %d: a row of series id %u, which is nobody's", table, sb.runs[k].series_id);
				look(w, &r, ctx);
			}
	if (rc < 0)
		die("scan", &e, rc);
	scan_close(scan);
}

/* ---- t: all rows in order, each once ------------------------------------------------------------------ */

static void look_rows(struct world *w, const struct row *r, void *ctx)
{
	int64_t *next = ctx, k = next[r->series]++;
	bool is_acked = k <= atomic_load(&sh->rows[r->series].acked);
	char text[32];

	(void)w;
	snprintf(text, sizeof text, "row %lld", (long long)k);
	if (r->time != base_ns + k * NS_PER_MS || (r->has_v && r->v != k) || (r->has_s && !str_is(r->s, text)) ||
	    (is_acked && (!r->has_v || !r->has_s)))
		WRONG("t: series %u: row %lld is lost, double or wrong (time %lld, %sv %lld, s '%.*s')", r->series,
		      (long long)k, (long long)((r->time - base_ns) / NS_PER_MS), r->has_v ? "" : "no ", (long long)r->v,
		      STR_FMT(r->s));
}

static void examine_rows(struct world *w)
{
	int64_t next[WRITERS];

	for (uint32_t i = 0; i < WRITERS; i++)
		next[i] = 1;
	each_row(w, T_ROWS, look_rows, next);
	for (uint32_t i = 0; i < WRITERS; i++) {
		int64_t m = next[i] - 1, acked = atomic_load(&sh->rows[i].acked), begun = atomic_load(&sh->rows[i].begun);
		if (m < acked || m > begun)
			WRONG("t: series %u: %lld rows; %lld were acknowledged, %lld begun", i, (long long)m, (long long)acked,
			      (long long)begun);
	}
}

/* ---- v: one generation ---------------------------------------------------------------------------------- */

struct seen {
	int64_t n, first, value, last_time;
};

static void look_versions(struct world *w, const struct row *r, void *ctx)
{
	struct seen *s = ctx;
	char text[32];

	(void)w;
	if (!s->n++)
		s->value = r->v;
	snprintf(text, sizeof text, "generation %lld", (long long)r->v);
	if (!r->has_v || r->v != s->value || r->version != r->v || r->has_s != !(r->v % 2) ||
	    (r->has_s && !str_is(r->s, text)))
		WRONG("v: a row has version %lld, v %lld, s '%.*s', and others are of generation %lld", (long long)r->version,
		      (long long)r->v, STR_FMT(r->s), (long long)s->value);
}

static void examine_versions(struct world *w)
{
	struct seen s = {0};
	int64_t acked = atomic_load(&sh->generation.acked), begun = atomic_load(&sh->generation.begun);

	each_row(w, T_VERSIONS, look_versions, &s);
	if (s.n != VERSION_ROWS && (s.n || acked))
		WRONG("v: %lld rows, should be %d", (long long)s.n, VERSION_ROWS);
	/* What was begun before the last victim began anew may be there as well. */
	if (s.n && (s.value < acked || s.value > begun))
		WRONG("v: generation %lld is there; %lld was acknowledged, %lld begun", (long long)s.value, (long long)acked,
		      (long long)begun);
}

/* ---- d: from the floor on ---------------------------------------------------------------------------------- */

static void look_deletes(struct world *w, const struct row *r, void *ctx)
{
	struct seen *s = ctx;
	int64_t k = (r->time - base_ns) / NS_PER_MS;

	(void)w;
	if (!s->n++)
		s->first = k;
	else if (k != s->last_time + 1)
		WRONG("d: row %lld comes after row %lld", (long long)k, (long long)s->last_time);
	if (!r->has_v || r->v != k)
		WRONG("d: row %lld has the value %lld", (long long)k, (long long)r->v);
	s->last_time = k;
}

static void examine_deletes(struct world *w)
{
	struct seen s = {0};
	int64_t floor = atomic_load(&sh->floor.acked), may = atomic_load(&sh->floor.begun);
	int64_t acked = atomic_load(&sh->added.acked), begun = atomic_load(&sh->added.begun);

	each_row(w, T_DELETES, look_deletes, &s);
	if (s.n && s.first != floor + 1 && s.first != may + 1)
		WRONG("d: the first row is %lld; up to %lld they are deleted, up to %lld perhaps", (long long)s.first,
		      (long long)floor, (long long)may);
	if (s.n ? s.last_time < acked || s.last_time > begun : acked > may)
		WRONG("d: the last row is %lld; %lld were acknowledged, %lld begun", (long long)s.last_time, (long long)acked,
		      (long long)begun);
}

/* ---- r: one tile ------------------------------------------------------------------------------------------ */

static void look_restored(struct world *w, const struct row *r, void *ctx)
{
	struct seen *s = ctx;
	int64_t k = (r->time - base_ns) / NS_PER_S - BESIDE_S;

	(void)w;
	if (k > 0) {
		if (r->v != k || k != ++s->last_time)
			WRONG("r: row %lld comes after row %lld and has the value %lld", (long long)k,
			      (long long)s->last_time - 1, (long long)r->v);
		return;
	}
	if (!s->n++)
		s->value = r->v;
	if (r->v != s->value || r->has_s != (r->v == 2))
		WRONG("r: rows of both tiles at once");
}

static void examine_restored(struct world *w)
{
	struct seen s = {0};
	int64_t acked = atomic_load(&sh->restored.acked), begun = atomic_load(&sh->restored.begun);

	each_row(w, T_RESTORES, look_restored, &s);
	if (s.last_time < atomic_load(&sh->beside.acked) || s.last_time > atomic_load(&sh->beside.begun))
		WRONG("r: %lld rows beside the tile; %lld were acknowledged, %lld begun", (long long)s.last_time,
		      (long long)atomic_load(&sh->beside.acked), (long long)atomic_load(&sh->beside.begun));
	if (s.n != TILE_ROWS && (s.n || acked))
		WRONG("r: %lld rows, should be %d", (long long)s.n, TILE_ROWS);
	if (s.n && begun == acked && s.value != 1 + acked % 2)
		WRONG("r: rows of tile %lld, and the other one was restored last", (long long)s.value);
}

/* ---- e: what has not expired ------------------------------------------------------------------------------- */

struct expiry {
	uint32_t at; /* in sh->expiring */
	int64_t next, edge;
};

/* Rows that had to come before time `upto` and did not. */
static void pass_expiring(struct expiry *x, int64_t upto)
{
	uint32_t n = atomic_load(&sh->expiring_n);

	for (; x->at < n; x->at++, x->next = x->at < n ? sh->expiring[x->at].first : 0) {
		const struct expiring *b = &sh->expiring[x->at];
		for (; x->next < b->first + b->n; x->next++) {
			int64_t time = expire_base_ns + x->next * NS_PER_MS;
			if (time >= upto)
				return;
			if (atomic_load(&b->is_acked) && time >= x->edge)
				WRONG("e: row %lld is lost, %lld ms past the edge", (long long)x->next,
				      (long long)((time - x->edge) / NS_PER_MS));
		}
	}
}

static void look_expiring(struct world *w, const struct row *r, void *ctx)
{
	struct expiry *x = ctx;

	(void)w;
	pass_expiring(x, r->time);
	int64_t k = (r->time - expire_base_ns) / NS_PER_MS;
	if (x->at >= atomic_load(&sh->expiring_n) || x->next != k)
		WRONG("e: row %lld was never begun", (long long)k);
	if (r->time < x->edge || r->v != k)
		WRONG("e: row %lld has expired, or is wrong", (long long)k);
	x->next++;
}

static void examine_expiring(struct world *w)
{
	struct table_stats st;
	struct expiry x = {.next = sh->expiring[0].first};

	table_stats(w->t[T_EXPIRES], &st);
	x.edge = st.expired_before_ns;
	each_row(w, T_EXPIRES, look_expiring, &x);
	pass_expiring(&x, INT64_MAX);
	/* Half a batch is as bad as a lost one; that is what t is for. */
}

static void examine_retention(struct world *w)
{
	int64_t acked = atomic_load(&sh->retention.acked), begun = atomic_load(&sh->retention.begun);
	char text[SETTING_TEXT_MAX];

	table_setting(w->t[T_ROWS], SET_RETENTION_MEMORY, text);
	for (int64_t k = acked; k <= begun; k++)
		if (strcmp(text, retentions[k % RETENTIONS]) == 0)
			return;
	if (acked)
		WRONG("t: retention/memory is %s; set was %s", text, retentions[acked % RETENTIONS]);
}

/* ---- n: names ------------------------------------------------------------------------------------------------ */

static void look_named(struct world *w, const struct row *r, void *ctx)
{
	struct series_set *set = table_series(w->t[T_SERIES]);
	struct seen *s = ctx;
	char name[32];

	s->n++;
	s->value = MAX(s->value, r->v);
	snprintf(name, sizeof name, "n%lld", (long long)r->v);
	uint32_t code = series_dim_code(set, r->id, w->host);
	if (code == DIM_ABSENT || !str_is(series_dict_value(set, w->host, code), name) ||
	    r->time != base_ns + r->v * NS_PER_MS)
		WRONG("n: the row of %s lies in another series", name);
}

static void examine_named(struct world *w)
{
	struct seen s = {0};
	int64_t acked = atomic_load(&sh->named.acked), begun = atomic_load(&sh->named.begun);

	each_row(w, T_SERIES, look_named, &s);
	if (s.n != s.value || s.n < acked || s.n > begun)
		WRONG("n: %lld rows up to %lld; %lld were acknowledged, %lld begun", (long long)s.n, (long long)s.value,
		      (long long)acked, (long long)begun);
}

/* ---- snapshots ------------------------------------------------------------------------------------------------- */

static bool has_text(struct world *w, const char *name)
{
	struct err e = {0};
	char text[16] = "";
	int dirfd, rc = db_snapshot_dirfd(w->db, str_from(name), &dirfd, &e);

	if (rc < 0)
		die("snapshot", &e, rc);
	int fd = openat(dirfd, "snapshot.json", O_RDONLY);
	bool is_whole = fd >= 0 && read(fd, text, sizeof text) == sizeof text && text[0] == '{';
	close(fd);
	close(dirfd);
	return is_whole;
}

static void examine_snapshots(struct world *w)
{
	int64_t made = atomic_load(&sh->made.acked), dropped = atomic_load(&sh->dropped.begun);
	struct snapshot_entry *v;
	uint32_t n;

	if (db_snapshots(w->db, &v, &n) < 0)
		die("snapshots", NULL, -ENOMEM);
	for (uint32_t i = 0; i < n; i++) {
		int64_t k = strtoll(v[i].name + 1, NULL, 10);
		if (k > atomic_load(&sh->made.begun) || k <= atomic_load(&sh->dropped.acked) || v[i].name[0] != 's')
			WRONG("snapshot %s should not be there", v[i].name);
		if (!has_text(w, v[i].name))
			WRONG("snapshot %s is not whole", v[i].name);
	}
	for (uint32_t i = 0, is = made <= dropped; i <= n && !is; i++) {
		if (i == n)
			WRONG("snapshot s%lld is lost", (long long)made);
		else
			is = strtoll(v[i].name + 1, NULL, 10) == made;
	}
	free(v);
}

/* ---- the files --------------------------------------------------------------------------------------------- */

static void found(void *ctx, const struct fsck_finding *f)
{
	(void)ctx;
	if (f->severity == FSCK_ERROR)
		WRONG("fsck: %s %s %s %lld: %s", f->db, f->table, f->file, (long long)f->offset, f->what);
}

static void examine_files(void)
{
	struct fsck_options opt = {.found = found};
	struct fsck_result res;
	struct err e = {0};
	int rc = fsck_run(dir, &opt, &res, &e);

	if (rc < 0)
		die("fsck", &e, rc);
}

int examine(bool with_fsck)
{
	struct world w;

	if (with_fsck)
		examine_files();
	open_world(&w, false);
	examine_rows(&w);
	examine_versions(&w);
	examine_deletes(&w);
	examine_restored(&w);
	examine_expiring(&w);
	examine_retention(&w);
	examine_named(&w);
	examine_snapshots(&w);
	close_world(&w);
	return bad != 0;
}
