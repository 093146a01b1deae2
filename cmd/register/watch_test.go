package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt/keep"
	"github.com/projectcalico/go-build/elfmagic"
)

// configured writes a file of settings.
func configured(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "register.json")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestSettingsOfAWatchAreFlagsEnvironmentOrAFile(t *testing.T) {
	t.Setenv("QEMU_BIN_DIR", "")
	emulator := filepath.Join(t.TempDir(), "qemu")
	require.NoError(t, os.WriteFile(emulator, nil, 0o700))
	file := configured(t, `{"architectures": ["s390x", "linux/arm64"], "emulators": {"arm64": "`+emulator+`"}, "qemuPath": "/opt/qemu", "yield": ["rosetta"], "checkEvery": "1m", "uninstallOnExit": true, "listen": ":9", "featuresFile": "/features"}`)

	o := parsed(t, "--watch")
	s, err := o.load()
	require.NoError(t, err)
	assert.Equal(t, keep.Settings{Yield: []string{"*"}, Check: defaultCheck}, s)
	assert.Empty(t, o.watch.listen)

	o = parsed(t, "--watch", "--config", file)
	s, err = o.load()
	require.NoError(t, err)
	assert.Equal(t, []*elfmagic.Arch{lookup(t, "s390x"), lookup(t, "arm64")}, s.Request.Archs)
	assert.Equal(t, map[string]string{"aarch64": emulator}, s.Request.Emulators)
	assert.Equal(t, []string{"/opt/qemu"}, s.Request.Dirs)
	assert.Equal(t, []string{"rosetta"}, s.Yield)
	assert.Equal(t, time.Minute, s.Check)
	assert.True(t, s.Withdraw)
	assert.Equal(t, ":9", o.watch.listen)
	assert.Equal(t, "/features", o.watch.features)

	// Emulators that are named are so besides those of the file.
	for _, test := range []struct {
		flags []string
		want  map[string]string
	}{
		{[]string{"--emulator", "s390x=/bin/sh"}, map[string]string{"aarch64": emulator, "s390x": "/bin/sh"}},
		{[]string{"--emulator", "arm64=/bin/sh"}, map[string]string{"aarch64": "/bin/sh"}},
	} {
		s, err = parsed(t, append(test.flags, "--watch", "--config", file)...).load()
		require.NoError(t, err)
		assert.Equal(t, test.want, s.Request.Emulators)
	}

	// Flags are before the environment, and that is before the file.
	t.Setenv("REGISTER_CONFIG", file)
	t.Setenv("REGISTER_ARCHITECTURES", "riscv64 s390x")
	t.Setenv("REGISTER_YIELD", "a,b")
	t.Setenv("REGISTER_UNINSTALL_ON_EXIT", "false")
	t.Setenv("REGISTER_CHECK_EVERY", "2m")
	t.Setenv("REGISTER_LISTEN", "9100")
	o = parsed(t, "--watch", "--check-every", "3m")
	o.Archs, err = o.architectures()
	require.NoError(t, err)
	s, err = o.load()
	require.NoError(t, err)
	assert.Equal(t, []*elfmagic.Arch{lookup(t, "riscv64"), lookup(t, "s390x")}, s.Request.Archs)
	assert.Equal(t, []string{"a", "b"}, s.Yield)
	assert.Equal(t, 3*time.Minute, s.Check)
	assert.False(t, s.Withdraw)
	assert.Equal(t, "9100", o.watch.listen)
	o = parsed(t, "--watch", "ppc64le")
	o.Archs, err = o.architectures()
	require.NoError(t, err)
	s, err = o.load()
	require.NoError(t, err)
	assert.Equal(t, []*elfmagic.Arch{lookup(t, "ppc64le")}, s.Request.Archs)
}

func TestWrongSettingsAreErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{"architecture": []}`:                 `unknown field "architecture"`,
		`{"architectures": ["amr64"]}`:         `unknown architecture "amr64"`,
		`{"checkEvery": "often"}`:              `checkEvery: time: invalid duration "often"`,
		`{"checkEvery": "1ms"}`:                "less than a second",
		`{"emulators": {"arm64": "qemu"}}`:     `"qemu" is not an absolute path`,
		`{"emulators": {"arm64": "/no/qemu"}}`: "no such file",
		`{"emulators": {"amr64": "/no/qemu"}}`: `unknown architecture "amr64"`,
		`{"qemuPath": "qemu"}`:                 `qemuPath "qemu" is not an absolute path`,
		`{"yield": ["qemu-*", "["]}`:           "--yield [: syntax error in pattern",
		`{} {}`:                                "more after",
		``:                                     "EOF",
	} {
		file := configured(t, text)
		_, err := parsed(t, "--watch", "--config", file).load()
		assert.ErrorContains(t, err, want, text)
		assert.ErrorContains(t, err, "--config "+file+": ")
	}
	_, err := parsed(t, "--watch", "--config", "/no/such/file").load()
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestFlagsOfAWatchGoWithIt(t *testing.T) {
	for args, want := range map[string]string{
		"--listen :9":              "--listen: is for --watch only",
		"--own-instance":           "--own-instance: is for --watch only",
		"--uninstall-on-exit":      "--uninstall-on-exit: is for --watch only",
		"--watch --status":         "--status and --watch cannot be used together",
		"--watch --no-probe":       "cannot be used with --dry-run or --no-probe",
		"--watch --check-every no": `invalid argument "no"`,
	} {
		_, err := parse(strings.Fields(args))
		assert.ErrorContains(t, err, want, args)
	}
	t.Setenv("REGISTER_CHECK_EVERY", "never")
	_, err := parse(nil)
	assert.NoError(t, err, "what is for a watch does not matter elsewhere")
	_, err = parse([]string{"--watch"})
	assert.ErrorContains(t, err, "REGISTER_CHECK_EVERY=never: ")
}

func TestFeaturesAreALabelForEachPlatformThatRuns(t *testing.T) {
	r := &keep.Report{Settings: keep.Settings{Check: 5 * time.Minute}, Archs: []keep.Status{
		{Arch: lookup(t, "arm64"), Runs: true}, {Arch: lookup(t, "arm"), Runs: true}, {Arch: lookup(t, "s390x")}, {Arch: lookup(t, "386"), Native: true},
	}}
	want := "# +expiry-time=2026-11-28T00:11:00Z\nlinux-arm64=emulated\nlinux-arm-v7=emulated\nlinux-386=native\n"
	assert.Equal(t, want, features(r, time.Date(2026, 11, 28, 1, 0, 0, 0, time.FixedZone("", 3600))))
}

func TestEventsAreLinesOfJSON(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	o := parsed(t, "--watch")
	o.log(log, keep.Event{Kind: keep.Healed, Arch: lookup(t, "arm64"), Entry: "qemu-aarch64", Cause: keep.Removed, Took: 250 * time.Microsecond})
	o.log(log, keep.Event{Kind: keep.Failed, Err: errors.New("something")})
	o.log(log, keep.Event{Kind: keep.Tried})
	var lines []map[string]any
	for line := range strings.Lines(out.String()) {
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &fields))
		assert.NotEmpty(t, fields["time"])
		delete(fields, "time")
		lines = append(lines, fields)
	}
	assert.Equal(t, []map[string]any{
		{"level": "INFO", "msg": said[keep.Healed], "event": "healed", "architecture": "linux/arm64", "entry": "qemu-aarch64", "cause": "removed", "seconds": 0.00025},
		{"level": "ERROR", "msg": "failed", "event": "failed", "error": "something"},
	}, lines)
}

func TestEveryKindOfEventHasWords(t *testing.T) {
	for _, kind := range []keep.Kind{keep.Registered, keep.Healed, keep.Upgraded, keep.Yielded, keep.Retaken, keep.Delayed, keep.Failed, keep.Warned, keep.Tried, keep.Blocked, keep.Unblocked, keep.Withdrawn, keep.HandedOver} {
		assert.NotEmpty(t, said[kind], kind)
	}
}

func TestSystemdIsTold(t *testing.T) {
	tellSystemd("READY=1") // nobody wants to know
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	tellSystemd("READY=1")
	buffer := make([]byte, 100)
	n, err := conn.Read(buffer)
	require.NoError(t, err)
	assert.Equal(t, "READY=1", string(buffer[:n]))
}
