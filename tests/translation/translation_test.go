package translation

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// What an emulator has translated, and linked together, it must forget when the
// program's code changes. These programs change it in all the ways there are;
// what they print is what it is on a machine of their architecture.

// ports are those whose machine code testdata/code.h has.
var ports = []string{"aarch64", "arm", "i386", "ppc64le", "riscv64", "s390x", "x86_64"}

// translated runs a program of testdata by the emulator alone.
func translated(t *testing.T, port commands.CPort, name string) string {
	t.Helper()
	path := commands.CProgram(t, port, "translation-"+name, "-static", "-pthread", "-O1", "-Wall", "-Wextra", "-Werror", "testdata/"+name+".c")
	argv := []string{path}
	if arch := kerneltest.Lookup(t, port.Arch); !kerneltest.Native(t, arch) {
		find := commands.FindEmulator
		if name == "threads" {
			find = commands.FindEmulatorForThreads
		}
		argv = []string{find(t, arch).Path, path}
	}
	r := commands.Run(t, exec.Command(argv[0], argv[1:]...))
	assert.Equal(t, 0, r.Status, r.Stderr)
	return r.Stdout
}

func translations(t *testing.T, name, want string) {
	for _, port := range commands.CPorts {
		if slices.Contains(ports, port.Arch) && !strings.HasSuffix(port.Triplet, "gnueabi") { // Armv7's instructions
			t.Run(port.Triplet, func(t *testing.T) {
				t.Parallel() // the emulator alone is used, no instance
				assert.Equal(t, want, translated(t, port, name))
			})
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
	aarch64 := commands.Port("aarch64-linux-gnu")
	if arch := kerneltest.Lookup(t, aarch64.Arch); !kerneltest.Native(t, arch) {
		if major, _, ok := commands.FindEmulator(t, arch).Release(); !ok || major < 8 {
			t.Skip("QEMU 7.2 goes by what a page was when it was translated")
		}
	} else {
		t.Skip("whether this machine has BTI is not known")
	}
	assert.Equal(t, strings.Repeat("unguarded: 1\nunguarded, landing pad: 2\nguarded: SIGILL\nguarded, landing pad: 2\n", 3), translated(t, aarch64, "bti"))
}
