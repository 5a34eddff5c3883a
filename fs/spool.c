#include "fs/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Who holds how much. Few users spool at the same time: a list will do. */
struct share {
	uid_t uid;
	uint64_t bytes;
	struct share *next;
};
static pthread_mutex_t shares_mu = PTHREAD_MUTEX_INITIALIZER;
static struct share *shares; /* guarded by shares_mu */
static uint64_t quota;       /* guarded by shares_mu; 0: none */

static int share_take(uid_t uid, uint64_t n, struct err *e)
{
	struct share *s;
	int rc = 0;

	pthread_mutex_lock(&shares_mu);
	for (s = shares; s && s->uid != uid; s = s->next)
		;
	if (!s && (s = calloc(1, sizeof *s))) {
		s->uid = uid;
		s->next = shares;
		shares = s;
	}
	if (!s)
		rc = -ENOMEM;
	else if (quota && s->bytes + n > quota)
		rc = err_set(e, -EDQUOT,
			     "the results that uid %u has open need more than %llu MiB of spool; close some, "
			     "ask for fewer rows, or mount with a larger spool_quota",
			     (unsigned)uid, (unsigned long long)(quota >> 20));
	else
		s->bytes += n;
	pthread_mutex_unlock(&shares_mu);
	return rc;
}

static void share_give(uid_t uid, uint64_t n)
{
	struct share **p, *s;

	pthread_mutex_lock(&shares_mu);
	for (p = &shares; (s = *p) && s->uid != uid; p = &s->next)
		;
	if (s) {
		s->bytes -= n;
		if (s->bytes == 0) {
			*p = s->next;
			free(s);
		}
	}
	pthread_mutex_unlock(&shares_mu);
}

void spool_init(struct spool *s)
{
	*s = (struct spool){.fd = -1};
}

void spool_release(struct spool *s)
{
	if (s->fd < 0)
		return;
	close(s->fd);
	if (s->bytes)
		share_give(s->uid, s->bytes);
	spool_init(s);
}

bool spool_used(const struct spool *s)
{
	return s->fd >= 0;
}

int spool_open(struct spool *s, const struct fs_options *opt, uid_t uid, struct err *e)
{
	char dir[4096], path[4160];
	int fd;

	pthread_mutex_lock(&shares_mu);
	quota = opt->spool_quota;
	pthread_mutex_unlock(&shares_mu);
	if (opt->spool_dir)
		snprintf(dir, sizeof dir, "%s", opt->spool_dir);
	else
		snprintf(dir, sizeof dir, "%s/spool", opt->data_dir);
	if (!opt->spool_dir && mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_set(e, -errno, "cannot make '%s': %s", dir, strerror(errno));
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) { /* not every filesystem can */
		snprintf(path, sizeof path, "%s/result.XXXXXX", dir);
		fd = mkostemp(path, O_CLOEXEC);
		if (fd >= 0)
			unlink(path);
	}
	if (fd < 0)
		return err_set(e, -errno, "cannot make a spool file in '%s': %s", dir, strerror(errno));
	*s = (struct spool){.fd = fd, .uid = uid};
	return 0;
}

int spool_append(struct spool *s, const void *p, size_t n, struct err *e)
{
	int rc = share_take(s->uid, n, e);
	const char *at = p;
	uint64_t off = s->bytes;

	if (rc < 0)
		return rc;
	s->bytes += n;
	while (n) {
		ssize_t put = pwrite(s->fd, at, n, (off_t)off);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return err_set(e, -errno, "cannot write the result to the spool: %s", strerror(errno));
		at += put;
		off += (uint64_t)put;
		n -= (size_t)put;
	}
	return 0;
}

void spool_reply(const struct spool *s, fuse_req_t req, size_t n, int64_t off)
{
	struct fuse_bufvec v = FUSE_BUFVEC_INIT(n);

	v.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	v.buf[0].fd = s->fd;
	v.buf[0].pos = off;
	fuse_reply_data(req, &v, FUSE_BUF_SPLICE_MOVE);
}
