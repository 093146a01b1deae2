package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
)

// ownCache is a cache of the test's own, in which nothing is.
func ownCache(t *testing.T) (dir string) {
	t.Helper()
	home, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	t.Setenv("XDG_CACHE_HOME", home)
	for _, name := range []string{translationsVariable, tbCache, "CROSSRUN_CACHE"} {
		t.Setenv(name, "")
	}
	return filepath.Join(home, "crossrun", "translations")
}

func TestWhereTranslationsAreKept(t *testing.T) {
	dir := ownCache(t)
	named := filepath.Join(t.TempDir(), "named")
	for _, test := range []struct {
		env  []string
		want string
		err  string
	}{
		{nil, "", ""},
		{[]string{"off"}, "", ""},
		{[]string{"on"}, dir, ""},
		{[]string{named}, named, ""},
		{[]string{"yes"}, "", "CROSSRUN_TRANSLATIONS=yes: neither on, off nor an absolute path"},
		{[]string{"on", "CROSSRUN_CACHE=off"}, "", "nothing is kept here: CROSSRUN_CACHE=off"},
		{[]string{"on", "XDG_CACHE_HOME=relative"}, "", "nothing is kept here"},
		{[]string{"on", "XDG_CACHE_HOME=", "HOME=~"}, "", "nothing is kept here"},
		{[]string{named, "CROSSRUN_CACHE=off"}, named, ""},
		{[]string{"on", "QEMU_TB_CACHE=/mine"}, "", ""}, // the emulator is told already
	} {
		t.Run(strings.Join(test.env, " "), func(t *testing.T) {
			for i, v := range test.env {
				if i == 0 {
					v = translationsVariable + "=" + v
				}
				key, value, _ := strings.Cut(v, "=")
				t.Setenv(key, value)
			}
			shown, err := translations(false)
			if test.err != "" && test.env[0] == "yes" {
				assert.EqualError(t, takeSettings(), test.err)
				return
			}
			require.NoError(t, takeSettings())
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, shown)
			if test.want == "" {
				return
			}
			require.NoError(t, os.RemoveAll(test.want))
			_, err = translations(false)
			require.NoError(t, err)
			assert.NoDirExists(t, test.want, "what is only shown makes nothing")
			made, err := translations(true)
			require.NoError(t, err)
			assert.Equal(t, test.want, made)
			info, err := os.Stat(made)
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())
		})
	}
}

// Only emulators of ours are told, in the ways in which crossrun knows them.
func TestWhoKeepsTranslations(t *testing.T) {
	dir := ownCache(t)
	t.Setenv(translationsVariable, "on")
	arm64 := lookup(t, "arm64")
	p := &program{path: "./s", argv: []string{"s"}, header: elfmagic.Header{Arch: arm64}}
	env := func(version, request string) []string {
		o := options{asked: request}
		f := &facts{foreign: arm64, cpu: []string{"QEMU_CPU=max"}, emulator: func() (*emulator.Emulator, error) {
			return &emulator.Emulator{Arch: arm64, Path: "/bin/qemu-aarch64", Version: version}, nil
		}}
		for w := range ways(p, &o, f) {
			return w.env
		}
		return nil
	}
	const ours, stock = "10.2.2 (Debian)" + emulator.ExecHelper, "10.2.2 (Debian)"
	assert.Equal(t, []string{"QEMU_CPU=max", "QEMU_TB_CACHE=" + dir}, env(ours, byEmulator))
	assert.Equal(t, []string{"QEMU_TB_CACHE=" + dir}, env(ours, byHelper), "the CPU is a flag")
	assert.Equal(t, []string{"QEMU_CPU=max"}, env(stock, byEmulator))
	assert.Equal(t, []string{"QEMU_CPU=max"}, env(ours, byKernel), "what the kernel holds is left alone")

	// Where others may write nothing is kept, and the program runs.
	require.NoError(t, os.Chmod(dir, 0o777))
	assert.Equal(t, []string{"QEMU_CPU=max"}, env(ours, byEmulator))
	w := way{why: "so"}
	w.keepTranslations(&options{})
	assert.Equal(t, "so; translations are not kept: "+dir+": others may write to it (mode 0777)", w.why)
}

func TestTheCacheIsShownAndCleared(t *testing.T) {
	dir := ownCache(t)
	said := func(args ...string) string {
		var stdout, stderr bytes.Buffer
		assert.Zero(t, run(args, &stdout, &stderr), "%s", &stderr)
		assert.Empty(t, stderr.String())
		return stdout.String()
	}
	off := "directory: " + dir + "\nkept:      no: --cache-translations, or CROSSRUN_TRANSLATIONS=on\n"
	assert.Equal(t, off+"files:     0, 0.0 MB\n", said("--cache"))
	assert.NoDirExists(t, dir, "nobody keeps anything")
	assert.Equal(t, "removed: 0, 0.0 MB\n", said("--cache=clear"))

	require.NoError(t, os.MkdirAll(filepath.Join(dir, "directory.tb"), 0o700))
	for name, hours := range map[string]int{"a.tb": 3, "b.tb": 72, "lock": 1} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, make([]byte, 1_250_000), 0o600))
		when := time.Now().Add(-time.Duration(hours) * time.Hour)
		require.NoError(t, os.Chtimes(path, when, when))
	}
	assert.Equal(t, off+"files:     2, 2.5 MB, used 3 hours to 3 days ago\n", said("--cache"))
	require.Contains(t, said("--cache-translations", "--cache"), "\nkept:      yes\n")
	assert.Equal(t, "on", os.Getenv(translationsVariable), "for what programs start, too")
	assert.Equal(t, "removed: 2, 2.5 MB, used 3 hours to 3 days ago\n", said("--cache=clear"))
	assert.FileExists(t, filepath.Join(dir, "lock"))
	assert.DirExists(t, filepath.Join(dir, "directory.tb"))

	require.NoError(t, os.Chmod(dir, 0o770))
	for what, want := range map[string]string{
		"--cache":       "error: translations: " + dir + ": others may write to it (mode 0770)",
		"--cache=clean": "error: --cache=clean: unknown",
		"--cache=clear": "hint: --cache-translations=DIRECTORY, or CROSSRUN_TRANSLATIONS, names another directory",
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, exitFailed, run([]string{what}, &stdout, &stderr))
		assert.Contains(t, stderr.String(), want)
	}
}
