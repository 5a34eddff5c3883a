# deps.sh: which Debian packages tidefs needs, and how they get installed. Sourced, not run.
# shellcheck shell=bash disable=SC2034

BUILD_PACKAGES="gcc make pkg-config libc6-dev libfuse3-dev fuse3 libzstd-dev libsqlite3-dev lemon libpcre2-dev zlib1g-dev"
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
		if ! command -v sudo >/dev/null 2>&1; then
			echo "   not root, and there is no sudo: have root run  apt-get install$missing" >&2
			return 1
		fi
		sudo=sudo
		echo "   (sudo may ask for your password)"
	fi
	# sudo drops the environment, so the variable goes with the command.
	# shellcheck disable=SC2086
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 ||
		{ $sudo apt-get update -qq &&
			$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null; }
}

# fuse_ready: loads the module and opens the device to ordinary users, as Debian's udev rule does,
# where nobody did (containers). Says so. Fails with a sentence when nothing can be mounted here.
fuse_ready() {
	local sudo=""
	[ "$(id -u)" -eq 0 ] || sudo="sudo -n"
	[ -e /dev/fuse ] || $sudo modprobe fuse >/dev/null 2>&1 || true
	if [ -e /dev/fuse ] && { [ ! -r /dev/fuse ] || [ ! -w /dev/fuse ]; }; then
		$sudo chmod 666 /dev/fuse >/dev/null 2>&1 && echo "== opened /dev/fuse to all users (chmod 666)"
	fi
	if [ -r /dev/fuse ] && [ -w /dev/fuse ]; then
		return 0
	fi
	if [ -e /dev/fuse ]; then
		echo "/dev/fuse is closed to you, so nothing can be mounted here; as root: chmod 666 /dev/fuse" >&2
	else
		echo "there is no /dev/fuse, so nothing can be mounted here." >&2
		echo "In a container, start it with: --device /dev/fuse --cap-add SYS_ADMIN" >&2
	fi
	return 1
}
