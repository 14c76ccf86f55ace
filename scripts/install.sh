#!/bin/sh
# install.sh run|test|deb|trixie - install, by apt, what this machine lacks to build
# and run the demonstration, or to run the tests as well, or to make the packages, or
# to make a tree of Debian 13.
#
# What is there already is left alone, and if nothing is missing apt is not
# called. No service is started or left enabled: the tests start their own
# mosquitto on a port of their own.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/doorbelld
PATH=$PATH:/usr/sbin:/sbin # where Debian keeps kmod and mosquitto

die() { echo "$*" >&2; exit 1; }
command -v apt-get >/dev/null || die "This needs apt: it is made for Debian 12, Debian 13 and Raspberry Pi OS."

missing=
# need PACKAGE COMMAND... - PACKAGE is missing if COMMAND fails.
need() {
	package=$1
	shift
	"$@" >/dev/null 2>&1 || missing="$missing $package"
}
installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# As root, or through sudo.
if [ "$(id -u)" -eq 0 ]; then
	as_root=
elif command -v sudo >/dev/null; then
	as_root=sudo
else
	as_root=none
fi

quietly() {
	log=$(mktemp)
	if "$@" >"$log" 2>&1; then
		rm -f "$log"
	else
		cat "$log" >&2
		rm -f "$log"
		return 1
	fi
}
update() {
	[ -z "${updated:-}" ] && [ "$as_root" != none ] || return 0
	updated=yes
	quietly $as_root apt-get -qq update || echo "apt-get update failed; going on with the lists as they are" >&2
}

# install - install what is missing. Debian starts a service when it installs
# it, unless a policy says no.
install() {
	[ -n "$missing" ] || return 0
	[ "$as_root" != none ] || die "Missing here:$missing
Install them as root (apt-get install$missing), or install sudo, and run this again."
	echo "Installing with apt:$missing"
	policy=/usr/sbin/policy-rc.d
	if [ -e $policy ]; then
		policy=
	else
		trap '$as_root rm -f /usr/sbin/policy-rc.d' EXIT
		printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
		$as_root chmod +x $policy
	fi
	update
	quietly $as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -qq -o Dpkg::Use-Pty=0 install --yes --no-install-recommends $missing ||
		die "apt could not install:$missing"
	if [ -n "$policy" ]; then
		$as_root rm -f $policy
		trap - EXIT
	fi
	case " $missing " in
	*' mosquitto '*)
		if [ -d /run/systemd/system ]; then
			quietly $as_root systemctl disable --now mosquitto ||
				echo "mosquitto was installed, and its service could not be disabled" >&2
		fi ;;
	esac
	missing=
}

need g++ command -v g++
need pkg-config command -v pkg-config
need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
case ${1:-} in
run | test)
	need libopencv-dev pkg-config --exists opencv4
	need ffmpeg command -v ffmpeg
	need mosquitto-clients command -v mosquitto_sub ;;
deb)
	# What a lean OpenCV is made with; its source and libraries are unpacked, not installed.
	need cmake command -v cmake
	need make command -v make
	need dpkg-dev command -v dpkg-source
	need xz-utils command -v xz
	need binutils command -v readelf
	if [ "$(dpkg --print-architecture)" = amd64 ]; then # the other two, and to try them
		need g++-aarch64-linux-gnu command -v aarch64-linux-gnu-g++
		need g++-arm-linux-gnueabihf command -v arm-linux-gnueabihf-g++
		need qemu-user-static command -v qemu-aarch64-static
	fi
	install
	exit 0 ;;
trixie)
	need debootstrap command -v debootstrap
	need debian-archive-keyring test -e /usr/share/keyrings/debian-archive-keyring.gpg
	need iproute2 command -v ip
	install
	exit 0 ;;
esac

case ${1:-} in
run) ;;
test)
	need mosquitto command -v mosquitto
	need strace command -v strace
	need mtools command -v mtype # these make a card's image, and look into it
	need dosfstools command -v mkfs.vfat
	need e2fsprogs command -v debugfs
	need openssl command -v openssl
	need xz-utils command -v xz
	need groff-base command -v groff # it judges the manual pages
	if [ "$(dpkg --print-architecture)" = amd64 ]; then # the virtual machine
		need qemu-system-x86 command -v qemu-system-x86_64
		need v4l-utils command -v v4l2-ctl
		need kmod command -v depmod
		need e2fsprogs command -v mkfs.ext4
		need systemd test -x /lib/systemd/systemd # it judges the units, and is a guest's first program
	fi ;;
*) die "usage: install.sh run|test|deb|trixie" ;;
esac

# What is fetched afterwards must be what the mirrors still have.
[ -s "$cache/vtest.avi" ] || update
if [ "$1" = test ] && [ "$(dpkg --print-architecture)" = amd64 ]; then
	needs=$("$here/vm/get.sh" --needs 2>/dev/null) || needs=unknown
	if [ -n "$needs" ]; then
		update
		needs=$("$here/vm/get.sh" --needs)
	fi
	for package in $needs; do
		need "$package" installed "$package"
	done
fi
install
