/*
 * point: one record on its way from a text format to a table, in the words of the text.
 *
 * A parser clears it, sets the measure, adds tags and fields and perhaps a time; feed.h stores it.
 * Texts are lent: they point into the line, or into `scratch` where an escape had to be undone.
 * A point is reused, so nothing is allocated per line once it has grown.
 */
#ifndef TIDE_POINT_H
#define TIDE_POINT_H

#include "engine/series.h"

#define POINT_PARTS_MAX 4096 /* tags, and fields, of one record */

/* What sentences call the parts of a record in that format. */
struct point_words {
	const char *tag, *field, *line;
};

struct point_tag {
	struct str key;
	struct str value;
	uint32_t at; /* offset of the key in the line */
};

struct point_field {
	struct str key;
	uint32_t at;       /* offset of the key in the line */
	bool key_escaped;  /* the line spells the key differently */
	bool in_scratch;   /* VARCHAR: the text is in scratch, not in the line */
	enum coltype type;
	union { /* TIMESTAMP: i64, ns */
		int64_t i64;
		double f64;
		bool b8;
		struct str str;
	};
};

struct point {
	struct str table; /* at database level, where it is not the measure that names it; else empty */
	struct str measure;
	/* Other than MULTI: the one field is the measure's value, its key "measure_value::<type>". */
	enum measure_type measure_type;
	bool has_version; /* follows the version rules */
	int64_t version;
	struct point_tag *tags;
	uint32_t tag_count;
	uint32_t tag_cap;
	struct point_field *fields;
	uint32_t field_count;
	uint32_t field_cap;
	bool has_time;
	int64_t time;     /* in time_unit_ns; may be negative */
	int64_t time_unit_ns; /* 0: the table's precision */
	uint32_t time_at; /* offset in the line */
	/* Measure and tags as the line spells them: equal bytes mean an equal series. May be empty. */
	struct str identity;
	const struct point_words *words; /* constant; those of line protocol unless set */
	struct arena scratch;
	struct str *names; /* for point_check() */
	uint32_t name_cap;
};

void point_init(struct point *pt);
void point_release(struct point *pt);
void point_clear(struct point *pt);

/* The next tag or field, zeroed; NULL: out of memory. The caller heeds POINT_PARTS_MAX. */
struct point_tag *point_add_tag(struct point *pt);
struct point_field *point_add_field(struct point *pt);

/* The key of a single measure's field: "measure_value::double", ... (not for MULTI). */
struct str point_value_key(enum measure_type t);

/*
 * A tag twice, a field twice, a tag and a field of one name: -EINVAL, a sentence, and where in the
 * line. -ENOMEM.
 */
int point_check(struct point *pt, size_t *ret_at, struct err *e) must_check;

#endif
