package watch

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
)

// maxScripts is how many #! lines the kernel follows, one to another (exec.c).
const maxScripts = 5

// A Program is what a task wants to execute, and the kernel itself does not run, as
// Options.Native says: a file, or what a script's #! line leads to.
type Program struct {
	Path string // as the task names it, or as the kernel names what it has a descriptor of
	File *os.File
	Head []byte // the file's first bytes
	UID  uint32 // the task's user

	// Root is the task's root directory, as this process sees it, if it has
	// another one, and else empty.
	Root string

	// script are the arguments that come from #! lines: the interpreter's, and
	// the script's path.
	script []string
	// handed is set if the path is of no use for an emulator: File has to be given
	// to it.
	handed bool
}

// inspect opens what a call wants executed and follows #! lines. It returns nil for
// what the kernel is to do with as it likes.
func (s *supervisor) inspect(g *glance, n *notification) *Program {
	in := place{n.pid, g.another}
	given := g.given()
	p := &Program{Path: given}
	file := in.path(given)
	switch {
	case g.dirfd != unix.AT_FDCWD && !strings.HasPrefix(given, "/"):
		name := g.name(n.pid)
		file, p.handed = string(name[:len(name)-1]), true
		p.Path = descriptorPath(g.dirfd, given)
	default:
		p.handed = itsOwn(given)
	}
	if g.another {
		p.Root = in.root()
	}
	flags := int(g.flags)
	for depth := 0; ; depth++ {
		if p.File = in.open(file, flags); p.File == nil {
			return nil
		}
		head := make([]byte, elfmagic.KernelWindow)
		got, err := p.File.ReadAt(head, 0)
		if err != nil && err != io.EOF {
			break
		}
		p.Head = head[:got]
		if !strings.HasPrefix(string(p.Head), "#!") {
			if s.Native(p.Head) {
				if depth == 0 {
					s.remember(p.File)
				}
				break
			}
			return p
		}
		words := s.Script(p.Head)
		if words == nil || depth == maxScripts || depth == 0 && p.Path != given && closedOnExec(n.pid, g.dirfd) {
			break // the kernel refuses it, whichever interpreter it has
		}
		p.File.Close()
		p.script = append(words[1:len(words):len(words)], append([]string{p.Path}, p.script...)...)
		p.Path, flags = words[0], 0
		file = in.path(p.Path)
		p.handed = itsOwn(p.Path)
	}
	p.File.Close()
	return nil
}

// itsOwn reports whether a path leads to what the process has open or executes itself,
// which the emulator may not find: it is closed, or another file, by then.
func itsOwn(given string) bool {
	return strings.HasPrefix(given, "/proc/") || appendOwn(nil, 0, append([]byte(given), 0)) != nil
}

// descriptorPath returns the path that execveat(2) gives the interpreter of a script that
// it executes by a descriptor (alloc_bprm in fs/exec.c).
func descriptorPath(fd int32, below string) string {
	return strings.TrimSuffix(fmt.Sprintf("/dev/fd/%d/%s", fd, below), "/")
}

// closedOnExec reports whether execve closes a task's descriptor: then a script that is
// executed by it is ENOENT (BINPRM_FLAGS_PATH_INACCESSIBLE in fs/binfmt_script.c).
func closedOnExec(pid uint32, fd int32) bool {
	info, _ := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", pid, fd))
	_, rest, _ := strings.Cut(string(info), "flags:\t")
	octal, _, _ := strings.Cut(rest, "\n")
	flags, _ := strconv.ParseUint(octal, 8, 64)
	return flags&unix.O_CLOEXEC != 0
}

// remember has a file known from now on.
func (s *supervisor) remember(f *os.File) {
	var st unix.Statx_t
	if unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, identityMask, &st) == nil {
		s.known.add(identify(&st))
	}
}
