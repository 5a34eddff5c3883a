/*
 * settings: the values a table can be told, one text each. Checked here, stored in the catalogue,
 * cached decoded in the table.
 */
#include <stdio.h>

#include "engine/internal.h"

#define DURATION_HINT "a duration such as 90s, 12h, 7d or 10y, from 1s to 200y"

const struct setting_def setting_defs[SETTINGS] = {
	[SET_RETENTION_MEMORY] = {"retention/memory", "6h", DURATION_HINT,
				  "age at which rows move from memory to magnetic/"},
	[SET_RETENTION_MAGNETIC] = {"retention/magnetic", "73000d", DURATION_HINT,
				    "how long rows stay in magnetic/ after that; then they are deleted"},
	[SET_DURABILITY] = {"settings/durability", "buffered", "buffered or sync",
			    "sync: each write survives power loss before it returns"},
	[SET_PRECISION] = {"settings/precision", "ns", "ns, us, ms or s",
			   "unit of the timestamps in ingest"},
	[SET_FUTURE_LIMIT] = {"settings/future_limit", "15m", DURATION_HINT,
			      "how far ahead of now a row may be"},
	[SET_LATE_DATA] = {"settings/late_data", "magnetic", "magnetic or reject",
			   "rows older than retention/memory: store them in magnetic/, or reject them"},
	[SET_ENCODING] = {"settings/encoding", "open", "open or compact",
			  "how tiles are written from now on. open: any Parquet reader opens them; compact: decimal doubles "
			  "as ALP, which takes less; DuckDB, and others that do not know it, refuse the whole file"},
	[SET_PARTITION_KEY] = {"settings/partition_key", PART_KEY_DEFAULT, PART_KEY_ALLOWED,
			       "by what large dates are split into parts; `required`: records without that "
			       "dimension are refused. Names and order can be changed while there are no tiles"},
};

static const struct {
	const char *name;
	int64_t ns;
} precisions[] = {{"ns", 1}, {"us", NS_PER_US}, {"ms", NS_PER_MS}, {"s", NS_PER_S}};

/* 73000 days, the longest retention there is, leaves room in int64 nanoseconds for sums of two. */
#define RETENTION_MAX_NS (INT64_C(73000) * NS_PER_DAY)

static int refuse(enum setting which, struct str value, struct err *e)
{
	const struct setting_def *d = &setting_defs[which];
	return err_set(e, -EINVAL, "%s: '%.*s' is not allowed; write %s", d->name,
		       (int)MIN(value.len, (size_t)60), value.ptr, d->allowed);
}

/* A duration; years count 365 days here. */
static int parse_age(enum setting which, struct str value, int64_t *ret, struct err *e)
{
	struct duration d;

	if (duration_parse(value, &d, NULL) < 0)
		return refuse(which, value, e);
	if (d.is_months) {
		if (d.months % 12 || d.months / 12 > 200)
			return refuse(which, value, e);
		d.ns = d.months / 12 * 365 * NS_PER_DAY;
	}
	if (d.ns < NS_PER_S)
		return refuse(which, value, e);
	if (d.ns > RETENTION_MAX_NS)
		return err_set(e, -EINVAL, "%s: '%.*s' is too long; at most 73000d (200y)",
			       setting_defs[which].name, STR_FMT(value));
	*ret = d.ns;
	return 0;
}

static int parse_choice(enum setting which, struct str value, const char *no, const char *yes, bool *ret,
			struct err *e)
{
	if (!str_is(value, no) && !str_is(value, yes))
		return refuse(which, value, e);
	*ret = str_is(value, yes);
	return 0;
}

static int parse_precision(struct str value, int64_t *ret, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(precisions); i++)
		if (str_is(value, precisions[i].name)) {
			*ret = precisions[i].ns;
			return 0;
		}
	return refuse(SET_PRECISION, value, e);
}

static int parse_key(struct str value, struct part_key **key, struct err *e)
{
	struct part_key *next;
	int rc = part_key_parse(value, &next, e);

	if (rc < 0)
		return err_prefix(e, rc, "%s", setting_defs[SET_PARTITION_KEY].name);
	part_key_put(*key);
	*key = next;
	return 0;
}

int settings_apply(struct settings *s, enum setting which, struct str value, struct err *e)
{
	int rc = -EINVAL;

	value = str_trim(value);
	if (which == SET_PARTITION_KEY)
		return parse_key(value, &s->key, e);
	if (value.len >= sizeof s->text[which])
		return refuse(which, value, e);
	switch (which) {
	case SET_RETENTION_MEMORY:
		rc = parse_age(which, value, &s->retention_memory_ns, e);
		break;
	case SET_RETENTION_MAGNETIC:
		rc = parse_age(which, value, &s->retention_magnetic_ns, e);
		break;
	case SET_FUTURE_LIMIT:
		rc = parse_age(which, value, &s->future_limit_ns, e);
		break;
	case SET_DURABILITY:
		rc = parse_choice(which, value, "buffered", "sync", &s->is_sync, e);
		break;
	case SET_LATE_DATA:
		rc = parse_choice(which, value, "magnetic", "reject", &s->late_reject, e);
		break;
	case SET_ENCODING:
		rc = parse_choice(which, value, "open", "compact", &s->is_compact, e);
		break;
	case SET_PRECISION:
		rc = parse_precision(value, &s->precision_ns, e);
		break;
	case SET_PARTITION_KEY:
	case SETTINGS:
		break;
	}
	if (rc < 0)
		return rc;
	memcpy(s->text[which], value.ptr, value.len);
	s->text[which][value.len] = '\0';
	return 0;
}

static void settings_text(const struct settings *s, enum setting which, char to[SETTING_TEXT_MAX])
{
	if (which == SET_PARTITION_KEY)
		part_key_format(s->key, to);
	else
		snprintf(to, SETTING_TEXT_MAX, "%s", s->text[which]);
}

int settings_init(struct settings *s)
{
	int rc = 0;

	*s = (struct settings){0};
	for (int i = 0; i < SETTINGS && rc >= 0; i++)
		rc = settings_apply(s, (enum setting)i, str_from(setting_defs[i].dflt), NULL);
	return rc;
}

void settings_release(struct settings *s)
{
	part_key_put(s->key);
	s->key = NULL;
}

/* a - b without overflow: far enough back means the beginning of time. */
static int64_t minus(int64_t a, int64_t b)
{
	int64_t r;
	return __builtin_sub_overflow(a, b, &r) ? INT64_MIN : r;
}

int64_t settings_memory_edge(const struct settings *s, int64_t now_ns)
{
	return minus(now_ns, s->retention_memory_ns);
}

int64_t settings_expiry_edge(const struct settings *s, int64_t now_ns)
{
	return minus(settings_memory_edge(s, now_ns), s->retention_magnetic_ns);
}

/* ---- of a table ---------------------------------------------------------------------------------------- */

struct loading {
	struct settings *s;
	struct err *e;
};

static int load_one(void *ctx, const char *name, const char *value)
{
	struct loading *l = ctx;

	for (int i = 0; i < SETTINGS; i++) {
		if (strcmp(setting_defs[i].name, name) != 0)
			continue;
		int rc = settings_apply(l->s, (enum setting)i, str_from(value), l->e);
		/* Tiles lie by the key: another one than theirs would look for rows where they are not. */
		if (rc < 0 && i == SET_PARTITION_KEY)
			return err_prefix(l->e, rc == -EINVAL ? -EBADMSG : rc, "the stored value");
	}
	/* A name that this version does not know, or a value it no longer allows, leaves the default. */
	return 0;
}

int settings_load(struct settings *s, struct catalog *cat, uint32_t table_id, struct err *e)
{
	struct loading l = {s, e};

	return catalog_settings(cat, table_id, load_one, &l, e);
}

int table_load_settings(struct table *t, struct err *e)
{
	int rc = settings_init(&t->settings);

	if (rc < 0)
		return err_set(e, rc, "out of memory");
	rc = settings_load(&t->settings, t->db->cat, t->meta.id, e);
	if (rc >= 0 && series_parts_create(t->series, t->settings.key, &t->parts) < 0)
		rc = err_set(e, -ENOMEM, "out of memory");
	return rc;
}

void table_setting(struct table *t, enum setting s, char to[SETTING_TEXT_MAX])
{
	pthread_mutex_lock(&t->mu);
	settings_text(&t->settings, s, to);
	pthread_mutex_unlock(&t->mu);
}

/* Has it tiles; only_split: of dates with several parts? A part that is all of its date is so by any key. */
static bool has_tiles(struct table *t, bool only_split)
{
	struct file_set *set = table_pin_files(t);
	bool has = false;

	for (uint32_t i = 0; i < set->n && !has; i++)
		has = set->v[i]->meta.kind == CATALOG_TILE && (!only_split || set->v[i]->meta.parts != 1);
	file_set_put(set);
	return has;
}

/* May the table get this key? *ret_parts: what says where series belong from now on; NULL: as before. */
static int check_key(struct table *t, struct part_key *now, struct part_key *next, bool is_restored,
		     struct series_parts **ret_parts, struct err *e)
{
	char text[SETTING_TEXT_MAX];
	int rc = 0;

	*ret_parts = NULL;
	if (part_key_spreads_alike(now, next))
		return 0;
	part_key_format(now, text);
	if (has_tiles(t, is_restored))
		return err_set(e, -EINVAL,
			       "settings/partition_key: names and order are fixed once the table has tiles (they are '%.200s'); "
			       "only required and optional can be changed",
			       text);
	for (uint32_t i = 0; i < next->dim_count && rc >= 0; i++)
		rc = series_check_dimension(t->series, next->dims[i].name, e);
	if (rc < 0)
		return err_prefix(e, rc, "settings/partition_key");
	return series_parts_create(t->series, next, ret_parts) < 0 ? err_set(e, -ENOMEM, "out of memory") : 0;
}

/* The settings as they would be. *next, *ret_parts: given, also where it fails. */
static int stage(struct table *t, enum setting which, struct str value, bool is_restored, struct settings *next,
		 struct series_parts **ret_parts, struct err *e)
{
	struct part_key *key;

	*ret_parts = NULL;
	pthread_mutex_lock(&t->mu);
	*next = t->settings;
	key = part_key_get(next->key);
	next->key = part_key_get(key);
	pthread_mutex_unlock(&t->mu);
	int rc = settings_apply(next, which, value, e);
	if (rc >= 0 && which == SET_PARTITION_KEY)
		rc = check_key(t, key, next->key, is_restored, ret_parts, e);
	part_key_put(key);
	return rc;
}

int table_check_restored(struct table *t, enum setting which, struct str value, struct err *e)
{
	struct series_parts *parts;
	struct settings next;
	int rc = stage(t, which, value, true, &next, &parts, e);

	series_parts_put(parts);
	settings_release(&next);
	return rc;
}

/* The catalogue first, then what is in memory, which cannot fail. For a partition key: under maint_mu. */
static int store(struct table *t, enum setting which, struct str value, bool is_restored, struct err *e)
{
	struct series_parts *parts;
	struct settings next;
	char text[SETTING_TEXT_MAX];
	int rc = stage(t, which, value, is_restored, &next, &parts, e);

	if (rc >= 0) {
		settings_text(&next, which, text);
		rc = catalog_setting_set(t->db->cat, t->meta.id, setting_defs[which].name, text, e);
	}
	if (rc < 0) {
		settings_release(&next);
		series_parts_put(parts);
		return rc;
	}
	pthread_mutex_lock(&t->mu);
	if (which == SET_PARTITION_KEY) {
		struct part_key *was = t->settings.key;
		t->settings.key = next.key;
		next.key = was;
		t->key_version++;
		if (parts) {
			struct series_parts *old = t->parts;
			t->parts = parts;
			parts = old;
		}
	} else {
		/* Others may have been set meanwhile: this one alone. */
		(void)!settings_apply(&t->settings, which, str_from(text), NULL);
	}
	pthread_mutex_unlock(&t->mu);
	settings_release(&next);
	series_parts_put(parts);
	return 0;
}

static int set(struct table *t, enum setting which, struct str value, bool is_restored, struct err *e)
{
	int rc = table_check_alive(t, e);

	if (rc < 0)
		return rc;
	if (which == SET_PARTITION_KEY) {
		/* No tile comes or goes meanwhile, and no other key. */
		pthread_mutex_lock(&t->maint_mu);
		rc = store(t, which, value, is_restored, e);
		pthread_mutex_unlock(&t->maint_mu);
	} else {
		rc = store(t, which, value, is_restored, e);
	}
	if (rc < 0)
		return rc;
	if (which == SET_RETENTION_MEMORY || which == SET_RETENTION_MAGNETIC) {
		/* Written by a person who sees the clock: that confirms it. */
		db_confirm_clock(t->db);
		atomic_store(&t->force_migrate, true);
		db_wake(t->db);
	}
	table_note_change(t);
	return 0;
}

int table_set(struct table *t, enum setting which, struct str value, struct err *e)
{
	return set(t, which, value, false, e);
}

int table_set_restored(struct table *t, enum setting which, struct str value, struct err *e)
{
	return set(t, which, value, true, e);
}

struct part_key *table_part_key(struct table *t)
{
	pthread_mutex_lock(&t->mu);
	struct part_key *k = part_key_get(t->settings.key);
	pthread_mutex_unlock(&t->mu);
	return k;
}

struct series_parts *table_parts(struct table *t)
{
	pthread_mutex_lock(&t->mu);
	struct series_parts *p = series_parts_get(t->parts);
	pthread_mutex_unlock(&t->mu);
	return p;
}

void table_window(struct table *t, struct table_window *ret)
{
	int64_t now = clock_now_ns(), hi;

	pthread_mutex_lock(&t->mu);
	const struct settings *s = &t->settings;
	int64_t expiry = MAX(settings_expiry_edge(s, now), t->meta.expired_before_ns);
	int64_t memory = settings_memory_edge(s, now);
	if (__builtin_add_overflow(now, s->future_limit_ns, &hi))
		hi = INT64_MAX;
	*ret = (struct table_window){.hi_ns = hi, .precision_ns = s->precision_ns};
	ret->lo_is_memory = s->late_reject && memory > expiry;
	ret->lo_ns = MAX(ret->lo_is_memory ? memory : expiry, 0); /* nothing before 1970 */
	ret->key_version = t->key_version;
	pthread_mutex_unlock(&t->mu);
}
