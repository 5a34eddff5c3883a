#include "tests/unit/unit.h"

#include <pthread.h>

/* A sink that keeps all lines. */
static struct buf lines, texts;
static int count;
static enum log_level last_level;

static void keep(void *ctx, const struct log_line *l)
{
	ck_assert_ptr_eq(ctx, &count);
	buf_add_str(&lines, l->line);
	buf_add_str(&texts, l->text);
	buf_addc(&texts, '\n');
	last_level = l->level;
	count++;
}

static void setup(void)
{
	buf_init(&lines, 64 << 20);
	buf_init(&texts, 64 << 20);
	log_set_sink(keep, &count);
	clock_pin(INT64_C(1767225600123456789)); /* 2026-01-01T00:00:00.123456789Z */
}

static void teardown(void)
{
	log_set_sink(NULL, NULL);
	buf_release(&lines);
	buf_release(&texts);
}

static void configure(const char *spec)
{
	struct err e = {0};
	ck_assert_msg(log_configure(str_from(spec), &e) == 0, "\"%s\": %s", spec, e.text);
}

static void expect(struct buf *b, const char *want)
{
	buf_addc(b, '\0');
	ck_assert_int_eq(b->rc, 0);
	ck_assert_str_eq(b->data, want);
	buf_clear(b);
}

START_TEST(a_line_has_time_level_module_text)
{
	errno = 77;
	log_warn("wal", "torn tail file=%s off=%d", log_quote(STR_LIT("a b")).text, 42);
	ck_assert_int_eq(errno, 77);
	ck_assert_int_eq(last_level, LOG_AT_WARN);
	expect(&lines, "2026-01-01T00:00:00.123456Z warn wal torn tail file=\"a b\" off=42\n");
	expect(&texts, "warn wal torn tail file=\"a b\" off=42\n");
}
END_TEST

static int evaluated(void)
{
	static int n;
	return ++n;
}

START_TEST(levels_select)
{
	log_debug("wal", "no %d", evaluated());
	log_info("wal", "yes");
	configure("warn, wal=trace ,fuse=off,fuse=error");
	log_info("mount", "no");
	log_warn("mount", "yes");
	log_trace("wal", "yes");
	log_warn("fuse", "no");
	log_error("fuse", "yes");
	log_trace("wa", "no");
	log_trace("wall", "no");
	ck_assert(log_wanted(LOG_AT_TRACE, "wal"));
	ck_assert(!log_wanted(LOG_AT_INFO, "mount"));
	configure("off");
	log_error("mount", "no %d", evaluated());
	configure("");
	log_info("mount", "yes");
	log_debug("mount", "no");
	ck_assert(!log_wanted(LOG_AT_DEBUG, "mount"));
	ck_assert_int_eq(evaluated(), 1);
	expect(&texts,
	       "info wal yes\nwarn mount yes\ntrace wal yes\nerror fuse yes\ninfo mount yes\n");
}
END_TEST

static const struct {
	const char *spec;
	const char *says;
} wrong[] = {
	{"verbose", "'verbose'"}, {"info,", NULL},
	{",info", "''"},          {"INFO", "'INFO'"},
	{"wal=", "''"},           {"=info", "module ''"},
	{"wal=loud", "'loud'"},   {"abcdefghijklmnopqrstuvwx=info", "1 to 23 bytes"},
};

START_TEST(wrong_levels_change_nothing)
{
	struct err e = {0};
	const char *says = wrong[_i].says;

	configure("error");
	int rc = log_configure(str_from(wrong[_i].spec), &e);
	if (!says) {
		ck_assert_int_eq(rc, 0); /* a comma at the end does no harm */
		return;
	}
	ck_assert_int_eq(rc, -EINVAL);
	ck_assert_msg(strstr(e.text, says), "%s", e.text);
	log_warn("x", "no");
	ck_assert_int_eq(count, 0);
	log_error("x", "yes");
	ck_assert_int_eq(count, 1);
}
END_TEST

START_TEST(too_many_modules_are_refused)
{
	struct buf b;

	buf_init(&b, 4096);
	for (int i = 0; i < 33; i++)
		buf_addf(&b, "m%d=info,", i);
	ck_assert_int_eq(log_configure(buf_str(&b), NULL), -EINVAL);
	buf_release(&b);
}
END_TEST

/* What users choose can neither begin a line of its own nor play with a terminal. */
START_TEST(control_characters_are_escaped)
{
	char long_name[400], mixed[] = "q\"b\\n\n\x01\x7f\xc3\xa9";

	log_info("x", "a\nb\r\tc\x1b[1m d\\e\"f");
	expect(&texts, "info x a\\nb\\r\\tc\\x1b[1m d\\e\"f\n");
	log_info("x", "%s", log_quote(str_from(mixed)).text);
	expect(&texts, "info x \"q\\\"b\\\\n\\n\\x01\\x7f\xc3\xa9\"\n");
	ck_assert_str_eq(log_quote(STR_LIT("")).text, "\"\"");

	memset(long_name, 'n', sizeof long_name);
	struct log_quoted q = log_quote((struct str){long_name, 255});
	ck_assert_int_eq(strlen(q.text), 257);
	q = log_quote((struct str){long_name, sizeof long_name});
	ck_assert_int_lt(strlen(q.text), sizeof q.text);
	ck_assert(str_ends(str_from(q.text), "...\""));
}
END_TEST

/* Whatever is logged: one line, within the limit, valid UTF-8 when the text was. */
START_TEST(long_lines_are_cut)
{
	struct unit_rng r = unit_rng();
	static const char *const parts[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
					    "\n"};

	for (int i = 0; i < 500; i++) {
		char t[4000];
		size_t n = 0, want = 1900 + unit_below(&r, 300);
		while (n < want) {
			const char *p = parts[unit_below(&r, ARRAY_LEN(parts))];
			n += (size_t)sprintf(t + n, "%s", p);
		}
		buf_clear(&lines);
		log_info("module", "%s", t);
		struct str s = buf_str(&lines);
		unit_assert(&r, s.len <= LOG_LINE_MAX, "%zu", s.len);
		unit_assert(&r, memchr(s.ptr, '\n', s.len) == s.ptr + s.len - 1, "one newline");
		unit_assert(&r, utf8_valid(s), "cut inside a character");
		if (n > LOG_LINE_MAX)
			unit_assert(&r, str_ends(s, "...\n"), "no dots");
		struct log_quoted q = log_quote(str_from(t));
		unit_assert(&r, utf8_valid(str_from(q.text)), "name cut inside a character");
	}
}
END_TEST

START_TEST(standard_error_gets_one_write_a_line)
{
	int fds[2];
	char got[256] = {0};

	/* A pipe in packet mode returns one write(2) a read(2). */
	ck_assert_int_eq(pipe2(fds, O_DIRECT | O_CLOEXEC), 0);
	int saved = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	log_set_sink(NULL, NULL);
	log_info("a", "1");
	log_info("b", "2");
	dup2(saved, STDERR_FILENO);
	ck_assert_int_gt(read(fds[0], got, sizeof got - 1), 0);
	ck_assert_str_eq(got, "2026-01-01T00:00:00.123456Z info a 1\n");
	ck_assert_int_eq(count, 0);
}
END_TEST

static void *chat(void *arg)
{
	for (int i = 0; i < 500; i++) {
		log_info("chat", "thread=%d line=%d", *(int *)arg, i);
		log_debug("chat", "sometimes");
	}
	return NULL;
}

START_TEST(threads_do_not_mix)
{
	pthread_t t[4];
	int ids[] = {0, 1, 2, 3};

	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, chat, &ids[i]);
	for (int i = 0; i < 50; i++)
		configure(i % 2 ? "info" : "info,chat=debug");
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	log_set_sink(NULL, NULL);
	int infos = 0;
	buf_addc(&texts, '\0');
	for (char *p = texts.data; *p;) {
		int id, line, used = 0;
		if (sscanf(p, "info chat thread=%d line=%d\n%n", &id, &line, &used) == 2)
			infos++;
		else
			ck_assert(strncmp(p, "debug chat sometimes\n", 21) == 0);
		p = strchr(p, '\n') + 1;
	}
	ck_assert_int_eq(infos, 2000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("log");
	TCase *tc = tcase_create("log");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_line_has_time_level_module_text);
	tcase_add_test(tc, levels_select);
	tcase_add_loop_test(tc, wrong_levels_change_nothing, 0, ARRAY_LEN(wrong));
	tcase_add_test(tc, too_many_modules_are_refused);
	tcase_add_test(tc, control_characters_are_escaped);
	tcase_add_test(tc, long_lines_are_cut);
	tcase_add_test(tc, standard_error_gets_one_write_a_line);
	tcase_add_test(tc, threads_do_not_mix);
	suite_add_tcase(s, tc);
	return unit_run(s);
}
