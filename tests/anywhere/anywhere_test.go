package anywhere

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

func TestMain(m *testing.M) {
	private.Main()
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	if os.Getenv("TEST_ANYWHERE") == "" {
		return m.Run() // the test says why it is skipped
	}
	dir, err := commands.Build()
	defer os.RemoveAll(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// A check is a row of a table.
type check struct {
	name, title string
	root        bool // it changes the root directory
	long        bool // it takes minutes, and on a virtual machine hours
	native      bool // its first program is native
	sysroots    bool // and what that starts is dynamically linked
}

// not returns why a check is not run with some emulators on a host in a way, or nothing.
func (c check) not(set string, h host, way string) string {
	switch {
	case c.root && !h.root:
		return "chroot(2) takes root"
	case c.native && way == "--handed-on":
		return "the first program is native"
	case c.sysroots && way == "--private" && set == "stock":
		return "only the first program's architecture has a sysroot"
	case c.long && h.small:
		return "takes hours here"
	case c.long && way == "--direct":
		return "not tried"
	}
	return ""
}

func checks() []check {
	list := []check{
		{name: "tree", title: "arm64 → s390x → " + runtime.GOARCH + " → `#!` script of arm64's Python"},
		{name: "native-first", title: "a native shell: arm64 and s390x in a pipe, then that script", native: true, sysroots: true},
		{name: "make", title: "`make check` of zlib, cross-built", native: true},
	}
	for _, goarch := range goarchs {
		list = append(list, check{name: "gotest:" + goarch, title: "Go's tests of " + strings.Join(packages, ", ") + ": " + goarch, long: true})
	}
	return append(list,
		check{name: "cgo", title: "`go test` with cgo, for arm64", long: true, native: true, sysroots: true},
		check{name: "debootstrap", title: "debootstrap's second stage, arm64", root: true, long: true},
		check{name: "apt", title: "`apt-get install` of 50 packages in it", root: true, long: true})
}

// ways are the columns.
var ways = []string{"--private", "--handed-on", "--watched", "--direct"}

// A column is what is run in a way.
type column struct {
	way    string
	checks []check
}

// batches returns what is run on a host at a time: a way, or on one that has to be
// booted all of them.
func batches(set string, h host, only string) (list [][]column) {
	for _, way := range ways {
		if way == "--handed-on" && set == "stock" {
			continue // they do not hand anything on
		}
		c := column{way, slices.DeleteFunc(checks(), func(c check) bool {
			return c.not(set, h, way) != "" || !matches(only, set, h.name, way, c.name)
		})}
		switch {
		case len(c.checks) == 0:
		case h.small && list != nil:
			list[0] = append(list[0], c)
		default:
			list = append(list, []column{c})
		}
	}
	return list
}

// A batch is run at a time.
type batch struct {
	set     string // of emulators
	host    host
	columns []column
}

// plan returns all that is run.
func plan(sets []string, only string) (list []batch) {
	for _, set := range sets {
		for _, h := range hosts() {
			for _, columns := range batches(set, h, only) {
				list = append(list, batch{set, h, columns})
			}
		}
	}
	return list
}

// has reports whether one of these checks is in it.
func has(list []batch, names ...string) bool {
	return slices.ContainsFunc(list, func(b batch) bool {
		return slices.ContainsFunc(b.columns, func(c column) bool {
			return slices.ContainsFunc(c.checks, func(c check) bool { return slices.Contains(names, c.name) })
		})
	})
}

func TestAnywhere(t *testing.T) {
	if os.Getenv("TEST_ANYWHERE") == "" {
		t.Skip("runs trees of foreign programs on several kinds of hosts, which takes an hour: make test-anywhere")
	}
	if os.Geteuid() != 0 {
		t.Skip("becomes an ordinary user, and makes systems of Debian's: root does")
	}
	only := os.Getenv("TEST_ANYWHERE_ONLY") // "docker|here/--watched/!gotest": parts of names, to look at some
	sets := []string{"stock"}
	if os.Getenv("TEST_EMULATORS") != "" {
		sets = []string{"built", "stock"}
	}
	list := plan(sets, only)
	require.NotEmpty(t, list, "TEST_ANYWHERE_ONLY=%s", only)
	b := makeBundle(t, list)
	if slices.ContainsFunc(list, func(b batch) bool { return strings.HasPrefix(b.host.name, "docker") }) {
		makeImage(t)
	}
	stock := b.place(t, "stock", func(goarch string) string { return installedEmulator(t, goarch) })
	for _, goarch := range goarchs {
		if has(list, "gotest:"+goarch) {
			b.passes(t, stock, goarch)
		}
	}
	if dir := os.Getenv("TEST_EMULATORS"); dir != "" {
		b.place(t, "built", func(goarch string) string {
			found, err := filepath.Glob(filepath.Join(dir, "qemu-"+kerneltest.Lookup(t, goarch).Name+"*"))
			require.NoError(t, err)
			if len(found) == 0 {
				t.Logf("%s is not there: Debian's emulator is used", goarch)
				return installedEmulator(t, goarch)
			}
			return found[0]
		})
	}
	t.Log("the bundle is made")
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	require.NoError(t, err)
	known := readResults(t)
	for _, batch := range list {
		argv, name := []string{b.path("run")}, batch.set+"/"+batch.host.name
		for _, c := range batch.columns {
			name += "/" + c.way
			argv = append(argv, "way:"+c.way, available)
			for _, c := range c.checks {
				argv = append(argv, c.name)
			}
		}
		t.Run(name, func(t *testing.T) {
			env := []string{"W=" + b.dir, "COMMAND=" + b.path(batch.set, "crossrun"), "NATIVE=" + runtime.GOARCH, "GOROOT=" + strings.TrimSpace(string(goroot))}
			out := batch.host.run(t, b, env, argv...)
			cells := parse(t, out)
			for _, c := range batch.columns {
				if cells[c.way][available] == "" {
					assert.Len(t, cells[c.way], len(c.checks), "%s", out)
				}
				for name, cell := range cells[c.way] {
					if cell == "fails" && (name == available || !mayFail(batch.set, c.way)) {
						delete(cells[c.way], name) // a fault, which is not to be written down
						assert.Fail(t, name+" fails", "%s", out)
					} else if cell == "fails" {
						t.Logf("%s fails, which is a result: %s", name, out)
					}
				}
				known.add(t, batch.set, batch.host.name, c.way, cells[c.way])
			}
		})
	}
	t.Logf("stock emulators: Debian's, QEMU %s", version(t, b))
	known.write(t)
}

// The page is written of what was kept, also when nothing is run.
func TestThePageHasTheResults(t *testing.T) { readResults(t).write(t) }

// matches reports whether all words between the slashes are in the names, or one of
// several that are between bars, but those that follow an exclamation mark.
func matches(only string, names ...string) bool {
	for words := range strings.SplitSeq(only, "/") {
		words, not := strings.CutPrefix(words, "!")
		found := slices.ContainsFunc(strings.Split(words, "|"), func(word string) bool {
			return strings.Contains(strings.Join(names, " "), word)
		})
		if only != "" && found == not {
			return false
		}
	}
	return true
}

// installedEmulator returns the emulator that is installed, whatever TEST_EMULATORS names.
func installedEmulator(t *testing.T, goarch string) string {
	t.Helper()
	search := emulator.Search{Dirs: emulator.DefaultDirs(), Static: true, Native: []*elfmagic.Arch{kerneltest.Lookup(t, runtime.GOARCH)}}
	found, err := search.Find(kerneltest.Lookup(t, goarch))
	if errors.Is(err, emulator.ErrMissing) {
		t.Skip(err)
	}
	require.NoError(t, err)
	require.False(t, found.HandsOn(), "%s is one of ours", found.Path)
	return found.Path
}

// version returns that of Debian's emulators.
func version(t *testing.T, b bundle) string {
	t.Helper()
	out := command(t, ".", nil, b.path("stock", "qemu-aarch64-static"), "--version")
	return strings.Fields(strings.TrimPrefix(out, "qemu-aarch64 version "))[0]
}

// available is the check before all others. Its cell is why the way is unavailable, if
// it is.
const available = "available"

// mayFail reports whether a failure is a result: in the way that runs the first program
// only, and with emulators that are not ours.
func mayFail(set, way string) bool { return set == "stock" || way == "--direct" }

func TestAFailureIsAFaultWithOurEmulatorsOnly(t *testing.T) {
	assert.False(t, mayFail("built", "--watched"))
	assert.True(t, mayFail("built", "--direct"))
	assert.True(t, mayFail("stock", "--watched"))
	out := "@@ way:--watched\n@@ tree\t0\t1\tright\n@@ make\t2\t9\tstopped\n@@ apt\t77\t0\tstarter-arm64: no chroot\n"
	want := map[string]map[string]string{"--watched": {"tree": "passes", "make": "fails", "apt": "– no chroot"}}
	assert.Equal(t, want, parse(t, out))
}

// parse reads what run said, and returns what goes into the cells of each way.
func parse(t *testing.T, out string) map[string]map[string]string {
	t.Helper()
	cells, way := map[string]map[string]string{}, ""
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		_, name, ok := strings.Cut(fields[0], "@@ ") // a console has more on its line
		if !ok {
			continue
		}
		if flag, ok := strings.CutPrefix(name, "way:"); ok {
			way, cells[flag] = flag, map[string]string{}
		}
		if len(fields) < 4 || way == "" {
			continue
		}
		status, last := fields[1], fields[3]
		t.Logf("%s: exit status %s after %s s: %s", name, status, fields[2], last)
		switch {
		case status == "0" && name == available:
		case status == "0":
			cells[way][name] = "passes"
		case status == "77":
			_, last, _ = strings.Cut(last, "starter-arm64: ")
			cells[way][name] = "– " + last
		default:
			cells[way][name] = "fails"
		}
	}
	return cells
}

// results are the cells by emulators, host, way and check. They are kept in a file, so
// that a part of the tables can be tried by itself.
type results map[string]map[string]map[string]map[string]string

const resultsFile = "testdata/results.json"

func readResults(t *testing.T) results {
	t.Helper()
	r := results{}
	if text, err := os.ReadFile(resultsFile); err == nil {
		require.NoError(t, json.Unmarshal(text, &r))
	}
	return r
}

// add compares cells with those that are known, or replaces these.
func (r results) add(t *testing.T, set, host, way string, cells map[string]string) {
	t.Helper()
	if r[set] == nil {
		r[set] = map[string]map[string]map[string]string{}
	}
	if r[set][host] == nil {
		r[set][host] = map[string]map[string]string{}
	}
	known := r[set][host][way]
	if !kerneltest.Updating() {
		for name, cell := range cells {
			assert.Equal(t, known[name], cell, "%s: -update writes it", name)
		}
	}
	if known == nil || cells[available] != "" || known[available] != "" {
		known = map[string]string{}
	}
	maps.Copy(known, cells)
	r[set][host][way] = known
	if kerneltest.Updating() {
		r.save(t) // what follows may take hours, and be broken off
	}
}

// What is as it was is no failure, also of a way that is unavailable.
func TestResultsAreComparedBeforeTheyAreReplaced(t *testing.T) {
	if kerneltest.Updating() {
		t.Skip("would be written to the file")
	}
	known := map[string]map[string]string{"--private": {available: "– denied"}, "--watched": {"tree": "passes", "make": "passes"}}
	r := results{"built": {"here": known}}
	r.add(t, "built", "here", "--private", map[string]string{available: "– denied"})
	r.add(t, "built", "here", "--watched", map[string]string{"tree": "passes"})
	assert.Equal(t, map[string]string{"tree": "passes", "make": "passes"}, known["--watched"])
	assert.Equal(t, map[string]string{available: "– denied"}, known["--private"])
}

// save writes the file.
func (r results) save(t *testing.T) {
	t.Helper()
	text, err := json.MarshalIndent(r, "", "\t")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(resultsFile, append(text, '\n'), 0o644))
}

// write writes or compares the file and the page.
func (r results) write(t *testing.T) {
	t.Helper()
	if kerneltest.Updating() {
		r.save(t)
	}
	var text strings.Builder
	text.WriteString(introduction)
	for _, set := range []string{"built", "stock"} {
		fmt.Fprintf(&text, "\n## With %s\n", map[string]string{"stock": "Debian's emulators", "built": "emulators of our own"}[set])
		for _, h := range hosts() {
			table(&text, set, h, r[set][h.name])
		}
	}
	kerneltest.Golden(t, "../../../docs/anywhere.md", text.String())
}

// table writes one: a row for each check, a column for each way, tried or not.
func table(text *strings.Builder, set string, h host, results map[string]map[string]string) {
	fmt.Fprintf(text, "\n### %s\n\n%s.\n\n", h.name, h.note)
	var flags []string
	for _, way := range ways {
		switch r := results[way]; {
		case way == "--handed-on" && set == "stock":
		case r[available] != "":
			fmt.Fprintf(text, "`%s` is unavailable: %s.\n\n", way, strings.TrimPrefix(r[available], "– "))
		default:
			flags = append(flags, way)
		}
	}
	text.WriteString("| |")
	for _, flag := range flags {
		fmt.Fprintf(text, " `%s` |", flag)
	}
	text.WriteString("\n| --- |" + strings.Repeat(" --- |", len(flags)) + "\n")
	for _, c := range checks() {
		if c.long && h.small || c.root && !h.root {
			continue
		}
		row := ""
		for _, flag := range flags {
			cell := results[flag][c.name]
			if cell == "" {
				cell = "– " + cmp.Or(c.not(set, h, flag), "not tried")
			}
			row += " " + cell + " |"
		}
		fmt.Fprintf(text, "| %s |%s\n", c.title, row)
	}
}

const introduction = `# Whole trees, anywhere

Which trees of foreign programs crossrun runs on which kinds of hosts, by which of its ways. ` + "`make test-anywhere`" + ` runs
them, and compares with this page, which ` + "`TESTFLAGS=-update`" + ` writes. What is run is in
[tests/anywhere/testdata/checks](../tests/anywhere/testdata/checks). ` + "`--direct`" + ` runs the first program only, and that by an
emulator, also a native one, which takes one of the host's architecture. It is there to show what fails without the other ways. In
those a failure with our emulators is a fault, and fails the test; with Debian's it is a result, and the table says so.

Go's tests are those that pass in a private instance on this kernel and, on the same host, natively. What takes minutes is not
tried with ` + "`--direct`" + `, nor in virtual machines without hardware support, where it takes hours. The rows of debootstrap and apt are
where one is root, which chroot(2) takes.
`
