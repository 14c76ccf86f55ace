# guest.sh - what the scripts that run in a guest have in common; they read it.

doorbelld='/vm/doorbelld --config /run/door/door.yaml'

# An ordinary user (Debian's "daemon") who may open cameras. (No function: in the background that would
# be a shell more, which the signal for the program ends.)
as_user='setpriv --reuid=1 --regid=1 --groups=video --inh-caps=-all env HOME=/run/door'

say() { echo "--- $*"; }
die() { echo "$(basename "$0"): $*" >&2; exit 1; }

# eventually WHAT COMMAND... - wait until COMMAND succeeds.
eventually() {
	what=$1
	shift
	for _ in $(seq 120); do
		! "$@" >/dev/null 2>&1 || return 0
		sleep 1
	done
	die "waited in vain: $what"
}

# broker PORT - make the user's home, and start a broker there that lets anybody in.
broker() {
	install -d -o 1 -g 1 /run/door
	printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$1" >/run/door/mosquitto.conf
	$as_user mosquitto -c /run/door/mosquitto.conf >/vm/mosquitto.log 2>&1 &
	eventually "the broker" mosquitto_sub -h 127.0.0.1 -p "$1" -t '#' -E
}
