#include "engine/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

DIR *dir_open(int at, const char *path, bool follow)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0) {
		int was = errno;
		close(fd);
		errno = was;
	}
	return dir;
}

void dir_remove(int at, const char *path)
{
	DIR *dir = dir_open(at, path, false);
	struct dirent *d;

	if (!dir)
		return;
	while ((d = readdir(dir))) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(dir), d->d_name, 0) < 0)
			dir_remove(dirfd(dir), d->d_name);
	}
	closedir(dir);
	unlinkat(at, path, AT_REMOVEDIR);
}
