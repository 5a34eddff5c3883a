#!/usr/bin/env bash
# Builds the fuzzers with clang and runs each for FUZZ_SECONDS (60). A crash leaves build/fuzz/crashes/.
#
#	tests/fuzz/run.sh [fuzz_sql fuzz_exec ...]        all when none is named
#
# What was found once stays in FUZZ_CORPUS/<name> (build/fuzz/corpus), so that later runs begin where these ended.
set -eu
cd "$(dirname "$0")/../.."

seconds=${FUZZ_SECONDS:-60}
corpus=${FUZZ_CORPUS:-build/fuzz/corpus}
if [ $# -eq 0 ]; then
	for f in tests/fuzz/fuzz_*.c; do
		set -- "$@" "$(basename "$f" .c)"
	done
fi
mkdir -p build/fuzz/crashes
programs=()
for name in "$@"; do
	programs+=("build/fuzz/tests/fuzz/$name")
done
make -j"$(nproc)" VARIANT=fuzz CC=clang "${programs[@]}" >build/fuzz/build.log 2>&1 || {
	tail -n 30 build/fuzz/build.log
	exit 1
}
failed=0
for name in "$@"; do
	mkdir -p "$corpus/$name"
	log=build/fuzz/$name.log
	if "build/fuzz/tests/fuzz/$name" -max_total_time="$seconds" -max_len=4096 -timeout=60 -rss_limit_mb=3000 \
		-artifact_prefix="build/fuzz/crashes/$name-" "$corpus/$name" >"$log" 2>&1; then
		printf 'ok    %-20s %s\n' "$name" "$(grep -aE '^Done ' "$log" | tail -n 1)"
		grep -aE '^sql_random ' "$log" | sed 's/^/      /' || true
	else
		failed=$((failed + 1))
		printf 'FAIL  %-20s\n' "$name"
		tail -n 40 "$log" | sed 's/^/      | /'
	fi
done
echo "$(($# - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
