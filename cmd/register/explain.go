package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/binfmt/install"
	"github.com/projectcalico/go-build/internal/cli"
)

// worded returns what went wrong with one architecture in words of this command,
// and what to do about it.
func worded(err error, name, mount string, uninstalling bool) (hint string, explained error) {
	var why *host.Error
	registers := name != binfmtName // which has fewer flags
	switch {
	case errors.Is(err, install.ErrNameTaken) && uninstalling:
		return "another program made it: remove it with that", err
	case errors.Is(err, install.ErrLeftToOthers) && registers:
		return "--force registers in front of it", err
	case errors.Is(err, install.ErrNameTaken) && registers:
		return "--force replaces the entry", err
	case errors.Is(err, install.ErrLeftToOthers), errors.Is(err, install.ErrNameTaken):
		return "--uninstall with the entry's name removes it", err
	case errors.Is(err, install.ErrNoEntry) && registers:
		return "--status shows what is registered", err
	case errors.Is(err, install.ErrNoEntry):
		return "without arguments it prints what is registered", err
	case errors.As(err, &why):
		return causeHint(why, registers, mount), errors.New("does not run: " + why.Why())
	}
	var own interface{ Hint() string }
	if errors.As(err, &own) {
		return own.Hint(), err
	}
	if explained := explainOne(err, host.Surroundings{}, name, mount); cli.Hint(explained) != "" {
		return cli.Hint(explained), err
	}
	return "run the emulator by hand to see why; " + directoryOption(registers) + " names others", err
}

// directoryOption is what names the directory of the emulators.
func directoryOption(registers bool) string {
	if registers {
		return "--qemu-path"
	}
	return "QEMU_BINARY_PATH"
}

// causeHint says what to do where programs do not run.
func causeHint(why *host.Error, registers bool, mount string) string {
	entry := cli.Quote(mount + "/" + why.Entry)
	switch why.Cause {
	case host.NoEntry:
		return "register it"
	case host.Disabled:
		return "whoever disabled it may have had a reason; echo 1 > " + entry + " enables it"
	case host.AllDisabled:
		return "echo 1 > " + mount + "/status enables them"
	case host.OtherInstance:
		return "the entries on " + mount + " are not those that the kernel uses for this process: mount -t binfmt_misc binfmt_misc " + mount + " shows those"
	case host.Unseen:
		return "mount -t binfmt_misc binfmt_misc " + mount + " as root of the host shows the entries"
	case host.NoInterpreter, host.BadInterpreter:
		return "echo -1 > " + entry + " removes it; register it again, with the flag F if containers are to find it"
	case host.Loop:
		return "remove the entry that is for this host's own programs"
	}
	return "run the emulator by hand to see why; " + directoryOption(registers) + " names others"
}

// explain adds to each error what causes it here, and what to do about that.
func explain(err error, name, mount string) error {
	if err == nil {
		return nil
	}
	surroundings, aroundErr := host.LookAround("/proc")
	var errs []error
	for _, err := range cli.Split(err) {
		if aroundErr != nil && err.Error() == aroundErr.Error() {
			err = cli.WithHint(err, "mount -t proc proc /proc")
		}
		errs = append(errs, explainOne(err, surroundings, name, mount))
	}
	return errors.Join(errs...)
}

func explainOne(err error, s host.Surroundings, name, mount string) error {
	var unsupported *binfmt.UnsupportedError
	hint := ""
	switch {
	case errors.Is(err, host.ErrEmulated):
		hint = "use the register, or the image, that is built for the host's architecture: docker run --platform names it (DOCKER_DEFAULT_PLATFORM, or the image's tag, may name another)"
	case errors.Is(err, install.ErrNoAnswer):
		hint = "an automount daemon may be gone or hang: systemctl restart proc-sys-fs-binfmt_misc.automount; grep -l autofs_wait /proc/*/wchan lists the processes that wait for it"
	case errors.Is(err, install.ErrAllDisabled):
		hint = "echo 1 > " + mount + "/status enables them, and those of others"
	case errors.Is(err, install.ErrContainer):
		hint = "outside of containers, for all that this user starts: podman unshare register ARCH…; with Docker: root of the host registers; for this container only: mount -t binfmt_misc binfmt_misc " + mount + " first"
	case errors.Is(err, install.ErrItself):
		hint = "the kernel would run the emulator by itself, without end, and every program of the host with it"
	case errors.Is(err, install.ErrNeedsFixBinary):
		hint = "--qemu-path names a directory with others"
	case errors.As(err, &unsupported):
		return cli.WithHint(fmt.Errorf("--persistent yes: %w", err), "register without it (--persistent auto), and have the emulator at the same path in each container")
	case errors.Is(err, install.ErrNoMemory):
		hint = "name the architectures that are needed, or give the container more: docker run --memory"
	case errors.Is(err, install.ErrOnFUSE):
		hint = "programs run as long as the image, and what serves its files, is there"
	case errors.Is(err, install.ErrNotLasting) && s.InitialPID:
		hint = fmt.Sprintf("docker run --privileged --pid=host … can, or at least --cap-add SYS_PTRACE --cap-add SYS_CHROOT; or on the host, once: mount -t binfmt_misc binfmt_misc %s", binfmt.DefaultMount)
	case errors.Is(err, install.ErrNotLasting):
		hint = fmt.Sprintf("docker run --privileged --pid=host … lets %s mount it for the host; or on the host, once: mount -t binfmt_misc binfmt_misc %s. To have it in this container only: mount -t binfmt_misc binfmt_misc %s in here, then %s",
			name, binfmt.DefaultMount, mount, name)
	default:
		hint = deniedHint(err, s)
	}
	if hint == "" {
		return err
	}
	return cli.WithHint(err, "%s", hint)
}

// deniedHint says what in these surroundings makes the kernel deny something, and
// what to do about it. An error has one cause at a time: when that is gone, the
// next one shows.
func deniedHint(err error, s host.Surroundings) string {
	var failed *binfmt.Error
	if !errors.As(err, &failed) || !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EACCES) {
		return ""
	}
	if failed.Op == "register" && failed.Written {
		return "" // it is about the interpreter
	}
	const least = "--cap-add SYS_ADMIN --security-opt systempaths=unconfined --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
	switch {
	case failed.Op != "mount" && s.UID != 0:
		return fmt.Sprintf("only user 0 of the user namespace that mounted this binfmt_misc may change it, and this is user %d: sudo, or in a container docker run --user 0", s.UID)
	case failed.Op != "mount" && !s.InitialUser:
		return "these entries are those of the user namespace above this one; mount -t binfmt_misc binfmt_misc " + failed.Path[:strings.LastIndexByte(failed.Path, '/')] + " (Linux 6.7) gives this one entries of its own, which hide them"
	case !s.SysAdmin && !s.InitialUser:
		return "this requires CAP_SYS_ADMIN over the user namespace in which this binfmt_misc was mounted"
	case !s.SysAdmin:
		return "this requires CAP_SYS_ADMIN: root of the host has it; in a container: docker run --privileged, or at least " + least + "; where the host has mounted it, none is required: -v " + binfmt.DefaultMount + ":/mnt … --mount /mnt"
	case !s.InitialUser && s.Seccomp:
		return "this is a user namespace (rootless container, or userns-remap), and seccomp may deny mount: --security-opt seccomp=unconfined; the host's entries are its root's to make"
	case !s.InitialUser:
		return "this is a user namespace (rootless container, or userns-remap): the host's entries are its root's to make; entries of its own it can have since Linux 6.7"
	case s.SELinux != "":
		return fmt.Sprintf("SELinux confines this process (%s): docker run --security-opt label=disable", s.SELinux)
	case s.AppArmor != "":
		return fmt.Sprintf("AppArmor confines this process (%s): docker run --security-opt apparmor=unconfined", s.AppArmor)
	case s.Seccomp:
		return "a seccomp profile denies it: docker run --security-opt seccomp=unconfined"
	}
	return ""
}
