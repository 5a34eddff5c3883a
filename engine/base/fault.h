/*
 * fault: named places where a test may make the program die or a call fail.
 *
 * Armed by TIDE_FAULT=name[:n] in the environment: the n-th time (default 1) the named place is
 * passed the process kills itself with SIGKILL, as a power cut would. Unarmed, a place costs one
 * load and a branch.
 */
#ifndef TIDE_FAULT_H
#define TIDE_FAULT_H

#include "engine/base/base.h"

extern bool fault_armed;
void fault_init(void); /* reads the environment; call once at start */
void fault_hit(const char *name);

#define FAULT(name)                                                                                \
	do {                                                                                       \
		if (unlikely(fault_armed))                                                         \
			fault_hit(name);                                                           \
	} while (0)

#endif
