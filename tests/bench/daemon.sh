# What the benchmarks of loading share: a directory of their own with a mount in it, gone at the end. To be sourced,
# at the project's root, by a script that has set `name`.
root=$PWD
bin=build/${VARIANT:-release}
dir=${BENCH_DIR:-$root/build/bench}/$name.$$
daemon=

finish() {
	fusermount3 -u "$dir/mnt" 2>/dev/null || fusermount3 -u -z "$dir/mnt" 2>/dev/null || true
	[ -z "$daemon" ] || wait "$daemon" 2>/dev/null || true
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

now() { date +%s%N; }
value() { sed -n "s/^$2: *//p" "$1"; }
per() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", b ? a / b : 0 }'; }
# Bytes that the daemon has read from files: tiles and runs, besides what queries and statistics never touch.
read_bytes() { sed -n 's/^rchar: *//p' "/proc/$daemon/io"; }
peak() { sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$daemon/status"; }

# mount_up DATA_DIR [OPTION...]
mount_up() {
	local data=$1
	shift
	mkdir -p "$dir/mnt"
	"$bin/tidefs" "$data" "$dir/mnt" -f "$@" >>"$dir/log" 2>&1 &
	daemon=$!
	until [ -e "$dir/mnt/README" ]; do
		kill -0 "$daemon" 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
		sleep 0.01
	done
}
mount_down() {
	fusermount3 -u "$dir/mnt"
	wait "$daemon"
	daemon=
}
