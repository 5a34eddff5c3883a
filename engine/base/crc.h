/*
 * crc: checksums as stored on disk.
 *
 * crc32c (Castagnoli, polynomial 0x1EDC6F41 reflected) guards the WAL, the series file and the
 * tiles' private index; crc32 (the gzip one, 0x04C11DB7 reflected) is what Parquet prescribes for
 * pages. Both take the checksum so far (0 to begin with) and may be continued piece by piece.
 */
#ifndef TIDE_CRC_H
#define TIDE_CRC_H

#include "engine/base/base.h"

uint32_t crc32c(uint32_t crc, const void *p, size_t n);
uint32_t crc32_gzip(uint32_t crc, const void *p, size_t n);

#endif
