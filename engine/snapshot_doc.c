/*
 * snapshot_doc: snapshot.json. Read strictly where something is said (a column of an unknown type
 * must not be lost silently), and with patience for members that a later version may add.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/json.h"
#include "engine/snapshot.h"

#define DOC_BYTES_MAX ((size_t)256 << 20)

static const char *const kind_names[] = {
	[COLKIND_DIMENSION] = "dimension",
	[COLKIND_MEASURE] = "measure",
	[COLKIND_MEASURE_VALUE] = "measure_value",
};

/* ---- the document -------------------------------------------------------------------------------- */

void snap_doc_init(struct snap_doc *d)
{
	*d = (struct snap_doc){0};
	arena_init(&d->arena, NULL);
}

void snap_doc_release(struct snap_doc *d)
{
	arena_release(&d->arena);
	*d = (struct snap_doc){0};
}

/* Room for one more; outgrown arrays stay in the arena, at most as large as the last one. */
static void *add(struct arena *a, void *array, size_t size, uint32_t *n, uint32_t *cap)
{
	void **v = array;

	if (*n == *cap) {
		uint32_t more = MAX(*cap * 2, 4u);
		void *to = arena_alloc(a, size * more);
		if (!to)
			return NULL;
		if (*n)
			memcpy(to, *v, size * *n);
		*v = to;
		*cap = more;
	}
	return memset((char *)*v + size * (*n)++, 0, size);
}

struct snap_table *snap_add_table(struct snap_doc *d)
{
	return add(&d->arena, &d->tables, sizeof *d->tables, &d->table_n, &d->table_cap);
}

struct snap_column *snap_add_column(struct snap_doc *d, struct snap_table *t)
{
	return add(&d->arena, &t->columns, sizeof *t->columns, &t->column_n, &t->column_cap);
}

struct snap_tile *snap_add_tile(struct snap_doc *d, struct snap_table *t)
{
	return add(&d->arena, &t->tiles, sizeof *t->tiles, &t->tile_n, &t->tile_cap);
}

struct snap_attr *snap_add_attr(struct snap_doc *d, struct snap_table *t)
{
	return add(&d->arena, &t->attrs, sizeof *t->attrs, &t->attr_n, &t->attr_cap);
}

const struct snap_table *snap_find(const struct snap_doc *d, struct str table)
{
	for (uint32_t i = 0; i < d->table_n; i++)
		if (str_eq(d->tables[i].name, table))
			return &d->tables[i];
	return NULL;
}

/* ---- writing ---------------------------------------------------------------------------------------- */

static void print_settings(const struct snap_table *t, struct buf *out)
{
	const char *sep = "";

	buf_adds(out, "      \"settings\": {");
	for (int s = 0; s < SETTINGS; s++) {
		if (!t->settings[s].ptr)
			continue;
		buf_addf(out, "%s\n        \"%s\": ", sep, setting_defs[s].name);
		json_add_string(out, t->settings[s]);
		sep = ",";
	}
	buf_addf(out, "%s},\n", *sep ? "\n      " : "");
}

static void print_attrs(const struct snap_table *t, struct buf *out)
{
	buf_adds(out, "      \"permissions\": {");
	for (uint32_t i = 0; i < t->attr_n; i++) {
		const struct node_attr *a = &t->attrs[i].attr;
		const char *sep = "";
		buf_adds(out, i ? ",\n        " : "\n        ");
		json_add_string(out, t->attrs[i].path);
		buf_adds(out, ": {");
		if (a->mode != UINT32_MAX) {
			buf_addf(out, "\"mode\": \"%04o\"", a->mode & 07777);
			sep = ", ";
		}
		if (a->uid != UINT32_MAX) {
			buf_addf(out, "%s\"uid\": %u", sep, a->uid);
			sep = ", ";
		}
		if (a->gid != UINT32_MAX)
			buf_addf(out, "%s\"gid\": %u", sep, a->gid);
		buf_addc(out, '}');
	}
	buf_addf(out, "%s},\n", t->attr_n ? "\n      " : "");
}

static void print_table(const struct snap_table *t, struct buf *out)
{
	buf_adds(out, "    {\n      \"name\": ");
	json_add_string(out, t->name);
	buf_adds(out, ",\n      \"id\": \"");
	for (size_t i = 0; i < sizeof t->uuid; i++)
		buf_addf(out, "%02x", t->uuid[i]);
	buf_addf(out, "\",\n      \"rows\": %llu,\n", (unsigned long long)t->rows);
	print_settings(t, out);
	print_attrs(t, out);
	buf_adds(out, "      \"columns\": [");
	for (uint32_t i = 0; i < t->column_n; i++) {
		buf_adds(out, i ? ",\n        {\"name\": " : "\n        {\"name\": ");
		json_add_string(out, t->columns[i].name);
		buf_addf(out, ", \"type\": \"%s\", \"kind\": \"%s\"}", coltype_name(t->columns[i].type),
			 kind_names[t->columns[i].kind]);
	}
	buf_addf(out, "%s],\n      \"tiles\": [", t->column_n ? "\n      " : "");
	for (uint32_t i = 0; i < t->tile_n; i++) {
		buf_adds(out, i ? ",\n        {\"path\": " : "\n        {\"path\": ");
		json_add_string(out, t->tiles[i].path);
		buf_addf(out, ", \"rows\": %llu, \"bytes\": %llu}", (unsigned long long)t->tiles[i].rows,
			 (unsigned long long)t->tiles[i].bytes);
	}
	buf_addf(out, "%s]\n    }", t->tile_n ? "\n      " : "");
}

void snap_doc_print(const struct snap_doc *d, struct buf *out)
{
	char when[TIMESTAMP_TEXT_LEN];

	timestamp_format(when, d->created_ns);
	buf_addf(out, "{\n  \"format\": \"" SNAPSHOT_FORMAT "\",\n  \"version\": %d,\n  \"database\": ", SNAPSHOT_VERSION);
	json_add_string(out, d->database);
	buf_addf(out, ",\n  \"created\": \"%.*s\",\n  \"created_ns\": %lld,\n  \"tables\": [", TIMESTAMP_TEXT_LEN, when,
		 (long long)d->created_ns);
	for (uint32_t i = 0; i < d->table_n; i++) {
		buf_adds(out, i ? ",\n" : "\n");
		print_table(&d->tables[i], out);
	}
	buf_addf(out, "%s]\n}\n", d->table_n ? "\n  " : "");
}

/* ---- reading ------------------------------------------------------------------------------------------ */

struct parse {
	struct json j;
	struct snap_doc *d;
	struct str text;
	struct err *e;
	struct snap_table *t;   /* at hand */
	struct snap_column *c;
	struct snap_tile *tile;
	struct snap_attr *attr;
};

/* What an object may have. Others are passed over: a later version may know them. */
struct member {
	const char *name;
	enum json_kind kind;
	bool required;
	int (*take)(struct parse *p, const struct json_value *v);
};

static int refuse_at(struct parse *p, size_t at, const char *fmt, ...) printf_like(3, 4);

static int refuse_at(struct parse *p, size_t at, const char *fmt, ...)
{
	size_t line, column;
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	json_where(p->text, at, &line, &column);
	return err_set(p->e, -EINVAL, FILE_SNAPSHOT " line %zu column %zu: %s", line, column, what);
}

#define refuse(p, v, ...) refuse_at((p), (v)->at, __VA_ARGS__)

static int no_memory(struct parse *p)
{
	return err_set(p->e, -ENOMEM, "out of memory for " FILE_SNAPSHOT);
}

/* Strings of the reader do not outlive the next text. */
static int keep(struct parse *p, struct str s, struct str *ret)
{
	*ret = arena_str(&p->d->arena, s);
	return ret->ptr ? 0 : no_memory(p);
}

static int take_u64(struct parse *p, const struct json_value *v, uint64_t max, uint64_t *ret)
{
	uint64_t n;

	if (!v->is_integer || u64_parse(v->text, &n) < 0 || n > max)
		return refuse(p, v, "'%.*s' is not a whole number from 0 to %llu", (int)MIN(v->text.len, (size_t)40),
			      v->text.ptr, (unsigned long long)max);
	*ret = n;
	return 0;
}

static int read_object(struct parse *p, const struct json_value *object, const char *what,
		       const struct member *members, size_t n)
{
	uint32_t seen = 0;
	struct json_value name, v;
	int rc;

	while ((rc = json_member(&p->j, &name)) > 0) {
		size_t i = 0;
		while (i < n && !str_is(name.text, members[i].name))
			i++;
		rc = json_value(&p->j, &v);
		if (rc >= 0 && i == n) {
			rc = json_skip(&p->j, &v);
		} else if (rc >= 0) {
			seen |= UINT32_C(1) << i;
			rc = v.kind == members[i].kind
				     ? members[i].take(p, &v)
				     : refuse(p, &v, "'%s' of %s is %s here, and must be %s", members[i].name, what,
					      json_kind_name(v.kind), json_kind_name(members[i].kind));
		}
		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < n && rc >= 0; i++)
		if (members[i].required && !(seen >> i & 1))
			rc = refuse(p, object, "%s has no '%s'", what, members[i].name);
	return rc;
}

/* Elements that are objects, one call each. */
static int read_array(struct parse *p, const char *what, int (*one)(struct parse *p, const struct json_value *v))
{
	struct json_value v;
	int rc;

	while ((rc = json_element(&p->j)) > 0) {
		rc = json_value(&p->j, &v);
		if (rc >= 0 && v.kind != JSON_OBJECT)
			rc = refuse(p, &v, "%s is %s here, and must be an object", what, json_kind_name(v.kind));
		if (rc >= 0)
			rc = one(p, &v);
		if (rc < 0)
			return rc;
	}
	return rc;
}

/* -- a column -- */

static int column_name(struct parse *p, const struct json_value *v)
{
	return keep(p, v->text, &p->c->name);
}

static int column_type(struct parse *p, const struct json_value *v)
{
	for (unsigned t = COL_BIGINT; coltype_known(t); t++)
		if (str_is(v->text, coltype_name((enum coltype)t))) {
			p->c->type = (enum coltype)t;
			return 0;
		}
	return refuse(p, v, "'%.*s' is not a type: bigint, double, boolean, varchar and timestamp are",
		      (int)MIN(v->text.len, (size_t)40), v->text.ptr);
}

static int column_kind(struct parse *p, const struct json_value *v)
{
	for (unsigned k = COLKIND_DIMENSION; k < ARRAY_LEN(kind_names); k++)
		if (str_is(v->text, kind_names[k])) {
			p->c->kind = (enum colkind)k;
			return 0;
		}
	return refuse(p, v, "'%.*s' is not a kind: dimension, measure and measure_value are",
		      (int)MIN(v->text.len, (size_t)40), v->text.ptr);
}

static int read_column(struct parse *p, const struct json_value *v)
{
	static const struct member members[] = {
		{"name", JSON_STRING, true, column_name},
		{"type", JSON_STRING, true, column_type},
		{"kind", JSON_STRING, true, column_kind},
	};

	if (p->t->column_n >= COLUMNS_MAX)
		return refuse(p, v, "a table has at most %d columns", COLUMNS_MAX);
	p->c = snap_add_column(p->d, p->t);
	return p->c ? read_object(p, v, "a column", members, ARRAY_LEN(members)) : no_memory(p);
}

static int table_columns(struct parse *p, const struct json_value *v)
{
	return read_array(p, "a column", read_column);
}

/* -- a tile -- */

static int tile_path(struct parse *p, const struct json_value *v)
{
	return keep(p, v->text, &p->tile->path);
}

static int tile_rows(struct parse *p, const struct json_value *v)
{
	return take_u64(p, v, UINT64_MAX, &p->tile->rows);
}

static int tile_bytes(struct parse *p, const struct json_value *v)
{
	return take_u64(p, v, INT64_MAX, &p->tile->bytes);
}

static int read_tile(struct parse *p, const struct json_value *v)
{
	static const struct member members[] = {
		{"path", JSON_STRING, true, tile_path},
		{"rows", JSON_NUMBER, true, tile_rows},
		{"bytes", JSON_NUMBER, true, tile_bytes},
	};

	p->tile = snap_add_tile(p->d, p->t);
	return p->tile ? read_object(p, v, "a tile", members, ARRAY_LEN(members)) : no_memory(p);
}

static int table_tile_list(struct parse *p, const struct json_value *v)
{
	return read_array(p, "a tile", read_tile);
}

/* -- owner and mode -- */

static int attr_mode(struct parse *p, const struct json_value *v)
{
	uint32_t mode = 0;

	for (size_t i = 0; i < v->text.len; i++) {
		unsigned char c = (unsigned char)v->text.ptr[i];
		if (c < '0' || c > '7' || i > 3)
			return refuse(p, v, "a mode is up to four octal digits, such as \"0750\"");
		mode = mode * 8 + (c - '0');
	}
	p->attr->attr.mode = mode & 0777;
	return 0;
}

static int attr_id(struct parse *p, const struct json_value *v, uint32_t *ret)
{
	uint64_t id = 0;
	int rc = take_u64(p, v, UINT32_MAX - 1, &id);

	if (rc >= 0)
		*ret = (uint32_t)id;
	return rc;
}

static int attr_uid(struct parse *p, const struct json_value *v)
{
	return attr_id(p, v, &p->attr->attr.uid);
}

static int attr_gid(struct parse *p, const struct json_value *v)
{
	return attr_id(p, v, &p->attr->attr.gid);
}

static int table_permissions(struct parse *p, const struct json_value *object)
{
	static const struct member members[] = {
		{"mode", JSON_STRING, false, attr_mode},
		{"uid", JSON_NUMBER, false, attr_uid},
		{"gid", JSON_NUMBER, false, attr_gid},
	};
	struct json_value name, v;
	int rc;

	while ((rc = json_member(&p->j, &name)) > 0) {
		p->attr = snap_add_attr(p->d, p->t);
		if (!p->attr)
			return no_memory(p);
		p->attr->attr = (struct node_attr){UINT32_MAX, UINT32_MAX, UINT32_MAX};
		rc = keep(p, name.text, &p->attr->path);
		if (rc >= 0)
			rc = json_value(&p->j, &v);
		if (rc >= 0 && v.kind != JSON_OBJECT)
			rc = refuse(p, &v, "permissions are %s here, and must be an object", json_kind_name(v.kind));
		if (rc >= 0)
			rc = read_object(p, &v, "permissions", members, ARRAY_LEN(members));
		if (rc < 0)
			return rc;
	}
	return rc;
}

/* -- a table -- */

static int table_name_text(struct parse *p, const struct json_value *v)
{
	for (uint32_t i = 0; i + 1 < p->d->table_n; i++)
		if (str_eq(p->d->tables[i].name, v->text))
			return refuse(p, v, "the table '%.*s' is there twice", (int)MIN(v->text.len, (size_t)255),
				      v->text.ptr);
	return keep(p, v->text, &p->t->name);
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int table_id(struct parse *p, const struct json_value *v)
{
	for (size_t i = 0; i < sizeof p->t->uuid; i++) {
		int hi = v->text.len == 32 ? hex_digit(v->text.ptr[2 * i]) : -1;
		int lo = v->text.len == 32 ? hex_digit(v->text.ptr[2 * i + 1]) : -1;
		if (hi < 0 || lo < 0)
			return refuse(p, v, "an id is 32 hexadecimal digits");
		p->t->uuid[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

static int table_rows(struct parse *p, const struct json_value *v)
{
	return take_u64(p, v, UINT64_MAX, &p->t->rows);
}

static int table_settings(struct parse *p, const struct json_value *object)
{
	struct json_value name, v;
	int rc;

	while ((rc = json_member(&p->j, &name)) > 0) {
		int s = 0;
		while (s < SETTINGS && !str_is(name.text, setting_defs[s].name))
			s++;
		if (s == SETTINGS)
			return refuse(p, &name, "there is no setting '%.*s'", (int)MIN(name.text.len, (size_t)60),
				      name.text.ptr);
		rc = json_value(&p->j, &v);
		if (rc >= 0 && v.kind != JSON_STRING)
			rc = refuse(p, &v, "a setting is %s here, and must be a string", json_kind_name(v.kind));
		if (rc >= 0)
			rc = keep(p, v.text, &p->t->settings[s]);
		if (rc < 0)
			return rc;
	}
	return rc;
}

static int read_table(struct parse *p, const struct json_value *v)
{
	static const struct member members[] = {
		{"name", JSON_STRING, true, table_name_text},
		{"id", JSON_STRING, false, table_id},
		{"rows", JSON_NUMBER, false, table_rows},
		{"settings", JSON_OBJECT, false, table_settings},
		{"permissions", JSON_OBJECT, false, table_permissions},
		{"columns", JSON_ARRAY, false, table_columns},
		{"tiles", JSON_ARRAY, false, table_tile_list},
	};

	p->t = snap_add_table(p->d);
	return p->t ? read_object(p, v, "a table", members, ARRAY_LEN(members)) : no_memory(p);
}

/* -- the whole -- */

static int doc_format(struct parse *p, const struct json_value *v)
{
	return str_is(v->text, SNAPSHOT_FORMAT) ? 0 : refuse(p, v, "this is not a snapshot of tidefs");
}

static int doc_version(struct parse *p, const struct json_value *v)
{
	uint64_t version = 0;
	int rc = take_u64(p, v, UINT64_MAX, &version);

	if (rc >= 0 && version != SNAPSHOT_VERSION)
		rc = refuse(p, v, "version %llu is not known; this tidefs knows %d", (unsigned long long)version,
			    SNAPSHOT_VERSION);
	return rc;
}

static int doc_database(struct parse *p, const struct json_value *v)
{
	return keep(p, v->text, &p->d->database);
}

static int doc_created(struct parse *p, const struct json_value *v)
{
	int64_t ns;

	if (i64_parse(v->text, &ns) < 0)
		return refuse(p, v, "'created_ns' is a time in nanoseconds since 1970");
	p->d->created_ns = ns;
	return 0;
}

static int doc_tables(struct parse *p, const struct json_value *v)
{
	return read_array(p, "a table", read_table);
}

int snap_doc_parse(struct snap_doc *d, struct str text, struct err *e)
{
	static const struct member members[] = {
		{"format", JSON_STRING, true, doc_format},
		{"version", JSON_NUMBER, true, doc_version},
		{"database", JSON_STRING, false, doc_database},
		{"created_ns", JSON_NUMBER, false, doc_created},
		{"tables", JSON_ARRAY, true, doc_tables},
	};
	struct parse p = {.d = d, .text = text, .e = e};
	struct err why = {0};
	struct json_value v;

	json_init(&p.j);
	int rc = json_start(&p.j, text, &why);
	if (rc >= 0)
		rc = json_value(&p.j, &v);
	if (rc >= 0 && v.kind != JSON_OBJECT)
		rc = refuse(&p, &v, "a snapshot is an object, and this is %s", json_kind_name(v.kind));
	if (rc >= 0)
		rc = read_object(&p, &v, "a snapshot", members, ARRAY_LEN(members));
	if (rc >= 0)
		rc = json_finish(&p.j);
	if (rc < 0 && why.code) /* the text is no JSON: the reader's sentence */
		rc = rc == -EINVAL ? refuse_at(&p, p.j.at, "%.400s", why.text) : no_memory(&p);
	json_release(&p.j);
	return rc < 0 ? rc : 0;
}

int snap_doc_load(struct snap_doc *d, const struct io *io, int dirfd, const char *dir, struct err *e)
{
	char path[600];
	struct buf text;
	struct stat st;

	buf_init(&text, DOC_BYTES_MAX);
	snprintf(path, sizeof path, "%s/" FILE_SNAPSHOT, dir);
	int fd = io->openat(io, dirfd, path, O_RDONLY | O_NOFOLLOW, 0);
	int rc = fd < 0 ? fd : io->fstat(io, fd, &st);
	if (rc >= 0 && (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > DOC_BYTES_MAX))
		rc = -EFBIG;
	char *to = rc >= 0 ? buf_reserve(&text, (size_t)st.st_size + 1) : NULL;
	if (rc >= 0)
		rc = to ? io_pread_exact(io, fd, to, (size_t)st.st_size, 0) : -ENOMEM;
	if (fd >= 0)
		io->close(io, fd);
	if (rc < 0) {
		err_set(e, rc, "%s: %s", path, strerror(-rc));
	} else {
		text.len = (size_t)st.st_size;
		rc = snap_doc_parse(d, buf_str(&text), e);
		if (rc < 0)
			rc = err_prefix(e, rc == -EINVAL ? -EBADMSG : rc, "%s", dir);
	}
	buf_release(&text);
	return rc;
}
