#!/bin/sh
# opencv.sh [--cached] ARCH - prints the folder of a lean static OpenCV for ARCH
# (amd64, arm64, armhf), to link the packaged eye with; makes it first if the cache
# has not got it, in about ten minutes of two free cores. With --cached nothing is
# fetched or made: the newest one in the cache, or status 3.
#
# The source is Debian's own, of the release that this machine runs, with
# Debian's patches. Debian removed the libraries that OpenCV bundles: libjpeg,
# zlib and protobuf are Debian's too, as archives. All of them are unpacked, none
# is installed; apt runs over lists of its own, because a machine's own seldom
# have the sources, and never another architecture's.
#
# The folder is ${XDG_CACHE_HOME:-~/.cache}/doorbelld/opencv/ARCH-VERSION-KEY,
# where KEY changes with the recipe below, the compiler and the libraries' versions:
#
#   include/ lib/       headers and archives
#   opencv4.pc          for PKG_CONFIG_PATH
#   copyright/          what the licences ask to be passed on
#   versions            what was linked: a line "source version" for each
set -eu

die() { echo "opencv.sh: $*" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)

cached=
if [ "${1:-}" = --cached ]; then
	cached=yes
	shift
fi
arch=${1:-}
. "$here/target.sh"

root=${XDG_CACHE_HOME:-$HOME/.cache}/doorbelld/opencv
recipe=$(sed -n '/^# The recipe/,/^# Made/p' "$0" | cksum | cut -d' ' -f1)
if [ -n "$cached" ]; then
	newest=$(ls -dt "$root/$arch"-*-"$recipe"-* 2>/dev/null | head -n 1)
	[ -n "$newest" ] || exit 3
	echo "$newest"
	exit 0
fi
for program in cmake make dpkg-source xz "$cxx"; do
	command -v $program >/dev/null || die "$program is missing: scripts/install.sh deb installs what this needs"
done

# apt, of this release, for both architectures, by itself.
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e $keys ] || keys=/usr/share/keyrings/debian-archive-keyring.pgp
apt=$root/apt-$release-$arch # of its own: an update takes away what another one's lists had
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1)
security=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian-Security' | head -n 1)
[ -n "$mirror" ] || die "apt's sources name no mirror of Debian (was 'apt-get update' run?)"
mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/etc"
for kind in deb deb-src; do
	echo "$kind [signed-by=$keys] $mirror $release main"
	echo "$kind [signed-by=$keys] $mirror $release-updates main"
	[ -z "$security" ] || echo "$kind [signed-by=$keys] $security $release-security main"
done >"$apt/etc/sources.list"
: >"$apt/status"
# As root, apt would drop to a user who may not write here, and say so.
cat >"$apt/etc/apt.conf" <<-CONF
	Dir::Etc::SourceList "$apt/etc/sources.list";
	Dir::Etc::SourceParts "/dev/null";
	Dir::State::Lists "$apt/lists";
	Dir::State::Status "$apt/status";
	Dir::Cache "$apt";
	APT::Architecture "$own";
	APT::Architectures { "$own"; "$arch"; };
	APT::Sandbox::User "root";
CONF
[ "$(id -u)" -eq 0 ] || sed -i '/Sandbox/d' "$apt/etc/apt.conf"
export APT_CONFIG="$apt/etc/apt.conf"
apt-get -qq update >&2 || echo "opencv.sh: apt-get update failed; going on with the lists as they are" >&2

candidate() {
	v=$(apt-cache policy "$1" | sed -n 's/^ *Candidate: //p')
	[ -n "$v" ] && [ "$v" != "(none)" ] || die "apt knows no $1"
	echo "$v"
}
version=$(apt-cache showsrc --only-source opencv | sed -n 's/^Version: //p' | sort -V | tail -n 1)
[ -n "$version" ] || die "apt knows no source of OpenCV"
protoc=$(apt-cache depends protobuf-compiler | sed -n 's/^ *Depends: \(libproto[a-z]*[0-9t]*\)$/\1/p')
for p in libprotobuf32 libprotobuf32t64; do # what protoc needs, by its names in Debian 12 and 13
	case " $protoc " in *"$p"*) ;; *) ! apt-cache show "$p" >/dev/null 2>&1 || protoc="$protoc $p" ;; esac
done
libraries='libjpeg62-turbo-dev zlib1g-dev libprotobuf-dev'
versions=$(
	echo "opencv $version"
	for p in $libraries; do
		echo "$p $(candidate "$p:$arch")"
	done
)
key=$(printf '%s\n' "$versions" "$($cxx -dumpfullversion)" | cksum | cut -d' ' -f1)
out=$root/$arch-$version-$recipe-$key
if [ -d "$out" ]; then
	echo "$out"
	exit 0
fi

work=$(mktemp -d "$root/.new-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"
echo "opencv.sh: making OpenCV $version for $arch, once; that takes a while" >&2
mkdir deb tools target
(cd deb && apt-get -qq download protobuf-compiler $protoc) >&2 || die "apt could not download the compiler of protobuf"
for deb in deb/*.deb; do dpkg -x "$deb" tools; done
rm deb/*
(cd deb && for p in $libraries; do apt-get -qq download "$p:$arch"; done) >&2 || die "apt could not download $libraries"
for deb in deb/*.deb; do dpkg -x "$deb" target; done
apt-get -qq source --only-source "opencv=$version" >log 2>&1 || { cat log >&2; die "apt could not get the source of OpenCV"; }
source=$(echo opencv-*/)

mkdir -p out/copyright
cp "$source/debian/copyright" out/copyright/opencv
for p in $libraries; do
	text=target/usr/share/doc/$p
	[ ! -L "$text" ] || text=tools/usr/share/doc/$(readlink "$text") # of the library, which protoc needs too
	cp "$text/copyright" "out/copyright/${p%-dev}"
done

tools=$(dirname "$(find "$work/tools" -name 'libprotoc.so.*' | head -n 1)")
printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s/tools/usr/bin/protoc "$@"\n' "$tools" "$work" >protoc
chmod +x protoc

# The recipe: what changes from here on makes another OpenCV.
#
# What a processor is sure to have, as in Debian, and the one step above it that
# is worth its size. NEON is part of arm64. Debian's armhf can do without it, and
# OpenCV has nothing that it would choose while it runs: what is made for armhf
# wants NEON, and the package's preinst looks for it.
case $arch in
amd64) processor='-DCPU_BASELINE=SSE2 -DCPU_BASELINE_DISABLE=SSE3 -DCPU_DISPATCH=AVX2' ;;
arm64) processor= ;;
armhf) processor='-DCPU_BASELINE=NEON' ;;
esac
cross=
[ "$arch" = "$own" ] || cross="-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=$machine -DCMAKE_FIND_ROOT_PATH=$work/target
	-DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_PACKAGE=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_PROGRAM=NEVER"
lib=$work/target/usr/lib/$triplet include=$work/target/usr/include
# No path of this folder in what is compiled. Each function in a section of its
# own: those that nobody calls are left out when the eye is linked.
flags="-ffunction-sections -fdata-sections -fstack-protector-strong -D_FORTIFY_SOURCE=2 -ffile-prefix-map=$work=. -I$include/$triplet"

off=
for what in 1394 ADE CAROTENE CLP DIRECTX EIGEN FFMPEG GDAL GDCM GPHOTO2 GSTREAMER GTK HALIDE IPP IMGCODEC_HDR IMGCODEC_PFM IMGCODEC_PXM IMGCODEC_SUNRASTER \
	ITT JASPER LAPACK OBSENSOR OPENCL OPENEXR OPENGL OPENJPEG OPENMP OPENVX PNG PVAPI QT QUIRC TBB TIFF V4L VA VA_INTEL VTK VULKAN WEBP; do
	off="$off -DWITH_$what=OFF"
done
mkdir build
cmake -S "$source" -B build $processor $cross $off \
	-DCMAKE_C_COMPILER="$cc" -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_BUILD_TYPE=Release \
	-DCMAKE_C_FLAGS_RELEASE="-O2 -DNDEBUG" -DCMAKE_CXX_FLAGS_RELEASE="-O2 -DNDEBUG" \
	-DCMAKE_C_FLAGS="$flags" -DCMAKE_CXX_FLAGS="$flags" -DCMAKE_INSTALL_PREFIX="$work/out" -DCMAKE_INSTALL_LIBDIR=lib \
	-DBUILD_LIST=calib3d,core,dnn,features2d,flann,highgui,imgcodecs,imgproc,objdetect,photo,video,videoio \
	-DBUILD_SHARED_LIBS=OFF -DBUILD_TESTS=OFF -DBUILD_PERF_TESTS=OFF -DBUILD_EXAMPLES=OFF -DBUILD_opencv_apps=OFF -DBUILD_DOCS=OFF \
	-DBUILD_JAVA=OFF -DBUILD_opencv_python2=OFF -DBUILD_opencv_python3=OFF -DBUILD_INFO_SKIP_TIMESTAMP=ON \
	-DENABLE_PRECOMPILED_HEADERS=OFF -DENABLE_CCACHE=OFF -DCV_TRACE=OFF -DOPENCV_DOWNLOAD_TRIES_LIST= -DOPENCV_DNN_OPENCL=OFF \
	-DBUILD_ZLIB=OFF -DZLIB_LIBRARY:FILEPATH="$lib/libz.a" -DZLIB_INCLUDE_DIR:PATH="$include" \
	-DBUILD_JPEG=OFF -DJPEG_LIBRARY:FILEPATH="$lib/libjpeg.a" -DJPEG_INCLUDE_DIR:PATH="$include" \
	-DBUILD_PROTOBUF=OFF -DPROTOBUF_UPDATE_FILES=ON -DProtobuf_PROTOC_EXECUTABLE:FILEPATH="$work/protoc" \
	-DProtobuf_LIBRARY:FILEPATH="$lib/libprotobuf.a" -DProtobuf_INCLUDE_DIR:PATH="$include" -DProtobuf_INCLUDE_DIRS:PATH="$include" >log 2>&1 ||
	{ tail -n 40 log >&2; die "cmake"; }
nice -n 19 make -C build -j"$(nproc)" >log 2>&1 || { grep -B2 -A8 -m3 -E 'error|Error' log >&2; die "OpenCV did not compile"; }
make -C build install >log 2>&1 || { tail -n 40 log >&2; die "OpenCV was not installed"; }

# One archive may need another that was named before it, so they are a group.
cp "$lib/libz.a" "$lib/libjpeg.a" "$lib/libprotobuf.a" out/lib/
archives=$(cd out/lib && ls libopencv_*.a | sed 's/^lib\(.*\)\.a$/-l\1/' | tr '\n' ' ')
cat >out/opencv4.pc <<-PC
	prefix=$out
	Name: OpenCV
	Description: lean and static, for doorbelld-eye
	Version: ${version%%[+-]*}
	Libs: -L\${prefix}/lib -Wl,--start-group $archives -lprotobuf -ljpeg -lz -Wl,--end-group -lm -lpthread -ldl
	Cflags: -I\${prefix}/include/opencv4
PC
printf '%s\n' "$versions" >out/versions
rm -rf out/bin out/share

# Made, complete: two that build at once do not meet, the first one wins.
mv -T out "$out" 2>/dev/null || [ -d "$out" ]
echo "$out"
