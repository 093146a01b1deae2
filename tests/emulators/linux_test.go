package emulators

import (
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
)

// A linuxProgram is testdata/NAME.c, for the patch of that name. It prints what is not as Linux does it, and its exit
// status says whether there was any such thing.
type linuxProgram struct {
	name  string
	flags func(arch *elfmagic.Arch) []string // of the compiler
}

var linuxPrograms = []linuxProgram{
	{name: "alias"},
	{name: "readdir"},
	{name: "robust", flags: robustFlags},
	{name: "netlink"},
	{name: "sockopt"},
	{name: "calls"},
	{name: "seccomp"},
	{name: "sigbus", flags: byteFlags},
	{name: "proc"},
	{name: "stat"},
}

// robustFlags have threads that are killed tried, too, where the kernel can walk the
// guest's list: where pointers are its own, at the same addresses. An emulator that is
// at 0x400000 itself moves its guests elsewhere, but those that are somewhere else already.
func robustFlags(arch *elfmagic.Arch) []string {
	if slices.Contains([]string{"aarch64", "ppc64le", "riscv64", "x86_64"}, arch.Name) {
		return []string{"-DKILLED", "-Wl,-Ttext-segment=0x50000000"}
	}
	return nil
}

// byteFlags have Alpha load single bytes: without, it loads the eight that a byte is of, which is where the fault was.
func byteFlags(arch *elfmagic.Arch) []string {
	if arch.Name == "alpha" {
		return []string{"-mbwx"}
	}
	return nil
}

// Programs see what Linux does where stock emulators do something else, or nothing.
// Natively they find nothing, and under stock emulators that do not have the patch it is
// said what they find.
func TestLinux(t *testing.T) {
	s := setup(t)
	host, err := elfmagic.Lookup(runtime.GOARCH)
	require.NoError(t, err)
	for _, p := range linuxPrograms {
		compiled := func(t *testing.T, arch *elfmagic.Arch, triplet string) string {
			var flags []string
			if p.flags != nil {
				flags = p.flags(arch)
			}
			program := guest(t, s, triplet, p.name, flags...)
			require.NoError(t, own(filepath.Dir(program)))
			return program
		}
		t.Run(p.name, func(t *testing.T) {
			t.Run("native", func(t *testing.T) {
				program := compiled(t, host, host.Debian[0].Triplet)
				assert.Equal(t, outcome{end: "exit status 0"}, execute(t.Context(), time.Minute, filepath.Dir(program), nil, program))
			})
			eachPort(t, func(t *testing.T, arch *elfmagic.Arch, triplet string) {
				program := compiled(t, arch, triplet)
				s.judge(t, arch, func(c contestant) string {
					o := execute(t.Context(), 2*time.Minute, filepath.Dir(program), nil, c.path, program)
					o.stderr = "" // what the emulator says of signals
					return o.String()
				}, outcome{end: "exit status 0"}.String())
			})
		})
	}
}
