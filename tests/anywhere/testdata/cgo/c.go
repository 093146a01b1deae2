// Package cgo calls a function of C's.
package cgo

// static int square(int n) { return n * n; }
import "C"

func square(n int) int { return int(C.square(C.int(n))) }
