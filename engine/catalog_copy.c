/*
 * catalog_copy: what the catalogue says of one table, as text beside the table's files, and back again. The
 * catalogue is the only place that knows which files count and what a table is called; a copy of that for
 * each table, and one for the database itself (id 0: owners and modes, its age), are what fsck makes a lost
 * catalogue from. Nothing else reads them.
 *
 *	{
 *	"about": "...",
 *	"format": 1,                                    as the catalogue's
 *	"rows": [
 *	["tables",3,"cpu",{"hex":"5d2c..."},170,...],   the part, and its columns in their order
 *	["files",7,3,1,"runs/...",...],
 *	...
 *	],
 *	"left_out": 0,                                  deletions that were too large for it
 *	"crc32c": "0c41fa22"                            of all bytes before this line
 *	}
 *
 * Copies are written by whoever is told of a change (catalog_on_change()): after the commit, and before
 * anything is removed that only the state before it needed. So a copy that is one change behind, as a
 * crash may leave it, still names files that are all there.
 */
#include "engine/catalog_sql.h"
#include "engine/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ABOUT                                                                                                           \
	"what the catalogue says of this, for `tidefs fsck --repair` to make a lost catalogue anew; nothing else reads it"
#define RANGES_MAX  (64 << 10) /* of a deletion that is copied */
#define COLUMNS_MAX 32
#define CRC_LINE    "\"crc32c\": \"" /* then 8 digits, and */
#define CRC_END     "\"\n}\n"
#define TAIL_BYTES  (sizeof CRC_LINE - 1 + 8 + sizeof CRC_END - 1)

/* ---- printing ---------------------------------------------------------------------------------- */

static void print_value(struct buf *out, sqlite3_stmt *st, int i)
{
	static const char digits[] = "0123456789abcdef";
	int n = sqlite3_column_bytes(st, i);
	const uint8_t *p;

	switch (sqlite3_column_type(st, i)) {
	case SQLITE_INTEGER:
		buf_addf(out, "%lld", (long long)sqlite3_column_int64(st, i));
		break;
	case SQLITE_TEXT:
		json_add_string(out, (struct str){(const char *)sqlite3_column_text(st, i), (size_t)n});
		break;
	default: /* a blob; no column holds anything else */
		p = sqlite3_column_blob(st, i);
		buf_adds(out, "{\"hex\":\"");
		for (int k = 0; k < n; k++) {
			buf_addc(out, digits[p[k] >> 4]);
			buf_addc(out, digits[p[k] & 15]);
		}
		buf_adds(out, "\"}");
	}
}

static int print_part(struct catalog *c, const struct catalog_part *part, uint32_t table_id, struct buf *out, bool *first,
		      struct err *e)
{
	char sql[640];
	sqlite3_stmt *st;

	const char *where = table_id ? part->of_table : part->of_database;
	if (!where)
		return 0;
	snprintf(sql, sizeof sql, "SELECT %s FROM %s WHERE %s ORDER BY 1, 2", part->columns, part->table, where);
	int rc = sqlite3_prepare_v2(c->db, sql, -1, &st, NULL);
	if (rc == SQLITE_OK && sqlite3_bind_parameter_count(st))
		rc = sqlite3_bind_int64(st, 1, table_id);
	while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		buf_addf(out, "%s[\"%s\"", *first ? "" : ",\n", part->table);
		*first = false;
		for (int i = 0; i < sqlite3_column_count(st); i++) {
			buf_addc(out, ',');
			print_value(out, st, i);
		}
		buf_addc(out, ']');
		rc = SQLITE_OK;
	}
	int done = rc == SQLITE_DONE ? 0 : catalog_fail(c, rc, "cannot be copied", e);
	sqlite3_finalize(st);
	return done;
}

static int count(struct catalog *c, const char *sql, uint32_t table_id, int64_t *ret, struct err *e)
{
	sqlite3_stmt *st;
	int rc = sqlite3_prepare_v2(c->db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(st, 1, table_id);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	int done = rc == SQLITE_ROW ? 0 : catalog_fail(c, rc, "cannot be copied", e);
	sqlite3_finalize(st);
	return done;
}

int catalog_copy_print(struct catalog *c, uint32_t table_id, struct buf *out, struct err *e)
{
	char large[160];
	int64_t tables = 1, left_out = 0;
	bool first = true;
	int rc = 0;

	pthread_mutex_lock(&c->mu);
	if (table_id)
		rc = count(c, "SELECT count(*) FROM tables WHERE id = ?1", table_id, &tables, e);
	if (rc == 0 && !tables)
		rc = err_set(e, -ENOENT, "catalogue '%s': there is no table with id %u", c->path, table_id);
	snprintf(large, sizeof large, "SELECT count(*) FROM tombs WHERE table_id = ?1 AND length(ranges) > %d", RANGES_MAX);
	if (rc == 0)
		rc = count(c, large, table_id, &left_out, e);
	size_t begin = out->len;
	buf_addf(out, "{\n\"about\": \"%s\",\n\"format\": %d,\n\"rows\": [\n", ABOUT, CATALOG_FORMAT);
	for (size_t i = 0; i < catalog_part_count && rc == 0; i++)
		rc = print_part(c, &catalog_parts[i], table_id, out, &first, e);
	pthread_mutex_unlock(&c->mu);
	buf_addf(out, "\n],\n\"left_out\": %lld,\n", (long long)left_out);
	if (rc == 0 && out->rc == 0)
		buf_addf(out, CRC_LINE "%08" PRIx32 CRC_END, crc32c(0, out->data + begin, out->len - begin));
	return rc == 0 && out->rc < 0 ? err_set(e, out->rc, "no memory for a copy of the catalogue '%s'", c->path) : rc;
}

/* ---- reading ----------------------------------------------------------------------------------- */

struct reading {
	struct catalog *c;
	struct json j;
	struct err *e;
	uint8_t *blob; /* of the row at hand */
	size_t blob_len, blob_cap;
};

static int malformed(struct reading *r, const char *what)
{
	return err_set(r->e, -EBADMSG, "byte %zu: %s", r->j.at, what);
}

static const struct catalog_part *find_part(struct str name)
{
	for (size_t i = 0; i < catalog_part_count; i++)
		if (str_is(name, catalog_parts[i].table))
			return &catalog_parts[i];
	return NULL;
}

static int count_columns(const struct catalog_part *part)
{
	int n = 1;

	for (const char *p = part->columns; *p; p++)
		n += *p == ',';
	return n;
}

static int prepare_insert(struct reading *r, const struct catalog_part *part, sqlite3_stmt **ret)
{
	char sql[1024], marks[COLUMNS_MAX * 5] = "?1";
	int n = count_columns(part);

	for (int i = 2; i <= n; i++)
		snprintf(marks + strlen(marks), sizeof marks - strlen(marks), ", ?%d", i);
	snprintf(sql, sizeof sql, "INSERT INTO %s(%s, crc) VALUES(%s, crc(%s))", part->table, part->columns, marks, marks);
	int rc = sqlite3_prepare_v2(r->c->db, sql, -1, ret, NULL);
	return rc == SQLITE_OK ? 0 : catalog_fail(r->c, rc, "cannot take a copy", r->e);
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* {"hex":"..."}, of which the brace was read. */
static int read_blob(struct reading *r)
{
	struct json_value v;
	int rc = json_member(&r->j, &v);

	if (rc == 1 && !str_is(v.text, "hex"))
		return malformed(r, "no bytes in hex");
	if (rc == 1)
		rc = json_value(&r->j, &v);
	if (rc < 0)
		return rc;
	if (v.kind != JSON_STRING || v.text.len % 2)
		return malformed(r, "no bytes in hex");
	if (v.text.len / 2 + 1 > r->blob_cap) {
		uint8_t *p = realloc(r->blob, v.text.len / 2 + 1);
		if (!p)
			return -ENOMEM;
		r->blob = p;
		r->blob_cap = v.text.len / 2 + 1;
	}
	r->blob_len = v.text.len / 2;
	for (size_t i = 0; i < r->blob_len; i++) {
		int hi = hex_digit(v.text.ptr[2 * i]), lo = hex_digit(v.text.ptr[2 * i + 1]);
		if (hi < 0 || lo < 0)
			return malformed(r, "no bytes in hex");
		r->blob[i] = (uint8_t)(hi << 4 | lo);
	}
	rc = json_member(&r->j, &v);
	return rc == 1 ? malformed(r, "no bytes in hex") : rc;
}

static int bind(struct reading *r, sqlite3_stmt *st, int i)
{
	struct json_value v;
	char number[32];
	int rc = json_value(&r->j, &v);

	if (rc < 0)
		return rc;
	if (v.kind == JSON_NUMBER && v.is_integer && v.text.len < sizeof number) {
		memcpy(number, v.text.ptr, v.text.len);
		number[v.text.len] = '\0';
		rc = sqlite3_bind_int64(st, i, strtoll(number, NULL, 10));
	} else if (v.kind == JSON_STRING) {
		rc = sqlite3_bind_text64(st, i, v.text.ptr, v.text.len, SQLITE_TRANSIENT, SQLITE_UTF8);
	} else if (v.kind == JSON_OBJECT) {
		rc = read_blob(r);
		if (rc < 0)
			return rc;
		rc = sqlite3_bind_blob64(st, i, r->blob, r->blob_len, SQLITE_TRANSIENT);
	} else {
		return malformed(r, "a value of no kind that a catalogue holds");
	}
	return rc == SQLITE_OK ? 0 : catalog_fail(r->c, rc, "cannot take a copy", r->e);
}

/* One row, of which the bracket was read. */
static int read_row(struct reading *r)
{
	const struct catalog_part *part = NULL;
	sqlite3_stmt *st = NULL;
	struct json_value v;
	int n = 0, rc = json_element(&r->j);

	if (rc == 1)
		rc = json_value(&r->j, &v);
	if (rc >= 0 && v.kind == JSON_STRING)
		part = find_part(v.text);
	if (rc >= 0)
		rc = part ? prepare_insert(r, part, &st) : malformed(r, "a row of nothing that a catalogue has");
	while (rc >= 0 && (rc = json_element(&r->j)) == 1)
		rc = n++ < count_columns(part) ? bind(r, st, n) : malformed(r, "a row with too many columns");
	if (rc >= 0 && n < count_columns(part))
		rc = malformed(r, "a row with too few columns");
	if (rc >= 0) {
		rc = sqlite3_step(st);
		rc = rc == SQLITE_DONE ? 0 : catalog_fail(r->c, rc, "cannot take a copy", r->e);
	}
	sqlite3_finalize(st);
	return rc;
}

static int read_rows(struct reading *r)
{
	struct json_value v;
	int rc;

	while ((rc = json_element(&r->j)) == 1) {
		rc = json_value(&r->j, &v);
		if (rc >= 0)
			rc = v.kind == JSON_ARRAY ? read_row(r) : malformed(r, "a row is expected");
		if (rc < 0)
			return rc;
	}
	return rc;
}

static int read_member(struct reading *r, struct str name, uint32_t *ret_left_out)
{
	struct json_value v;
	int rc = json_value(&r->j, &v);

	if (rc < 0)
		return rc;
	if (str_is(name, "rows") && v.kind == JSON_ARRAY)
		return read_rows(r);
	if (str_is(name, "format") && (v.kind != JSON_NUMBER || atoi(v.text.ptr) != CATALOG_FORMAT))
		return err_set(r->e, -EMEDIUMTYPE, "it has another format than %d", CATALOG_FORMAT);
	if (str_is(name, "left_out") && v.kind == JSON_NUMBER)
		*ret_left_out = (uint32_t)atoi(v.text.ptr);
	return json_skip(&r->j, &v);
}

static int read_all(struct reading *r, struct str text, uint32_t *ret_left_out)
{
	struct json_value v;
	char name[16];
	int rc = json_start(&r->j, text, r->e);

	if (rc >= 0)
		rc = json_value(&r->j, &v);
	if (rc >= 0 && v.kind != JSON_OBJECT)
		rc = malformed(r, "no object");
	while (rc >= 0 && (rc = json_member(&r->j, &v)) == 1) {
		snprintf(name, sizeof name, "%.*s", (int)MIN(v.text.len, sizeof name - 1), v.text.ptr);
		rc = read_member(r, str_from(name), ret_left_out);
	}
	return rc < 0 ? rc : json_finish(&r->j);
}

static int check_crc(struct str text, struct err *e)
{
	char tail[TAIL_BYTES + 1];

	if (text.len <= TAIL_BYTES)
		return err_set(e, -EBADMSG, "it is cut off");
	size_t n = text.len - TAIL_BYTES;
	snprintf(tail, sizeof tail, CRC_LINE "%08" PRIx32 CRC_END, crc32c(0, text.ptr, n));
	return memcmp(tail, text.ptr + n, TAIL_BYTES) == 0 ? 0 : err_set(e, -EBADMSG, "its checksum is wrong, or it is cut off");
}

int catalog_copy_read(struct catalog *c, struct str text, uint32_t *ret_left_out, struct err *e)
{
	struct reading r = {.c = c, .e = e};
	uint32_t left_out = 0;
	int rc = check_crc(text, e);

	if (rc == 0)
		rc = catalog_begin(c, e);
	if (rc < 0)
		return rc;
	json_init(&r.j);
	rc = read_all(&r, text, &left_out);
	rc = rc == -EINVAL || rc == -EEXIST ? -EBADMSG : rc; /* malformed, or against what is there */
	json_release(&r.j);
	free(r.blob);
	if (rc < 0) {
		catalog_abort(c);
		return rc == -ENOMEM ? err_set(e, rc, "out of memory") : rc;
	}
	rc = catalog_commit(c, e);
	if (rc == 0)
		*ret_left_out = left_out;
	return rc;
}

/* ---- who is told of changes ---------------------------------------------------------------------- */

void catalog_on_change(struct catalog *c, catalog_changed_fn *fn, void *ctx)
{
	pthread_mutex_lock(&c->mu);
	c->changed = fn;
	c->changed_ctx = ctx;
	pthread_mutex_unlock(&c->mu);
}

void catalog_touch(struct catalog *c, uint32_t table_id)
{
	for (uint32_t i = 0; i < c->touched_n; i++)
		if (c->touched[i] == table_id)
			return;
	if (c->touched_n == c->touched_cap) {
		uint32_t cap = MAX(c->touched_cap * 2, 8u);
		uint32_t *p = realloc(c->touched, cap * sizeof *p);
		if (!p)
			return; /* its copy is behind until its next change */
		c->touched = p;
		c->touched_cap = cap;
	}
	c->touched[c->touched_n++] = table_id;
}

/* The table that `which` finds for a key, or 0. */
static void touch_found(struct catalog *c, enum catalog_stmt which, int64_t id, struct str name)
{
	int rc;
	sqlite3_stmt *st = c->changed ? catalog_stmt(c, which, &rc, NULL) : NULL;

	if (!st)
		return;
	if (name.ptr)
		sqlite3_bind_text(st, 1, name.ptr, (int)name.len, SQLITE_STATIC);
	else
		sqlite3_bind_int64(st, 1, id);
	uint32_t table = sqlite3_step(st) == SQLITE_ROW ? (uint32_t)sqlite3_column_int64(st, 0) : 0;
	catalog_done(c, st);
	catalog_touch(c, table);
}

void catalog_touch_file(struct catalog *c, uint64_t file_id)
{
	touch_found(c, STMT_FILE_TABLE, (int64_t)file_id, (struct str){NULL, 0});
}

void catalog_touch_tomb(struct catalog *c, uint64_t tomb_id)
{
	touch_found(c, STMT_TOMB_TABLE, (int64_t)tomb_id, (struct str){NULL, 0});
}

void catalog_touch_path(struct catalog *c, const char *path)
{
	touch_found(c, STMT_TABLE_ID, 0, (struct str){path, strcspn(path, "/")});
}

void catalog_tell(struct catalog *c, bool committed)
{
	uint32_t n = c->touched_n;

	c->touched_n = 0;
	for (uint32_t i = 0; i < n && committed && c->changed; i++)
		c->changed(c->changed_ctx, c->touched[i]);
}
