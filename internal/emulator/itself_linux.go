package emulator

import (
	"bytes"
	"debug/elf"
	"sync"

	"golang.org/x/sys/unix"
)

// Under the name of an emulator (crossrun --link --names qemu) crossrun is in PATH as
// emulators are. It is none: it would look for one again, and find itself.

// buildInfo begins what the go command says of a program, at the beginning of its
// first writable segment (debug/buildinfo), and crossrun is what it says of ours.
const buildInfo, crossrun = "\xff Go buildinf:", "path\tgithub.com/projectcalico/go-build/cmd/crossrun\n"

// running is what stat(2) says of the running command.
var running = sync.OnceValues(func() (st unix.Stat_t, err error) { return st, unix.Stat("/proc/self/exe", &st) })

// isCommand reports whether an open file is the running command, or another crossrun.
func (e *Emulator) isCommand(f descriptor, info *unix.Stat_t) bool {
	if self, err := running(); err == nil && self.Dev == info.Dev && self.Ino == info.Ino {
		return true
	}
	for _, s := range e.segments {
		if s.Type != elf.PT_LOAD || s.Flags&elf.PF_W == 0 {
			continue
		}
		var start [512]byte // versions, and then the path
		n, _ := f.ReadAt(start[:], int64(s.Offset))
		return bytes.HasPrefix(start[:n], []byte(buildInfo)) && bytes.Contains(start[:n], []byte(crossrun))
	}
	return false
}

// IsCommand reports whether the file at path is crossrun, and no emulator.
func IsCommand(path string) bool {
	f, err := openFile(path)
	if err != nil {
		return false
	}
	defer f.close()
	var info unix.Stat_t
	e, err := inspect(nil, f, &info)
	return err == nil && e.isCommand(f, &info)
}
