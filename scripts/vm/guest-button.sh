#!/bin/sh
# guest-button.sh - run in the guest by button_test.go, with the programs in /vm.
#
# It wires a button and an LED to the kernel's own GPIO simulator, presses,
# bounces and holds it, and takes the chip away and brings it back, while a daemon
# listens as an ordinary user. Its eye dies at each start: the bell does without.
# What a subscriber heard is left in /vm/heard, and what was said in /vm/*.log.
#
# Nothing here depends on how long a thing takes, only on its coming at all; but
# for the bounces, which are shorter than the debounce time by far.
set -eu

. "$(dirname "$0")/guest.sh"
port=18831
config() { # LINE
	echo "
device: door
camera: {source: clip, clip: /vm/doorbelld}
zones: everything
button:
  chip: door
  line: $1
  debounce: 300ms
  led: {line: 2}
broker: {url: 'mqtt://127.0.0.1:$port'}
state: /run/door/state
runtime: /run/door/run
" >/run/door/door.yaml
}

# The simulator's chip: line 1 is the button, between line and ground; line 2 an
# LED; line 3 another program's.
sim=/sys/kernel/config/gpio-sim/door
wire() {
	modprobe gpio-sim
	mount -t configfs none /sys/kernel/config
	mkdir -p $sim/bank0/line1 $sim/bank0/line3/hog
	echo 4 >$sim/bank0/num_lines
	echo door >$sim/bank0/label
	echo BELL >$sim/bank0/line1/name
	echo kettle >$sim/bank0/line3/hog/name
	echo input >$sim/bank0/line3/hog/direction
}
plug() {
	echo 1 >$sim/live
	gpio=/sys/devices/platform/$(cat $sim/dev_name)/$(cat $sim/bank0/chip_name)
	echo pull-up >"$gpio/sim_gpio1/pull"
	chmod 0666 "/dev/$(cat $sim/bank0/chip_name)" # as udev lets a group
}
unplug() { echo 0 >$sim/live; }
press() { echo pull-down >"$gpio/sim_gpio1/pull"; }
release() { echo pull-up >"$gpio/sim_gpio1/pull"; }
bounce() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		press
		release
	done
}
lit() { [ "$(cat "$gpio/sim_gpio2/value")" = "$1" ]; }

rings() { [ "$(grep -c '^doorbelld/door/to/home/ring ' /vm/heard)" = "$1" ]; }
ready() { [ "$(grep -c 'the button is ready' /vm/doorbelld.log)" = "$1" ]; }
lost() { grep -q 'no button.*is gone' /vm/doorbelld.log; }
paused() { $as_user $doorbelld status | grep -q '^paused *until'; }
withheld() { $as_user $doorbelld status | grep -q 'withheld.* 1 paused'; }

say "the real lines: the package's own tests"
wire
DOORBELLD_GPIOSIM=1 /vm/button.test -test.v -test.run Sim

say "no chip: the daemon runs, and says once that it has no button"
broker $port
mosquitto_sub -h 127.0.0.1 -p $port -t '#' -F '%t %p' >/vm/heard &
config BELL
$as_user $doorbelld run --eye /bin/false >/vm/doorbelld.log 2>&1 &
daemon=$!
eventually "status online" grep -q 'status online' /vm/heard
$as_user $doorbelld recipient add home --kind household
$as_user $doorbelld clock confirm
$as_user $doorbelld status
grep 'no button' /vm/doorbelld.log >/vm/without.log

say "a chip: the button is found, and the LED is dark while nothing is granted"
plug
eventually "the button" ready 1
eventually "a dark LED" lit 0
$as_user $doorbelld grant add home ring details --for owner_alert --until 30d
eventually "a lit LED" lit 1

say "a press"
press
eventually "a ring" rings 1
release
sleep 1

say "a press that bounces"
bounce
press
eventually "one ring more" rings 2
bounce
sleep 1

say "a hold"
press
eventually "the ring that it begins with" rings 3
eventually "a pause" paused
release
eventually "a dark LED" lit 0
sleep 1

say "a press in the pause"
press
eventually "a ring withheld" withheld
release
$as_user $doorbelld resume
eventually "a lit LED" lit 1

say "the chip goes, and comes back"
unplug
eventually "the loss noticed" lost
plug
eventually "the button again" ready 2
press
eventually "a ring after it" rings 4
release
$as_user $doorbelld status

say "the end, and the check"
kill -TERM $daemon
wait $daemon || die "doorbelld run ended with status $?"
eventually "status offline" grep -q 'status offline' /vm/heard
$as_user $doorbelld check --eye /bin/false >/vm/check.log || true
config 3
$as_user $doorbelld check --eye /bin/false >/vm/busy.log || true
