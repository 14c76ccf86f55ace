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

# The model belongs to others, and nothing of theirs is downloaded unasked. It is
# kept beside the clip, because the demonstration makes its state anew each time.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/doorbelld
case ${DOORBELLD_MODELS:=$cache/models} in
/*) ;;
*) DOORBELLD_MODELS=$PWD/$DOORBELLD_MODELS ;;
esac
export DOORBELLD_MODELS
models="build/doorbelld --config configs/demo.yaml models"
if ! $models verify fast >/dev/null 2>&1; then
	echo "Without a model what moves is motion. With one, animals and persons are told apart."
	if [ -t 0 ] && [ -t 1 ] && ! [ -e "$cache/asked" ]; then
		if $models pull fast --ask; then
			touch "$cache/asked" # a no is a no
		else
			echo "The model was not installed; going on without." >&2
		fi
	fi
	$models verify fast >/dev/null 2>&1 ||
		echo "To install it: DOORBELLD_MODELS='$DOORBELLD_MODELS' $models pull fast"
	echo
fi

# In place of this shell, so that Ctrl-C reaches it alone.
exec build/demonstrate "$@"
