package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/emulator"
)

// Programs, requests and facts make a list: no kernel has a part in it.
func TestWaysFollowFromTheProgramTheRequestAndTheFacts(t *testing.T) {
	amd64, arm64 := lookup(t, "amd64"), lookup(t, "arm64")
	programs := map[string]*program{
		"native":  {path: "./n", argv: []string{"n", "x"}, header: elfmagic.Header{Arch: amd64}},
		"static":  {path: "./s", argv: []string{"s", "a b"}, header: elfmagic.Header{Arch: arm64}},
		"dynamic": {path: "-d", argv: []string{"d"}, header: elfmagic.Header{Arch: arm64}, interp: "/lib/ld.so"},
		"text":    {path: "./t", argv: []string{"t"}, elfErr: elfmagic.ErrNotELF},
	}
	programs["script"] = &program{path: "./script", argv: []string{"script"}, script: programs["static"]}

	const qemu = "/usr/bin/qemu-aarch64-static"
	const ours = "10.2.2 (Debian, go-build 10 patches)" + emulator.ExecHelper
	const stock = "--handed-on: " + qemu + ": this emulator does not hand on what it starts"
	emulatorAt := func(path string) func() (*emulator.Emulator, error) {
		return func() (*emulator.Emulator, error) { return &emulator.Emulator{Arch: arm64, Path: path}, nil }
	}
	ofVersion := func(arch *elfmagic.Arch, version string) func() (*emulator.Emulator, error) {
		return func() (*emulator.Emulator, error) {
			return &emulator.Emulator{Arch: arch, Path: qemu, Version: version}, nil
		}
	}
	missing := errors.New("no emulator")
	noEmulator := func() (*emulator.Emulator, error) { return nil, missing }
	entry := func(why string) func() string { return func() string { return why } }
	denied := func() error { return errors.New("denied") }
	instance := func(err error) func() (string, error) { return func() (string, error) { return "", err } }

	for _, test := range []struct {
		program, request string
		facts            facts
		want             []string
	}{
		// A run asks neither for entries nor for namespaces.
		{"native", "", facts{emulator: noEmulator}, []string{
			"--kernel ./n x # the kernel runs it", "--private ./n x", "--handed-on: no emulator", "--watched ./n x", "--direct: no emulator"}},
		{"native", "", facts{starts: true}, []string{"--watched ./n x", "--private ./n x", "--kernel ./n x # the kernel runs it"}},
		{"native", "", facts{starts: true, watched: denied}, []string{
			"--watched: ./n: cannot be watched: denied (tried)", "--private ./n x", "--kernel ./n x # the kernel runs it"}},
		{"native", "--watched --strace", facts{}, []string{"--watched QEMU_STRACE=1 ./n x"}},
		{"static", "", facts{emulator: emulatorAt(qemu)}, []string{
			"--kernel ./s 'a b' # the kernel runs it", "--private ./s 'a b'", stock, "--watched ./s 'a b'",
			"--direct " + qemu + " -0 s ./s 'a b' # no entry in the kernel is for it"}},
		{"script", "", facts{emulator: emulatorAt(qemu)}, []string{
			"--kernel ./script # the kernel runs it", "--private ./script", stock, "--watched ./script",
			"--direct " + qemu + " -0 s ./s 'a b' # no entry in the kernel is for it"}},
		// What is shown is looked up, and tried all the same.
		{"static", "", facts{emulator: noEmulator, entry: entry("entry e"), instance: instance(nil)}, []string{
			"--kernel ./s 'a b' # entry e", "--private ./s 'a b'", "--handed-on: no emulator", "--watched: no emulator", "--direct: no emulator"}},
		{"static", "", facts{emulator: emulatorAt(qemu), entry: entry(""), instance: instance(errors.New("denied")), watched: denied}, []string{
			"--kernel: ./s: the kernel has no enabled entry for it (tried)", "--private: ./s: denied (tried)", stock, "--watched: ./s: cannot be watched: denied (tried)",
			"--direct " + qemu + " -0 s ./s 'a b' # no entry in the kernel is for it"}},
		// Libraries.
		{"dynamic", "", facts{emulator: emulatorAt(qemu), sysroot: "/r"}, []string{
			"--kernel QEMU_LD_PREFIX=/r -d # the kernel runs it", "--private QEMU_LD_PREFIX=/r -d", stock, "--watched -d",
			"--direct " + qemu + " -0 d -L /r ./-d # no entry in the kernel is for it"}},
		// What nobody knows, an entry may be for.
		{"text", "", facts{}, []string{"--kernel ./t # the kernel runs it", "--private: ./t: not an ELF file", "--handed-on: ./t: not an ELF file", "--watched: ./t: not an ELF file", "--direct: ./t: not an ELF file"}},
		{"text", "--private", facts{}, []string{"--private ./t"}},
		{"text", "--direct", facts{}, []string{"--direct: ./t: not an ELF file"}},
		// Requests.
		{"static", "--kernel", facts{entry: entry("")}, []string{"--kernel: ./s: the kernel has no enabled entry for it (tried)"}},
		{"static", "--kernel", facts{cpu: []string{"QEMU_CPU=max"}}, []string{"--kernel QEMU_CPU=max ./s 'a b' # the kernel runs it"}},
		// In an instance of our own the entries' emulators have CPUs, each of its architecture.
		{"static", "--private --strace", facts{cpu: []string{"QEMU_CPU=max"}}, []string{"--private QEMU_STRACE=1 ./s 'a b'"}},
		{"static", "--direct", facts{emulator: emulatorAt(qemu), chosen: true, cpu: []string{"QEMU_CPU=max"}}, []string{"--direct QEMU_CPU=max " + qemu + " -0 s ./s 'a b' # --direct asks for it"}},
		{"static", "--cpu a57 -g 1234", facts{emulator: emulatorAt(qemu), chosen: true, cpu: []string{"QEMU_CPU=max"}, sysroot: "/r"}, []string{
			"--direct " + qemu + " -0 s -L /r -cpu a57 -g 1234 ./s 'a b' # --gdb asks for it"}},
		// An emulator of ours gets as flags what the environment has, which a program may clear.
		{"static", "--handed-on", facts{emulator: ofVersion(arm64, ours), chosen: true, cpu: []string{"QEMU_CPU=max"}, sysroot: "/r"}, []string{
			"--handed-on " + qemu + " -cpu max -0 s -L /r ./s 'a b' # --handed-on asks for it, and it hands on what it starts"}},
		{"static", "--handed-on --strace", facts{emulator: ofVersion(arm64, ours)}, []string{
			"--handed-on " + qemu + " -strace -0 s ./s 'a b' # --handed-on asks for it, and it hands on what it starts"}},
		// QEMU before 10 is slow at pointer authentication.
		{"static", "--direct", facts{emulator: ofVersion(arm64, "7.2.22 (Debian)")}, []string{
			"--direct " + qemu + " -0 s -cpu 'max,pauth-impdef=on' ./s 'a b' # --direct asks for it; with max,pauth-impdef=on, as this QEMU is slow at pointer authentication"}},
		{"static", "--direct", facts{emulator: ofVersion(arm64, "9.2.4"), sysroot: "/r"}, []string{
			"--direct " + qemu + " -0 s -L /r -cpu 'max,pauth-impdef=on' ./s 'a b' # --direct asks for it; with max,pauth-impdef=on, as this QEMU is slow at pointer authentication"}},
		{"static", "--direct", facts{emulator: ofVersion(arm64, "7.2.22"), chosen: true}, []string{"--direct " + qemu + " -0 s ./s 'a b' # --direct asks for it"}},
		{"static", "--cpu a57", facts{emulator: ofVersion(arm64, "7.2.22"), chosen: true}, []string{"--direct " + qemu + " -0 s -cpu a57 ./s 'a b' # --cpu asks for it"}},
		{"static", "--direct", facts{emulator: ofVersion(arm64, "10.0.2")}, []string{"--direct " + qemu + " -0 s ./s 'a b' # --direct asks for it"}},
		{"static", "--direct", facts{emulator: ofVersion(arm64, "5.2.0")}, []string{"--direct " + qemu + " -0 s ./s 'a b' # --direct asks for it"}},
		{"static", "--direct", facts{emulator: ofVersion(lookup(t, "arm"), "7.2.22")}, []string{"--direct " + qemu + " -0 s ./s 'a b' # --direct asks for it"}},
		{"static", "--emulator box64", facts{emulator: emulatorAt("/bin/box64"), sysroot: "/r"}, []string{"--direct /bin/box64 ./s 'a b' # --emulator asks for it"}},
		{"static", "--emulator box64 --gdb 1", facts{emulator: emulatorAt("/bin/box64")}, []string{"--direct: --gdb: /bin/box64 does not look like one of QEMU's emulators"}},
	} {
		t.Run(strings.TrimSpace(test.program+" "+test.request), func(t *testing.T) {
			var o options
			require.NoError(t, o.flags().Parse(strings.Fields(test.request)))
			require.NoError(t, o.nameEmulators())
			require.NoError(t, o.mode())
			if p := programs[test.program].binary(); p.header.Arch != amd64 {
				test.facts.foreign = p.header.Arch
			}
			var got []string
			for w := range ways(programs[test.program], &o, &test.facts) {
				line := strings.TrimSuffix(fmt.Sprintf("%s %s # %s", w.flag, w, w.why), " # ")
				if w.err != nil {
					line = fmt.Sprintf("%s: %v", w.flag, w.err)
				}
				if w.tried {
					line += " (tried)"
				}
				got = append(got, line)
			}
			assert.Equal(t, test.want, got)
		})
	}
}

// A fact that costs time is not looked at before the way that depends on it.
func TestWaysAskForNothingTooEarly(t *testing.T) {
	arm64 := lookup(t, "arm64")
	p := &program{path: "./s", argv: []string{"s"}, header: elfmagic.Header{Arch: arm64}}
	f := &facts{foreign: arm64, emulator: func() (*emulator.Emulator, error) {
		require.Fail(t, "the kernel may run it")
		return nil, nil
	}}
	for w := range ways(p, &options{}, f) {
		if w.flag == byInstance {
			break
		}
	}
}

// What a supervisor is told arrives, whatever is in a path.
func TestAStateIsReadAsItWasWritten(t *testing.T) {
	for _, sysroot := range []string{"", "aarch64=/sysroot", "aarch64=/a\nb \"\xff"} {
		got, ignored, _, err := parseState(watchedState(sysroot, 0x5, nil))
		require.NoError(t, err)
		assert.Equal(t, sysroot, got)
		assert.EqualValues(t, 0x5, ignored)
	}
	_, _, _, err := parseState("aarch64=/sysroot\n0\n")
	assert.ErrorContains(t, err, "a supervisor's state")
}
