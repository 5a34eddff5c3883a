/*
 * incoming_file: the bytes of a file on its way into magnetic/.
 *
 * When is a file finished? FLUSH arrives for every close(2) of every copy of the descriptor, so it says
 * nothing by itself: a shell's children each send one. But a tile proves itself: when its footer is
 * there and right, it is whole, and is taken in. When it is not, it may still grow under the hands of
 * somebody else, and only the process that opened the file is told that it is none; nothing is thrown
 * away before the last descriptor is closed (RELEASE).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/refusal.h"
#include "fs/incoming_impl.h"

struct incoming_handle {
	struct incoming *in; /* referenced */
	pid_t process;       /* that opened it; -1: not known */
};

/* ---- processes ------------------------------------------------------------------------------------------- */

/* A request names the thread. -1: not to be found out. */
static pid_t process_of(pid_t thread)
{
	char path[64], text[512];
	ssize_t n;
	int fd;

	if (thread <= 0)
		return -1;
	snprintf(path, sizeof path, "/proc/%d/status", (int)thread);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	char *line = strstr(text, "\nTgid:");
	return line ? (pid_t)strtol(line + 6, NULL, 10) : -1;
}

/* Better told too often than not at all. */
static bool is_opener(const struct incoming_handle *ih, fuse_req_t req)
{
	pid_t p = process_of(fuse_req_ctx(req)->pid);
	return p == -1 || ih->process == -1 || p == ih->process;
}

/* ---- the end of a file ----------------------------------------------------------------------------------- */

void incoming_drop_content(struct incoming *in)
{
	if (!in->restore)
		return;
	table_restore_close(in->restore);
	in->restore = NULL;
	in->fd = -1;
	pthread_mutex_lock(&in->owner->mu);
	in->owner->files--;
	pthread_mutex_unlock(&in->owner->mu);
}

/* It begins and ends like a Parquet file. */
static bool looks_whole(const struct incoming *in)
{
	int64_t size = atomic_load(&in->size);
	char head[4], tail[4];

	return size >= 12 && pread(in->fd, head, 4, 0) == 4 && pread(in->fd, tail, 4, size - 4) == 4 &&
	       memcmp(head, "PAR1", 4) == 0 && memcmp(tail, "PAR1", 4) == 0;
}

static void note_refusal(struct fs *fs, struct incoming *in, struct node *dir, const char *name, uint32_t uid,
			 const struct err *e, int rc)
{
	char file[1024 + 256];
	struct buf line;

	node_path(dir, file, 1024);
	snprintf(file + strlen(file), 256, "/%s", name);
	struct refusal r = {
		.when_ns = clock_now_ns(),
		.file = file,
		.uid = uid,
		.record = -1,
		.reason = err_text(e, rc),
		.text = STR_LIT(""),
	};
	buf_init(&line, 65536);
	refusal_format(&r, &line);
	if (line.rc >= 0)
		(void)!rejected_add(table_rejected(in->table), buf_str(&line), NULL);
	buf_release(&line);
	fs_note_refusal(fs, dir, e, rc);
}

int incoming_commit(struct fs *fs, struct incoming *in, struct node *dir, const char *name, uint32_t uid, struct err *e)
{
	int rc = in->restore ? table_restore_commit(in->restore, name, e) : -ESTALE;

	if (rc >= 0) {
		in->is_changed = false;
		pthread_mutex_lock(&in->owner->mu);
		in->is_restored = true;
		in->idle_since_ns = clock_mono_ns();
		pthread_mutex_unlock(&in->owner->mu);
		return 0;
	}
	note_refusal(fs, in, dir, name, uid, e, rc);
	/* Of a file that somebody brings this says nothing about our disk. */
	return rc == -EBADMSG ? -EINVAL : rc;
}

/*
 * Is it good? Caller holds in->mu. is_end: then what is not whole is none; else it may become one.
 */
static int judge(struct handle *h, struct incoming *in, bool is_end, struct err *e)
{
	char name[INCOMING_PATH_MAX];

	pthread_mutex_lock(&in->owner->mu);
	snprintf(name, sizeof name, "%s", incoming_base(in->path));
	bool is_wanted = in->is_linked || in->is_over;
	pthread_mutex_unlock(&in->owner->mu);
	if (!in->is_changed || !in->restore || !is_wanted || !incoming_is_final(name) || !atomic_load(&in->size))
		return 0;
	if (!is_end && !looks_whole(in))
		return 0;
	int rc = incoming_commit(h->fs, in, h->node->parent, name, h->who.uid, e);
	if (rc < 0)
		in->is_changed = false; /* this was said */
	return rc;
}

static int incoming_flush(struct handle *h, fuse_req_t req, struct err *e)
{
	struct incoming_handle *ih = h->priv;

	if (!h->writable)
		return 0;
	pthread_mutex_lock(&ih->in->mu);
	int rc = judge(h, ih->in, is_opener(ih, req), e);
	pthread_mutex_unlock(&ih->in->mu);
	return rc;
}

/* A whole tile is as safe after fsync(2) as after close(2); of a part there is nothing to be kept safe. */
static int incoming_fsync(struct handle *h, struct err *e)
{
	struct incoming_handle *ih = h->priv;

	if (!h->writable)
		return 0;
	pthread_mutex_lock(&ih->in->mu);
	int rc = judge(h, ih->in, false, e);
	pthread_mutex_unlock(&ih->in->mu);
	return rc;
}

/* ---- open and close -------------------------------------------------------------------------------------- */

/* Takes the reference. */
static int attach(struct handle *h, struct incoming *in)
{
	struct incoming_handle *ih = malloc(sizeof *ih);

	if (!ih) {
		incoming_put(in);
		return -ENOMEM;
	}
	*ih = (struct incoming_handle){in, h->writable ? process_of(h->who.pid) : -1};
	h->priv = ih;
	pthread_mutex_lock(&in->owner->mu);
	in->opens++;
	in->writers += h->writable;
	pthread_mutex_unlock(&in->owner->mu);
	return 0;
}

static int incoming_open(struct handle *h, struct err *e)
{
	struct incoming *in = h->node->incoming;

	pthread_mutex_lock(&in->mu);
	bool is_gone = !in->restore;
	pthread_mutex_unlock(&in->mu);
	if (is_gone)
		return -ESTALE; /* the kernel looks again, and finds nothing */
	return attach(h, incoming_get(in));
}

int incoming_over_tile(struct handle *h, struct err *e)
{
	struct incoming *in;
	int rc = incoming_make(h->fs, h->node->table, h->node->name, 0600, &h->who, &in, e);

	if (rc < 0)
		return rc;
	in->is_over = true;
	h->ops = &incoming_ops;
	return attach(h, in);
}

/* The last one who could have finished it has gone. */
static void end_writing(struct handle *h, struct incoming *in)
{
	struct err e = {0};
	bool is_restored, is_final;

	/* RELEASE comes late: the next one may be writing it anew, and will end it. */
	pthread_mutex_lock(&in->mu);
	pthread_mutex_lock(&in->owner->mu);
	bool is_last = !in->writers;
	pthread_mutex_unlock(&in->owner->mu);
	if (is_last)
		(void)judge(h, in, true, &e); /* for those whose closing did not say it */
	pthread_mutex_unlock(&in->mu);
	pthread_mutex_lock(&in->owner->mu);
	is_restored = in->is_restored;
	is_final = incoming_is_final(incoming_base(in->path));
	pthread_mutex_unlock(&in->owner->mu);
	if (is_last && (in->is_over || (is_final && !is_restored && atomic_load(&in->size))))
		incoming_forget(in);
}

static void incoming_release(struct handle *h)
{
	struct incoming_handle *ih = h->priv;
	struct incoming *in = ih->in;
	bool was_last;

	pthread_mutex_lock(&in->owner->mu);
	in->writers -= h->writable;
	was_last = h->writable && !in->writers;
	pthread_mutex_unlock(&in->owner->mu);
	if (was_last && node_check(h->node) == 0)
		end_writing(h, in);
	pthread_mutex_lock(&in->owner->mu);
	in->opens--;
	in->idle_since_ns = clock_mono_ns();
	pthread_mutex_unlock(&in->owner->mu);
	incoming_put(in);
	free(ih);
	incoming_trim(h->fs->incomings);
}

/* ---- bytes ----------------------------------------------------------------------------------------------- */

static void incoming_read(struct handle *h, fuse_req_t req, size_t n, int64_t off)
{
	struct incoming *in = ((struct incoming_handle *)h->priv)->in;
	char *to = malloc(n ? n : 1);
	ssize_t got = -1;

	if (!to) {
		reply_err(req, -ENOMEM);
		return;
	}
	pthread_mutex_lock(&in->mu);
	int rc = in->restore ? 0 : -ESTALE;
	if (rc >= 0 && (got = pread(in->fd, to, n, off)) < 0)
		rc = -errno;
	pthread_mutex_unlock(&in->mu);
	if (rc < 0)
		reply_err(req, rc);
	else
		fuse_reply_buf(req, to, (size_t)got);
	free(to);
}

/* Caller holds in->mu. It is a new file from here on. */
static void note_change(struct incoming *in, int64_t size)
{
	in->is_changed = true;
	atomic_store(&in->size, size);
	pthread_mutex_lock(&in->owner->mu);
	in->is_restored = false;
	in->mtime_ns = clock_now_ns();
	pthread_mutex_unlock(&in->owner->mu);
}

static int64_t incoming_write(struct handle *h, const char *p, size_t n, int64_t off, struct err *e)
{
	struct incoming *in = ((struct incoming_handle *)h->priv)->in;
	size_t done = 0;
	int rc = 0;

	pthread_mutex_lock(&in->mu);
	if (!in->restore)
		rc = err_set(e, -ESTALE, "this file was given up");
	while (rc >= 0 && done < n) {
		ssize_t put = pwrite(in->fd, p + done, n - done, off + (int64_t)done);
		if (put < 0 && errno != EINTR)
			rc = -errno;
		else if (put > 0)
			done += (size_t)put;
	}
	if (done)
		note_change(in, MAX(atomic_load(&in->size), off + (int64_t)done));
	pthread_mutex_unlock(&in->mu);
	return done ? (int64_t)done : rc;
}

/* h: one of ours, or (of a node of ours) one that is being opened, or NULL. */
static int incoming_truncate(struct fs *fs, struct node *n, struct handle *h, int64_t size, struct err *e)
{
	struct incoming_handle *ih = h ? h->priv : NULL;
	struct incoming *in = ih ? ih->in : n->incoming;
	int rc;

	pthread_mutex_lock(&in->mu);
	rc = in->restore ? 0 : -ESTALE;
	if (rc >= 0 && ftruncate(in->fd, size) < 0)
		rc = -errno;
	if (rc >= 0)
		note_change(in, size);
	pthread_mutex_unlock(&in->mu);
	return rc;
}

static int incoming_attr(struct fs *fs, struct node *n, struct stat *st)
{
	struct incoming *in = n->incoming;

	st->st_size = (off_t)atomic_load(&in->size);
	pthread_mutex_lock(&in->owner->mu);
	st->st_mtim.tv_sec = in->mtime_ns / NS_PER_S;
	st->st_mtim.tv_nsec = in->mtime_ns % NS_PER_S;
	st->st_nlink = in->is_linked ? 1 : 0;
	pthread_mutex_unlock(&in->owner->mu);
	return 0;
}

const struct file_ops incoming_ops = {
	.open = incoming_open,
	.read = incoming_read,
	.write = incoming_write,
	.flush = incoming_flush,
	.fsync = incoming_fsync,
	.release = incoming_release,
	.truncate = incoming_truncate,
	.attr = incoming_attr,
};
