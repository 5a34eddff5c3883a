/*
 * gen_scale: many series over many days, as line protocol on stdout; for benchmarks of scale.
 *
 *	meter,site=s07,device=d0123 power=123.4,volt=230.1,state=3i 1700000000000000000
 *
 * A row a series and step: two doubles with one decimal that walk, one integer that rarely changes.
 * Each series has dice of its own, so the rows are the same in both orders: `time` (all series of a
 * moment, moments going forward: a stream) and `series` (all moments of a series, then the next
 * series: devices that deliver what they kept). The same options give the same bytes on every machine.
 */
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tools/gen.h"

#define SERIES_MAX 10000000
#define SITES      20

struct series {
	uint64_t rng;
	int32_t power, volt; /* tenths */
	int32_t state;
	int head_len;
	char head[48];
};

struct options {
	long series, step_s, rows, start_s;
	uint64_t seed;
	int is_by_series;
};

static char out[1 << 20];
static char *at = out;

static void series_init(struct series *s, long i, uint64_t seed)
{
	s->rng = seed ^ (uint64_t)i * UINT64_C(0xd1342543de82ef95);
	s->power = (int32_t)(gen_next(&s->rng) % 5000);
	s->volt = 2300 + (int32_t)(gen_next(&s->rng) % 100) - 50;
	s->state = (int32_t)(gen_next(&s->rng) % 4);
	s->head_len = snprintf(s->head, sizeof s->head, "meter,site=s%02ld,device=d%04ld power=", i % SITES, i);
}

static int32_t walk(int32_t v, int32_t step, int32_t lo, int32_t hi)
{
	v += step;
	return v < lo ? lo : v > hi ? hi : v;
}

static void series_step(struct series *s)
{
	uint64_t r = gen_next(&s->rng);

	s->power = walk(s->power, (int32_t)(r & 63) - (int32_t)(r >> 6 & 63), 0, 50000);
	s->volt = walk(s->volt, (int32_t)(r >> 12 & 3) - (int32_t)(r >> 14 & 3), 2070, 2530);
	if ((r >> 16 & 255) == 0)
		s->state = (int32_t)(r >> 24 & 3);
}

static void put(const char *p, size_t n)
{
	memcpy(at, p, n);
	at += n;
}

static void put_uint(uint64_t v)
{
	at = gen_put_uint(at, v);
}

static void put_tenths(int32_t v)
{
	put_uint((uint64_t)v / 10);
	*at++ = '.';
	*at++ = (char)('0' + v % 10);
}

static void flush(void)
{
	fwrite(out, 1, (size_t)(at - out), stdout);
	at = out;
}

static void put_row(struct series *s, long t_s)
{
	series_step(s);
	put(s->head, (size_t)s->head_len);
	put_tenths(s->power);
	put(",volt=", 6);
	put_tenths(s->volt);
	put(",state=", 7);
	put_uint((uint64_t)s->state);
	put("i ", 2);
	put_uint((uint64_t)t_s);
	put("000000000\n", 10);
	if (at > out + sizeof out - 256)
		flush();
}

static int generate(const struct options *o)
{
	struct series *all = calloc((size_t)o->series, sizeof *all);
	long outer = o->is_by_series ? o->series : o->rows, inner = o->is_by_series ? o->rows : o->series;

	if (!all) {
		fprintf(stderr, "gen_scale: out of memory for %ld series\n", o->series);
		return 1;
	}
	setvbuf(stdout, NULL, _IONBF, 0); /* whole mebibytes, as they are made */
	for (long i = 0; i < o->series; i++)
		series_init(&all[i], i, o->seed);
	for (long a = 0; a < outer; a++)
		for (long b = 0; b < inner; b++) {
			long series = o->is_by_series ? a : b, row = o->is_by_series ? b : a;
			put_row(&all[series], o->start_s + row * o->step_s);
		}
	flush();
	free(all);
	if (ferror(stdout)) {
		perror("gen_scale: stdout");
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option known[] = {
		{"series", required_argument, NULL, 'n'}, {"step", required_argument, NULL, 's'},
		{"hours", required_argument, NULL, 'h'},  {"end", required_argument, NULL, 'e'},
		{"seed", required_argument, NULL, 'r'},   {"by-series", no_argument, NULL, 'b'},
		{0},
	};
	struct options o = {.series = 1000, .step_s = 60, .seed = 1};
	long hours = 720, end_s = 1767225600;
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 'n':
			o.series = gen_number("gen_scale", "series", optarg, 1, SERIES_MAX);
			break;
		case 's':
			o.step_s = gen_number("gen_scale", "step", optarg, 1, 86400);
			break;
		case 'h':
			hours = gen_number("gen_scale", "hours", optarg, 1, 87600);
			break;
		case 'e':
			end_s = gen_number("gen_scale", "end", optarg, 400000000, 4102444800);
			break;
		case 'r':
			o.seed = (uint64_t)gen_number("gen_scale", "seed", optarg, 0, INT32_MAX);
			break;
		case 'b':
			o.is_by_series = 1;
			break;
		default:
			fprintf(stderr, "usage: gen_scale [--series 1000] [--step 60] [--hours 720] [--end 1767225600]"
					" [--seed 1] [--by-series]\n"
					"rows = series * hours * 3600 / step, all before --end (Unix seconds)\n");
			return 2;
		}
	}
	o.rows = hours * 3600 / o.step_s;
	o.start_s = end_s - o.rows * o.step_s;
	return generate(&o);
}
