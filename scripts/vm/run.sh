#!/bin/sh
# run.sh OUT COMMAND... - run a shell command in a virtual machine with Debian's
# kernel over this machine's own files, and return its status.
#
# The guest is root, sees the host's / read-only under an overlay that is
# forgotten afterwards, and has OUT as /vm, which it may write. It needs no
# privileges here, and no KVM: code runs 15 to 60 times slower than it should,
# so nothing in it may depend on how long a thing takes.
#
# With $DISK, a file with an ext4 file system, what the guest changes is kept there,
# and it may reboot: COMMAND is run at each boot until it ends without one. With
# $SYSTEMD=yes the guest's first program is systemd, with nothing enabled but what
# is in the image of its own; COMMAND is a service.
#
# Now and then the emulated kernel does not come up, most of all on a busy machine.
# As nothing of COMMAND has begun by then, a guest that is not there after $BOOT
# seconds (180) is begun anew, twice; what has waited is not part of $TIMEOUT.
#
# Status 124: not done after $TIMEOUT seconds (300); 125: the guest died.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 2 ] || { echo "usage: run.sh OUT COMMAND..." >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift

kernel=$("$here/get.sh")
"$here/initrd.sh" "$kernel" "$out/initrd.gz"
printf '%s\n' "$*" >"$out/command"
rm -f "$out/status"

disk= reboot=-no-reboot
if [ -n "${DISK:-}" ]; then
	disk="-drive file=$DISK,format=raw,if=virtio,cache=unsafe" reboot=
fi

boot=${BOOT:-180}

# The guest's clock is this machine's time stamp counter, and how fast that runs it
# measures as it comes up: on a busy machine now and then wrongly by far, so that its
# seconds fly and its timers stand still. Where this is a virtual machine, whose counter
# runs as it says, it is told.
clock=
if grep -q '^flags.* hypervisor' /proc/cpuinfo; then
	clock=tsc_early_khz=$(sed -n 's/^cpu MHz[^0-9]*\([0-9]*\)\.\([0-9]*\)/\1\2/p' /proc/cpuinfo | head -n 1)
fi

# mitigations=off: emulated code is slow enough. no_timer_check: a busy machine would
# fail it. cpu max: Debian's libraries may use what the host has.
guest() {
	exec timeout --foreground -k 10 "${TIMEOUT:-300}" qemu-system-x86_64 \
		-M q35 -accel tcg,thread=multi -cpu max -smp 2 -m 1536 \
		-nodefaults -no-user-config -display none -serial stdio $reboot \
		-kernel "$kernel/vmlinux" -initrd "$out/initrd.gz" \
		-append "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable no_timer_check $clock vm_modules=$kernel/lib/modules vm_systemd=${SYSTEMD:-no} systemd.show_status=no" \
		$disk \
		-virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
		-virtfs local,path="$out",mount_tag=vm,security_model=none,multidevs=remap \
		-device virtio-rng-pci </dev/null
}

# booted TIMES - run the guest; start it up to so many times until it is there.
booted() {
	rm -f "$out/booted" # which init makes
	guest &
	pid=$!
	left=$boot
	while ! [ -e "$out/booted" ] && kill -0 $pid 2>/dev/null; do
		if [ "$left" -eq 0 ]; then
			kill $pid 2>/dev/null || true
			wait $pid || true
			echo "run.sh: the guest did not come up in $boot seconds" >&2
			[ "$1" -gt 1 ] || exit 124
			booted $(($1 - 1))
			return
		fi
		left=$((left - 1))
		sleep 1
	done
	status=0
	wait $pid || status=$?
	case $status in
	124 | 137) exit 124 ;; # its time was over; 137: and it had to be killed
	esac
}
booted 3
exit "$(cat "$out/status" 2>/dev/null || echo 125)"
