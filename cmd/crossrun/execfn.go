package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Entries of the auxiliary vector (getauxval(3)).
const (
	atFlags  = 8
	atExecFn = 31
)

// preserveArgv0 is the bit of AT_FLAGS that says that an entry has the flag P
// (AT_FLAGS_PRESERVE_ARGV0, Linux 5.12, 2347961b11d4).
const preserveArgv0 = 1

// startedByKernel reports whether this process is the interpreter of an entry in the
// kernel, and whether that passes argv[0] on. The kernel leaves in AT_EXECFN what was
// to be executed: the program, not its interpreter (create_elf_tables, bprm->exec).
// Where that cannot be read the answer is no.
func startedByKernel() (argv0, is bool) {
	vector, err := os.ReadFile("/proc/self/auxv")
	if err != nil {
		return false, false
	}
	var flags, name uint64
	for ; len(vector) >= 16; vector = vector[16:] {
		value := binary.NativeEndian.Uint64(vector[8:])
		switch binary.NativeEndian.Uint64(vector) {
		case atFlags:
			flags = value
		case atExecFn:
			name = value
		}
	}
	var executed, self unix.Stat_t
	if unix.Stat(ownString(name), &executed) != nil || unix.Stat("/proc/self/exe", &self) != nil {
		return false, false
	}
	is = executed.Dev != self.Dev || executed.Ino != self.Ino
	if is && len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "-") {
		is = false // a script's #! line has it, with flags
	}
	return is && flags&preserveArgv0 != 0, is
}

// ownString returns the string at an address of this process.
func ownString(address uint64) string {
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		return ""
	}
	defer memory.Close()
	text := make([]byte, unix.PathMax)
	n, _ := memory.ReadAt(text, int64(address)) // the stack may end before
	text, _, _ = bytes.Cut(text[:n], []byte{0})
	return string(text)
}
