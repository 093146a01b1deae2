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

	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/embedded"
)

// rootPath is PATH in a root file system: what Debian's login gives root.
const rootPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// rootEnvironment returns the environment of a command in a root file system: a
// login's, of the caller's what says how to talk to it, to the network and to the
// emulator, and what is asked for: NAME=VALUE, or NAME with the caller's value. The
// rest may name the caller's files (GOROOT, JAVA_HOME, SSH_AUTH_SOCK).
func rootEnvironment(caller, asked []string) []string {
	env := []string{"PATH=" + rootPath, "HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh"}
	for _, v := range caller {
		key, _, _ := strings.Cut(v, "=")
		switch lower := strings.ToLower(key); {
		case strings.HasPrefix(key, "QEMU_LD_PREFIX"), strings.HasPrefix(key, tbCache), key == "QEMU_LOG_FILENAME":
		case strings.HasPrefix(key, "LC_"), strings.HasPrefix(key, "QEMU_"),
			slices.Contains([]string{"TERM", "COLORTERM", "NO_COLOR", "LANG", "LANGUAGE", "TZ", "DEBIAN_FRONTEND", "SOURCE_DATE_EPOCH"}, key),
			slices.Contains([]string{"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"}, lower):
			env = append(env, v)
		}
	}
	if embedded.Emulators() != nil {
		env = append(env, "CROSSRUN_CACHE=off") // nothing is put into the system
	}
	for _, v := range asked {
		key, _, whole := strings.Cut(v, "=")
		for _, has := range caller {
			if name, _, _ := strings.Cut(has, "="); !whole && name == key {
				v, whole = has, true
			}
		}
		if whole {
			env = changed(env, []string{v})
		}
	}
	return env
}

// inhabitants says which users a root file system has, and why not more.
func inhabitants(i *private.Instance) string {
	users, why := i.Users()
	if why != nil {
		users += fmt.Sprintf(" (%v)", why)
	}
	return "with " + users
}

// pathOf returns PATH in an environment.
func pathOf(env []string) (path string) {
	for _, v := range env {
		if value, is := strings.CutPrefix(v, "PATH="); is {
			path = value
		}
	}
	return path
}

// findIn looks a command up in a root file system, in whose root directory it begins.
func findIn(root, searched, command string) (string, error) {
	candidates, hint := []string{command}, "name the file as it is called below that directory"
	if !strings.Contains(command, "/") {
		candidates, hint = nil, "install it there, or name its file: PATH is "+searched
		for _, dir := range filepath.SplitList(searched) {
			candidates = append(candidates, filepath.Join("/", dir, command))
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
	fd, err := openWithin(root, path)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
}

// openWithin opens what a path of a root file system leads to, by O_PATH.
func openWithin(root, path string) (int, error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: root, Err: err}
	}
	defer unix.Close(dir)
	fd, err := unix.Openat2(dir, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}
