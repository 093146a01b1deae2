package hosts

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/install"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/commands"
)

// A host is one file of testdata.
type host struct {
	name, title, arch string
	sources, notes    []string

	entries  []binfmt.Entry // in the order in which they are registered
	others   []string       // names of somebody else's, for other files
	machine  []string       // names of somebody else's, for programs of an architecture
	disabled []string       // names
}

// theirs are the names of all entries of somebody else's.
func (h *host) theirs() []string { return append(slices.Clone(h.others), h.machine...) }

// readHosts returns all hosts, by the names of their files.
func readHosts(t *testing.T) []*host {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.conf")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	var hosts []*host
	for _, path := range paths {
		text := commands.Read(t, path)
		h := &host{name: strings.TrimSuffix(filepath.Base(path), ".conf")}
		for line := range strings.Lines(text) {
			comment, ok := strings.CutPrefix(strings.TrimSpace(line), "# ")
			if !ok {
				continue
			}
			key, value, _ := strings.Cut(comment, ": ")
			switch {
			case h.title == "":
				h.title = comment
			case key == "architecture":
				h.arch = value
			case key == "source":
				h.sources = append(h.sources, value)
			case key == "note":
				h.notes = append(h.notes, value)
			case key == "others":
				h.others = strings.Fields(value)
			case key == "others-machine":
				h.machine = strings.Fields(value)
			case key == "disabled":
				h.disabled = strings.Fields(value)
			default:
				t.Fatalf("%s: unknown comment %q", path, comment)
			}
		}
		h.entries, err = binfmt.ParseConf(strings.NewReader(text))
		require.NoError(t, err, path)
		hosts = append(hosts, h)
	}
	return hosts
}

// The comments of each file are whole, and name entries that it has.
func TestFilesOfHostsAreWhole(t *testing.T) {
	hosts := readHosts(t)
	for _, h := range hosts {
		assert.NotEmpty(t, h.entries, h.name)
		assert.NotEmpty(t, h.sources, h.name)
		_, err := elfmagic.Lookup(h.arch)
		assert.NoError(t, err, h.name)
		var names []string
		for _, e := range h.entries {
			assert.NotContains(t, names, e.Name, h.name)
			names = append(names, e.Name)
		}
		assert.Subset(t, names, append(h.theirs(), h.disabled...), h.name)
		// What has QEMU's usual name for an architecture is the entry that register
		// keeps or replaces; all others are somebody else's.
		for _, name := range names {
			_, err := elfmagic.Lookup(strings.TrimPrefix(name, "qemu-"))
			assert.Equal(t, err == nil && strings.HasPrefix(name, "qemu-"), !slices.Contains(h.theirs(), name), "%s: %s", h.name, name)
		}
	}
	assert.GreaterOrEqual(t, len(hosts), 14)
}

// emulated are the architectures whose emulators are on every host: those of
// Debian 12's package, without the host's own family.
func emulated(t *testing.T) []*elfmagic.Arch {
	t.Helper()
	return slices.DeleteFunc(elfmagic.Archs(), func(arch *elfmagic.Arch) bool {
		return arch.Name == "i386" || arch.Name == "x86_64"
	})
}

// place makes the host's files below root and returns its entries with their
// paths there.
func (h *host) place(t *testing.T, root, idle string) []binfmt.Entry {
	t.Helper()
	link := func(to, path string) {
		t.Helper()
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		if err := os.Symlink(to, path); !os.IsExist(err) {
			require.NoError(t, err)
		}
	}
	var entries []binfmt.Entry
	for _, e := range h.entries {
		e.Interpreter = root + e.Interpreter
		to := idle
		if arch, err := elfmagic.Lookup(strings.TrimPrefix(e.Name, "qemu-")); err == nil && h.arch == runtime.GOARCH {
			to = commands.FindEmulator(t, arch).Path
		}
		link(to, e.Interpreter)
		entries = append(entries, e)
	}
	bin := filepath.Join(root, "usr/bin")
	for _, arch := range emulated(t) {
		name := filepath.Join(bin, "qemu-"+arch.Name)
		if _, err := os.Lstat(name); err != nil {
			link(commands.FindEmulator(t, arch).Path, name+"-static")
		}
	}
	return entries
}

// mustNotCapture fails if one of the entries is for programs of this machine: they
// would be run by a stand-in.
func mustNotCapture(t *testing.T, entries []binfmt.Entry) {
	t.Helper()
	self, err := elfmagic.Lookup(runtime.GOARCH)
	require.NoError(t, err)
	for _, e := range entries {
		require.False(t, install.MatchesAny(e, self), "%s is for this machine's own programs", e.Name)
	}
}
