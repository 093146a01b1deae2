package heap

import (
	"os"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPagesAreThereBeforeAnythingIsWrittenToThem(t *testing.T) {
	page := uintptr(os.Getpagesize())
	from, errno := populate(16 * page)
	for range 2 { // the heap may have ended there, and has grown since
		if errno != 0 {
			from, errno = populate(16 * page)
		}
	}
	if errno == syscall.EINVAL {
		t.Skip("this kernel is older than Linux 5.14")
	}
	require.Zero(t, errno)
	require.Zero(t, from%page)
	var there [16]byte
	_, _, errno = syscall.RawSyscall(syscall.SYS_MINCORE, from, 16*page, uintptr(unsafe.Pointer(&there)))
	require.Zero(t, errno)
	for i, in := range there {
		assert.Equal(t, byte(1), in&1, i)
	}
}
