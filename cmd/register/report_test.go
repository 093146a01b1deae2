package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/binfmt/install"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// everything is a report that has everything in it that a report can have.
func everything(t *testing.T) *report {
	rep := reportOutcomes(&install.Facts{Kernel: binfmt.KernelVersion{Major: 6, Minor: 18}, Mount: "/proc/sys/fs/binfmt_misc", Native: []string{"x86_64", "i386"}, Surroundings: host.Surroundings{InitialUser: true}}, nil, &options{})
	add := func(name, flags, version string) *row {
		row := rep.row(lookup(t, name))
		row.Entry, row.Flags = emulator.EntryName(row.arch), flags
		row.Emulator, row.Version = "/usr/bin/qemu-"+row.Arch+"-static", version
		return row
	}
	holds := func(row *row, path, version string, current, deleted bool) {
		row.Runs = new(true)
		row.Holds = &install.Held{Path: path, Version: version, Current: current, Deleted: deleted}
	}

	r := add("arm64", "PF", "10.0.2 (Debian 1:10.0.2+ds-2)")
	r.Action, r.Reason = "keep", "registered already"
	holds(r, r.Emulator, "10.0.2 (Debian 1:10.0.2+ds-2)", true, false)
	r.Holds.Digest = "sha256:" + strings.Repeat("0", 64)

	r = add("alpha", "POCF", "10.0.2")
	r.Action, r.Reason = "add", "not registered"
	holds(r, r.Emulator, "10.0.2", true, false)

	r = add("armhf", "F", "5.2.0")
	r.Action, r.Reason = "replace", `flags "F" instead of "PF"`
	holds(r, r.Emulator, "5.2.0", true, false)

	r = add("hppa", "PF", "10.0.2")
	r.Action = "remove"

	r = add("loong64", "PF", "10.0.2")
	r.Action, r.Reason = "skip", "an entry of this name is for other files"
	r.fail(cli.WithHint(errors.New("not registered: an entry of this name is for other files"), "--force replaces the entry"))

	r = add("m68k", "PF", "10.0.2")
	r.Action, r.Reason, r.Runs = "skip", "rosetta (/rosetta) is for the same programs", new(true)

	r = add("mips", "PF", "10.0.2")
	r.Action, r.Reason, r.Runs = "add", "undone", new(false)
	r.fail(cli.WithHint(errors.New("does not run: exit status 1 instead of 42: qemu: oops"), "run the emulator by hand to see why; --qemu-path names others"))

	r = add("mips64", "P", "")
	r.Action, r.Reason, r.elsewhere = "add", "not registered", true

	r = add("mips64el", "P", "")
	r.Action, r.Reason, r.elsewhere = "skip", "an entry of this name is for other files", true

	// What --status says has no action.
	r = add("ppc", "PF", "10.0.2")
	holds(r, "/opt/qemu-ppc", "7.2.0", false, false)
	r = add("ppc64", "PF", "10.0.2")
	holds(r, r.Emulator, "7.2.0", false, true)
	r = add("ppc64le", "PF", "")
	holds(r, r.Emulator, "7.2.0 (Debian 1:7.2)", false, true)
	r = add("riscv64", "PF", "10.0.2")
	holds(r, r.Emulator, "", true, true)
	r = add("s390x", "PF", "10.0.2")
	r.Reason, r.Runs = "disabled", new(false)
	r.fail(cli.WithHint(errors.New("its entry is disabled"), "whoever disabled it may have had a reason"))
	r = rep.row(lookup(t, "i386"))
	r.Reason, r.Runs = "native", new(true)
	r = add("sh4", "PF", "10.0.2")
	r.Reason = "disabled" // and not probed
	r = add("sparc64", "PF", "10.0.2")
	r.Action, r.Reason, r.Runs = "replace", undone, new(false)
	r.fail(cli.WithHint(errors.New("does not run: killed by SIGSEGV"), "run the emulator by hand to see why; --qemu-path names others"))
	add("xtensa", "F", "10.0.2") // not probed

	rep.Removed = []removal{{"qemu-cris", "remove", "not wanted"}, {"qemu-aarch64.new", "remove", "left by a run that was interrupted"}}
	rep.Others = []other{
		{Entry: "rosetta", Interpreter: "/rosetta", Flags: "POCF", Enabled: true, Catches: []string{"linux/amd64", "linux/386"}},
		{Entry: "FEX", Interpreter: "/usr/bin/FEX", Catches: []string{"linux/amd64"}},
	}
	return rep
}

// finished is a report as it is printed, of a kernel that does not change.
func finished(rep *report) *report {
	slices.SortFunc(rep.Rows, func(a, b *row) int { return strings.Compare(a.Arch, b.Arch) })
	rep.finish(nil)
	rep.Kernel = "6.18"
	return rep
}

func written(t *testing.T, rep *report, form string) string {
	t.Helper()
	var out strings.Builder
	require.NoError(t, rep.write(&out, form == "json", cli.Screen{}))
	return out.String()
}

func TestReportsSayWhatWasDoneAndSeen(t *testing.T) {
	rep := finished(everything(t))
	assert.False(t, rep.OK)
	kerneltest.Golden(t, "report.txt", written(t, rep, "table"))
	kerneltest.Golden(t, "report.json", written(t, rep, "json"))

	dry := everything(t)
	dry.dryRun = true
	kerneltest.Golden(t, "dry-run.txt", written(t, finished(dry), "table"))
}

// A usual report is one of which all is well.
func usual(t *testing.T) *report {
	rep := &report{Mounted: true}
	runs := true
	for _, name := range []string{"arm64", "arm", "s390x", "ppc64le", "microblazeel", "sparc32plus"} {
		arch := lookup(t, name)
		r := rep.row(arch)
		r.Entry, r.Flags, r.Emulator, r.Version = "qemu-"+arch.Name, "POF", "/usr/bin/qemu-"+arch.Name+"-static", "10.0.11 (Debian 1:10.0.11)"
		r.Action, r.Runs = "add", &runs
	}
	return rep
}

// On a terminal the table fits it; nothing that is said is lost.
func TestReportsFitTheTerminal(t *testing.T) {
	for name, rep := range map[string]*report{"usual": finished(usual(t)), "everything": finished(everything(t))} {
		for _, columns := range []int{60, 80, 120} {
			var out strings.Builder
			require.NoError(t, rep.write(&out, false, cli.Screen{Columns: columns}))
			kerneltest.Golden(t, fmt.Sprintf("screen/%s-%d.txt", name, columns), out.String())
			for line := range strings.Lines(out.String()) {
				assert.Less(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), columns, line)
			}
			for _, row := range rep.Rows {
				assert.Contains(t, out.String(), row.Platform)
				assert.Contains(t, out.String(), filepath.Base(row.Emulator))
			}
		}
		var out strings.Builder
		require.NoError(t, rep.write(&out, false, cli.Screen{Columns: 80, Colour: true}))
		kerneltest.Golden(t, fmt.Sprintf("screen/%s-colour.txt", name), strings.ReplaceAll(out.String(), "\x1b", "ESC"))
	}
}

func TestReportsAreReadBackAsTheyWereWritten(t *testing.T) {
	rep := finished(everything(t))
	var again report
	require.NoError(t, json.Unmarshal([]byte(written(t, rep, "json")), &again))
	assert.Equal(t, written(t, rep, "json"), written(t, &again, "json"))
}

func TestAnEmptyReportHasNoNullInIt(t *testing.T) {
	rep := finished(&report{Mount: "/m", Mounted: true})
	assert.Equal(t, "no entries for other architectures\n", written(t, rep, "table"))
	assert.JSONEq(t, `{"version": 1, "ok": true, "errors": [], "kernel": "6.18", "mount": "/m", "mounted": true, "private": false, "native": [], "architectures": [], "removed": [], "others": []}`, written(t, rep, "json"))
}

// Nor has that of an entry of which nobody knows what it is for.
func TestAnEntryThatCannotBeUnderstoodCatchesNothing(t *testing.T) {
	facts := &install.Facts{Mounted: true, Unreadable: map[string]string{"new": "of a newer kernel"}}
	rep := finished(reportOutcomes(facts, nil, parsed(t, "--status")))
	assert.Contains(t, written(t, rep, "json"), `"catches": []`)
	assert.NotContains(t, written(t, rep, "json"), "null")
	assert.Contains(t, written(t, rep, "table"), "cannot be understood: of a newer kernel")
}

// What cannot be seen is not said to be absent.
func TestAnEmptyReportWithoutAMountSaysWhatIsKnown(t *testing.T) {
	assert.Equal(t, "no entries can be seen, and no other architecture's programs run\n", written(t, finished(&report{}), "table"))
	assert.Equal(t, "no entries can be seen\n", written(t, finished(&report{noProbe: true}), "table"))
}

func TestAReportOfOthersOnlyHasNoHeadings(t *testing.T) {
	rep := &report{Others: []other{{Entry: "FEX", Interpreter: "/usr/bin/FEX", Enabled: true, Catches: []string{"linux/amd64"}}}}
	assert.Equal(t, "linux/amd64  FEX  -  /usr/bin/FEX  -  enabled, made by others\n", written(t, finished(rep), "table"))
	rep = &report{Removed: []removal{{"qemu-cris", "remove", "not wanted"}}}
	assert.Equal(t, "-  qemu-cris  -  -  -  removed: not wanted\n", written(t, finished(rep), "table"))
}

// Entries may have any name: none commands the terminal, or forges a line.
func TestNamesInAReportAreVisible(t *testing.T) {
	rep := &report{
		Others:  []other{{Entry: "a\x1b[2K", Interpreter: "/b\n\tc", Enabled: true, Missing: true, Catches: []string{"linux/amd64"}}},
		Removed: []removal{{"qemu-\r", "remove", "not\awanted"}},
	}
	rep.row(lookup(t, "arm64")).Reason = "\x1b]0;title\a"
	text := written(t, finished(rep), "table")
	assert.Equal(t, 4, strings.Count(text, "\n"))
	assert.NotRegexp(t, `[^\n -~]`, text)
	for _, want := range []string{`  a\x1b[2K  `, `  /b\n\tc  `, `  qemu-\r  `, `removed: not\awanted`, `\x1b]0;title\a`} {
		assert.Contains(t, text, want)
	}
}

func TestFailuresAreThoseOfTheRows(t *testing.T) {
	rep := &report{}
	assert.NoError(t, rep.failures())
	rep.row(lookup(t, "arm64")).fail(cli.WithHint(errors.New("one"), "do this"))
	rep.row(lookup(t, "s390x"))
	rep.row(lookup(t, "arm")).fail(errors.New("two"))
	err := rep.failures()
	assert.EqualError(t, err, "linux/arm64: one\nlinux/arm/v7: two")
	assert.Equal(t, "do this", cli.Hint(err))
	assert.Len(t, rep.Rows, 3)
	rep.finish(nil)
	assert.False(t, rep.OK)
	assert.Equal(t, "one", rep.Rows[0].Error)
}

func TestEveryActionIsWorded(t *testing.T) {
	for action, want := range map[string]string{"keep": "kept", "add": "added", "replace": "replaced", "remove": "removed", "skip": "left alone", "dance": "dance"} {
		assert.Equal(t, want, (&report{}).done(action))
		assert.Equal(t, "would "+action, (&report{dryRun: true}).done(action))
	}
}

// docs/report.md describes each field that there is, and no other.
func TestEveryFieldOfTheReportIsDescribed(t *testing.T) {
	text, err := os.ReadFile("../../docs/report.md")
	require.NoError(t, err)
	described := map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(string(text), -1) {
		described[m[1]] = true
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[report](), reflect.TypeFor[row](), reflect.TypeFor[removal](), reflect.TypeFor[other](), reflect.TypeFor[old](), reflect.TypeFor[emulator.VersionFaults](), reflect.TypeFor[install.Held]()} {
		for i := range typ.NumField() {
			if name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ","); name != "" {
				assert.True(t, described[name], "%s of %s", name, typ)
			}
		}
	}
}

func TestARowsErrorHasItsNameOnce(t *testing.T) {
	arch := kerneltest.Lookup(t, "s390x")
	failed := &emulator.Error{Arch: arch, Path: "/usr/bin/qemu-s390x", Err: emulator.ErrCorrupt}
	r := new(report).row(arch)
	r.fail(failed)
	assert.Equal(t, "/usr/bin/qemu-s390x: emulator is corrupt", r.Error)
	assert.EqualError(t, r.err, "linux/s390x: /usr/bin/qemu-s390x: emulator is corrupt")
	assert.ErrorIs(t, r.err, emulator.ErrCorrupt)
}
