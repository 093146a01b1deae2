package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/carry"
	"github.com/projectcalico/go-build/internal/cli"
)

// rootPath is PATH in a root file system: what Debian's login gives root.
const rootPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// rootEnvironment returns the environment of a command in a root file system:
// the caller's, but for what names files that are not there.
func rootEnvironment(environment []string) []string {
	kept := slices.DeleteFunc(slices.Clone(environment), func(v string) bool {
		key, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"PATH", "HOME", "TMPDIR", "PWD", "OLDPWD", "LD_LIBRARY_PATH", "LD_PRELOAD", "QEMU_LD_PREFIX"}, key)
	})
	kept = append(kept, "PATH="+rootPath, "HOME=/root")
	if carry.Embedded() != nil {
		kept = append(kept, "CROSSRUN_CACHE=off") // nothing is put into the system
	}
	return kept
}

// findIn looks a command up in a root file system.
func findIn(root, command string) (string, error) {
	candidates, hint := []string{command}, "name the file as it is called below that directory"
	if !strings.Contains(command, "/") {
		candidates, hint = nil, "install it there, or name its file: PATH is "+rootPath
		for _, dir := range filepath.SplitList(rootPath) {
			candidates = append(candidates, filepath.Join(dir, command))
		}
	}
	for _, path := range candidates {
		if onHost, err := within(root, path); err == nil {
			if _, err := exec.LookPath(onHost); err == nil || path == command {
				return path, nil
			}
		}
	}
	return "", notFound(cli.WithHint(fmt.Errorf("%s: not found in %s", command, root), "%s", hint))
}

// within returns where a path of a root file system leads: its symbolic links,
// absolute ones too, stay below it. The host's own root is empty.
func within(root, path string) (string, error) {
	if root == "" {
		return path, nil
	}
	dir, err := unix.Open(root, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: root, Err: err}
	}
	defer unix.Close(dir)
	fd, err := unix.Openat2(dir, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	if err != nil {
		return "", &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	return os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
}
