#!/bin/sh
# get.sh - fetch the kernel of the test machine. Nothing is installed.
#
#   get.sh          prints the folder that holds it, fetching and unpacking it
#                   first when the cache has not got this version yet
#   get.sh --needs  prints the Debian packages the host must have to fetch it;
#                   none if the cache has got it
#
# It is Debian's own kernel for amd64, of the release the host runs, with the
# few modules the tests load, and v4l2loopback, which Debian ships as source.
# The folder is ${XDG_CACHE_HOME:-~/.cache}/doorbelld/vm/VERSION:
#
#   vmlinux                the kernel, unpacked when it could be
#   busybox                static, for the first program of the guest
#   lib/modules/VERSION    modules, not compressed, with their index
set -eu
PATH=$PATH:/usr/sbin:/sbin # modprobe and depmod, for an ordinary user

# What a guest may load: its own disk first, then the cameras.
modules='virtio_pci 9pnet_virtio 9p overlay virtio_rng vivid v4l2loopback'

die() { echo "scripts/vm/get.sh: $*" >&2; exit 1; }
depends() { apt-cache depends "$1" 2>/dev/null | sed -n 's/^ *|*Depends: \([^<]*\)$/\1/p'; }

version=$(depends linux-image-amd64 | sed -n 's/^linux-image-\([0-9].*\)/\1/p' | head -n 1)
[ -n "$version" ] || die "apt knows no linux-image-amd64 (is this Debian on amd64, and was 'apt-get update' run?)"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/doorbelld/vm

# The kernel says which compiler built it, through a package of its own on
# Debian 12 and by name on 13.
needs() {
	for p in $(depends "linux-headers-$version"); do
		case $p in
		gcc-*) echo "$p" ;;
		linux-compiler-*) depends "$p" | grep '^gcc-' ;;
		linux-kbuild-*) depends "$p" | grep '^libelf' ;; # its objtool runs on the host
		esac
	done
	printf '%s\n' make xz-utils
}

case ${1:-} in
--needs)
	[ -d "$cache/$version" ] || needs
	exit 0 ;;
'')
	if [ -d "$cache/$version" ]; then
		echo "$cache/$version"
		exit 0
	fi ;;
*) die "unknown argument $1" ;;
esac

kbuild=$(depends "linux-headers-$version" | grep '^linux-kbuild-')
mkdir -p "$cache"
work=$(mktemp -d "$cache/.new-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

# As root, apt would drop to a user who may not write here, and say so.
sandbox=
[ "$(id -u)" -ne 0 ] || sandbox='-o APT::Sandbox::User=root'
mkdir deb
(cd deb && apt-get -qq $sandbox download "linux-image-$version" "linux-headers-$version" \
	"linux-headers-${version%-*}-common" "$kbuild" v4l2loopback-dkms busybox-static) >&2 ||
	die "apt could not download the kernel"
for deb in deb/*.deb; do
	dpkg -x "$deb" tree
done

# v4l2loopback, built against the headers where they lie. (BTF, type data for
# debuggers, would need one more tool.)
headers=$work/tree/usr/src/linux-headers-$version
sed -i "s# /usr/src# $work/tree/usr/src#" "$headers/Makefile"
mkdir loopback
cp tree/usr/src/v4l2loopback-*/*.[ch] loopback/
echo 'obj-m := v4l2loopback.o' >loopback/Makefile
make -s -C "$headers" M="$work/loopback" CONFIG_DEBUG_INFO_BTF_MODULES= modules >make.log 2>&1 || { cat make.log >&2; die "v4l2loopback did not build"; }

# Only what the tests load goes into the cache, without compression: the guest
# is emulated, and unpacking there is slow.
all=$work/tree
[ -d "$all/lib/modules" ] || { mkdir -p "$all/lib"; mv "$all/usr/lib/modules" "$all/lib/"; }
cp loopback/v4l2loopback.ko "$all/lib/modules/$version/"
depmod -b "$all" "$version"
mkdir -p "out/lib/modules/$version"
for m in $modules; do
	modprobe -d "$all" -S "$version" --show-depends "$m" || die "the kernel has no module $m"
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u >needed
while read -r f; do
	name=$(basename "${f%.xz}")
	case $f in
	*.xz) xz -dc "$f" ;;
	*) cat "$f" ;;
	esac >"out/lib/modules/$version/$name"
done <needed
cp "$all/lib/modules/$version/modules.builtin" "$all/lib/modules/$version/modules.builtin.modinfo" "out/lib/modules/$version/"
echo >"out/lib/modules/$version/modules.order"
depmod -b out "$version"

busybox=$(find tree -name busybox -type f -perm -u+x | head -n 1)
cp "$busybox" out/busybox

# The kernel comes compressed inside a small loader. Unpacked it boots five
# seconds sooner; as it is it boots too.
image=$(echo tree/boot/vmlinuz-*)
at=$(LC_ALL=C grep -aobP -m1 '\xfd7zXZ\x00' "$image" | head -n 1 | cut -d: -f1)
if [ -n "$at" ]; then
	tail -c +$((at + 1)) "$image" | xz -dc --single-stream >out/vmlinux 2>/dev/null || true
fi
[ "$(head -c 4 out/vmlinux 2>/dev/null | tail -c 3)" = ELF ] || cp "$image" out/vmlinux

# Complete: two that fetch at once do not meet, the first one wins.
mv -T out "$cache/$version" 2>/dev/null || [ -d "$cache/$version" ]
echo "$cache/$version"
