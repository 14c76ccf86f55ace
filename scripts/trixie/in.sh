#!/bin/sh
# in.sh OUT COMMAND [ARGUMENT...] - runs COMMAND as root in the Debian 13 tree of
# tree.sh, in /src/doorbelld. As root or through sudo.
#
# It sees, read-only, this repository in /src/doorbelld, models and footage in
# /src/shared, Go and its modules as they are on this machine, and the
# demonstration's clip; and OUT in /out, where what it writes stays. Whatever else it
# changes is gone when it ends: the tree is overlaid. It has no network but its own
# loopback. Its mounts and processes are in namespaces of their own, and end with it.
set -eu
PATH=$PATH:/usr/local/go/bin:/usr/sbin:/sbin

if [ "$1" != --apart ]; then
	here=$(cd "$(dirname "$0")" && pwd)
	as_root=
	[ "$(id -u)" -eq 0 ] || as_root=sudo
	folder=$("$here/tree.sh")
	repository=$(cd "$here/../.." && pwd)
	exec $as_root env "PATH=$PATH" unshare --mount --propagation private --pid --fork --kill-child --ipc --uts --net \
		"$here/in.sh" --apart "$folder" "$repository" "$(go env GOROOT)" "$(go env GOMODCACHE)" \
		"${DOORBELLD_MODELS:-$repository/../shared/models}" "${DOORBELLD_MEDIA:-$repository/../shared/media}" \
		"${XDG_CACHE_HOME:-$HOME/.cache}/doorbelld/vtest.avi" "$@"
fi
shift
folder=$1 repository=$2 goroot=$3 modules=$4 models=$5 media=$6 clip=$7 out=$8
shift 8

# The overlay's upper half is in memory.
mount -t tmpfs -o mode=755 tmpfs "$folder/over"
work=$folder/over
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay -o "lowerdir=$folder/tree,upperdir=$work/upper,workdir=$work/work" overlay "$work/root"
cd "$work/root"
mkdir -p src/doorbelld src/shared/models src/shared/media usr/local/go go-mod go-build out old root/.cache/doorbelld
shown() { mount -o bind,ro "$1" "$2"; }
shown "$repository" src/doorbelld
shown "$goroot" usr/local/go
shown "$modules" go-mod
[ ! -d "$models" ] || shown "$models" src/shared/models
[ ! -d "$media" ] || shown "$media" src/shared/media
if [ -e "$clip" ]; then
	: >root/.cache/doorbelld/vtest.avi
	shown "$clip" root/.cache/doorbelld/vtest.avi
fi
mount --bind "$folder/go-build" go-build
mount --bind "$out" out
mount -t proc proc proc
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ip link set lo up

# A root of its own: in one of chroot's the eye could not build its own walls.
pivot_root . old
umount -l /old
cd /src/doorbelld
exec env -i PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
	GOCACHE=/go-build GOMODCACHE=/go-mod GOPROXY=off GOTOOLCHAIN=local GOFLAGS='-mod=readonly -buildvcs=false' "$@"
