/*
 * q_dir: results of statements that are file names.
 *
 * A result is shared by (rights, database, text, format, version of the data), so that stat(2) and
 * open(2), and the next cat(1), run it once while nothing was written. A statement with now() or
 * random() is never the same twice: only the stat and the open that follow one lookup share it,
 * which is done by answering lookups with the same nodeid until somebody opened it.
 */
#include "fs/q_dir.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/files.h"
#include "fs/results.h"
#include "query/ast.h"

#define UNOPENED_TTL_NS (5 * NS_PER_S) /* for how long a stat's result waits for its open */

int q_decode(const char *name, struct buf *out, enum query_format *ret_format)
{
	size_t len = strlen(name);
	enum query_format format = QF_CSV;

	for (int f = 0; f < QUERY_FORMATS; f++) {
		size_t ext = strlen(query_format_names[f]);
		if (len > ext + 1 && name[len - ext - 1] == '.' &&
		    memcmp(name + len - ext, query_format_names[f], ext) == 0) {
			format = (enum query_format)f;
			len -= ext + 1;
			break;
		}
	}
	/* Only %2F decodes; %252F is how a literal %2F is written. */
	for (size_t i = 0; i < len; i++) {
		if (len - i >= 5 && strncasecmp(name + i, "%252F", 5) == 0) {
			buf_add(out, "%", 1);
			buf_add(out, name + i + 3, 2);
			i += 4;
		} else if (len - i >= 3 && strncasecmp(name + i, "%2F", 3) == 0) {
			buf_addc(out, '/');
			i += 2;
		} else {
			buf_addc(out, name[i]);
		}
	}
	*ret_format = format;
	return out->rc;
}

/*
 * Was it meant as a statement? "SELECT * FORM t" was: whoever wrote it wants to hear of the FORM, not
 * that there is no such file. "notes.txt" and "SELECT" were not.
 */
static bool meant_as_statement(struct str text)
{
	static const char *const firsts[] = {"select", "with", "values", "show", "describe", "explain"};
	size_t i = 0, n;

	while (i < text.len && strchr(" \t\n", text.ptr[i]))
		i++;
	for (size_t k = 0; k < ARRAY_LEN(firsts); k++) {
		n = strlen(firsts[k]);
		if (text.len > i + n && strncasecmp(text.ptr + i, firsts[k], n) == 0 &&
		    strchr(" \t\n(", text.ptr[i + n]))
			return true;
	}
	return false;
}

/* 1: one statement that gives rows; 0: none; -EPERM and -EINVAL: a statement, but not for here. */
static int judge(struct str text, struct err *e)
{
	struct arena a;
	struct ast_stmt **v;
	uint32_t n = 0;
	int rc;

	arena_init(&a, NULL);
	rc = sql_parse(&a, text, &v, &n, e);
	if (rc < 0)
		rc = meant_as_statement(text) ? rc : 0;
	else if (n == 0)
		rc = 0;
	else if (n > 1)
		rc = err_set(e, -EINVAL, "a name below q/ is one statement; this has %u", n);
	else if (stmt_changes(v[0]))
		rc = err_set(e, -EPERM, "q/ takes statements that read; write this one to query, with a ';'");
	else
		rc = 1;
	arena_release(&a);
	return rc;
}

/* The result for a name, shared or new. One reference. */
static int q_result(struct fs *fs, struct node *dir, const char *name, const struct caller *who,
		    struct result **ret)
{
	struct result_spec spec = {.who = who, .db = dir->db, .keep = true};
	struct result *r = NULL, *shared;
	struct err e = {0};
	struct buf text;
	int rc;

	buf_init(&text, SQL_TEXT_MAX);
	rc = q_decode(name, &text, &spec.format);
	spec.text = buf_str(&text);
	if (rc >= 0) {
		rc = judge(spec.text, &e);
		if (rc == 0)
			rc = -ENOENT;
		else if (rc < 0)
			rc = result_failed(fs, true, rc, err_text(&e, rc), &r);
		else
			rc = result_prepare(fs, &spec, &r);
	}
	if (rc >= 0 && result_rc(r) >= 0 && !result_is_volatile(r)) {
		shared = results_find(fs->results, &spec, result_version(r));
		if (shared) {
			result_put(r);
			r = shared;
		} else {
			results_share(fs->results, r);
		}
	}
	buf_release(&text);
	if (rc >= 0)
		*ret = r;
	return rc < 0 ? rc : 0;
}

/* May this one, made for an earlier lookup, answer for what `fresh` would? */
static bool still_good(struct node *n, struct result *fresh)
{
	struct result *r = n->result;

	if (atomic_load(&n->opened) || clock_mono_ns() - n->born_ns > UNOPENED_TTL_NS)
		return false;
	if (!caller_same(&n->who, result_who(fresh)))
		return false;
	return result_rc(r) >= 0 && result_rc(fresh) >= 0 && result_version(r) == result_version(fresh);
}

int q_lookup(struct fs *fs, struct node *dir, const char *name, fuse_req_t req, struct node **ret)
{
	struct node_spec spec = {
		.kind = NODE_STATEMENT,
		.level = LEVEL_Q,
		.db = dir->db,
		.name = name,
	};
	struct caller who;
	struct result *r = NULL;
	struct node *n;
	int rc;

	caller_capture(&who, req);
	rc = q_result(fs, dir, name, &who, &r);
	if (rc < 0)
		goto out;
	n = node_find_statement(fs, dir, name, who.uid);
	if (n) {
		bool good;
		pthread_mutex_lock(&n->mu);
		good = still_good(n, r);
		pthread_mutex_unlock(&n->mu);
		if (good) {
			*ret = n;
			goto out;
		}
		node_unintern(fs, n);
		node_put(fs, n);
	}
	n = node_create(fs, dir, &spec);
	if (!n) {
		rc = -ENOMEM;
		goto out;
	}
	n->who = who;
	who.groups = NULL; /* the node's now */
	n->born_ns = clock_mono_ns();
	n->result = r;
	r = NULL;
	node_publish_statement(fs, n);
	*ret = n;
out:
	result_put(r);
	caller_release(&who);
	return rc;
}

/* ---- file operations ---------------------------------------------------------------------------------- */

/* Another result for a node: the one it had was read before, is somebody else's, or was cancelled. */
static int renew(struct fs *fs, struct node *n, const struct caller *who, struct result **ret)
{
	struct result *r, *before;
	int rc = q_result(fs, n->parent, n->name, who, &r);

	if (rc < 0)
		return rc;
	pthread_mutex_lock(&n->mu);
	before = n->result;
	n->result = result_get(r);
	pthread_mutex_unlock(&n->mu);
	result_put(before);
	*ret = r;
	return 0;
}

static int statement_open(struct handle *h, struct err *e)
{
	struct node *n = h->node;
	struct result *r = NULL;
	bool again = atomic_exchange(&n->opened, true) || !caller_same(&n->who, &h->who);
	int rc;

	node_unintern(h->fs, n);
	if (!again) {
		pthread_mutex_lock(&n->mu);
		r = result_get(n->result);
		pthread_mutex_unlock(&n->mu);
	}
	while (!r || !result_open(r)) {
		result_put(r);
		rc = renew(h->fs, n, &h->who, &r);
		if (rc < 0)
			return rc;
	}
	h->priv = r;
	return 0;
}

static void statement_read(struct handle *h, fuse_req_t req, size_t n, int64_t off)
{
	result_read(h->priv, req, n, off);
}

static void statement_release(struct handle *h)
{
	result_close(h->priv);
	result_put(h->priv);
}

static int statement_attr(struct fs *fs, struct node *n, struct stat *st)
{
	int64_t size, born;

	pthread_mutex_lock(&n->mu);
	result_done(n->result, &size);
	born = result_born_ns(n->result);
	pthread_mutex_unlock(&n->mu);
	st->st_size = size;
	st->st_mtim.tv_sec = born / NS_PER_S;
	st->st_mtim.tv_nsec = born % NS_PER_S;
	return 0;
}

static bool statement_getattr(struct fs *fs, struct node *n, fuse_req_t req)
{
	struct result *r;
	int64_t size;
	bool replied = false;

	pthread_mutex_lock(&n->mu);
	r = result_get(n->result);
	pthread_mutex_unlock(&n->mu);
	while (!replied) {
		if (result_is_lost(r)) { /* its size would be 0, and nobody would read what follows */
			result_put(r);
			if (renew(fs, n, &n->who, &r) < 0)
				return false;
		}
		if (result_done(r, &size))
			break;
		replied = result_stat(r, req, n);
	}
	result_put(r);
	return replied;
}

const struct file_ops statement_ops = {
	.open = statement_open,
	.read = statement_read,
	.release = statement_release,
	.attr = statement_attr,
	.getattr = statement_getattr,
};
