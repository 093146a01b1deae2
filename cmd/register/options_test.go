package main

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt/install"
)

// parsed are the options of a command line that is right.
func parsed(t testing.TB, args ...string) *options {
	t.Helper()
	o, err := parse(args)
	require.NoError(t, err)
	return o
}

func TestOptionsAreWhatTheFlagsSay(t *testing.T) {
	t.Setenv("QEMU_BIN_DIR", "")
	suffix := func(s string) *string { return &s }
	for args, change := range map[string]func(o *options){
		"":                            func(o *options) {},
		"arm64 s390x":                 func(o *options) { o.args = []string{"arm64", "s390x"} },
		"-p yes":                      func(o *options) { o.Persistent = install.Yes },
		"-p no":                       func(o *options) { o.Persistent = install.No },
		"-pno":                        func(o *options) { o.Persistent = install.No },
		"-p=yes":                      func(o *options) { o.Persistent = install.Yes },
		"-p auto":                     func(o *options) {},
		"--persistent yes":            func(o *options) { o.Persistent = install.Yes },
		"--persistent=no -p yes":      func(o *options) { o.Persistent = install.Yes },
		"-c yes":                      func(o *options) { o.Credentials = install.Yes },
		"--credential=no":             func(o *options) { o.Credentials = install.No },
		"-c auto":                     func(o *options) {},
		"-g no":                       func(o *options) { o.PreserveArgv0 = install.No },
		"--preserve-argv0=yes":        func(o *options) { o.PreserveArgv0 = install.Yes },
		"-i yes":                      func(o *options) { o.IgnoreFamily = true },
		"--ignore-family no":          func(o *options) {},
		"-Q /opt/qemu":                func(o *options) { o.Dirs = []string{"/opt/qemu"} },
		"--qemu-path=/opt/qemu arm64": func(o *options) { o.Dirs, o.args = []string{"/opt/qemu"}, []string{"arm64"} },
		"-F -odd":                     func(o *options) { o.Suffix = suffix("-odd") },
		"--qemu-suffix=":              func(o *options) { o.Suffix = suffix("") },
		"--qemu-suffix=-static":       func(o *options) { o.Suffix = suffix("-static") },
		"--reset":                     func(o *options) { o.Reset = true },
		"--emulator arm64=/bin/sh": func(o *options) {
			o.emulators, o.Emulators = []string{"arm64=/bin/sh"}, map[string]string{"aarch64": "/bin/sh"}
		},
		"--emulator linux/arm64=/bin/../bin/sh arm64 --emulator s390x=/bin/ls s390x --dry-run": func(o *options) {
			o.emulators = []string{"linux/arm64=/bin/../bin/sh", "s390x=/bin/ls"}
			o.Emulators, o.args, o.DryRun = map[string]string{"aarch64": "/bin/sh", "s390x": "/bin/ls"}, []string{"arm64", "s390x"}, true
		},
		"--reset -p yes":                func(o *options) { o.Reset, o.Persistent = true, install.Yes },
		"--uninstall arm64":             func(o *options) { o.uninstall, o.args = true, []string{"arm64"} },
		"arm64 --uninstall":             func(o *options) { o.uninstall, o.args = true, []string{"arm64"} },
		"--status":                      func(o *options) { o.status = true },
		"--status=false --reset":        func(o *options) { o.Reset = true },
		"--status --dry-run --no-probe": func(o *options) { o.status, o.DryRun, o.NoProbe = true, true, true },
		"-s ALL":                        func(o *options) { o.systemd = "ALL" },
		"--systemd all":                 func(o *options) { o.systemd = "all" },
		"-s arm64 -e /tmp":              func(o *options) { o.systemd, o.exportDir, o.args = "arm64", "/tmp", []string{"arm64"} },
		"-d arm64 s390x":                func(o *options) { o.debian, o.args = true, []string{"arm64", "s390x"} },
		"--debian --exportdir /tmp":     func(o *options) { o.debian, o.exportDir = true, "/tmp" },
		"--dry-run":                     func(o *options) { o.DryRun = true },
		"--no-probe":                    func(o *options) { o.NoProbe = true },
		"--force":                       func(o *options) { o.Force = true },
		"--output json":                 func(o *options) { o.json = true },
		"--output=table":                func(o *options) {},
		"--mount /mnt":                  func(o *options) { o.mount = "/mnt" },
		"--version":                     func(o *options) { o.version = true },
		"-- --status":                   func(o *options) { o.args = []string{"--status"} },
		"-pyes -cyes -gno -iyes -F-odd --force": func(o *options) {
			o.Persistent, o.Credentials, o.PreserveArgv0, o.IgnoreFamily = install.Yes, install.Yes, install.No, true
			o.Suffix, o.Force = suffix("-odd"), true
		},
	} {
		var want options
		want.flags() // the defaults
		want.watch = watchOptions{}
		want.args = []string{}
		change(&want)
		assert.Equal(t, want, *parsed(t, strings.Fields(args)...), args)
	}
}

func TestDefaults(t *testing.T) {
	t.Setenv("QEMU_BIN_DIR", "/opt/qemu")
	o := parsed(t)
	assert.Equal(t, install.Request{Dirs: []string{"/opt/qemu"}}, o.Request)
	assert.False(t, o.json)
	assert.Equal(t, "/proc/sys/fs/binfmt_misc", o.mount)
	assert.Equal(t, []string{"/elsewhere"}, parsed(t, "-Q", "/elsewhere").Dirs, "the flag comes before the environment")
	assert.Empty(t, parsed(t, "--qemu-path=").Dirs, "even if it says nothing")
}

func TestWrongFlagsAreErrors(t *testing.T) {
	for args, want := range map[string]string{
		"--bogus":                     "unknown flag: --bogus",
		"-x":                          "unknown shorthand flag: 'x' in -x",
		"-p":                          "flag needs an argument: 'p' in -p",
		"--mount":                     "flag needs an argument: --mount",
		"-p perhaps":                  "must be auto or yes or no",
		"-p YES":                      "must be auto or yes or no",
		"--persistent=":               "must be auto or yes or no",
		"-c perhaps":                  "must be auto or yes or no",
		"-g true":                     "must be auto or yes or no",
		"-i auto":                     "must be yes or no",
		"--output xml":                "must be table or json",
		"--reset=perhaps":             "must be true or false",
		"--mount=":                    "--mount: no directory given",
		"--qemu-suffix=/x":            `--qemu-suffix "/x": must not have a slash; --qemu-path names the directory`,
		"-F a/b":                      `--qemu-suffix "a/b": must not have a slash; --qemu-path names the directory`,
		"--status --uninstall":        "--status and --uninstall cannot be used together",
		"--reset --uninstall":         "--uninstall and --reset cannot be used together",
		"--debian --reset --status":   "--status and --reset and --debian cannot be used together",
		"--systemd ALL --debian":      "--systemd and --debian cannot be used together",
		"--systemd arm64 --uninstall": "--uninstall and --systemd cannot be used together",
		"--emulator /usr/bin/FEX":     "--emulator /usr/bin/FEX: must be ARCH=FILE",
		"--emulator =/bin/sh":         "--emulator =/bin/sh: must be ARCH=FILE",
		"--emulator arm64=/none":      "--emulator: arm64: stat /none: no such file or directory",
		"--emulator arm64=/bin/sh --emulator aarch64=/bin/ls": "--emulator: an architecture is named twice: arm64=/bin/sh aarch64=/bin/ls",
		"--emulator arm64=/bin/sh s390x":                      "--emulator aarch64=…: aarch64 is not among the architectures that are named: s390x",
		"--emulator arm64=/bin/sh --status":                   "--emulator and --status cannot be used together",
		"--emulator arm64=/bin/sh --install-host":             "--emulator and --install-host cannot be used together",
		"--emulator arm64=/bin/sh --rootless":                 "--emulator and --rootless cannot be used together",
		"--install-host --no-probe":                           "--install-host: keeps what was seen to run, and so cannot be used with --no-probe",
		"--rootless --no-probe arm64":                         "--rootless: keeps what was seen to run, and so cannot be used with --no-probe",
		"--exportdir /tmp":                                    "--exportdir: no files are to be written without --systemd or --debian",
		"--exportdir /tmp --status arm64":                     "--exportdir: no files are to be written without --systemd or --debian",
		"--systemd arm64 s390x ppc64":                         "--systemd arm64: more architectures are named: s390x ppc64",
		"--systemd ALL s390x":                                 "--systemd ALL: more architectures are named: s390x",
	} {
		o, err := parse(strings.Fields(args))
		assert.ErrorContains(t, err, want, args)
		assert.Nil(t, o)
		assert.NotErrorIs(t, err, pflag.ErrHelp)
	}
	for _, args := range []string{"-h", "--help", "--help --mount=", "--status --reset -h"} {
		_, err := parse(strings.Fields(args))
		assert.ErrorIs(t, err, pflag.ErrHelp, args)
	}
}

func TestArchitecturesAreThoseThatAreNamedOnceEach(t *testing.T) {
	for args, want := range map[string]string{
		"":                             "",
		"all":                          "",
		"arm64":                        "aarch64",
		"arm64 s390x":                  "aarch64 s390x",
		"s390x arm64":                  "s390x aarch64",
		"arm64,s390x":                  "aarch64 s390x",
		"arm64,s390x ppc64el":          "aarch64 s390x ppc64le",
		"arm64 aarch64 linux/arm64":    "aarch64",
		"arm64,aarch64,s390x,arm64":    "aarch64 s390x",
		"linux/arm/v7 armhf arm/v6":    "arm",
		"qemu-riscv64-static QEMU-arm": "riscv64 arm",
		"--systemd arm64,s390x":        "aarch64 s390x",
		"--systemd All":                "",
	} {
		archs, err := parsed(t, strings.Fields(args)...).architectures()
		require.NoError(t, err, args)
		var names []string
		for _, arch := range archs {
			names = append(names, arch.Name)
		}
		assert.Equal(t, want, strings.Join(names, " "), args)
	}
	for args, want := range map[string][]string{
		"bogus":       {"bogus"},
		"arm64,bogus": {"bogus"},
		"x,y arm64 z": {"x", "y", "z"},
		"all arm64":   {"all"},
		"all,arm64":   {"all"},
		"ALL":         {"ALL"},
		"arm64,":      {""},
		",":           {"", ""},
	} {
		_, err := parsed(t, strings.Fields(args)...).architectures()
		require.Error(t, err, args)
		joined, ok := err.(interface{ Unwrap() []error })
		require.True(t, ok)
		var names []string
		for _, err := range joined.Unwrap() {
			name, ok := strings.CutPrefix(err.Error(), "unknown architecture ")
			require.True(t, ok, err)
			names = append(names, strings.Trim(name, `"`))
		}
		assert.Equal(t, want, names, args)
	}
}

// A variable that is not set is no flag that is left out: it would register on this machine.
func TestAnEmptyValueIsNoValue(t *testing.T) {
	for _, flag := range []string{"--install-host", "--uninstall-host", "--rootless", "--systemd", "--exportdir", "--config", "--emulator"} {
		_, err := parse([]string{flag + "=", "--dry-run", "arm64"})
		assert.ErrorContains(t, err, flag+": its value is empty")
	}
}
