package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/binfmt/install"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// asked are the options of a command that was asked for nothing.
func asked(name string) *options { return &options{name: name, mount: "/m"} }

func TestWhyAProgramDidNotRunIsSaidInWords(t *testing.T) {
	for _, test := range []struct {
		err        error
		text, hint string
	}{
		{&host.Error{Cause: host.NoEntry, Err: syscall.ENOEXEC}, "does not run: no entry is for them: exec format error", "register it"},
		{&host.Error{Cause: host.Disabled, Entry: "qemu-arm", Err: syscall.ENOEXEC}, "does not run: qemu-arm: the entry is disabled: exec format error", "echo 1 > /m/qemu-arm enables it"},
		{&host.Error{Cause: host.AllDisabled, Err: syscall.ENOEXEC}, "does not run: all entries are disabled: exec format error", "echo 1 > /m/status enables"},
		{&host.Error{Cause: host.OtherInstance, Err: syscall.ENOEXEC}, "does not run: the kernel uses another instance of binfmt_misc than this one: exec format error", "mount -t binfmt_misc binfmt_misc /m shows"},
		{&host.Error{Cause: host.Unseen, Err: syscall.ENOEXEC}, "does not run: binfmt_misc is not mounted here: why, cannot be seen: exec format error", "mount -t binfmt_misc binfmt_misc /m"},
		{&host.Error{Cause: host.NoInterpreter, Entry: "e", Path: "/q", Err: syscall.ENOENT}, "does not run: e: /q: the entry's interpreter, or its loader, is missing: no such file or directory", "echo -1 > /m/e removes it"},
		{&host.Error{Cause: host.Loop, Entry: "e", Err: syscall.ELOOP}, "does not run: e: the entry's interpreter is itself taken by an entry: too many levels of symbolic links", "this host's own programs"},
		{&host.Error{Cause: host.Failed, Err: &tinyelf.RunError{Status: 1 << 8, Stderr: "oops"}}, "does not run: the program failed: exit status 1 instead of 42: oops", "by hand"},
		{&host.Error{Cause: host.Failed, Err: &tinyelf.RunError{Status: syscall.WaitStatus(syscall.SIGSEGV)}}, "does not run: the program failed: killed by SIGSEGV", "by hand"},
		{errors.New("no luck"), "does not run: no luck", "by hand"},
	} {
		row := (&report{}).row(lookup(t, "arm64"))
		row.fail(asked(name).worded(fmt.Errorf("%w: %w", install.ErrNotRun, test.err)))
		assert.Equal(t, test.text, row.Error)
		assert.EqualError(t, row.err, "linux/arm64: "+test.text)
		assert.Contains(t, cli.Hint(row.err), test.hint)
	}
}

func TestWhatTheKernelDeniesIsExplainedByItsCause(t *testing.T) {
	denied := &binfmt.Error{Op: "mount", Path: "/m", Err: syscall.EPERM}
	root := host.Surroundings{SysAdmin: true, InitialUser: true}
	with := func(change func(s *host.Surroundings)) host.Surroundings {
		s := root
		change(&s)
		return s
	}
	for name, test := range map[string]struct {
		surroundings host.Surroundings
		hint         string // beginning
	}{
		"no capability":                     {host.Surroundings{InitialUser: true}, "this requires CAP_SYS_ADMIN: root of the host has it; in a container: docker run --privileged"},
		"an ordinary user":                  {host.Surroundings{InitialUser: true, UID: 1000}, "this takes root: sudo "},
		"no capability, whatever else":      {host.Surroundings{InitialUser: true, Seccomp: true, AppArmor: "docker-default (enforce)"}, "this requires CAP_SYS_ADMIN: root of the host has it"},
		"no capability in a user namespace": {host.Surroundings{}, "this requires CAP_SYS_ADMIN over the user namespace"},
		"a user namespace":                  {with(func(s *host.Surroundings) { s.InitialUser = false }), "this is a user namespace (rootless container, or userns-remap): "},
		"a user namespace with seccomp":     {with(func(s *host.Surroundings) { s.InitialUser, s.Seccomp = false, true }), "this is a user namespace (rootless container, or userns-remap), and seccomp may deny mount: "},
		"SELinux":                           {with(func(s *host.Surroundings) { s.SELinux, s.Seccomp = "u:r:container_t:s0", true }), "SELinux confines this process (u:r:container_t:s0): docker run --security-opt label=disable"},
		"AppArmor":                          {with(func(s *host.Surroundings) { s.AppArmor, s.Seccomp = "docker-default (enforce)", true }), "AppArmor confines this process (docker-default (enforce)): docker run --security-opt apparmor=unconfined"},
		"seccomp":                           {with(func(s *host.Surroundings) { s.Seccomp = true }), "a seccomp profile denies it: docker run --security-opt seccomp=unconfined"},
		"nothing that is known":             {root, cli.Hint(denied)},
	} {
		t.Run(name, func(t *testing.T) {
			for _, errno := range []error{syscall.EPERM, syscall.EACCES} {
				err := asked(name).hinted(fmt.Errorf("wrapped: %w", &binfmt.Error{Op: "mount", Path: "/m", Err: errno}), test.surroundings)
				assert.ErrorIs(t, err, errno)
				assert.EqualError(t, err, fmt.Sprintf("wrapped: cannot mount /m: %v", errno), "the error is what it was")
				require.NotEmpty(t, test.hint)
				assert.True(t, strings.HasPrefix(cli.Hint(err), test.hint), cli.Hint(err))
			}
		})
	}
}

func TestAContainerInAUserNamespaceIsToldWhereToRegister(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	assert.Contains(t, cli.Hint(asked("register").hinted(install.ErrContainer, host.Surroundings{})), "podman unshare register ARCH…")
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
	hint := cli.Hint(asked("register").hinted(install.ErrContainer, host.Surroundings{}))
	assert.Contains(t, hint, "without hostUsers: false")
	assert.Contains(t, hint, "see https://github.com/projectcalico/go-build/blob/HEAD/docs/kubernetes.md")
	assert.NotContains(t, hint, "Podman")
}

func TestOtherErrorsAreLeftAsTheyAre(t *testing.T) {
	for _, err := range []error{
		errors.New("no luck"),
		syscall.EPERM, // not one of binfmt_misc's
		&binfmt.Error{Op: "register", Name: "n", Path: "/m/register", Err: syscall.EEXIST},
		&binfmt.Error{Op: "list", Path: "/m", Err: binfmt.ErrNotMounted},
	} {
		assert.Equal(t, err, asked("register").hinted(err, host.Surroundings{}))
	}
	assert.NoError(t, asked("register").explain(nil))
}

func TestWhatWouldNotLastHasTheCommandsThatMakeItLast(t *testing.T) {
	err := asked("binfmt").hinted(install.ErrNotLasting, host.Surroundings{})
	assert.ErrorIs(t, err, install.ErrNotLasting)
	hint := cli.Hint(err)
	for _, part := range []string{"--pid=host … lets binfmt mount it", "mount -t binfmt_misc binfmt_misc " + binfmt.DefaultMount + ".", "mount -t binfmt_misc binfmt_misc /m in here, then binfmt"} {
		assert.Contains(t, hint, part)
	}
}

// To write takes no capability, but the user: what is missing is said.
func TestWhoMayNotWriteIsToldWhoMay(t *testing.T) {
	for op, denied := range map[string]*binfmt.Error{
		"open":     {Op: "open", Path: "/m/register", Err: syscall.EACCES},
		"register": {Op: "register", Path: "/m/register", Err: syscall.EACCES},
		"remove":   {Op: "remove", Path: "/m/e", Err: syscall.EPERM},
	} {
		hint := deniedHint(denied, host.Surroundings{UID: 1000, SysAdmin: true, InitialUser: true})
		assert.Equal(t, "only user 0 of the user namespace that mounted this binfmt_misc may change it, and this is user 1000: sudo, or in a container docker run --user 0", hint, op)
		hint = deniedHint(denied, host.Surroundings{SysAdmin: true})
		assert.Contains(t, hint, "those of the user namespace above this one; mount -t binfmt_misc binfmt_misc /m (Linux 6.7)", op)
	}
}
