# Who may what: modes and owners are kept, and hold for paths and for SQL.

setup() {
	load helper
	[ "$(id -u)" -eq 0 ] || skip "needs root to be several users"
	need setpriv
	tide_setup
	chmod 755 "$DIR"
	tide_mount
	mkdir "$MNT/iot" "$MNT/iot/w"
	echo 'w,s=a v=1 1000000000' >"$MNT/iot/w/ingest"
	T=$MNT/iot/w
}
teardown() { [ -z "${DIR:-}" ] || tide_teardown; }

# as UID [GROUPS] -- COMMAND...
as() {
	local uid=$1 groups=--clear-groups
	shift
	[ "$1" = -- ] || {
		groups=--groups=$1
		shift
	}
	shift
	setpriv --reuid="$uid" --regid="$uid" "$groups" "$@"
}

ask_as() {
	local uid=$1
	shift
	as "$uid" -- cat "$MNT/q/$*"
}

@test "defaults: everybody asks, the owner changes" {
	expect $'n\n1' "$(ask_as 1234 'SELECT count(*) AS n FROM iot.w')"
	run as 1234 -- sh -c "echo 'w v=1' >> '$T/ingest'"
	[[ $output == *"ermission denied"* ]]
	run as 1234 -- mkdir "$MNT/mine"
	[[ $output == *"ermission denied"* ]]
	run as 1234 -- sh -c "echo 1d > '$T/retention/memory'"
	[[ $output == *"ermission denied"* ]]
	run as 1234 -- sh -c "echo 'DROP TABLE iot.w;' > '$MNT/query'"
	[ "$status" -ne 0 ]
	[ -d "$T" ]
}

@test "chmod and chown are kept over a remount" {
	chmod 0750 "$T"
	chown 1234:55 "$T"
	chmod 0220 "$T/ingest"
	tide_remount
	expect "750 1234 55" "$(stat -c '%a %u %g' "$T")"
	expect "220 1234 55" "$(stat -c '%a %u %g' "$T/ingest")"
	expect 1234 "$(stat -c %u "$T/retention/memory")"
}

@test "0220: sensors of the group write and do not read" {
	chgrp 55 "$T"
	chmod 0220 "$T/ingest"
	as 1234 55 -- sh -c "echo 'w,s=b v=2 2000000000' >> '$T/ingest'"
	run as 1234 55 -- cat "$T/ingest"
	[[ $output == *"ermission denied"* ]]
	run as 1234 55 -- cat "$MNT/q/SELECT * FROM iot.w"
	[ "$status" -ne 0 ]
	[[ $output == *"ermission denied"* ]]
	run as 1234 55 -- sh -c "exec 3<>'$MNT/query'; echo 'SELECT * FROM iot.w' >&3; cat <&3"
	[ "$status" -ne 0 ]
	run as 1234 -- sh -c "echo 'w v=2' >> '$T/ingest'"
	[ "$status" -ne 0 ]
	run as 1234 55 -- cat "$T/rejected"
	[[ $output == *"ermission denied"* ]]
	run as 1234 55 -- ls "$T/magnetic"
	[[ $output == *"ermission denied"* ]]
	mkdir "$MNT/iot/snapshots/s"
	run as 1234 55 -- ls "$MNT/iot/snapshots/s/w/magnetic"
	[[ $output == *"ermission denied"* ]]
	expect $'n\n2' "$(cat "$MNT/q/SELECT count(*) AS n FROM iot.w")"
}

@test "who has ingest open keeps nobody from changing its mode, and a believed name is no permission" {
	chmod 755 "$DIR" "$MNT" "$MNT/iot" "$T"
	chmod 0222 "$T/ingest"
	exec 9>>"$T/ingest"
	as 1234 -- sh -c "echo 'w,host=x v=1 1' >> '$T/ingest'" || true
	chmod 0200 "$T/ingest"
	expect 200 "$(stat -c %a "$T/ingest")"
	run as 1234 -- sh -c "echo 'w,host=x v=2' >> '$T/ingest'"
	[[ $output == *"ermission denied"* ]]
	exec 9>&-
	# cp -p gives what it wrote its mode: that is not meant.
	echo 'w,host=y v=3' >"$DIR/lines"
	chmod 0641 "$DIR/lines"
	cp -p "$DIR/lines" "$T/ingest"
	expect 200 "$(stat -c %a "$T/ingest")"
}

@test "a mode that magnetic/ was given decides, and not that of ingest" {
	chmod 0220 "$T/ingest"
	expect 700 "$(stat -c %a "$T/magnetic")"
	chmod 0755 "$T/magnetic"
	as 1234 -- ls "$T/magnetic" >/dev/null
}

@test "a closed directory closes what is below, also for who walks cached names" {
	ls -lR "$MNT" >/dev/null
	chmod 0700 "$MNT/iot"
	run as 1234 -- cat "$T/stats"
	[ "$status" -ne 0 ]
	run ask_as 1234 'SELECT * FROM iot.w'
	[ "$status" -ne 0 ]
	run ask_as 1234 'SELECT count(*) FROM iot.w'
	[ "$status" -ne 0 ]
	chmod 0755 "$MNT/iot"
	chmod 0711 "$T"
	run ask_as 1234 'SELECT * FROM iot.w'
	[ "$status" -ne 0 ]
	as 1234 -- cat "$T/stats" >/dev/null
}

@test "results are not shared between users" {
	expect $'n\n1' "$(cat "$MNT/q/SELECT count(*) AS n FROM iot.w")"
	chmod 0700 "$T"
	cat "$MNT/q/SELECT count(*) AS n FROM iot.w" >/dev/null
	run ask_as 1234 'SELECT count(*) AS n FROM iot.w'
	[ "$status" -ne 0 ]
	chmod 0755 "$T"
	expect $'n\n1' "$(ask_as 1234 'SELECT count(*) AS n FROM iot.w')"
}

@test "who makes a database owns it" {
	chmod 0777 "$MNT"
	as 1234 -- mkdir -m 0700 "$MNT/mine"
	expect "700 1234" "$(stat -c '%a %u' "$MNT/mine")"
	as 1234 -- mkdir "$MNT/mine/t"
	as 1234 -- sh -c "echo 't v=1' >> '$MNT/mine/t/ingest'"
	as 1234 -- sh -c "echo 't2 v=1' >> '$MNT/mine/ingest'"
	expect 1234 "$(stat -c %u "$MNT/mine/t2/ingest")"
	as 1234 -- sh -c "echo 1d > '$MNT/mine/t/retention/memory'"
	as 1234 -- sed -i s/1d/2d/ "$MNT/mine/t/retention/memory"
	expect 2d "$(cat "$MNT/mine/t/retention/memory")"
	expect $'v\n1.0' "$(ask_as 1234 'SELECT v FROM mine.t')"
	run ask_as 4321 'SELECT v FROM mine.t'
	[ "$status" -ne 0 ]
	run as 4321 -- ls "$MNT/mine"
	[ "$status" -ne 0 ]
	as 1234 -- sh -c "echo 'DROP TABLE mine.t2;' > '$MNT/query'"
	[ ! -e "$MNT/mine/t2" ]
}

@test "only the owner gives away, and only root to others" {
	chown 1234 "$T"
	run as 4321 -- chmod 0777 "$T"
	[[ $output == *"not permitted"* ]]
	as 1234 -- chmod 0755 "$T"
	run as 1234 -- chown 4321 "$T"
	[[ $output == *"not permitted"* ]]
	run as 1234 -- chgrp 77 "$T"
	[[ $output == *"not permitted"* ]]
	as 1234 77 -- chgrp 77 "$T"
	expect 77 "$(stat -c %g "$T")"
}

@test "a database's ingest feeds its tables, but not those that somebody keeps for himself" {
	mkdir "$MNT/sens"
	chmod 0222 "$MNT/sens/ingest"
	as 1234 -- sh -c "echo 'a v=1' >> '$MNT/sens/ingest'"
	as 4321 -- sh -c "echo 'a,s=x v=2' >> '$MNT/sens/ingest'"
	chmod 0644 "$MNT/sens/a/ingest"
	run as 1234 -- sh -c "echo 'a v=3' >> '$MNT/sens/ingest'"
	[ "$status" -ne 0 ]
	grep -q "you may not write to table 'a'" "$MNT/sens/a/rejected"
	as 1234 -- sh -c "printf 'a v=3\nb v=4\n' >> '$MNT/sens/ingest'" || true
	expect 2 "$(cat "$MNT/q/SELECT count(*) FROM sens.a" | tail -n 1)"
	expect 1 "$(cat "$MNT/q/SELECT count(*) FROM sens.b" | tail -n 1)"
}

@test "status does not tell what was refused in a place that is not for everybody" {
	mkdir "$MNT/iot/hidden"
	chmod 0700 "$MNT/iot/hidden"
	run bash -c "echo topsecret > '$MNT/iot/hidden/retention/memory'"
	[[ $output == *"Invalid argument"* ]]
	run grep 'topsecret\|hidden' "$MNT/status" "$MNT/iot/status"
	[ "$status" -eq 1 ]
	chmod 0755 "$MNT/iot/hidden"
	run bash -c "echo soon > '$MNT/iot/hidden/retention/memory'"
	grep -q "last_refusal: .*soon" "$MNT/status"
}
