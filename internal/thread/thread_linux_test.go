package thread_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/thread"
)

// The run time has goroutines on the first thread every other time.
func TestAThreadOfItsOwnIsNotTheFirst(t *testing.T) {
	for range 1000 {
		var id int
		thread.Own(func() { id = unix.Gettid() })
		require.NotZero(t, id)
		require.NotEqual(t, unix.Getpid(), id)
	}
}
