#include "query/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdatomic.h>
#include <stdio.h>

#define QUICK_TEXT  16384 /* bytes: a*b reads 2^27 characters, a tenth of a second */
#define TOO_LONG    (-10000) /* no error of PCRE2's: there is no room for callouts */
#define QUICK_STEPS 1000  /* for each of them: another tenth */

struct regex {
	pcre2_code *code;
	pcre2_general_context *memory;
	struct str pattern;
	uint32_t groups;
};

struct regex_match {
	const struct regex *regex;
	struct arena *arena;
	pcre2_general_context *memory;
	pcre2_match_data *data;
	pcre2_match_context *quick, *patient;
	pcre2_code *watched; /* the pattern with callouts; NULL: not needed yet */
	const _Atomic bool *cancelled;
	struct str text; /* the last one, and whether it is UTF-8 */
	bool is_utf8;
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

#define SHOWN 60 /* bytes of a text in a sentence */

static int shown(struct str s)
{
	return (int)utf8_valid_len((struct str){s.ptr, MIN(s.len, (size_t)SHOWN)});
}

static size_t chars_before(struct str s, size_t at)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len && i < at; i++)
		n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
	return n;
}

static int compile(pcre2_general_context *memory, struct str pattern, uint32_t options, pcre2_code **ret,
		   struct err *e)
{
	pcre2_compile_context *cc = pcre2_compile_context_create(memory);
	PCRE2_SIZE at;
	PCRE2_UCHAR why[256];
	int code;

	if (!cc)
		return out_of_memory(e);
	*ret = pcre2_compile((PCRE2_SPTR)pattern.ptr, pattern.len, PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | options, &code,
			     &at, cc);
	pcre2_compile_context_free(cc);
	if (*ret)
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
	r->pattern = arena_str(a, pattern); /* the column's may be gone when it is compiled again */
	if (!r->pattern.ptr)
		return out_of_memory(e);
	int rc = compile(r->memory, pattern, 0, &r->code, e);
	if (rc < 0)
		return rc;
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

static pcre2_match_context *limits(struct regex_match *m, uint32_t steps)
{
	pcre2_match_context *c = pcre2_match_context_create(m->memory);

	if (c) {
		pcre2_set_match_limit(c, steps);
		pcre2_set_depth_limit(c, REGEX_STEPS_MAX);
		pcre2_set_heap_limit(c, REGEX_HEAP_KIB);
	}
	return c;
}

int regex_match_create(struct arena *a, const struct regex *r, const _Atomic bool *cancelled,
		       struct regex_match **ret)
{
	struct regex_match *m = arena_new(a, struct regex_match);

	if (!m)
		return -ENOMEM;
	*m = (struct regex_match){.regex = r, .arena = a, .cancelled = cancelled};
	m->memory = pcre2_general_context_create(take, leave, a);
	if (!m->memory)
		return -ENOMEM;
	/* What it grows to while matching is bounded by the heap limit, and stays for the next text. */
	m->data = pcre2_match_data_create_from_pattern(r->code, m->memory);
	m->quick = limits(m, QUICK_STEPS);
	if (!m->data || !m->quick)
		return -ENOMEM;
	*ret = m;
	return 0;
}

static bool is_cancelled(const struct regex_match *m)
{
	return m->cancelled && atomic_load_explicit(m->cancelled, memory_order_relaxed);
}

/* In front of each item of the pattern. */
static int watch(pcre2_callout_block *block, void *match)
{
	(void)block;
	return is_cancelled(match) ? PCRE2_ERROR_CALLOUT : 0;
}

/* With callouts, and as many steps as there may be. */
static int match_watched(struct regex_match *m, struct str text, size_t from, struct err *e)
{
	if (!m->watched) {
		int rc = compile(m->memory, m->regex->pattern, PCRE2_AUTO_CALLOUT, &m->watched, e);
		if (rc < 0)
			return rc == -ENOMEM ? PCRE2_ERROR_NOMEMORY : TOO_LONG;
		m->patient = limits(m, REGEX_STEPS_MAX);
		if (!m->patient)
			return PCRE2_ERROR_NOMEMORY;
		pcre2_set_callout(m->patient, watch, m);
	}
	return pcre2_match(m->watched, (PCRE2_SPTR)text.ptr, text.len, from, PCRE2_NO_UTF_CHECK, m->data, m->patient);
}

int regex_find(struct regex_match *m, struct str text, size_t from, struct err *e)
{
	int rc = PCRE2_ERROR_MATCHLIMIT;

	if (from > text.len)
		return 0;
	if (!text.len)
		text.ptr = "";
	if (text.ptr != m->text.ptr || text.len != m->text.len) {
		m->text = text;
		m->is_utf8 = utf8_valid(text);
	}
	if (!m->is_utf8)
		return 0;
	if (text.len - from <= QUICK_TEXT)
		rc = pcre2_match(m->regex->code, (PCRE2_SPTR)text.ptr, text.len, from, PCRE2_NO_UTF_CHECK, m->data, m->quick);
	if (is_cancelled(m))
		rc = PCRE2_ERROR_CALLOUT;
	if (rc == PCRE2_ERROR_MATCHLIMIT)
		rc = match_watched(m, text, from, e);
	switch (rc) {
	case PCRE2_ERROR_NOMATCH:
		return 0;
	case PCRE2_ERROR_MATCHLIMIT:
	case PCRE2_ERROR_DEPTHLIMIT:
	case PCRE2_ERROR_HEAPLIMIT:
		return err_set(e, -EINVAL,
			       "a regular expression takes more than %d steps on the text '%.*s%s'; write it with fewer "
			       "nested repetitions",
			       REGEX_STEPS_MAX, shown(text), text.ptr, text.len > SHOWN ? "..." : "");
	case TOO_LONG:
		return err_set(e, -EINVAL,
			       "a regular expression of %zu bytes is too long for the text '%.*s%s', which is long itself or "
			       "takes many steps", m->regex->pattern.len, shown(text), text.ptr, text.len > SHOWN ? "..." : "");
	case PCRE2_ERROR_CALLOUT:
		return err_set(e, -ECANCELED, "query cancelled");
	case PCRE2_ERROR_NOMEMORY:
		return out_of_memory(e);
	default:
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
