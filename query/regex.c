#include "query/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>

struct regex {
	pcre2_code *code;
	pcre2_match_context *limits;
	pcre2_general_context *memory;
	uint32_t groups;
};

struct regex_match {
	const struct regex *regex;
	pcre2_match_data *data;
};

/* PCRE2's memory comes from the arena too, within the statement's budget; it goes with it. */
static void *take(PCRE2_SIZE n, void *arena)
{
	return arena_alloc(arena, n);
}

static void leave(void *p, void *arena)
{
	(void)p;
	(void)arena;
}

static int out_of_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "out of memory for a regular expression");
}

/*
 * In Java && inside brackets intersects two sets; for PCRE2 these are two ampersands, and the pattern
 * would match something else without a word.
 */
static bool has_intersection(struct str p)
{
	bool in_set = false;

	for (size_t i = 0; i < p.len; i++) {
		if (p.ptr[i] == '\\') {
			i++;
		} else if (in_set && p.ptr[i] == '&' && i + 1 < p.len && p.ptr[i + 1] == '&') {
			return true;
		} else if (!in_set && p.ptr[i] == '[') {
			in_set = true;
			i += i + 1 < p.len && p.ptr[i + 1] == '^';
			i += i + 1 < p.len && p.ptr[i + 1] == ']';
		} else if (p.ptr[i] == ']') {
			in_set = false;
		}
	}
	return false;
}

static size_t chars_before(struct str s, size_t at)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len && i < at; i++)
		n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
	return n;
}

static int compile(struct regex *r, struct str pattern, struct err *e)
{
	pcre2_compile_context *cc = pcre2_compile_context_create(r->memory);
	PCRE2_SIZE at;
	PCRE2_UCHAR why[256];
	int code;

	if (!cc)
		return out_of_memory(e);
	pcre2_set_compile_extra_options(cc, 0);
	r->code = pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len, PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, &code, &at,
				cc);
	pcre2_compile_context_free(cc);
	if (r->code)
		return 0;
	if (code == PCRE2_ERROR_HEAP_FAILED)
		return out_of_memory(e);
	if (pcre2_get_error_message(code, why, sizeof why) < 0)
		snprintf((char *)why, sizeof why, "error %d", code);
	return err_set(e, -EINVAL, "the regular expression '%.*s' is malformed at character %zu: %s",
		       (int)MIN(pattern.len, (size_t)200), pattern.ptr, chars_before(pattern, at) + 1, (const char *)why);
}

int regex_compile(struct arena *a, struct str pattern, struct regex **ret, struct err *e)
{
	struct regex *r = arena_new(a, struct regex);

	if (pattern.len > REGEX_PATTERN_MAX)
		return err_set(e, -EINVAL, "a regular expression has at most %d bytes", REGEX_PATTERN_MAX);
	if (!pattern.len)
		pattern.ptr = "";
	if (has_intersection(pattern))
		return err_set(e, -EINVAL, "the regular expression '%.*s' intersects sets with &&, which is not supported",
			       (int)MIN(pattern.len, (size_t)200), pattern.ptr);
	if (r)
		r->memory = pcre2_general_context_create(take, leave, a);
	if (!r || !r->memory)
		return out_of_memory(e);
	int rc = compile(r, pattern, e);
	if (rc < 0)
		return rc;
	r->limits = pcre2_match_context_create(r->memory);
	if (!r->limits)
		return out_of_memory(e);
	pcre2_set_match_limit(r->limits, REGEX_STEPS_MAX);
	pcre2_set_depth_limit(r->limits, REGEX_STEPS_MAX);
	pcre2_set_heap_limit(r->limits, REGEX_HEAP_KIB);
	pcre2_pattern_info(r->code, PCRE2_INFO_CAPTURECOUNT, &r->groups);
	*ret = r;
	return 0;
}

uint32_t regex_groups(const struct regex *r)
{
	return r->groups;
}

int regex_group_named(const struct regex *r, struct str name)
{
	char z[128];

	if (name.len >= sizeof z)
		return -ENOENT;
	memcpy(z, name.ptr, name.len);
	z[name.len] = '\0';
	int k = pcre2_substring_number_from_name(r->code, (PCRE2_SPTR)z);
	return k < 0 ? -ENOENT : k;
}

int regex_match_create(struct arena *a, const struct regex *r, struct regex_match **ret)
{
	struct regex_match *m = arena_new(a, struct regex_match);

	if (!m)
		return -ENOMEM;
	m->regex = r;
	/* Several threads may match with one pattern: what this one needs is of its own arena. What it grows to
	 * while matching is bounded by the heap limit, and stays for the next text. */
	pcre2_general_context *memory = pcre2_general_context_create(take, leave, a);
	if (!memory)
		return -ENOMEM;
	m->data = pcre2_match_data_create_from_pattern(r->code, memory);
	if (!m->data)
		return -ENOMEM;
	*ret = m;
	return 0;
}

int regex_find(struct regex_match *m, struct str text, size_t from, struct err *e)
{
	if (from > text.len)
		return 0;
	int rc = pcre2_match(m->regex->code, (PCRE2_SPTR)(text.len ? text.ptr : ""), text.len, from, 0, m->data,
			     m->regex->limits);
	switch (rc) {
	case PCRE2_ERROR_NOMATCH:
		return 0;
	case PCRE2_ERROR_MATCHLIMIT:
	case PCRE2_ERROR_DEPTHLIMIT:
	case PCRE2_ERROR_HEAPLIMIT:
		return err_set(e, -EINVAL,
			       "a regular expression takes more than %d steps on the text '%.*s%s'; write it with fewer "
			       "nested repetitions",
			       REGEX_STEPS_MAX, (int)MIN(text.len, (size_t)60), text.ptr, text.len > 60 ? "..." : "");
	case PCRE2_ERROR_NOMEMORY:
		return out_of_memory(e);
	default:
		/* Malformed text: codes of their own for each way. */
		return rc > 0 ? 1 : 0;
	}
}

bool regex_group(const struct regex_match *m, uint32_t k, size_t *ret_start, size_t *ret_end)
{
	const PCRE2_SIZE *v = pcre2_get_ovector_pointer(m->data);

	if (v[2 * k] == PCRE2_UNSET)
		return false;
	*ret_start = v[2 * k];
	*ret_end = MAX(v[2 * k], v[2 * k + 1]); /* \K in a look-behind can turn them round */
	return true;
}

size_t regex_next(const struct regex_match *m, struct str text)
{
	const PCRE2_SIZE *v = pcre2_get_ovector_pointer(m->data);
	size_t at = v[1];

	if (v[1] > v[0])
		return at;
	at++;
	while (at < text.len && ((unsigned char)text.ptr[at] & 0xc0) == 0x80)
		at++;
	return at;
}
