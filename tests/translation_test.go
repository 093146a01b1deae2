package tests

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/projectcalico/go-build/tests/kerneltest"
)

// What an emulator has translated, and linked together, it must forget when the
// program's code changes. These programs change it in all the ways there are;
// what they print is what it is on a machine of their architecture.

// translationPorts are those whose machine code testdata/translation/code.h has.
var translationPorts = []string{"aarch64", "arm", "i386", "ppc64le", "riscv64", "s390x", "x86_64"}

// translated runs a program of testdata/translation by the emulator alone.
func translated(t *testing.T, port cPort, name string) string {
	t.Helper()
	compiler, err := exec.LookPath(port.triplet + "-gcc")
	if err != nil {
		t.Skip("no cross compiler: ", err)
	}
	path := built(t, "translation-"+name+"-"+port.triplet, func(path string) *exec.Cmd {
		return exec.Command(compiler, "-static", "-pthread", "-O1", "-Wall", "-Wextra", "-Werror", "-o", path, "testdata/translation/"+name+".c")
	})
	argv := []string{path}
	if arch := lookup(t, port.arch); !kerneltest.Native(t, arch) {
		argv = []string{findEmulatorForThreads(t, arch).Path, path}
	}
	r := run(t, exec.Command(argv[0], argv[1:]...))
	assert.Equal(t, 0, r.status, r.stderr)
	return r.stdout
}

func translations(t *testing.T, name, want string) {
	for _, port := range cPorts {
		if slices.Contains(translationPorts, port.arch) && !strings.HasSuffix(port.triplet, "gnueabi") { // Armv7's instructions
			t.Run(port.triplet, func(t *testing.T) { assert.Equal(t, want, translated(t, port, name)) })
		}
	}
}

func TestCodeOnAnotherPageChanges(t *testing.T) {
	translations(t, "pages", `rewritten: 1
again: 1
rewritten: 2
again: 2
rewritten: 3
again: 3
rewritten: 4
again: 4
rewritten: 5
again: 5
not writable: 5
not executable: SIGSEGV
again: SIGSEGV
executable: 5
unmapped: SIGSEGV
mapped anew: 6
moved there: 7
moved away: SIGSEGV
followed: 7
from the end of a page: 8
`)
}

func TestCodeChangesWhileThreadsCallIt(t *testing.T) {
	translations(t, "threads", "300 rounds, 0 wrong\n")
}

func TestAPageBecomesGuarded(t *testing.T) {
	aarch64 := cPorts[0]
	if arch := lookup(t, aarch64.arch); !kerneltest.Native(t, arch) {
		if major, _, ok := findEmulator(t, arch).Release(); !ok || major < 8 {
			t.Skip("QEMU 7.2 goes by what a page was when it was translated")
		}
	} else {
		t.Skip("whether this machine has BTI is not known")
	}
	assert.Equal(t, strings.Repeat("unguarded: 1\nunguarded, landing pad: 2\nguarded: SIGILL\nguarded, landing pad: 2\n", 3), translated(t, aarch64, "bti"))
}
