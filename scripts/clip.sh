#!/bin/sh
# clip.sh - put the demonstration's camera at build/vtest.avi: a surveillance
# clip of 80 seconds that Debian ships in opencv-doc. The package is not
# installed, only this file is taken out of it, and kept in
# ${XDG_CACHE_HOME:-~/.cache}/doorbelld.
set -eu

cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/doorbelld
clip=$cache/vtest.avi

die() { echo "$*" >&2; exit 1; }
# An AVI of some megabytes; releases of Debian need not have the same bytes.
is_clip() {
	[ "$(wc -c <"$1")" -gt 1000000 ] && [ "$(head -c 4 "$1")" = RIFF ] && [ "$(head -c 12 "$1" | tail -c 4)" = 'AVI ' ]
}

if ! [ -e "$clip" ] || ! is_clip "$clip"; then
	mkdir -p "$cache"
	work=$(mktemp -d "$cache/.clip-XXXXXX")
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	sandbox=
	# As root, apt would drop to a user who may not write here, and say so.
	[ "$(id -u)" -ne 0 ] || sandbox='-o APT::Sandbox::User=root'
	echo "Fetching the clip vtest.avi (from Debian's package opencv-doc, once)"
	(cd "$work" && apt-get -qq $sandbox download opencv-doc) ||
		die "apt could not download opencv-doc; does 'apt-get update' work?"
	inside=$(dpkg-deb --fsys-tarfile "$work"/opencv-doc_*.deb | tar -t | grep '/vtest\.avi$') ||
		die "opencv-doc has no vtest.avi"
	dpkg-deb --fsys-tarfile "$work"/opencv-doc_*.deb | tar -xO "$inside" >"$work/vtest.avi"
	is_clip "$work/vtest.avi" || die "vtest.avi out of opencv-doc is not an AVI"
	mv "$work/vtest.avi" "$clip"
fi
mkdir -p build
cmp -s "$clip" build/vtest.avi || cp "$clip" build/vtest.avi
