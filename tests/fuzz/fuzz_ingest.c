/*
 * fuzz_ingest: the template path of ingest against the complete parser. The same lines go through one
 * handle in one write, after lines that taught it templates, and through a handle of its own for each
 * line, which knows none. Rows and refusals must be the same.
 */
#include "engine/ingest.h"
#include "engine/lineproto.h"
#include "tests/unit/fake_db.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char lesson[] = "m,h=a i=1i,d=2.5,b=t,s=\"x\" 1000\n"
			     "m,h=b i=1i,d=2.5,b=t,s=\"x\" 1000\n"
			     "m,h=a i=1i,d=2.5,b=t,s=\"x\"\n"
			     "m d=2 1000\n";

/* The window ends before now, so a time beyond it is one of arrival: those differ between the ways. */
#define WINDOW_END INT64_C(4000000000000000000)
#define NOW        INT64_C(5000000000000000000)

static struct ingest *open_on(struct db *db, struct table *t)
{
	struct ingest_source src = {"f", 0};
	struct ingest *in;

	if (ingest_open(db, t, &src, &in, NULL) < 0)
		abort();
	return in;
}

static struct table *make(struct db *db)
{
	struct table *t;

	fake_db_init(db);
	db->keep_text = true;
	if (db_table_create(db, STR_LIT("t"), &t, NULL) < 0)
		abort();
	table_put(t);
	t->window = (struct table_window){1000, WINDOW_END, 1, false};
	return t;
}

/* Times of arrival become alike. */
static void same_times(struct buf *b)
{
	char *line = b->data, *end = b->data + b->len;

	while (line < end) {
		char *nl = memchr(line, '\n', (size_t)(end - line));
		if (nl - line > 19 && nl[-20] == ' ' && nl[-19] >= '5' && nl[-19] <= '9')
			memset(nl - 19, 'T', 19);
		line = nl + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char pad[200];
	struct db a, b;
	struct buf text;

	clock_pin(NOW);
	memset(pad, '#', sizeof pad - 1);
	pad[sizeof pad - 1] = '\n';
	struct table *ta = make(&a), *tb = make(&b);
	buf_init(&text, (size_t)1 << 24);
	buf_adds(&text, lesson);
	buf_add(&text, data, size);
	buf_addc(&text, '\n');
	struct lp_scan whole = {LP_START};
	for (size_t at = 0; at < text.len;)
		at += lp_scan_line(&whole, text.data + at, text.len - at) + 1;
	if (lp_scan_in_string(&whole))
		goto out; /* what follows would belong to it */
	buf_add(&text, pad, sizeof pad); /* the template path keeps away from the end */

	struct ingest *in = open_on(&a, ta);
	if (ingest_write(in, text.data, text.len, NULL) != (int64_t)text.len)
		abort();
	ingest_close(in);
	for (size_t at = 0; at < text.len;) {
		struct lp_scan s = {LP_START};
		size_t n = lp_scan_line(&s, text.data + at, text.len - at) + 1;
		in = open_on(&b, tb);
		int64_t rc = ingest_write(in, text.data + at, n, NULL);
		if (rc != (int64_t)n && rc != -EINVAL)
			abort();
		ingest_close(in);
		at += n;
	}
	same_times(&ta->rows_text);
	same_times(&tb->rows_text);
	if (ta->rejected != tb->rejected || ta->rows != tb->rows ||
	    ta->rows_text.len != tb->rows_text.len ||
	    memcmp(ta->rows_text.data, tb->rows_text.data, ta->rows_text.len) != 0)
		abort();
out:
	buf_release(&text);
	fake_db_release(&a);
	fake_db_release(&b);
	return 0;
}
