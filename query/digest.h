/*
 * digest: MD5 (RFC 1321), SHA-1 and SHA-256 (FIPS 180-4) and XXH64 of a run of bytes, for the functions of
 * these names. Nothing here guards anything: they are for comparing texts with digests made elsewhere.
 */
#ifndef TIDE_DIGEST_H
#define TIDE_DIGEST_H

#include "engine/base/base.h"

#define DIGEST_MAX 32 /* bytes of the longest */

size_t digest_md5(struct str s, uint8_t *ret);    /* 16 bytes */
size_t digest_sha1(struct str s, uint8_t *ret);   /* 20 */
size_t digest_sha256(struct str s, uint8_t *ret); /* 32 */
uint64_t digest_xxh64(struct str s, uint64_t seed);

#endif
