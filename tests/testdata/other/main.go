// Other stands for an emulator that is none of QEMU's: it runs the probes of register,
// and says of all other programs what it was told about them.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// What the kernel tells a program of itself (linux/auxvec.h).
const (
	atExecFD        = 2
	atFlags         = 8
	flagsKeepsArgv0 = 1
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Println(map[string]string{"FEX": "FEX-2506", "box64": "Box64 arm64 v0.4.3 nogit with Dynarec built on Jun 13 2026"}[filepath.Base(os.Args[0])])
		return
	}
	if strings.HasPrefix(os.Args[1], "/dev/fd/") || strings.HasPrefix(os.Args[1], "/proc/self/fd/") { // a probe
		_, _ = io.ReadFull(os.Stdin, make([]byte, 1))
		os.Exit(42)
	}
	auxv, err := os.ReadFile("/proc/self/auxv")
	if err != nil {
		panic(err)
	}
	argv0, descriptor := false, false
	for ; len(auxv) >= 16; auxv = auxv[16:] {
		value := binary.NativeEndian.Uint64(auxv[8:])
		switch binary.NativeEndian.Uint64(auxv) {
		case atExecFD:
			descriptor = true
		case atFlags:
			argv0 = value&flagsKeepsArgv0 != 0
		}
	}
	fmt.Printf("other: argv[0] %v, descriptor %v, %q\n", argv0, descriptor, os.Args[1:])
}
