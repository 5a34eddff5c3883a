#include "fs/caller_io.h"

#include <grp.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What this thread was before. */
struct self {
	bool is_changed;
	int group_n;
	gid_t *groups;
};

/* libc's setgroups() would change all threads. */
static int set_groups(int n, const gid_t *groups)
{
	return syscall(SYS_setgroups, n, groups) < 0 ? -errno : 0;
}

static void leave(struct self *s, const struct fs *fs)
{
	if (s->is_changed) {
		setfsuid(fs->uid);
		setfsgid(fs->gid);
		/* It was ours to set a moment ago; and root without its groups is root. */
		(void)!set_groups(s->group_n, s->groups);
	}
	free(s->groups);
}

static int become(struct self *s, const struct caller_io *c)
{
	const struct caller *who = c->who;
	int rc;

	*s = (struct self){0};
	if (c->fs->uid != 0)
		return who->uid == c->fs->uid ? 0 : -EPERM;
	if (who->uid == 0)
		return 0;
	s->group_n = getgroups(0, NULL);
	s->groups = calloc((size_t)MAX(s->group_n, 0) + 1, sizeof *s->groups);
	if (!s->groups)
		return -ENOMEM;
	s->group_n = getgroups(s->group_n, s->groups);
	if (s->group_n < 0)
		s->group_n = 0;
	rc = set_groups(MAX(who->group_n, 0), who->groups);
	if (rc < 0) {
		free(s->groups);
		s->groups = NULL;
		return rc;
	}
	s->is_changed = true;
	setfsgid(who->gid);
	setfsuid(who->uid); /* root's rights to files go with it */
	/* Neither says whether it worked, but both tell what is. */
	if ((uid_t)setfsuid((uid_t)-1) == who->uid && (gid_t)setfsgid((gid_t)-1) == who->gid)
		return 0;
	leave(s, c->fs);
	s->groups = NULL;
	return -EPERM;
}

/* rc: what the call in the caller's name gives. */
#define AS_CALLER(io, call)                                                                        \
	struct self self;                                                                          \
	const struct caller_io *c = (io)->ctx;                                                     \
	const struct io *os = io_posix();                                                          \
	int rc = become(&self, c);                                                                 \
	if (rc < 0)                                                                                \
		return rc;                                                                         \
	rc = (call);                                                                               \
	leave(&self, c->fs);                                                                       \
	return rc

static int as_openat(const struct io *io, int dirfd, const char *path, int flags, mode_t mode)
{
	AS_CALLER(io, os->openat(os, dirfd, path, flags, mode));
}

static int as_renameat(const struct io *io, int from_dir, const char *from, int to_dir, const char *to)
{
	AS_CALLER(io, os->renameat(os, from_dir, from, to_dir, to));
}

static int as_unlinkat(const struct io *io, int dirfd, const char *path, int flags)
{
	AS_CALLER(io, os->unlinkat(os, dirfd, path, flags));
}

static int as_mkdirat(const struct io *io, int dirfd, const char *path, mode_t mode)
{
	AS_CALLER(io, os->mkdirat(os, dirfd, path, mode));
}

static int as_linkat(const struct io *io, int from_dir, const char *from, int to_dir, const char *to)
{
	AS_CALLER(io, os->linkat(os, from_dir, from, to_dir, to));
}

void caller_io_init(struct caller_io *c, const struct fs *fs, const struct caller *who)
{
	*c = (struct caller_io){.io = *io_posix(), .fs = fs, .who = who};
	c->io.openat = as_openat;
	c->io.renameat = as_renameat;
	c->io.unlinkat = as_unlinkat;
	c->io.mkdirat = as_mkdirat;
	c->io.linkat = as_linkat;
	c->io.ctx = c;
}
