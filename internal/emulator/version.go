package emulator

import (
	"bytes"
	"cmp"
	"context"
	"debug/elf"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
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
	near    = 4 << 10
	far     = 32 << 10
)

// A place is where an emulator had its version: how far before its tables for unwinding,
// behind constants of so many bytes.
type place struct{ constants, distance int64 }

// places are those that were found. Emulators of one build have much the same constants:
// of Debian's 32, of 7.2 as of 10.0.2, 23 have it within 4 KiB of where the one has it
// whose constants are nearest in size, or that was looked at before, and all within 31 KiB.
var places struct {
	sync.Mutex
	list []place
}

// likely appends the distances at which a version is likely to be.
func likely(distances []int64, constants int64) []int64 {
	places.Lock()
	defer places.Unlock()
	if len(places.list) == 0 {
		return distances
	}
	away := func(p place) int64 { return max(p.constants-constants, constants-p.constants) }
	nearest := slices.MinFunc(places.list, func(p, q place) int { return cmp.Compare(away(p), away(q)) })
	last := places.list[len(places.list)-1]
	distances = append(distances, nearest.distance)
	if d := last.distance - nearest.distance; max(d, -d) >= near {
		distances = append(distances, last.distance)
	}
	return distances
}

// found notes a place.
func found(p place) {
	places.Lock()
	defer places.Unlock()
	places.list = append(slices.DeleteFunc(places.list, func(q place) bool { return q == p }), p)
}

// version finds the line that QEMU prints for --version in the file itself:
// starting 30 emulators to ask them costs more than all else that register
// does. It is in a note of ours, and one string among the read-only data of
// others. A file that does not have it is asked.
func (e *Emulator) version(f descriptor) string {
	needle := []byte("qemu-" + e.Arch.Name + " version ")
	constants, tables, end := landmarks(e.segments)
	for _, s := range e.segments {
		if s.Type == elf.PT_NOTE && s.Size < near { // ours say it there (c1-start.patch)
			if v, _ := scan(f, needle, int64(s.Offset), int64(s.Offset+s.Size)); v != "" {
				return v
			}
		}
	}
	parts := make([][2]int64, 0, 16)
	distances := likely(make([]int64, 0, 2), tables-constants)
	for _, distance := range distances {
		parts = append(parts, [2]int64{tables - distance - near, tables - distance + near})
	}
	if len(distances) > 0 {
		at := tables - distances[0]
		for d := int64(near); d < far; d += chunk { // on both sides of it
			parts = append(parts, [2]int64{at + d, at + d + chunk}, [2]int64{at - d - chunk, at - d})
		}
	}
	parts = append(parts, [2]int64{constants, tables}, [2]int64{0, constants}, [2]int64{tables, end})
	for _, part := range parts {
		if v, at := scan(f, needle, max(0, part[0]), min(part[1], end)); v != "" {
			found(place{tables - constants, tables - at})
			return v // of QEMU's, whatever it is called
		}
	}
	if e.Path == "" {
		return ""
	}
	if e.Product = productOf(e.Path); e.Product != "" {
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
	line, _, _ := strings.Cut(e.ask((*exec.Cmd).Output), "\n")
	_, v, _ := strings.Cut(line, " version ") // its name is that of the file
	return v
}

// ask returns what the emulator says with --version, if it does so soon. A process that it
// leaves behind, which may hold its output open, is not waited for.
func (e *Emulator) ask(output func(*exec.Cmd) ([]byte, error)) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, e.Path, "--version")
	cmd.WaitDelay = time.Second
	out, err := output(cmd)
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return ""
	}
	return string(out)
}

// Release returns the first two numbers of the version, and whether it has
// them.
func (e *Emulator) Release() (major, minor int, ok bool) { return release(e.Version) }

func release(version string) (major, minor int, ok bool) {
	first, rest, _ := strings.Cut(version, ".")
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
