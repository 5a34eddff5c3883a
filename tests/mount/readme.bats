#!/usr/bin/env bats
# The tour in README.md: its commands, run as printed, print what is printed there. After a change on
# purpose: `cd EMPTY_DIR; PATH=.../build:$PATH python3 tests/mount/readme.py README.md --write`.

setup() {
	load helper
	tide_setup
	rmdir "$MNT" # the tour makes it
}

teardown() {
	tide_teardown
}

@test "README.md: the tour" {
	need python3
	mkdir "$DIR/bin"
	ln -s "$TIDEFS" "$DIR/bin/tidefs"
	cd "$DIR"
	PATH=$DIR/bin:$PATH python3 "$ROOT/tests/mount/readme.py" "$ROOT/README.md"
	cd /
}
