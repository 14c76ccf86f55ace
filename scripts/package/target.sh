# target.sh - for the other scripts to read in, with $arch set: what programs for
# that architecture of Debian's are made with on this machine.
own=$(dpkg --print-architecture)
case $arch in
amd64) triplet=x86_64-linux-gnu machine=x86_64 goarch=amd64 ;;
arm64) triplet=aarch64-linux-gnu machine=aarch64 goarch=arm64 ;;
armhf) triplet=arm-linux-gnueabihf machine=armv7l goarch=arm ;;
*)
	echo "$(basename "$0"): want amd64, arm64 or armhf, not \"$arch\"" >&2
	exit 2 ;;
esac
cc=gcc cxx=g++
[ "$arch" = "$own" ] || cc=$triplet-gcc cxx=$triplet-g++
