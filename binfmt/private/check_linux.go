package private

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/tinyelf"
)

// Check returns an error if it can be seen, without making namespaces, that
// this process cannot have an instance. It looks at
//
//   - the kernel's version: 6.7;
//   - the sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone
//     (Debian) and kernel.apparmor_restrict_unprivileged_userns (Ubuntu 24.04);
//   - whether the root directory is one of a mount: in a chroot nobody makes user
//     namespaces (create_user_ns in kernel/user_namespace.c);
//   - what a seccomp filter answers to unshare(2) and setns(2) that the kernel
//     itself refuses, as they make no sense.
//
// What it does not see: a limit that is not 0 and reached, security modules
// other than that of Ubuntu, and why a mount may be denied. Only Available is
// sure.
func Check() error {
	if err := tooOld(nil); err != nil {
		return err
	}
	denied := func(err error) error { return failed(OpNamespace, "", err) }
	user := os.Geteuid() != 0
	profile, _ := os.ReadFile("/proc/self/attr/current")
	for _, sysctl := range []struct {
		applies      bool
		name, denies string
		errno        unix.Errno
	}{
		{true, "user.max_user_namespaces", "0", unix.ENOSPC},
		{user, "kernel.unprivileged_userns_clone", "0", unix.EPERM},
		{user && strings.HasPrefix(string(profile), "unconfined"), "kernel.apparmor_restrict_unprivileged_userns", "1", unix.EACCES},
	} {
		value, _ := os.ReadFile("/proc/sys/" + strings.ReplaceAll(sysctl.name, ".", "/"))
		if sysctl.applies && strings.TrimSpace(string(value)) == sysctl.denies {
			return denied(fmt.Errorf("%s is %s: %w", sysctl.name, sysctl.denies, sysctl.errno))
		}
	}
	var root unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, "/", 0, 0, &root) == nil && root.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 && root.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		return denied(fmt.Errorf("in a chroot: %w", unix.EPERM))
	}
	// No flag of unshare(2) is CLONE_VFORK: EINVAL (check_unshare_flags in kernel/fork.c).
	if err := unix.Unshare(unix.CLONE_NEWUSER | unix.CLONE_VFORK); err != unix.EINVAL {
		return denied(os.NewSyscallError("unshare", err))
	}
	return mayEnter()
}

// mayEnter asks a seccomp filter, if there is one, whether setns(2) is denied:
// no namespace has the descriptor -1.
func mayEnter() error {
	for _, kind := range []int{unix.CLONE_NEWUSER, unix.CLONE_NEWNS} {
		if err := unix.Setns(-1, kind); err != unix.EBADF {
			return failed(OpEnter, "", os.NewSyscallError("setns", err))
		}
	}
	return nil
}

// filtered reports whether this process has a seccomp filter.
func filtered() bool {
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	return err == nil && mode != 0
}

// tryToEnter has a child enter the instance: a filter may deny what mayEnter did not
// ask for, and this process could not come back.
func (i *Instance) tryToEnter(ctx context.Context) error {
	const first = 3
	calls := i.calls()
	for n := range calls {
		calls[n].Args = slices.Clone(calls[n].Args)
		calls[n].Args[0] = uint32(first + n%len(i.files))
	}
	stub, err := executable("stub", func(arch *elfmagic.Arch) ([]byte, error) {
		return tinyelf.Stub(arch, calls, 1, "errno", "executed: errno")
	})
	if err != nil {
		return failed(OpEnter, "", err)
	}
	defer stub.Close()
	cmd := exec.CommandContext(ctx, fmt.Sprintf("/proc/self/fd/%d", first+len(i.files)))
	cmd.Args = []string{"stub", "/"} // which nobody can execute
	cmd.ExtraFiles = append(slices.Clip(i.files), stub)
	out, err := cmd.Output()
	if strings.HasPrefix(string(out), "executed") {
		return nil
	}
	if number, scanErr := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(string(out), "errno"))); scanErr == nil {
		err = os.NewSyscallError("setns", syscall.Errno(number))
	}
	return failed(OpEnter, "", err)
}

// tooOld returns an error if the kernel has but one instance; err is what a
// system call had to say.
func tooOld(err error) error {
	kernel, versionErr := binfmt.RunningKernel()
	unsupported := binfmt.FeatureInstances.Supported(kernel)
	if versionErr != nil || unsupported == nil {
		return nil
	}
	if err != nil {
		unsupported = fmt.Errorf("%w: %w", err, unsupported)
	}
	e := failed(OpMount, "", unsupported)
	e.Feature = &binfmt.FeatureInstances
	return e
}
