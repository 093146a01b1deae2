package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/embedded"
	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// diagnoses are of machines that people have.
func diagnoses() map[string]*diagnosis {
	here := diagnosis{Version: "crossrun v1.0 (go1.26)", Kernel: "6.18", Host: "linux/amd64", Restrictions: []string{"an ordinary user"}, Native: []string{"linux/amd64", "linux/386"}}
	noEntry := failure{"the kernel has no enabled entry for it", "as root: register; without --kernel it is run all the same"}
	noNamespaces := failure{"private instance of binfmt_misc: user.max_user_namespaces is 0", "as root: sysctl user.max_user_namespaces=10000"}

	bare := here
	for _, platform := range []string{"linux/arm64", "linux/s390x"} {
		bare.Archs = append(bare.Archs, diagnosed{Platform: platform, Missing: true, Why: failure{Error: "no emulator found"}})
	}

	whole := here
	whole.Ways = []tried{{byKernel, true, failure{}}, {byInstance, true, failure{}}, {byHelper, true, failure{}}, {byWatch, true, failure{}}, {byEmulator, true, failure{}}}
	for _, platform := range []string{"linux/arm64", "linux/s390x", "linux/ppc64le", "linux/riscv64", "linux/arm/v7", "linux/loong64"} {
		whole.Archs = append(whole.Archs, diagnosed{Platform: platform, Emulator: "QEMU 10.2.2 in /usr/local/lib/emulators", Version: "10.2.2 (Debian 1:10.2.2+ds-1, go-build 24 patches 0123456789)", Registered: true, Runs: true})
	}

	container := here
	container.Restrictions = []string{"user 0", "in a container, or another PID namespace", "system calls are filtered (seccomp)", "AppArmor: docker-default (enforce)"}
	container.Ways = []tried{{byKernel, false, noEntry}, {byInstance, false, noNamespaces}, {byHelper, false, failure{"/usr/bin/qemu-aarch64-static: this emulator does not hand on what it starts", "those that make emulators builds do, Debian's do not"}},
		{byWatch, false, failure{"a seccomp filter denies seccomp(2)", ""}}, {byEmulator, true, failure{}}}
	container.Archs = []diagnosed{
		{Platform: "linux/arm64", Emulator: "QEMU 7.2.22 in /usr/bin", Version: "7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)", Runs: true},
		{Platform: "linux/microblazeel", Emulator: "QEMU 7.2.22 in /usr/bin", Version: "7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)", Why: failure{"qemu: uncaught target signal 11 (Segmentation fault) - core dumped", "a newer emulator runs them"}},
		{Platform: "linux/loong64", Missing: true, Why: failure{Error: "no emulator found"}},
	}
	return map[string]*diagnosis{"bare": &bare, "whole": &whole, "container": &container}
}

func TestDiagnosesInWords(t *testing.T) {
	for name, d := range diagnoses() {
		for _, columns := range []int{60, 80, 120} {
			text := d.text(cli.Screen{Columns: columns})
			// What to install differs with the package manager that is here.
			if name != "whole" {
				text, _, _ = strings.Cut(text, "\nWhat to do")
			}
			kerneltest.Golden(t, fmt.Sprintf("doctor/%s-%d.txt", name, columns), text)
			for line := range strings.Lines(text) {
				assert.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), columns, line)
			}
		}
		assert.Equal(t, d.text(cli.Screen{Columns: 80}), d.text(cli.Screen{}), "as wide as a page where there is no terminal")
	}
	kerneltest.Golden(t, "doctor/whole-colour.txt", strings.ReplaceAll(diagnoses()["whole"].text(cli.Screen{Columns: 80, Colour: true}), "\x1b", "ESC"))
}

func TestEmulatorsAreDescribed(t *testing.T) {
	for want, e := range map[string]emulator.Emulator{
		"QEMU 10.0.2 in /usr/bin":              {Path: "/usr/bin/qemu-arm", Version: "10.0.2 (Debian 1:10.0.2)"},
		"QEMU 10.2.2 in /o":                    {Path: "/o/qemu-arm", Version: "10.2.2, exec-helper 1"},
		"QEMU of unknown version in /o":        {Path: "/o/qemu-arm"},
		"QEMU 10.2.2 embedded in this command": {Embedded: new(embedded.Emulator), Version: "10.2.2"},
		"box64 0.4.3 in /usr/bin":              {Path: "/usr/bin/box64", Product: "box64", Version: "box64 0.4.3"},
		"blink in /o":                          {Path: "/o/blink"},
	} {
		assert.Equal(t, want, described(&e))
	}
}

// An emulator that crashes at once, by a fault that is known, has a line that says so.
func TestAnEmulatorThatRunsNothingIsOneLine(t *testing.T) {
	crashed := failure{Error: "qemu: uncaught target signal 11 (Segmentation fault) - core dumped"}
	e := emulator.Emulator{Arch: kerneltest.Lookup(t, "microblazeel"), Path: "/usr/bin/qemu-microblazeel", Version: "10.0.2 (Debian 1:10.0.2+ds-2)"}
	why := knownFault(&e, crashed)
	assert.Equal(t, "QEMU 10.0.2 runs none of its programs", why.Error)
	assert.Contains(t, why.Hint, "install a newer one (10.0.13), or name it with "+emulator.Option)
	d := diagnosis{Archs: []diagnosed{{Platform: e.Arch.Platform(), Why: why}}}
	assert.Contains(t, d.text(cli.Screen{Columns: 60}), "\n  microblazeel QEMU 10.0.2 runs none of its programs\n")
	e.Version = "10.0.13"
	assert.Equal(t, crashed, knownFault(&e, crashed))
}

func TestAdviceIsWhatHelps(t *testing.T) {
	all := diagnoses()
	assert.Equal(t, []string{"Nothing: programs of other architectures run as if they were this machine's."}, all["whole"].advice())

	bare := all["bare"].advice()
	assert.Len(t, bare, 1)
	assert.Regexp(t, "^There are no emulators: .*qemu.*", bare[0])

	broken := *all["bare"]
	broken.Archs = []diagnosed{{Platform: "linux/arm64", Emulator: "QEMU 7 in /x", Why: failure{Error: "no luck"}}}
	assert.Equal(t, []string{"There are emulators, and none works: start one by itself to see why (qemu-aarch64-static --version)."}, broken.advice())

	container := strings.Join(all["container"].advice(), "\n")
	assert.Contains(t, container, "Emulators are missing for some architectures")
	assert.Contains(t, container, "What a foreign program starts does not run here. Root can change that for all: register.")
	assert.Contains(t, container, "For --private: as root: sysctl user.max_user_namespaces=10000.")
	assert.Contains(t, container, "For linux/microblazeel: a newer emulator runs them.")
	assert.Contains(t, container, "To run programs without typing crossrun, as root: register.")
	assert.NotContains(t, container, "For --kernel", "register is said already")
}

func TestWhatWasSaidOfAProgramIsHeard(t *testing.T) {
	for said, want := range map[string]failure{
		"": {},
		"crossrun: error: /p: no luck\ncrossrun: hint: wait\n": {"no luck", "wait"},
		"crossrun: error: a\ncrossrun: error: b\n":             {"a", ""},
		"qemu: uncaught target signal 11\n\n":                  {"qemu: uncaught target signal 11", ""},
	} {
		assert.Equal(t, want, hear(said, "/p"), "%q", said)
	}
}

func TestRestrictionsAreNamed(t *testing.T) {
	assert.Equal(t, []string{"user 0"}, restrictions(host.Surroundings{InitialUser: true, InitialPID: true, AppArmor: "unconfined"}))
	assert.Equal(t, []string{"an ordinary user", "in a user namespace", "in a container, or another PID namespace", "system calls are filtered (seccomp)", "AppArmor: p\\x1b", "SELinux: c"},
		restrictions(host.Surroundings{UID: 1, Seccomp: true, AppArmor: "p\x1b", SELinux: "c"}))
}

// What users of other tools type first is answered by what it is here.
func TestHabitsAreAnswered(t *testing.T) {
	unknown := errors.New("unknown flag: --x")
	for _, test := range []struct {
		args []string
		err  error
		want string
	}{
		{[]string{"--list"}, errors.New("unknown flag: --list"), "crossrun --doctor"},
		{[]string{"-v", "-L", "/", "ls"}, errors.New("unknown shorthand flag: 'L' in -L"), "--sysroot DIRECTORY"},
		{[]string{"--dry-run=yes"}, errors.New("unknown flag: --dry-run"), "--print"},
		{[]string{"--sysrot"}, errors.New("unknown flag: --sysrot"), "did you mean --sysroot?"},
		{[]string{"--x", "./program", "--list"}, unknown, "crossrun [flags] BINARY [ARG…]; crossrun --help says more"},
		{nil, errors.New("no program given"), "crossrun [flags] BINARY [ARG…]; crossrun --help says more"},
	} {
		assert.Equal(t, test.want, cli.Hint(habit(test.err, test.args)), "%q", test.args)
	}
	for _, word := range []string{"doctor", "help", "version", "run", "status"} {
		t.Setenv("PATH", t.TempDir())
		_, err := find("", "", []string{word, "./hello"})
		assert.NotEmpty(t, cli.Hint(err), word)
	}
	_, err := find("", "", []string{"hello"})
	assert.Empty(t, cli.Hint(err))
}

// Whatever saidHere answers with is a flag that there is.
func TestAnswersNameFlagsThatThereAre(t *testing.T) {
	help := usage()
	for _, word := range []string{"doctor", "help", "version", "--arch", "run", "-L", "-cpu", "-strace", "-e", "--root", "--qemu", "-n", "-t", "-d"} {
		for _, part := range strings.FieldsFunc(saidHere(word), func(c rune) bool { return strings.ContainsRune(" ;:,", c) }) {
			if strings.HasPrefix(part, "-") {
				assert.Contains(t, help, part, word)
			}
		}
	}
}
