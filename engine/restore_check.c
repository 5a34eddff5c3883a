/*
 * restore_check: everything that can be found wrong with a tile by looking, before anything is changed
 * for it.
 *
 * tile_verify() proves that the file is as some writer made it, but that need not have been this
 * program: so what it says is held against the rules for names, values and versions, too.
 */
#include "engine/restore_impl.h"

#define DIMENSIONS_BYTES_MAX ((size_t)1 << 20) /* of one series: what a line could bring */

/* ---- times ----------------------------------------------------------------------------------------------- */

static int check_times(struct intake *in, struct err *e)
{
	struct table_window w;
	char at[TIMESTAMP_TEXT_LEN], edge[TIMESTAMP_TEXT_LEN];

	table_window(in->t, &w);
	/* late_data is about what sensors send: who restores old rows knows that they are old. */
	pthread_mutex_lock(&in->t->mu);
	int64_t expired = settings_expiry_edge(&in->t->settings, clock_now_ns());
	in->lo_ns = MAX(MAX(expired, in->t->meta.expired_before_ns), 0);
	pthread_mutex_unlock(&in->t->mu);
	if (!in->info->rows)
		return err_set(e, -EINVAL, "%s: has no rows", in->name);
	timestamp_format(at, in->info->t_max);
	if (in->info->t_max < in->lo_ns) {
		timestamp_format(edge, in->lo_ns);
		return err_set(e, -EINVAL,
			       "%s: all rows are older than the table keeps: the last is of %.*s, and what is before "
			       "%.*s is expired; see retention/",
			       in->name, TIMESTAMP_TEXT_LEN, at, TIMESTAMP_TEXT_LEN, edge);
	}
	if (in->info->t_max >= w.hi_ns) {
		timestamp_format(edge, w.hi_ns);
		return err_set(e, -EINVAL,
			       "%s: has a row of %.*s, which is too far in the future; settings/future_limit allows "
			       "rows before %.*s",
			       in->name, TIMESTAMP_TEXT_LEN, at, TIMESTAMP_TEXT_LEN, edge);
	}
	return 0;
}

/* ---- series ---------------------------------------------------------------------------------------------- */

int identities_init(struct intake *in, struct identities *ids)
{
	ids->dims = arena_zarray(&in->arena, struct col, in->info->dim_count + 1);
	ids->values = arena_array(&in->arena, struct dim_value, in->info->dim_count + 1);
	return ids->dims && ids->values ? 0 : -ENOMEM;
}

int identities_read(struct intake *in, uint32_t page, struct identities *ids, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; i <= in->info->dim_count && rc >= 0; i++)
		rc = tile_read_dim(in->tile, i, page, &in->page, &ids->dims[i], e);
	return rc;
}

/*
 * What the measure name is bound to is not written in tiles; it shows: a record of one measure has its
 * value in measure_value::<type>, and one of many has none there.
 */
static enum measure_type type_of(const struct intake *in, const struct col *cols, uint32_t row)
{
	for (uint32_t i = 0; i < in->single_n; i++) {
		const struct col *c = &cols[in->singles[i]];
		if (!c->valid || c->valid[row])
			return (enum measure_type)in->info->fields[in->singles[i]].type;
	}
	return MEASURE_MULTI;
}

static int check_measure(struct intake *in, uint32_t series, struct str name, struct err *e)
{
	const struct series_set *set = in->t->series;
	int rc = name.len ? series_check_measure_name(name, e) : 0;

	if (rc < 0)
		return err_prefix(e, rc, "%s: series %u", in->name, series);
	int64_t code = series_dict_find(set, SERIES_MEASURE, name);
	enum measure_type bound = code < 0 ? in->types[series] : series_measure_type(set, (uint32_t)code);
	if (bound != in->types[series])
		return err_set(e, -EINVAL,
			       "%s: does not fit this table: measure name '%.*s' is bound to %s, and the file has "
			       "records of %s",
			       in->name, STR_FMT(name), measure_type_name(bound), measure_type_name(in->types[series]));
	return 0;
}

static int check_identity(struct intake *in, uint32_t series, const struct identities *ids, uint32_t row,
			  struct err *e)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < in->info->dim_count; i++) {
		const struct col *c = &ids->dims[i];
		struct str v = c->str[row];
		if (c->valid && !c->valid[row])
			continue;
		bytes += v.len;
		const char *wrong = !v.len		      ? "empty"
				    : bytes > DIMENSIONS_BYTES_MAX ? "too long"
				    : !utf8_valid(v)		      ? "not valid UTF-8 text"
								      : NULL;
		if (wrong)
			return err_set(e, -EINVAL, "%s: series %u: the value of dimension '%.*s' is %s", in->name,
				       series, STR_FMT(in->info->dims[i]), wrong);
	}
	return check_measure(in, series, ids->dims[in->info->dim_count].str[row], e);
}

/* All rows of a series are of the type that its first row showed. */
static int check_type(const struct intake *in, uint32_t series, const struct col *cols, uint32_t from, uint32_t end,
		      struct err *e)
{
	enum measure_type type = in->types[series];

	for (uint32_t i = 0; i < in->single_n; i++) {
		const struct col *c = &cols[in->singles[i]];
		bool is_its = (enum measure_type)c->type == type;
		for (uint32_t row = from; row < end; row++)
			if ((!c->valid || c->valid[row]) != is_its)
				return err_set(e, -EINVAL, "%s: series %u has records of %s and others", in->name,
					       series, measure_type_name(type));
	}
	return 0;
}

/* ---- rows ------------------------------------------------------------------------------------------------ */

/* What other ways into the database do not let pass. */
static int check_texts(const struct intake *in, uint64_t row0, uint32_t field, const struct col *c, uint32_t n,
		       struct err *e)
{
	for (uint32_t i = 0; i < n; i++)
		if ((!c->valid || c->valid[i]) && !utf8_valid(c->str[i]))
			return err_set(e, -EINVAL, "%s: row %llu: the text of column '%.*s' is not valid UTF-8",
				       in->name, (unsigned long long)(row0 + i),
				       STR_FMT(in->info->fields[field].name));
	return 0;
}

/* A tile's rows are whole, and have versions from 1 on. A run's may be patches, which have 0. */
static int check_versions(const struct intake *in, uint64_t row0, const int64_t *version, uint32_t n, struct err *e)
{
	for (uint32_t i = 0; i < n; i++)
		if (version[i] < (in->info->codec != TILE_CODEC_NONE))
			return err_set(e, -EINVAL, "%s: row %llu has the impossible version %lld", in->name,
				       (unsigned long long)(row0 + i), (long long)version[i]);
	return 0;
}

/* Columns of which something could be wrong: texts, and measure_value::<type>. */
static int check_page(struct intake *in, uint32_t page, uint32_t n, int64_t *version, struct col *cols, struct err *e)
{
	uint64_t row0 = tile_page_row(in->tile, page);
	int rc = 0;

	arena_reset(&in->page);
	if (in->info->has_version)
		rc = tile_read_version(in->tile, page, version, e);
	if (rc >= 0 && in->info->has_version)
		rc = check_versions(in, row0, version, n, e);
	for (uint32_t f = 0, k = 0; f < in->info->field_count && rc >= 0; f++) {
		bool is_single = k < in->single_n && in->singles[k] == f;
		bool is_text = in->info->fields[f].type == COL_VARCHAR;
		k += is_single;
		if (is_single || is_text)
			rc = tile_read_field(in->tile, f, page, &in->page, &cols[f], e);
		if (rc >= 0 && is_text)
			rc = check_texts(in, row0, f, &cols[f], n, e);
	}
	return rc;
}

static int check_rows(struct intake *in, struct err *e)
{
	const struct tile_info *info = in->info;
	const struct tile_series *ts = tile_series(in->tile);
	struct col *cols = arena_zarray(&in->arena, struct col, info->field_count + 1);
	int64_t *version = arena_array(&in->arena, int64_t, TILE_PAGE_ROWS_MAX);
	struct identities ids;
	uint32_t s = 0;
	int rc = identities_init(in, &ids);

	in->types = arena_array(&in->arena, enum measure_type, info->series_count + 1);
	in->singles = arena_array(&in->arena, uint32_t, info->field_count + 1);
	if (rc < 0 || !cols || !version || !in->types || !in->singles)
		return restore_no_memory(in, e);
	for (uint32_t f = 0; f < info->field_count; f++)
		if (is_single_name(info->fields[f].name))
			in->singles[in->single_n++] = f;
	for (uint32_t p = 0; p < info->page_count && rc >= 0; p++) {
		uint64_t first = tile_page_row(in->tile, p), end = tile_page_row(in->tile, p + 1);
		rc = check_page(in, p, (uint32_t)(end - first), version, cols, e);
		for (bool has_read = false; rc >= 0 && s < info->series_count && ts[s].row0 < end; s++) {
			uint64_t from = MAX(ts[s].row0, first), to = MIN(ts[s].row0 + ts[s].rows, end);
			if (from == ts[s].row0) {
				rc = has_read ? 0 : identities_read(in, p, &ids, e);
				has_read = true;
				in->types[s] = type_of(in, cols, (uint32_t)(from - first));
				if (rc >= 0)
					rc = check_identity(in, s, &ids, (uint32_t)(from - first), e);
			}
			if (rc >= 0)
				rc = check_type(in, s, cols, (uint32_t)(from - first), (uint32_t)(to - first), e);
			if (ts[s].row0 + ts[s].rows > end)
				break; /* goes on in the next page */
		}
	}
	return rc;
}

int restore_check(struct intake *in, struct err *e)
{
	int rc = tile_verify(in->tile, e);

	if (rc >= 0)
		rc = check_times(in, e);
	return rc < 0 ? rc : check_rows(in, e);
}
