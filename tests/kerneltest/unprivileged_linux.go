package kerneltest

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Unprivileged calls f without any capability in effect: root, too, may then
// access only what modes of files allow.
func Unprivileged(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread() // capabilities are a thread's own
	defer runtime.UnlockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var all, none [2]unix.CapUserData
	require.NoError(t, unix.Capget(&header, &all[0]))
	none = all
	for i := range none {
		none[i].Effective = 0
	}
	require.NoError(t, unix.Capset(&header, &none[0]))
	defer func() { require.NoError(t, unix.Capset(&header, &all[0])) }()
	f()
}
