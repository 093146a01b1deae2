// Package heap has the kernel give a command the first pages of its heap at once. Go's
// run time takes them one after the other, a page fault each, which is a third of those
// of so short a process: where these are dear, in virtual machines above all, it is what
// a start takes longest for.
//
// To import it is enough. It depends on little, and so comes before most of what
// initializes itself.
package heap

import (
	"syscall"
	"unsafe"
)

// size is what crossrun needs, and half of what register does: what nobody uses costs,
// too.
const size = 384 << 10

// populateWrite is MADV_POPULATE_WRITE, since Linux 5.14 (4ca9b3859dac). Older kernels
// refuse it, and nothing is lost.
const populateWrite = 23

// last is large enough to lie behind all that is there.
var last []byte

func init() { _, _ = populate(size) }

// populate returns where the pages are that it asks for. The heap grows by 4 MiB at a
// time, and is refused beyond.
func populate(size uintptr) (from uintptr, errno syscall.Errno) {
	const large = 40 << 10
	last = make([]byte, large)
	from = uintptr(unsafe.Pointer(unsafe.SliceData(last))) + large
	_, _, errno = syscall.RawSyscall(syscall.SYS_MADVISE, from, size, populateWrite)
	return from, errno
}
