package main

import (
	"slices"

	"golang.org/x/sys/unix"
)

// beTraceable has the kernel take this process for one whose file may be read, if it may only be
// executed (would_dump in fs/exec.c): else what is in /proc of it is root's, so that the user cannot
// map the users of a namespace of its own, and no supervisor can have it execute an emulator. What
// is in this program is no secret. A process with more privileges than its caller stays as it is.
func beTraceable() {
	const traceable = 1 // SUID_DUMP_USER
	if is, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || is == traceable {
		return
	}
	const secure = 23 // AT_SECURE, include/uapi/linux/auxvec.h
	vector, err := unix.Auxv()
	if err != nil || slices.ContainsFunc(vector, func(v [2]uintptr) bool { return v[0] == secure && v[1] != 0 }) {
		return
	}
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, traceable, 0, 0, 0)
}
