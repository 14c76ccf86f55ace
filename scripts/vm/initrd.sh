#!/bin/sh
# initrd.sh KERNEL OUT - pack the guest's first file system: busybox, ./init
# and the modules that reach the host's files, numbered in loading order.
# KERNEL is the folder that get.sh prints.
set -eu
PATH=$PATH:/usr/sbin:/sbin # modprobe, for an ordinary user

here=$(cd "$(dirname "$0")" && pwd)
kernel=$1 out=$2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

mkdir -p "$root/bin" "$root/modules" "$root/proc" "$root/sys" "$root/dev" "$root/new" "$root/host" "$root/tmp"
cp "$kernel/busybox" "$root/bin/"
cp "$here/init" "$root/init"
chmod +x "$root/init"

version=$(basename "$kernel")
n=100 packed=' '
for want in virtio_pci 9pnet_virtio 9p overlay virtio_rng virtio_blk crc32c_generic ext4; do
	# A line of --show-depends is "insmod FILE", dependencies first; what is
	# built in has none.
	for file in $(modprobe -d "$kernel" -S "$version" --show-depends "$want" | sed -n 's/^insmod \([^ ]*\).*/\1/p'); do
		case $packed in *" $file "*) continue ;; esac
		packed="$packed$file "
		n=$((n + 1))
		cp "$file" "$root/modules/$n-$(basename "$file")"
	done
done
(cd "$root" && find . | ./bin/busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$out"
