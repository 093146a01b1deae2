// Package heap has the kernel give a command the first pages of its heap at once. Go's
// run time takes them one after the other, a page fault each, which is half of those of
// so short a process: in virtual machines without nested paging most of its time goes there.
//
// To import it gives those that a start needs: it depends on little, and so comes before
// most of what initializes itself.
package heap

import (
	"syscall"
	"unsafe"
)

// start is what crossrun needs, and not half of what register does: what nobody uses
// costs, too.
const start = 384 << 10

// populateWrite is MADV_POPULATE_WRITE, since Linux 5.14 (4ca9b3859dac). Older kernels
// refuse it, and nothing is lost.
const populateWrite = 23

// last is large enough to lie behind all that is there.
var last []byte

func init() { Ask(start) }

// Ask asks for the next pages, which are so many bytes.
func Ask(size uintptr) { _, _ = populate(size) }

// populate returns where the pages are that it asks for. The heap grows by 4 MiB at a
// time, and is refused beyond.
func populate(size uintptr) (from uintptr, errno syscall.Errno) {
	last = make([]byte, 40<<10)
	page := uintptr(syscall.Getpagesize())
	from = (uintptr(unsafe.Pointer(unsafe.SliceData(last))) + uintptr(len(last)) + page - 1) &^ (page - 1)
	_, _, errno = syscall.RawSyscall(syscall.SYS_MADVISE, from, size, populateWrite)
	return from, errno
}
