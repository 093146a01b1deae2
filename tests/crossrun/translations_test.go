package crossrun

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/internal/emulator"
	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// teller is taken for an emulator of ours for s390x. It prints the directory for
// translations of which it is told, and whether.
func teller(t *testing.T) string {
	t.Helper()
	arch := kerneltest.Lookup(t, "s390x")
	if kerneltest.Native(t, arch) {
		t.Skip("s390x is native here")
	}
	path := filepath.Join(t.TempDir(), "qemu-s390x")
	commands.CopyFile(t, commands.GoProgram(t, "emulator", runtime.GOARCH), path)
	found, err := emulator.Open(arch, path)
	require.NoError(t, err)
	require.True(t, found.HandsOn(), found.Version)
	return path
}

// Emulators are told where to keep translations if that is asked for, in each way in
// which crossrun chooses them; in another root file system there is no such place.
func TestEmulatorsAreToldWhereToKeepTranslations(t *testing.T) {
	kerneltest.Instance(t)
	pin, hello := "CROSSRUN_EMULATOR_S390X="+teller(t), commands.GoHello(t, "s390x")
	cache, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	dir := filepath.Join(cache, "crossrun", "translations")
	said := func(args ...string) string {
		cmd := commands.Command("crossrun", args...)
		cmd.Env = append(os.Environ(), pin, "XDG_CACHE_HOME="+cache, "CROSSRUN_TRANSLATIONS=", "CROSSRUN_CACHE=", "QEMU_TB_CACHE=")
		cmd.Env = cmd.Env[:len(cmd.Env)-1]
		r := commands.Run(t, cmd)
		assert.Equal(t, commands.Result{Stdout: r.Stdout}, r)
		return r.Stdout
	}
	const nothing = "\"\" false\n"
	for _, way := range []string{"--private", "--handed-on", "--watched", "--direct"} {
		t.Run(way, func(t *testing.T) {
			assert.Equal(t, nothing, said(way, hello), "it is not the default")
			told := `"` + dir + "\" true\n"
			assert.Equal(t, told, said(way, "--cache-translations", hello))
			assert.Equal(t, nothing, said(way, "--cache-translations=off", hello))
			assert.Equal(t, told, said(way, "--cache-translations="+dir, hello))
			require.NoError(t, os.Chmod(dir, 0o720))
			assert.Equal(t, nothing, said(way, "--cache-translations", hello), "others may write there")
			require.NoError(t, os.Chmod(dir, 0o700))
		})
	}
	t.Run("--rootfs", func(t *testing.T) {
		require.NoError(t, os.MkdirAll(dir, 0o700))
		assert.Equal(t, nothing, said("--rootfs", "/", "--cache-translations", hello))
	})
}
