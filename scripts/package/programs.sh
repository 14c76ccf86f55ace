#!/bin/sh
# programs.sh ARCH OUT - build both programs as the package has them: doorbelld in
# pure Go, and doorbelld-eye linked with the lean OpenCV, so that it needs nothing
# but the C library. The same tree gives the same bytes, wherever it lies.
# $DOORBELLD_OPENCV names another lean OpenCV than the newest, which is looked for.
set -eu

cd "$(dirname "$0")/../.."
arch=$1 out=$2
. scripts/package/target.sh

version=$(scripts/package/version.sh)
commit=${DOORBELLD_COMMIT:-$(git rev-parse HEAD 2>/dev/null || echo unknown)}
# The build ID of both is the commit, which tells doctor whether they belong together.
id=
[ "$commit" = unknown ] || id="-B 0x$commit"
mkdir -p "$out"
export GOARCH="$goarch" GOARM=7 GOFLAGS='-trimpath -buildvcs=false'

CGO_ENABLED=0 go build -ldflags "-s -w $id -X main.builtVersion=$version -X main.builtCommit=$commit" -o "$out/doorbelld" ./cmd/doorbelld

opencv=${DOORBELLD_OPENCV:-$(scripts/package/opencv.sh "$arch")}
export PKG_CONFIG_LIBDIR="$opencv" PKG_CONFIG=pkg-config
export CGO_ENABLED=1 CC="$cc" CXX="$cxx"
flags='-O2 -ffunction-sections -fdata-sections -fstack-protector-strong -D_FORTIFY_SOURCE=2'
export CGO_CFLAGS="$flags" CGO_CXXFLAGS="$flags"
go build -buildmode=pie -ldflags "-s -w $id -extldflags '-static-libstdc++ -static-libgcc -Wl,--gc-sections -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed'" -o "$out/doorbelld-eye" ./cmd/doorbelld-eye
