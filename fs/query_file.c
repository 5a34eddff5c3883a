/*
 * query_file: SQL in, rows out, through one name.
 *
 *	one handle    open O_RDWR, write SQL, read rows, write the next. Text and result belong to the
 *	              handle. The kernel moves the file position on write, and some programs seek back
 *	              before they read and some do not: the first read after a statement tells which,
 *	              and fixes where in the file this result begins, until the next write.
 *	two handles   `echo SQL > query; cat query`: the text waits in the slot of (uid, session,
 *	              directory). Each handle that reads runs it again.
 *
 * Rows stream: their size is not known and st_size is 0, unless everything was produced already.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/files.h"
#include "fs/results.h"
#include "fs/slots.h"

struct query_handle {
	/* Guarded by h->mu. */
	struct stmt own;         /* O_RDWR: what this handle wrote */
	bool wrote;
	bool begins;             /* `>`: its first write begins a statement */
	int64_t write_end;       /* file offset just past the last write */
	int failed_rc;           /* O_WRONLY: the text went wrong; what follows belongs to it */
	struct slot *slot;       /* or NULL */
	struct result *result;   /* being read, or NULL */
	int64_t base;            /* file offset of its first byte */
};

static const char hint[] =
	"Nothing was asked yet. Write a statement, then read:\n"
	"\n"
	"  echo 'SELECT 1' > query; cat query        from the same session\n"
	"  exec 3<>query; echo 'SELECT 1' >&3; cat <&3   with one handle, from anywhere\n"
	"  cat 'q/SELECT 1.csv'                       the name is the query";

static const char no_session[] =
	"Your session cannot be seen from here (another pid namespace), so what another process wrote\n"
	"cannot be found. Write and read through one handle (exec 3<>query), or use q/.";

static int query_file_open(struct handle *h, struct err *e)
{
	struct query_handle *qh = calloc(1, sizeof *qh);

	if (!qh)
		return -ENOMEM;
	stmt_init(&qh->own);
	if (h->who.sid != SID_UNKNOWN)
		qh->slot = slot_find(h->fs->slots, h->who.uid, h->who.sid, h->node->db, h->writable);
	/* O_RDWR keeps its text to itself; `>` begins a new one, `>>` goes on with what is pending. */
	if (h->writable && !h->readable && h->truncated && qh->slot) {
		stmt_restart(slot_lock(qh->slot));
		slot_unlock(qh->slot);
		qh->begins = true;
	}
	h->priv = qh;
	return 0;
}

static void drop_result(struct handle *h, struct query_handle *qh)
{
	if (!qh->result)
		return;
	result_close(qh->result);
	pthread_mutex_lock(&h->node->mu);
	if (h->node->result == qh->result) {
		h->node->result = NULL;
		result_put(qh->result);
	}
	pthread_mutex_unlock(&h->node->mu);
	result_put(qh->result);
	qh->result = NULL;
}

static int64_t query_file_write(struct handle *h, fuse_req_t req, const char *p, size_t n, int64_t off,
				struct err *e)
{
	struct query_handle *qh = h->priv;
	struct writer w;
	int64_t rc;

	writer_begin(&w, req);
	pthread_mutex_lock(&h->mu);
	if (h->readable) {
		drop_result(h, qh);
		qh->wrote = true;
		rc = stmt_write(&qh->own, h->fs, &h->who, &w, h->node->db, p, n, e);
		if (rc > 0)
			qh->write_end = off + rc;
	} else if (qh->failed_rc) {
		rc = qh->failed_rc; /* bash goes on echoing the lines after a wrong one */
	} else if (qh->slot) {
		struct stmt *s = slot_lock(qh->slot);
		/* Another job of this session may have written since the open: no half of one, half of another. */
		if (qh->begins)
			stmt_restart(s);
		qh->begins = false;
		rc = stmt_write(s, h->fs, &h->who, &w, h->node->db, p, n, e);
		slot_unlock(qh->slot);
	} else {
		rc = stmt_write(&qh->own, h->fs, &h->who, &w, h->node->db, p, n, e);
	}
	if (rc < 0 && rc != -EINTR && !h->readable)
		qh->failed_rc = (int)rc;
	pthread_mutex_unlock(&h->mu);
	writer_end(&w);
	return rc;
}

/* A result of what stands in a statement. */
static int result_of(struct handle *h, struct stmt *s, struct result **ret)
{
	struct result_spec spec = {
		.who = &h->who,
		.db = h->node->db,
		.text = buf_str(&s->text),
		.format = (enum query_format)h->node->row->arg,
	};

	if (s->rc < 0)
		return result_failed(h->fs, false, s->rc, s->sentence, ret);
	s->taken = true;
	if (stmt_lacks_end(s))
		return result_failed(h->fs, false, -EINVAL,
				     "this statement changes something: it runs once, when a ';' ends it",
				     ret);
	return result_prepare(h->fs, &spec, ret);
}

/* Caller holds h->mu. The first read: what is asked? */
static int begin(struct handle *h, struct query_handle *qh, int64_t off)
{
	struct slots *ss = h->fs->slots;
	struct stmt *s = NULL;
	int rc;

	if (!qh->wrote && !qh->slot && h->who.sid != SID_UNKNOWN)
		qh->slot = slot_find(ss, h->who.uid, h->who.sid, h->node->db, false);
	if (qh->wrote) {
		rc = stmt_is_empty(&qh->own) ? result_of_text(h->fs, STR_LIT(""), &qh->result)
					     : result_of(h, &qh->own, &qh->result);
	} else if (qh->slot) {
		s = slot_lock(qh->slot);
		rc = stmt_is_empty(s) ? result_of_text(h->fs, s->has_run ? STR_LIT("") : str_from(hint), &qh->result)
				      : result_of(h, s, &qh->result);
		slot_unlock(qh->slot);
	} else {
		rc = result_of_text(h->fs, str_from(h->who.sid == SID_UNKNOWN ? no_session : hint),
				    &qh->result);
	}
	if (rc < 0)
		return rc;
	qh->base = qh->wrote && off >= qh->write_end ? off : 0;
	(void)result_open(qh->result); /* ours alone: nobody cancelled it */
	pthread_mutex_lock(&h->node->mu);
	struct result *before = h->node->result;
	h->node->result = result_get(qh->result);
	h->node->result_base = qh->base;
	pthread_mutex_unlock(&h->node->mu);
	result_put(before);
	return 0;
}

static void query_file_read(struct handle *h, fuse_req_t req, size_t n, int64_t off)
{
	struct query_handle *qh = h->priv;
	struct result *r = NULL;
	int rc = 0;

	pthread_mutex_lock(&h->mu);
	if (!qh->result)
		rc = begin(h, qh, off);
	if (rc >= 0) {
		r = result_get(qh->result);
		/* Somebody seeks back to the start of the file: that is where it begins, then. */
		if (off < qh->base)
			qh->base = 0;
		off -= qh->base;
	}
	pthread_mutex_unlock(&h->mu);
	if (rc < 0) {
		reply_err(req, rc);
		return;
	}
	result_read(r, req, n, off);
	result_put(r);
}

static void query_file_release(struct handle *h)
{
	struct query_handle *qh = h->priv;

	drop_result(h, qh);
	slot_put(h->fs->slots, qh->slot);
	stmt_release(&qh->own);
	free(qh);
}

static int query_file_truncate(struct fs *fs, struct node *n, struct handle *h, int64_t size, struct err *e)
{
	return 0;
}

static int query_file_attr(struct fs *fs, struct node *n, struct stat *st)
{
	int64_t size;

	pthread_mutex_lock(&n->mu);
	if (n->result && result_done(n->result, &size) && size)
		st->st_size = n->result_base + size;
	pthread_mutex_unlock(&n->mu);
	return 0;
}

const struct file_ops query_ops = {
	.open = query_file_open,
	.read = query_file_read,
	.write_for = query_file_write,
	.release = query_file_release,
	.truncate = query_file_truncate,
	.attr = query_file_attr,
};
