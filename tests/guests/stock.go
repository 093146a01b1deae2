package guests

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/workdir"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/file"
)

// A Set is a directory of emulators, or the file of one.
type Set struct{ Name, Path string }

// Find returns the set's emulator for an architecture.
func (s Set) Find(arch *elfmagic.Arch) (*emulator.Emulator, error) {
	if info, err := os.Stat(s.Path); err == nil && !info.IsDir() {
		return emulator.Open(arch, s.Path)
	}
	path, err := filepath.Abs(s.Path)
	if err != nil {
		return nil, err
	}
	self, err := elfmagic.Lookup(runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	search := emulator.Search{Dirs: []string{path}, Native: []*elfmagic.Arch{self}}
	return search.Find(arch)
}

// Version returns the number of the first version that is found.
func (s Set) Version() string {
	for _, arch := range elfmagic.Archs() {
		if e, err := s.Find(arch); err == nil && e.Version != "" {
			version, _, _ := strings.Cut(e.Version, " ")
			return version
		}
	}
	return ""
}

// Place copies an emulator to where any user may read it: root's cache is for root.
func Place(emulator, path string) error {
	content, err := os.ReadFile(emulator)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, content, 0o755)
}

// CrashesThreads says why an emulator crashes programs with threads, as all of
// Go's are, if it does.
func CrashesThreads(arch *elfmagic.Arch, e *emulator.Emulator) string {
	// Until QEMU 8 i386's threads share one table of descriptors, and with it their
	// thread-local storage.
	if major, _, ok := e.Release(); arch.Name == "i386" && ok && major < 8 {
		return fmt.Sprintf("QEMU %s crashes i386 programs with threads; QEMU 8 and newer do not", e.Version)
	}
	return ""
}

// stockSuites have emulators that are newer than those of bookworm.
var stockSuites = []string{"trixie", "sid"}

// StockEmulators returns Debian's static emulators: those that are installed,
// and those of newer releases, which are fetched into a directory, once.
func StockEmulators(ctx context.Context, dir string) ([]Set, error) {
	var sets []Set
	known := make(map[string]bool)
	add := func(path string) {
		s := Set{Path: path}
		if s.Name = s.Version(); s.Name != "" && !known[s.Name] {
			known[s.Name] = true
			sets = append(sets, s)
		}
	}
	add("/usr/bin")
	self, err := elfmagic.Lookup(runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	if len(self.Debian) == 0 {
		return sets, nil
	}
	for _, suite := range stockSuites {
		s, err := fetched(ctx, self, suite, dir)
		if err != nil {
			return nil, err
		}
		add(s.Path)
	}
	return sets, nil
}

// StockEmulator returns an architecture's static emulator of the first newer
// release of Debian's, which is fetched into a directory, once.
func StockEmulator(ctx context.Context, dir string, arch *elfmagic.Arch) (*emulator.Emulator, error) {
	s, err := SuiteEmulators(ctx, dir, stockSuites[0])
	if err != nil {
		return nil, err
	}
	return s.Find(arch)
}

// SuiteEmulators returns the static emulators of one of Debian's suites, which are
// fetched into a directory, once.
func SuiteEmulators(ctx context.Context, dir, suite string) (Set, error) {
	self, err := elfmagic.Lookup(runtime.GOARCH)
	if err != nil {
		return Set{}, err
	}
	if len(self.Debian) == 0 {
		return Set{}, fmt.Errorf("%s is no port of Debian's", self)
	}
	return fetched(ctx, self, suite, dir)
}

// fetched returns the emulators of a suite for a host.
func fetched(ctx context.Context, host *elfmagic.Arch, suite, dir string) (Set, error) {
	dir = filepath.Join(dir, suite)
	s := Set{Path: filepath.Join(dir, "usr/bin")}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return s, err
	}
	unlock, err := file.Lock(ctx, dir+".lock", func() {}) // of packages that are tested side by side
	if err != nil {
		return s, err
	}
	defer unlock()
	if _, err := os.Stat(s.Path); err == nil {
		return s, nil
	}
	if err := fetch(ctx, host.Debian[0].Name, suite, dir); err != nil {
		return s, fmt.Errorf("emulators of Debian %s: %w", suite, err)
	}
	return s, nil
}

func fetch(ctx context.Context, port, suite, dir string) error {
	cache, err := workdir.Cache("apt")
	if err != nil {
		return err
	}
	apt, err := debian.Open(cache, port, suite)
	if err != nil {
		return err
	}
	if err := apt.Update(ctx); err != nil {
		return err
	}
	p, err := apt.StaticEmulators(ctx)
	if err != nil {
		return err
	}
	deb, err := apt.Download(ctx, p.Name, p.Version)
	if err != nil {
		return err
	}
	partial := dir + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	if err := debian.Unpack(ctx, deb, partial); err != nil {
		return err
	}
	return os.Rename(partial, dir)
}
