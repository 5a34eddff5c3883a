/*
 * attrs: owner and mode of nodes, cached from the catalogue. Few nodes ever differ from their
 * default, so a sorted list is searched.
 */
#include <stdlib.h>

#include "engine/internal.h"

static uint32_t find(const struct db *db, const char *path, bool *ret_found)
{
	uint32_t lo = 0, hi = db->attr_count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = strcmp(db->attrs[mid].path, path);
		if (c == 0) {
			*ret_found = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ret_found = false;
	return lo;
}

/* Caller holds attr_mu, or nobody else knows the database yet. */
static int put(struct db *db, const char *path, const struct node_attr *a)
{
	bool found;
	uint32_t at = find(db, path, &found);

	if (found) {
		db->attrs[at].attr = *a;
		return 0;
	}
	if (db->attr_count == db->attr_cap) {
		uint32_t cap = MAX(db->attr_cap * 2, 16u);
		struct attr_entry *v = realloc(db->attrs, cap * sizeof *v);
		if (!v)
			return -ENOMEM;
		db->attrs = v;
		db->attr_cap = cap;
	}
	char *copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	memmove(&db->attrs[at + 1], &db->attrs[at], (db->attr_count - at) * sizeof *db->attrs);
	db->attrs[at] = (struct attr_entry){copy, *a};
	db->attr_count++;
	return 0;
}

static int load_one(void *ctx, const char *path, const struct catalog_attr *a)
{
	return put(ctx, path, &(struct node_attr){a->mode, a->uid, a->gid});
}

int attrs_load(struct db *db, struct err *e)
{
	return catalog_attrs(db->cat, load_one, db, e);
}

void attrs_release(struct db *db)
{
	for (uint32_t i = 0; i < db->attr_count; i++)
		free(db->attrs[i].path);
	free(db->attrs);
	db->attrs = NULL;
	db->attr_count = db->attr_cap = 0;
}

/* The node and all below it; the catalogue has dropped them or is told here. */
void attrs_drop(struct db *db, const char *path)
{
	size_t len = strlen(path);
	uint32_t k = 0;

	(void)!catalog_attr_drop(db->cat, path, NULL);
	pthread_mutex_lock(&db->attr_mu);
	for (uint32_t i = 0; i < db->attr_count; i++) {
		const char *p = db->attrs[i].path;
		if (strncmp(p, path, len) == 0 && (p[len] == '\0' || p[len] == '/'))
			free(db->attrs[i].path);
		else
			db->attrs[k++] = db->attrs[i];
	}
	db->attr_count = k;
	pthread_mutex_unlock(&db->attr_mu);
}

bool engine_attr(struct engine *en, struct db *db, const char *path, struct node_attr *ret)
{
	struct db *d = db ? db : &en->root;
	bool found;

	pthread_mutex_lock(&d->attr_mu);
	uint32_t at = find(d, path, &found);
	if (found)
		*ret = d->attrs[at].attr;
	pthread_mutex_unlock(&d->attr_mu);
	return found;
}

int engine_attr_set(struct engine *en, struct db *db, const char *path, const struct node_attr *a, struct err *e)
{
	struct db *d = db ? db : &en->root;
	struct catalog_attr ca = {a->mode, a->uid, a->gid};
	int rc = db ? db_check_alive(db, e) : 0;

	if (rc >= 0)
		rc = catalog_attr_set(d->cat, path, &ca, e);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&d->attr_mu);
	rc = put(d, path, a);
	pthread_mutex_unlock(&d->attr_mu);
	return rc < 0 ? err_set(e, rc, "out of memory") : 0;
}
