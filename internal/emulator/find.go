package emulator

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/embedded"
)

// A Search says where emulators are looked for, and which serve.
type Search struct {
	// Embedded is asked first: what is in a command is what it was made with.
	Embedded *embedded.Archive

	// Dirs are looked through in order.
	Dirs []string

	// Unnamed says that nobody named Dirs: root passes over what others may change
	// there.
	Unnamed bool

	// Prefix and Suffix surround the name of the file: Prefix + "qemu-aarch64" +
	// Suffix. With a nil Suffix both usual ones are tried, "-static" and none.
	Prefix string
	Suffix *string

	// Static asks for emulators that need no loader.
	Static bool

	// Native are the architectures that the host runs; an emulator must be
	// for one of them. None: it may be for any.
	Native []*elfmagic.Arch
}

// DefaultSearch is the search for what nobody has named.
func DefaultSearch() Search {
	return Search{Embedded: embedded.Emulators(), Dirs: DefaultDirs(), Unnamed: true}
}

// BesideDir is where, beside a command, there are emulators for hosts of its
// own architecture: emulators/amd64.
func BesideDir(goarch string) string { return filepath.Join("emulators", goarch) }

// DefaultDirs returns where emulators are looked for unless told otherwise:
// beside the running command, whose emulators are those that it was shipped
// with, then /usr/bin and PATH.
func DefaultDirs() []string {
	var dirs []string
	if self, err := os.Executable(); err == nil {
		dir := filepath.Dir(self)
		beside := filepath.Join(dir, BesideDir(runtime.GOARCH))
		if _, err := os.Stat(beside); err == nil {
			dirs = append(dirs, beside) // else each search would look there in vain
		}
		dirs = append(dirs, dir)
	}
	dirs = append(dirs, "/usr/bin")
	dirs = append(dirs, filepath.SplitList(os.Getenv("PATH"))...)
	var list []string
	for _, dir := range dirs {
		// A relative directory of PATH would register whatever lies there.
		if filepath.IsAbs(dir) && !slices.Contains(list, dir) {
			list = append(list, dir)
		}
	}
	return list
}

// names returns the file names of an architecture's emulator, the preferred
// one first.
func (s *Search) names(a *elfmagic.Arch) []string {
	name := s.Prefix + EntryName(a)
	if s.Suffix != nil {
		return []string{name + *s.Suffix}
	}
	return []string{name + "-static", name}
}

// EntryName returns the name under which the architecture's emulator is
// registered with the kernel by convention, "qemu-aarch64": that of its file,
// without the suffix of static builds.
func EntryName(a *elfmagic.Arch) string { return "qemu-" + a.Name }

// Find returns the first emulator for the architecture that serves. If there
// is none it says what is wrong with the first that was found, or that none
// was, as an *Error.
func (s *Search) Find(a *elfmagic.Arch) (*Emulator, error) { return s.find(a, true) }

// Locate is Find without reading the version.
func (s *Search) Locate(a *elfmagic.Arch) (*Emulator, error) { return s.find(a, false) }

// inside returns an emulator that is embedded.
func inside(c *embedded.Emulator) *Emulator {
	e := &Emulator{Arch: c.Arch, Host: c.Host, Embedded: c, Version: c.Version}
	var st unix.Stat_t
	if unix.Stat("/proc/self/exe", &st) == nil {
		e.Changed = time.Unix(st.Ctim.Unix()) // with the command
	}
	return e
}

func (s *Search) find(a *elfmagic.Arch, version bool) (*Emulator, error) {
	if c := s.Embedded.Find(a); c != nil {
		return inside(c), nil
	}
	var first error
	for _, dir := range s.Dirs {
		for _, name := range s.names(a) {
			path := filepath.Join(dir, name)
			f, err := openFile(path)
			if err == unix.ENOENT { // as of most
				continue
			}
			e, err := s.opened(a, path, f, err, version)
			if err == nil {
				return e, nil
			}
			if first == nil && !(len(s.Dirs) > 1 && hidden(path)) {
				first = err
			}
		}
	}
	if first == nil {
		first = &Error{
			Arch: a,
			Err:  fmt.Errorf("%w: no %s in %s", ErrMissing, strings.Join(s.names(a), " or "), strings.Join(s.Dirs, ":")),
			hint: "{install}, or name others with {option}",
		}
	}
	return nil, first
}

// hidden reports whether the caller may not look into a file's directory. Of
// several, such as another user's in PATH, it is passed over, as shells do.
func hidden(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, os.ErrPermission)
}

func join(archs []*elfmagic.Arch) string {
	var names []string
	for _, a := range archs {
		names = append(names, a.Name)
	}
	return strings.Join(names, " and ")
}
