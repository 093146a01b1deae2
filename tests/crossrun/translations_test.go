package crossrun

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
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

// What the first start has translated the second one finds. In another root file system
// whoever wants that names a directory of it.
func TestTranslationsAreFoundByTheNextStart(t *testing.T) {
	kerneltest.Instance(t)
	arch := kerneltest.Lookup(t, "arm64")
	if kerneltest.Native(t, arch) {
		t.Skip("arm64 is native here")
	}
	if e := commands.FindEmulator(t, arch); !strings.Contains(commands.Read(t, e.Path), "QEMU_TB_CACHE") || runtime.GOARCH != "amd64" {
		t.Skip(e.Path, " keeps no translations: ours do, on amd64 (make emulators, TEST_EMULATORS)")
	}
	hello := commands.GoHello(t, "arm64")
	for _, way := range []string{"--private", "--handed-on", "--watched", "--direct", "--rootfs"} {
		t.Run(way, func(t *testing.T) {
			cache, err := filepath.EvalSymlinks(t.TempDir())
			require.NoError(t, err)
			stats, own := filepath.Join(cache, "stats"), filepath.Join(cache, "own")
			require.NoError(t, os.Mkdir(own, 0o700))
			env := []string{"QEMU_TB_CACHE_STATS=" + stats, "XDG_CACHE_HOME=" + cache, "CROSSRUN_CACHE="}
			args := []string{way, "--cache-translations", hello}
			if way == "--rootfs" {
				args = []string{way, "/", "--setenv", "QEMU_TB_CACHE=" + own, "--setenv", "QEMU_TB_CACHE_STATS=" + stats, hello}
			}
			for range 2 {
				cmd := commands.Command("crossrun", args...)
				cmd.Env = append(os.Environ(), env...)
				assert.Equal(t, commands.Result{Stdout: commands.GoSaying("arm64", hello)}, commands.Run(t, cmd))
			}
			said := commands.Read(t, stats)
			assert.Regexp(t, `^tb-cache: hits 0 misses \d+ written [1-9]\d*\ntb-cache: hits [1-9]\d* misses \d+ written \d+\n$`, said)
		})
	}
}
