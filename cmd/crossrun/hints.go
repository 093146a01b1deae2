package main

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/projectcalico/go-build/binfmt/private"
	"github.com/projectcalico/go-build/internal/cli"
)

// instanceHints say what can be done about a step that failed, with one of the
// errnos if there are any.
var instanceHints = []struct {
	op     private.Op
	errnos []syscall.Errno
	hint   string
}{
	{private.OpNamespace, []syscall.Errno{syscall.ENOSPC}, "the limit of user namespaces is reached or 0: sysctl user.max_user_namespaces"},
	{private.OpNamespace, []syscall.Errno{syscall.EPERM, syscall.EACCES}, "user namespaces are denied here: in a chroot, by a container's seccomp profile, by AppArmor (sysctl kernel.apparmor_restrict_unprivileged_userns, Ubuntu 24.04 and later) or by sysctl kernel.unprivileged_userns_clone (Debian)"},
	{private.OpNamespace, []syscall.Errno{syscall.EINVAL}, "this kernel has no user namespaces (CONFIG_USER_NS)"},
	{private.OpEnter, []syscall.Errno{syscall.EPERM, syscall.EACCES, syscall.ENOSYS, syscall.EINVAL, syscall.ENOSPC}, "setns(2) is denied here, as by a container's seccomp profile"},
	{private.OpMount, nil, "a container's seccomp profile or AppArmor may deny mounts in user namespaces; a /proc that is partly covered, as in unprivileged containers, does not let itself be mounted on either"},
	{private.OpRegister, []syscall.Errno{syscall.ENOENT, syscall.EACCES}, "the kernel opens the emulator when it is registered: it must be there, executable, and on no file system that is mounted noexec"},
	{private.OpRoot, nil, "it must be a directory that has a whole system in it, with /proc, /sys and /dev as directories"},
}

// explained adds to an error of a private instance what can be done about it.
func explained(err error) error {
	var failed *private.Error
	if !errors.As(err, &failed) || failed.Feature != nil { // that says it all
		return err
	}
	for _, h := range instanceHints {
		if h.op == failed.Op && (h.errnos == nil || slices.Contains(h.errnos, failed.Errno)) {
			return cli.WithHint(err, "%s", h.hint)
		}
	}
	return err
}

// withHint returns an error and its hint as one line.
func withHint(err error) string {
	if hint := cli.Hint(explained(err)); hint != "" {
		return fmt.Sprintf("%v (%s)", err, hint)
	}
	return err.Error()
}
