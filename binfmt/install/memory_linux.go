package install

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/file"
	"github.com/projectcalico/go-build/internal/thread"
)

// inMemory is for emulators on FUSE. With the F flag the kernel holds a file open,
// but opens it anew for each program: a file that has been deleted, with its
// image, is not to be opened by way of the process that served it.
//
// It calls f on a thread that sees copies of the emulators in their
// places, which are in memory: what the kernel opens then, it keeps, whatever
// becomes of the files. If that fails, f is called without, and warn is told.
func inMemory[T any](paths []string, warn func(error), f func() (T, error)) (result T, err error) {
	thread.Own(func() { // its mount namespace is for good
		if err := copies(paths); err != nil {
			warn(fmt.Errorf("%w: %w", ErrOnFUSE, err))
		}
		result, err = f()
	})
	return result, err
}

// enoughMemory returns an error if copies of the files do not fit into what the
// control group of this process may use: the kernel would kill it, without a word.
func enoughMemory(paths []string, cgroups string) error {
	need := int64(32 << 20) // what this program needs itself
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil {
			need += info.Size()
		}
	}
	limit, ok := memoryLimit(cgroups)
	if !ok || need <= limit {
		return nil
	}
	return &worded{fmt.Sprintf("%d emulators are on a FUSE file system, and are to be kept in memory: %d MiB, where this container may use %d MiB", len(paths), need>>20, limit>>20), ErrNoMemory}
}

// memoryLimit returns how many bytes of memory the control group of this process may
// use, if that is limited: in a container, whose own control group is the root of
// what is mounted (cgroup_namespaces(7)). It reads memory.max of version 2, or
// memory/memory.limit_in_bytes of version 1, which is near the largest number if
// there is no limit.
func memoryLimit(cgroups string) (limit int64, ok bool) {
	for _, name := range []string{"memory.max", "memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(filepath.Join(cgroups, name))
		if err != nil {
			continue
		}
		limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		return limit, err == nil // "max" is no number
	}
	return 0, false
}

// copies puts copies of the emulators into their places, for this thread.
func copies(paths []string) error {
	sources := make([]*os.File, len(paths))
	for i, path := range paths {
		f, err := file.OpenRegular(path)
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
	for i, path := range paths {
		dir := filepath.Dir(path)
		if !slices.Contains(hidden, dir) {
			if err := unix.Mount("emulators", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
				return fmt.Errorf("cannot mount a tmpfs on %s: %w", dir, err)
			}
			hidden = append(hidden, dir)
		}
		copied, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
		if err != nil {
			return err
		}
		_, err = io.Copy(copied, sources[i])
		if err = errors.Join(err, copied.Close()); err != nil {
			return fmt.Errorf("cannot copy %s: %w", path, err)
		}
	}
	return nil
}
