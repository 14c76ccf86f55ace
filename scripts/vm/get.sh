#!/bin/sh
# get.sh - fetch the kernel of the test machine. Nothing is installed.
#
#   get.sh          prints the folder that holds it, fetching and unpacking it
#                   first when the cache has not got this version yet
#   get.sh --needs  prints the Debian packages the host must have to fetch it;
#                   none if the cache has got it
#
# It is Debian's own kernel for amd64, of the release the host runs, with the
# few modules the tests load, and two that Debian ships as source only:
# v4l2loopback and the kernel's own gpio-sim. The folder is
# ${XDG_CACHE_HOME:-~/.cache}/doorbelld/vm/RECIPE/VERSION, where RECIPE changes
# when this script does:
#
#   vmlinux                the kernel, unpacked when it could be
#   busybox                static, for the first program of the guest
#   lib/modules/VERSION    modules, not compressed, with their index
set -eu
PATH=$PATH:/usr/sbin:/sbin # modprobe and depmod, for an ordinary user

# What a guest may load: its own disks first, then the cameras and the button.
modules='virtio_pci 9pnet_virtio 9p overlay virtio_rng virtio_blk ext4 crc32c_generic vivid v4l2loopback gpio-sim'

die() { echo "scripts/vm/get.sh: $*" >&2; exit 1; }
depends() { apt-cache depends "$1" 2>/dev/null | sed -n 's/^ *|*Depends: \([^<]*\)$/\1/p'; }

version=$(depends linux-image-amd64 | sed -n 's/^linux-image-\([0-9].*\)/\1/p' | head -n 1)
[ -n "$version" ] || die "apt knows no linux-image-amd64 (is this Debian on amd64, and was 'apt-get update' run?)"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/doorbelld/vm/$(cksum <"$0" | cut -d' ' -f1)

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
trap 'exit 1' HUP INT TERM
cd "$work"

# As root, apt would drop to a user who may not write here, and say so.
sandbox=
[ "$(id -u)" -ne 0 ] || sandbox='-o APT::Sandbox::User=root'
mkdir deb
(cd deb && apt-get -qq $sandbox download "linux-image-$version" "linux-headers-$version" \
	"linux-headers-${version%-*}-common" "$kbuild" v4l2loopback-dkms busybox-static "linux-source-$(echo "$version" | cut -d. -f1,2)") >&2 ||
	die "apt could not download the kernel"
for deb in deb/*.deb; do
	case $deb in
	*/linux-source-*) ;; # three files of it are wanted
	*) dpkg -x "$deb" tree ;;
	esac
done

# Modules are built against the headers where they lie. (BTF, type data for
# debuggers, would need one more tool.)
headers=$work/tree/usr/src/linux-headers-$version
sed -i "s# /usr/src# $work/tree/usr/src#" "$headers/Makefile"
build() { # FOLDER OBJECT...
	folder=$1
	shift
	echo "obj-m := $*" >"$folder/Makefile"
	make -s -C "$headers" M="$work/$folder" CONFIG_DEBUG_INFO_BTF_MODULES= modules >&2
}
mkdir loopback gpio
cp tree/usr/src/v4l2loopback-*/*.[ch] loopback/
build loopback v4l2loopback.o || die "v4l2loopback did not build"

# Debian's kernel comes without gpio-sim and without irq_sim, which that needs.
# As a module the latter has to go through a function that modules may call.
tarball=$(dpkg-deb --fsys-tarfile deb/linux-source-*.deb | tar -t | grep '/linux-source-.*\.tar\.xz$')
dpkg-deb --fsys-tarfile deb/linux-source-*.deb | tar -xO "$tarball" |
	tar -xJ -C gpio --transform 's#.*/##' --wildcards '*/drivers/gpio/gpio-sim.c' '*/drivers/gpio/gpiolib.h' '*/kernel/irq/irq_sim.c'
sed -i 's/handle_simple_irq(irq_to_desc(irqnum))/generic_handle_irq(irqnum)/' gpio/irq_sim.c
printf '#include <linux/module.h>\nMODULE_LICENSE("GPL");\n' >>gpio/irq_sim.c
if ! build gpio gpio-sim.o irq_sim.o; then
	echo "scripts/vm/get.sh: gpio-sim did not build for $version: the button is not tested" >&2
	modules=${modules% gpio-sim}
	rm -f gpio/*.ko
fi

# Only what the tests load goes into the cache, without compression: the guest
# is emulated, and unpacking there is slow.
all=$work/tree
[ -d "$all/lib/modules" ] || { mkdir -p "$all/lib"; mv "$all/usr/lib/modules" "$all/lib/"; }
find loopback gpio -name '*.ko' -exec cp -t "$all/lib/modules/$version/" {} +
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
