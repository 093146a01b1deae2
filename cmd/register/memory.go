package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
)

// fuseMagic is FUSE_SUPER_MAGIC in the kernel's fs/fuse/inode.c.
const fuseMagic = 0x65735546

// onFUSE returns the emulators whose files a process serves, as fuse-overlayfs
// does for containers of Docker and Podman. With the F flag the kernel holds a
// file open, but opens it anew for each program: a file that has been deleted,
// with its image, is not to be opened by way of that process.
func onFUSE(emulators []*emulator.Emulator) []*emulator.Emulator {
	return slices.DeleteFunc(slices.Clone(emulators), func(e *emulator.Emulator) bool {
		var st unix.Statfs_t
		return unix.Statfs(e.Path, &st) != nil || uint32(st.Type) != fuseMagic
	})
}

// inMemory calls f on a thread that sees copies of the emulators in their
// places, which are in memory: what the kernel opens then, it keeps, whatever
// becomes of the files. If that cannot be had, f is called without, and a warning
// says so.
func (r *registrar) inMemory(emulators []*emulator.Emulator, f func() (*report, error)) (rep *report, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread has a mount namespace of its own for good: it is not
		// unlocked, and so ends with this goroutine.
		runtime.LockOSThread()
		if copyErr := copies(emulators); copyErr != nil {
			cli.Warning(r.stderr, r.name, cli.WithHint(
				fmt.Errorf("the emulators are on a FUSE file system, and cannot be kept in memory: %w", copyErr),
				"programs run as long as the image, and what serves its files, is there"))
		}
		rep, err = f()
	}()
	<-done
	return rep, err
}

// copies puts copies of the emulators into their places, for this thread.
func copies(emulators []*emulator.Emulator) error {
	sources := make([]*os.File, len(emulators))
	for i, e := range emulators {
		f, err := os.Open(e.Path)
		if err != nil {
			return err
		}
		defer f.Close()
		sources[i] = f
	}
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("cannot make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot make mounts private: %w", err)
	}
	var hidden []string
	for i, e := range emulators {
		dir := filepath.Dir(e.Path)
		if !slices.Contains(hidden, dir) {
			if err := unix.Mount("emulators", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
				return fmt.Errorf("cannot mount a tmpfs on %s: %w", dir, err)
			}
			hidden = append(hidden, dir)
		}
		copied, err := os.OpenFile(e.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
		if err != nil {
			return err
		}
		_, err = io.Copy(copied, sources[i])
		if err = errors.Join(err, copied.Close()); err != nil {
			return fmt.Errorf("cannot copy %s: %w", e.Path, err)
		}
	}
	return nil
}
