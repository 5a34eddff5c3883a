# JSON lines: flat rows and WriteRecords, by shells and programs, and back out through SQL.

setup() {
	load helper
	tide_setup
	tide_mount
	mkdir "$MNT/iot" "$MNT/iot/w"
	T=$MNT/iot/w
	J=$T/ingest.jsonl
}
teardown() { tide_teardown; }

rows() { stat_of "$T/stats" rows_in; }
ask() { (cd "$MNT/q" && cat "$1.csv"); }

@test "flat rows from a shell, and what they became" {
	echo '{"time":"2026-02-14T10:15:00Z","station":"7","temp":21.4,"wet":false,"n":3}' >>"$J"
	printf '{"time":"2026-02-14 10:16:00","station":"7","temp":22}\r\n\n{"time":1771064220000000000,"station":"8","temp":1e1}\n' >"$J"
	expect 3 "$(rows)"
	expect '"station","measure_name","time","temp","wet","n"
"7","w","2026-02-14 10:15:00.000000000","21.4","false","3"
"7","w","2026-02-14 10:16:00.000000000","22.0","",""
"8","w","2026-02-14 10:17:00.000000000","10.0","",""' "$(ask 'SELECT * FROM iot.w ORDER BY time' | tr -d '\r' | quoted)"
	expect "" "$(cat "$T/rejected")"
}

# Every cell in quotes, however the format chose.
quoted() { sed 's/"//g; s/,/","/g; s/^/"/; s/$/"/'; }

@test "the database's own file names tables" {
	echo '{"table":"made","x":1,"time":5}' >>"$MNT/iot/ingest.jsonl"
	echo '{"measure_name":"made2","x":1,"time":5}' >>"$MNT/iot/ingest.jsonl"
	echo '{"TableName":"made3","MeasureName":"m","MeasureValue":"1","Time":"5"}' >>"$MNT/iot/ingest.jsonl"
	[ -d "$MNT/iot/made" ] && [ -d "$MNT/iot/made2" ] && [ -d "$MNT/iot/made3" ]
	expect 1 "$(stat_of "$MNT/iot/made3/stats" rows_in)"
	run bash -c "echo '{\"x\":1}' >> '$MNT/iot/ingest.jsonl'"
	[[ $output == *"Invalid argument"* ]]
	grep -q "the row names no table" "$MNT/iot/rejected"
	run bash -c "echo '{\"table\":\"no/name\",\"x\":1}' >> '$MNT/iot/ingest.jsonl'"
	[[ $output == *"Invalid argument"* ]]
}

@test "single measures and MULTI, as SQL sees them" {
	now=$(date +%s)000
	echo '{"Dimensions":[{"Name":"h","Value":"a"}],"MeasureName":"temp","MeasureValue":"21.5","Time":"'"$now"'"}' >>"$J"
	echo '{"CommonAttributes":{"Dimensions":[{"Name":"h","Value":"a"}],"Time":"'"$now"'"},"Records":[{"MeasureName":"n","MeasureValue":"7","MeasureValueType":"BIGINT"},{"MeasureName":"s","MeasureValue":"x","MeasureValueType":"VARCHAR"},{"MeasureName":"ok","MeasureValue":"true","MeasureValueType":"BOOLEAN"},{"MeasureName":"all","MeasureValueType":"MULTI","MeasureValues":[{"Name":"d","Value":"1.5","Type":"DOUBLE"},{"Name":"seen","Value":"1771064000000","Type":"TIMESTAMP"}]}]}' >>"$J"
	expect 5 "$(rows)"
	check() {
		expect "21.5" "$(ask "SELECT measure_value::double FROM iot.w WHERE measure_name = 'temp'" | tail -n 1)"
		expect "7" "$(ask "SELECT measure_value::bigint FROM iot.w WHERE measure_name = 'n'" | tail -n 1)"
		expect "2026-02-14 10:13:20.000000000" "$(ask "SELECT seen FROM iot.w WHERE measure_name = 'all'" | tail -n 1)"
		expect "all multi
n bigint
ok boolean
s varchar
temp double" "$(ask 'SHOW MEASURES FROM iot.w' | tail -n +2 | cut -d, -f1,2 | tr , ' ' | tr -d '"')"
		ask 'DESCRIBE iot.w' | tr -d '"' | grep -qx 'measure_value::double,double,MEASURE_VALUE'
		ask 'DESCRIBE iot.w' | tr -d '"' | grep -qx 'seen,timestamp,MULTI'
	}
	check
	# The binding holds: across a crash, and across a sealed table.
	tide_kill9
	tide_mount
	check
	run bash -c "echo '{\"MeasureName\":\"temp\",\"MeasureValue\":\"1\",\"MeasureValueType\":\"BIGINT\",\"Time\":\"$now\"}' >> '$J'"
	[[ $output == *"Invalid argument"* ]]
	grep -q "measure name 'temp' is bound to double in this table, and a bigint record was offered" "$T/rejected"
	run bash -c "echo 'temp,h=a x=1 ${now}000000' >> '$T/ingest'"
	[[ $output == *"Invalid argument"* ]]
	grep -q "bound to double in this table, and a multi record was offered" "$T/rejected"
	tide_remount
	check
}

@test "versions: by number, told in rejected, once" {
	now=$(date +%s)
	rec() { echo "{\"MeasureName\":\"m\",\"MeasureValue\":\"$1\",\"Time\":\"$now\",\"TimeUnit\":\"SECONDS\"${2:+,\"Version\":$2}}"; }
	value() { ask "SELECT measure_value::double FROM iot.w" | tail -n +2; }
	rec 1 >>"$J"
	rec 1 >>"$J" # the same again
	expect 1.0 "$(value)"
	run bash -c "echo '$(rec 2)' >> '$J'"
	[[ $output == *"Invalid argument"* ]]
	grep -q '"existing_version":1,"reason":"A record already exists with the same time' "$T/rejected"
	rec 2 5 >>"$J"
	expect 2.0 "$(value)"
	run bash -c "echo '$(rec 3 4)' >> '$J'"
	grep -q 'The record version 4 is lower than the existing version 5' "$T/rejected"
	expect 2.0 "$(value)"
	# In a request: some of it is stored, so the write is good, and close tells.
	need python3
	python3 - "$J" "$now" <<'PY'
import errno, json, os, sys
now = sys.argv[2]
f = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
line = json.dumps({"CommonAttributes": {"MeasureName": "m", "Time": now, "TimeUnit": "SECONDS"},
                   "Records": [{"MeasureValue": "9", "Version": 1}, {"MeasureValue": "10", "Version": 6},
                               {"MeasureValue": "x", "Version": 7}]}) + "\n"
assert os.write(f, line.encode()) == len(line)
try:
    os.close(f)
    assert False, "close said nothing"
except OSError as e:
    assert e.errno == errno.EINVAL, e
PY
	expect 10.0 "$(value)"
	expect "0 5
2 " "$(tail -n 2 "$T/rejected" | python3 -c "
import json, sys
for l in sorted(sys.stdin, key=lambda l: json.loads(l)['record_index']):
    r = json.loads(l)
    print(r['record_index'], r.get('existing_version', ''))")"
}

@test "programs: python and node write rows as they have them" {
	need python3 node
	python3 - "$J" <<'PY'
import datetime, json, sys
with open(sys.argv[1], "a") as f:
    for i in range(5000):
        t = datetime.datetime(2026, 2, 14, tzinfo=datetime.timezone.utc) + datetime.timedelta(seconds=i)
        print(json.dumps({"time": str(t), "host": f"höst-{i % 7}", "load": i / 4, "n": i, "ok": i % 2 == 0,
                          "none": None}), file=f)
PY
	expect 5000 "$(rows)"
	node -e "
const fs = require('fs');
const s = fs.createWriteStream('$J', {flags: 'a'});
for (let i = 0; i < 5000; i++)
	s.write(JSON.stringify({time: new Date(1771027200000 + i * 1000).toISOString(), host: 'node \"' + i % 7 + '\"', n: i, big: null}) + '\n');
s.end();"
	expect 10000 "$(rows)"
	expect "10000,49990000" "$(ask 'SELECT count(*), sum(2*n) FROM iot.w' | tail -n 1)"
	expect "höst-3" "$(ask "SELECT DISTINCT host FROM iot.w WHERE n = 3 AND host LIKE 'h%'" | tail -n 1)"
	expect "" "$(cat "$T/rejected")"
}

@test "what a query gave as JSON lines can be written back" {
	echo '{"time":"2026-02-14T10:15:00Z","station":"7 \"x\"","temp":21.4,"n":3}' >>"$J"
	echo '{"time":"2026-02-14T10:15:01Z","station":"8","temp":-0.25}' >>"$J"
	echo '{"Dimensions":[{"Name":"station","Value":"9"}],"MeasureName":"one","MeasureValue":"1","Time":"1771064100000"}' >>"$J"
	(cd "$MNT/q" && cat 'SELECT * FROM iot.w.jsonl') >"$DIR/rows.jsonl"
	mkdir "$MNT/iot/copy"
	cat "$DIR/rows.jsonl" >>"$MNT/iot/copy/ingest.jsonl"
	expect "$(ask 'SELECT * FROM iot.w ORDER BY time, station')" "$(ask 'SELECT * FROM iot.copy ORDER BY time, station')"
	expect "" "$(cat "$MNT/iot/copy/rejected")"
}

@test "bad lines, in every way a tool can meet them" {
	for bad in nonsense '[1]' '{"a":{"b":1}}' '{"x":1,"x":2}' '{"x":1' '{"x":NaN}' $'{"x":"\xff"}'; do
		run bash -c 'echo "$1" >> "$2"' - "$bad" "$J"
		[[ $output == *"Invalid argument"* ]]
	done
	expect 7 "$(wc -l <"$T/rejected")"
	# Beside good ones: they are stored, and close(2) says that something was refused.
	run bash -c "printf '{\"x\":1,\"time\":5}\nnonsense\n{\"x\":2,\"time\":6}\n' | cat >>'$J'"
	[[ $output == *"Invalid argument"* ]]
	expect 2 "$(rows)"
	expect 8 "$(wc -l <"$T/rejected")"
	need python3
	python3 -c "
import json
for line in open('$T/rejected', encoding='utf-8'): assert json.loads(line)['reason']"
}

@test "large lines, cut anywhere" {
	need python3
	python3 - "$DIR/big.jsonl" <<'PY'
import json, sys
with open(sys.argv[1], "w") as f:
    print(json.dumps({"time": 1, "station": "a" * 1000000, "x": 1}), file=f)
    print(json.dumps({"time": 2, "station": "a" * 1100000, "x": 2}), file=f)
    print(json.dumps({"CommonAttributes": {"MeasureName": "m", "MeasureValue": "1"},
                      "Records": [{"Time": str(i)} for i in range(40000)]}), file=f)
    for i, bad in enumerate(['{"a":' + '[' * 1000000 + '}', '{"x":' + '9' * 1000000 + '}']):
        print(bad + "\n" + json.dumps({"time": 3 + i, "x": 3}), file=f) # a good one in the same write
    print(json.dumps({"time": 9, "x": 3}), file=f, end="")
PY
	run bash -c "cat '$DIR/big.jsonl' >>'$J'" # close(2) tells of the bad ones
	wait_for 5 eval '[ "$(rows)" -eq 40004 ]'
	expect 3 "$(wc -l <"$T/rejected")"
	run dd if="$DIR/big.jsonl" of="$J" bs=100001 conv=fsync
	expect 40004 "$(ask 'SELECT count(*) FROM iot.w' | tail -n 1)"
	expect 6 "$(wc -l <"$T/rejected")"
}

@test "rights are those of ingest, and one with them" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	chmod 755 "$DIR" "$MNT" 2>/dev/null || true
	expect "$(stat -c '%a %u' "$T/ingest")" "$(stat -c '%a %u' "$J")"
	run setpriv --reuid 65534 --regid 65534 --clear-groups bash -c "echo '{\"x\":1}' >> '$J'"
	[ "$status" -ne 0 ]
	chmod 602 "$T/ingest"
	expect 602 "$(stat -c %a "$J")"
	setpriv --reuid 65534 --regid 65534 --clear-groups bash -c "echo '{\"x\":1}' >> '$J'"
	expect 1 "$(rows)"
	chmod 600 "$J"
	run setpriv --reuid 65534 --regid 65534 --clear-groups bash -c "echo 'w x=1i' >> '$T/ingest'"
	[ "$status" -ne 0 ]
	expect 1 "$(rows)"
	# Through the database's file: the table's owner and mode decide, record by record.
	chmod 602 "$MNT/iot/ingest"
	run setpriv --reuid 65534 --regid 65534 --clear-groups bash -c "echo '{\"table\":\"w\",\"x\":1}' >> '$MNT/iot/ingest.jsonl'"
	[[ $output == *"Invalid argument"* ]]
	grep -q "you may not write to table 'w'" "$T/rejected" "$MNT/iot/rejected"
	run setpriv --reuid 65534 --regid 65534 --clear-groups bash -c \
		"echo '{\"TableName\":\"w\",\"MeasureName\":\"m\",\"MeasureValue\":1,\"Time\":1}' >> '$MNT/iot/ingest.jsonl'"
	[[ $output == *"Invalid argument"* ]]
	expect 1 "$(rows)"
	expect "" "$(cat "$J")"
}

@test "a record that its measure name's type refuses leaves no column behind" {
	echo '{"MeasureName":"cpu","MeasureValue":"1.5","Time":"1700000000000"}' >>"$J"
	before=$(cat "$T/schema")
	run bash -c "echo '{\"MeasureName\":\"cpu\",\"MeasureValue\":\"1\",\"MeasureValueType\":\"BIGINT\",\"Time\":\"1700000000001\"}' >> '$J'"
	[ "$status" -ne 0 ]
	run bash -c "echo 'cpu,typo=x oops=1 1700000000000000001' >> '$T/ingest'"
	[ "$status" -ne 0 ]
	grep -q "measure name 'cpu' is bound to double in this table, and a multi record was offered" "$T/rejected"
	expect "$before" "$(cat "$T/schema")"
}
