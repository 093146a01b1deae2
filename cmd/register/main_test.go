package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/install"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// A command that does what it should not does it to a private instance, not to
// the machine's.
func TestMain(m *testing.M) { os.Exit(kerneltest.Main(m)) }

var lookup = kerneltest.Lookup

// called runs the command in this process.
func called(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	kerneltest.Need(t)
	var out, err strings.Builder
	status = run(t.Context(), args, &out, &err)
	return status, out.String(), err.String()
}

// foreign is an architecture that no kernel of this one runs.
func foreign(t testing.TB) *elfmagic.Arch {
	t.Helper()
	if runtime.GOARCH == "s390x" {
		return lookup(t, "ppc64le")
	}
	return lookup(t, "s390x")
}

func TestHelpIsOnStandardOutput(t *testing.T) {
	t.Setenv("QEMU_BIN_DIR", "")
	for _, args := range [][]string{{"--help"}, {"-h"}, {"--status", "--help", "bogus"}} {
		status, stdout, stderr := called(t, args...)
		assert.Equal(t, exitOK, status)
		assert.Empty(t, stderr)
		kerneltest.Golden(t, "help.txt", stdout)
	}
}

func TestVersion(t *testing.T) {
	status, stdout, stderr := called(t, "--version")
	assert.Equal(t, exitOK, status)
	assert.Empty(t, stderr)
	assert.Regexp(t, `^register \S+ go1\.\d+\S* linux/\w+\n((QEMU \S+.*: .*faults.*\n)+What these faults are: docs/emulators\.md#faults of \S+\n)?$`, stdout)
}

func TestWrongArgumentsAreExitStatus2(t *testing.T) {
	for _, test := range []struct {
		args   []string
		stderr string
	}{
		{[]string{"--bogus"}, "register: error: unknown flag: --bogus\nregister: hint: register --help lists what there is\n"},
		{[]string{"--reset", "--status"}, "register: error: --status and --reset cannot be used together\nregister: hint: register --help lists what there is\n"},
		{[]string{"amr64"}, "register: error: unknown architecture \"amr64\"\nregister: hint: did you mean arm64?\n"},
		{[]string{"riscv", "s390", "s390"}, "register: error: unknown architecture \"riscv\"\nregister: error: unknown architecture \"s390\"\nregister: error: unknown architecture \"s390\"\nregister: hint: did you mean riscv64?\nregister: hint: did you mean s390x?\n"},
		{[]string{"--uninstall", "zzz"}, "register: error: unknown architecture \"zzz\"\nregister: hint: known are QEMU's, Go's and Debian's names (aarch64, arm64, ppc64el), triplets, and platforms such as linux/arm64\n"},
	} {
		status, stdout, stderr := called(t, test.args...)
		assert.Equal(t, exitUsage, status)
		assert.Empty(t, stdout)
		assert.Equal(t, test.stderr, stderr)
	}
}

// What is known of a list is done.
func TestOneUnknownArchitectureOfAListIsAFailureAtTheEnd(t *testing.T) {
	for _, args := range [][]string{{"s390", "s390x"}, {"s390x,s390"}, {runtime.GOARCH, "s390"}} {
		status, stdout, stderr := called(t, append([]string{"--dry-run", "--qemu-path", t.TempDir(), "-p", "no"}, args...)...)
		assert.Equal(t, exitFailure, status)
		assert.Regexp(t, `(?m)^linux/\w+ .*(would add|native, nothing to do)`, stdout)
		assert.Contains(t, stderr, "register: error: unknown architecture \"s390\"\nregister: hint: did you mean s390x?\n")
	}
}

// Programs that read JSON get a document whatever happens, and one form of it.
func TestThereIsADocumentForEveryOutcome(t *testing.T) {
	for _, test := range []struct {
		args   []string
		status int
		err    string
	}{
		{[]string{"--status"}, exitOK, ""},
		{[]string{"--dry-run", "--qemu-path", t.TempDir()}, exitFailure, "no emulator found in "},
		{[]string{"--uninstall", "--dry-run"}, exitOK, ""},
		{[]string{"amr64"}, exitUsage, `unknown architecture "amr64"`},
		{[]string{"--status", "--no-probe", runtime.GOARCH, "amr64"}, exitFailure, `unknown architecture "amr64"`},
	} {
		status, stdout, stderr := called(t, append(test.args, "--output", "json")...)
		assert.Equal(t, test.status, status, stderr)
		var document struct {
			Version       int
			OK            *bool
			Errors        []string
			Architectures []any
		}
		require.NoError(t, json.Unmarshal([]byte(stdout), &document), "%q: %q", test.args, stdout)
		assert.Equal(t, 1, document.Version)
		assert.Equal(t, status == exitOK, *document.OK)
		assert.NotNil(t, document.Architectures)
		if test.err == "" {
			assert.Equal(t, []string{}, document.Errors)
		} else if assert.Len(t, document.Errors, 1) {
			assert.Contains(t, document.Errors[0], test.err)
		}
	}
}

// Where nothing is mounted, nor can be, there is nothing, and that is no failure.
func TestWithoutAMountThereIsAReportAndAWarning(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "absent")
	const warning = "register: warning: binfmt_misc is not mounted on "
	for _, mode := range []string{"--status", "--uninstall"} {
		status, stdout, stderr := called(t, mode, "--mount", dir)
		assert.Equal(t, exitOK, status)
		assert.Regexp(t, "^no entries can be seen(, and no other architecture's programs run)?\n$", stdout)
		assert.True(t, strings.HasPrefix(stderr, warning+dir), stderr)

		status, stdout, stderr = called(t, mode, "--mount", dir, "--output", "json")
		assert.Equal(t, exitOK, status)
		assert.True(t, strings.HasPrefix(stderr, warning+dir), stderr)
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(stdout), &fields), stdout)
		assert.Equal(t, true, fields["ok"])
		assert.Equal(t, dir, fields["mount"])
		assert.Regexp(t, `^\d+\.\d+$`, fields["kernel"])
		for _, array := range []string{"native", "architectures", "removed", "others"} {
			assert.IsType(t, []any{}, fields[array], "%s is an array, and not null", array)
		}
		assert.Empty(t, fields["architectures"])

		// An architecture that is named must be there.
		status, stdout, stderr = called(t, mode, "--no-probe", "--mount", dir, "--output", "json", foreign(t).Name)
		if mode == "--uninstall" {
			assert.Equal(t, exitFailure, status)
			assert.Contains(t, stdout, `"ok": false`)
			assert.Contains(t, stderr, "register: error: "+foreign(t).Platform()+": no entry "+emulator.EntryName(foreign(t))+"\n")
			assert.Contains(t, stderr, "register: hint: --status shows what is registered\n")
		} else {
			assert.Equal(t, exitOK, status, stderr)
		}
	}
}

// A dry run depends on nothing but the arguments and the files that they name.
func TestADryRunShowsWhatWouldBeRegistered(t *testing.T) {
	mount, qemu := t.TempDir(), t.TempDir()
	arch := foreign(t)
	report := func(args ...string) (rep report, stderr string) {
		t.Helper()
		status, stdout, stderr := called(t, slices.Concat([]string{"--dry-run", "--output", "json", "--mount", mount, "--qemu-path", qemu}, args, []string{arch.Name})...)
		require.Equal(t, exitOK, status, stderr)
		require.NoError(t, json.Unmarshal([]byte(stdout), &rep))
		require.Len(t, rep.Rows, 1)
		return rep, stderr
	}

	// Without the F flag the emulator need not be here.
	rep, _ := report("-p", "no")
	want := row{
		Arch: arch.Name, Platform: arch.Platform(), Entry: emulator.EntryName(arch), Emulator: qemu + "/qemu-" + arch.Name + "-static",
		Action: "add", Reason: "not registered",
	}
	assert.Equal(t, want, *rep.Rows[0])
	assert.True(t, rep.OK)
	assert.Equal(t, lookup(t, runtime.GOARCH).Platform(), rep.Native[0])

	rep, _ = report("-pno", "-c", "yes", "-gyes", "-F", "-odd")
	want.Flags, want.Emulator = "POC", qemu+"/qemu-"+arch.Name+"-odd"
	assert.Equal(t, want, *rep.Rows[0])

	status, stdout, stderr := called(t, "--dry-run", "-p", "no", "--mount", mount, "--qemu-path", qemu, arch.Name)
	assert.Equal(t, exitOK, status)
	assert.Contains(t, stdout, "would add, not tried: its emulator is to be in each container")
	assert.True(t, strings.HasPrefix(stderr, "register: warning: binfmt_misc is not mounted on "+mount), stderr)
	state, err := binfmt.New(mount).State()
	require.NoError(t, err)
	assert.Equal(t, binfmt.NotMounted, state, "it is not mounted to be read")
	left, err := os.ReadDir(mount)
	require.NoError(t, err)
	assert.Empty(t, left)
}

// Facts are what a bug report has: decisions can be made of them anywhere.
func TestFactsArePrintedAndReadBack(t *testing.T) {
	mount := t.TempDir()
	status, stdout, stderr := called(t, "--facts", "--no-probe", "--mount", mount)
	require.Equal(t, exitOK, status, stderr)
	var facts install.Facts
	require.NoError(t, json.Unmarshal([]byte(stdout), &facts))
	assert.Equal(t, mount, facts.Mount)
	assert.Equal(t, lookup(t, runtime.GOARCH).Name, facts.Native[0])
	assert.Contains(t, facts.Emulators, foreign(t).Name)
	assert.NotEmpty(t, facts.Searched)

	status, _, stderr = called(t, "--facts", "--status")
	assert.Equal(t, exitUsage, status)
	assert.Contains(t, stderr, "cannot be used together")
}

func TestHelpFits80Columns(t *testing.T) {
	for line := range strings.Lines(usage()) {
		assert.LessOrEqual(t, utf8.RuneCountInString(strings.TrimRight(line, "\n")), 80, line)
	}
	assert.Less(t, strings.Index(usage(), "--dry-run  "), strings.Index(usage(), "Other flags:"), "what is used most comes first")
}

// full fails to be written to.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestAReportThatCannotBeWrittenIsAFailure(t *testing.T) {
	kerneltest.Need(t)
	var stderr strings.Builder
	assert.Equal(t, exitFailure, run(t.Context(), []string{"--uninstall", "--mount", t.TempDir()}, full{}, &stderr))
	assert.Contains(t, stderr.String(), "register: error: cannot write the report: ")
}
