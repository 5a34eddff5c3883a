#include "fs/options.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MEMORY_MIN (4 << 20)

enum kind {
	OPT_FLAG_ON,
	OPT_FLAG_OFF,
	OPT_SIZE,
	OPT_MEMORY, /* a size with which the engine gets along */
	OPT_DURATION,
	OPT_COUNT,   /* from 4 */
	OPT_CORES,   /* from 1 */
	OPT_TEXT,
	OPT_KERNEL,  /* for libfuse or the kernel, as it is */
	OPT_IGNORED, /* mount(8) and fstab have them for themselves */
};

struct opt_def {
	const char *name;
	enum kind kind;
	size_t offset; /* in struct options */
	const char *arg, *help;
};

#define AT(field) offsetof(struct options, field)
static const struct opt_def defs[] = {
	{"memory", OPT_MEMORY, AT(fs.memory_bytes), "SIZE", "for rows not yet in files (default: a quarter of RAM, at most 512M)"},
	{"cache", OPT_MEMORY, AT(fs.cache_bytes), "SIZE", "for pages of tiles that were read (default: half of memory)"},
	{"query_memory", OPT_SIZE, AT(fs.query_memory), "SIZE", "a statement may use this much (default 256M)"},
	{"sync_interval", OPT_DURATION, AT(fs.sync_interval_ns), "TIME", "power loss costs at most this (default 1s)"},
	{"spool", OPT_TEXT, AT(spool), "DIR", "where large results go (default DATA_DIR/spool)"},
	{"spool_quota", OPT_SIZE, AT(fs.spool_quota), "SIZE", "of large results, for each user (default 4G)"},
	{"unload", OPT_TEXT, AT(unload), "DIR", "UNLOAD may write files below DIR (default: nowhere)"},
	{"query_threads", OPT_CORES, AT(fs.query_threads), "N", "that work at one statement, 1 to 256 (default: the cores)"},
	{"threads", OPT_COUNT, AT(fs.threads), "N", "requests served at the same time, 4 to 1024 (default 64)"},
	{"log", OPT_TEXT, AT(log), "LEVELS", "such as debug or info:wal=trace; also TIDE_LOG (default info)"},
	{"log_file", OPT_TEXT, AT(log_file), "FILE", "default: DATA_DIR/tidefs.log; with -f: standard error"},
	{"allow_other", OPT_FLAG_ON, AT(fs.allow_other), NULL, "all users may use the mount (default when root mounts)"},
	{"noallow_other", OPT_FLAG_OFF, AT(fs.allow_other), NULL, "only who mounted it may"},
	{"ro", OPT_KERNEL, 0, NULL, "nothing can be written through the mount; use q/ to ask"},
	{"rw", OPT_IGNORED, 0, NULL, NULL},
	{"dev", OPT_IGNORED, 0, NULL, NULL},
	{"nodev", OPT_KERNEL, 0, NULL, NULL},
	{"suid", OPT_IGNORED, 0, NULL, NULL},
	{"nosuid", OPT_KERNEL, 0, NULL, NULL},
	{"exec", OPT_KERNEL, 0, NULL, NULL},
	{"noexec", OPT_KERNEL, 0, NULL, NULL},
	{"atime", OPT_KERNEL, 0, NULL, NULL},
	{"noatime", OPT_KERNEL, 0, NULL, NULL},
	{"relatime", OPT_IGNORED, 0, NULL, NULL},
	{"sync", OPT_IGNORED, 0, NULL, NULL},
	{"async", OPT_IGNORED, 0, NULL, NULL},
	{"dirsync", OPT_IGNORED, 0, NULL, NULL},
	{"defaults", OPT_IGNORED, 0, NULL, NULL},
	{"auto", OPT_IGNORED, 0, NULL, NULL},
	{"noauto", OPT_IGNORED, 0, NULL, NULL},
	{"user", OPT_IGNORED, 0, NULL, NULL},
	{"nouser", OPT_IGNORED, 0, NULL, NULL},
	{"users", OPT_IGNORED, 0, NULL, NULL},
	{"nofail", OPT_IGNORED, 0, NULL, NULL},
	{"_netdev", OPT_IGNORED, 0, NULL, NULL},
};

static int parse_size(struct str s, uint64_t *ret)
{
	static const char units[] = "KMGT";
	uint64_t v;
	int shift = 0;

	if (s.len && (s.ptr[s.len - 1] == 'B' || s.ptr[s.len - 1] == 'b'))
		s.len--;
	for (int i = 0; units[i] && s.len; i++)
		if ((s.ptr[s.len - 1] & ~0x20) == units[i])
			shift = 10 * (i + 1);
	if (shift)
		s.len--;
	if (u64_parse(s, &v) < 0 || v == 0 || v > (UINT64_MAX >> 1) >> shift)
		return -EINVAL;
	*ret = v << shift;
	return 0;
}

static int unknown(struct str name, struct err *e)
{
	struct str names[ARRAY_LEN(defs)];
	int near;

	for (size_t i = 0; i < ARRAY_LEN(defs); i++)
		names[i] = str_from(defs[i].name);
	near = str_nearest(name, names, (int)ARRAY_LEN(defs));
	if (near >= 0)
		return err_set(e, -EINVAL, "-o %.*s: no such option; did you mean %s?", STR_FMT(name),
			       defs[near].name);
	return err_set(e, -EINVAL, "-o %.*s: no such option; tidefs --help lists them", STR_FMT(name));
}

static int set_value(struct options *o, const struct opt_def *d, struct str value, struct err *e)
{
	void *to = (char *)o + d->offset;
	struct duration dur;
	uint64_t n;

	switch (d->kind) {
	case OPT_SIZE:
	case OPT_MEMORY:
		if (parse_size(value, &n) < 0)
			return err_set(e, -EINVAL, "-o %s=%.*s: a size such as 512M or 2G is wanted", d->name,
				       STR_FMT(value));
		if (d->kind == OPT_MEMORY && n < MEMORY_MIN)
			return err_set(e, -EINVAL, "-o %s=%.*s: at least %dM is wanted", d->name, STR_FMT(value),
				       MEMORY_MIN >> 20);
		*(uint64_t *)to = n;
		return 0;
	case OPT_DURATION:
		if (duration_parse(value, &dur, NULL) < 0 || dur.is_months || dur.ns < NS_PER_MS)
			return err_set(e, -EINVAL, "-o %s=%.*s: a duration such as 200ms or 5s is wanted", d->name,
				       STR_FMT(value));
		*(int64_t *)to = dur.ns;
		return 0;
	case OPT_COUNT:
		if (u64_parse(value, &n) < 0 || n < 4 || n > 1024)
			return err_set(e, -EINVAL, "-o %s=%.*s: a number from 4 to 1024 is wanted", d->name,
				       STR_FMT(value));
		*(unsigned *)to = (unsigned)n;
		return 0;
	case OPT_CORES:
		if (u64_parse(value, &n) < 0 || n < 1 || n > 256)
			return err_set(e, -EINVAL, "-o %s=%.*s: a number from 1 to 256 is wanted", d->name,
				       STR_FMT(value));
		*(unsigned *)to = (unsigned)n;
		return 0;
	case OPT_TEXT:
		if (value.len == 0)
			return err_set(e, -EINVAL, "-o %s needs a value: -o %s=%s", d->name, d->name, d->arg);
		free(*(char **)to);
		*(char **)to = strndup(value.ptr, value.len);
		return *(char **)to ? 0 : -ENOMEM;
	default:
		return 0;
	}
}

_Static_assert(sizeof(size_t) == sizeof(uint64_t), "sizes of options are stored as uint64_t");

static int parse_one(struct options *o, struct str item, struct err *e)
{
	const char *eq = memchr(item.ptr, '=', item.len);
	struct str name = {item.ptr, eq ? (size_t)(eq - item.ptr) : item.len};
	struct str value = {eq ? eq + 1 : "", eq ? item.len - name.len - 1 : 0};
	const struct opt_def *d = NULL;

	if (str_starts(name, "x-") || str_starts(name, "comment"))
		return 0; /* notes of fstab for others */
	for (size_t i = 0; i < ARRAY_LEN(defs) && !d; i++)
		if (str_is(name, defs[i].name))
			d = &defs[i];
	if (!d)
		return unknown(name, e);
	if (eq && !d->arg)
		return err_set(e, -EINVAL, "-o %s takes no value", d->name);
	if (!eq && d->arg)
		return err_set(e, -EINVAL, "-o %s needs a value: -o %s=%s", d->name, d->name, d->arg);
	switch (d->kind) {
	case OPT_FLAG_ON:
	case OPT_FLAG_OFF:
		*(bool *)((char *)o + d->offset) = d->kind == OPT_FLAG_ON;
		return 0;
	case OPT_KERNEL:
		buf_addf(&o->fuse, ",%s", d->name);
		return o->fuse.rc;
	case OPT_IGNORED:
		return 0;
	default:
		return set_value(o, d, value, e);
	}
}

static int parse_list(struct options *o, const char *list, struct err *e)
{
	int rc = 0;

	while (rc >= 0 && *list) {
		size_t n = strcspn(list, ",");
		if (n)
			rc = parse_one(o, (struct str){list, n}, e);
		list += n + (list[n] == ',');
	}
	return rc;
}

int options_parse(struct options *o, int argc, char **argv, struct err *e)
{
	const char *paths[2] = {NULL, NULL};
	int path_n = 0, rc = 0;
	bool only_paths = false;

	*o = (struct options){
		.fs = {.threads = 64, .spool_quota = UINT64_C(4) << 30, .allow_other = getuid() == 0},
	};
	buf_init(&o->fuse, 16384);
	for (int i = 0; rc >= 0 && i < argc; i++) {
		const char *a = argv[i];
		if (only_paths || a[0] != '-' || a[1] == '\0') {
			if (path_n == 2)
				return err_set(e, -EINVAL, "'%s' is one argument too many", a);
			paths[path_n++] = a;
		} else if (strcmp(a, "--") == 0) {
			only_paths = true;
		} else if (strcmp(a, "-f") == 0) {
			o->fs.foreground = true;
		} else if (strcmp(a, "-d") == 0) {
			o->fs.foreground = o->fs.debug = true;
		} else if (strcmp(a, "-o") == 0) {
			if (++i == argc)
				return err_set(e, -EINVAL, "-o needs a value; tidefs --help lists what it may be");
			rc = parse_list(o, argv[i], e);
		} else if (strncmp(a, "-o", 2) == 0) {
			rc = parse_list(o, a + 2, e);
		} else {
			return err_set(e, -EINVAL, "%s: no such option; tidefs --help lists them", a);
		}
	}
	if (rc < 0)
		return rc;
	if (path_n < 2)
		return err_set(e, -EINVAL, "%s is missing: tidefs DATA_DIR MOUNTPOINT [-f] [-o option,...]",
			       path_n == 0 ? "DATA_DIR" : "MOUNTPOINT");
	if (!*paths[0] || !*paths[1])
		return err_set(e, -EINVAL, "%s is empty (a variable that is not set?)", *paths[0] ? "MOUNTPOINT" : "DATA_DIR");
	o->data_dir = strdup(paths[0]);
	o->mountpoint = strdup(paths[1]);
	return o->data_dir && o->mountpoint ? 0 : -ENOMEM;
}

/* Made absolute without asking that the last part exists. */
static int absolute(char **path, struct err *e)
{
	char *real = realpath(*path, NULL), *copy, *slash, *joined = NULL;

	if (!real && errno == ENOENT) {
		copy = strdup(*path);
		if (!copy)
			return -ENOMEM;
		for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
			copy[n - 1] = '\0';
		slash = strrchr(copy, '/');
		if (slash)
			*slash = '\0';
		real = realpath(slash ? (slash == copy ? "/" : copy) : ".", NULL);
		if (real && asprintf(&joined, "%s/%s", strcmp(real, "/") ? real : "", slash ? slash + 1 : copy) < 0)
			joined = NULL;
		free(real);
		free(copy);
		real = joined;
	}
	if (!real)
		return err_set(e, -errno, "'%s': %s", *path, strerror(errno));
	free(*path);
	*path = real;
	return 0;
}

static bool inside(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return n == 1 || (strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0')); /* 1: "/" */
}

static int check_mountpoint(const struct options *o, struct err *e)
{
	const char *m = o->mountpoint;
	struct dirent *en;
	struct stat st, up = {0};
	bool empty = true;
	DIR *d;

	if (stat(m, &st) < 0 && errno == ENOTCONN)
		return err_set(e, -ENOTCONN, "'%s' is the mount of a daemon that is gone; clear it with: fusermount3 -u %s", m, m);
	if (stat(m, &st) < 0)
		return err_set(e, -errno, "the mount point '%s' cannot be used: %s%s", m, strerror(errno),
			       errno == ENOENT ? " (make it with mkdir)" : "");
	if (!S_ISDIR(st.st_mode))
		return err_set(e, -ENOTDIR, "the mount point '%s' is no directory", m);
	if (inside(m, o->data_dir))
		return err_set(e, -EINVAL, "the mount point '%s' lies inside the data directory '%s'", m, o->data_dir);
	if (inside(o->data_dir, m))
		return err_set(e, -EINVAL, "the data directory '%s' lies inside the mount point '%s', which would hide it",
			       o->data_dir, m);
	d = opendir(m);
	if (!d)
		return err_set(e, -errno, "the mount point '%s' cannot be read: %s", m, strerror(errno));
	while (empty && (en = readdir(d)))
		empty = strcmp(en->d_name, ".") == 0 || strcmp(en->d_name, "..") == 0;
	if (fstatat(dirfd(d), "..", &up, 0) < 0)
		up.st_dev = st.st_dev;
	closedir(d);
	if (!empty && up.st_dev != st.st_dev)
		return err_set(e, -EBUSY, "something is mounted on '%s' already", m);
	if (!empty)
		return err_set(e, -ENOTEMPTY, "the mount point '%s' is not empty; what is in it would be hidden", m);
	return 0;
}

/* A target below it must lead to no file of ours, nor back into the mount. */
static int check_unload(const struct options *o, struct err *e)
{
	const char *u = o->unload;
	struct stat st;

	if (stat(u, &st) < 0)
		return err_set(e, -errno, "the directory for UNLOAD, '%s', cannot be used: %s%s", u, strerror(errno),
			       errno == ENOENT ? " (make it with mkdir)" : "");
	if (!S_ISDIR(st.st_mode))
		return err_set(e, -ENOTDIR, "'%s', where UNLOAD is to write, is no directory", u);
	if (inside(u, o->data_dir) || inside(o->data_dir, u))
		return err_set(e, -EINVAL, "the directory for UNLOAD, '%s', and the data directory '%s' lie inside each other", u,
			       o->data_dir);
	if (inside(u, o->mountpoint) || inside(o->mountpoint, u))
		return err_set(e, -EINVAL, "the directory for UNLOAD, '%s', and the mount point '%s' lie inside each other", u,
			       o->mountpoint);
	return 0;
}

int options_resolve(struct options *o, struct err *e)
{
	int rc = absolute(&o->data_dir, e);

	if (rc >= 0) {
		struct stat st;
		/* A dead mount answers nothing, not even realpath(3). */
		if (stat(o->mountpoint, &st) == 0)
			rc = absolute(&o->mountpoint, e);
	}
	if (rc >= 0 && o->spool)
		rc = absolute(&o->spool, e);
	if (rc >= 0 && o->unload)
		rc = absolute(&o->unload, e);
	if (rc >= 0 && o->log_file)
		rc = absolute(&o->log_file, e);
	if (rc >= 0)
		rc = check_mountpoint(o, e);
	if (rc >= 0 && o->unload)
		rc = check_unload(o, e);
	o->fs.data_dir = o->data_dir;
	o->fs.mountpoint = o->mountpoint;
	o->fs.spool_dir = o->spool;
	o->fs.unload_dir = o->unload;
	return rc;
}

void options_release(struct options *o)
{
	free(o->data_dir);
	free(o->mountpoint);
	free(o->spool);
	free(o->unload);
	free(o->log);
	free(o->log_file);
	buf_release(&o->fuse);
}

void options_print_help(void)
{
	printf("tidefs " TIDE_VERSION ": a time-series database, mounted\n"
	       "\n"
	       "  tidefs DATA_DIR MOUNTPOINT [-f] [-d] [-o option,...]\n"
	       "      mounts the databases in DATA_DIR, which is made where it does not exist\n"
	       "  tidefs sql DATA_DIR 'SQL' [csv|tsv|json|jsonl|txt|parquet]\n"
	       "      asks without a mount; reads only\n"
	       "  tidefs fsck DATA_DIR [--repair]\n"
	       "      checks every byte of an unmounted DATA_DIR, and repairs what can be repaired\n"
	       "  tidefs version\n"
	       "  tidefs --print-files\n"
	       "      the files of a mount, as Markdown\n"
	       "  tidefs --print-functions\n"
	       "      the functions of SQL, as Markdown\n"
	       "\n"
	       "  -f   stay in the foreground, log to standard error\n"
	       "  -d   -f, and print every request\n"
	       "\n"
	       "  -o options:\n");
	for (size_t i = 0; i < ARRAY_LEN(defs); i++) {
		char left[64];
		if (!defs[i].help)
			continue;
		snprintf(left, sizeof left, "%s%s%s", defs[i].name, defs[i].arg ? "=" : "",
			 defs[i].arg ? defs[i].arg : "");
		printf("    %-20s %s\n", left, defs[i].help);
	}
	printf("\n"
	       "Unmount with: fusermount3 -u MOUNTPOINT (or umount). SIGTERM and SIGINT do the same.\n");
}
