#include "engine/part_key.h"

#include <stdlib.h>

#include "engine/series.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void skip_blanks(struct str *s)
{
	while (s->len && is_blank(*s->ptr)) {
		s->ptr++;
		s->len--;
	}
}

static char take(struct str *s)
{
	s->len--;
	return *s->ptr++;
}

/* A name, its quotes undone, to `to`, which has room for the whole text. */
static int take_name(struct str *rest, char *to, struct str *ret, bool *ret_quoted, struct err *e)
{
	size_t n = 0;

	*ret_quoted = rest->len && *rest->ptr == '"';
	if (!*ret_quoted) {
		while (rest->len && !is_blank(*rest->ptr) && *rest->ptr != ',')
			to[n++] = take(rest);
		*ret = (struct str){to, n};
		return 0;
	}
	take(rest);
	for (;;) {
		if (!rest->len)
			return err_set(e, -EINVAL, "a '\"' lacks its closing one");
		char c = take(rest);
		if (c == '"' && (!rest->len || *rest->ptr != '"'))
			break;
		if (c == '"')
			take(rest);
		to[n++] = c;
	}
	*ret = (struct str){to, n};
	return 0;
}

static int take_level(struct str *rest, const struct part_key_dim *d, bool *ret, struct err *e)
{
	struct str word;

	skip_blanks(rest);
	word = (struct str){rest->ptr, 0};
	while (rest->len && !is_blank(*rest->ptr) && *rest->ptr != ',') {
		take(rest);
		word.len++;
	}
	*ret = str_ieq(word, STR_LIT("required"));
	if (word.len && !*ret && !str_ieq(word, STR_LIT("optional")))
		return err_set(e, -EINVAL, "behind '%.*s' stands '%.*s'; write required, optional, or a comma",
			       STR_FMT(d->name), (int)MIN(word.len, (size_t)60), word.ptr);
	skip_blanks(rest);
	if (rest->len && *rest->ptr != ',')
		return err_set(e, -EINVAL, "behind '%.*s %.*s' a comma is missing", STR_FMT(d->name), STR_FMT(word));
	return 0;
}

/* One dimension; `to` moves on behind its name. */
static int take_dim(struct part_key *k, struct str *rest, char **to, struct err *e)
{
	struct part_key_dim *d = &k->dims[k->dim_count];
	bool is_quoted;

	skip_blanks(rest);
	int rc = take_name(rest, *to, &d->name, &is_quoted, e);
	if (rc < 0)
		return rc;
	if (!d->name.len)
		return err_set(e, -EINVAL, "a dimension's name is missing; write " PART_KEY_ALLOWED);
	if (!is_quoted && (str_is(d->name, "dimensions") || str_is(d->name, "measure_name")))
		return err_set(e, -EINVAL, "'%.*s' stands alone, without level and others", STR_FMT(d->name));
	rc = series_check_dimension(NULL, d->name, e);
	for (uint32_t i = 0; rc >= 0 && i < k->dim_count; i++)
		if (str_ieq(k->dims[i].name, d->name))
			rc = err_set(e, -EINVAL, "dimension '%.*s' is named twice", STR_FMT(d->name));
	if (rc >= 0)
		rc = take_level(rest, d, &d->is_required, e);
	if (rc < 0)
		return rc;
	k->has_required |= d->is_required;
	k->dim_count++;
	*to += d->name.len;
	return 0;
}

static int take_dims(struct part_key *k, struct str rest, struct err *e)
{
	char *to = k->names;

	for (;;) {
		if (k->dim_count == PART_KEY_DIMS_MAX)
			return err_set(e, -EINVAL, "a partition key has at most %d dimensions", PART_KEY_DIMS_MAX);
		int rc = take_dim(k, &rest, &to, e);
		if (rc < 0 || !rest.len)
			return rc;
		take(&rest); /* the comma */
	}
}

int part_key_parse(struct str text, struct part_key **ret, struct err *e)
{
	struct part_key *k;
	int rc = 0;

	text = str_trim(text);
	k = calloc(1, sizeof *k + text.len);
	if (!k)
		return err_set(e, -ENOMEM, "out of memory");
	atomic_init(&k->refs, 1);
	if (str_is(text, "dimensions")) {
		k->kind = PART_BY_DIMENSIONS;
	} else if (str_is(text, "measure_name")) {
		k->kind = PART_BY_MEASURE;
	} else {
		k->kind = PART_BY_NAMES;
		rc = take_dims(k, text, e);
	}
	if (rc < 0) {
		free(k);
		return rc;
	}
	*ret = k;
	return 0;
}

struct part_key *part_key_get(struct part_key *k)
{
	atomic_fetch_add(&k->refs, 1);
	return k;
}

void part_key_put(struct part_key *k)
{
	if (k && atomic_fetch_sub(&k->refs, 1) == 1)
		free(k);
}

/* Without quotes a name must end where it ends, and be no word of ours. */
static bool is_plain(struct str name)
{
	for (size_t i = 0; i < name.len; i++)
		if (is_blank(name.ptr[i]) || name.ptr[i] == ',')
			return false;
	return !str_is(name, "dimensions") && !str_is(name, "measure_name");
}

static char *put(char *to, struct str s)
{
	memcpy(to, s.ptr, s.len);
	return to + s.len;
}

void part_key_format(const struct part_key *k, char to[PART_KEY_TEXT_MAX])
{
	if (k->kind != PART_BY_NAMES)
		to = put(to, k->kind == PART_BY_MEASURE ? STR_LIT("measure_name") : STR_LIT("dimensions"));
	for (uint32_t i = 0; i < k->dim_count; i++) {
		const struct part_key_dim *d = &k->dims[i];
		/* Names have no '"': those of dimensions may not. */
		struct str quote = is_plain(d->name) ? (struct str){"", 0} : STR_LIT("\"");
		if (i)
			to = put(to, STR_LIT(", "));
		to = put(put(put(to, quote), d->name), quote);
		to = put(to, d->is_required ? STR_LIT(" required") : STR_LIT(" optional"));
	}
	*to = '\0';
}

bool part_key_spreads_alike(const struct part_key *a, const struct part_key *b)
{
	if (a->kind != b->kind || a->dim_count != b->dim_count)
		return false;
	for (uint32_t i = 0; i < a->dim_count; i++)
		if (!str_eq(a->dims[i].name, b->dims[i].name))
			return false;
	return true;
}
