#!/bin/sh
# deb.sh [ARCH...] - make build/deb/doorbelld_VERSION_ARCH.deb for those named: by
# default all three, or on a machine that is not amd64 its own. The first time it makes
# a lean OpenCV for each; see opencv.sh.
#
# The same commit, libraries and compiler give the same bytes. $DOORBELLD_VERSION
# gives it another version; $DOORBELLD_OUT another folder.
set -eu

cd "$(dirname "$0")/../.."
if [ $# -eq 0 ]; then
	set -- "$(dpkg --print-architecture)"
	[ "$1" != amd64 ] || set -- amd64 arm64 armhf
fi
version=$(scripts/package/version.sh)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
out=${DOORBELLD_OUT:-build/deb}
mkdir -p build "$out"
nfpm=build/nfpm
(cd scripts/package/nfpm && go build -o ../../../$nfpm github.com/goreleaser/nfpm/v2/cmd/nfpm)

for arch; do
	. scripts/package/target.sh
	work=$(mktemp -d build/.deb-XXXXXX)
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	stage=$work/stage lib=$work/stage/usr/lib doc=$work/stage/usr/share/doc/doorbelld
	umask 022
	opencv=${DOORBELLD_OPENCV:-$(scripts/package/opencv.sh "$arch")}
	DOORBELLD_OPENCV=$opencv scripts/package/programs.sh "$arch" "$lib/doorbelld"
	mkdir -p "$stage/usr/bin" "$stage/etc/doorbelld" "$doc/examples" \
		"$lib/systemd/system" "$lib/modules-load.d" "$lib/sysusers.d" "$lib/tmpfiles.d" "$lib/udev/rules.d"
	ln -s ../lib/doorbelld/doorbelld "$stage/usr/bin/doorbelld"
	cp configs/systemd/doorbelld-*.service configs/systemd/doorbelld-*.socket "$lib/systemd/system/"
	cp configs/systemd/modules-load.conf "$lib/modules-load.d/doorbelld.conf"
	cp configs/systemd/sysusers.conf "$lib/sysusers.d/doorbelld.conf"
	cp configs/systemd/tmpfiles.conf "$lib/tmpfiles.d/doorbelld.conf"
	cp configs/systemd/udev.rules "$lib/udev/rules.d/60-doorbelld.rules"
	cp configs/doorbelld.example.yaml "$doc/examples/doorbelld.yaml"
	cp docs/*.md "$doc/"
	gzip -9n <CHANGELOG.md >"$doc/changelog.gz"

	CGO_ENABLED=0 go run -tags manual ./cmd/doorbelld manual "$work/manual" configs/doorbelld.example.yaml
	man=$stage/usr/share/man
	mkdir -p "$man/man1" "$man/man5" "$stage/usr/share/bash-completion/completions" \
		"$stage/usr/share/zsh/vendor-completions" "$stage/usr/share/fish/vendor_completions.d"
	for page in "$work"/manual/man/*; do
		gzip -9n <"$page" >"$man/man${page##*.}/${page##*/}.gz"
	done
	cp "$work/manual/completion/doorbelld" "$stage/usr/share/bash-completion/completions/"
	cp "$work/manual/completion/_doorbelld" "$stage/usr/share/zsh/vendor-completions/"
	cp "$work/manual/completion/doorbelld.fish" "$stage/usr/share/fish/vendor_completions.d/"

	# What the services of eye and porter see as their root: only places to mount to.
	root=$lib/doorbelld/root
	for folder in dev etc/alternatives proc run/udev sys tmp usr/lib/doorbelld var/tmp var/lib/doorbelld/models; do
		mkdir -p "$root/$folder"
	done
	touch "$root/etc/ld.so.cache" "$root/usr/lib/doorbelld/doorbelld"
	for folder in bin sbin lib; do
		ln -s usr/$folder "$root/$folder"
	done
	[ "$arch" != amd64 ] || ln -s usr/lib64 "$root/lib64"

	go run ./scripts/package/sbom -version "$version" -time "$SOURCE_DATE_EPOCH" -opencv "$opencv" -gcc "$($cxx -dumpfullversion)" -out "$doc" \
		"$lib/doorbelld/doorbelld" "$lib/doorbelld/doorbelld-eye"
	# The C library's version that the eye was linked against, or its newest symbol's.
	libc=$(readelf -VW "$lib/doorbelld/doorbelld-eye" 2>/dev/null | grep -o 'GLIBC_2\.[0-9]*' | sort -V | tail -n 1)
	find "$stage" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
	# Version and stage are the only values that nfpm is given by its environment.
	ARCH=$arch VERSION=$version LIBC=${libc#GLIBC_} STAGE=$stage \
		$nfpm package --config scripts/package/nfpm.yaml --packager deb --target "$out/doorbelld_${version}_$arch.deb" >"$work/log" ||
		{ cat "$work/log" >&2; exit 1; }
	rm -rf "$work"
	trap - EXIT
	echo "$out/doorbelld_${version}_$arch.deb"
done
