#!/bin/sh
# run.sh [-camera PATH] - install what is missing, build, and run the
# demonstration on a clip or, if one is named, a camera.
set -eu

cd "$(dirname "$0")/.."
command -v go >/dev/null || { echo "Go is missing: https://go.dev/dl/ (1.26 or later)" >&2; exit 1; }
scripts/install.sh run
scripts/clip.sh
echo "Building (the first time takes a minute or two)"
make -s build
go build -o build/demonstrate ./scripts/demo

# In place of this shell, so that Ctrl-C reaches it alone.
exec build/demonstrate "$@"
