/*
 * refusal: one line of a table's `rejected` file, a JSON object about one refused line of input.
 *
 *	{"when":"2026-02-14T10:15:00.000000000Z","file":"iot/weather/ingest","line":3,"uid":1000,
 *	 "column":14,"reason":"...","text":"..."}
 *
 * A record of a request of many is counted by "record_index", and one that lost against the stored version
 * names that as "existing_version"; both stand in front of "reason".
 */
#ifndef TIDE_REFUSAL_H
#define TIDE_REFUSAL_H

#include "engine/base/base.h"

#define REFUSAL_TEXT_MAX 4096 /* of the refused line; what is cut is said */

struct refusal {
	int64_t when_ns;
	const char *file;   /* that it was written to */
	uint64_t line;      /* counted from 1 over everything this handle wrote */
	uint32_t uid;       /* of whoever opened the file */
	size_t column;      /* byte in `text`, from 1; 0: concerns the whole of it */
	int64_t record;     /* index in the line's request; -1: none */
	int64_t existing_version; /* 0: that was not the reason */
	const char *reason; /* a sentence */
	struct str text;    /* of the line, or of the record in it; any bytes */
	size_t text_total;  /* its full length where `text` is a part of it; else 0 */
};

/*
 * Append the object to `out`, without a newline; failure sticks to out->rc. The result is valid JSON
 * whatever the bytes: those that are no UTF-8 appear as \u00XX.
 */
void refusal_format(const struct refusal *r, struct buf *out);

#endif
