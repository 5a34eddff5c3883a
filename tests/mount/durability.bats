#!/usr/bin/env bats
# What a write promises: after write(2) returned, the rows survive the daemon, however it ends.

setup() {
	load helper
	tide_setup
	tide_mount
	mkdir "$MNT/d" "$MNT/d/t"
}

teardown() {
	unset TIDE_FAULT
	tide_teardown
}

fill() {
	local i
	for i in $(seq 1000); do echo "m,s=a v=$i" >>"$MNT/d/t/ingest"; done
}

counts_1000() {
	expect $'1000,500500.0' "$(cat "$MNT/q/SELECT count(*), sum(v) FROM d.t" | tail -n 1)"
}

@test "1000 echos, unmount, mount: the same answer" {
	fill
	counts_1000
	tide_remount
	counts_1000
	tide_remount
	counts_1000
}

@test "1000 echos, kill -9 directly behind the last: the same answer" {
	fill
	tide_kill9
	tide_mount
	counts_1000
	# And again: recovery itself leaves a directory that recovers.
	tide_kill9
	tide_mount
	counts_1000
}

@test "kill -9 among 4 writers: every acknowledged line is there, and none twice" {
	local w pids=()
	for w in 1 2 3 4; do
		(
			i=0
			while echo "m,s=w$w v=$((i + 1)) $((1700000000000000000 + i))" >>"$MNT/d/t/ingest"; do
				i=$((i + 1))
				echo "$i" >>"$DIR/acked.$w"
			done
		) 2>/dev/null &
		pids+=($!)
	done
	wait_for 20 eval "[ -e '$DIR/acked.4' ] && [ \$(wc -l <'$DIR/acked.4') -gt 50 ]"
	kill -9 "$TIDE_PID"
	wait "${pids[@]}" 2>/dev/null || true
	tide_kill9
	tide_mount
	for w in 1 2 3 4; do
		local acked got
		acked=$(wc -l <"$DIR/acked.$w")
		got=$(sql "SELECT count(*), max(v) FROM d.t WHERE s = 'w$w'")
		echo "writer $w: acknowledged $acked, stored $got"
		# One more may have been stored and not acknowledged.
		[ "$got" = "$acked,$acked.0" ] || [ "$got" = "$((acked + 1)),$((acked + 1)).0" ]
	done
}

@test "settings, schema and series survive kill -9" {
	echo 'm,s=a,place=here v=1.5,n=2i,on=t,note="x y" 1700000000000000000' >>"$MNT/d/t/ingest"
	echo 11h >"$MNT/d/t/retention/memory"
	cat "$MNT/d/t/schema" >"$DIR/schema"
	tide_kill9
	tide_mount
	expect 11h "$(cat "$MNT/d/t/retention/memory")"
	cmp "$DIR/schema" "$MNT/d/t/schema"
	expect 'a,here,1.5,2,true,x y' "$(sql 'SELECT s, place, v, n, "on", note FROM d.t')"
}

@test "later writes win, also across kill -9 and tiles" {
	local t=1700000000000000000
	echo "m,s=a v=1,w=1 $t" >>"$MNT/d/t/ingest"
	echo "m,s=a v=2 $t" >>"$MNT/d/t/ingest"
	expect '2.0,1.0' "$(sql 'SELECT v, w FROM d.t')"
	tide_kill9
	tide_mount
	expect '2.0,1.0' "$(sql 'SELECT v, w FROM d.t')"
	echo 1s >"$MNT/d/t/retention/memory"
	wait_for 20 eval "[ -n \"\$(find '$MNT/d/t/magnetic' -name '*.parquet')\" ]"
	expect '2.0,1.0' "$(sql 'SELECT v, w FROM d.t')"
	echo "m,s=a w=9 $t" >>"$MNT/d/t/ingest"
	expect '2.0,9.0' "$(sql 'SELECT v, w FROM d.t')"
	tide_kill9
	tide_mount
	expect '2.0,9.0' "$(sql 'SELECT v, w FROM d.t')"
	expect 1 "$(sql 'SELECT count(*) FROM d.t')"
}

@test "fsync and O_SYNC writes succeed" {
	need python3
	python3 - "$MNT/d/t/ingest" <<'PY'
import os, sys
for flags in (0, os.O_SYNC, os.O_DSYNC):
    fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | flags)
    os.write(fd, f"m,s=f{flags} v=1\n".encode())
    os.fsync(fd)
    os.fdatasync(fd)
    os.close(fd)
PY
	echo sync >"$MNT/d/t/settings/durability"
	echo 'm,s=x v=1' >>"$MNT/d/t/ingest"
	echo 'm,s=y v=1' | dd of="$MNT/d/t/ingest" conv=notrunc,fsync oflag=append 2>/dev/null
	sync "$MNT/d/t/ingest"
	expect 5 "$(sql 'SELECT count(*) FROM d.t')"
	local last durable
	last=$(stat_of "$MNT/d/status" last_lsn)
	durable=$(stat_of "$MNT/d/status" durable_lsn)
	expect "$last" "$durable"
}

# The named places of engine/base/fault.h where the daemon dies as in a power cut: each is passed while
# rows go from memory into tiles. Whatever was half-made there, the rows are those that were written.
@test "dying at each step of sealing and migrating loses nothing" {
	local place sum
	mkdir "$DIR/rows"
	for i in $(seq 2000); do
		printf 'm,s=s%d v=%d %d000000000\n' $((i % 7)) "$i" $((1700000000 + i * 60))
	done >"$DIR/rows/lp"
	cp "$DIR/rows/lp" "$MNT/d/t/ingest"
	tide_umount
	rm -rf "$DATA"
	for place in append.logged seal.write seal.commit seal.swap rewrite.finish rewrite.rename migrate.commit migrate.swap; do
		TIDE_FAULT='' tide_mount
		mkdir "$MNT/$place" "$MNT/$place/t"
		echo 36500d >"$MNT/$place/t/retention/memory"
		[ "$place" = append.logged ] || cp "$DIR/rows/lp" "$MNT/$place/t/ingest"
		tide_umount
		TIDE_FAULT=$place tide_mount || true
		if [ "$place" = append.logged ]; then
			cp "$DIR/rows/lp" "$MNT/$place/t/ingest" 2>/dev/null || true
		else
			echo 1m >"$MNT/$place/t/retention/memory" 2>/dev/null || true
		fi
		wait_for 20 tide_is_gone || { echo "did not die at $place"; return 1; }
		tide_kill9 || true
		TIDE_FAULT='' tide_mount
		wait_for 20 eval "[ \"\$(stat_of '$MNT/$place/t/stats' pending_rows)\" = 0 ]"
		sum=$(sql "SELECT count(*), sum(v) FROM \"$place\".t")
		echo "$place: $sum"
		if [ "$place" = append.logged ]; then
			# In the log, and not acknowledged: all of a write or nothing of it.
			[ "$sum" = 2000,2001000.0 ] || [ "$sum" = 0, ]
		else
			expect 2000,2001000.0 "$sum"
		fi
		tide_umount
	done
}

@test "kill -9 at arbitrary moments of a load with tiles being made" {
	local round seed=${SEED:-$RANDOM} n=0 base=1700000000
	echo "SEED=$seed"
	RANDOM=$seed
	echo 1m >"$MNT/d/t/retention/memory"
	for round in 1 2 3 4 5 6; do
		for k in 1 2 3 4 5; do
			for i in $(seq 200); do
				n=$((n + 1))
				echo "m,s=s$((n % 5)) v=$n $((base + n * 7))000000000"
			done >"$DIR/part"
			cp "$DIR/part" "$MNT/d/t/ingest"
		done
		sleep "0.$((RANDOM % 10))$((RANDOM % 10))"
		tide_kill9
		tide_mount
		expect "$n,$((n * (n + 1) / 2))" "$(sql 'SELECT count(*), CAST(sum(v) AS bigint) FROM d.t')"
	done
}
