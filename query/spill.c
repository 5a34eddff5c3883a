/*
 * spill: rows to a file and back.
 *
 * The file is blocks, one a batch: u32 length | u32 rows | columns. A vector of n values is
 *
 *	u8 has_valid | n bytes validity where has_valid
 *	I64, F64     n * 8 bytes      BOOL  n bytes
 *	STR          n * u32 length, then the bytes one after the other
 *	LIST         n * u32 length, u32 elements, the elements as a vector
 *	ROW          its fields as vectors
 *
 * in the machine's byte order: the file never outlives the process, and has no name by which
 * anybody else could write to it. Lengths are checked all the same, as a disk may err.
 *
 * The merge holds a block of each run. A binary heap has the runs by their current row; rows that
 * are equal leave in the order of their runs, which keeps the sort stable.
 */
#include "query/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RUNS_MAX    1024
#define BLOCK_MAX   ((size_t)1 << 30)

struct run {
	int64_t off, end; /* of the blocks not read yet */
	struct arena arena;
	struct vec *cols;
	uint32_t n, at;
};

struct spill {
	const struct exec_ctx *exec;
	const struct type *const *types;
	uint32_t col_count;
	int fd;
	int64_t size;
	struct run *runs;
	uint32_t run_n, run_cap;
	const struct sorter *order;
	uint32_t *heap; /* indexes of runs that have a row; the least first */
	uint32_t heap_n;
	struct buf block;
};

/* ---- file ---------------------------------------------------------------------------------------------------- */

static int open_unnamed(const char *dir)
{
	char path[4096];

	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd;
	if ((size_t)snprintf(path, sizeof path, "%s/tidefs-sort-XXXXXX", dir) >= sizeof path)
		return -1;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

int spill_create(const struct exec_ctx *exec, const struct type *const *types, uint32_t col_count,
		 struct spill **ret, struct err *e)
{
	const char *dir = getenv("TMPDIR");
	struct spill *s = calloc(1, sizeof *s);

	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	s->exec = exec;
	s->types = types;
	s->col_count = col_count;
	buf_init(&s->block, BLOCK_MAX);
	dir = dir && *dir ? dir : "/var/tmp";
	s->fd = open_unnamed(dir);
	if (s->fd < 0) {
		int rc = err_set(e, -errno, "the statement needs a temporary file in '%s' (TMPDIR): %s", dir,
				 strerror(errno));
		spill_destroy(s);
		return rc;
	}
	*ret = s;
	return 0;
}

void spill_destroy(struct spill *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->run_n; i++)
		arena_release(&s->runs[i].arena);
	free(s->runs);
	free(s->heap);
	buf_release(&s->block);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

static int write_all(struct spill *s, const char *p, size_t n, struct err *e)
{
	while (n) {
		ssize_t k = pwrite(s->fd, p, n, s->size);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0) {
			int rc = k < 0 ? -errno : -EIO;
			return err_set(e, rc, "writing the statement's temporary file: %s", strerror(-rc));
		}
		p += k;
		n -= (size_t)k;
		s->size += k;
	}
	return 0;
}

static int read_all(struct spill *s, void *to, size_t n, int64_t off, struct err *e)
{
	char *p = to;

	while (n) {
		ssize_t k = pread(s->fd, p, n, off);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0) {
			int rc = k < 0 ? -errno : -EIO;
			return err_set(e, rc, "reading the statement's temporary file: %s", strerror(-rc));
		}
		p += k;
		n -= (size_t)k;
		off += k;
	}
	return 0;
}

/* ---- vectors as bytes -------------------------------------------------------------------------------------------- */

static void put_u32(struct buf *b, uint32_t v)
{
	buf_add(b, &v, sizeof v);
}

/* Values [from, from + n) of a FLAT vector, or its constant n times. */
static void put_vec(struct buf *b, const struct vec *v, uint32_t from, uint32_t n)
{
	enum type_layout l = type_layout(v->type);
	bool is_flat = v->form == VEC_FLAT;

	buf_addc(b, v->valid != NULL);
	for (uint32_t i = 0; v->valid && i < n; i++)
		buf_addc(b, (char)v->valid[is_flat ? from + i : 0]);
	switch (l) {
	case LAYOUT_I64:
	case LAYOUT_F64:
	case LAYOUT_BOOL:
		if (is_flat)
			buf_add(b, (char *)v->data + from * layout_size(l), n * layout_size(l));
		for (uint32_t i = 0; !is_flat && i < n; i++)
			buf_add(b, v->data, layout_size(l));
		break;
	case LAYOUT_STR:
		for (uint32_t i = 0; i < n; i++)
			put_u32(b, vec_is_null(v, from + i) ? 0 : (uint32_t)v->str[is_flat ? from + i : 0].len);
		for (uint32_t i = 0; i < n; i++) {
			if (!vec_is_null(v, from + i))
				buf_add_str(b, v->str[is_flat ? from + i : 0]);
		}
		break;
	case LAYOUT_LIST: {
		uint32_t elems = 0;
		for (uint32_t i = 0; i < n; i++) {
			uint32_t len = vec_is_null(v, from + i) ? 0 : v->list[is_flat ? from + i : 0].len;
			put_u32(b, len);
			elems += len;
		}
		put_u32(b, elems);
		/* One vector an original list: simple, and lists are rare in sorts. */
		for (uint32_t i = 0; i < n; i++) {
			if (vec_is_null(v, from + i))
				continue;
			const struct vec_list *k = &v->list[is_flat ? from + i : 0];
			if (k->len)
				put_vec(b, v->child, k->off, k->len);
		}
		break;
	}
	case LAYOUT_ROW:
		for (uint32_t f = 0; f < v->type->field_count; f++)
			put_vec(b, &v->child[f], is_flat ? from : 0, n);
		break;
	}
}

static int get_vec(struct cur *c, const struct type *t, uint32_t n, struct arena *a, struct vec *ret,
		   struct err *e);

static int damaged(struct err *e)
{
	return err_set(e, -EBADMSG, "the statement's temporary file does not hold what was written to it");
}

static int get_list(struct cur *c, const struct type *t, uint32_t n, struct arena *a, const uint8_t *valid,
		    struct vec *ret, struct err *e)
{
	const struct type *elem = type_list_elem(t);
	const uint8_t *lens = cur_bytes(c, n * sizeof(uint32_t));
	struct vec_builder b;

	cur_bytes(c, sizeof(uint32_t));
	if (c->bad)
		return damaged(e);
	int rc = vb_init(&b, t, n, a, e);
	for (uint32_t i = 0; i < n && rc >= 0; i++) {
		uint32_t len;
		struct vec v;
		memcpy(&len, lens + i * sizeof len, sizeof len);
		if (valid && !valid[i]) {
			rc = vb_add_null(&b, e);
			continue;
		}
		rc = len ? get_vec(c, elem, len, a, &v, e) : 0;
		for (uint32_t k = 0; k < len && rc >= 0; k++)
			rc = vb_add(vb_elem(&b), &v, k, e);
		if (rc >= 0)
			rc = vb_add_list(&b, len, e);
	}
	if (rc >= 0)
		vb_finish(&b, ret);
	return rc;
}

static int get_strings(struct cur *c, uint32_t n, struct arena *a, struct vec *ret, struct err *e)
{
	const uint8_t *lens = cur_bytes(c, n * sizeof(uint32_t));
	size_t total = 0;

	for (uint32_t i = 0; lens && i < n; i++) {
		uint32_t len;
		memcpy(&len, lens + i * sizeof len, sizeof len);
		ret->str[i].len = len;
		total += len;
	}
	const char *bytes = cur_bytes(c, total);
	if (c->bad)
		return damaged(e);
	char *copy = arena_alloc(a, total + 1);
	if (!copy)
		return err_set(e, -ENOMEM, "out of memory while merging a sort");
	if (total)
		memcpy(copy, bytes, total);
	for (uint32_t i = 0; i < n; i++) {
		ret->str[i].ptr = copy;
		copy += ret->str[i].len;
	}
	return 0;
}

static int get_vec(struct cur *c, const struct type *t, uint32_t n, struct arena *a, struct vec *ret,
		   struct err *e)
{
	enum type_layout l = type_layout(t);
	uint8_t *valid = NULL;
	int rc = 0;

	if (cur_u8(c)) {
		const void *from = cur_bytes(c, n);
		valid = arena_alloc(a, n + 1);
		if (c->bad)
			return damaged(e);
		if (!valid)
			return err_set(e, -ENOMEM, "out of memory while merging a sort");
		memcpy(valid, from, n);
	}
	if (l == LAYOUT_LIST) {
		rc = get_list(c, t, n, a, valid, ret, e);
	} else {
		rc = vec_alloc(ret, t, n, a, e);
		if (rc < 0)
			return rc;
		ret->valid = valid;
	}
	if (l == LAYOUT_STR) {
		rc = get_strings(c, n, a, ret, e);
	} else if (l == LAYOUT_ROW) {
		for (uint32_t f = 0; f < t->field_count && rc >= 0; f++)
			rc = get_vec(c, t->fields[f].type, n, a, &ret->child[f], e);
	} else if (l != LAYOUT_LIST) {
		const void *from = cur_bytes(c, n * layout_size(l));
		if (c->bad)
			return damaged(e);
		memcpy(ret->data, from, n * layout_size(l));
	}
	return rc;
}

/* ---- runs ------------------------------------------------------------------------------------------------------- */

int spill_begin_run(struct spill *s, struct err *e)
{
	if (s->run_n == RUNS_MAX)
		return exec_nomem(s->exec, e);
	if (s->run_n == s->run_cap) {
		uint32_t cap = MAX(16u, s->run_cap * 2);
		struct run *p = realloc(s->runs, cap * sizeof *p);
		if (!p)
			return err_set(e, -ENOMEM, "out of memory");
		s->runs = p;
		s->run_cap = cap;
	}
	struct run *r = &s->runs[s->run_n++];
	*r = (struct run){.off = s->size, .end = s->size};
	arena_init(&r->arena, s->exec->budget);
	return 0;
}

struct block_head {
	uint32_t bytes, rows;
};

int spill_write(struct spill *s, const struct vec *cols, uint32_t n, struct err *e)
{
	struct block_head h = {.rows = n};

	buf_clear(&s->block);
	buf_add(&s->block, &h, sizeof h);
	for (uint32_t i = 0; i < s->col_count; i++)
		put_vec(&s->block, &cols[i], 0, n);
	if (s->block.rc < 0)
		return err_set(e, -ENOMEM, "out of memory: rows too wide");
	h.bytes = (uint32_t)(s->block.len - sizeof h);
	memcpy(s->block.data, &h, sizeof h);
	int rc = write_all(s, s->block.data, s->block.len, e);
	if (rc >= 0)
		s->runs[s->run_n - 1].end = s->size;
	return rc;
}

/* The run's next block. 1, or 0 at its end. */
static int run_fill(struct spill *s, struct run *r, struct err *e)
{
	struct block_head h;

	r->n = r->at = 0;
	if (r->off >= r->end)
		return 0;
	int rc = read_all(s, &h, sizeof h, r->off, e);
	if (rc < 0)
		return rc;
	if (h.rows == 0 || h.rows > VEC_ROWS || r->off + (int64_t)sizeof h + h.bytes > r->end)
		return damaged(e);
	buf_clear(&s->block);
	char *p = buf_reserve(&s->block, h.bytes);
	if (!p)
		return err_set(e, -ENOMEM, "out of memory while merging a sort");
	rc = read_all(s, p, h.bytes, r->off + (int64_t)sizeof h, e);
	if (rc < 0)
		return rc;
	r->off += (int64_t)sizeof h + h.bytes;
	arena_reset(&r->arena);
	r->cols = arena_zarray(&r->arena, struct vec, s->col_count + 1);
	if (!r->cols)
		return exec_nomem(s->exec, e);
	struct cur c = cur_over(p, h.bytes);
	for (uint32_t i = 0; i < s->col_count && rc >= 0; i++)
		rc = get_vec(&c, s->types[i], h.rows, &r->arena, &r->cols[i], e);
	if (rc < 0)
		return rc;
	if (c.bad || cur_left(&c))
		return damaged(e);
	r->n = h.rows;
	return 1;
}

/* ---- merge ------------------------------------------------------------------------------------------------------ */

static bool run_before(const struct spill *s, uint32_t a, uint32_t b)
{
	const struct run *x = &s->runs[a], *y = &s->runs[b];
	int c = sort_cmp_rows(s->order, x->cols, x->at, y->cols, y->at);

	return c ? c < 0 : a < b;
}

static void sift_down(struct spill *s, uint32_t i)
{
	uint32_t *h = s->heap, item = h[i];

	for (;;) {
		uint32_t k = 2 * i + 1;
		if (k >= s->heap_n)
			break;
		if (k + 1 < s->heap_n && run_before(s, h[k + 1], h[k]))
			k++;
		if (!run_before(s, h[k], item))
			break;
		h[i] = h[k];
		i = k;
	}
	h[i] = item;
}

int spill_merge(struct spill *s, const struct sorter *order, struct err *e)
{
	s->order = order;
	s->heap = calloc(s->run_n + 1, sizeof *s->heap);
	if (!s->heap)
		return err_set(e, -ENOMEM, "out of memory");
	for (uint32_t i = 0; i < s->run_n; i++) {
		int rc = run_fill(s, &s->runs[i], e);
		if (rc < 0)
			return rc;
		if (rc)
			s->heap[s->heap_n++] = i;
	}
	for (uint32_t i = s->heap_n / 2; i-- > 0;)
		sift_down(s, i);
	return 0;
}

bool spill_is_done(const struct spill *s)
{
	return !s->heap_n;
}

int64_t spill_next(struct spill *s, uint32_t want, struct arena *a, struct vec *cols, struct err *e)
{
	struct vec_builder *b = arena_zarray(a, struct vec_builder, s->col_count + 1);
	uint32_t n = 0;
	int rc = 0;

	if (!b)
		return exec_nomem(s->exec, e);
	for (uint32_t i = 0; i < s->col_count && rc >= 0; i++)
		rc = vb_init(&b[i], s->types[i], want, a, e);
	while (rc >= 0 && n < want && s->heap_n) {
		struct run *r = &s->runs[s->heap[0]];
		for (uint32_t i = 0; i < s->col_count && rc >= 0; i++)
			rc = vb_add(&b[i], &r->cols[i], r->at, e);
		if (rc < 0)
			break;
		n++;
		if (++r->at == r->n) {
			rc = run_fill(s, r, e);
			if (rc == 0) {
				arena_release(&r->arena);
				s->heap[0] = s->heap[--s->heap_n];
			}
		}
		if (rc >= 0 && s->heap_n)
			sift_down(s, 0);
	}
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < s->col_count; i++)
		vb_finish(&b[i], &cols[i]);
	return n;
}
