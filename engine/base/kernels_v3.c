/*
 * kernels for x86-64-v3: AVX2.
 */
#ifdef __x86_64__
#define KERNEL __attribute__((target("avx2,bmi,bmi2")))
#define KERNELS kernels_v3
#define KERNELS_LEVEL "x86-64-v3"
#include "engine/base/kernels_impl.h"
#else
typedef int kernels_v3_not_here;
#endif
