// Package emulator finds QEMU's user-mode emulators on disk and says what is
// worth knowing about one before the kernel or a user is handed it: whether it
// is static, whether it runs on this host, and its version.
package emulator

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/carry"
	"github.com/projectcalico/go-build/internal/file"
)

// An Emulator is an executable that runs one architecture's programs.
type Emulator struct {
	Arch *elfmagic.Arch // whose programs it runs
	Host *elfmagic.Arch // on which it runs itself
	Path string         // empty if it is carried

	// Carried is the emulator if this command carries it.
	Carried *carry.Emulator

	// Interp is the loader that it needs, or empty if it is static.
	Interp string

	// Version is what it says of itself, such as "7.2.22 (Debian 1:7.2+dfsg-7)",
	// or empty if it says nothing that is understood.
	Version string

	// Changed is when the file's content or attributes last changed.
	Changed time.Time

	segments []elfmagic.Segment
}

// Static reports whether the emulator runs without a loader and libraries: in
// any container and chroot.
func (e *Emulator) Static() bool { return e.Interp == "" }

// Name says which emulator it is: its path, or the beginning of the digest of
// what is carried.
func (e *Emulator) Name() string {
	if e.Carried != nil {
		return "carried (" + e.Carried.SHA256[:12] + ")"
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
func (e *Error) Hint() string { return e.hint }

// Open reads what there is to know about the file at path, taken to be an
// emulator for arch. A file that is not executable, not an ELF program, or cut
// off is an *Error.
func Open(arch *elfmagic.Arch, path string) (*Emulator, error) {
	e, f, err := open(arch, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	e.Version = e.version(f)
	return e, nil
}

// open is Open without the version, which costs as much as all the rest.
func open(arch *elfmagic.Arch, path string) (*Emulator, *os.File, error) {
	fail := func(err error, hint string) (*Emulator, *os.File, error) {
		return nil, nil, &Error{Arch: arch, Path: path, Err: err, hint: hint}
	}
	f, err := file.Open(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return fail(ErrMissing, "")
		}
		return fail(unwrapPath(err), "make the file readable: its header and version are read before it is used")
	}
	e, err := Inspect(arch, f)
	if err != nil {
		f.Close()
		return fail(err, "install it again: the file is not a whole ELF program")
	}
	e.Path = path
	if err := unix.Access(path, unix.X_OK); err != nil {
		f.Close()
		return fail(ErrNotExecutable, "chmod +x "+path+", and see that its file system is not mounted noexec")
	}
	return e, f, nil
}

// Inspect reads what an open file says of itself, except its version. Errors
// wrap ErrCorrupt or are those of reading.
func Inspect(arch *elfmagic.Arch, f *os.File) (*Emulator, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, unwrapPath(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: not a regular file", ErrCorrupt)
	}
	r, err := newBeginning(f)
	if err != nil {
		return nil, unwrapPath(err)
	}
	header, err := elfmagic.Identify(r)
	if unknown := (*elfmagic.UnknownMachineError)(nil); errors.As(err, &unknown) {
		return nil, fmt.Errorf("%w: %w", ErrOtherHost, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	segments, err := header.Segments(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if want := elfmagic.Extent(segments); want == 0 || want > uint64(info.Size()) {
		return nil, fmt.Errorf("%w: %d bytes long, but its segments end at %d", ErrCorrupt, info.Size(), want)
	}
	interp, err := elfmagic.Interp(r, segments)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	e := &Emulator{Arch: arch, Host: header.Arch, Interp: interp, segments: segments}
	if st, ok := info.Sys().(*unixStat); ok {
		e.Changed = time.Unix(st.Ctim.Unix())
	}
	return e, nil
}

// unwrapPath takes the path off an error that will be shown with one.
func unwrapPath(err error) error {
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}

// ReadVersion returns the version that the emulator in f says it has, or an
// empty string.
func ReadVersion(arch *elfmagic.Arch, f *os.File) string {
	e, err := Inspect(arch, f)
	if err != nil {
		return ""
	}
	return e.version(f)
}

// version finds the line that QEMU prints for --version in the file itself:
// starting 30 emulators to ask them costs more than all else that register
// does. It is one string among the read-only data, in most of Debian's 32 to
// 96 KiB behind its start. A file that does not have it is asked.
func (e *Emulator) version(f *os.File) string {
	needle := []byte("qemu-" + e.Arch.Name + " version ")
	start := readOnlyData(e.segments)
	end := int64(elfmagic.Extent(e.segments))
	usual := min(start+usually, end)
	for _, part := range [][2]int64{{usual, end}, {start, usual}, {0, start}} {
		if v := scan(f, needle, part[0], part[1]); v != "" {
			return v
		}
	}
	return e.askVersion(needle)
}

// readOnlyData returns where the last segment that can only be read begins:
// constants, in programs linked as they are today.
func readOnlyData(segments []elfmagic.Segment) int64 {
	var offset int64
	for _, s := range segments {
		if s.Type == elf.PT_LOAD && s.Flags == elf.PF_R {
			offset = int64(s.Offset)
		}
	}
	return offset
}

// A file is read in pieces of chunk bytes and the beginning of the next, which
// is longer than the line that is looked for.
const (
	usually = 32 << 10 // behind the start of the read-only data
	chunk   = 16 << 10
	overlap = 256
)

// buffers are kept: 30 of them would make the garbage collector run.
var buffers = sync.Pool{New: func() any { return new([chunk + overlap]byte) }}

// scan returns what follows needle on its line, between two offsets of a file.
func scan(r io.ReaderAt, needle []byte, from, to int64) string {
	array := buffers.Get().(*[chunk + overlap]byte)
	defer buffers.Put(array)
	buf := array[:]
	for at := from; at < to; at += chunk {
		n, err := r.ReadAt(buf, at)
		if i := bytes.Index(buf[:n], needle); i >= 0 && i < chunk {
			rest := buf[i+len(needle) : n]
			if end := bytes.IndexAny(rest, "\n\x00"); end >= 0 {
				return string(rest[:end])
			}
		}
		if err != nil {
			break
		}
	}
	return ""
}

// A beginning is a file of which the first bytes have been read: its headers, in
// one system call.
type beginning struct {
	head []byte
	file io.ReaderAt
}

func newBeginning(f io.ReaderAt) (*beginning, error) {
	head := make([]byte, 1<<10)
	n, err := f.ReadAt(head, 0)
	if err == io.EOF {
		err = nil
	}
	return &beginning{head[:n], f}, err
}

// ReadAt implements io.ReaderAt.
func (b *beginning) ReadAt(p []byte, offset int64) (int, error) {
	if offset >= 0 && offset+int64(len(p)) <= int64(len(b.head)) {
		return copy(p, b.head[offset:]), nil
	}
	return b.file.ReadAt(p, offset)
}

// askVersion runs the emulator with --version.
func (e *Emulator) askVersion(needle []byte) string {
	if e.Path == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, e.Path, "--version").Output()
	if err != nil {
		return ""
	}
	line, _, _ := bytes.Cut(out, []byte("\n"))
	if _, v, ok := bytes.Cut(line, bytes.TrimPrefix(needle, []byte("qemu-"+e.Arch.Name))); ok {
		return string(v)
	}
	return ""
}

// Release returns the first two numbers of the version, and whether it has
// them.
func (e *Emulator) Release() (major, minor int, ok bool) {
	n, _ := fmt.Sscanf(e.Version, "%d.%d", &major, &minor)
	return major, minor, n == 2
}

// PassesArgv0 reports whether the emulator understands an entry with the P
// flag: QEMU does since 6.0 (6e1c0d7b951e). Older ones would take the extra
// argument for the program's first.
func (e *Emulator) PassesArgv0() bool {
	major, _, ok := e.Release()
	return ok && major >= 6
}
