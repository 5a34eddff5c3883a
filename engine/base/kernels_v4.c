/*
 * kernels for x86-64-v4: AVX-512.
 */
#ifdef __x86_64__
#define KERNEL __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,bmi,bmi2")))
#define KERNELS kernels_v4
#define KERNELS_LEVEL "x86-64-v4"
#include "engine/base/kernels_impl.h"
#else
typedef int kernels_v4_not_here;
#endif
