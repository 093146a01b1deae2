package emulator

import (
	"bytes"
	"context"
	"debug/elf"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/product"
)

// A file is read in pieces of chunk bytes and the beginning of the next, which
// is longer than the line that is looked for. Each page of a buffer that is used for
// the first time is a page fault, which takes longer than to read it.
const (
	chunk   = 16<<10 - overlap
	overlap = 256
	near    = 5 << 10
	far     = 48 << 10
)

// lastDistance is how far before its tables for unwinding the last emulator had
// its version. Those of one build have much the same constants: in Debian's, the
// distances of most are within 5 KiB, and those of all within 55 KiB.
var lastDistance atomic.Int64

// version finds the line that QEMU prints for --version in the file itself:
// starting 30 emulators to ask them costs more than all else that register
// does. It is one string among the read-only data. A file that does not have it
// is asked.
func (e *Emulator) version(f descriptor) string {
	needle := []byte("qemu-" + e.Arch.Name + " version ")
	constants, tables, end := landmarks(e.segments)
	parts := [][2]int64{{constants, tables}, {0, constants}, {tables, end}}
	if distance := lastDistance.Load(); distance > 0 {
		at := max(0, tables-distance)
		parts = append([][2]int64{{max(0, at-near), at + near}, {max(0, at-far), at + far}}, parts...)
	}
	for _, part := range parts {
		if v, at := scan(f, needle, part[0], part[1]); v != "" {
			lastDistance.Store(tables - at)
			e.Product = "" // whatever it is called
			return v
		}
	}
	if e.Product != "" {
		return e.askProduct()
	}
	return e.askVersion()
}

// landmarks returns where in the file the last segment that can only be read
// begins, which has the constants of programs linked as they are today, where
// the tables for unwinding behind them begin, and where all segments end.
func landmarks(segments []elfmagic.Segment) (constants, tables, end int64) {
	end = int64(elfmagic.Extent(segments))
	tables = end
	for _, s := range segments {
		switch {
		case s.Type == elf.PT_LOAD && s.Flags == elf.PF_R:
			constants = int64(s.Offset)
		case s.Type == elf.PT_GNU_EH_FRAME:
			tables = min(end, int64(s.Offset))
		}
	}
	return min(constants, tables), tables, end
}

// buffers are kept: 30 of them would make the garbage collector run.
var buffers = sync.Pool{New: func() any { return new([chunk + overlap]byte) }}

// scan returns what follows needle on its line, between two offsets of a file,
// and where that is.
func scan(r io.ReaderAt, needle []byte, from, to int64) (string, int64) {
	array := buffers.Get().(*[chunk + overlap]byte)
	defer buffers.Put(array)
	for at := from; at < to; at += chunk {
		buf := array[:min(chunk, to-at)+overlap]
		n, err := r.ReadAt(buf, at)
		if i := bytes.Index(buf[:n], needle); i >= 0 && i < chunk {
			rest := buf[i+len(needle) : n]
			if end := bytes.IndexAny(rest, "\n\x00"); end >= 0 {
				return string(rest[:end]), at + int64(i)
			}
		}
		if err != nil {
			break
		}
	}
	return "", 0
}

// askVersion runs the emulator with --version.
func (e *Emulator) askVersion() string {
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
	_, v, _ := bytes.Cut(line, []byte(" version ")) // its name is that of the file
	return string(v)
}

// Release returns the first two numbers of the version, and whether it has
// them.
func (e *Emulator) Release() (major, minor int, ok bool) {
	first, rest, _ := strings.Cut(e.Version, ".")
	second := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	major, err := strconv.Atoi(first)
	if err == nil {
		minor, err = strconv.Atoi(second)
	}
	return major, minor, err == nil
}

// ShortVersion is a version without what a distribution says of its package. One that is
// none of QEMU's begins with a name, and stays.
func ShortVersion(version string) string {
	if strings.IndexAny(version, "0123456789") > 0 {
		return version
	}
	short, _, _ := strings.Cut(version, " ")
	return strings.TrimSuffix(short, ",") // ours: 10.2.2, exec-helper 1
}

// PassesArgv0 reports whether the emulator understands an entry with the P
// flag: QEMU does since 6.0 (6e1c0d7b951e). Older ones would take the extra
// argument for the program's first.
func (e *Emulator) PassesArgv0() bool {
	if e.Product != "" {
		return product.PassesArgv0(e.Product)
	}
	major, _, ok := e.Release()
	return ok && major >= 6
}

// ExecHelper ends the version of an emulator that has 90-exec of image/qemu/patches.
const ExecHelper = ", exec-helper 1"

// HandsOn reports whether the emulator understands -exec-helper: what the kernel
// refuses to execute for its guest it hands on.
func (e *Emulator) HandsOn() bool { return strings.HasSuffix(e.Version, ExecHelper) }
