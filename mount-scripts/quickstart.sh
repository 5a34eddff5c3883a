#!/usr/bin/env bash
# A guided tour on a bare Debian or Ubuntu: installs what is missing, builds, mounts, feeds the mount
# with this machine's own figures, asks it questions, ages rows into Parquet files, unmounts.
#
#	mount-scripts/quickstart.sh              the tour, then go on feeding until Ctrl-C
#	    --seconds N    sample /proc for N seconds (default 10)
#	    --keep         leave it mounted at the end
#	    --no-wait      end after the tour instead of waiting for Ctrl-C
#	    --dir DIR      where data and mount point go (default: /tmp/tidefs-demo-USER)
#	    --no-apt       install nothing
#
# Each step shows the command that a person would type, then what it printed. However the script
# ends, the mount is gone afterwards (but for --keep), and so is the demo's data.
set -u

seconds=10 keep=0 wait_at_end=1 apt=1 dir=
usage() { sed -n '5,10s/^#\t\{0,1\}//p' "$0" >&2; }
while [ $# -gt 0 ]; do
	case $1 in
	--seconds) seconds=${2:-}; shift ;;
	--seconds=*) seconds=${1#*=} ;;
	--dir) dir=${2:-}; shift ;;
	--dir=*) dir=${1#*=} ;;
	--keep) keep=1 ;;
	--no-wait) wait_at_end=0 ;;
	--no-apt) apt=0 ;;
	-h | --help) usage; exit 0 ;;
	*) echo "quickstart.sh: unknown option '$1'" >&2; usage; exit 2 ;;
	esac
	shift || break
done
case $seconds in
'' | *[!0-9]*) echo "quickstart.sh: --seconds wants a whole number, not '$seconds'" >&2; exit 2 ;;
esac
# Nobody can press Ctrl-C where there is no terminal.
[ -t 0 ] || wait_at_end=0

here=$(cd "$(dirname "$0")/.." && pwd) || exit 1
user=$(id -un 2>/dev/null || id -u)
[ -n "$dir" ] || dir=/tmp/tidefs-demo-$user
case $dir in /*) ;; *) dir=$PWD/$dir ;; esac
mnt=$dir/mnt
marker=$dir/.tidefs-quickstart # says that the directory is ours to remove, and whose it is
daemon=
owns_dir=0
interrupted=130 # exit code of Ctrl-C: once we wait for it, it is no failure

# ---- what is printed --------------------------------------------------------------------------------

bold='' dim='' off=''
if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\e[1m' dim=$'\e[2m' off=$'\e[0m'
fi
step_number=0
step() {
	step_number=$((step_number + 1))
	printf '\n%s== %d. %s%s\n' "$bold" "$step_number" "$1" "$off"
}
# say LINE...: an empty one is an empty line.
say() {
	local l
	for l in "$@"; do printf '%s%s\n' "${l:+   }" "$l"; done
}
fail() {
	printf 'quickstart.sh: %s\n' "$@" >&2
	exit 1
}

# show COMMAND: as typed, then its output. Its failure is shown, and is part of the tour.
show() {
	printf '\n%s$ %s%s\n' "$bold" "$1" "$off"
	# The shell's own complaints as a person would see them, without this script's name and line.
	eval "$1" 2>&1 | sed "s|^[^ ]*quickstart\.sh: line [0-9]*: |bash: |"
	return 0
}

# ---- the end, however it comes -----------------------------------------------------------------------

is_mounted() { grep -qsF " $mnt fuse" /proc/mounts; }
daemon_runs() { [ -n "$daemon" ] && [ -d "/proc/$daemon" ] && ! grep -qs '^State:.Z' "/proc/$daemon/status"; }

# until_true TENTHS COMMAND...
until_true() {
	local left=$1
	shift
	while ! "$@"; do
		left=$((left - 1))
		[ "$left" -gt 0 ] || return 1
		sleep 0.1
	done
}
is_over() { ! is_mounted && ! daemon_runs; }

# find_daemon: its pid, by the arguments that nobody else's process has.
find_daemon() {
	local p args
	daemon=
	for p in /proc/[0-9]*; do
		[ -r "$p/cmdline" ] && [ -O "$p" ] || continue
		{ mapfile -d '' -t args <"$p/cmdline"; } 2>/dev/null || continue
		[ "${#args[@]}" -ge 3 ] || continue
		case "${args[0]##*/} ${args[1]} ${args[2]}" in
		"tidefs $dir/data $mnt") daemon=${p#/proc/} ; return 0 ;;
		esac
	done
	return 1
}

unmount() {
	if is_mounted && ! fusermount3 -u "$mnt" 2>/dev/null; then
		say "(something still uses the mount, perhaps a shell inside it: detaching it instead)"
		fusermount3 -u -z "$mnt" || true
	fi
	until_true 100 is_over && return 0
	if daemon_runs; then
		kill -TERM "$daemon" 2>/dev/null
		until_true 50 is_over && return 0
		kill -KILL "$daemon" 2>/dev/null
		fusermount3 -u -z "$mnt" 2>/dev/null
	fi
	! is_mounted
}

finish() {
	local rc=$?
	trap '' INT TERM HUP
	cd / || true
	if [ "$keep" = 1 ] && [ "$rc" = 0 ]; then
		return
	fi
	if [ "$owns_dir" = 1 ]; then
		if is_mounted; then
			printf '\n%s$ fusermount3 -u %s%s\n' "$bold" "$mnt" "$off"
		fi
		if unmount; then
			rm -rf "$dir/data" && rm -f "$dir/history.lp" "$marker" && rmdir "$mnt" "$dir" 2>/dev/null
			[ -n "$daemon" ] && say "unmounted; the demo's data is removed"
		else
			printf 'quickstart.sh: could not unmount %s\n' "$mnt" >&2
		fi
	fi
	exit "$rc"
}
trap finish EXIT
trap 'echo; exit "$interrupted"' INT
trap 'exit 143' TERM HUP

# ---- 1, 2: install and build ---------------------------------------------------------------------------

printf '%s\n' "${bold}tidefs: a time-series database that you mount.$off" \
	"The tour takes about $((seconds + 5)) seconds once everything is built, and leaves nothing behind."

step "What it needs"
cd "$here" || exit 1
# shellcheck source=mount-scripts/deps.sh
. mount-scripts/deps.sh
if [ "$apt" = 1 ]; then
	# shellcheck disable=SC2086
	install_missing $BUILD_PACKAGES || fail "the packages above are needed; install them and run this again"
fi
say "a C compiler, make, libfuse3, libzstd, zlib, libpcre2, sqlite3 and its parser generator: all there"
fuse_ready || exit 1

step "Build"
printf '%s$ make%s\n' "$bold" "$off"
make -s -j"$(nproc)" all >"${TMPDIR:-/tmp}/tidefs-build.$$" 2>&1 || {
	cat "${TMPDIR:-/tmp}/tidefs-build.$$" >&2
	rm -f "${TMPDIR:-/tmp}/tidefs-build.$$"
	fail "the build failed; what the compiler said is above"
}
rm -f "${TMPDIR:-/tmp}/tidefs-build.$$"
say "$(build/tidefs version) is in $here/build/tidefs"

# ---- 3: mount -------------------------------------------------------------------------------------------

step "Mount"
# A directory of ours from an earlier run is taken over, one of somebody else's is not.
if [ -e "$dir" ] && [ ! -O "$dir" ]; then
	fail "$dir belongs to somebody else; name another one with --dir"
fi
if [ -e "$marker" ]; then
	other=$(cat "$marker" 2>/dev/null)
	if [ -n "$other" ] && [ "$other" != $$ ] && grep -qs quickstart "/proc/$other/cmdline"; then
		fail "another quickstart (pid $other) uses $dir; name another directory with --dir"
	fi
	if is_mounted || find_daemon; then
		say "a mount from an earlier run is still there: unmounting it"
		find_daemon
		unmount || fail "could not unmount $mnt"
		daemon=
	fi
	rm -rf "$dir/data"
elif [ -d "$dir" ] && [ -n "$(ls -A "$dir" 2>/dev/null)" ]; then
	fail "$dir is not empty, and it was not made by this script; name another one with --dir"
fi
mkdir -p -m 700 "$dir" && mkdir -p "$mnt" && echo $$ >"$marker" || fail "cannot make $mnt"
owns_dir=1
cd "$dir" || exit 1
say "A directory for the data, one to mount on, and the daemon. From here on, all of it is files." \
	"(We are in $dir.)"
printf '\n%s$ %s/build/tidefs %s/data %s%s\n' "$bold" "$here" "$dir" "$mnt" "$off"
# Nobody's descriptors but 0-2 go to the daemon, which outlives this shell with --keep.
"$here/build/tidefs" "$dir/data" "$mnt" </dev/null || fail "the mount did not come up"
find_daemon || fail "the daemon ended right after the mount"
show "ls mnt"

# ---- 4: rows from /proc ----------------------------------------------------------------------------------

step "Write: a line appended to a file is a row"
show "mkdir mnt/demo"
show "echo 'room,name=kitchen temp=21.4,humidity=44i' >> mnt/demo/ingest"
say "measurement 'room' (became a table), tag 'name', two fields, and the time is now:"
show "cat 'mnt/q/SELECT * FROM demo.room.txt'"

declare -A last_total last_idle
# cpu_rows: usage of each core since the last call, in hundredths of a percent.
cpu_rows() {
	local name user nice system idle iowait irq softirq steal rest total busy d_total d_idle
	while read -r name user nice system idle iowait irq softirq steal rest; do
		case $name in cpu[0-9]*) ;; *) continue ;; esac
		total=$((user + nice + system + idle + iowait + irq + softirq + ${steal:-0}))
		idle=$((idle + iowait))
		d_total=$((total - ${last_total[$name]:-0}))
		d_idle=$((idle - ${last_idle[$name]:-0}))
		last_total[$name]=$total
		last_idle[$name]=$idle
		[ "$d_total" -gt 0 ] || continue
		busy=$(((d_total - d_idle) * 10000 / d_total))
		[ "$busy" -ge 0 ] || busy=0
		echo "cpu,core=$name usage=$((busy / 100)).$((busy / 10 % 10))$((busy % 10))"
	done </proc/stat
}
memory_row() {
	local key value rest total=0 free=0 available=0 cached=0
	while read -r key value rest; do
		case $key in
		MemTotal:) total=$value ;;
		MemFree:) free=$value ;;
		MemAvailable:) available=$value ;;
		Cached:) cached=$value ;;
		esac
	done </proc/meminfo
	echo "memory total_kb=${total}i,free_kb=${free}i,available_kb=${available}i,cached_kb=${cached}i"
}
disk_rows() {
	local major minor name reads x1 sectors_read x2 writes x3 sectors_written rest
	while read -r major minor name reads x1 sectors_read x2 writes x3 sectors_written rest; do
		case $name in loop* | ram* | sr* | zram*) continue ;; esac
		[ "$reads" = 0 ] && [ "$writes" = 0 ] && continue
		echo "disk,device=$name read_bytes=$((sectors_read * 512))i,written_bytes=$((sectors_written * 512))i"
	done </proc/diskstats
}
network_rows() {
	local line name
	while read -r line; do
		case $line in *:*) ;; *) continue ;; esac
		name=${line%%:*}
		# shellcheck disable=SC2086
		set -- ${line#*:}
		echo "net,interface=$name received_bytes=${1}i,sent_bytes=${9}i"
	done </proc/net/dev
}
# One echo a row, as a sensor or a cron job would do it.
sample() {
	local row
	while read -r row; do
		echo "$row" >>mnt/demo/ingest || return 1
		sampled=$((sampled + 1))
	done < <(
		memory_row
		[ -r /proc/diskstats ] && disk_rows
		[ -r /proc/net/dev ] && network_rows
	)
	# In this shell: it remembers the counters of the last call.
	cpu_rows >"$dir/.rows"
	while read -r row; do
		echo "$row" >>mnt/demo/ingest || return 1
		sampled=$((sampled + 1))
	done <"$dir/.rows"
	rm -f "$dir/.rows"
}

say "" "Now this machine's own figures, from /proc, once a second for $seconds seconds. The last ones:"
sampled=0
cpu_rows >/dev/null # since boot: only to begin with
for ((i = 0; i < seconds; i++)); do
	sleep 1
	sample || fail "a row was refused; see $mnt/status"
done
echo
{ memory_row; disk_rows | head -n 1; network_rows | head -n 1; } 2>/dev/null | while read -r row; do
	printf '%s$ echo '\''%s'\'' >> mnt/demo/ingest%s\n' "$dim" "$row" "$off"
done
say "$sampled rows, each by an echo of its own. Tables that exist now:"
show "ls mnt/demo"

# ---- 5: an hour of history ---------------------------------------------------------------------------------

step "Load: an hour of history, 4 rooms, a row a second each"
now=$(date +%s)
for ((t = now - 3600; t < now; t++)); do
	s=$((t - now + 3600))
	wave=$((s % 1800))
	[ "$wave" -lt 900 ] || wave=$((1800 - wave))
	k=0
	for name in kitchen attic cellar office; do
		c=$((1800 + 150 * k + wave / 3 + (s * (7919 + k) % 23)))
		printf 'room,name=%s temp=%d.%d%d,humidity=%di %d000000000\n' "$name" \
			$((c / 100)) $((c / 10 % 10)) $((c % 10)) $((40 + (s / 97 + k) % 20)) "$t"
		k=$((k + 1))
	done
done >history.lp
show "head -n 2 history.lp"
show "time cp history.lp mnt/demo/ingest" | sed '/^user\|^sys\|^real.*m0.000s$/d'

# ---- 6: questions -------------------------------------------------------------------------------------------

step "Ask: the file name is the query, its extension the format"
say "CSV is the default:"
show "cat 'mnt/q/SELECT name, count(*) AS n, round(avg(temp), 2) AS mean FROM demo.room GROUP BY name'"
say "" "JSON, for programs:"
show "cat 'mnt/q/SELECT core, max(usage) AS busiest FROM demo.cpu GROUP BY core ORDER BY core.json'"
say "" "An aligned table, for people. bin() cuts time into pieces:"
show "cat 'mnt/q/SELECT bin(time, 15m) AS quarter, min(temp) AS low, max(temp) AS high
    FROM demo.room WHERE time > ago(1h) GROUP BY bin(time, 15m) ORDER BY quarter.txt'"
say "" "Longer statements go through the file 'query' (here 'query.txt'), in as many lines as you like:"
show "echo \"SELECT device, max(written_bytes) - min(written_bytes) AS written
      FROM demo.disk
      GROUP BY device ORDER BY written DESC LIMIT 3\" > mnt/query.txt; cat mnt/query.txt"
say "" "A mistake is an error with a place and a reason, also for scripts (exit code 1):"
show "cat 'mnt/q/SELECT tmp FROM demo.room'"
say "" "So is a bad line; the reason is in the file 'rejected':"
show "echo 'room,name=kitchen temp=warm' >> mnt/demo/room/ingest; cat mnt/demo/room/rejected"

# ---- 7: tiles ---------------------------------------------------------------------------------------------------

step "Age: what is older than the memory retention becomes Parquet files"
show "cat mnt/demo/room/retention/memory"
show "echo 1m > mnt/demo/room/retention/memory"
has_tiles() { [ -n "$(find mnt/demo/room/magnetic -name '*.parquet' 2>/dev/null)" ]; }
until_true 300 has_tiles || say "(no tile after 30 seconds; mnt/demo/room/stats says what is pending)"
show "find mnt/demo/room/magnetic -name '*.parquet'"
say "Ordinary Parquet: DuckDB, pandas or Spark open them where they lie, rsync backs them up." \
	"SQL sees one table, wherever a row lies:"
show "cat 'mnt/q/SELECT name, count(*) AS n, round(avg(temp), 2) AS mean FROM demo.room GROUP BY name'"
say "" "What the files hold so far:"
show "grep -E '^tile_(rows|files|bytes|bytes_per_value):' mnt/demo/room/stats"

# ---- the end -------------------------------------------------------------------------------------------------------

step "That was it"
if [ "$keep" = 1 ]; then
	rm -f "$marker"
	echo >"$marker" # ours, and no longer in use by a script
	say "It stays mounted. Try:" "" \
		"  cat $mnt/README" \
		"  cat '$mnt/q/SELECT * FROM demo.cpu ORDER BY time DESC LIMIT 5.txt'" \
		"" "and when you have seen enough:" "" \
		"  fusermount3 -u $mnt"
	exit 0
fi
if [ "$wait_at_end" = 1 ]; then
	say "It is still mounted and still being fed. In another terminal, try:" "" \
		"  cat $mnt/README" \
		"  cat '$mnt/q/SELECT * FROM demo.cpu ORDER BY time DESC LIMIT 5.txt'" \
		"" "Ctrl-C here unmounts it and removes the demo's data."
	interrupted=0
	while is_mounted; do
		sleep 1
		is_mounted && { sample || break; }
	done
	say "unmounted from elsewhere"
fi
exit 0
