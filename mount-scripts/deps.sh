# deps.sh: which Debian packages tidefs needs, and how they get installed. Sourced, not run.
# shellcheck shell=bash disable=SC2034

BUILD_PACKAGES="gcc make pkg-config libc6-dev libfuse3-dev fuse3 libzstd-dev libsqlite3-dev lemon"
TEST_PACKAGES="check bats python3 perl-base dash coreutils tar rsync sed findutils grep vim-tiny attr nodejs npm procps"

# install_missing PACKAGE...: installs those that are not there; says which, and why it may ask for a password.
install_missing() {
	local missing="" p sudo=""
	for p in "$@"; do
		dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' && continue
		# A tool that is there from elsewhere (node from its own archive, vim for vim-tiny) is as good.
		case $p in
		nodejs) command -v node >/dev/null 2>&1 && continue ;;
		npm) command -v npm >/dev/null 2>&1 && continue ;;
		vim-tiny) command -v vim >/dev/null 2>&1 && continue ;;
		gcc) command -v gcc >/dev/null 2>&1 && continue ;;
		esac
		missing="$missing $p"
	done
	[ -z "$missing" ] && return 0
	if ! command -v apt-get >/dev/null 2>&1; then
		echo "These packages are missing, and this is not Debian or Ubuntu:$missing" >&2
		return 1
	fi
	echo "== installing with apt:$missing"
	if [ "$(id -u)" -ne 0 ]; then
		sudo=sudo
		echo "   (sudo may ask for your password)"
	fi
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086
	$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 ||
		{ $sudo apt-get update -qq && $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null; }
}
