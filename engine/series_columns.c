/*
 * Columns of a set, and the naming rules of the data model.
 *
 * Columns are few and looked up by every new series, so they are indexed by their name in ASCII lower
 * case: one look answers both "is it there" and "is there one that differs by case alone". The latter
 * is refused because many readers of Parquet files compare names without case.
 */
#include "engine/series_set.h"

#include <stdlib.h>

/* Columns that every table has, and those that tiles add: no column may differ from them by case. */
static const char *const reserved[] = {
	"time", "measure_name", "measure_value", "ts_nanos", "ts_version", "ts_date", "ts_part",
};

static const char *const prefixes[] = {"ts_", "measure_name", "measure_value"};

static const char *kind_name(enum colkind k)
{
	return k == COLKIND_DIMENSION ? "dimension" : "measure";
}

/* U+0000..U+001F, U+2028 and U+2029 are not allowed in a dimension's name, nor is '"'. */
static bool has_control(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == '"')
			return true;
		if (s.len - i >= 3 && (memcmp(s.ptr + i, "\xE2\x80\xA8", 3) == 0 ||
				       memcmp(s.ptr + i, "\xE2\x80\xA9", 3) == 0))
			return true;
	}
	return false;
}

/* What holds for columns and measure names alike. `what` begins the sentence. */
static int check_common(struct str name, const char *what, size_t max, struct err *e)
{
	if (!name.len)
		return err_set(e, -EINVAL, "%s name is empty", what);
	if (name.len > max)
		return err_set(e, -EINVAL, "%s name '%.*s...' is %zu bytes long; %zu are allowed",
			       what, 40, name.ptr, name.len, max);
	if (!utf8_valid(name) || memchr(name.ptr, '\0', name.len))
		return err_set(e, -EINVAL, "%s name is not valid UTF-8 text", what);
	if (memchr(name.ptr, ':', name.len))
		return err_set(e, -EINVAL, "%s name '%.*s' contains ':', which is not allowed", what,
			       STR_FMT(name));
	return 0;
}

static int check_measure_value(struct str name, enum coltype type, struct err *e)
{
	const char *tn = coltype_name(type);
	size_t head = strlen("measure_value::");

	if (type == COL_TIMESTAMP || !str_starts(name, "measure_value::") ||
	    !str_is((struct str){name.ptr + head, name.len - head}, tn))
		return err_set(e, -EINVAL, "'%.*s' is not the column of single measures of type %s",
			       STR_FMT(name), tn);
	return 0;
}

int column_check(struct str name, enum colkind kind, enum coltype type, struct err *e)
{
	if (kind == COLKIND_MEASURE_VALUE)
		return check_measure_value(name, type, e);

	const char *what = kind_name(kind);
	int rc = check_common(name, what, COLUMN_NAME_MAX, e);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (str_starts(name, prefixes[i]))
			return err_set(e, -EINVAL, "%s name '%.*s' begins with '%s', which is reserved",
				       what, STR_FMT(name), prefixes[i]);
	for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
		if (str_ieq(name, str_from(reserved[i])))
			return err_set(e, -EINVAL, "%s name '%.*s' is reserved (column '%s')", what,
				       STR_FMT(name), reserved[i]);
	if (kind == COLKIND_DIMENSION && has_control(name))
		return err_set(e, -EINVAL,
			       "dimension name '%.*s' contains a control character or '\"'",
			       STR_FMT(name));
	return 0;
}

int series_check_measure_name(struct str name, struct err *e)
{
	int rc = check_common(name, "measure", MEASURE_NAME_MAX, e);

	if (rc < 0)
		return rc;
	if (str_is(name, "time"))
		return err_set(e, -EINVAL, "measure name 'time' is reserved");
	if (str_starts(name, "ts_") || str_starts(name, "measure_value"))
		return err_set(e, -EINVAL, "measure name '%.*s' begins with '%s', which is reserved",
			       STR_FMT(name), name.ptr[0] == 't' ? "ts_" : "measure_value");
	return 0;
}

static uint32_t folded_hash(const struct series_set *s, struct str name)
{
	char low[COLUMN_NAME_MAX];
	size_t n = MIN(name.len, sizeof low);

	for (size_t i = 0; i < n; i++) {
		char c = name.ptr[i];
		low[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
	}
	return hash32(s, low, n);
}

int64_t column_find_folded(const struct series_set *s, struct str name)
{
	uint32_t hash = folded_hash(s, name), i, id;

	IDX_EACH(&s->by_column_name, hash, i, id)
		if (str_ieq(column_slot(s, id)->pub.name, name))
			return id;
	return -1;
}

uint32_t series_column_count(const struct series_set *s)
{
	return segs_count(&s->columns);
}

const struct column *series_column(const struct series_set *s, uint32_t id)
{
	return &column_slot(s, id)->pub;
}

int64_t series_find_column(const struct series_set *s, struct str name)
{
	pthread_rwlock_rdlock((pthread_rwlock_t *)&s->lock);
	int64_t id = column_find_folded(s, name);
	pthread_rwlock_unlock((pthread_rwlock_t *)&s->lock);
	return id >= 0 && str_eq(series_column(s, (uint32_t)id)->name, name) ? id : -ENOENT;
}

int column_reserve(struct series_set *s, uint32_t columns, size_t text_bytes)
{
	int rc = segs_reserve(&s->columns, columns);

	if (rc == 0)
		rc = idx_reserve(&s->by_column_name, columns);
	if (rc == 0)
		rc = pool_reserve(&s->text, text_bytes);
	return rc;
}

uint32_t column_push(struct series_set *s, struct str name, enum colkind kind, enum coltype type,
		     struct names *dict)
{
	uint32_t id = segs_count(&s->columns);
	struct column_slot *slot = segs_at(&s->columns, id);
	char *text = pool_take(&s->text, name.len);

	memcpy(text, name.ptr, name.len);
	slot->pub = (struct column){id, kind, type, {text, name.len}};
	slot->dict = dict;
	atomic_init(&slot->chain, NULL);
	idx_put(&s->by_column_name, folded_hash(s, name), id);
	segs_publish(&s->columns);
	return id;
}

/* Does the column that is there (or differs by case) suit? Its id, -1 where none is, or an error. */
static int64_t check_existing(const struct series_set *s, const struct column_spec *c,
			      struct err *e)
{
	int64_t id = column_find_folded(s, c->name);

	if (id < 0)
		return -1;
	const struct column *old = series_column(s, (uint32_t)id);
	if (!str_eq(old->name, c->name))
		return err_set(e, -EINVAL, "column '%.*s' differs only by case from column '%.*s'",
			       STR_FMT(c->name), STR_FMT(old->name));
	if (old->kind != c->kind && old->kind == COLKIND_MEASURE_VALUE) {
		/* Its name is of a kind that nobody else may give. */
		int rc = column_check(c->name, c->kind, c->type, e);
		if (rc < 0)
			return rc;
	}
	if (old->kind != c->kind)
		return err_set(e, -EEXIST, "column '%.*s' is a %s and cannot be a %s too",
			       STR_FMT(c->name), kind_name(old->kind), kind_name(c->kind));
	if (old->type != c->type)
		return err_set(e, -EEXIST, "column '%.*s' is %s, and a %s was offered",
			       STR_FMT(c->name), coltype_name(old->type), coltype_name(c->type));
	return id;
}

int series_check_dimension(const struct series_set *s, struct str name, struct err *e)
{
	struct column_spec spec = {name, COLKIND_DIMENSION, COL_VARCHAR};
	int rc = column_check(name, spec.kind, spec.type, e);

	if (rc < 0 || !s)
		return rc;
	pthread_rwlock_rdlock((pthread_rwlock_t *)&s->lock);
	int64_t id = check_existing(s, &spec, e);
	pthread_rwlock_unlock((pthread_rwlock_t *)&s->lock);
	return id < -1 ? -EINVAL : 0;
}

/* New names must not clash among themselves either: equal, or equal but for case. */
static int check_twins(const struct column_spec *specs, const int64_t *ids, uint32_t i,
		       struct err *e)
{
	for (uint32_t j = 0; j < i; j++) {
		if (ids[j] >= 0 || !str_ieq(specs[i].name, specs[j].name))
			continue;
		if (str_eq(specs[i].name, specs[j].name))
			return err_set(e, -EINVAL, "column '%.*s' is named twice",
				       STR_FMT(specs[i].name));
		return err_set(e, -EINVAL, "column '%.*s' differs only by case from column '%.*s'",
			       STR_FMT(specs[i].name), STR_FMT(specs[j].name));
	}
	return 0;
}

/* ids[i] = -1 marks a column to be made. Everything that can fail happens before the first is. */
static int add_columns(struct series_set *s, const struct column_spec *specs, uint32_t n,
		       int64_t *ids, uint32_t *ret_bad, struct err *e)
{
	uint32_t fresh = 0, dims = 0, made = 0;
	size_t text = 0;

	for (uint32_t i = 0; i < n; i++) {
		*ret_bad = i;
		ids[i] = check_existing(s, &specs[i], e);
		if (ids[i] < -1)
			return (int)ids[i];
		if (ids[i] >= 0)
			continue;
		int rc = column_check(specs[i].name, specs[i].kind, specs[i].type, e);
		if (rc == 0 && specs[i].kind == COLKIND_DIMENSION && specs[i].type != COL_VARCHAR)
			rc = err_set(e, -EINVAL, "dimension '%.*s' must be varchar",
				     STR_FMT(specs[i].name));
		if (rc == 0)
			rc = check_twins(specs, ids, i, e);
		if (rc < 0)
			return rc;
		fresh++;
		if (fresh > COLUMNS_MAX - series_column_count(s))
			return err_set(e, -E2BIG, "column '%.*s' would be one more than %d",
				       STR_FMT(specs[i].name), COLUMNS_MAX);
		dims += specs[i].kind == COLKIND_DIMENSION;
		text += specs[i].name.len;
	}
	if (!fresh)
		return 0;

	struct names **dicts = calloc(dims + 1, sizeof *dicts);
	int rc = dicts ? column_reserve(s, fresh, text) : -ENOMEM;
	for (uint32_t i = 0; rc == 0 && i < dims; i++)
		if (!(dicts[i] = names_create()))
			rc = -ENOMEM;
	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		bool is_dim = specs[i].kind == COLKIND_DIMENSION;
		if (ids[i] >= 0)
			continue;
		ids[i] = column_push(s, specs[i].name, specs[i].kind, specs[i].type,
				     is_dim ? dicts[made] : NULL);
		if (is_dim)
			dicts[made++] = NULL;
	}
	for (uint32_t i = 0; dicts && i < dims; i++)
		free(dicts[i]);
	free(dicts);
	return rc < 0 ? err_set(e, rc, "columns: %s", strerror(-rc)) : 0;
}

int series_add_columns(struct series_set *s, const struct column_spec *specs, uint32_t n,
		       uint32_t *ret_ids, uint32_t *ret_bad, struct err *e)
{
	uint32_t bad = 0;
	int64_t few[64];
	int64_t *ids = n <= ARRAY_LEN(few) ? few : malloc(n * sizeof *ids);

	if (!ids)
		return err_set(e, -ENOMEM, "out of memory");
	pthread_rwlock_wrlock(&s->lock);
	int rc = add_columns(s, specs, n, ids, &bad, e);
	pthread_rwlock_unlock(&s->lock);
	if (rc < 0 && ret_bad)
		*ret_bad = bad;
	for (uint32_t i = 0; rc == 0 && i < n; i++)
		ret_ids[i] = (uint32_t)ids[i];
	if (ids != few)
		free(ids);
	return rc;
}

int64_t series_add_column(struct series_set *s, struct str name, enum colkind kind,
			  enum coltype type, struct err *e)
{
	struct column_spec spec = {name, kind, type};
	uint32_t id;
	int rc = series_add_columns(s, &spec, 1, &id, NULL, e);

	return rc < 0 ? rc : (int64_t)id;
}
