// Package emulator finds QEMU's user-mode emulators on disk and says what is
// worth knowing about one before the kernel or a user is handed it: whether it
// is static, whether it runs on this host, and its version.
package emulator

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/embedded"
)

// An Emulator is an executable that runs one architecture's programs.
type Emulator struct {
	Arch *elfmagic.Arch // whose programs it runs
	Host *elfmagic.Arch // on which it runs itself
	Path string         // empty if it is embedded

	// Embedded is the emulator if it is in this command.
	Embedded *embedded.Emulator

	// Product is what it is if it is none of QEMU's, such as "FEX".
	Product string

	// Interp is the loader that it needs, or empty if it is static.
	Interp string

	// Version is what it says of itself, such as "7.2.22 (Debian 1:7.2+dfsg-7)",
	// with the name of the product if that is none of QEMU's ("box64 0.3.4"), or empty if it says nothing that is understood.
	Version string

	// Changed is when the file's content or attributes last changed.
	Changed time.Time

	// FUSE says that a process serves the file, as fuse-overlayfs does for containers of
	// Docker and Podman.
	FUSE bool

	segments []elfmagic.Segment
}

// Static reports whether the emulator runs without a loader and libraries: in
// any container and chroot.
func (e *Emulator) Static() bool { return e.Interp == "" }

// Name says which emulator it is: its path, or the beginning of the digest of
// what is embedded.
func (e *Emulator) Name() string {
	if e.Embedded != nil {
		return "embedded (" + e.Embedded.SHA256[:12] + ")"
	}
	return e.Path
}

// Problems that make a file unfit to be an emulator.
var (
	ErrMissing       = errors.New("no emulator found")
	ErrDynamic       = errors.New("emulator is not static")
	ErrNotExecutable = errors.New("emulator is not executable")
	ErrOtherHost     = errors.New("emulator is for another host")
	ErrCorrupt       = errors.New("emulator is corrupt")
	ErrScript        = errors.New("emulator is a script")
	ErrUseless       = errors.New("emulator runs none of the architecture's programs")
	ErrCommand       = errors.New("passed over: it is crossrun, and no emulator")
	ErrUnsafe        = errors.New("passed over: others than root may change it")
)

// An Error says why there is no emulator for an architecture.
type Error struct {
	Arch *elfmagic.Arch
	Path string // the file that is unfit; empty if there is none
	Err  error  // wraps one of the Err values of this package, or is the error of reading the file
	hint string
}

func (e *Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%s: %v", e.Arch, e.Err)
	}
	return fmt.Sprintf("%s: %s: %v", e.Arch, e.Path, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do about it.
func (e *Error) Hint() string {
	hint := strings.ReplaceAll(e.hint, "{option}", Option)
	if !strings.Contains(hint, "{install}") {
		return hint
	}
	return strings.ReplaceAll(hint, "{install}", HowToInstall())
}

// Open reads what there is to know about the file at path, taken to be an
// emulator for arch. A file that is not executable, not an ELF program, or cut
// off is an *Error.
func Open(arch *elfmagic.Arch, path string) (*Emulator, error) {
	return new(Search).Open(arch, path)
}

// Open is the function Open for a file that somebody named, and that has to serve.
func (s *Search) Open(arch *elfmagic.Arch, path string) (*Emulator, error) {
	named := *s
	named.Unnamed = false
	return named.open(arch, path, true)
}

// open is Open for what is searched, and without the version, which costs as much
// as all the rest, unless it is wanted.
func (s *Search) open(arch *elfmagic.Arch, path string, version bool) (*Emulator, error) {
	f, err := openFile(path)
	return s.opened(arch, path, f, err, version)
}

// opened is open of what openFile returned.
func (s *Search) opened(arch *elfmagic.Arch, path string, f descriptor, err error, version bool) (*Emulator, error) {
	fail := func(err error, hint string) (*Emulator, error) {
		return nil, &Error{Arch: arch, Path: path, Err: err, hint: hint}
	}
	const again = "install it again: the file is not a whole ELF program"
	switch {
	case err == unix.ENOENT:
		return fail(ErrMissing, "")
	case errors.Is(err, ErrCorrupt):
		return fail(err, again)
	case err != nil:
		return fail(err, "make the file readable: its header and version are read before it is used")
	}
	defer f.close()
	var info unix.Stat_t
	e, err := inspect(arch, f, &info)
	if errno := unix.Errno(0); errors.As(err, &errno) {
		return fail(err, "the file could not be read: see what is wrong with its file system (dmesg), or name another with {option}")
	}
	if errors.Is(err, ErrScript) {
		return fail(err, "name the program that it starts with {option}: of a script the kernel would look for what runs it in each container")
	}
	if err != nil {
		return fail(err, again)
	}
	e.Path = path
	var execs bool
	e.FUSE, execs = f.fileSystem()
	root := os.Geteuid() == 0
	switch {
	case e.isCommand(f, &info):
		return fail(ErrCommand, "{install}, or name others with {option}")
	case !(root && execs && info.Mode&0o111 == 0o111) && unix.Access(path, unix.X_OK) != nil:
		return fail(ErrNotExecutable, "chmod +x "+path+", and see that its file system is not mounted noexec")
	case s.Unnamed && root && othersMayChange(path, &info):
		return fail(ErrUnsafe, "root would run what they put there: have root own it and the directories above, with mode 755, or name it with {option}")
	case len(s.Native) > 0 && !slices.Contains(s.Native, e.Host):
		return fail(fmt.Errorf("%w: it runs on %s", ErrOtherHost, e.Host), "this host runs "+join(s.Native)+": use an image or package for it")
	case s.Static && !e.Static():
		hint := "with the flag F an emulator must bring everything with it: {install}, or name a static one with {option}"
		if productOf(path) != "" {
			hint = "with the flag F an emulator must bring everything with it: name a static one, or register it without F (-p no), to be found in each container"
		}
		return fail(fmt.Errorf("%w: it needs %s", ErrDynamic, e.Interp), hint)
	}
	if version {
		e.Version = e.version(f)
	} else {
		e.Product = productOf(path)
	}
	return e, nil
}

// inspect reads what an open file says of itself, except its version, and what
// fstat(2) says of it into info. Errors wrap ErrCorrupt, ErrOtherHost or ErrScript,
// or are those of reading.
func inspect(arch *elfmagic.Arch, f descriptor, info *unix.Stat_t) (*Emulator, error) {
	if err := unix.Fstat(int(f), info); err != nil {
		return nil, err
	}
	if info.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, fmt.Errorf("%w: not a regular file", ErrCorrupt)
	}
	buffer := buffers.Get().(*[chunk + overlap]byte)
	defer buffers.Put(buffer)
	start, err := begin(f, buffer[:headers])
	if err != nil {
		return nil, err
	}
	header, err := elfmagic.Identify(&start)
	if bytes.HasPrefix(start.bytes, []byte("#!")) {
		return nil, ErrScript
	}
	if unknown := (*elfmagic.UnknownMachineError)(nil); errors.As(err, &unknown) {
		return nil, fmt.Errorf("%w: %w", ErrOtherHost, err)
	}
	if err != nil {
		return nil, corrupt(err)
	}
	segments, err := header.Segments(&start)
	if err != nil {
		return nil, corrupt(err)
	}
	if want := elfmagic.Extent(segments); want == 0 || want > uint64(info.Size) {
		return nil, fmt.Errorf("%w: %d bytes long, but its segments end at %d", ErrCorrupt, info.Size, want)
	}
	interp, err := elfmagic.Interp(&start, segments)
	if err != nil {
		return nil, corrupt(err)
	}
	changed := time.Unix(info.Ctim.Unix())
	return &Emulator{Arch: arch, Host: header.Arch, Interp: interp, Changed: changed, segments: segments}, nil
}

// corrupt says that a file is, unless the error is one of reading it.
func corrupt(err error) error {
	if errno := unix.Errno(0); errors.As(err, &errno) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// ReadVersion returns the version that the emulator in f says it has, or an
// empty string.
func ReadVersion(arch *elfmagic.Arch, f *os.File) string {
	d := descriptor(f.Fd())
	e, err := inspect(arch, d, new(unix.Stat_t))
	if err != nil {
		return ""
	}
	return e.version(d)
}
