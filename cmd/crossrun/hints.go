package main

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/internal/cli"
)

// explained adds to an error of a private instance what can be done about it.
func explained(err error) error {
	var failed *private.Error
	if !errors.As(err, &failed) {
		return err
	}
	if hint := instanceHint(failed); hint != "" {
		return cli.WithHint(err, "%s", hint)
	}
	return err
}

func instanceHint(err *private.Error) string {
	is := func(errno syscall.Errno) bool { return err.Errno == errno }
	switch {
	case err.Feature != nil:
		return "" // the error says it all
	case err.Op == private.OpNamespace && is(syscall.ENOSPC):
		return "the limit of user namespaces is reached or 0: sysctl user.max_user_namespaces"
	case err.Op == private.OpNamespace && (is(syscall.EPERM) || is(syscall.EACCES)):
		return "user namespaces are denied here: in a chroot, by a container's seccomp profile, by AppArmor (sysctl kernel.apparmor_restrict_unprivileged_userns, Ubuntu 24.04 and later) or by sysctl kernel.unprivileged_userns_clone (Debian)"
	case err.Op == private.OpNamespace && is(syscall.EINVAL):
		return "this kernel has no user namespaces (CONFIG_USER_NS)"
	case err.Op == private.OpEnter && err.Denied():
		return "setns(2) is denied here, as by a container's seccomp profile"
	case err.Op == private.OpMount:
		return "a container's seccomp profile or AppArmor may deny mounts in user namespaces; a /proc that is partly covered, as in unprivileged containers, does not let itself be mounted on either"
	case err.Op == private.OpRegister && (is(syscall.ENOENT) || is(syscall.EACCES)):
		return "the kernel opens the emulator when it is registered: it must be there, executable, and on no file system that is mounted noexec"
	case err.Op == private.OpRoot:
		return "it must be a directory that has a whole system in it, with /proc, /sys and /dev as directories"
	}
	return ""
}

// withHint returns an error and its hint as one line.
func withHint(err error) string {
	if hint := cli.Hint(err); hint != "" {
		return fmt.Sprintf("%v (%s)", err, hint)
	}
	return err.Error()
}
