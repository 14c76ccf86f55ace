#!/bin/sh
# guest-cameras.sh - run in the guest by vm_test.go, with the programs in /vm.
#
# It makes two cameras of the kernel's own drivers, which are real V4L2 devices
# but for the lens, and lets a daemon watch one after the other, as an ordinary
# user of the group video. A subscriber's logs are left for the test to judge:
# /vm/silent (nothing granted), /vm/vivid and /vm/loopback (motion granted). Then
# it makes them anew, for the tests of ./guest, which do all to them that a camera
# can suffer, and leave /vm/camera-faults.txt.
#
# Nothing here depends on how long a thing takes, only on its coming at all.
set -eu

. "$(dirname "$0")/guest.sh"
port=18830
config() { # DEVICE
	echo "
device: door
camera:
  source: v4l2
  device: $1
  size: 320x180
zones: everything
broker:
  url: mqtt://127.0.0.1:$port
state: /run/door/state
runtime: /run/door/run
"
}
let_in() {
	$as_user $doorbelld recipient add home --kind integration
	$as_user $doorbelld clock confirm
	$as_user $doorbelld grant add home motion details --for home_automation --zone everything --until 30d
}

# as_udev DEVICE - give it the mode that udev gives on a real system.
as_udev() {
	eventually "$1" test -c "$1"
	chgrp video "$1"
	chmod 0660 "$1"
}

heard() { grep -q "^doorbelld/door/$1" /vm/heard; }

# watch DEVICE / unwatch LOG - start the daemon and a subscriber; end them, and
# keep what the subscriber heard.
watch() {
	config "$1" >/run/door/door.yaml
	mosquitto_sub -h 127.0.0.1 -p $port -t '#' -F '%t %p' >/vm/heard &
	subscriber=$!
	$as_user $doorbelld run >>/vm/doorbelld.log 2>&1 &
	daemon=$!
	eventually "status online" heard 'status online'
}
unwatch() {
	kill -TERM $daemon
	wait $daemon || die "doorbelld run ended with status $?"
	eventually "status offline" grep -q 'status offline' /vm/heard
	kill $subscriber
	mv /vm/heard "$1"
}

# vivid's picture: an upright dark bar and a lying one on white, without the
# counters that it can write into it. At direction 5 the upright bar walks to the
# right; at 3 it stands. (The other patterns move as a whole, which a detector
# takes for the camera having been turned.)
vivid=/dev/video0
walk() { v4l2-ctl -d $vivid --set-ctrl horizontal_movement=5; }
stand() { v4l2-ctl -d $vivid --set-ctrl horizontal_movement=3; }

say "vivid, a camera that speaks YUYV: the driver's tests"
modprobe vivid n_devs=1 node_types=0x1
as_udev $vivid
v4l2-ctl -d $vivid --set-ctrl test_pattern=19,osd_text_mode=2
stand
DOORBELLD_VIVID=$vivid $as_user /vm/v4l2.test -test.v -test.run Vivid

say "the daemon on it, nothing granted"
broker $port
watch $vivid
for _ in 1 2 3; do
	walk
	sleep 3
	stand
	sleep 2
done
kill -0 $daemon || die "the daemon is gone"
cp /vm/heard /vm/silent

say "motion granted to home"
let_in
# The detector has to know the standing scene before it sees what moves in it.
for _ in $(seq 15); do
	sleep 8
	walk
	sleep 4
	stand
	! heard to/home/motion || break
done
heard to/home/motion || die "something walked 15 times, and home was told nothing"
unwatch /vm/vivid

say "a loopback device, a camera that speaks MJPEG; the grant still holds"
modprobe v4l2loopback video_nr=10 card_label=Door exclusive_caps=1
as_udev /dev/video10
ffmpeg -nostdin -loglevel error -re -stream_loop -1 -i /vm/scene.avi -c copy -f v4l2 /dev/video10 >/vm/ffmpeg.log 2>&1 &
writer=$!
mjpeg() { v4l2-ctl -d /dev/video10 --list-formats | grep -q MJPG; }
eventually "MJPEG on the loopback device" mjpeg
DOORBELLD_LOOPBACK=/dev/video10 $as_user /vm/v4l2.test -test.v -test.run Loopback
watch /dev/video10
eventually "motion, from the loopback device" heard to/home/motion
unwatch /vm/loopback

say "all that a camera can suffer"
kill $writer
eventually "the cameras free" modprobe -r v4l2loopback vivid
# Vivid with a second node, for metadata. With exclusive_caps=1 version 0.12.7 of
# v4l2loopback ends up neither a camera nor an output when its writer dies while it
# is read.
modprobe vivid n_devs=1 node_types=0x20001
modprobe v4l2loopback video_nr=10 card_label=Door exclusive_caps=0
as_udev $vivid
as_udev /dev/video1
as_udev /dev/video10
DOORBELLD_GUEST=yes exec /vm/guest.test -test.v -test.timeout 20m
