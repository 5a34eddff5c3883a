#!/usr/bin/env bash
# Everything a bare Debian or Ubuntu needs to run the tests, and the tests.
#
#	tests/run.sh            install what is missing, build, run all tests
#	tests/run.sh --no-apt   do not install anything
#
# Ends with `N passed, N failed`; exit code 0 only when nothing failed.
set -eu
cd "$(dirname "$0")/.."
. mount-scripts/deps.sh

[ "${1:-}" = --no-apt ] || install_missing $BUILD_PACKAGES $TEST_PACKAGES
fuse_ready || echo "   (the mount tests are skipped)"

echo "== building"
make -s -j"$(nproc)" all tests-build
if command -v npm >/dev/null 2>&1 &&
	[ ! tests/readers/node_modules/.package-lock.json -nt tests/readers/package-lock.json ]; then
	echo "== fetching the third-party Parquet readers (npm, tests only)"
	(cd tests/readers && npm ci --silent --no-audit --no-fund --fetch-retries=1 --fetch-timeout=20000) ||
		echo "   not available; the tests that need them are skipped"
fi
echo "== testing"
exec tests/run-all.sh
