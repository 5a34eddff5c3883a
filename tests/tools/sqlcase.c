/*
 * sqlcase: runs SQL case files; tests/sql/README.md has the format.
 *
 *	sqlcase [--refresh] [--mode memory|sealed|tiles] FILE...
 *
 * A file is run once for each of its modes, each time in a new data directory. --refresh writes what
 * came out (of the first mode) into the file instead of comparing it: read the diff before keeping it.
 */
#include "engine/ingest.h"
#include "query/func.h"
#include "query/query.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum mode { MODE_MEMORY, MODE_SEALED, MODE_TILES, MODES };
static const char *const mode_names[MODES] = {"memory", "sealed", "tiles"};

struct run {
	const char *file;
	enum mode mode;
	bool is_refresh;
	char dir[64];
	struct engine *engine;
	char default_db[256];
	size_t memory_bytes;
	unsigned line; /* of the directive at hand */
	struct buf fresh; /* --refresh: the file anew */
	bool failed_hard;
};

static unsigned passed, failed;
static int only_mode = -1;

static void report(const struct run *r, const char *what)
{
	failed++;
	printf("FAIL %s:%u (%s): %s\n", r->file, r->line, mode_names[r->mode], what);
}

static void hard(struct run *r, const char *what)
{
	report(r, what);
	r->failed_hard = true;
}

/* ---- text in lines --------------------------------------------------------------------------------- */

struct lines {
	const char *p, *end;
	unsigned number; /* of the line last taken */
};

static bool next_line(struct lines *l, struct str *ret)
{
	if (l->p == l->end)
		return false;
	const char *nl = memchr(l->p, '\n', (size_t)(l->end - l->p));
	ret->ptr = l->p;
	ret->len = (size_t)((nl ? nl : l->end) - l->p);
	l->p = nl ? nl + 1 : l->end;
	l->number++;
	return true;
}

/* Lines up to an empty one or the end, or to a line that is `stop`; true where it was that. */
static bool take_block(struct lines *l, const char *stop, struct buf *out)
{
	struct str line;

	buf_clear(out);
	while (next_line(l, &line)) {
		if (stop && str_is(line, stop))
			return true;
		if (!line.len)
			return false;
		buf_add_str(out, line);
		buf_addc(out, '\n');
	}
	return false;
}

static struct str take_word(struct str *s)
{
	struct str w;

	*s = str_trim(*s);
	w = *s;
	w.len = 0;
	while (w.len < s->len && s->ptr[w.len] != ' ' && s->ptr[w.len] != '\t')
		w.len++;
	s->ptr += w.len;
	s->len -= w.len;
	*s = str_trim(*s);
	return w;
}

/* An empty line of output is written ~ in the file. */
static void mark_empty_lines(struct str text, struct buf *out)
{
	bool at_start = true;

	buf_clear(out);
	for (size_t i = 0; i < text.len; i++) {
		if (at_start && text.ptr[i] == '\n')
			buf_addc(out, '~');
		at_start = text.ptr[i] == '\n';
		buf_addc(out, text.ptr[i]);
	}
	if (!at_start)
		buf_addc(out, '\n');
}

/* ---- the engine ------------------------------------------------------------------------------------- */

static int engine_start(struct run *r)
{
	struct engine_options opt = {.no_background = true, .sync_interval_ns = -1};
	struct err e = {0};

	int rc = engine_open(r->dir, &opt, &r->engine, &e);
	if (rc < 0)
		hard(r, err_text(&e, rc));
	return rc;
}

static int unlink_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static struct db *get_db(struct run *r, struct str name)
{
	struct db *db = engine_db(r->engine, name);
	struct err e = {0};

	if (db)
		return db;
	int rc = engine_db_create(r->engine, name, &db, &e);
	if (rc < 0)
		hard(r, err_text(&e, rc));
	return db;
}

/* "db.table", made where it is not there. The tiles mode lets rows leave memory at once. */
static struct table *get_table(struct run *r, struct str name)
{
	const char *dot = memchr(name.ptr, '.', name.len);
	struct err e = {0};

	if (!dot) {
		hard(r, "a table is named db.table here");
		return NULL;
	}
	struct str db_part = {name.ptr, (size_t)(dot - name.ptr)};
	struct str table_part = {dot + 1, name.len - db_part.len - 1};
	struct db *db = get_db(r, db_part);
	if (!db)
		return NULL;
	struct table *t = db_table(db, table_part);
	if (!t) {
		int rc = db_table_create(db, table_part, &t, &e);
		if (rc >= 0 && r->mode == MODE_TILES)
			rc = table_set(t, SET_RETENTION_MEMORY, STR_LIT("1s"), &e);
		if (rc < 0)
			hard(r, err_text(&e, rc));
	}
	db_put(db);
	return t;
}

static int settle(struct table *t, enum mode mode, struct err *e)
{
	int rc = mode == MODE_MEMORY ? 0 : table_seal(t, e);

	return rc < 0 || mode != MODE_TILES ? rc : table_maintain(t, e);
}

static void load(struct run *r, enum ingest_format format, struct str table, struct str text)
{
	struct table *t = get_table(r, table);
	struct ingest_source src = {.file = r->file, .format = format};
	struct ingest *in = NULL;
	struct err e = {0};

	if (!t)
		return;
	struct db *db = table_db(t);
	int64_t rc = ingest_open(db, t, &src, &in, &e);
	if (rc >= 0 && text.len)
		rc = ingest_write(in, text.ptr, text.len, &e);
	if (rc >= 0)
		rc = ingest_finish(in, &e);
	bool some_rejected = in && ingest_take_rejected(in);
	ingest_close(in);
	if (rc >= 0 && some_rejected) {
		char why[512] = "";
		int64_t n = rejected_read(table_rejected(t), why, sizeof why - 1, 0, NULL);
		why[MAX(n, 0)] = '\0';
		rc = err_set(&e, -EINVAL, "lines were rejected: %s", why);
	}
	if (rc >= 0)
		rc = settle(t, r->mode, &e);
	if (rc < 0)
		hard(r, err_text(&e, (int)rc));
	table_put(t);
}

static void set(struct run *r, struct str args)
{
	struct str table = take_word(&args), name = take_word(&args);
	struct table *t = get_table(r, table);
	struct err e = {0};

	for (int s = 0; t && s < SETTINGS; s++) {
		if (!str_is(name, setting_defs[s].name))
			continue;
		int rc = table_set(t, (enum setting)s, args, &e);
		if (rc < 0)
			hard(r, err_text(&e, rc));
		table_put(t);
		return;
	}
	table_put(t);
	hard(r, "no such setting");
}

static void act(struct run *r, struct str verb, struct str table)
{
	struct err e = {0};
	int rc;

	if (str_is(verb, "reopen")) {
		engine_close(r->engine);
		r->engine = NULL;
		engine_start(r);
		return;
	}
	struct table *t = get_table(r, table);
	if (!t)
		return;
	rc = str_is(verb, "seal") ? table_seal(t, &e) : table_maintain(t, &e);
	if (rc < 0)
		hard(r, err_text(&e, rc));
	table_put(t);
}

static void set_clock(struct run *r, struct str text)
{
	int64_t ns;

	if (timestamp_parse(text, &ns) < 0)
		hard(r, "clock wants YYYY-MM-DD[ HH:MM[:SS]]");
	else
		clock_pin(ns);
}

/* ---- statements ---------------------------------------------------------------------------------------- */

static bool is_change(struct str sql)
{
	struct ast_stmt **v;
	struct arena a;
	uint32_t n = 0;

	arena_init(&a, NULL);
	bool change = sql_parse(&a, sql, &v, &n, NULL) >= 0 && n == 1 && stmt_changes(v[0]);
	arena_release(&a);
	return change;
}

/* What the statement gives, as text; its error where it fails. */
static int execute(struct run *r, struct str sql, enum query_format f, struct buf *out, struct err *e)
{
	struct query_env env = {
		.engine = r->engine,
		.default_db = *r->default_db ? r->default_db : NULL,
		.memory_bytes = r->memory_bytes,
	};
	struct query_text *t;
	struct query *q;

	struct buf reply;
	int64_t rows = -1;
	bool change = is_change(sql);
	int rc = 0;

	buf_clear(out);
	buf_init(&reply, 4096);
	if (change) {
		rc = query_run(&env, sql, &rows, &reply, e);
		sql = buf_str(&reply);
	}
	if (rc < 0 || (change && rows < 0)) {
		buf_release(&reply);
		return rc;
	}
	rc = query_prepare(&env, sql, &q, e);
	buf_release(&reply);
	if (rc >= 0)
		rc = query_text_create(q, f, &t, e);
	if (rc < 0)
		return rc;
	while ((rc = query_text_next(t, out, e)) > 0)
		;
	query_text_destroy(t);
	return rc;
}

static bool matches(struct str want, struct str got)
{
	struct str trimmed = str_trim(want);

	if (str_eq(want, got))
		return true;
	/* An expectation that ends in ... is a beginning. */
	return str_ends(trimmed, "...") && got.len >= trimmed.len - 3 &&
	       !memcmp(trimmed.ptr, got.ptr, trimmed.len - 3);
}

static void print_block(const char *title, struct str text)
{
	struct lines l = {text.ptr, text.ptr + text.len, 0};
	struct str line;

	printf("  %s:\n", title);
	for (int i = 0; next_line(&l, &line); i++) {
		if (i == 60) {
			printf("    ...\n");
			break;
		}
		printf("    %.*s\n", STR_FMT(line));
	}
}

static void statement(struct run *r, struct lines *l, bool wants_error, struct str args)
{
	enum query_format f = QF_CSV;
	struct buf sql, want, got, shown;
	struct err e = {0};

	for (int i = 0; i < QUERY_FORMATS; i++)
		f = str_is(args, query_format_names[i]) ? (enum query_format)i : f;
	buf_init(&sql, 1 << 24);
	buf_init(&want, 1 << 26);
	buf_init(&got, 1 << 28);
	buf_init(&shown, 1 << 28);
	bool has_want = take_block(l, "----", &sql);
	if (has_want)
		take_block(l, NULL, &want);
	int rc = execute(r, buf_str(&sql), f, &got, &e);
	if (rc < 0) {
		buf_clear(&got);
		buf_adds(&got, err_text(&e, rc));
	}
	mark_empty_lines(buf_str(&got), &shown);
	bool ok = (rc < 0) == wants_error && matches(buf_str(&want), buf_str(&shown));
	if (r->is_refresh) {
		buf_add_str(&r->fresh, buf_str(&sql));
		buf_adds(&r->fresh, "----\n");
		bool keep = ok; /* among others the expectations that are beginnings */
		buf_add_str(&r->fresh, keep ? buf_str(&want) : buf_str(&shown));
		buf_addc(&r->fresh, '\n');
		if ((rc < 0) != wants_error)
			report(r, rc < 0 ? "failed, and must not" : "did not fail");
		ok = true;
	}
	if (ok) {
		passed++;
	} else {
		report(r, rc < 0 && !wants_error ? "the statement failed" : "another result");
		print_block("statement", buf_str(&sql));
		print_block("expected", buf_str(&want));
		print_block("got", buf_str(&shown));
	}
	buf_release(&sql);
	buf_release(&want);
	buf_release(&got);
	buf_release(&shown);
}

/* Where " => " stands last in the line. */
static const char *last_arrow(struct str line)
{
	for (size_t i = line.len + 1; i-- > 4;) {
		if (!memcmp(line.ptr + i - 4, " => ", 4))
			return line.ptr + i - 4;
	}
	return NULL;
}

/* One line `expression => cell`: as a TSV cell (\N is NULL), or after ! the sentence of the error. */
static void check_line(struct run *r, struct str line, struct buf *sql, struct buf *got)
{
	const char *arrow = last_arrow(line);
	struct err e = {0};

	if (!arrow) {
		hard(r, "a line of checks is: expression => result");
		return;
	}
	struct str expr = {line.ptr, (size_t)(arrow - line.ptr)};
	struct str want = {arrow + 4, (size_t)(line.ptr + line.len - arrow - 4)};
	buf_clear(sql);
	buf_adds(sql, "SELECT ");
	buf_add_str(sql, expr);
	int rc = execute(r, buf_str(sql), QF_TSV, got, &e);
	if (rc < 0) {
		buf_clear(got);
		buf_addc(got, '!');
		buf_adds(got, err_text(&e, rc));
	} else {
		/* Only the one row, without the header and the last line's end. */
		const char *nl = got->len ? memchr(got->data, '\n', got->len) : NULL;
		size_t skip = nl ? (size_t)(nl + 1 - (const char *)got->data) : 0;
		memmove(got->data, (char *)got->data + skip, got->len - skip);
		got->len -= skip + (got->len > skip);
	}
	bool ok = matches(want, buf_str(got));
	if (r->is_refresh) {
		buf_add_str(&r->fresh, expr);
		buf_adds(&r->fresh, " => ");
		buf_add_str(&r->fresh, ok ? want : buf_str(got));
		buf_addc(&r->fresh, '\n');
		return;
	}
	passed += ok;
	if (!ok) {
		report(r, "another result");
		printf("  %.*s\n    expected %.*s\n    got      %.*s\n", STR_FMT(expr), STR_FMT(want),
		       STR_FMT(buf_str(got)));
	}
}

static void checks(struct run *r, struct lines *l)
{
	struct buf sql, got;
	struct str line;

	buf_init(&sql, 1 << 24);
	buf_init(&got, 1 << 28);
	while (!r->failed_hard && next_line(l, &line) && line.len) {
		r->line = l->number;
		check_line(r, line, &sql, &got);
	}
	if (r->is_refresh)
		buf_addc(&r->fresh, '\n');
	buf_release(&sql);
	buf_release(&got);
}

/* ---- files -------------------------------------------------------------------------------------------------- */

static void directive(struct run *r, struct lines *l, struct str line)
{
	struct str args = line, verb = take_word(&args);
	struct buf block;

	if (str_is(verb, "query") || str_is(verb, "error")) {
		statement(r, l, str_is(verb, "error"), args);
	} else if (str_is(verb, "checks")) {
		checks(r, l);
	} else if (str_is(verb, "load") || str_is(verb, "load-json")) {
		buf_init(&block, 1 << 26);
		take_block(l, NULL, &block);
		load(r, str_is(verb, "load") ? INGEST_LINEPROTO : INGEST_JSONL, take_word(&args), buf_str(&block));
		if (r->is_refresh) {
			buf_add_str(&r->fresh, buf_str(&block));
			buf_addc(&r->fresh, '\n');
		}
		buf_release(&block);
	} else if (str_is(verb, "set")) {
		set(r, args);
	} else if (str_is(verb, "clock")) {
		set_clock(r, args);
	} else if (str_is(verb, "seal") || str_is(verb, "maintain") || str_is(verb, "reopen")) {
		act(r, verb, args);
	} else if (str_is(verb, "default")) {
		snprintf(r->default_db, sizeof r->default_db, "%.*s", STR_FMT(args));
	} else if (str_is(verb, "memory")) {
		uint64_t n = 0;
		if (u64_parse(args, &n) < 0)
			hard(r, "memory wants a number of bytes");
		r->memory_bytes = n;
	} else if (!str_is(verb, "modes")) {
		hard(r, "no such directive");
	}
}

static void run_file(struct run *r, struct str text)
{
	struct lines l = {text.ptr, text.ptr + text.len, 0};
	struct str line;

	snprintf(r->dir, sizeof r->dir, "%.40s/tidefs-sql-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(r->dir)) {
		hard(r, "no temporary directory");
		return;
	}
	clock_pin(0);
	if (engine_start(r) >= 0) {
		while (!r->failed_hard && next_line(&l, &line)) {
			r->line = l.number;
			if (r->is_refresh) {
				buf_add_str(&r->fresh, line);
				buf_addc(&r->fresh, '\n');
			}
			if (line.len && line.ptr[0] != '#')
				directive(r, &l, line);
		}
	}
	if (r->engine)
		engine_close(r->engine);
	clock_pin(0);
	nftw(r->dir, unlink_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The line `modes a b c`: which; all of them is `modes all`; none said is memory. */
static unsigned modes_of(struct str text)
{
	struct lines l = {text.ptr, text.ptr + text.len, 0};
	unsigned modes = 0;
	struct str line;

	while (next_line(&l, &line)) {
		struct str w = take_word(&line);
		if (!str_is(w, "modes"))
			continue;
		while ((w = take_word(&line)).len) {
			for (int m = 0; m < MODES; m++) {
				if (str_is(w, mode_names[m]) || str_is(w, "all"))
					modes |= 1u << m;
			}
		}
	}
	return modes ? modes : 1u << MODE_MEMORY;
}

static int read_file(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "rb");
	char piece[65536];
	size_t n;

	if (!f)
		return -errno;
	while ((n = fread(piece, 1, sizeof piece, f)) > 0)
		buf_add(out, piece, n);
	int rc = ferror(f) ? -EIO : out->rc;
	fclose(f);
	return rc;
}

static int write_file(const char *path, struct str text)
{
	FILE *f = fopen(path, "wb");

	if (!f)
		return -errno;
	size_t n = fwrite(text.ptr, 1, text.len, f);
	return fclose(f) == 0 && n == text.len ? 0 : -EIO;
}

static void run_path(const char *path, bool is_refresh)
{
	struct buf text;

	buf_init(&text, 1 << 28);
	int rc = read_file(path, &text);
	if (rc < 0) {
		failed++;
		printf("FAIL %s: %s\n", path, strerror(-rc));
	}
	unsigned modes = rc < 0 ? 0 : modes_of(buf_str(&text));
	for (int m = 0; m < MODES; m++) {
		if (!(modes >> m & 1) || (only_mode >= 0 && only_mode != m))
			continue;
		struct run r = {.file = path, .mode = (enum mode)m, .is_refresh = is_refresh};
		buf_init(&r.fresh, 1 << 28);
		run_file(&r, buf_str(&text));
		if (is_refresh && !r.failed_hard) {
			/* One empty line ends a block; the last one needs none. */
			while (r.fresh.len > 1 && r.fresh.data[r.fresh.len - 2] == '\n')
				r.fresh.len--;
			rc = write_file(path, buf_str(&r.fresh));
			if (rc < 0)
				printf("FAIL %s: %s\n", path, strerror(-rc));
		}
		buf_release(&r.fresh);
		if (is_refresh)
			break;
	}
	buf_release(&text);
}

int main(int argc, char **argv)
{
	bool is_refresh = false;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--refresh")) {
			is_refresh = true;
		} else if (!strcmp(argv[i], "--mode") && i + 1 < argc) {
			i++;
			for (int m = 0; m < MODES; m++)
				only_mode = strcmp(argv[i], mode_names[m]) ? only_mode : m;
		} else {
			run_path(argv[i], is_refresh);
		}
	}
	printf("%u passed, %u failed\n", passed, failed);
	return failed ? 1 : 0;
}
