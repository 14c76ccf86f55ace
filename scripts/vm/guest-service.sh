#!/bin/sh
# guest-service.sh - run in the guest by service_test.go, at each of its two boots,
# with systemd as the first program and the packages in /vm: old.deb and new.deb,
# of one tree, and Debian's udev.
#
# It does with the package what its users do, and what befalls them: install an old
# version, set it up, have an event told, kill and hang either half, unplug the camera,
# reboot, upgrade, remove, install it again, reset, set it up in another way, purge. What
# the test judges, it leaves in /vm.
#
# Status 200 asks for the second boot. Nothing here depends on how long a thing
# takes, only on its coming at all.
set -eu

. /vm/guest.sh
port=18840
vivid=/dev/video0

walk() { v4l2-ctl -d $vivid --set-ctrl horizontal_movement=5; }
stand() { v4l2-ctl -d $vivid --set-ctrl horizontal_movement=3; }
heard() { grep -q "^doorbelld/door/$1" /vm/heard; }
show() { systemctl show --value -p "$2" "doorbelld-$1"; }
pid() { show "$1" MainPID; }
eye() { pgrep -x doorbelld-eye; }
another() { # COMMAND OLD - COMMAND prints something, and not OLD
	now=$($1) && [ -n "$now" ] && [ "$now" != 0 ] && [ "$now" != "$2" ]
}
gate_pid() { pid gate.service; }
lodge_pid() { pid eye.service; }
porter_pid() { pid porter.service; }
gone() { ! kill -0 "$1" 2>/dev/null; }
active() { systemctl --quiet is-active "doorbelld-$1"; }
camera() { doorbelld status | grep -q "^camera.*$1"; }

# told WHAT - something walks by until home is told of it, in a log that begins now.
told() {
	: >/vm/heard
	for _ in $(seq 20); do
		sleep 6
		walk
		sleep 4
		stand
		! heard to/home/motion || break
	done
	heard to/home/motion || die "$1: something walked 20 times, and home was told nothing"
	say "$1: told"
}

# set_up ARG... - setup as for this machine's first run, without a question.
set_up() {
	button=
	[ ! -c /dev/gpiochip0 ] || button='--button 0'
	# shellcheck disable=SC2086 # two words, or none
	doorbelld setup --yes --everything --device door --camera $vivid --broker mqtt://127.0.0.1:$port $button \
		--recipient home --clock-is-right --wait 1h "$@"
}

# exits CODE COMMAND... - COMMAND must end with that exit code.
exits() {
	want=$1 code=0
	shift
	"$@" || code=$?
	[ "$code" = "$want" ] || die "$*: exit code $code, not $want"
}

# as USER COMMAND... - run COMMAND as an ordinary user.
as() {
	user=$1
	shift
	setpriv --reuid="$user" --regid="$user" --clear-groups "$@"
}

# machine - what a real one has from its start: udev, a camera, a button's chip, a
# broker and somebody who listens there.
machine() {
	if ! command -v udevadm >/dev/null; then
		dpkg-deb --fsys-tarfile /vm/udev.deb | tar -x --keep-directory-symlink -C /
		systemctl daemon-reload
	fi
	systemctl start systemd-udevd.service
	modprobe vivid n_devs=1 node_types=0x1
	eventually "the camera" test -c $vivid
	if modprobe gpio-sim 2>/dev/null; then
		mkdir -p /sys/kernel/config
		mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
		mkdir -p /sys/kernel/config/gpio-sim/door/bank0
		echo 1 >/sys/kernel/config/gpio-sim/door/live
		eventually "the chip" test -c /dev/gpiochip0
	fi
	v4l2-ctl -d $vivid --set-ctrl test_pattern=19,osd_text_mode=2
	stand
	journalctl -f -o short-monotonic -u doorbelld-gate.service -u doorbelld-eye.service -u doorbelld-porter.service >>/vm/doorbelld.log 2>&1 &
	broker $port
	mosquitto_sub -h 127.0.0.1 -p $port -t '#' -F '%t %p' >>/vm/heard &
}

fail() {
	systemctl --no-pager --lines=0 status 'doorbelld-*' || true
}
trap fail EXIT

if ! [ -e /var/lib/vm-rebooted ]; then
	say "an older version is installed; it waits to be set up"
	export DEBIAN_FRONTEND=noninteractive
	rm -f /usr/sbin/policy-rc.d # of a container, where no service is to be started
	getent group gpio >/dev/null || touch /vm/made-gpio
	machine
	dpkg --force-unsafe-io -i /vm/old.deb >/vm/installed
	[ "$(grep -c 'sudo doorbelld setup' /vm/installed)" = 1 ] || die "it does not say what to do next: $(cat /vm/installed)"
	! active gate.service || die "it runs, and nothing is configured"
	! systemctl --quiet is-failed doorbelld-gate.service || die "it failed for want of a configuration"
	udevadm settle || true
	stat -c '%n %G %a' $vivid >/vm/nodes
	[ ! -c /dev/gpiochip0 ] || stat -c '%n %G %a' /dev/gpiochip0 >>/vm/nodes
	getent passwd doorbelld doorbelld-eye >/dev/null || die "there are no users"

	say "set up: nobody is granted what was not named"
	set_up --still /vm/still.jpg >/vm/setup-first
	grep -q '^The service is started' /vm/setup-first || die "setup: $(cat /vm/setup-first)"
	grep -q '^A first message: the broker says that door is online' /vm/setup-first || die "setup: $(cat /vm/setup-first)"
	active gate.service || die "setup did not start the gate"
	stat -c '%U:%G %a' /etc/doorbelld/doorbelld.yaml >/vm/config-mode
	doorbelld grant list --json >/vm/grants-first

	# What is drawn and seen here is emulated, and a small picture is enough of that.
	# Setup leaves alone what its owner has added.
	sed -i '/^camera:/a\  size: 320x180' /etc/doorbelld/doorbelld.yaml
	cp /etc/doorbelld/doorbelld.yaml /run/owners.yaml

	say "set up again, with grants: a first message comes back"
	set_up --grant ring=notice --grant motion=details >/vm/setup-granted
	grep -q '^A first message: home was told that it rang, and this came back' /vm/setup-granted || die "setup: $(cat /vm/setup-granted)"
	eventually "the ring, at another client" heard to/home/ring
	cmp /run/owners.yaml /etc/doorbelld/doorbelld.yaml || die "setup changed what was its owner's"
	eventually "an eye" eye
	eventually "the camera, live" camera live
	told "set up"

	say "what doctor says of it"
	doorbelld doctor --for 20s --json >/vm/doctor.json || true # it is 1 as well for what is slow here; the test judges


	say "the walls around the eye, as the kernel has them"
	eye=$(eye)
	ns="nsenter -t $eye -m -n --root"
	{
		grep -E '^(Uid|Groups|CapBnd|CapEff|NoNewPrivs|Seccomp|Seccomp_filters|VmRSS):' /proc/$eye/status
		echo "user $(id -u doorbelld-eye)"
		sed -n 's/^ *\([^ :]*\):.*/interface \1/p' /proc/$eye/net/dev
		for path in /etc/doorbelld /etc/passwd /var/lib/doorbelld/ledger.db /run/doorbelld /run/doorbelld-eye.sock /run/dbus /run/systemd/journal /home /vm /boot; do
			[ ! -e "/proc/$eye/root$path" ] || echo "reaches $path"
		done
		for path in / /tmp /var/tmp /usr /var/lib/doorbelld/models /dev/shm; do
			$ns sh -c "! touch $path/written 2>/dev/null" || echo "root could write $path"
		done
		[ -z "$(ls -A /proc/$eye/root/root 2>/dev/null)" ] || echo "reaches what is in /root"
		readlink /proc/$eye/ns/net /proc/self/ns/net | uniq | wc -l
	} >/vm/walls 2>&1
	{
		grep -E '^(Uid|CapBnd|CapEff|NoNewPrivs|Seccomp|VmRSS):' /proc/"$(gate_pid)"/status
		grep -E '^VmRSS:' /proc/"$(lodge_pid)"/status
	} >/vm/gate 2>&1
	ls -l /proc/"$(gate_pid)"/fd >/vm/gate-fds
	! active porter.service || die "the porter runs, and nobody but root has asked"
	systemctl start doorbelld-porter.service
	porter=$(porter_pid)
	{
		grep -E '^(Uid|Groups|CapBnd|CapEff|NoNewPrivs|Seccomp|VmRSS|RssAnon):' "/proc/$porter/status"
		sed -n 's/^ *\([^ :]*\):.*/interface \1/p' /proc/$porter/net/dev
		find /proc/$porter/root/ -xdev -type f -size +0 -printf 'holds %P\n'
		for path in /etc/passwd /var/lib/doorbelld/ledger.db /run/doorbelld /run/doorbelld-porter.sock /run/dbus /home /vm /boot; do
			[ ! -e "/proc/$porter/root$path" ] || echo "reaches $path"
		done
		for path in / /tmp /var/tmp /dev/shm; do
			! touch "/proc/$porter/root$path/written" 2>/dev/null || echo "root could write $path"
		done
		readlink /proc/$porter/ns/user /proc/self/ns/user | uniq | wc -l
		readlink /proc/"$(gate_pid)"/ns/user /proc/self/ns/user | uniq | wc -l
	} >/vm/porter 2>&1
	for half in eye gate porter; do
		systemd-analyze --no-pager security doorbelld-$half.service | tail -n 1
	done >/vm/security
	systemctl show -p MemoryCurrent,MemoryPeak,TasksCurrent doorbelld-gate.service doorbelld-eye.service doorbelld-porter.service >/vm/memory

	say "either half is killed"
	old=$(eye) gate=$(gate_pid)
	kill -9 "$old"
	eventually "another eye after kill -9" another eye "$old"
	[ "$(gate_pid)" = "$gate" ] || die "the gate did not outlive its eye"
	old=$(lodge_pid)
	kill -9 "$old"
	eventually "another lodge after kill -9" another lodge_pid "$old"
	eventually "an eye of the new lodge" eye
	old=$(gate_pid)
	kill -9 "$old"
	eventually "another gate after kill -9" another gate_pid "$old"
	eventually "the gate, ready" active gate.service
	doorbelld clock confirm
	eventually "the camera, live" camera live
	told "after kill -9"

	say "the eye hangs, and the watchdog ends it"
	old=$(eye) lodge=$(lodge_pid) gate=$(gate_pid)
	kill -STOP "$old"
	eventually "the hanging eye gone" gone "$old"
	eventually "another lodge after the watchdog" another lodge_pid "$lodge"
	eventually "another eye after the watchdog" another eye "$old"
	[ "$(gate_pid)" = "$gate" ] || die "the gate did not outlive its eye"
	journalctl -u doorbelld-eye.service | grep -qi watchdog || die "it was not the watchdog"

	say "the gate hangs, and the watchdog ends it"
	kill -STOP "$gate"
	eventually "another gate after the watchdog" another gate_pid "$gate"
	eventually "the gate, ready" active gate.service
	journalctl -u doorbelld-gate.service | grep -qi watchdog || die "it was not the watchdog"
	doorbelld clock confirm
	eventually "the camera, live" camera live

	say "the camera is unplugged for longer than a watchdog waits, and is no reason for it"
	lodge=$(lodge_pid)
	echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind
	eventually "the camera, lost" camera lost
	sleep 45
	[ "$(lodge_pid)" = "$lodge" ] || die "a camera that is not there was taken for a hang"
	echo vivid.0 >/sys/bus/platform/drivers/vivid/bind
	eventually "the camera back" test -c $vivid
	udevadm settle || true
	v4l2-ctl -d $vivid --set-ctrl test_pattern=19,osd_text_mode=2
	stand
	eventually "the camera, live" camera live
	told "plugged in again"
	doorbelld grant list >/vm/grants-before
	doorbelld ledger verify || die "the ledger does not verify"
	doorbelld ledger pin /root/pin
	journalctl --no-pager -o json -u doorbelld-gate.service -u doorbelld-eye.service >/vm/journal.json

	touch /var/lib/vm-rebooted
	sync
	say "reboot"
	trap - EXIT
	systemctl reboot
	exit 200
fi

say "after the reboot it runs by itself"
machine
eventually "the gate, ready" active gate.service
udevadm settle || true
systemctl show -p Id,InactiveExitTimestampMonotonic,ActiveEnterTimestampMonotonic doorbelld-gate.service doorbelld-eye.service >/vm/start
doorbelld clock confirm
eventually "the camera, live" camera live
told "rebooted"

say "upgraded"
old=$(gate_pid)
dpkg --force-unsafe-io -i /vm/new.deb
eventually "another gate after the upgrade" another gate_pid "$old"
eventually "the gate, ready" active gate.service
doorbelld grant list >/vm/grants-after
doorbelld ledger verify --pin /root/pin || die "the ledger does not verify after the upgrade"
eventually "the camera, live" camera live
told "upgraded"
doorbelld ledger verify --pin /root/pin || die "the ledger does not verify after it was written on"

say "removed: what the owner decided stays"
eye=$(eye) gate=$(gate_pid)
dpkg -L doorbelld | grep doorbelld >/run/files
dpkg -r doorbelld
gone "$gate" || die "the gate outlives its package"
gone "$eye" || die "the eye outlives its package"
[ -s /var/lib/doorbelld/ledger.db ] && [ -s /etc/doorbelld/doorbelld.yaml ] || die "remove took the owner's decisions"
[ ! -e /usr/lib/doorbelld ] || die "remove left $(find /usr/lib/doorbelld)"

say "installed again: it goes on where it was"
dpkg --force-unsafe-io -i /vm/new.deb
eventually "the gate, ready" active gate.service
doorbelld grant list >/vm/grants-again

say "reset: nobody is known"
exits 4 doorbelld reset --device door # it runs
systemctl stop doorbelld-gate.service
doorbelld reset --device door
ls -A /var/lib/doorbelld >/vm/kept
systemctl start doorbelld-gate.service
doorbelld grant list --json >/vm/grants-reset
doorbelld recipient list --json >/vm/recipients-reset

say "set up anew, by who has no broker, with an owner beside root"
useradd anna
useradd bert
useradd carl
groupadd family
set_up --replace --broker embedded --listen 127.0.0.1:$((port + 1)) --owner anna --grant ring=notice >/vm/setup-embedded
grep -q '^A first message: home was told that it rang, and this came back' /vm/setup-embedded || die "setup: $(cat /vm/setup-embedded)"
[ "$(mosquitto_sub -h 127.0.0.1 -p $((port + 1)) -u home -P "$(cat /var/lib/doorbelld/broker/home.password)" -t doorbelld/door/status -C 1)" = online ] ||
	die "the embedded broker does not say to home that door is online"
# The first who is not root waits for the porter, and is told to ask again if that takes long.
eventually "an answer to the owner" as anna doorbelld grant list
as anna doorbelld grant list >/vm/grants-anna || die "the owner may not ask"
exits 4 as bert doorbelld grant list
exits 4 setpriv --reuid=nobody --regid=nogroup --clear-groups doorbelld grant list

say "the household asks, as long as it is the household"
sed -i 's/^access:/&\n  household_group: family/' /etc/doorbelld/doorbelld.yaml
systemctl restart doorbelld-gate.service
eventually "an answer to the owner" as anna doorbelld grant list
exits 4 as carl doorbelld who-sees
usermod -aG family carl
as carl doorbelld who-sees >/vm/who-carl || die "the household may not ask who sees what"
exits 4 as carl doorbelld grant list
gpasswd -d carl family
exits 4 as carl doorbelld who-sees

say "the porter is killed, hangs, and is not there"
old=$(porter_pid) gate=$(gate_pid)
kill -9 "$old"
eventually "an answer to the owner after kill -9 of the porter" as anna doorbelld grant list
eventually "another porter after kill -9" another porter_pid "$old"
# On a slow machine its watchdog could end it, and another answer, before the question is given up.
patient=/run/systemd/system/doorbelld-porter.service.d
mkdir -p "$patient"
printf '[Service]\nWatchdogSec=1h\n' >"$patient/patient.conf"
systemctl daemon-reload
systemctl restart doorbelld-porter.service
eventually "an answer to the owner by a porter with a long watchdog" as anna doorbelld grant list
kill -STOP "$(porter_pid)"
exits 1 as anna doorbelld grant list 2>/vm/anna-hangs
doorbelld grant list >/dev/null || die "root may not ask while the porter hangs"
kill -9 "$(porter_pid)"
rm -r "$patient"
systemctl daemon-reload
systemctl restart doorbelld-porter.service
old=$(porter_pid)
kill -STOP "$old"
eventually "another porter after the watchdog" another porter_pid "$old"
eventually "the owner, asked about again" as anna doorbelld grant list
systemctl stop doorbelld-porter.socket doorbelld-porter.service
exits 1 as anna doorbelld grant revoke g1 2>/vm/anna-alone
exits 1 as bert doorbelld grant list
doorbelld grant list >/dev/null || die "root may not ask without a porter"
[ "$(gate_pid)" = "$gate" ] || die "the gate did not outlive its porter"
systemctl start doorbelld-porter.socket
eventually "an answer to the owner with the porter back" as anna doorbelld grant list
old=$(gate_pid)
kill -9 "$old"
eventually "another gate after kill -9" another gate_pid "$old"
eventually "the gate, ready" active gate.service
eventually "an answer to the owner after kill -9 of the gate" as anna doorbelld grant list
as anna doorbelld grant revoke g1 || die "the owner may not revoke"
as anna doorbelld grant list --json >/vm/grants-revoked
systemctl stop doorbelld-gate.service
! active porter.service || die "the porter outlives the gate that is stopped"
[ ! -e /run/doorbelld-porter.sock ] || die "where the porter is asked outlives the gate that is stopped"
systemctl start doorbelld-gate.service

say "removed and purged: nothing stays"
dpkg -r doorbelld
dpkg -P doorbelld
{
	while read -r path; do
		[ ! -e "$path" ] || echo "$path"
	done </run/files
	# Not all of /usr, which is another machine's, over a slow line.
	find /etc /run /var/lib /var/log /var/cache /usr/lib/systemd -xdev -name '*doorbelld*'
	getent passwd doorbelld doorbelld-eye || true
	getent group doorbelld doorbelld-eye || true
	[ ! -e /vm/made-gpio ] || getent group gpio || true
	systemctl list-unit-files --no-legend 'doorbelld*' || true
	systemctl list-units --all --no-legend 'doorbelld*' || true
	pgrep -l doorbelld || true
} | sort -u >/vm/left
trap - EXIT
exit 0
