package probes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/workdir"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/tests/guests"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

func TestMain(m *testing.M) {
	private.Main()
	if text := os.Getenv(orderVariable); text != "" {
		if err := obey(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	status := m.Run()
	if !kept.Check() {
		status = 1
	}
	os.Exit(status)
}

// kept is how the emulators to judge keep translations, once [prepare] was called.
var kept guests.KeptTranslations

// without is the name of the same emulators when they keep none.
const without = "without"

// targets are QEMU's that Debian has a cross compiler for, those that most people
// have first.
var targets = []string{
	"aarch64", "x86_64", "arm", "s390x", "ppc64le", "riscv64", "i386",
	"alpha", "hppa", "m68k", "mips", "mips64", "mips64el", "mipsel", "ppc", "ppc64", "sh4", "sparc64",
}

// A contestant is an emulator that runs the battery.
type contestant struct {
	name string // as in the table
	path string
}

// settings are what the environment asks for.
type settings struct {
	judged guests.Set
	stock  []guests.Set
	via    string // what runs the emulators, or empty
	only   []string
	work   string
}

var prepare = sync.OnceValues(func() (settings, error) {
	s := settings{judged: guests.Set{Name: "ours", Path: os.Getenv("TEST_EMULATORS")}, via: os.Getenv("TEST_VIA")}
	if families := os.Getenv("TEST_PROBES_ONLY"); families != "" {
		s.only = strings.Split(families, ",")
	}
	for _, dir := range filepath.SplitList(os.Getenv("TEST_STOCK")) {
		s.stock = append(s.stock, guests.Set{Path: dir})
	}
	mode := os.Getenv("TEST_TRANSLATIONS")
	if mode != "" {
		s.stock = []guests.Set{{Name: without, Path: s.judged.Path}}
	}
	if len(s.stock) == 0 {
		cache, err := workdir.Cache("stock")
		if err != nil {
			return s, err
		}
		s.stock, err = guests.StockEmulators(context.Background(), cache)
		if err != nil {
			return s, err
		}
		if len(s.stock) > 2 { // the oldest and the newest
			s.stock = []guests.Set{s.stock[0], s.stock[len(s.stock)-1]}
		}
	}
	// Not in a cache directory: an ordinary user may not look into root's.
	s.work = filepath.Join(os.TempDir(), fmt.Sprint("go-build-probes-", os.Getuid()))
	if err := os.MkdirAll(s.work, 0o755); err != nil {
		return s, err
	}
	var err error
	kept, err = guests.KeepTranslations(mode, s.work, nobody)
	return s, err
})

// find returns a set's emulator for a target, where any user may read it.
func (s settings) find(t *testing.T, set guests.Set, arch *elfmagic.Arch, dir string) (contestant, bool) {
	t.Helper()
	c := contestant{name: set.Name}
	if s.via != "" { // it is for another host: it cannot be asked for its version
		c.path = filepath.Join(set.Path, "qemu-"+arch.Name+"-static")
	} else {
		e, err := set.Find(arch)
		if errors.Is(err, emulator.ErrMissing) {
			return c, false
		}
		require.NoError(t, err)
		c.path = e.Path
		if c.name == "" {
			version, _, _ := strings.Cut(e.Version, " ")
			c.name = "QEMU " + version
		}
	}
	if _, err := os.Stat(c.path); err != nil {
		return c, false
	}
	copied := filepath.Join(dir, "qemu-"+arch.Name+"-"+strings.ReplaceAll(c.name, " ", "-"))
	require.NoError(t, guests.Place(c.path, copied))
	c.path = copied
	return c, true
}

// contestants are the target's stock emulators, and those to judge at last.
func (s settings) contestants(t *testing.T, arch *elfmagic.Arch, dir string) (list []contestant, judged bool) {
	t.Helper()
	if s.via == "" {
		for _, set := range s.stock {
			if c, found := s.find(t, set, arch, dir); found {
				list = append(list, c)
			}
		}
	}
	c, judged := s.find(t, s.judged, arch, dir)
	if judged {
		list = append(list, c)
	}
	return list, judged
}

// knownUnderAnother is what fails where an emulator runs under another, by what that one does.
var knownUnderAnother = known{
	{[]string{"*"}, "thread/robust_owner_killed", "E7", false, "the list of mutexes does not get to the kernel: the outer emulator has none, or puts the inner one elsewhere, as both are linked for one address"},
	{[]string{"*"}, "proc/command_line_of_other", "-", false, namesOfOthers},
	{[]string{"*"}, "proc/exe_of_other", "-", false, namesOfOthers},
}

const namesOfOthers = "an emulator takes itself out of what /proc says of another process, and not the one that is run by it"

// entries has the battery run by an emulator, and that by another if it has to be.
func (s settings) entries(t *testing.T, c contestant, dir string) []binfmt.Entry {
	t.Helper()
	list := []binfmt.Entry{entry(c.path)}
	if s.via == "" {
		return list
	}
	// The kernel hands a file on through one interpreter only (fs/exec.c, exec_binprm), and what it says of argv[0]
	// reaches the first emulator only.
	list[0].Flags = binfmt.FixBinary
	head, err := os.ReadFile(c.path)
	require.NoError(t, err)
	for _, arch := range elfmagic.Archs() {
		if pattern := arch.Pattern(); pattern.Match(head) {
			via := filepath.Join(dir, "via")
			require.NoError(t, guests.Place(s.via, via))
			return append(list, binfmt.Entry{Name: "via", Pattern: pattern, Interpreter: via, Flags: binfmt.PreserveArgv0 | binfmt.FixBinary})
		}
	}
	t.Fatalf("%s is for no host that is known", c.path)
	return nil
}

// natives are what this machine's kernel made of the battery, by architecture.
var natives = map[string]results{}

// native returns the results on this machine's own architecture, or its 32-bit one
// for a 32-bit target.
func (s settings) native(t *testing.T, arch *elfmagic.Arch) results {
	t.Helper()
	self := kerneltest.Lookup(t, runtime.GOARCH)
	if narrow := kerneltest.Lookup(t, "i386"); arch.Class == narrow.Class && self.Name == "x86_64" && kerneltest.Native(t, narrow) {
		self = narrow
	}
	if r, done := natives[self.Name]; done {
		return r
	}
	r, err := s.run(t, self, nil, nil)
	require.NoError(t, err)
	for _, name := range slices.Sorted(maps.Keys(r)) {
		switch r[name].Status {
		case passed, unsupported, elsewhere:
		default:
			t.Errorf("natively (%s) %s: %s", self.Name, name, r[name])
		}
	}
	natives[self.Name] = r
	return r
}

// run builds and runs an architecture's programs.
func (s settings) run(t *testing.T, arch *elfmagic.Arch, entries []binfmt.Entry, env []string) (results, error) {
	t.Helper()
	programs, err := build(t.Context(), arch, filepath.Join(s.work, arch.Name), s.only)
	if errors.Is(err, errNoCompiler) {
		t.Skip(err)
	}
	require.NoError(t, err)
	o := order{programs, s.work, 1, env}
	if s.via != "" && len(entries) > 0 {
		o.Patience = 4 // with one emulator in another
	}
	return runAll(t.Context(), o, entries)
}

// expected are the probes that pass natively, and those that only the target has.
func expected(native, target results) []string {
	var names []string
	for name, r := range target {
		n, known := native[name]
		if known && n.Status != passed || r.Status == elsewhere || !known && r.Status == unsupported {
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// What Linux does, emulators do, but for what is known.
func TestProbes(t *testing.T) {
	if os.Getenv("TEST_EMULATORS") == "" {
		t.Skip("TEST_EMULATORS names no directory of emulators to prove: make test-emulators")
	}
	if err := private.Available(t.Context()); err != nil {
		t.Skip("the battery needs a private instance: ", err)
	}
	s, err := prepare()
	require.NoError(t, err)
	list := readKnown(t)
	for _, target := range targets {
		t.Run(target, func(t *testing.T) { s.testTarget(t, kerneltest.Lookup(t, target), list) })
	}
}

func (s settings) testTarget(t *testing.T, arch *elfmagic.Arch, list known) {
	dir, err := os.MkdirTemp(s.work, "emulators-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	defer os.RemoveAll(dir)
	contestants, hasJudged := s.contestants(t, arch, dir)
	if len(contestants) == 0 {
		t.Skipf("there is no emulator for %s", arch.Name)
	}
	native := s.native(t, arch)
	var all []results
	var ran []contestant
	for _, c := range contestants {
		var env []string
		if c.name == s.judged.Name {
			env = kept.Env()
		}
		r, err := s.run(t, arch, s.entries(t, c, dir), env)
		if err != nil {
			t.Logf("%s: %v", c.name, err)
			if c == contestants[len(contestants)-1] && hasJudged {
				t.Errorf("%s does not run the battery", c.name)
			}
			continue
		}
		all, ran = append(all, r), append(ran, c)
	}
	if len(all) == 0 {
		t.Skip("no emulator runs the programs: they end before main (", arch.Name, ")")
	}
	target := make(results)
	for _, r := range all {
		maps.Copy(target, r)
	}
	names := expected(native, target)
	row := targetRow{}
	for i, c := range ran {
		row.add(c.name, names, all[i])
		t.Logf("%s, %s: %d of %d", arch.Name, c.name, row.Runs[i].total(), len(names))
	}
	if hasJudged {
		if s.via != "" {
			list = append(list, knownUnderAnother...)
		}
		judge(t, arch.Name, names, ran, all, list)
	}
	if kerneltest.Updating() && s.via == "" && len(s.only) == 0 && kept.Mode == "" {
		update(t, arch.Name, row)
	}
}

// judge fails for what the last emulator does wrong and nobody knows of.
func judge(t *testing.T, target string, names []string, ran []contestant, all []results, list known) {
	t.Helper()
	judged := all[len(all)-1]
	for _, name := range names {
		k, isKnown := list.find(target, name)
		r := judged.of(name)
		if kept.Mode != "" && r.Status != passed && all[0].of(name).Status == passed && !k.sometimes {
			t.Errorf("%s: %s; without translations that are kept it passes", name, r)
			continue
		}
		switch {
		case r.Status == passed && isKnown && !k.sometimes:
			t.Logf("%s passes now: testdata/known has it (%s)", name, k.fault)
		case r.Status == passed:
		case isKnown:
			t.Logf("known: %s (%s): %s", name, k.fault, r)
		default:
			var by []string
			for i, c := range ran[:len(ran)-1] {
				if all[i].of(name).Status == passed {
					by = append(by, c.name)
				}
			}
			note := ""
			if len(by) > 0 {
				note = " (" + strings.Join(by, ", ") + ": passes)"
			}
			t.Errorf("%s: %s%s", name, r, note)
		}
	}
}
