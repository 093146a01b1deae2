// Hello says what it is and how it was called, and uses a thread, the heap and
// floating point on the way.
package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
)

func main() {
	words := make(chan []string)
	go func() {
		runtime.LockOSThread()
		words <- strings.Fields(fmt.Sprintf("hello from %s %.3f", runtime.GOARCH, math.Sqrt(2)))
	}()
	fmt.Println(strings.Join(<-words, " "))
	for _, arg := range os.Args {
		fmt.Printf("%q\n", arg)
	}
}
