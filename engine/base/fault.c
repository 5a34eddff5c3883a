#include "engine/base/base.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool fault_armed;
static char wanted[64];
static _Atomic int left;

void fault_init(void)
{
	const char *v = getenv("TIDE_FAULT");
	int n = 1;

	if (!v || !*v)
		return;
	const char *colon = strchr(v, ':');
	size_t len = colon ? (size_t)(colon - v) : strlen(v);
	if (len >= sizeof wanted)
		return;
	memcpy(wanted, v, len);
	wanted[len] = '\0';
	if (colon)
		n = atoi(colon + 1);
	atomic_store(&left, n < 1 ? 1 : n);
	fault_armed = true;
}

void fault_hit(const char *name)
{
	if (strcmp(name, wanted) == 0 && atomic_fetch_sub(&left, 1) == 1)
		kill(getpid(), SIGKILL);
}
