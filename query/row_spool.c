#include "query/row_spool.h"

#define MEMORY_MAX ((size_t)32 << 20)

int row_spool_init(struct row_spool *s, const struct exec_ctx *exec, const struct type *const *types,
		   uint32_t col_count, struct err *e)
{
	*s = (struct row_spool){.exec = exec, .types = types, .col_count = col_count};
	s->memory_max = MIN(MEMORY_MAX, exec->budget->limit / 8);
	return row_store_init(&s->store, exec, types, col_count, e);
}

void row_spool_release(struct row_spool *s)
{
	row_store_release(&s->store);
	spill_destroy(s->spill);
	s->spill = NULL;
}

/* From memory to a file, which takes the rows that follow, too. */
static int move_out(struct row_spool *s, struct err *e)
{
	int rc = spill_create(s->exec, s->types, s->col_count, &s->spill, e);

	if (rc >= 0)
		rc = spill_begin_run(s->spill, e);
	for (uint32_t i = 0; i < s->store.chunk_n && rc >= 0; i++)
		rc = spill_write(s->spill, s->store.chunks[i]->cols, s->store.chunks[i]->n, e);
	if (rc >= 0)
		row_store_clear(&s->store);
	return rc;
}

int row_spool_add(struct row_spool *s, const struct vec *cols, uint32_t n, struct arena *a, struct err *e)
{
	struct vec *flat;
	int rc = 0;

	if (!n)
		return 0;
	if (!s->spill) {
		rc = row_store_add(&s->store, cols, NULL, n, e);
		s->n += n;
		return rc >= 0 && s->store.arena->bytes > s->memory_max ? move_out(s, e) : rc;
	}
	flat = arena_array(a, struct vec, s->col_count + 1);
	if (!flat)
		return exec_nomem(s->exec, e);
	for (uint32_t i = 0; i < s->col_count && rc >= 0; i++)
		rc = vec_flatten(&cols[i], n, a, &flat[i], e);
	s->n += n;
	return rc < 0 ? rc : spill_write(s->spill, flat, n, e);
}

int64_t row_spool_next(struct row_spool *s, struct arena *a, struct vec *cols, struct err *e)
{
	int rc;

	if (s->spill) {
		rc = s->is_reading ? 0 : spill_merge(s->spill, NULL, e); /* one run: nothing is compared */
		s->is_reading = true;
		if (rc < 0 || spill_is_done(s->spill))
			return rc;
		return spill_next(s->spill, VEC_ROWS, a, cols, e);
	}
	s->is_reading = true;
	if (s->at == s->store.chunk_n)
		return 0;
	memcpy(cols, s->store.chunks[s->at]->cols, sizeof *cols * s->col_count);
	return s->store.chunks[s->at++]->n;
}
