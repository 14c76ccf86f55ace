#!/bin/sh
# version.sh - prints the version of this tree as Debian writes one: that of its tag
# (v1.2.3 gives 1.2.3); with commits since, 1.2.3+4.gabcdef0; before the first tag,
# what the file VERSION says is coming: 0.1.0~dev567.gabcdef0. A later commit has a
# later version. $DOORBELLD_VERSION overrides all that.
set -eu

cd "$(dirname "$0")/../.."
if [ -n "${DOORBELLD_VERSION:-}" ]; then
	echo "$DOORBELLD_VERSION"
elif tag=$(git describe --tags --match 'v[0-9]*' --abbrev=7 2>/dev/null); then
	echo "${tag#v}" | sed 's/-\([0-9]*\)-\(g[0-9a-f]*\)$/+\1.\2/'
elif commit=$(git rev-parse --short=7 HEAD 2>/dev/null); then
	echo "$(cat VERSION)~dev$(git rev-list --count HEAD).g$commit"
else
	cat VERSION # a tarball
fi
