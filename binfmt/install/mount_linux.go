package install

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
)

// clockTick is how much older than it is an inode may look: its time is that of
// the kernel's last tick, at most 10 ms ago.
const clockTick = 20 * time.Millisecond

// patience is how long looking at a directory may take, and another process's change
// until that is said.
const patience = 5 * time.Second

// answers returns an error if looking at the instance's directory does not end: an
// autofs may wait there for its daemon. The thread that waits ends with the process.
func answers(fs binfmt.FS) error { return lookAt(fs, func() {}).wait(fs) }

// A looking is a look at an instance's directory, on a thread of its own.
type looking chan struct{}

// lookAt looks at the instance's directory meanwhile, and then calls the function
// where it did: what it takes to start another thread costs more than the look.
func lookAt(fs binfmt.FS, then func()) looking {
	looked := make(looking)
	go func() {
		// The kernel may give a signal to a thread that hangs, where the runtime's
		// handler is not reached, and wake no other (complete_signal in
		// kernel/signal.c, seen on 6.18): this one takes none.
		runtime.LockOSThread()
		var ends, before unix.Sigset_t
		ends.Val[0] = 1<<(unix.SIGINT-1) | 1<<(unix.SIGTERM-1)
		_ = unix.PthreadSigmask(unix.SIG_BLOCK, &ends, &before)
		_, _ = fs.State()
		_ = unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
		runtime.UnlockOSThread()
		close(looked)
		then()
	}()
	return looked
}

// wait returns nil if the look has ended, for which it waits for some seconds.
func (l looking) wait(fs binfmt.FS) error {
	select {
	case <-l: // as it has, mostly, and no timer is needed
		return nil
	default:
	}
	select {
	case <-l:
		return nil
	case <-time.After(patience):
		return &binfmt.Error{Op: "look at", Path: fs.Dir(), Err: ErrNoAnswer}
	}
}

func nothing() error { return nil }

// fresh mounts binfmt_misc where it is not, and reports whether it did, and
// whether that made a new instance: one that nobody else has mounted.
func fresh(fs binfmt.FS) (mounted, isNew bool, err error) {
	if state, err := fs.State(); err != nil || state == binfmt.Mounted {
		return false, false, err
	}
	before := time.Now().Add(-clockTick)
	if mounted, err = fs.Mount(); err != nil || !mounted {
		return false, false, err
	}
	made, err := fs.Made()
	if err != nil {
		return false, false, errors.Join(err, fs.Unmount())
	}
	return true, !made.Before(before), nil
}

// mount mounts binfmt_misc where it is not, so that what is registered outlives
// this process, or says that it would not. Entries live in an instance, which
// lives until its last unmount: in a container, on a host that has not mounted
// it, that is when the container exits. For a dry run it is only attached. The
// returned function undoes it.
func (f *Facts) mount(fs binfmt.FS, r Request, warn func(error)) (undo func() error, err error) {
	s := f.Surroundings
	if r.DryRun {
		return f.wouldMount(fs)
	}
	if err := f.inContainer(fs, r); err != nil {
		return nothing, err
	}
	if r.OwnInstance && !s.InitialUser {
		switch mounted, err := mountOwn(fs); {
		case err != nil:
			return nothing, err
		case mounted:
			return fs.Unmount, nil
		}
	}
	mounted, isNew, err := fresh(fs)
	switch {
	case err != nil || !mounted:
		return nothing, err
	case !isNew: // it is the host's, too
	case s.InitialPID && s.OfInit:
	case !s.InitialUser:
		if !r.OwnInstance {
			warn(ErrPrivate)
		}
	case s.InitialPID:
		if err := fs.Unmount(); err != nil {
			return nothing, err
		}
		return f.mountOnHost(fs)
	default:
		return nothing, errors.Join(ErrNotLasting, fs.Unmount())
	}
	return fs.Unmount, nil
}

// wouldMount is mount for a dry run, which needs no privilege: that it may not mount is no error.
func (f *Facts) wouldMount(fs binfmt.FS) (undo func() error, err error) {
	undo, isNew, err := attachOrNew(fs, f.Surroundings, denied)
	if isNew && !f.Surroundings.InitialPID {
		err = errors.Join(ErrNotLasting, err)
	}
	return undo, err
}

// inContainer returns why nothing is mounted in a container that is in a user namespace.
func (f *Facts) inContainer(fs binfmt.FS, r Request) error {
	if s := f.Surroundings; s.InitialUser || s.InitialPID || r.OwnInstance {
		return nil
	}
	// Looking first is no way: an instance stays with its user namespace.
	if state, err := fs.State(); err != nil || state != binfmt.Mounted {
		return errors.Join(ErrContainer, err)
	}
	return nil
}

// Attach mounts binfmt_misc to read it, where it is not mounted: in a container
// that shows the host's, if the host has it. Where nobody has, or where that may
// not be done, there is nothing to read. The returned function undoes it.
//
// In a user namespace nothing is mounted: it would get an instance of its own,
// which hides the entries of its parent, and stays after it is unmounted.
func Attach(fs binfmt.FS) (detach func() error, err error) { return attachSeeing(fs, false) }

// AttachToChange is Attach for who is to change what is there: that it cannot be mounted
// here is an error then, as others may have mounted it elsewhere, unless the kernel has none.
func AttachToChange(fs binfmt.FS) (detach func() error, err error) { return attachSeeing(fs, true) }

func attachSeeing(fs binfmt.FS, change bool) (detach func() error, err error) {
	if err := answers(fs); err != nil {
		return nil, err
	}
	if state, err := fs.State(); err != nil || state == binfmt.Mounted {
		return nothing, err
	}
	s, err := host.LookAround("/proc")
	if err != nil {
		return nothing, err
	}
	return attach(fs, s, change)
}

// attach is Attach, or AttachToChange, where the surroundings are known.
func attach(fs binfmt.FS, s host.Surroundings, change bool) (detach func() error, err error) {
	detach, _, err = attachOrNew(fs, s, func(err error) bool { return !change || absent(fs, err) })
	return detach, err
}

// attachToRemove is AttachToChange, or what that would do: a dry run needs no privilege.
func attachToRemove(fs binfmt.FS, s host.Surroundings, dryRun bool) (detach func() error, err error) {
	detach, _, err = attachOrNew(fs, s, func(err error) bool { return absent(fs, err) || dryRun && denied(err) })
	return detach, err
}

func denied(err error) bool { return errors.Is(err, os.ErrPermission) }

// attachOrNew is attach, and reports whether nobody had an instance: the one that was made to
// look is gone again, then. That it cannot be mounted may be ignored.
func attachOrNew(fs binfmt.FS, s host.Surroundings, ignored func(error) bool) (detach func() error, isNew bool, err error) {
	if state, err := fs.State(); err != nil || state == binfmt.Mounted || !s.InitialUser {
		return nothing, false, err
	}
	switch mounted, isNew, err := fresh(fs); {
	case err != nil && !ignored(err):
		return nothing, false, err
	case err != nil || !mounted:
		return nothing, false, nil
	case isNew:
		return nothing, true, fs.Unmount()
	}
	return fs.Unmount, false, nil
}

// absent reports whether mounting failed for a kernel without binfmt_misc, which also lacks
// the directory below /proc/sys.
func absent(fs binfmt.FS, err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT) && strings.HasPrefix(fs.Dir(), "/proc/sys/")
}

// mountOnHost mounts binfmt_misc in the host's mount namespace, where it stays,
// and here.
func (f *Facts) mountOnHost(fs binfmt.FS) (undo func() error, err error) {
	onHost := binfmt.New("")
	there, err := false, errors.New("the mount namespace of process 1 may not be looked at (CAP_SYS_PTRACE)")
	init := f.Surroundings.Init
	if init != "" {
		there, err = onHost.MountIn(init)
	}
	if err != nil {
		return nil, fmt.Errorf("%w, and it cannot be mounted for the host: %w", ErrNotLasting, err)
	}
	undo = nothing
	if there {
		undo = func() error { return onHost.UnmountIn(init) }
	}
	here, err := fs.Mount()
	if err != nil {
		return nil, errors.Join(err, undo())
	}
	if !here {
		return undo, nil
	}
	return func() error { return errors.Join(fs.Unmount(), undo()) }, nil
}
