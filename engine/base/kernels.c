/*
 * kernels: for any machine of the architecture, and which table is taken.
 */
#include <pthread.h>

#define KERNEL
#define KERNELS kernels_baseline
#define KERNELS_LEVEL "baseline"
#include "engine/base/kernels_impl.h"

#ifdef __x86_64__
extern const struct kernels kernels_v3, kernels_v4;
#endif

static const struct kernels *chosen;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void choose(void)
{
	chosen = &kernels_baseline;
#ifdef __x86_64__
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
		chosen = &kernels_v3;
	if (chosen == &kernels_v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
		chosen = &kernels_v4;
#endif
}

const struct kernels *kernels(void)
{
	pthread_once(&once, choose);
	return chosen;
}
