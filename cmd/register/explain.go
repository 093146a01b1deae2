package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/binfmt/install"
	"github.com/projectcalico/go-build/binfmt/keep"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/embedded"
)

// worded returns what went wrong with one architecture in words of this command,
// and with what to do about it.
func (o *options) worded(err error) error {
	hint := ""
	if why, ok := errors.AsType[*host.Error](err); ok {
		err, hint = errors.New("does not run: "+why.Why()), causeHint(why, o.mount)
	}
	err = o.hinted(err, host.Surroundings{})
	var own interface{ Hint() string }
	if hint == "" && cli.Hint(err) == "" && !errors.As(err, &own) {
		option := "--qemu-path"
		if o.name == binfmtName {
			option = binfmtPath
		}
		hint = "run the emulator by hand to see why; " + option + " names others"
	}
	return cli.WithHint(err, "%s", hint)
}

// causeHint says what to do where programs do not run, if that is known.
func causeHint(why *host.Error, mount string) string {
	entry := cli.Quote(mount + "/" + why.Entry)
	remove := "echo -1 > " + entry + " removes it; register it again, with the flag F if containers are to find it"
	return map[host.Cause]string{
		host.NoEntry:        "register it",
		host.Disabled:       "whoever disabled it may have had a reason; echo 1 > " + entry + " enables it",
		host.AllDisabled:    "echo 1 > " + mount + "/status enables them",
		host.OtherInstance:  "the entries on " + mount + " are not those that the kernel uses for this process: " + mountOn + mount + " shows those",
		host.Unseen:         mountOn + mount + " as root of the host shows the entries",
		host.NoInterpreter:  remove,
		host.BadInterpreter: remove,
		host.Loop:           "remove the entry that is for this host's own programs",
	}[why.Cause]
}

const mountOn = "mount -t binfmt_misc binfmt_misc "

// explain adds to each error what causes it here, and what to do about that.
func (o *options) explain(err error) error {
	surroundings, aroundErr := host.LookAround("/proc")
	var errs []error
	for _, err := range cli.Split(err) {
		if aroundErr != nil && err.Error() == aroundErr.Error() {
			err = cli.WithHint(err, "mount -t proc proc /proc")
		}
		errs = append(errs, o.hinted(err, surroundings))
	}
	return errors.Join(errs...)
}

// hinted adds to an error what to do about it, in these surroundings and with the
// command that the options are of.
func (o *options) hinted(err error, s host.Surroundings) error {
	left, taken := "--force registers in front of it", "--force replaces the entry"
	switch {
	case o.name == binfmtName: // which has fewer flags
		left, taken = "--uninstall with the entry's name removes it", "--uninstall with the entry's name removes it"
	case o.uninstall:
		taken = "another program made it: remove it with that"
	}
	lasting := "docker run --privileged --pid=host … lets " + o.name + " mount it for the host; or on the host, once: " + mountOn + binfmt.DefaultMount +
		". To have it in this container only: " + mountOn + o.mount + " in here, then " + o.name
	if s.InitialPID {
		lasting = "docker run --privileged --pid=host … can, or at least --cap-add SYS_PTRACE --cap-add SYS_CHROOT; or on the host, once: " + mountOn + binfmt.DefaultMount
	}
	container := "outside of containers, for all that this user's Podman or rootless Docker starts, for good: register --rootless ARCH…; until they are gone: podman unshare register ARCH…; with Docker: root of the host registers; for this container only: " + mountOn + o.mount + " first"
	if os.Getenv("KUBERNETES_SERVICE_HOST") != "" { // kubelet sets it in each container
		container = "in a pod that shares the node's user namespace (without hostUsers: false); where the node is in one itself, on the node, before kubelet starts: " + mountOn + binfmt.DefaultMount + "; see " + embedded.Docs + "kubernetes.md"
	}
	for _, known := range []struct {
		err  error
		hint string
	}{
		{install.ErrLeftToOthers, left},
		{install.ErrNameTaken, taken},
		{install.ErrNoEntry, "--status shows what is registered"},
		{install.ErrNoAnswer, "an automount daemon may be gone or hang: systemctl restart proc-sys-fs-binfmt_misc.automount; grep -l autofs_wait /proc/*/wchan lists the processes that wait for it"},
		{install.ErrLocked, "fuser -v " + cli.Quote(o.mount+"/register") + " names it; kill -CONT has one go on that was stopped"},
		{install.ErrAllDisabled, "echo 1 > " + o.mount + "/status enables them, and those of others"},
		{install.ErrContainer, container},
		{install.ErrItself, "the kernel would run the emulator by itself, without end, and every program of the host with it"},
		{install.ErrNeedsFixBinary, "--qemu-path names a directory with others"},
		{install.ErrNoMemory, "name the architectures that are needed, or give the container more: docker run --memory"},
		{install.ErrOnFUSE, "programs run as long as the image, and what serves its files, is there"},
		{install.ErrNotLasting, lasting},
		{keep.ErrNoInotify, "sysctl fs.inotify.max_user_instances=1024 fs.inotify.max_user_watches=65536, or the like, where the host is administered; it is tried again with each check, and with SIGHUP"},
		{host.ErrEmulated, "use the register, or the image, that is built for the host's architecture: docker run --platform names it (DOCKER_DEFAULT_PLATFORM, or the image's tag, may name another)"},
	} {
		if errors.Is(err, known.err) {
			return cli.WithHint(err, "%s", known.hint)
		}
	}
	if _, unsupported := errors.AsType[*binfmt.UnsupportedError](err); unsupported {
		return cli.WithHint(fmt.Errorf("--persistent yes: %w", err), "register without it (--persistent auto), and have the emulator at the same path in each container")
	}
	if hint := deniedHint(err, s); hint != "" {
		return cli.WithHint(err, "%s", hint)
	}
	return err
}

// deniedHint says what in these surroundings makes the kernel deny something, and
// what to do about it. An error has one cause at a time: when that is gone, the
// next one shows.
func deniedHint(err error, s host.Surroundings) string {
	failed, ok := errors.AsType[*binfmt.Error](err)
	if !ok || !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EACCES) {
		return ""
	}
	if failed.Op == "register" && failed.Written {
		return "" // it is about the interpreter
	}
	const least = "--cap-add SYS_ADMIN --security-opt systempaths=unconfined --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
	mounting, user := failed.Op == "mount", !s.InitialUser
	if state, err := binfmt.New(failed.Path).State(); mounting && err == nil && state == binfmt.Autofs {
		return "an autofs is there whose daemon has mounted nothing: systemctl start proc-sys-fs-binfmt_misc.mount on the host, then start this again (Kubernetes: deploy/kubernetes/components/mount does so)"
	}
	for _, cause := range []struct {
		is   bool
		hint string
	}{
		{!mounting && s.UID != 0, fmt.Sprintf("only user 0 of the user namespace that mounted this binfmt_misc may change it, and this is user %d: sudo, or in a container docker run --user 0", s.UID)},
		{!mounting && user, "these entries are those of the user namespace above this one; " + mountOn + filepath.Dir(failed.Path) + " (Linux 6.7) gives this one entries of its own, which hide them"},
		{!s.SysAdmin && !user && s.UID != 0, "this takes root: sudo " + filepath.Base(os.Args[0]) + " …; in a container docker run --user 0 --privileged. Without root, crossrun PROGRAM runs one and all that it starts"},
		{!s.SysAdmin && user, "this requires CAP_SYS_ADMIN over the user namespace in which this binfmt_misc was mounted"},
		{!s.SysAdmin, "this requires CAP_SYS_ADMIN: root of the host has it; in a container: docker run --privileged, or at least " + least + "; where the host has mounted it, none is required: -v " + binfmt.DefaultMount + ":/mnt … --mount /mnt"},
		{user && s.Seccomp, "this is a user namespace (rootless container, or userns-remap), and seccomp may deny mount: --security-opt seccomp=unconfined; the host's entries are its root's to make"},
		{user, "this is a user namespace (rootless container, or userns-remap): the host's entries are its root's to make; entries of its own it can have since Linux 6.7"},
		{s.SELinux != "", "SELinux confines this process (" + s.SELinux + "): docker run --security-opt label=disable"},
		{s.AppArmor != "", "AppArmor confines this process (" + s.AppArmor + "): docker run --security-opt apparmor=unconfined"},
		{s.Seccomp, "a seccomp profile denies it: docker run --security-opt seccomp=unconfined"},
	} {
		if cause.is {
			return cause.hint
		}
	}
	return ""
}
