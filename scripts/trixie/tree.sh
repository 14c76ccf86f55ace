#!/bin/sh
# tree.sh - prints the folder of a Debian 13 tree that doorbelld can be built and
# run in; makes it first if the cache has not got it, in some minutes. As root or
# through sudo.
#
# It is made by debootstrap from the mirror that this machine's apt takes Debian
# from, by the way that this machine's apt goes there. What is signed, and by whom,
# debootstrap and apt check. The folder is
# ${XDG_CACHE_HOME:-~/.cache}/doorbelld/trixie/KEY, where KEY changes with this
# script and the mirror:
#
#   tree/       Debian 13, with its OpenCV, a compiler, ffmpeg and systemd's files
#   go-build/   what Go compiled in there: its cache does not see that a system's
#               headers are others, so it must not be this machine's
#   over/       empty: where in.sh mounts what it runs in
#
# It does not follow Debian's updates: remove the folder for a newer one.
set -eu
PATH=$PATH:/usr/sbin:/sbin

die() { echo "scripts/trixie/tree.sh: $*" >&2; exit 1; }
release=trixie

cache=${XDG_CACHE_HOME:-$HOME/.cache}
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || die "making a tree and mounting in it needs root, or sudo"
	exec sudo env "XDG_CACHE_HOME=$cache" "$0" "$@"
fi
command -v apt-get >/dev/null || die "this needs apt, for where Debian is to be had"
command -v debootstrap >/dev/null || die "debootstrap is missing: scripts/install.sh trixie installs what this needs"

mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1)
security=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian-Security' | head -n 1)
[ -n "$mirror" ] || die "apt's sources name no mirror of Debian (was 'apt-get update' run?)"
root=$cache/doorbelld/trixie
out=$root/$({ cat "$0"; echo "$mirror $security"; } | cksum | cut -d' ' -f1)
if [ -d "$out" ]; then
	echo "$out"
	exit 0
fi

# Its mounts are in a mount namespace of its own and end with this process.
if [ "${TRIXIE_APART:-}" != "$$" ]; then
	exec env TRIXIE_APART=$$ unshare --mount --propagation private "$0" "$@"
fi
mkdir -p "$root"
work=$(mktemp -d "$root/.new-XXXXXX")
trap 'umount "$work/tree/proc" 2>/dev/null || true; rm -rf --one-file-system "$work"' EXIT
trap 'exit 1' HUP INT TERM
tree=$work/tree
echo "scripts/trixie/tree.sh: making a tree of Debian 13, once; that takes some minutes" >&2

# debootstrap fetches with wget, which knows proxies by the environment alone.
for scheme in http https; do
	proxy=$(apt-config shell p "Acquire::$scheme::Proxy")
	eval "$proxy"
	case ${p:-} in '' | DIRECT) ;; *) export "${scheme}_proxy=$p" ;; esac
	unset p
done
plan=
[ -e /usr/share/debootstrap/scripts/$release ] || plan=/usr/share/debootstrap/scripts/sid # they are one script
debootstrap --variant=minbase --arch="$(dpkg --print-architecture)" $release "$tree" "$mirror" $plan >"$work/log" 2>&1 ||
	{ tail -n 20 "$work/log" >&2; die "debootstrap"; }

# Inside apt goes the same way as outside (and it heeds the environment, too).
apt-config dump | grep -i -E '^Acquire::(https?|retries|check-)' >"$tree/etc/apt/apt.conf.d/99host" || true
{
	echo "deb $mirror $release main"
	[ -z "$security" ] || echo "deb $security $release-security main"
} >"$tree/etc/apt/sources.list"
cp /etc/resolv.conf "$tree/etc/resolv.conf"
printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d" # nothing is started in there
chmod +x "$tree/usr/sbin/policy-rc.d"
mount -t proc proc "$tree/proc"
inside() { chroot "$tree" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive \
	http_proxy="${http_proxy-}" https_proxy="${https_proxy-}" "$@"; }
inside sh -ec '
	apt-get -qq update
	apt-get -qq -y upgrade
	apt-get -qq -y --no-install-recommends install libopencv-dev g++ pkg-config ca-certificates ffmpeg mosquitto-clients systemd init-system-helpers udev
	apt-get clean' >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; die "apt could not install what doorbelld is built with"; }
umount "$tree/proc"
rm -f "$tree/etc/resolv.conf" "$work/log"
mkdir "$work/go-build" "$work/over"

# Made, complete: two that build at once do not meet, the first one wins.
mv -T "$work" "$out" 2>/dev/null || [ -d "$out" ]
echo "$out"
