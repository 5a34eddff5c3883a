#include "engine/base/base.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t pinned_ns, pinned_mono_ns, pinned_boot_ns;

static int64_t read_clock(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_now_ns(void)
{
	int64_t pin = atomic_load_explicit(&pinned_ns, memory_order_relaxed);
	return pin ? pin : read_clock(CLOCK_REALTIME);
}

int64_t clock_mono_ns(void)
{
	int64_t pin = atomic_load_explicit(&pinned_mono_ns, memory_order_relaxed);
	return pin ? pin : read_clock(CLOCK_MONOTONIC);
}

int64_t clock_boot_ns(void)
{
	int64_t pin = atomic_load_explicit(&pinned_boot_ns, memory_order_relaxed);

	if (!pin)
		pin = atomic_load_explicit(&pinned_mono_ns, memory_order_relaxed);
	return pin ? pin : read_clock(CLOCK_BOOTTIME);
}

void clock_pin(int64_t ns)
{
	atomic_store(&pinned_ns, ns);
}

void clock_pin_mono(int64_t ns)
{
	atomic_store(&pinned_mono_ns, ns);
}

void clock_pin_boot(int64_t ns)
{
	atomic_store(&pinned_boot_ns, ns);
}
