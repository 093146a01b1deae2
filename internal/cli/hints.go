package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
)

// Hint returns the hint of the outermost error in the chain that has one.
func Hint(err error) string {
	if err == nil {
		return ""
	}
	if hint := own(err); hint != "" {
		return hint
	}
	switch wrapper := err.(type) {
	case interface{ Unwrap() error }:
		return Hint(wrapper.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range wrapper.Unwrap() {
			if hint := Hint(err); hint != "" {
				return hint
			}
		}
	}
	return ""
}

// own returns the hint of an error itself, whatever it wraps. The libraries'
// errors are facts: what to do about them is said here.
func own(err error) string {
	switch err := err.(type) {
	case interface{ Hint() string }:
		return err.Hint()
	case *binfmt.Error:
		return kernelHint(err)
	case *elfmagic.UnknownArchError:
		return archHint(err.Name)
	}
	return ""
}

func archHint(name string) string {
	if near := nearest(name); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	return "known are QEMU's, Go's and Debian's names (aarch64, arm64, ppc64el), triplets, and platforms such as linux/arm64"
}

// IsFar reports whether no architecture has a name that is like an unknown one.
func IsFar(name string) bool { return nearest(name) == "" }

// whoHasIt says who has CAP_SYS_ADMIN.
const whoHasIt = "root of the host has it; in a container: docker run --privileged"

// kernelHint says what an error of binfmt_misc may come from, and what to do
// about it.
func kernelHint(e *binfmt.Error) string {
	is := func(target error) bool { return errors.Is(e.Err, target) }
	register := e.Op == "register" && e.Entry != nil
	switch {
	case is(binfmt.ErrNotMounted):
		return "mount -t binfmt_misc binfmt_misc " + Quote(e.Path)
	case is(syscall.EROFS):
		return "/proc/sys is read-only in an unprivileged container: docker run --privileged, or --security-opt systempaths=unconfined --cap-add SYS_ADMIN"
	case e.Op == "mount":
		return mountHint(e)
	case register && is(syscall.ENOENT):
		return fmt.Sprintf("with the F flag the kernel opens the interpreter when it is registered, and %s is not there", e.Entry.Interpreter)
	case register && is(syscall.EEXIST):
		return "an entry of this name is there already: remove it first, or let register replace it"
	case register && is(syscall.EINVAL):
		return refusedHint(e.Entry)
	case register && is(syscall.EACCES) && e.Written:
		return fmt.Sprintf("the interpreter %s cannot be executed: see its mode, and whether its file system is mounted noexec", e.Entry.Interpreter)
	case is(fs.ErrPermission):
		return "this requires CAP_SYS_ADMIN over the user namespace in which this binfmt_misc was mounted: " + whoHasIt
	}
	return ""
}

// mountHint is kernelHint for what does not mount.
func mountHint(e *binfmt.Error) string {
	is := func(target error) bool { return errors.Is(e.Err, target) }
	switch {
	case is(syscall.ENOTEMPTY):
		return "what is there would be hidden: name binfmt_misc's own directory, which is " + binfmt.DefaultMount + ", or an empty one"
	case is(syscall.ENOTDIR):
		return "it has to be a directory: binfmt_misc's own is " + binfmt.DefaultMount
	case is(syscall.ENOENT) && !strings.HasSuffix(e.Path, binfmt.DefaultMount): // which may be that of another root
		return "make the directory first: mkdir -p " + Quote(e.Path)
	case is(syscall.ENODEV) || is(syscall.ENOENT):
		return "this kernel has no binfmt_misc: neither built in (CONFIG_BINFMT_MISC) nor as a module that can be loaded (modprobe binfmt_misc, on the host)"
	case is(fs.ErrPermission):
		return "this requires CAP_SYS_ADMIN: " + whoHasIt
	}
	return ""
}

// refusedHint says which of the limits or flags of an entry the running kernel
// may not have: Validate has checked those of new ones.
func refusedHint(e *binfmt.Entry) string {
	kernel, err := binfmt.RunningKernel()
	if err != nil {
		return ""
	}
	if unknown := e.Flags.Unknown(); unknown != 0 {
		return fmt.Sprintf("Linux %s may not know the flags %s", kernel, unknown)
	}
	for _, feature := range e.Requires() {
		if err := feature.Supported(kernel); err != nil {
			return err.Error()
		}
	}
	return ""
}
