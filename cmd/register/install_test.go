package main

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// registrarFor is one with the options of a command line.
func registrarFor(t testing.TB, args ...string) *registrar {
	t.Helper()
	o := parsed(t, args...)
	archs, err := o.architectures()
	require.NoError(t, err)
	return &registrar{name: name, options: o, archs: archs, stderr: t.Output()}
}

func TestFlagsOfEntriesFollowFromOptionsKernelAndEmulator(t *testing.T) {
	const old, new = "5.2.0 (Debian 1:5.2)", "7.2.0"
	both := features{fixBinary: true, preserveArgv0: true}
	for _, test := range []struct {
		args     string
		features features
		version  string
		want     string
	}{
		{"", both, new, "PF"},
		{"", both, old, "F"},
		{"", both, "", "F"},
		{"", features{fixBinary: true}, new, "F"},
		{"", features{preserveArgv0: true}, new, "P"},
		{"", features{}, new, ""},
		{"-g yes", features{}, old, "P"},
		{"-g yes", both, "", "PF"},
		{"-g no", both, new, "F"},
		{"-c yes", both, new, "POCF"},
		{"-c yes -g no", both, new, "OCF"},
		{"-c yes", features{}, old, "OC"},
		{"-p yes", both, new, "PF"},
		{"-p no", features{preserveArgv0: true}, new, "P"}, // features has no F then
	} {
		arch := lookup(t, "arm64")
		e := &emulator.Emulator{Arch: arch, Path: "/opt/qemu", Version: test.version}
		entries, err := registrarFor(t, strings.Fields(test.args)...).entries([]*emulator.Emulator{e}, test.features)
		require.NoError(t, err)
		require.Len(t, entries, 1)
		assert.Equal(t, test.want, entries[0].Flags.String(), "%+v", test)
		assert.Equal(t, "qemu-aarch64", entries[0].Name)
		assert.Equal(t, "/opt/qemu", entries[0].Interpreter)
		assert.True(t, arch.Pattern().Equal(entries[0].Pattern))
	}
}

func TestEntriesAreInTheOrderOfTheirEmulatorsAndAllAreChecked(t *testing.T) {
	r := registrarFor(t)
	r.options.qemuPrefix = "my-"
	emulators := []*emulator.Emulator{
		{Arch: lookup(t, "s390x"), Path: "/opt/qemu-s390x"}, {Arch: lookup(t, "arm64"), Path: "relative"}, {Arch: lookup(t, "arm"), Path: "/line\nfeed"},
	}
	entries, err := r.entries(emulators, features{})
	require.Len(t, entries, 3)
	for i, want := range []string{"my-qemu-s390x", "my-qemu-aarch64", "my-qemu-arm"} {
		assert.Equal(t, want, entries[i].Name)
	}
	assert.ErrorContains(t, err, `entry "my-qemu-aarch64": interpreter "relative" is not an absolute path`)
	assert.ErrorContains(t, err, `entry "my-qemu-arm": `)
}

func TestEmulatorsAreSearchedForAsTheOptionsSay(t *testing.T) {
	t.Setenv("QEMU_BIN_DIR", "")
	search := registrarFor(t).search()
	assert.Equal(t, emulator.DefaultDirs(), search.Dirs)
	assert.True(t, search.Static)
	assert.Nil(t, search.Suffix)
	assert.Empty(t, search.Prefix)
	for _, persistent := range []string{"auto", "yes"} {
		assert.True(t, registrarFor(t, "-p", persistent).search().Static)
	}

	r := registrarFor(t, "-p", "no", "-Q", "/opt/qemu", "-F", "-odd")
	r.options.qemuPrefix = "my-"
	search = r.search()
	assert.Equal(t, []string{"/opt/qemu"}, search.Dirs)
	assert.False(t, search.Static, "it need not bring its libraries with it")
	assert.Equal(t, "-odd", *search.Suffix)
	assert.Equal(t, "my-", search.Prefix)
	assert.Equal(t, "/opt/qemu/my-qemu-aarch64-odd", r.elsewhere(lookup(t, "arm64")).Path)
	assert.Equal(t, "/usr/bin/qemu-aarch64-static", registrarFor(t).elsewhere(lookup(t, "arm64")).Path)
	assert.Equal(t, "/usr/bin/qemu-aarch64", registrarFor(t, "--qemu-suffix=").elsewhere(lookup(t, "arm64")).Path)
}

// entry is one that others made.
func entry(name string, pattern elfmagic.Pattern) binfmt.Entry {
	return binfmt.Entry{Name: name, Pattern: pattern, Interpreter: "/other"}
}

func TestAnEntryIsTheArchitecturesByItsNameAndByItsPattern(t *testing.T) {
	arch := lookup(t, "arm64")
	own := arch.Pattern()
	debian := arch.Pattern()
	debian.Mask[7] = 0xff // stricter; /usr/lib/binfmt.d has the like
	exact := arch.Pattern()
	exact.Mask[16] = 0xff // for executables, not for shared objects
	for _, test := range []struct {
		entry binfmt.Entry
		own   bool
	}{
		{entry("qemu-aarch64", own), true},
		{entry("qemu-aarch64", debian), true},
		{entry("qemu-aarch64", exact), true},
		{entry("qemu-aarch64", elfmagic.Pattern{Magic: []byte("\x7fELF")}), true},
		{entry("qemu-aarch64.new", own), true},
		{entry("qemu-aarch64.new2", own), true},
		{entry("qemu-aarch64.old", own), false},
		{entry("qemu-aarch64_be", own), false},
		{entry("FEX-aarch64", own), false},
		{entry("my-qemu-aarch64", own), false},
		{entry("qemu-aarch64", lookup(t, "arm").Pattern()), false},
		{entry("qemu-aarch64", elfmagic.Pattern{Magic: []byte("MZ")}), false},
		{binfmt.Entry{Name: "qemu-aarch64", Extension: "py", Interpreter: "/python"}, false},
	} {
		r := registrarFor(t)
		assert.Equal(t, test.own, r.isOwn(test.entry, arch), "%+v", test.entry)
		disabled := test.entry
		disabled.Disabled = true
		assert.Equal(t, test.own, r.isOwn(disabled, arch), "whether it is enabled does not matter")
		prefixed := test.entry
		prefixed.Name = "my-" + prefixed.Name
		r.options.qemuPrefix = "my-"
		assert.Equal(t, test.own, r.isOwn(prefixed, arch), "%+v", prefixed)
	}
	for name, peer := range map[string]bool{"qemu-aarch64": true, "qemu-": true, "qemu": false, "my-qemu-arm": false, "python3": false} {
		assert.Equal(t, peer, isPeerName(name), name)
	}
}

func TestWhatOthersEntriesAreForIsLeftToThem(t *testing.T) {
	arm64, s390x := lookup(t, "arm64"), lookup(t, "s390x")
	disabled := entry("FEX", arm64.Pattern())
	disabled.Disabled = true
	all := entry("all", elfmagic.Pattern{Magic: []byte("\x7fELF")})
	for name, test := range map[string]struct {
		current []binfmt.Entry
		left    map[string]string // architecture: why
	}{
		"nothing is there":          {},
		"our own":                   {current: []binfmt.Entry{entry("qemu-aarch64", arm64.Pattern())}},
		"our own, temporary":        {current: []binfmt.Entry{entry("qemu-aarch64.new3", arm64.Pattern())}},
		"for other programs":        {current: []binfmt.Entry{entry("FEX", lookup(t, "amd64").Pattern()), {Name: "py", Extension: "py", Interpreter: "/python"}}},
		"disabled":                  {current: []binfmt.Entry{disabled}},
		"for the same programs":     {current: []binfmt.Entry{entry("FEX", arm64.Pattern())}, left: map[string]string{"aarch64": "FEX (/other) is for the same programs"}},
		"behind our own":            {current: []binfmt.Entry{entry("qemu-aarch64", arm64.Pattern()), entry("FEX", arm64.Pattern())}, left: map[string]string{"aarch64": "FEX (/other) is for the same programs"}},
		"for all programs":          {current: []binfmt.Entry{all}, left: map[string]string{"aarch64": "all (/other) is for the same programs", "s390x": "all (/other) is for the same programs"}},
		"several: the newest is it": {current: []binfmt.Entry{entry("new", s390x.Pattern()), entry("old", s390x.Pattern())}, left: map[string]string{"s390x": "new (/other) is for the same programs"}},
	} {
		for _, named := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, named=%t", name, named), func(t *testing.T) {
				var args []string
				if named {
					args = []string{"arm64", "s390x"}
				}
				r := registrarFor(t, args...)
				rep := &report{}
				byName := make(map[string]*row)
				var desired []binfmt.Entry
				for _, arch := range []*elfmagic.Arch{arm64, s390x} {
					byName[emulator.EntryName(arch)] = rep.row(arch)
					desired = append(desired, entry(emulator.EntryName(arch), arch.Pattern()))
				}
				rest := r.leaveToOthers(rep, byName, desired, test.current)
				assert.Len(t, desired, 2)
				assert.NotEmpty(t, desired[1].Name, "the caller's list is left as it was")
				for _, row := range rep.Rows {
					wanted := false
					for _, e := range rest {
						wanted = wanted || e.Name == emulator.EntryName(row.arch)
					}
					reason, left := test.left[row.Arch]
					assert.Equal(t, left, !wanted, row.Arch)
					if !left {
						assert.Empty(t, row.Action)
						assert.NoError(t, row.err)
						continue
					}
					assert.Equal(t, "skip", row.Action)
					assert.Equal(t, reason, row.Reason)
					assert.Equal(t, strings.Fields(reason)[0], row.leftTo)
					if named {
						assert.EqualError(t, row.err, row.Platform+": not registered: "+reason)
						assert.Equal(t, "--force registers in front of it", cli.Hint(row.err))
					} else {
						assert.NoError(t, row.err, "nobody asked for it")
					}
				}
			})
		}
	}
}

// Without probes, the times tell whether the kernel holds the file that is there.
func TestEntriesThatAreOlderThanTheirEmulatorAreStale(t *testing.T) {
	arch := lookup(t, "arm64")
	registered := time.Unix(1000, 0)
	e := entry("qemu-aarch64", arch.Pattern())
	e.Flags = binfmt.FixBinary
	for name, test := range map[string]struct {
		changed time.Time
		change  func(current *binfmt.Entry)
		flags   binfmt.Flags
		stale   bool
	}{
		"the file is older":          {changed: registered.Add(-time.Second)},
		"of the same moment":         {changed: registered},
		"the file is newer":          {changed: registered.Add(time.Nanosecond), stale: true},
		"it is to be changed anyway": {changed: registered.Add(time.Second), change: func(c *binfmt.Entry) { c.Interpreter = "/another" }},
		"another entry":              {changed: registered.Add(time.Second), change: func(c *binfmt.Entry) { c.Name = "FEX" }},
		"without F":                  {changed: registered.Add(time.Second), change: func(c *binfmt.Entry) { c.Flags = 0 }},
	} {
		for _, flag := range []string{"--no-probe", "--dry-run"} {
			desired, current := e, e
			current.Registered = registered
			if test.change != nil {
				test.change(&current)
			}
			if name == "without F" {
				desired.Flags = 0
			}
			emulators := []*emulator.Emulator{{Arch: lookup(t, "s390x")}, {Arch: arch, Path: "/other", Changed: test.changed}}
			r := registrarFor(t, flag)
			stale := r.stale(t.Context(), &report{}, nil, emulators, []binfmt.Entry{desired}, []binfmt.Entry{entry("z", arch.Pattern()), current})
			if test.stale {
				assert.Equal(t, map[string]string{"qemu-aarch64": "the emulator's file changed after it was registered"}, stale, name)
			} else {
				assert.Empty(t, stale, name)
			}
		}
	}
}

func TestWhyAProgramDidNotRunIsSaidInWords(t *testing.T) {
	for _, test := range []struct {
		err        error
		text, hint string
	}{
		{syscall.ENOEXEC, "does not run: the kernel knows no entry for it", "--status"},
		{fmt.Errorf("wrapped: %w", syscall.ENOENT), "does not run: the entry's interpreter is missing", "no F flag"},
		{syscall.ELOOP, "does not run: the entry's interpreter is itself taken by an entry", "this host's own programs"},
		{&tinyelf.RunError{Status: 1 << 8, Stderr: "oops"}, "does not run: exit status 1 instead of 42: oops", "by hand"},
		{&tinyelf.RunError{Status: syscall.WaitStatus(syscall.SIGSEGV)}, "does not run: killed by SIGSEGV", "by hand"},
		{errors.New("no luck"), "does not run: no luck", "by hand"},
	} {
		row := (&report{}).row(lookup(t, "arm64"))
		row.failToRun(test.err)
		assert.Equal(t, test.text, row.Error)
		assert.EqualError(t, row.err, "linux/arm64: "+test.text)
		assert.Contains(t, cli.Hint(row.err), test.hint)
	}
}

func TestInParallelCallsForEachOnce(t *testing.T) {
	for _, n := range []int{0, 1, 100} {
		calls := make([]atomic.Int32, n)
		inParallel(n, func(i int) { calls[i].Add(1) })
		for i := range calls {
			assert.Equal(t, int32(1), calls[i].Load())
		}
	}
}
