package watch

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// One more works when all that there are threads for are busy with the same calls, and
// none while calls are answered.
func TestWorkersBecomeMoreWhenNoneAnswers(t *testing.T) {
	most := func(s *supervisor) int {
		s.staff.mutex.Lock()
		defer s.staff.mutex.Unlock()
		return s.staff.most
	}
	s := &supervisor{listener: -1}
	s.staff.most = 1
	require.True(t, s.staff.hire())
	assert.False(t, s.staff.hire(), "there is no thread for it")
	stop := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				s.answered.Add(1)
			}
		}
	}()
	s.lookLater()
	time.Sleep(5 * patience)
	assert.Equal(t, 1, most(s), "calls are answered")
	close(stop)
	<-ended
	require.Eventually(t, func() bool { return most(s) > 1 }, time.Minute, time.Millisecond)
	s.idle.Store(10)
	require.Eventually(t, func() bool { return !s.looking.Load() }, time.Minute, time.Millisecond, "some are idle")
}

func TestForkingIsTried(t *testing.T) {
	assert.True(t, canFork(3))
	pid, err := unix.Wait4(-1, nil, unix.WNOHANG|unix.WALL, nil)
	assert.ErrorIs(t, err, unix.ECHILD, "none is left: %d", pid)
}

func TestFilesAtOnce(t *testing.T) {
	for limit, want := range map[uint64]int{0: 1, 14: 1, 20: 1, 22: 2, 1024: 252, 20000: 256, ^uint64(0): 256} {
		assert.Equal(t, want, atOnce(limit), limit)
	}
}

// The supervisor does not end before the caller knows that the program has.
func TestTheEndIsToldFirst(t *testing.T) {
	ours, theirs, err := newMessages()
	require.NoError(t, err)
	defer ours.close()
	defer theirs.close()
	s := &supervisor{caller: ours, program: 1}
	go func() {
		time.Sleep(10 * time.Millisecond)
		s.reaped(1, 9, false)
	}()
	s.awaitReport()
	fds := []unix.PollFd{{Fd: int32(theirs.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	require.NoError(t, err)
	assert.Equal(t, 1, n)
}

// Who answers is asked for no more of a processor than it uses, with the niceness that
// it had.
func TestWorkersHaveAShortSlice(t *testing.T) {
	runtime.LockOSThread() // and no test has this thread afterwards
	attr := func() *unix.SchedAttr {
		attr, err := unix.SchedGetAttr(0, 0)
		require.NoError(t, err)
		return attr
	}
	if attr().Runtime == 0 {
		t.Skip("this kernel has no slices of tasks (Linux 6.12), or another policy is in use")
	}
	// A thread of its own: its niceness cannot be brought down again.
	require.NoError(t, unix.Setpriority(unix.PRIO_PROCESS, 0, 3))
	shortSlice()
	assert.EqualValues(t, slice, attr().Runtime)
	assert.EqualValues(t, 3, attr().Nice)

	batch := attr()
	batch.Policy, batch.Runtime = unix.SCHED_BATCH, uint64(3*time.Millisecond)
	require.NoError(t, unix.SchedSetAttr(0, batch, 0))
	shortSlice()
	assert.EqualValues(t, 3*time.Millisecond, attr().Runtime, "its user's choice")
}
