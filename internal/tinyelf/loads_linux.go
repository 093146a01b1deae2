package tinyelf

import (
	"fmt"
	"strconv"
	"syscall"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/file"
)

// Loads reports whether the kernel's own loader takes programs of the
// architecture: nil if it does, ENOEXEC if not. Any other error says that it is
// not known, and that a NativeProgram has to be run to find out.
//
// No program is run, which would cost three times as much. The loader looks at
// the architecture first, and only then for the program's own loader, before
// anything is changed (load_elf_binary in fs/binfmt_elf.c, since Linux 2.6): one
// whose name is too long is ENAMETOOLONG if, and only if, the architecture is
// right. Where an entry of binfmt_misc catches even such a program, its
// interpreter is started, or missing.
func Loads(arch *elfmagic.Arch) error {
	f, err := file.Memory("probe", unloadable(arch))
	if err != nil {
		return err
	}
	defer f.Close()
	path := "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
	pid, err := syscall.ForkExec(path, []string{path}, &syscall.ProcAttr{})
	switch err {
	case syscall.ENAMETOOLONG:
		return nil
	case nil:
		_ = syscall.Kill(pid, syscall.SIGKILL)
		_ = file.IgnoringEINTR(func() error { _, err := syscall.Wait4(pid, nil, 0, nil); return err })
		return fmt.Errorf("an interpreter runs programs for %s", arch)
	}
	return err
}
