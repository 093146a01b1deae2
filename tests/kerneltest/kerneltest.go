// Package kerneltest runs a package's tests against a real kernel: in a
// binfmt_misc of their own, which nobody else sees, first as root if the
// caller is root, then as an ordinary user.
package kerneltest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/private"
)

// phase is the environment variable that tells a test binary where it runs.
const phase = "TEST_PHASE"

const (
	asUser  = "user"    // an ordinary user, still outside
	inside  = "inside"  // a private instance
	outside = "outside" // without one
)

// errUnavailable is why there is no private instance.
var errUnavailable error = errors.New("this is not one")

// nobody is a user without any privilege.
const nobody = 65534

// Main is what TestMain calls; its result is the exit status.
func Main(m *testing.M) int {
	private.Main()
	switch os.Getenv(phase) {
	case inside:
		ours = device(binfmt.New(""))
		return tested(m)
	case outside:
		return tested(m)
	case asUser:
		return run(asPrivate())
	}
	if fuzzing() {
		os.Setenv(phase, outside)
		return tested(m) // a fuzzing coordinator talks to workers that it starts itself
	}
	if err := private.Available(context.Background()); err != nil {
		return without(m, err)
	}
	status := run(asPrivate())
	if os.Geteuid() == 0 {
		status = max(status, run(asNobody()))
	}
	return status
}

// tested runs the tests. Signals that their caller ignores, as nohup does, are not
// ignored in the programs that they start: those get them as on a terminal.
func tested(m *testing.M) int {
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	return m.Run()
}

// Outside has Main run the tests as who calls them, once, and not in an instance: for
// what a user namespace cannot do.
func Outside() {
	errUnavailable = errors.New("these tests have none")
	os.Setenv(phase, outside)
}

// without runs the tests where a private instance is unavailable: those that call
// Need are skipped, if the kernel is older or this process may not make user
// namespaces. Whatever else it is, is a failure.
func without(m *testing.M, reason error) int {
	if !errors.Is(reason, errors.ErrUnsupported) {
		fmt.Fprintln(os.Stderr, "a private instance should be available here:", reason)
		return 1
	}
	errUnavailable = reason
	os.Setenv(phase, outside)
	return tested(m)
}

// Need skips a test that needs a private instance where it is unavailable.
func Need(t testing.TB) {
	t.Helper()
	if os.Getenv(phase) != inside {
		t.Skip("needs a kernel that can be changed: ", errUnavailable)
	}
}

// NeedUsers skips a test that needs root, and other users in this namespace.
func NeedUsers(t testing.TB) {
	t.Helper()
	ids, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 || strings.HasSuffix(strings.TrimSpace(string(ids)), " 1") {
		t.Skip("needs root, and a second user in this user namespace")
	}
}

// Instance returns the private instance, without any entry and enabled before and after
// the test, or skips the test as Need does.
func Instance(t testing.TB) binfmt.FS {
	t.Helper()
	Need(t)
	fs := binfmt.New("")
	if now := device(fs); now != ours {
		t.Fatalf("%s is not the private instance: a test has unmounted that, and uncovered the machine's", fs.Dir())
	}
	clear := func() {
		t.Helper()
		enable := os.WriteFile(filepath.Join(fs.Dir(), "status"), []byte("1"), 0)
		entries, err := fs.List()
		unread, err := binfmt.Unread(err)
		err = errors.Join(enable, err)
		for name := range unread {
			err = errors.Join(err, fs.Remove(name))
		}
		for _, e := range entries {
			err = errors.Join(err, fs.Remove(e.Name))
		}
		if err != nil {
			t.Fatal("cannot clear the private instance: ", err)
		}
	}
	clear()
	t.Cleanup(clear)
	return fs
}

// Elsewhere returns the private instance as Instance does, mounted once more: on a directory of
// the test's own, for tests that unmount it. In its usual place that would uncover the machine's.
func Elsewhere(t testing.TB) binfmt.FS {
	t.Helper()
	Instance(t)
	fs := binfmt.New(t.TempDir())
	if _, err := fs.Mount(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fs.Unmount(); err != nil && !errors.Is(err, binfmt.ErrNotMounted) {
			t.Error(err)
		}
	})
	return fs
}

// ours is the private instance, as device tells it from the machine's.
var ours uint64

type runner interface{ Run() error }

func run(r runner) int {
	err := r.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode()
	}
	fmt.Fprintln(os.Stderr, "tests as another process:", err)
	return 1
}

// asNobody runs this test binary as an ordinary user. The files that the go
// command reads afterwards are the first run's to write.
func asNobody() *exec.Cmd {
	args := slices.DeleteFunc(slices.Clone(os.Args[1:]), func(arg string) bool {
		return strings.HasPrefix(arg, "-test.testlogfile=") || strings.HasPrefix(arg, "-test.coverprofile=") || strings.HasPrefix(arg, "-test.gocoverdir=")
	})
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), phase+"="+asUser)
	runAsNobody(cmd)
	return cmd
}

// asPrivate runs this test binary in an instance of its own.
func asPrivate() *private.Cmd {
	cmd := private.Command(context.Background(), nil, "/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), phase+"="+inside)
	return cmd
}

// fuzzing reports whether the go command was asked to fuzz.
func fuzzing() bool {
	for _, arg := range os.Args[1:] {
		if strings.HasPrefix(arg, "-test.fuzz=") || strings.HasPrefix(arg, "-test.fuzzworker") {
			return true
		}
	}
	return false
}
