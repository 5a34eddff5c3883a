/*
 * snapshot_pin: one moment of a whole database.
 *
 * Every append holds the append locks of the tables it writes to. With all of them held there is no
 * append half done, so what all tables hold then is what was acknowledged up to one moment, also
 * where one write went to several tables. Nothing is read or written under the locks: blocks are
 * frozen and referenced, as are the files and the deletions, and none of them changes after that.
 */
#include <stdlib.h>

#include "engine/snapshot.h"

static int by_id(const void *x, const void *y)
{
	uint32_t a = ((const struct snap_pin *)x)->table->meta.id, b = ((const struct snap_pin *)y)->table->meta.id;
	return (a > b) - (a < b);
}

/* Caller holds db.mu: no table comes or goes. */
static int list_tables(struct db *db, struct snap_pin **ret, uint32_t *ret_n)
{
	uint32_t n = 0;

	for (struct table *t = db->tables; t; t = t->next)
		n++;
	struct snap_pin *v = calloc(n + 1, sizeof *v);
	if (!v)
		return -ENOMEM;
	n = 0;
	for (struct table *t = db->tables; t; t = t->next)
		v[n++].table = table_get(t);
	qsort(v, n, sizeof *v, by_id);
	*ret = v;
	*ret_n = n;
	return 0;
}

/* Caller holds append_mu. */
static int pin_one(struct snap_pin *p)
{
	struct table *t = p->table;

	memtable_freeze(&t->mem, &t->mu);
	p->defs = series_logged(t->series);
	pthread_mutex_lock(&t->mu);
	p->set = file_set_get(t->files);
	p->tombs = tomb_set_get(t->tombs);
	p->parts = series_parts_get(t->parts);
	p->expired_before_ns = t->meta.expired_before_ns;
	int rc = memtable_view(&t->mem, &p->views, &p->view_n);
	pthread_mutex_unlock(&t->mu);
	return rc;
}

int snapshot_pin(struct db *db, struct snap_pin **ret, uint32_t *ret_n, int64_t *ret_ns, struct err *e)
{
	struct snap_pin *v = NULL;
	uint32_t n = 0;

	pthread_mutex_lock(&db->mu);
	int rc = list_tables(db, &v, &n);
	for (uint32_t i = 0; i < n; i++)
		pthread_mutex_lock(&v[i].table->append_mu);
	for (uint32_t i = 0; i < n && rc >= 0; i++)
		rc = pin_one(&v[i]);
	int64_t now = clock_now_ns();
	for (uint32_t i = n; i-- > 0;)
		pthread_mutex_unlock(&v[i].table->append_mu);
	pthread_mutex_unlock(&db->mu);
	if (rc < 0) {
		snapshot_unpin(v, n);
		return err_set(e, rc, "out of memory for a snapshot of database '%s'", db->name);
	}
	*ret = v;
	*ret_n = n;
	*ret_ns = now;
	return 0;
}

void snapshot_unpin_one(struct snap_pin *p)
{
	for (uint32_t i = 0; i < p->view_n; i++)
		block_view_release(&p->views[i]);
	free(p->views);
	file_set_put(p->set);
	tomb_set_put(p->tombs);
	series_parts_put(p->parts);
	table_put(p->table);
	*p = (struct snap_pin){0};
}

void snapshot_unpin(struct snap_pin *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		snapshot_unpin_one(&v[i]);
	free(v);
}
