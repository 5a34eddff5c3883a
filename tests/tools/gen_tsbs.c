/*
 * gen_tsbs: rows shaped like TSBS's "devops cpu-only" case, as line protocol on stdout, or as CSV.
 *
 * Ten tags and ten fields a row, about 343 bytes of text; every host reports every `step` seconds,
 * all hosts of a moment one after the other. A host's tags are drawn once, its fields walk randomly
 * between 0 and 100. The same options give the same bytes on every machine: integer arithmetic only
 * (hundredths), no libm, an own generator of random numbers. --csv gives the same rows as a table with
 * a header: time, tags, fields; times in UTC without a zone, as every database reads them.
 */
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/tools/gen.h"

#define FIELDS     10
#define HOSTS_MAX  1000000
#define TAGS_BYTES 256
#define ROW_BYTES  1024

static const char *const regions[] = {"us-east-1",      "us-west-1",      "us-west-2",
				      "eu-west-1",      "eu-central-1",   "ap-southeast-1",
				      "ap-southeast-2", "ap-northeast-1", "sa-east-1"};
static const char *const systems[] = {"Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"};
static const char *const arches[] = {"x64", "x86"};
static const char *const teams[] = {"SF", "NYC", "LON", "CHI"};
static const char *const stages[] = {"production", "staging", "test"};
static const char *const fields[FIELDS] = {"usage_user",    "usage_system", "usage_idle",  "usage_nice",
					   "usage_iowait",  "usage_irq",    "usage_softirq", "usage_steal",
					   "usage_guest",   "usage_guest_nice"};

struct host {
	char tags[TAGS_BYTES];
	int tags_len;
	int32_t walk[FIELDS]; /* hundredths, 0..10000 */
};

struct options {
	long hosts, step_s, hours, start_s;
	uint64_t seed;
	int is_float, is_csv;
};

/* A step of a walk, in hundredths: four uniform numbers added are near enough to normal(0, 1). */
static int32_t walk_step(uint64_t *state)
{
	uint64_t r = gen_next(state);
	int32_t sum = (int32_t)(r & 0xffff) + (int32_t)(r >> 16 & 0xffff) + (int32_t)(r >> 32 & 0xffff) +
		      (int32_t)(r >> 48);

	/* Four uniforms over 65,536 have a standard deviation of 37,837; that is to become 100. */
	return (sum - 2 * 65535) / 378;
}

#define PICK(list) list[gen_next(rng) % (sizeof(list) / sizeof *(list))]

static void host_init(struct host *h, long i, int is_csv, uint64_t *rng)
{
	/* One draw a statement: the order of draws must not be the compiler's choice. */
	const char *region = PICK(regions);
	const char *system = PICK(systems);
	const char *arch = PICK(arches);
	const char *team = PICK(teams);
	const char *stage = PICK(stages);
	char zone = (char)('a' + gen_next(rng) % 3);
	int rack = (int)(gen_next(rng) % 100);
	int service = (int)(gen_next(rng) % 20);
	int version = (int)(gen_next(rng) % 2);

	h->tags_len = snprintf(h->tags, sizeof h->tags,
			       is_csv ? ",host_%ld,%s,%s%c,%d,%s,%s,%s,%d,%d,%s"
				      : "cpu,hostname=host_%ld,region=%s,datacenter=%s%c,rack=%d,os=%s,arch=%s,team=%s,"
					"service=%d,service_version=%d,service_environment=%s ",
			       i, region, region, zone, rack, system, arch, team, service, version, stage);
	for (int f = 0; f < FIELDS; f++)
		h->walk[f] = (int32_t)(gen_next(rng) % 10001);
}

static char *put_text(char *p, const char *s)
{
	size_t n = strlen(s);

	memcpy(p, s, n);
	return p + n;
}

/* A field after its step. */
static char *put_field(char *p, struct host *h, int f, int is_float, uint64_t *rng)
{
	int32_t v = h->walk[f] + walk_step(rng);

	v = v < 0 ? 0 : v > 10000 ? 10000 : v;
	h->walk[f] = v;
	p = gen_put_uint(p, (uint64_t)v / 100);
	if (is_float) {
		*p++ = '.';
		*p++ = (char)('0' + v / 10 % 10);
		*p++ = (char)('0' + v % 10);
	}
	return p;
}

static char *put_line(char *p, struct host *h, long t_s, int is_float, uint64_t *rng)
{
	memcpy(p, h->tags, (size_t)h->tags_len);
	p += h->tags_len;
	for (int f = 0; f < FIELDS; f++) {
		if (f)
			*p++ = ',';
		p = put_text(p, fields[f]);
		*p++ = '=';
		p = put_field(p, h, f, is_float, rng);
		if (!is_float)
			*p++ = 'i';
	}
	*p++ = ' ';
	p = gen_put_uint(p, (uint64_t)t_s);
	return put_text(p, "000000000\n");
}

static char *put_record(char *p, const char *time, struct host *h, int is_float, uint64_t *rng)
{
	p = put_text(p, time);
	memcpy(p, h->tags, (size_t)h->tags_len);
	p += h->tags_len;
	for (int f = 0; f < FIELDS; f++) {
		*p++ = ',';
		p = put_field(p, h, f, is_float, rng);
	}
	*p++ = '\n';
	return p;
}

static char *put_header(char *p)
{
	p = put_text(p, "time,hostname,region,datacenter,rack,os,arch,team,service,service_version,"
			"service_environment");
	for (int f = 0; f < FIELDS; f++) {
		*p++ = ',';
		p = put_text(p, fields[f]);
	}
	*p++ = '\n';
	return p;
}

static int generate(const struct options *o)
{
	uint64_t rng = o->seed;
	struct host *hosts = calloc((size_t)o->hosts, sizeof *hosts);
	static char out[1 << 20];
	char *p = out;

	if (!hosts) {
		fprintf(stderr, "gen_tsbs: out of memory for %ld hosts\n", o->hosts);
		return 1;
	}
	for (long i = 0; i < o->hosts; i++)
		host_init(&hosts[i], i, o->is_csv, &rng);
	if (o->is_csv)
		p = put_header(p);
	for (long s = 0; s < o->hours * 3600; s += o->step_s) {
		time_t now = o->start_s + s;
		char text[32];
		struct tm tm;

		strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", gmtime_r(&now, &tm));
		for (long i = 0; i < o->hosts; i++) {
			p = o->is_csv ? put_record(p, text, &hosts[i], o->is_float, &rng)
				      : put_line(p, &hosts[i], now, o->is_float, &rng);
			if (p > out + sizeof out - ROW_BYTES) {
				fwrite(out, 1, (size_t)(p - out), stdout);
				p = out;
			}
		}
	}
	fwrite(out, 1, (size_t)(p - out), stdout);
	free(hosts);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("gen_tsbs: stdout");
		return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option known[] = {
		{"hosts", required_argument, NULL, 'n'}, {"step", required_argument, NULL, 's'},
		{"hours", required_argument, NULL, 'h'}, {"start", required_argument, NULL, 'b'},
		{"seed", required_argument, NULL, 'r'},  {"float", no_argument, NULL, 'f'},
		{"csv", no_argument, NULL, 'c'},         {0},
	};
	struct options o = {.hosts = 100, .step_s = 10, .hours = 72, .start_s = 1451606400, .seed = 123};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 'n':
			o.hosts = gen_number("gen_tsbs", "hosts", optarg, 1, HOSTS_MAX);
			break;
		case 's':
			o.step_s = gen_number("gen_tsbs", "step", optarg, 1, 86400);
			break;
		case 'h':
			o.hours = gen_number("gen_tsbs", "hours", optarg, 1, 876000);
			break;
		case 'b':
			o.start_s = gen_number("gen_tsbs", "start", optarg, 0, 4102444800);
			break;
		case 'r':
			o.seed = (uint64_t)gen_number("gen_tsbs", "seed", optarg, 0, INT32_MAX);
			break;
		case 'f':
			o.is_float = 1;
			break;
		case 'c':
			o.is_csv = 1;
			break;
		default:
			fprintf(stderr, "usage: gen_tsbs [--hosts 100] [--step 10] [--hours 72] [--start 1451606400]"
					" [--seed 123] [--float] [--csv]\n"
					"rows = hosts * hours * 3600 / step; step in seconds, start in Unix seconds\n");
			return 2;
		}
	}
	return generate(&o);
}
