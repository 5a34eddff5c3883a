/*
 * ingest_file: write(2) on an `ingest` file; its row says in which format.
 *
 * Offsets mean nothing (everything is appended), truncation means nothing (`>` is as good as `>>`).
 * Lines come in pieces; the rest of a piece waits in the handle. FLUSH arrives for every close(2) of
 * every copy of the descriptor, also before anything was written, so it takes nothing: it only tells
 * once that lines were refused. An unterminated last line is taken by fsync(2), or by RELEASE, when
 * nobody can write the rest of it any more.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "engine/ingest.h"
#include "fs/files.h"

struct ingest_handle {
	struct ingest *in; /* guarded by h->mu */
	char file[512];    /* for `rejected` */
};


static bool may_write(void *ctx, struct table *t)
{
	struct handle *h = ctx;
	return feed_allowed(h->fs, &h->who, h->node->db, t);
}

static int ingest_file_open(struct handle *h, struct err *e)
{
	struct ingest_handle *ih;
	struct ingest_source src = {.uid = h->who.uid, .format = (enum ingest_format)h->node->row->arg,
				    .may_write = may_write, .may_ctx = h};
	int rc;

	if (!h->writable)
		return 0; /* readers find an empty file: grep -r and cp -r end */
	ih = calloc(1, sizeof *ih);
	if (!ih)
		return -ENOMEM;
	node_path(h->node, ih->file, sizeof ih->file);
	src.file = ih->file;
	rc = ingest_open(h->node->db, h->node->table, &src, &ih->in, e);
	if (rc < 0) {
		free(ih);
		return rc;
	}
	h->priv = ih;
	return 0;
}

static int64_t ingest_file_write(struct handle *h, const char *p, size_t n, int64_t off, struct err *e)
{
	struct ingest_handle *ih = h->priv;
	int64_t took;

	pthread_mutex_lock(&h->mu);
	took = ingest_write(ih->in, p, n, e);
	if (took >= 0 && h->sync_each) {
		int rc = db_sync(h->node->db, e);
		if (rc < 0)
			took = rc;
	}
	pthread_mutex_unlock(&h->mu);
	return took;
}

static int ingest_file_flush(struct handle *h, fuse_req_t req, struct err *e)
{
	struct ingest_handle *ih = h->priv;
	int rc = 0;

	if (!ih)
		return 0;
	pthread_mutex_lock(&h->mu);
	if (ingest_take_rejected(ih->in))
		rc = err_set(e, -EINVAL, "some lines were refused; see `rejected`");
	pthread_mutex_unlock(&h->mu);
	return rc;
}

static int ingest_file_fsync(struct handle *h, struct err *e)
{
	struct ingest_handle *ih = h->priv;
	int rc = 0, synced;

	if (ih) {
		pthread_mutex_lock(&h->mu);
		rc = ingest_finish(ih->in, e);
		pthread_mutex_unlock(&h->mu);
	}
	/* The good lines are to be safe even where the last one was not good. */
	synced = db_sync(h->node->db, rc < 0 ? NULL : e);
	return synced < 0 ? synced : rc;
}

static void ingest_file_release(struct handle *h)
{
	struct ingest_handle *ih = h->priv;
	struct err e = {0};
	int rc;

	if (!ih)
		return;
	if (node_check(h->node) == 0) {
		rc = ingest_finish(ih->in, &e);
		/* Nobody is left to be told; what is wrong with a line stands in `rejected`. */
		if (rc < 0 && rc != -EINVAL && rc != -ESTALE)
			log_warn("ingest", "file=%s lost an unterminated last line: %s",
				 log_quote(str_from(ih->file)).text, err_text(&e, rc));
	}
	ingest_close(ih->in);
	free(ih);
}

static int ingest_file_truncate(struct fs *fs, struct node *n, struct handle *h, int64_t size, struct err *e)
{
	return 0;
}

const struct file_ops ingest_ops = {
	.open = ingest_file_open,
	.write = ingest_file_write,
	.flush = ingest_file_flush,
	.fsync = ingest_file_fsync,
	.release = ingest_file_release,
	.truncate = ingest_file_truncate,
};
