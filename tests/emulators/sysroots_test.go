package emulators

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
)

// A program's libraries are found in the sysroot of its architecture, whatever
// QEMU_LD_PREFIX says of another's (95-prefix.patch).
func TestSysroots(t *testing.T) {
	s := setup(t)
	dir := filepath.Join(s.work, "sysroots")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	source := filepath.Join(dir, "hello.c")
	require.NoError(t, os.WriteFile(source, []byte("#include <stdio.h>\nint main(void) { return puts(\"hello\") < 0; }\n"), 0o644))
	eachPort(t, func(t *testing.T, arch *elfmagic.Arch, triplet string) {
		judged, err := s.judged.Find(arch)
		if err != nil {
			t.Skip(err)
		}
		if !judged.HandsOn() {
			t.Skipf("%s is not of ours: %s", judged.Path, judged.Version)
		}
		sysroot := filepath.Join("/usr", triplet)
		if _, err := os.Stat(sysroot); err != nil {
			t.Skip(err)
		}
		program := compile(t, triplet, filepath.Join(dir, "hello-"+triplet), source)
		run := func(flags []string, env ...string) (string, error) {
			cmd := exec.Command(judged.Path, append(flags, program)...)
			cmd.Env = append(env, "PATH=/usr/bin:/bin")
			out, err := cmd.CombinedOutput()
			return string(out), err
		}
		if out, err := run(nil); err == nil {
			t.Skip("the machine has a loader and libraries for it: ", out)
		}
		variable := "QEMU_LD_PREFIX_" + arch.Name
		empty := t.TempDir()
		for _, env := range [][]string{
			{variable + "=" + sysroot},
			{variable + "=:/nonexistent:" + empty + ":" + sysroot + ":/"},
			{variable + "=" + sysroot, "QEMU_LD_PREFIX=" + empty},
			{variable + "=" + empty, "QEMU_LD_PREFIX=" + sysroot}, // it has no loader
		} {
			out, err := run(nil, env...)
			assert.NoError(t, err, "%s: %s", env, out)
			assert.Equal(t, "hello\n", out, "%s", env)
		}
		out, err := run([]string{"-L", empty}, variable+"="+sysroot)
		assert.Error(t, err, "-L comes before the variable: %s", out)
		out, err = run(nil, variable+"x="+sysroot)
		assert.Error(t, err, "%s", out)
	})
}
