// Cgo calls the C library of the architecture that it was built for.
package main

// #cgo LDFLAGS: -lm
// #include <math.h>
// #include <stdlib.h>
// static int order(void) { int one = 1; return *(char *)&one; }
import "C"

import (
	"fmt"
	"runtime"
)

func main() {
	order := "big"
	if C.order() == 1 {
		order = "little"
	}
	fmt.Println(runtime.GOARCH, order, "endian,", C.sqrt(1764))
}
