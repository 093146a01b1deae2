// Hello says for which architecture it was built, and how it was called.
package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() { fmt.Println("hello from", runtime.GOARCH, os.Args[1:]) }
