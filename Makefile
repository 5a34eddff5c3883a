# tidefs: `make help` lists the targets. Output goes to build/<variant>/, so that release and
# sanitizer builds live beside each other and the source tree stays clean.

VARIANT ?= release
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= gcc
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)

B := build/$(VARIANT)

PKGS := fuse3 libzstd sqlite3 libpcre2-8 zlib
PKG_CFLAGS  := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS    := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
TEST_CFLAGS := $(shell pkg-config --cflags check 2>/dev/null)
TEST_LIBS   := $(shell pkg-config --libs check 2>/dev/null)

VERSION := 0.1.0
WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	   -Wno-unused-parameter -Werror=implicit-function-declaration -Werror=vla
CFLAGS_release := -O2 -g
CFLAGS_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS_tsan    := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
CFLAGS_fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined \
		  -fno-omit-frame-pointer
CFLAGS_cover   := -O1 -g -fsanitize=fuzzer-no-link -fprofile-instr-generate -fcoverage-mapping
CFLAGS_debug   := -O0 -g

ALL_CFLAGS := -std=c17 -ffp-contract=off -D_GNU_SOURCE -DFUSE_USE_VERSION=314 -DTIDE_VERSION='"$(VERSION)"' \
	      $(WARN) $(CFLAGS_$(VARIANT)) -I. -I$(B) $(PKG_CFLAGS) $(CFLAGS)
ALL_LIBS   := $(PKG_LIBS) -lm -lpthread

LIB_SRC  := $(wildcard engine/base/*.c engine/parquet/*.c engine/*.c query/*.c)
FS_SRC   := $(wildcard fs/*.c)
GEN_SRC  := $(if $(wildcard query/sql.y),$(B)/query/sql.c)
LIB_OBJ  := $(LIB_SRC:%.c=$(B)/%.o) $(GEN_SRC:.c=.o)
FS_OBJ   := $(FS_SRC:%.c=$(B)/%.o)
TESTS    := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/test_*.c))
FUZZERS  := $(patsubst tests/fuzz/%.c,$(B)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
TOOLS    := $(patsubst tests/tools/%.c,$(B)/tests/tools/%,$(wildcard tests/tools/*.c))

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all docs check check-unit check-sql check-mount tests-build asan tsan crash model compare damage bench bench-quick bench-docs bench-ingest bench-series bench-scale bench-grow bench-order fuzz fuzz-coverage demo install help clean format

## all: the daemon, build/tidefs
all: build/tidefs

build/tidefs: $(B)/tidefs
	$(Q)cp --remove-destination $< $@ # one that runs stays as it is

$(B)/tidefs: $(FS_OBJ) $(B)/libtidefs.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $(FS_OBJ) $(B)/libtidefs.a $(ALL_LIBS)

$(B)/libtidefs.a: $(LIB_OBJ)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Loops that are to become vector instructions: -O2 of gcc leaves most of them alone.
$(B)/engine/base/kernels%.o: ALL_CFLAGS += $(if $(filter release,$(VARIANT)),-O3)

# The grammar: Lemon exits non-zero on any conflict, which fails the build.
$(B)/query/sql.c $(B)/query/sql.h &: query/sql.y
	@mkdir -p $(@D)
	@echo "  LEMON query/sql.y"
	$(Q)lemon -q -d$(@D) query/sql.y
	$(Q)touch $(@D)/sql.c $(@D)/sql.h # lemon leaves a header alone that stays the same

$(B)/query/sql.o: $(B)/query/sql.c
	@echo "  CC    $<"
	$(Q)$(CC) $(ALL_CFLAGS) -Wno-unused-variable -Wno-missing-prototypes -Wno-pedantic -MMD -MP -c -o $@ $<

$(patsubst %.c,$(B)/%.o,$(wildcard query/*.c)): | $(if $(wildcard query/sql.y),$(B)/query/sql.h)

$(B)/tests/unit/%: tests/unit/%.c $(B)/libtidefs.a
	@mkdir -p $(@D)
	@echo "  TEST  $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(TEST_CFLAGS) -MMD -MP -MF $@.d -o $@ $< $(B)/libtidefs.a $(TEST_LIBS) $(ALL_LIBS)

$(B)/tests/tools/%: tests/tools/%.c $(B)/libtidefs.a
	@mkdir -p $(@D)
	@echo "  TOOL  $<"
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d -o $@ $< $(B)/libtidefs.a $(ALL_LIBS)

# Only with VARIANT=fuzz or cover and CC=clang, as tests/fuzz/run.sh and coverage.sh do.
$(B)/tests/fuzz/%: tests/fuzz/%.c $(B)/libtidefs.a
	@mkdir -p $(@D)
	@echo "  FUZZ  $<"
	$(Q)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer -MMD -MP -MF $@.d -o $@ $< $(B)/libtidefs.a $(ALL_LIBS)

## tests-build: compile every test program without running it
tests-build: $(B)/tidefs $(TESTS) $(TOOLS) $(B)/tests/crash/crash $(B)/tests/model/model

## check: every test that is quick enough for each save (unit, SQL, mount)
check: all tests-build
	$(Q)VARIANT=$(VARIANT) tests/run-all.sh

## check-unit: the unit tests alone
check-unit: tests-build
	$(Q)VARIANT=$(VARIANT) tests/run-all.sh unit

## check-sql: the SQL cases alone
check-sql: tests-build
	$(Q)VARIANT=$(VARIANT) tests/run-all.sh sql

## check-mount: the mounted filesystem alone
check-mount: all tests-build
	$(Q)VARIANT=$(VARIANT) tests/run-all.sh mount

## asan: all tests under AddressSanitizer and UndefinedBehaviorSanitizer
asan:
	$(Q)$(MAKE) VARIANT=asan tests-build
	$(Q)VARIANT=asan tests/run-all.sh

## tsan: all tests under ThreadSanitizer
tsan:
	$(Q)$(MAKE) VARIANT=tsan tests-build
	$(Q)VARIANT=tsan tests/run-all.sh

## crash: kill -9 at every named place and at random, KILLS=1000 times, and look for broken promises
crash: $(B)/tests/crash/crash
	$(Q)$(B)/tests/crash/crash $${KILLS:-1000} $${SEED:-1}

## model: random operations against a twin in memory; SEEDS=20 OPS=100000, or SEED=n to replay one
model: $(B)/tests/model/model
	$(Q)$(B)/tests/model/model $${SEEDS:-20} $${OPS:-100000}

## compare: random statements asked of tidefs and DuckDB; SEED=7 COUNT=5000, or SEED=7 ONLY=123 to replay one
compare: $(B)/tests/tools/ask
	$(Q)VARIANT=$(VARIANT) tests/compare/run.sh

MODEL_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/model/*.c))
$(B)/tests/model/model: $(MODEL_OBJ) $(B)/libtidefs.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $(MODEL_OBJ) $(B)/libtidefs.a $(ALL_LIBS)

# The fault points, as the sources name them.
$(B)/tests/crash/points.h: $(LIB_SRC)
	@mkdir -p $(@D)
	$(Q)sed -nE 's/.*FAULT\("([a-z_.]+)"\).*/\t"\1",/p' $^ | sort -u > $@

CRASH_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/crash/*.c))
$(B)/tests/crash/crash.o: | $(B)/tests/crash/points.h
$(B)/tests/crash/crash: $(CRASH_OBJ) $(B)/libtidefs.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $(CRASH_OBJ) $(B)/libtidefs.a $(ALL_LIBS)

## damage: every cut and every changed byte of logs, tiles and control files; check tries a sample
damage: tests-build
	$(Q)for t in wal_cuts damaged_log tile_flips damaged_files wal_sync catalog_faults; do \
		TIDE_DAMAGE=full $(B)/tests/unit/test_$$t || exit 1; done
	$(Q)TIDEFS=$(B)/tidefs LOAD_S=15 bats tests/mount/disks.bats tests/mount/full_disk.bats

## bench: tidefs beside other databases, TSBS's rows and queries; SCALE=main PEERS=duckdb,chdb ONLY=lastpoint RUNS=10 SEED=1
bench: all
	$(Q)tests/bench/run.sh

## bench-quick: the same with fewer rows and DuckDB alone, in a minute or two
bench-quick: all
	$(Q)SCALE=$${SCALE:-quick} PEERS=$${PEERS:-duckdb} tests/bench/run.sh

## bench-docs: the same as bench, and its tables go into docs/performance.md
bench-docs: all
	$(Q)WRITE=1 tests/bench/run.sh

## bench-ingest: loading 2.6 M rows by cat file >> ingest; HOURS=1 KIND=float
bench-ingest: all $(B)/tests/tools/gen_tsbs
	$(Q)tests/bench/ingest.sh

## bench-scale: a month of 1,000 series through the mount, 43 M rows twice (long; HOURS=72: a tenth)
bench-scale: all $(B)/tests/tools/gen_scale
	$(Q)tests/bench/scale.sh

## bench-grow: one series' hour in a table of 1, 10 and 100 M rows (long; SIZES="1 10")
bench-grow: all $(B)/tests/tools/gen_tsbs $(B)/tests/tools/clients
	$(Q)tests/bench/grow.sh

## bench-order: ORDER BY time over 10 GB as a stream, and the memory that it takes (long; HOURS=24: a look)
bench-order: all $(B)/tests/tools/gen_tsbs
	$(Q)tests/bench/order.sh

## bench-series: what a million series cost
bench-series: all $(TOOLS)
	$(Q)tests/bench/series.sh

## fuzz: one program per untrusted input, FUZZ_SECONDS=60 each (clang)
fuzz:
	$(Q)tests/fuzz/run.sh

## fuzz-coverage: which lines of query/ the fuzzers of SQL come to, CORPUS=build/fuzz/corpus (clang)
fuzz-coverage:
	$(Q)tests/fuzz/coverage.sh $(CORPUS)

## demo: mount, feed, query, age into tiles, unmount
demo: all
	$(Q)mount-scripts/quickstart.sh --seconds 5 --no-wait

## install: the program, its manual page and the mount helper under PREFIX
install: all
	install -D -m 755 build/tidefs $(DESTDIR)$(PREFIX)/bin/tidefs
	install -D -m 644 docs/tidefs.1 $(DESTDIR)$(PREFIX)/share/man/man1/tidefs.1
	install -D -m 755 mount-scripts/mount.tidefs $(DESTDIR)$(PREFIX)/sbin/mount.tidefs

## docs: docs/files.md and docs/functions.md anew, from the tables of files and of functions
docs: all
	$(Q)build/tidefs --print-files > docs/files.md
	$(Q)build/tidefs --print-functions > docs/functions.md

## format: apply .clang-format to every C file
format:
	$(Q)clang-format -i $$(git ls-files '*.c' '*.h')

## clean: remove build/
clean:
	$(Q)rm -rf build

## help: this list
help:
	@sed -n 's/^## \([a-z-]*\): /  \1\t/p' Makefile | expand -t 18

-include $(LIB_OBJ:.o=.d) $(MODEL_OBJ:.o=.d) $(CRASH_OBJ:.o=.d) $(FS_OBJ:.o=.d) $(TESTS:=.d) $(FUZZERS:=.d) $(TOOLS:=.d)
