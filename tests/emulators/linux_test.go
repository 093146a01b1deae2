package emulators

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/commands"
)

// A linuxProgram is testdata/NAME.c. It prints what is not as Linux does it, and its exit
// status says whether there was any such thing.
type linuxProgram struct {
	name, patch string
	flags       func(arch *elfmagic.Arch) []string // of the compiler
}

var linuxPrograms = []linuxProgram{
	{name: "alias", patch: "b0-alias"},
	{name: "readdir", patch: "b1-readdir"},
	{name: "robust", patch: "b2-robust", flags: robustFlags},
	{name: "netlink", patch: "b3-netlink"},
	{name: "sockopt", patch: "b4-sockopt"},
	{name: "calls", patch: "b5-calls"},
	{name: "seccomp", patch: "b6-seccomp"},
	{name: "sigbus", patch: "b7-sigbus"},
	{name: "proc", patch: "b8-proc"},
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

// Programs see what Linux does where stock emulators do something else, or nothing.
// Natively they find nothing, and under stock emulators that do not have the patch it is
// said what they find.
func TestLinux(t *testing.T) {
	s := setup(t)
	dir := filepath.Join(s.work, "linux")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, own(dir))
	host, err := elfmagic.Lookup(runtime.GOARCH)
	require.NoError(t, err)
	for _, program := range linuxPrograms {
		t.Run(program.name, func(t *testing.T) {
			t.Run("native", func(t *testing.T) {
				path := program.compiled(t, commands.CPort{Triplet: host.Debian[0].Triplet, Arch: host.Name}, host, dir)
				assert.Equal(t, outcome{end: "exit status 0"}, execute(t.Context(), time.Minute, dir, nil, path))
			})
			for _, port := range commands.CPorts {
				t.Run(port.Triplet, func(t *testing.T) { program.test(t, s, port, dir) })
			}
		})
	}
}

// compiled returns the program, which is static.
func (p *linuxProgram) compiled(t *testing.T, port commands.CPort, arch *elfmagic.Arch, dir string) string {
	t.Helper()
	compiler, err := exec.LookPath(port.Triplet + "-gcc")
	if err != nil {
		t.Skip("no cross compiler: ", err)
	}
	path := filepath.Join(dir, p.name+"-"+port.Triplet)
	args := []string{"-static", "-O1", "-Wall", "-Werror", "-pthread", "-o", path, "testdata/" + p.name + ".c"}
	if p.flags != nil {
		args = append(args, p.flags(arch)...)
	}
	out, err := exec.CommandContext(t.Context(), compiler, args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

func (p *linuxProgram) test(t *testing.T, s settings, port commands.CPort, dir string) {
	arch, err := elfmagic.Lookup(port.Arch)
	require.NoError(t, err)
	contestants := s.contestants(t, arch)
	path := p.compiled(t, port, arch, dir)
	for _, c := range contestants {
		o := execute(t.Context(), 2*time.Minute, dir, nil, c.path, path)
		if !c.judged {
			t.Logf("%s: %s", c.name, o)
			continue
		}
		if !c.patched {
			t.Skipf("%s is not of our build, or without patches (%s): %s", c.path, p.patch, o)
		}
		o.stderr = "" // what the emulator says of signals
		assert.Equal(t, outcome{end: "exit status 0"}, o)
	}
}
