# UNLOAD: files below the directory that the mount allows, as the caller, all of them or none.

setup() {
	load helper
	tide_setup
	OUT=$DIR/out
	mkdir "$OUT"
	Q=$MNT/query
}
teardown() {
	unmount_disk
	tide_teardown
}

unmount_disk() {
	mountpoint -q "$OUT" || return 0
	if [ -n "$TIDE_PID" ]; then
		fusermount3 -u -z "$MNT" 2>/dev/null || true
		kill "$TIDE_PID" 2>/dev/null || true
		wait "$TIDE_PID" 2>/dev/null || true
		TIDE_PID=
	fi
	umount "$OUT"
}

mount_with() {
	tide_mount "$@"
	mkdir "$MNT/iot" "$MNT/iot/w"
	printf 'w,s=a v=1,n="x,y" 1000000000\nw,s=a v=2 2000000001\nw,s=b v=3 3000000000\n' >"$MNT/iot/w/ingest"
}

# refused ERRNO SENTENCE STATEMENT: the write fails, and a reader is told why.
refused() {
	run bash -c 'echo "$1" >"$2"' _ "$3" "$Q"
	[ "$status" -ne 0 ]
	[[ $output == *"$1"* ]] || expect "$1" "$output"
	run cat "$Q"
	[ "$status" -ne 0 ]
	[[ $output == *"$2"* ]] || expect "$2" "$output"
	expect '' "$(find "$OUT" -mindepth 1)"
}

# many N: so many rows with texts that do not pack.
many() {
	mkdir -p "$MNT/iot/many"
	awk -v n="$1" 'BEGIN { srand(7); for (i = 0; i < n; i++)
		printf "many,s=s%d v=%di,x=\"%d%d%d%d\" %d000000000\n", i % 3, i, rand() * 1e9, rand() * 1e9, rand() * 1e9,
			rand() * 1e9, 1700000000 + i }' >"$MNT/iot/many/ingest"
}

@test "without the option it is refused, and told how to allow it" {
	mount_with
	refused 'Operation not permitted' 'line 1:33: UNLOAD may write nowhere: mount with -o unload=DIR to allow it below the directory DIR' \
		"UNLOAD (SELECT * FROM iot.w) TO 'f';"
}

@test "the option: a directory that is there, and leads neither to the data nor to the mount" {
	for bad in "$DIR/none:make it with mkdir" "$DIR/log:is no directory" "$DIR:lie inside each other" "$DATA:lie inside each other" \
		"$MNT:lie inside each other" "/:lie inside each other" ":-o unload needs a value"; do
		mkdir -p "$DATA"
		run "$TIDEFS" "$DATA" "$MNT" -o "unload=${bad%%:*}"
		[ "$status" -ne 0 ]
		[[ $output == *"${bad#*:}"* ]] || expect "$bad" "$output"
	done
	run "$TIDEFS" --help
	[[ $output == *"unload=DIR"* ]]
	# It may be a link, which is the operator's to make.
	ln -s out "$DIR/link"
	mount_with -o unload="$DIR/link"
	echo "UNLOAD (SELECT 1 AS a) TO 'f';" >"$Q"
	[ -d "$OUT/f/results" ]
}

@test "a reader gets rows, metadataFile and manifestFile; files are named as the manifest says" {
	mount_with -o unload="$OUT"
	echo "UNLOAD (SELECT time, v, n FROM iot.w ORDER BY time) TO 'a/b' WITH (include_header = 'true');" >"$Q"
	run cat "$Q"
	expect 'rows,metadataFile,manifestFile' "${lines[0]}"
	[[ ${lines[1]} =~ ^3,("$OUT"/a/b/[A-Z2-7]{52}_[-0-9a-f]{36})_metadata.json,("$OUT"/a/b/[A-Z2-7]{52}_[-0-9a-f]{36})_manifest.json$ ]]
	expect "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
	[ -s "${BASH_REMATCH[1]}_metadata.json" ]
	url=$(grep -o '"url":"[^"]*"' "${BASH_REMATCH[1]}_manifest.json" | cut -d'"' -f4)
	[[ $url =~ ^"$OUT"/a/b/results/[A-Z2-7]{52}_[-0-9a-f]{36}.csv.gz$ ]]
	expect $'time,v,n\n1970-01-01 00:00:01.000000000,1.0,"x,y"\n1970-01-01 00:00:02.000000001,2.0,\n1970-01-01 00:00:03.000000000,3.0,' \
		"$(gzip -dc "$url")"
	# In any format; to read again is not to write again; a second run adds to the first.
	grep -q '^{"rows":3,"metadataFile":"/' "$Q.jsonl"
	cat "$Q" >/dev/null
	expect 3 "$(find "$OUT" -type f | wc -l)"
	echo "UNLOAD (SELECT * FROM iot.w) TO '$OUT/a/b/' WITH (format = 'PARQUET');" >"$Q"
	expect 6 "$(find "$OUT" -type f | wc -l)"
	expect PAR1PAR1 "$(f=$(echo "$OUT"/a/b/results/*.parquet); head -c 4 "$f"; tail -c 4 "$f")"
	expect '' "$(find "$OUT" -name '.*' -mindepth 1)"
	# EXPLAIN does nothing, without a mount nothing changes, nor in q/, nor without a ;
	echo "EXPLAIN UNLOAD (SELECT v, s FROM iot.w) TO 'x' WITH (format = 'PARQUET', partitioned_by = ARRAY['s'])" >"$Q"
	expect "\"UNLOAD parquet, gzip, to 'x' by (s)\"" "$(sed -n 2p "$Q")"
	echo "UNLOAD (SELECT * FROM iot.w) TO 'x'" >"$Q"
	run cat "$Q"
	[[ $output == *"runs once, when a ';' ends it"* ]]
	run cat "$MNT/q/UNLOAD (SELECT 1) TO 'x'"
	[ "$status" -ne 0 ]
	tide_umount
	run "$TIDEFS" sql "$DATA" "UNLOAD (SELECT * FROM iot.w) TO 'x'"
	[ "$status" -ne 0 ]
	[[ $output == *"changes something, and here they only read"* ]]
	[ ! -e "$OUT/x" ]
}

@test "partitions, delimiters, no header" {
	mount_with -o unload="$OUT"
	echo "UNLOAD (SELECT v, n, s, v > 1 AS big FROM iot.w ORDER BY time) TO 'p' WITH (compression = 'NONE',
		field_delimiter = '\t', partitioned_by = ARRAY['s', 'big']);" >"$Q"
	expect $'1.0\tx,y' "$(cat "$OUT"/p/results/s=a/big=false/*.csv)"
	expect $'2.0\t' "$(cat "$OUT"/p/results/s=a/big=true/*.csv)"
	expect $'3.0\t' "$(cat "$OUT"/p/results/s=b/big=true/*.csv)"
	expect 3 "$(find "$OUT/p/results" -type f | wc -l)"
}

@test "options and targets that are none are refused at their place" {
	mount_with -o unload="$OUT"
	refused 'Invalid argument' "line 1:27: a target cannot have '..' in its path" "UNLOAD (SELECT 1 AS a) TO 'x/../../y';"
	refused 'Invalid argument' "line 1:27: '/etc/x' does not lie below $OUT" "UNLOAD (SELECT 1 AS a) TO '/etc/x';"
	refused 'Invalid argument' "line 1:27: '${OUT}x' does not lie below $OUT" "UNLOAD (SELECT 1 AS a) TO '${OUT}x';"
	refused 'Invalid argument' "line 1:27: 's3://bucket/folder': UNLOAD writes into a directory" "UNLOAD (SELECT 1 AS a) TO 's3://bucket/folder';"
	refused 'Invalid argument' "line 1:37: UNLOAD has no option 'compresion' (did you mean 'compression'?)" \
		"UNLOAD (SELECT 1 AS a) TO 'x' WITH (compresion = 'GZIP');"
	refused 'Invalid argument' "line 1:70: column 's' has the value 'ü', and only ASCII can make a folder" \
		"UNLOAD (SELECT 1 AS a, 'ü' AS s) TO 'x' WITH (partitioned_by = ARRAY['s']);"
	refused 'Invalid argument' 'line 1:17: division by zero' "UNLOAD (SELECT 1/0 AS a) TO 'x';"
}

@test "no way out through links, also those that somebody makes below the directory" {
	mount_with -o unload="$OUT"
	mkdir "$DIR/elsewhere"
	ln -s "$DIR/elsewhere" "$OUT/link"
	run bash -c "echo \"UNLOAD (SELECT 1 AS a) TO 'link/x';\" >'$Q'"
	[[ $output == *"Not a directory"* || $output == *"symbolic links"* ]]
	run cat "$Q"
	[[ $output == *"'$OUT/link' is no directory (symbolic links are not followed)"* ]]
	mkdir "$OUT/f"
	ln -s "$DIR/elsewhere" "$OUT/f/results"
	run bash -c "echo \"UNLOAD (SELECT 1 AS a) TO 'f';\" >'$Q'"
	[ "$status" -ne 0 ]
	expect '' "$(find "$DIR/elsewhere" -mindepth 1)"
}

@test "rights: as the caller could write there, and the caller's own" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	chmod 0755 "$DIR"
	mount_with -o allow_other -o unload="$OUT"
	chmod 0666 "$Q"
	as() {
		setpriv --reuid=1234 --regid=1234 --groups="${GROUPS_OF:-1234}" "$@"
	}
	# The table is closed, then it is open; the directory is closed, then the group's.
	chmod 0700 "$MNT/iot/w"
	run as bash -c "echo \"UNLOAD (SELECT * FROM iot.w) TO 'x';\" >'$Q'"
	[[ $output == *"Permission denied"* ]]
	chmod 0755 "$MNT/iot/w"
	run as bash -c "echo \"UNLOAD (SELECT * FROM iot.w) TO 'x';\" >'$Q'; cat '$Q'"
	[[ $output == *"line 1:1: cannot make the directory '$OUT/x': Permission denied"* ]]
	chgrp 4321 "$OUT"
	chmod 0770 "$OUT"
	run as bash -c "echo \"UNLOAD (SELECT * FROM iot.w) TO 'x';\" >'$Q'"
	[[ $output == *"Permission denied"* ]]
	GROUPS_OF=4321 as bash -c "echo \"UNLOAD (SELECT * FROM iot.w) TO 'x';\" >'$Q'"
	expect '' "$(find "$OUT" -mindepth 1 ! -user 1234 -o -mindepth 1 ! -group 1234)"
	expect '' "$(find "$OUT" -mindepth 1 -type f ! -perm 600)"
	expect '' "$(find "$OUT" -mindepth 1 -type d ! -perm 700)"
	# Nobody else's folder, but root's word is root's.
	chmod 0777 "$OUT"
	run setpriv --reuid=1235 --regid=1235 --clear-groups bash -c "echo \"UNLOAD (SELECT * FROM iot.w) TO 'x';\" >'$Q'; cat '$Q'"
	[[ $output == *"'$OUT/x': Permission denied"* ]]
	echo "UNLOAD (SELECT * FROM iot.w) TO 'x';" >"$Q"
	expect 2 "$(find "$OUT/x" -name '*_manifest.json' | wc -l)"
	# The daemon is root again for all else.
	mkdir "$MNT/iot/after"
	printf 'after v=1 1000000000\n' >"$MNT/iot/after/ingest"
}

@test "^C leaves nothing, and the statement can come again" {
	need python3
	mount_with -o unload="$OUT"
	many 60000
	slow="UNLOAD (SELECT v, x, s FROM iot.many"
	for _ in $(seq 60); do slow+=" UNION ALL SELECT v, x, s FROM iot.many"; done
	slow+=") TO 'c' WITH (partitioned_by = ARRAY['s']);"
	python3 - "$Q" "$slow" "$OUT" <<'PY'
import os, signal, sys, time, subprocess
p = subprocess.Popen(["bash", "-c", 'echo "$1" >"$2"', "_", sys.argv[2], sys.argv[1]], stderr=subprocess.PIPE)
end = time.time() + 20
while time.time() < end and not any(f.endswith(".tmp") for _, _, fs in os.walk(sys.argv[3]) for f in fs):
    time.sleep(0.02)
assert time.time() < end, "it has not begun"
time.sleep(0.2)
assert p.poll() is None, "it ended too soon: " + p.stderr.read().decode()
p.send_signal(signal.SIGINT)
begun = time.time()
assert p.wait(20) != 0
assert time.time() - begun < 5
PY
	wait_for 5 is_empty "$OUT"
	echo "UNLOAD (SELECT v, x, s FROM iot.many) TO 'c' WITH (partitioned_by = ARRAY['s']);" >"$Q"
	expect 60000 "$(cat "$Q" | tail -n 1 | cut -d, -f1)"
	expect 60000 "$(gzip -dc "$OUT"/c/results/*/*.gz | wc -l)"
}

is_empty() {
	[ -z "$(find "$1" -mindepth 1)" ]
}

@test "a disk that is full: ENOSPC, a sentence, and room again" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	mount -t tmpfs -o size=2m tmpfs "$OUT" 2>"$DIR/why" || skip "no tmpfs: $(head -n 1 "$DIR/why")"
	mount_with -o unload="$OUT"
	many 60000
	for format in CSV PARQUET; do
		run bash -c "echo \"UNLOAD (SELECT * FROM iot.many) TO 'c' WITH (format = '$format', compression = 'NONE');\" >'$Q'"
		[[ $output == *"No space left on device"* ]]
		run cat "$Q"
		[[ $output == *"line 1:1: cannot write '$OUT/c/results/"*"No space left on device"* ]]
		is_empty "$OUT"
	done
	echo "UNLOAD (SELECT v FROM iot.many) TO 'c' WITH (format = 'PARQUET');" >"$Q"
	expect 60000 "$(cat "$Q" | tail -n 1 | cut -d, -f1)"
}

@test "a file that grows too large is followed by another" {
	mount_with -o unload="$OUT"
	many 60000
	echo "UNLOAD (SELECT x, x AS a, x AS b, x AS c, x AS d, x AS e, x AS f, x AS g, x AS h, x AS i FROM iot.many) TO 'm'
		WITH (compression = 'NONE', max_file_size = '16MB', include_header = 'true');" >"$Q"
	expect 2 "$(find "$OUT/m/results" -type f | wc -l)"
	expect 60002 "$(cat "$OUT"/m/results/*.csv | wc -l)"
	expect 2 "$(cat "$OUT"/m/results/*.csv | grep -c '^x,a,b,c')"
}

@test "query.parquet and q/: a Parquet file; an error is a sentence" {
	mount_with
	echo 'SELECT * FROM iot.w' >"$Q"
	expect PAR1PAR1 "$(head -c 4 "$Q.parquet"; tail -c 4 "$Q.parquet")"
	f="$MNT/q/SELECT time, v, ARRAY[n] AS a FROM iot.w.parquet"
	cp "$f" "$DIR/copy.parquet"
	expect "$(stat -c %s "$f")" "$(stat -c %s "$DIR/copy.parquet")"
	expect PAR1 "$(tail -c 4 "$DIR/copy.parquet")"
	echo 'SELECT 1/(v - 2) FROM (SELECT CAST(v AS bigint) AS v FROM iot.w) AS x' >"$Q"
	run cat "$Q.parquet"
	[ "$status" -ne 0 ]
	[[ $output == *"line 1:9: division by zero"* ]]
	[[ $output != *PAR1* ]]
	tide_umount
	expect PAR1 "$("$TIDEFS" sql "$DATA" 'SELECT 1 AS a' parquet | head -c 4)"
}
