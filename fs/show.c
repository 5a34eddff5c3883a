/*
 * show: small texts, and how a file of small text behaves.
 *
 * A text is rendered once, whole: by the LOOKUP or GETATTR that tells its size, and the open(2) that
 * follows serves that very text. So st_size is true (tar, cp and sendfile trust it), partial reads
 * agree with each other, and readers of one file never share a text, since each LOOKUP made a node
 * of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "fs/files.h"

/* ---- text ------------------------------------------------------------------------------------ */

struct text *text_create(const char *p, size_t n)
{
	struct text *t = malloc(sizeof *t + n);

	if (!t)
		return NULL;
	t->changed_ns = 0;
	atomic_init(&t->refs, 1);
	t->len = n;
	if (n)
		memcpy(t->data, p, n);
	return t;
}

struct text *text_get(struct text *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

void text_put(struct text *t)
{
	if (t && atomic_fetch_sub(&t->refs, 1) == 1)
		free(t);
}

/*
 * When the text of a file last changed, by st_ino: tar(1) warns of a file whose times move while it
 * reads, and rsync(1) would copy every one of them each time. Two words a file that was ever looked
 * at; the table is as large as the mount, and is not cleared when a table is dropped.
 */
struct seen {
	uint64_t ino, hash;
	int64_t changed_ns;
};
static pthread_mutex_t seen_mu = PTHREAD_MUTEX_INITIALIZER;
static struct seen *seen; /* guarded by seen_mu, as below; open addressing, ino 0: empty */
static size_t seen_n, seen_cap;

static struct seen *seen_slot(struct seen *v, size_t cap, uint64_t ino)
{
	size_t i = hash_u64(ino) & (cap - 1);

	while (v[i].ino && v[i].ino != ino)
		i = (i + 1) & (cap - 1);
	return &v[i];
}

static void seen_grow(void)
{
	size_t cap = seen_cap ? seen_cap * 2 : 256;
	struct seen *v = calloc(cap, sizeof *v);

	if (!v)
		return;
	for (size_t i = 0; i < seen_cap; i++)
		if (seen[i].ino)
			*seen_slot(v, cap, seen[i].ino) = seen[i];
	free(seen);
	seen = v;
	seen_cap = cap;
}

static int64_t text_changed_ns(uint64_t ino, struct str text)
{
	uint64_t hash = hash_str(text);
	int64_t now = clock_now_ns();

	pthread_mutex_lock(&seen_mu);
	if (seen_n * 2 >= seen_cap)
		seen_grow();
	if (seen_n < seen_cap) {
		struct seen *s = seen_slot(seen, seen_cap, ino);
		seen_n += s->ino == 0;
		if (s->ino != ino || s->hash != hash)
			*s = (struct seen){ino, hash, now};
		now = s->changed_ns;
	}
	pthread_mutex_unlock(&seen_mu);
	return now;
}

static int render(struct fs *fs, struct node *n, struct text **ret)
{
	struct buf out;
	struct err e = {0};
	int rc;

	buf_init(&out, TEXT_FILE_MAX);
	rc = n->row->show(fs, n, &out, &e);
	if (rc >= 0)
		rc = out.rc;
	if (rc >= 0) {
		*ret = text_create(out.data, out.len);
		rc = *ret ? 0 : -ENOMEM;
		if (*ret)
			(*ret)->changed_ns = text_changed_ns(n->ino, buf_str(&out));
	}
	buf_release(&out);
	return rc;
}

/* ---- file operations --------------------------------------------------------------------------- */

/* What a writer gathered, and what a reader reads. */
struct text_handle {
	struct text *text; /* guarded by h->mu: as of open, or its own last write; NULL when write-only */
	struct buf in;     /* guarded by h->mu: written and not yet ended by a newline */
	bool started;
};

#define VALUE_MAX 65536

static int text_attr(struct fs *fs, struct node *n, struct stat *st)
{
	int rc = 0;

	pthread_mutex_lock(&n->mu);
	/* Once open, the node tells what its reader sees; before, what one would see now. */
	if (!n->shown_taken || !n->shown) {
		struct text *fresh = NULL;
		rc = render(fs, n, &fresh);
		if (rc >= 0) {
			text_put(n->shown);
			n->shown = fresh;
		}
	}
	if (n->shown) {
		st->st_size = (off_t)n->shown->len;
		st->st_mtim.tv_sec = n->shown->changed_ns / NS_PER_S;
		st->st_mtim.tv_nsec = n->shown->changed_ns % NS_PER_S;
	}
	pthread_mutex_unlock(&n->mu);
	return rc;
}

static int text_open(struct handle *h, struct err *e)
{
	struct node *n = h->node;
	struct text_handle *th = calloc(1, sizeof *th);
	int rc = 0;

	if (!th)
		return -ENOMEM;
	buf_init(&th->in, VALUE_MAX);
	if (h->readable) {
		pthread_mutex_lock(&n->mu);
		if (!n->shown || n->shown_taken) {
			struct text *fresh = NULL;
			rc = render(h->fs, n, &fresh);
			if (rc >= 0) {
				text_put(n->shown);
				n->shown = fresh;
			}
		}
		if (rc >= 0) {
			th->text = text_get(n->shown);
			n->shown_taken = true;
		}
		pthread_mutex_unlock(&n->mu);
		if (rc < 0) {
			free(th);
			return rc;
		}
	}
	h->priv = th;
	return 0;
}

static void text_read(struct handle *h, fuse_req_t req, size_t n, int64_t off)
{
	struct text_handle *th = h->priv;
	struct text *t;

	pthread_mutex_lock(&h->mu);
	t = text_get(th->text);
	pthread_mutex_unlock(&h->mu);
	reply_bytes(req, t->data, t->len, n, off);
	text_put(t);
}

/* One write is one value: what is wrong with it must come from this write(2), close(2) is ignored. */
static int64_t text_write(struct handle *h, const char *p, size_t n, int64_t off, struct err *e)
{
	struct text_handle *th = h->priv;
	const struct vfile *row = h->node->row;
	size_t before;
	int rc;

	if (!row->store)
		return -EPERM;
	pthread_mutex_lock(&h->mu);
	/* An empty line behind a value (printf, a here-document, an editor) is none. */
	if (th->in.len && th->in.data[th->in.len - 1] == '\n' && str_trim((struct str){p, n}).len == 0) {
		pthread_mutex_unlock(&h->mu);
		return (int64_t)n;
	}
	/* Written in pieces without a newline so far: the pieces are one value. */
	if (th->started && (th->in.len == 0 || th->in.data[th->in.len - 1] == '\n'))
		buf_clear(&th->in);
	th->started = true;
	before = th->in.len;
	buf_add(&th->in, p, n);
	rc = th->in.rc ? err_set(e, -EFBIG, "a value has at most %d bytes", VALUE_MAX)
		       : row->store(h->fs, h->node, buf_str(&th->in), e);
	if (rc < 0) {
		th->in.rc = 0;
		th->in.len = before; /* the same write may be made again */
		fs_note_refusal(h->fs, h->node, e, rc);
	} else if (th->text) {
		/* The one handle sees what it wrote. */
		struct text *fresh = NULL;
		if (render(h->fs, h->node, &fresh) >= 0) {
			pthread_mutex_lock(&h->node->mu);
			text_put(h->node->shown);
			h->node->shown = text_get(fresh);
			pthread_mutex_unlock(&h->node->mu);
			text_put(th->text);
			th->text = fresh;
		}
	}
	pthread_mutex_unlock(&h->mu);
	return rc < 0 ? rc : (int64_t)n;
}

static void text_release(struct handle *h)
{
	struct text_handle *th = h->priv;

	text_put(th->text);
	buf_release(&th->in);
	free(th);
}

/* Shells truncate before they write. The value changes by being written, not by vanishing. */
static int text_truncate(struct fs *fs, struct node *n, struct handle *h, int64_t size, struct err *e)
{
	return n->row->store ? 0 : -EPERM;
}

const struct file_ops text_ops = {
	.open = text_open,
	.read = text_read,
	.write = text_write,
	.release = text_release,
	.truncate = text_truncate,
	.attr = text_attr,
};

/* ---- rejected: lives in the engine, grows while it is read (tail -f) ------------------------------- */

static struct rejected_log *log_of(const struct node *n)
{
	return n->table ? table_rejected(n->table) : db_rejected(n->db);
}

static int rejected_file_attr(struct fs *fs, struct node *n, struct stat *st)
{
	st->st_size = rejected_size(log_of(n));
	return 0;
}

static void rejected_file_read(struct handle *h, fuse_req_t req, size_t n, int64_t off)
{
	struct err e = {0};
	char *to = malloc(n ? n : 1);
	int64_t got;

	if (!to) {
		reply_err(req, -ENOMEM);
		return;
	}
	got = rejected_read(log_of(h->node), to, n, off, &e);
	if (got < 0)
		reply_err(req, (int)got);
	else
		fuse_reply_buf(req, to, (size_t)got);
	free(to);
}

static int rejected_file_truncate(struct fs *fs, struct node *n, struct handle *h, int64_t size, struct err *e)
{
	if (size != 0)
		return err_set(e, -EINVAL, "rejected can only be truncated to nothing");
	return rejected_clear(log_of(n), e);
}

const struct file_ops rejected_ops = {
	.read = rejected_file_read,
	.truncate = rejected_file_truncate,
	.attr = rejected_file_attr,
};

/* ---- README and status --------------------------------------------------------------------------- */

int readme_show(struct fs *fs, struct node *n, struct buf *out, struct err *e)
{
	return files_print_readme(out);
}

static void add_time(struct buf *out, const char *name, int64_t ns)
{
	char text[TIMESTAMP_TEXT_LEN];

	timestamp_format(text, ns);
	buf_addf(out, "%s: %.*s\n", name, TIMESTAMP_TEXT_LEN, text);
}

static void add_count(struct buf *out, const char *name, uint64_t v)
{
	buf_addf(out, "%s: %llu\n", name, (unsigned long long)v);
}

/* Whole units of which there are ten or more, cut: a duration as retention has them. Ahead of now: "-5m". */
static void add_age(struct buf *out, const char *name, int64_t now_ns, int64_t ns)
{
	static const struct {
		int64_t s;
		char unit;
	} units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}};
	int64_t age, s;
	size_t u = 0;

	if (__builtin_sub_overflow(now_ns, ns, &age))
		age = INT64_MAX;
	s = (age < 0 ? -(age + 1) : age) / NS_PER_S;
	while (u + 1 < ARRAY_LEN(units) && s / units[u].s < 10)
		u++;
	buf_addf(out, "%s: %s%lld%c\n", name, age < 0 ? "-" : "", (long long)(s / units[u].s), units[u].unit);
}

/* db: only of that one; NULL: of all. */
static void add_refusal(struct fs *fs, const char *db, struct buf *out)
{
	const struct fs_refusal *last = NULL;

	pthread_mutex_lock(&fs->refused_mu);
	for (size_t i = 0; i < FS_REFUSALS; i++) {
		const struct fs_refusal *r = &fs->refused[i];
		if (r->when_ns && (!db || strcmp(r->db, db) == 0) && (!last || r->when_ns > last->when_ns))
			last = r;
	}
	if (last) {
		add_time(out, "last_refusal_at", last->when_ns);
		buf_addf(out, "last_refusal: %s\n", last->text);
	}
	pthread_mutex_unlock(&fs->refused_mu);
}

static const char *health(const struct db_status *s)
{
	return s->failed       ? "failed"
	       : s->read_only ? "read-only"
	       : s->stalled   ? "stalled"
	       : s->reason[0] ? "failing"
			      : "ok";
}

/* Resident, of the whole process. */
static uint64_t process_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long pages = 0;

	if (f && fscanf(f, "%*u %llu", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return pages * (unsigned long long)sysconf(_SC_PAGESIZE);
}

static void add_sums(struct buf *out, const struct db_stats *s)
{
	add_count(out, "series", s->series);
	add_count(out, "rows", s->rows);
	add_count(out, "memory_rows", s->memory_rows);
	add_count(out, "tile_rows", s->tile_rows);
	add_count(out, "bytes", s->bytes);
	add_count(out, "files", s->files);
	add_count(out, "pending_rows", s->pending_rows);
	add_count(out, "failing_tables", s->failing_tables);
}

int root_status_show(struct fs *fs, struct node *n, struct buf *out, struct err *e)
{
	struct db_stats sum = {0};
	struct db **dbs;
	uint32_t db_n, tables = 0;
	struct cache_stats cache;
	size_t memtables, limit;
	int rc = engine_dbs(fs->engine, &dbs, &db_n);

	if (rc < 0)
		return rc;
	buf_adds(out, "version: " TIDE_VERSION "\n");
	add_time(out, "started", fs->start_ns);
	add_count(out, "databases", db_n);
	for (uint32_t i = 0; i < db_n; i++) {
		struct db_status s;
		struct db_stats st;
		db_status(dbs[i], &s);
		db_stats(dbs[i], &st);
		buf_addf(out, "database %s: %s", db_name(dbs[i]), health(&s));
		if (s.reason[0])
			buf_addf(out, ": %s", s.reason);
		if (s.clock_note[0])
			buf_addf(out, "; %s", s.clock_note);
		buf_addc(out, '\n');
		tables += s.tables;
		sum.series += st.series;
		sum.rows += st.rows;
		sum.memory_rows += st.memory_rows;
		sum.tile_rows += st.tile_rows;
		sum.bytes += st.bytes;
		sum.files += st.files;
		sum.pending_rows += st.pending_rows;
		sum.failing_tables += st.failing_tables;
		db_put(dbs[i]);
	}
	free(dbs);
	add_count(out, "tables", tables);
	add_sums(out, &sum);
	engine_memory(fs->engine, &memtables, &limit);
	add_count(out, "memtable_bytes", memtables);
	add_count(out, "memtable_limit_bytes", limit);
	engine_cache(fs->engine, &cache);
	add_count(out, "cache_bytes", cache.bytes);
	add_count(out, "cache_limit_bytes", cache.limit_bytes);
	add_count(out, "cache_pages", cache.pages);
	add_count(out, "cache_hits", cache.hits);
	add_count(out, "cache_misses", cache.misses);
	add_count(out, "process_bytes", process_bytes());
	add_refusal(fs, NULL, out);
	return 0;
}

int db_status_show(struct fs *fs, struct node *n, struct buf *out, struct err *e)
{
	struct db_status s;
	struct db_stats sum;

	db_status(n->db, &s);
	db_stats(n->db, &sum);
	buf_addf(out, "state: %s\n", health(&s));
	if (s.reason[0])
		buf_addf(out, "reason: %s\n", s.reason);
	if (s.failing_since_ns)
		add_time(out, "failing_since", s.failing_since_ns);
	if (s.failed) { /* nothing is known of the rest, and 0 would be a wrong number */
		add_refusal(fs, db_name(n->db), out);
		return 0;
	}
	if (s.clock_note[0])
		buf_addf(out, "clock: %s\n", s.clock_note);
	add_time(out, "created", db_created_ns(n->db));
	add_count(out, "tables", s.tables);
	add_sums(out, &sum);
	add_count(out, "memtable_bytes", s.memtable_bytes);
	add_count(out, "wal_bytes", s.wal_bytes);
	add_count(out, "wal_segments", s.wal_segments);
	add_count(out, "last_lsn", s.last_lsn);
	add_count(out, "durable_lsn", s.durable_lsn);
	add_count(out, "batches", s.batches);
	add_count(out, "rows_in", s.rows_in);
	add_count(out, "lines_rejected", s.rows_rejected);
	add_count(out, "recovered_rows", s.recovered_rows);
	add_count(out, "recovered_bytes", s.recovered_bytes);
	add_count(out, "recovery_cut_bytes", s.recovery_cut_bytes);
	buf_addf(out, "recovery_seconds: %.3f\n", (double)s.recovery_ns / 1e9);
	add_refusal(fs, db_name(n->db), out);
	return 0;
}

/* ---- tables ------------------------------------------------------------------------------------------ */

static void add_named(struct buf *out, const char *tier, const char *name, uint64_t v)
{
	buf_addf(out, "%s_%s: %llu\n", tier, name, (unsigned long long)v);
}

static void add_files(struct buf *out, const char *tier, const struct tier_stats *s)
{
	add_named(out, tier, "rows", s->rows);
	add_named(out, tier, "bytes", s->bytes);
	add_named(out, tier, "files", s->files);
	add_named(out, tier, "values", s->values);
	if (!s->values || !s->bytes)
		return;
	buf_addf(out, "%s_bytes_per_value: %.3f\n", tier, (double)s->bytes / (double)s->values);
	buf_addf(out, "%s_compression: %.2f\n", tier, 8.0 * (double)s->values / (double)s->bytes);
}

/* From when to when, and how old that is. */
static void add_range(struct buf *out, const char *tier, const struct tier_stats *s, int64_t now_ns)
{
	char key[64];

	if (s->t_min_ns > s->t_max_ns || !s->rows)
		return;
	snprintf(key, sizeof key, "%s_first", tier);
	add_time(out, key, s->t_min_ns);
	snprintf(key, sizeof key, "%s_last", tier);
	add_time(out, key, s->t_max_ns);
	snprintf(key, sizeof key, "%s_oldest_age", tier);
	add_age(out, key, now_ns, s->t_min_ns);
	snprintf(key, sizeof key, "%s_newest_age", tier);
	add_age(out, key, now_ns, s->t_max_ns);
}

/* The memory tier: memtable and runs. */
static struct tier_stats memory_tier(const struct table_stats *s)
{
	const struct tier_stats *a = &s->memtable, *b = &s->runs;

	return (struct tier_stats){
		.rows = a->rows + b->rows,
		.bytes = a->bytes + b->bytes,
		.t_min_ns = MIN(a->t_min_ns, b->t_min_ns),
		.t_max_ns = MAX(a->t_max_ns, b->t_max_ns),
	};
}

static void add_writes(struct buf *out, const struct table_stats *s)
{
	add_count(out, "sealed_rows", s->sealed_rows);
	add_count(out, "sealed_bytes", s->sealed_bytes);
	add_count(out, "rewritten_rows", s->rewritten_rows);
	add_count(out, "rewritten_bytes", s->rewritten_bytes);
	if (!s->sealed_rows || !s->sealed_bytes)
		return;
	buf_addf(out, "write_amplification_rows: %.2f\n",
		 (double)(s->sealed_rows + s->rewritten_rows) / (double)s->sealed_rows);
	buf_addf(out, "write_amplification_bytes: %.2f\n",
		 (double)(s->sealed_bytes + s->rewritten_bytes) / (double)s->sealed_bytes);
}

static void add_failure(struct buf *out, const struct failure *f)
{
	if (f->since_ns)
		add_time(out, "failing_since", f->since_ns);
	if (!f->last_ns)
		return;
	add_time(out, "last_failure_at", f->last_ns);
	buf_addf(out, "last_failure: %s\n", f->text);
	add_count(out, "failures", f->count);
}

int stats_show(struct fs *fs, struct node *n, struct buf *out, struct err *e)
{
	int64_t now = clock_now_ns();
	struct table_stats s;

	table_stats(n->table, &s);
	struct tier_stats memory = memory_tier(&s);
	add_time(out, "created", table_created_ns(n->table));
	add_count(out, "series", s.series);
	add_count(out, "columns", s.columns);
	add_count(out, "series_bytes", s.series_bytes);
	add_count(out, "rows", memory.rows + s.tiles.rows);
	add_count(out, "bytes", memory.bytes + s.tiles.bytes);
	add_count(out, "rows_in", s.rows_in);
	add_count(out, "lines_rejected", s.lines_rejected);
	add_count(out, "memory_rows", memory.rows);
	add_count(out, "memory_bytes", memory.bytes);
	add_range(out, "memory", &memory, now);
	add_count(out, "memtable_rows", s.memtable.rows);
	add_count(out, "memtable_bytes", s.memtable.bytes);
	add_files(out, "run", &s.runs);
	add_files(out, "tile", &s.tiles);
	add_count(out, "tile_dates", s.tile_dates);
	add_count(out, "tile_parts", s.tile_parts);
	add_range(out, "tile", &s.tiles, now);
	add_count(out, "pending_rows", s.pending_rows);
	add_count(out, "pending_late_rows", s.pending_late_rows);
	add_count(out, "pending_dates", s.pending_dates);
	add_count(out, "pending_deletes", s.pending_deletes);
	add_count(out, "pending_delete_files", s.pending_delete_files);
	add_writes(out, &s);
	add_failure(out, &s.failure);
	if (s.expired_before_ns > INT64_MIN)
		add_time(out, "expired_before", s.expired_before_ns);
	return 0;
}
