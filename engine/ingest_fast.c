#include "engine/ingest_fast.h"

#include <stdlib.h>

#include "engine/base/digits.h"

#define KEY_WORDS    4
#define PATIENCE_MAX 64

/* A key as it stands in a line, with what surrounds it: "usage_user=" or ",usage_user=". */
struct layout_field {
	uint64_t words[KEY_WORDS]; /* its first 32 bytes, zeros behind */
	uint64_t masks[KEY_WORDS];
	const char *text;
	uint32_t len;
	uint32_t slot;
	enum coltype type;
};

struct layout {
	struct feed_target *target;
	uint64_t hash;
	uint32_t n;
	struct layout_field fields[]; /* and the texts behind them */
};

void fast_init(struct fast *x)
{
	*x = (struct fast){.last = KNOWN_NONE, .patience = 1};
	arena_init(&x->heads, NULL);
	/* Heads come from outside; nobody shall know which of them collide. */
	x->seed = hash_u64((uint64_t)clock_mono_ns() ^ (uintptr_t)x);
}

static void forget_heads(struct fast *x)
{
	x->known_count = 0;
	x->missed = 0;
	x->hits = 0;
	x->last = KNOWN_NONE;
	idx_clear(&x->by_head);
	arena_release(&x->heads);
}

void fast_forget(struct fast *x)
{
	forget_heads(x);
	for (uint32_t i = 0; i < LAYOUTS_MAX; i++) {
		free(x->layouts[i]);
		x->layouts[i] = NULL;
	}
	x->layout_next = 0;
}

void fast_release(struct fast *x)
{
	fast_forget(x);
	free(x->known);
	idx_release(&x->by_head);
}

/* ---- heads ------------------------------------------------------------------------------------ */

static bool head_is(const struct known *k, const char *p, const char *end)
{
	return (size_t)(end - p) > k->head_len && p[k->head_len] == ' ' &&
	       memcmp(p, k->head, k->head_len) == 0;
}

static int64_t find_head(const struct fast *x, struct str head, uint32_t hash)
{
	uint32_t i, id;

	IDX_EACH(&x->by_head, hash, i, id)
		if (str_eq((struct str){x->known[id].head, x->known[id].head_len}, head))
			return id;
	return -1;
}

static uint32_t head_hash(const struct fast *x, struct str head)
{
	uint64_t h = hash_bytes(head.ptr, head.len, x->seed);
	return (uint32_t)(h ^ h >> 32);
}

/* The known head that this line begins with, or KNOWN_NONE. */
static uint32_t match_head(struct fast *x, const char *p, const char *end)
{
	uint32_t id = KNOWN_NONE;

	if (x->last != KNOWN_NONE) {
		id = x->known[x->last].next;
		if (id != KNOWN_NONE && head_is(&x->known[id], p, end))
			return id;
		if (head_is(&x->known[x->last], p, end))
			return x->last;
	}
	/*
	 * A blank ends the head unless a backslash precedes it. The search is bounded: it must not run
	 * over thousands of lines that have no blank at all, each time anew.
	 */
	const char *q = p, *stop = p + MIN(end - p, KNOWN_HEAD_MAX + 1);
	do
		q = memchr(q + 1, ' ', (size_t)(stop - q - 1));
	while (q && q[-1] == '\\');
	if (!q)
		return KNOWN_NONE;
	struct str head = {p, (size_t)(q - p)};
	int64_t found = find_head(x, head, head_hash(x, head));
	return found < 0 ? KNOWN_NONE : (uint32_t)found;
}

/* ---- values ----------------------------------------------------------------------------------- */

#define DIGITS_MAX 24 /* that read_digits() takes at once: so many bytes are looked at, at most */

/* How far behind the start of a field the fast path may look without asking again. */
#define REACH 96

static const uint64_t pow10_u64[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};

/* Digits at p: their value (right up to 19 of them) and number; returns what is behind them. */
static inline const char *read_digits(const char *p, uint64_t *ret, unsigned *ret_n)
{
	const uint64_t zeros = UINT64_C(0x3030303030303030);
	uint64_t v = 0;
	unsigned n = 0;

	while (n < DIGITS_MAX) {
		uint64_t w = digits_load8(p);
		uint64_t t = w ^ zeros;
		/* Bit 7 of each byte that is no digit; a carry can only spoil bytes behind the first. */
		uint64_t other = ((t + UINT64_C(0x7676767676767676)) | t) &
				 UINT64_C(0x8080808080808080);
		if (!other) {
			v = v * 100000000 + digits_value8(w);
			p += 8;
			n += 8;
			continue;
		}
		unsigned k = (unsigned)__builtin_ctzll(other) / 8;
		if (k) {
			/* k digits at the upper end, zeros before them. */
			v = v * pow10_u64[k] + digits_value8(w << (64 - 8 * k) | zeros >> 8 * k);
			p += k;
			n += k;
		}
		break;
	}
	*ret = v;
	*ret_n = n;
	return p;
}

static const double pow10_f64[] = {1e0,	 1e1,  1e2,  1e3,  1e4,	 1e5,  1e6,  1e7,
				   1e8,	 1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

static inline const char *read_bigint(const char *p, int64_t *ret)
{
	bool negative = *p == '-';
	uint64_t v;
	unsigned n;

	p = read_digits(p + negative, &v, &n);
	if (unlikely(n - 1 > 17 || (*p != 'i' && (*p != 'u' || negative))))
		return NULL;
	*ret = negative ? -(int64_t)v : (int64_t)v;
	return p + 1;
}

/* A number that is not short and plain: as a text, to the exact parser. */
static const char *read_long_double(const char *p, const char *end, double *ret)
{
	const char *q = p;

	while (q < end && *q != ',' && *q != ' ' && *q != '\n' && *q != '\r')
		q++;
	return f64_parse((struct str){p, (size_t)(q - p)}, ret) == 0 ? q : NULL;
}

/* Up to 15 digits are exact in a double, and so is their quotient by a power of ten, rounded once. */
static inline const char *read_double(const char *p, const char *end, double *ret)
{
	const char *start = p;
	bool negative = *p == '-';
	uint64_t v, frac;
	unsigned n, k = 0;

	p = read_digits(p + negative, &v, &n);
	if (*p == 'i' && n - 1 <= 17) { /* an integer for a DOUBLE column */
		*ret = (double)(negative ? -(int64_t)v : (int64_t)v);
		return p + 1;
	}
	if (unlikely(n - 1 > 14))
		return read_long_double(start, end, ret);
	if (*p == '.') {
		p = read_digits(p + 1, &frac, &k);
		if (unlikely(n + k > 15))
			return read_long_double(start, end, ret);
		v = v * (k > 8 ? pow10_u64[8] * pow10_u64[k - 8] : pow10_u64[k]) + frac;
	}
	if (unlikely(*p == 'e' || *p == 'E'))
		return read_long_double(start, end, ret);
	double d = (double)v / pow10_f64[k];
	*ret = negative ? -d : d;
	return p;
}

static const char *read_boolean(const char *p, uint8_t *ret)
{
	static const struct {
		const char *word;
		uint8_t len, value;
	} words[] = {
		{"true", 4, 1},	 {"false", 5, 0}, {"t", 1, 1},	   {"f", 1, 0},	    {"True", 4, 1},
		{"False", 5, 0}, {"TRUE", 4, 1},  {"FALSE", 5, 0}, {"T", 1, 1},	    {"F", 1, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (memcmp(p, words[i].word, words[i].len) != 0)
			continue;
		*ret = words[i].value;
		return p + words[i].len;
	}
	return NULL;
}

/* Without escapes and newlines; the text stays where it is. */
static const char *read_string(const char *p, const char *end, struct str *ret)
{
	if (*p != '"')
		return NULL;
	p++;
	const char *q = memchr(p, '"', (size_t)(end - p));
	if (!q)
		return NULL;
	struct str s = {p, (size_t)(q - p)};
	if (memchr(s.ptr, '\\', s.len) || memchr(s.ptr, '\n', s.len) ||
	    memchr(s.ptr, '\0', s.len) || !utf8_valid(s))
		return NULL;
	*ret = s;
	return q + 1;
}

/* ---- lines ------------------------------------------------------------------------------------ */

static inline bool key_is(const struct layout_field *lf, const char *p)
{
	uint64_t diff = 0;

	for (int i = 0; i < KEY_WORDS; i++) {
		uint64_t w;
		if (i && !lf->masks[i])
			break;
		memcpy(&w, p + 8 * i, 8);
		diff |= (w & lf->masks[i]) ^ lf->words[i];
	}
	return !diff && (lf->len <= 8 * KEY_WORDS || memcmp(p, lf->text, lf->len) == 0);
}

static inline const char *read_value(enum coltype type, struct batch_col *bc, uint32_t row,
				     const char *p, const char *end)
{
	switch (type) {
	case COL_BIGINT:
		return read_bigint(p, &bc->col.i64[row]);
	case COL_DOUBLE:
		return read_double(p, end, &bc->col.f64[row]);
	case COL_BOOLEAN:
		return read_boolean(p, &bc->col.b8[row]);
	case COL_VARCHAR:
		return read_string(p, end, &bc->col.str[row]);
	case COL_TIMESTAMP:
		break; /* line protocol has no such fields */
	}
	return NULL;
}

/* All fields of the layout, into the row behind the last. NULL: no. *done: values written. */
static const char *read_fields(const struct layout *l, struct batch *b, const char *p,
			       const char *end, const char *limit, uint32_t *done)
{
	uint32_t i, row = b->n;

	for (i = 0; i < l->n; i++) {
		const struct layout_field *lf = &l->fields[i];
		if ((size_t)(limit - p) < REACH + lf->len || !key_is(lf, p))
			break;
		p += lf->len;
		*done = i + 1; /* a value that fails half way is wiped too */
		p = read_value(lf->type, &b->cols[lf->slot], row, p, end);
		/* Strings leave the reach of the check above; then it is made anew. */
		if (!p || p >= end)
			return NULL;
	}
	return i == l->n ? p : NULL;
}

/* " 1465839830100400200\r\n", or no time at all. Returns the next line, or NULL. */
static const char *read_end(struct feed *f, const struct feed_target *t, const char *p,
			    const char *limit, int64_t *ret_ns)
{
	if ((size_t)(limit - p) < REACH)
		return NULL;
	if (*p == ' ') {
		uint64_t v;
		unsigned n;
		int64_t ns;
		p = read_digits(p + 1, &v, &n);
		if (n - 1 > 18 || v > INT64_MAX ||
		    __builtin_mul_overflow((int64_t)v, t->window.precision_ns, &ns) ||
		    ns < t->window.lo_ns || ns >= t->window.hi_ns)
			return NULL;
		if (*p == '\r')
			p++;
		*ret_ns = ns;
		return *p == '\n' ? p + 1 : NULL;
	}
	if (*p == '\r')
		p++;
	if (*p != '\n')
		return NULL;
	*ret_ns = feed_arrival(f);
	return p + 1;
}

static void wipe(const struct layout *l, struct batch *b, uint32_t done)
{
	for (uint32_t i = 0; i < done; i++) {
		struct col *c = &b->cols[l->fields[i].slot].col;
		size_t size = coltype_size(c->type);
		memset((char *)c->data + size * b->n, 0, size);
	}
}

int fast_line(struct fast *x, struct feed *f, const char *p, const char *end, const char *limit,
	      const char **ret_next, struct err *e)
{
	if (x->generation != f->generation) {
		fast_forget(x);
		x->generation = f->generation;
	}
	if (!x->known_count || end - p < 2)
		return 0;
	uint32_t id = match_head(x, p, end);
	if (id == KNOWN_NONE)
		return 0;
	x->hits++;
	struct known *k = &x->known[id];
	if (x->last != KNOWN_NONE)
		x->known[x->last].next = id;
	x->last = id;

	struct feed_target *t = k->target;
	const struct layout *l = x->layouts[k->layout];
	if (!l || l->target != t || t->write_no != f->write_no)
		return 0;
	struct batch *b = &t->batch;
	if (unlikely(b->n >= b->cap || (uint64_t)b->n * b->col_count >= FEED_CELLS_MAX)) {
		int rc = feed_room(f, t, e);
		if (rc < 0)
			return rc;
	}

	uint32_t done = 0;
	int64_t time_ns = 0;
	const char *q = read_fields(l, b, p + k->head_len + 1, end, limit, &done);
	if (q && q - p <= FAST_LINE_MAX)
		q = read_end(f, t, q, limit, &time_ns);
	else
		q = NULL;
	if (!q) {
		wipe(l, b, done);
		return 0;
	}
	uint32_t row = b->n;
	for (uint32_t i = 0; i < l->n; i++) {
		struct batch_col *bc = &b->cols[l->fields[i].slot];
		bc->col.valid[row] = 1;
		bc->has_values = true;
	}
	b->series[row] = k->series;
	b->time_ns[row] = time_ns;
	b->n = row + 1;
	*ret_next = q;
	return 1;
}

/* ---- learning --------------------------------------------------------------------------------- */

static void set_key(struct layout_field *lf, char *to, bool first, struct str key)
{
	lf->text = to;
	if (!first)
		*to++ = ',';
	memcpy(to, key.ptr, key.len);
	to[key.len] = '=';
	lf->len = (uint32_t)(to + key.len + 1 - lf->text);
	size_t n = MIN(lf->len, sizeof lf->words);
	memcpy(lf->words, lf->text, n);
	memset(lf->masks, 0xFF, n);
}

static bool layout_is(const struct layout *l, const struct feed *f, const struct feed_target *t,
		      const struct point *pt, uint64_t hash)
{
	if (l->target != t || l->hash != hash || l->n != pt->field_count)
		return false;
	for (uint32_t i = 0; i < l->n; i++)
		if (l->fields[i].slot != t->cols[f->cols[i]].slot)
			return false;
	return true;
}

/* The layout of this point's fields, made where new; LAYOUTS_MAX: there is none for it. */
static uint32_t learn_layout(struct fast *x, const struct feed *f, struct feed_target *t,
			     const struct point *pt)
{
	size_t text = 0;
	uint64_t hash = 0;

	if (pt->field_count > LAYOUT_FIELDS_MAX)
		return LAYOUTS_MAX;
	for (uint32_t i = 0; i < pt->field_count; i++) {
		if (pt->fields[i].key_escaped)
			return LAYOUTS_MAX;
		hash = hash_u64(hash ^ t->cols[f->cols[i]].slot);
		text += pt->fields[i].key.len + 2;
	}
	for (uint32_t i = 0; i < LAYOUTS_MAX; i++)
		if (x->layouts[i] && layout_is(x->layouts[i], f, t, pt, hash))
			return i;
	struct layout *l = calloc(1, sizeof *l + pt->field_count * sizeof l->fields[0] + text);
	if (!l)
		return LAYOUTS_MAX;
	l->target = t;
	l->hash = hash;
	l->n = pt->field_count;
	char *to = (char *)&l->fields[l->n];
	for (uint32_t i = 0; i < l->n; i++) {
		const struct feed_col *c = &t->cols[f->cols[i]];
		set_key(&l->fields[i], to, i == 0, pt->fields[i].key);
		to += l->fields[i].len;
		l->fields[i].slot = c->slot;
		l->fields[i].type = c->type;
	}
	/* Who still refers to the one that goes merely guesses wrong: layouts are checked at use. */
	uint32_t at = x->layout_next++ % LAYOUTS_MAX;
	free(x->layouts[at]);
	x->layouts[at] = l;
	return at;
}

/* The head's place among the known, made where new; KNOWN_NONE: there is no room. */
static uint32_t learn_head(struct fast *x, struct str head)
{
	uint32_t hash = head_hash(x, head);
	int64_t found = find_head(x, head, hash);

	if (found >= 0)
		return (uint32_t)found;
	if (x->known_count == KNOWN_MAX || x->heads.bytes + head.len > KNOWN_BYTES_MAX) {
		/*
		 * Full. Once as many strangers came as there is room for, it is their turn. Where that
		 * helped little (more series than fit, round and round), wait longer each time.
		 */
		if (++x->missed / x->patience <= x->known_count)
			return KNOWN_NONE;
		x->patience = x->hits >= x->known_count ? 1 : MIN(x->patience * 2, PATIENCE_MAX);
		forget_heads(x);
	}
	if (x->known_count == x->known_cap) {
		uint32_t cap = x->known_cap ? x->known_cap * 2 : 16;
		void *p = realloc(x->known, cap * sizeof *x->known);
		if (!p)
			return KNOWN_NONE;
		x->known = p;
		x->known_cap = cap;
	}
	struct str copy = arena_str(&x->heads, head);
	if (!copy.ptr || idx_reserve(&x->by_head, 1) < 0)
		return KNOWN_NONE;
	idx_put(&x->by_head, hash, x->known_count);
	x->known[x->known_count] = (struct known){
		.head = copy.ptr, .head_len = (uint32_t)head.len, .hash = hash, .next = KNOWN_NONE};
	return x->known_count++;
}

void fast_learn(struct fast *x, struct feed *f, const struct point *pt, const struct feed_row *row)
{
	if (x->generation != f->generation) {
		fast_forget(x);
		x->generation = f->generation;
	}
	uint32_t layout = learn_layout(x, f, row->target, pt);
	if (layout == LAYOUTS_MAX || !pt->identity.len || pt->identity.len > KNOWN_HEAD_MAX)
		return;
	uint32_t id = learn_head(x, pt->identity);
	if (id == KNOWN_NONE)
		return;
	struct known *k = &x->known[id];
	k->series = row->series;
	k->target = row->target;
	k->layout = layout;
	if (x->last != KNOWN_NONE && x->last != id)
		x->known[x->last].next = id;
	x->last = id;
}
