#!/usr/bin/env bash
# Runs the test programs that `make tests-build` has built, and counts.
#
#	tests/run-all.sh [unit] [sql] [compare] [model] [crash] [mount]      all kinds when none is named
#	VARIANT=asan tests/run-all.sh              of another build
#
# Each program's whole output goes to build/<variant>/test-logs/<name>.log; what failed is shown.
# The last line is `N passed, N failed`; the exit code is 0 only when nothing failed.
set -u
cd "$(dirname "$0")/.." || exit 1

variant=${VARIANT:-release}
bin=build/$variant
logs=$bin/test-logs
mkdir -p "$logs"
kinds=${*:-unit sql compare model crash mount}
passed=0
failed=0
export TIDEFS=$PWD/$bin/tidefs
export TIDE_BIN=$PWD/$bin
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=0:exitcode=66:second_deadlock_stack=1}

# report NAME PASSED FAILED LOG SECONDS
report() {
	passed=$((passed + $2))
	failed=$((failed + $3))
	if [ "$3" -gt 0 ]; then
		printf 'FAIL  %-34s %4d passed, %d failed  (%ss)\n' "$1" "$2" "$3" "$5"
		sed 's/^/      | /' "$4" | tail -n 40
	else
		printf 'ok    %-34s %4d passed  (%ss)\n' "$1" "$2" "$5"
	fi
}

# A libcheck program ends with "100%: Checks: 12, Failures: 0, Errors: 0".
run_unit() {
	for t in "$bin"/tests/unit/test_*; do
		case $t in *.d | *.o) continue ;; esac
		[ -x "$t" ] || continue
		name=$(basename "$t")
		log=$logs/$name.log
		begin=$SECONDS
		timeout 900 "$t" >"$log" 2>&1
		rc=$?
		line=$(grep -aE '^[0-9]+%: Checks: ' "$log" | tail -n 1)
		checks=$(printf '%s' "$line" | sed -nE 's/.*Checks: ([0-9]+).*/\1/p')
		bad=$(printf '%s' "$line" | sed -nE 's/.*Failures: ([0-9]+), Errors: ([0-9]+).*/\1+\2/p')
		bad=$((${bad:-0}))
		checks=${checks:-0}
		# A crash, a sanitizer's report or a program that counted nothing is a failure, too.
		if [ "$bad" -eq 0 ] && { [ "$rc" -ne 0 ] || [ "$checks" -eq 0 ]; }; then
			bad=1
			checks=$((checks + 1))
		fi
		report "unit/${name#test_}" $((checks - bad)) "$bad" "$log" $((SECONDS - begin))
	done
}

# The SQL runner prints "N passed, N failed" itself.
run_sql() {
	[ -x "$bin/tests/tools/sqlcase" ] || return 0
	log=$logs/sql.log
	begin=$SECONDS
	timeout 900 "$bin/tests/tools/sqlcase" tests/sql/*.slt >"$log" 2>&1
	rc=$?
	p=$(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1/p' "$log" | tail -n 1)
	f=$(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\2/p' "$log" | tail -n 1)
	p=${p:-0}
	f=${f:-1}
	[ "$rc" -ne 0 ] && [ "$f" -eq 0 ] && f=1
	report "sql" "$p" "$f" "$log" $((SECONDS - begin))
}

# Random statements against DuckDB; half of what tests/compare/run.sh asks.
run_compare() {
	if [ ! -d tests/readers/node_modules/@duckdb/node-api ] || ! command -v node >/dev/null 2>&1; then
		echo "skip  compare: DuckDB is not installed (npm ci in tests/readers)"
		return 0
	fi
	log=$logs/compare.log
	begin=$SECONDS
	env ${COMPARE_SEED:+SEED=$COMPARE_SEED} COUNT="${COUNT:-300}" timeout 900 node tests/compare/compare.mjs "$bin/tests/tools/ask" >"$log" 2>&1
	rc=$?
	p=$(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1/p' "$log" | tail -n 1)
	f=$(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\2/p' "$log" | tail -n 1)
	f=${f:-1}
	[ "$rc" -ne 0 ] && [ "$f" -eq 0 ] && f=1
	report "compare" "${p:-0}" "$f" "$log" $((SECONDS - begin))
}

# A taste of `make model`.
run_model() {
	[ -x "$bin/tests/model/model" ] || return 0
	log=$logs/model.log
	begin=$SECONDS
	timeout 900 "$bin/tests/model/model" "${SEEDS:-3}" "${OPS:-10000}" >"$log" 2>&1
	rc=$?
	p=$(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1/p' "$log" | tail -n 1)
	report "model" "${p:-0}" $((rc != 0)) "$log" $((SECONDS - begin))
}

# A taste of `make crash`.
run_crash() {
	[ -x "$bin/tests/crash/crash" ] || return 0
	log=$logs/crash.log
	begin=$SECONDS
	timeout 600 "$bin/tests/crash/crash" "${KILLS:-40}" >"$log" 2>&1
	rc=$?
	p=$(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1/p' "$log" | tail -n 1)
	report "crash" "${p:-0}" $((rc != 0)) "$log" $((SECONDS - begin))
}

run_mount() {
	if [ ! -w /dev/fuse ]; then
		echo "skip  mount tests: /dev/fuse is not there or not writable"
		return 0
	fi
	for t in tests/mount/*.bats; do
		[ -e "$t" ] || continue
		name=$(basename "$t" .bats)
		log=$logs/mount-$name.log
		begin=$SECONDS
		timeout 900 bats --tap "$t" >"$log" 2>&1
		rc=$?
		p=$(grep -cE '^ok ' "$log")
		f=$(grep -cE '^not ok ' "$log")
		[ "$rc" -ne 0 ] && [ "$f" -eq 0 ] && f=1
		report "mount/$name" "$p" "$f" "$log" $((SECONDS - begin))
	done
}

for k in $kinds; do
	case $k in
	unit | sql | compare | model | crash | mount) "run_$k" ;;
	*)
		echo "run-all.sh: unknown kind '$k' (unit, sql, compare, model, crash, mount)" >&2
		exit 2
		;;
	esac
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
