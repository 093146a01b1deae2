package commands

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/workdir"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/tests/guests"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// judged is the environment variable that names a directory of emulators which
// the tests use before those that are installed.
const judged = "TEST_EMULATORS"

// copyJudged puts the emulators that are to be used beside the commands, which
// look there first. A symbolic link would not do: the kernel names what it leads
// to.
func copyJudged(dir string) error {
	from := os.Getenv(judged)
	if from == "" {
		return nil
	}
	from, err := filepath.Abs(from)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(from, "qemu-*"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s=%s: no emulators there", judged, from)
	}
	for _, file := range files {
		err = errors.Join(err, copyEmulator(file, filepath.Join(dir, filepath.Base(file))))
	}
	return err
}

// copyEmulator makes no link: each that another package makes or removes changes
// the file's ctime, and register then takes what it registered for old.
func copyEmulator(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o755)
}

// copyNewer puts newer emulators beside the commands where those installed crash
// i386's programs with threads, or all of an architecture's. Where they cannot be
// fetched, the tests that need them are skipped.
func copyNewer(dir string) error {
	native, err := host.Native(context.Background())
	if err != nil || os.Getenv(judged) != "" {
		return err
	}
	for _, name := range []string{"i386", "microblazeel"} {
		arch, err := elfmagic.Lookup(name)
		if err != nil {
			return err
		}
		found, err := Search().Find(arch)
		if err != nil || slices.Contains(native, arch) || guests.CrashesThreads(arch, found) == "" && found.Useless() == nil {
			continue // not installed, not needed, or new enough
		}
		cache, err := workdir.Cache("stock")
		var newer *emulator.Emulator
		if err == nil {
			newer, err = guests.StockEmulator(context.Background(), cache, arch)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "no newer emulator of %s: %v\n", arch, err)
			continue
		}
		if err := copyEmulator(newer.Path, filepath.Join(dir, "qemu-"+name+"-static")); err != nil {
			return err
		}
	}
	return nil
}

// Search is the commands' own.
func Search() *emulator.Search {
	self, _ := elfmagic.Lookup(runtime.GOARCH)
	dirs := append([]string{Dir()}, emulator.DefaultDirs()...)
	return &emulator.Search{Dirs: dirs, Static: true, Native: []*elfmagic.Arch{self}}
}

// NeedInstalled skips a test of where emulators are found.
func NeedInstalled(t testing.TB) {
	t.Helper()
	if os.Getenv(judged) != "" {
		t.Skip("it is of emulators that are installed, and " + judged + " names others")
	}
}

// FindEmulator returns the emulator of an architecture that the commands would
// use, or skips.
func FindEmulator(t testing.TB, arch *elfmagic.Arch) *emulator.Emulator {
	t.Helper()
	found, err := Search().Find(arch)
	if errors.Is(err, emulator.ErrMissing) {
		t.Skip(err)
	}
	require.NoError(t, err)
	if err := found.Useless(); err != nil {
		t.Skip(err)
	}
	return found
}

// FindEmulatorForThreads skips as well if programs with threads crash in it.
func FindEmulatorForThreads(t testing.TB, arch *elfmagic.Arch) *emulator.Emulator {
	t.Helper()
	found := FindEmulator(t, arch)
	if reason := guests.CrashesThreads(arch, found); reason != "" {
		t.Skip(reason)
	}
	return found
}

// Foreigners skips where one of arm64 and s390x is native, or has no emulator,
// and returns programs of both that start others.
func Foreigners(t testing.TB) (arm64, s390x string) {
	t.Helper()
	for _, goarch := range []string{"arm64", "s390x"} {
		arch := kerneltest.Lookup(t, goarch)
		if kerneltest.Native(t, arch) {
			t.Skip(goarch, " is native here")
		}
		FindEmulator(t, arch)
	}
	return GoProgram(t, "starter", "arm64"), GoProgram(t, "starter", "s390x")
}

// TwoVersions returns two directories with an emulator of the same name, which
// are the same but for the version that they say they are.
func TwoVersions(t testing.TB, arch *elfmagic.Arch) (dirs [2]string, versions [2]string) {
	t.Helper()
	found := FindEmulator(t, arch)
	for i, digit := range []string{"7", "8"} {
		dirs[i] = t.TempDir()
		number, rest, _ := strings.Cut(found.Version, " ")
		changed := number[:len(number)-1] + digit
		versions[i] = strings.TrimSpace(changed + " " + rest)
		line := "qemu-" + arch.Name + " version "
		CopyFile(t, found.Path, filepath.Join(dirs[i], "qemu-"+arch.Name+"-static"), line+number, line+changed)
	}
	return dirs, versions
}
