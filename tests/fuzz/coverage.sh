#!/usr/bin/env bash
# Which lines of query/ the fuzzers of SQL come to: their corpora are run once more, and FUZZ_RUNS (2000)
# statements on top, in a build that counts (clang, llvm-profdata, llvm-cov). Prints a line a file, the least covered
# last, and the total; build/cover/html has the sources.
#
#	tests/fuzz/coverage.sh [corpus folder]        with a folder a fuzzer in it; build/fuzz/corpus
set -eu
cd "$(dirname "$0")/../.."

corpus=${1:-build/fuzz/corpus}
runs=${FUZZ_RUNS:-2000}
fuzzers=(fuzz_exec fuzz_sql)
tool() { command -v "$1" || command -v "$1-14"; }

mkdir -p build/cover
make -s -j"${JOBS:-$(nproc)}" VARIANT=cover CC=clang "${fuzzers[@]/#/build/cover/tests/fuzz/}" >build/cover/build.log 2>&1 || {
	tail -n 30 build/cover/build.log
	exit 1
}
rm -f build/cover/*.profraw
for name in "${fuzzers[@]}"; do
	mkdir -p "build/cover/new/$name" "$corpus/$name"
	export LLVM_PROFILE_FILE="build/cover/$name-%p.profraw"
	# What is in the corpus, and then from there on.
	"build/cover/tests/fuzz/$name" -runs=0 "$corpus/$name" >"build/cover/$name.log" 2>&1
	"build/cover/tests/fuzz/$name" -runs="$runs" -seed=1 -max_len=1024 -len_control=0 "build/cover/new/$name" \
		>>"build/cover/$name.log" 2>&1
done
"$(tool llvm-profdata)" merge -sparse build/cover/*.profraw -o build/cover/all.profdata
report=("$(tool llvm-cov)" report build/cover/tests/fuzz/fuzz_exec -object build/cover/tests/fuzz/fuzz_sql
	-instr-profile=build/cover/all.profdata query/*.c build/cover/query/sql.c)
"${report[@]}" >build/cover/report.txt
"$(tool llvm-cov)" show build/cover/tests/fuzz/fuzz_exec -object build/cover/tests/fuzz/fuzz_sql -format=html \
	-output-dir=build/cover/html -instr-profile=build/cover/all.profdata query/*.c >/dev/null
# file, lines, lines missed, share
awk '$1 ~ /\.c$/ { printf "%-36s %6d lines %6d missed %8s\n", $1, $8, $9, $10 }' build/cover/report.txt | sort -k6,6nr
awk '$1 == "TOTAL" { printf "%-36s %6d lines %6d missed %8s\n", $1, $8, $9, $10 }' build/cover/report.txt
