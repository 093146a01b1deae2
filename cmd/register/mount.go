package main

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/internal/cli"
)

// clockTick is how much older than it is an inode may look: its time is that of
// the kernel's last tick, at most 10 ms ago.
const clockTick = 20 * time.Millisecond

// errNotLasting says that entries would be gone with this container.
var errNotLasting = errors.New("the host has not mounted binfmt_misc: what is registered from this container would be gone when it exits")

// mount mounts binfmt_misc where it is not, so that what is registered outlives
// this process, or says that it would not. Entries live in an instance, which
// lives until its last unmount: in a container, on a host that has not mounted
// it, that is when the container exits. The returned function undoes it.
func (r *registrar) mount(fs binfmt.FS) (undo func() error, err error) {
	none := func() error { return nil }
	if r.options.dryRun {
		return r.attach(fs)
	}
	if state, err := fs.State(); err != nil || state == binfmt.Mounted {
		return none, err
	}
	before := time.Now().Add(-clockTick)
	mounted, err := fs.Mount()
	if err != nil || !mounted {
		return none, err
	}
	made, err := fs.Made()
	if err != nil {
		return none, errors.Join(err, fs.Unmount())
	}
	if made.Before(before) {
		return fs.Unmount, nil // it is the host's, too
	}
	switch s := r.surroundings; {
	case s.InitialPID && s.OfInit:
		return fs.Unmount, nil
	case !s.InitialUser:
		cli.Warning(r.stderr, r.name, errors.New("this binfmt_misc belongs to the user namespace that register runs in: what is registered is seen there only, and is gone with the last mount of it"))
		return fs.Unmount, nil
	case s.InitialPID:
		if err := fs.Unmount(); err != nil {
			return none, err
		}
		return r.mountOnHost(fs)
	}
	return none, errors.Join(notLasting(r.name, fs), fs.Unmount())
}

// attach mounts binfmt_misc to read it, where it is not mounted: in a container
// that shows the host's, if the host has it. Where nobody has, or where that may
// not be done, there is nothing to read. The returned function undoes it.
func (r *registrar) attach(fs binfmt.FS) (detach func() error, err error) {
	none := func() error { return nil }
	if state, err := fs.State(); err != nil || state == binfmt.Mounted {
		return none, err
	}
	before := time.Now().Add(-clockTick)
	mounted, err := fs.Mount()
	if err != nil || !mounted {
		return none, nil
	}
	if made, err := fs.Made(); err != nil || !made.Before(before) {
		return none, errors.Join(err, fs.Unmount())
	}
	return fs.Unmount, nil
}

// mountOnHost mounts binfmt_misc in the host's mount namespace, where it stays,
// and here.
func (r *registrar) mountOnHost(fs binfmt.FS) (undo func() error, err error) {
	onHost := binfmt.New("")
	there, err := false, errors.New("the mount namespace of process 1 may not be looked at (CAP_SYS_PTRACE)")
	if r.surroundings.Init != "" {
		there, err = onHost.MountIn(r.surroundings.Init)
	}
	if err != nil {
		return nil, cli.WithHint(fmt.Errorf("%w, and it cannot be mounted for the host: %w", errNotLasting, err),
			"docker run --privileged --pid=host … can, or at least --cap-add SYS_PTRACE --cap-add SYS_CHROOT; or on the host, once: mount -t binfmt_misc binfmt_misc %s", binfmt.DefaultMount)
	}
	undo = func() error {
		if there {
			return onHost.UnmountIn(r.surroundings.Init)
		}
		return nil
	}
	here, err := fs.Mount()
	if err != nil {
		return nil, errors.Join(err, undo())
	}
	undoHost := undo
	return func() error {
		if here {
			return errors.Join(fs.Unmount(), undoHost())
		}
		return undoHost()
	}, nil
}

func notLasting(name string, fs binfmt.FS) error {
	return cli.WithHint(errNotLasting,
		"docker run --privileged --pid=host … lets %s mount it for the host; or on the host, once: mount -t binfmt_misc binfmt_misc %s. To have it in this container only: mount -t binfmt_misc binfmt_misc %s in here, then %s",
		name, binfmt.DefaultMount, fs.Dir(), name)
}

// explain adds to an error of the kernel what in these surroundings causes it,
// and what to do about that. An error has one cause at a time: when that is
// gone, the next one shows.
func explain(err error, s host.Surroundings) error {
	var failed *binfmt.Error
	if !errors.As(err, &failed) || !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EACCES) {
		return err
	}
	if failed.Op == "register" && failed.Written {
		return err // it is about the interpreter
	}
	const least = "--cap-add SYS_ADMIN --security-opt systempaths=unconfined --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
	hint := ""
	switch {
	case !s.SysAdmin && !s.InitialUser:
		hint = "it takes CAP_SYS_ADMIN over the user namespace in which this binfmt_misc was mounted"
	case !s.SysAdmin:
		hint = "it takes CAP_SYS_ADMIN: root of the host has it; in a container: docker run --privileged, or at least " + least
	case !s.InitialUser && s.Seccomp:
		hint = "this is a user namespace (rootless container, or userns-remap), and seccomp may deny mount: --security-opt seccomp=unconfined; the host's entries are its root's to make"
	case !s.InitialUser:
		hint = "this is a user namespace (rootless container, or userns-remap): the host's entries are its root's to make; entries of its own it can have since Linux 6.7"
	case s.SELinux != "":
		hint = fmt.Sprintf("SELinux confines this process (%s): docker run --security-opt label=disable", s.SELinux)
	case s.AppArmor != "":
		hint = fmt.Sprintf("AppArmor confines this process (%s): docker run --security-opt apparmor=unconfined", s.AppArmor)
	case s.Seccomp:
		hint = "a seccomp profile denies it: docker run --security-opt seccomp=unconfined"
	default:
		return err
	}
	return cli.WithHint(err, "%s", hint)
}
