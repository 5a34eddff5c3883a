/*
 * settings: the values a table can be told, one text each. Checked here, stored in the catalogue,
 * cached decoded in the table.
 */
#include <stdio.h>

#include "engine/internal.h"

#define DURATION_HINT "a duration such as 90s, 12h, 7d or 10y, at least 1s"

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

int settings_apply(struct settings *s, enum setting which, struct str value, struct err *e)
{
	int rc = -EINVAL;

	value = str_trim(value);
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
	case SET_PRECISION:
		rc = parse_precision(value, &s->precision_ns, e);
		break;
	case SETTINGS:
		break;
	}
	if (rc < 0)
		return rc;
	memcpy(s->text[which], value.ptr, value.len);
	s->text[which][value.len] = '\0';
	return 0;
}

void settings_init(struct settings *s)
{
	*s = (struct settings){0};
	for (int i = 0; i < SETTINGS; i++)
		(void)!settings_apply(s, (enum setting)i, str_from(setting_defs[i].dflt), NULL);
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

static int load_one(void *ctx, const char *name, const char *value)
{
	struct settings *s = ctx;

	/* A name that this version does not know, or a value it no longer allows, leaves the default. */
	for (int i = 0; i < SETTINGS; i++)
		if (strcmp(setting_defs[i].name, name) == 0)
			(void)!settings_apply(s, (enum setting)i, str_from(value), NULL);
	return 0;
}

int table_load_settings(struct table *t, struct err *e)
{
	settings_init(&t->settings);
	return catalog_settings(t->db->cat, t->meta.id, load_one, &t->settings, e);
}

void table_setting(struct table *t, enum setting s, char *to)
{
	pthread_mutex_lock(&t->mu);
	snprintf(to, 64, "%s", t->settings.text[s]);
	pthread_mutex_unlock(&t->mu);
}

int table_set(struct table *t, enum setting which, struct str value, struct err *e)
{
	struct settings next;
	int rc = table_check_alive(t, e);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&t->mu);
	next = t->settings;
	pthread_mutex_unlock(&t->mu);
	rc = settings_apply(&next, which, value, e);
	if (rc >= 0)
		rc = catalog_setting_set(t->db->cat, t->meta.id, setting_defs[which].name,
					 next.text[which], e);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&t->mu);
	(void)!settings_apply(&t->settings, which, str_from(next.text[which]), NULL);
	pthread_mutex_unlock(&t->mu);
	if (which == SET_RETENTION_MEMORY || which == SET_RETENTION_MAGNETIC) {
		/* Written by a person who sees the clock: that confirms it. */
		db_confirm_clock(t->db);
		atomic_store(&t->force_migrate, true);
		db_wake(t->db);
	}
	table_note_change(t);
	return 0;
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
	pthread_mutex_unlock(&t->mu);
}
