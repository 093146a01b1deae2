// Package thread is for what changes the thread that does it for good.
package thread

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Own calls f on a thread that ends then, with what f has made of it: a mount namespace
// that it has entered, say. It is never the first one, which the run time does not end
// and by which others see the process: /proc/PID/root, /proc/PID/ns and /proc/PID/mountinfo
// are those of its first thread.
func Own(f func()) {
	done := make(chan struct{})
	go own(f, done)
	<-done
}

func own(f func(), done chan struct{}) {
	runtime.LockOSThread() // a goroutine that ends so takes its thread with it
	if unix.Gettid() == unix.Getpid() {
		go own(f, done) // elsewhere: this thread is held until then
		<-done
		runtime.UnlockOSThread()
		return
	}
	defer close(done) // however f ends
	f()
}
