#!/bin/sh
# guest-faults.sh - run in the guest by vm_test.go, with the programs in /vm: the
# tests of ./guest, with the kernel's test camera, which has a second node for
# metadata, and a loopback device.
set -eu

modprobe vivid n_devs=1 node_types=0x20001
# With exclusive_caps=1 version 0.12.7 ends up neither a camera nor an output when
# its writer dies while it is read.
modprobe v4l2loopback video_nr=10 card_label=Door exclusive_caps=0
for node in /dev/video0 /dev/video1 /dev/video10; do
	until [ -c $node ]; do sleep 1; done
	chgrp video $node
	chmod 0660 $node
done
DOORBELLD_GUEST=yes exec /vm/guest.test -test.v -test.timeout 20m
