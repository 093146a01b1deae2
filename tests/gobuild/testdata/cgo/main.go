// Cgo calls the C library of the architecture that it was built for.
package main

// #cgo LDFLAGS: -lm -lelf -lz
// #define _GNU_SOURCE
// #include <libelf.h>
// #include <math.h>
// #include <stdlib.h>
// #include <zlib.h>
// static int order(void) { int one = 1; return *(char *)&one; }
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"
)

func main() {
	order := "big"
	if C.order() == 1 {
		order = "little"
	}
	number := C.CString("1764")
	defer C.free(unsafe.Pointer(number))
	root := C.sqrt(C.double(C.strtol(number, nil, 0))) // strtol(3) is another function from glibc 2.38 on
	fmt.Printf("%s %s endian, %v, libelf %d, zlib %s\n", runtime.GOARCH, order, root, C.elf_version(C.EV_CURRENT), C.GoString(C.zlibVersion()))
}
