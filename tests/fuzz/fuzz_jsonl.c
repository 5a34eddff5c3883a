/*
 * fuzz_jsonl: JSON lines. All of them through one handle in one write, and each through a handle of its own:
 * rows and refusals must be the same, as what a parser remembers of the line before is only a guess.
 * The bytes lie in memory of their own size, so that AddressSanitizer sees a step too far.
 */
#include "engine/ingest.h"
#include "engine/json.h"
#include "tests/unit/fake_db.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char lesson[] =
	"{\"time\":1000,\"h\":\"a\",\"i\":1,\"d\":2.5,\"b\":true}\n"
	"{\"MeasureName\":\"m\",\"MeasureValueType\":\"MULTI\",\"Time\":\"1\",\"MeasureValues\":[{\"Name\":\"s\",\"Value\":\"x\","
	"\"Type\":\"VARCHAR\"},{\"Name\":\"w\",\"Value\":\"1\",\"Type\":\"TIMESTAMP\"}]}\n"
	"{\"CommonAttributes\":{\"Dimensions\":[{\"Name\":\"h\",\"Value\":\"a\"}]},\"Records\":[{\"MeasureName\":\"o\","
	"\"MeasureValue\":\"1\",\"Time\":\"1\",\"Version\":2}]}\n";

/* The window ends before now, so a time beyond it is one of arrival: those differ between the ways. */
#define WINDOW_END INT64_C(4000000000000000000)
#define NOW        INT64_C(5000000000000000000)

static struct ingest *open_on(struct db *db, struct table *t)
{
	struct ingest_source src = {.file = "f", .format = INGEST_JSONL};
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
	t->window = (struct table_window){.lo_ns = 1000, .hi_ns = WINDOW_END, .precision_ns = 1};
	return t;
}

/* Bytes at the end of their memory; a bad line is no failure here. */
static void put(struct ingest *in, const char *p, size_t n, bool finish)
{
	char *copy = malloc(n);

	memcpy(copy, p, n);
	int64_t rc = ingest_write(in, copy, n, NULL);
	if (rc != (int64_t)n && rc != -EINVAL)
		abort();
	free(copy);
	if (finish && ingest_finish(in, NULL) < 0)
		abort();
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

static void read_alone(const uint8_t *data, size_t size)
{
	char *copy = malloc(size + !size);
	struct json_value v;
	struct json j;

	if (size)
		memcpy(copy, data, size);
	json_init(&j);
	int rc = json_start(&j, (struct str){copy, size}, NULL);
	if (rc == 0)
		rc = json_value(&j, &v);
	if (rc == 0)
		rc = json_skip(&j, &v);
	if (rc == 0)
		rc = json_finish(&j);
	if (rc < 0 && (rc != -EINVAL || j.at > size))
		abort();
	json_release(&j);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct db a, b;
	struct buf text;

	read_alone(data, size);
	clock_pin(NOW);
	struct table *ta = make(&a), *tb = make(&b);
	buf_init(&text, (size_t)1 << 24);
	buf_adds(&text, lesson);
	buf_add(&text, data, size);
	buf_addc(&text, '\n');

	struct ingest *in = open_on(&a, ta);
	put(in, text.data, text.len, false);
	ingest_close(in);
	for (size_t at = 0; at < text.len;) {
		size_t n = (size_t)((const char *)memchr(text.data + at, '\n', text.len - at) + 1 - (text.data + at));
		in = open_on(&b, tb);
		put(in, text.data + at, n, true);
		ingest_close(in);
		at += n;
	}
	same_times(&ta->rows_text);
	same_times(&tb->rows_text);
	if (ta->rejected != tb->rejected || ta->rows != tb->rows || ta->rows_text.len != tb->rows_text.len ||
	    memcmp(ta->rows_text.data, tb->rows_text.data, ta->rows_text.len) != 0)
		abort();
	buf_release(&text);
	fake_db_release(&a);
	fake_db_release(&b);
	return 0;
}
