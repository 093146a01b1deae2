// Ignored says which signals were ignored, or, with an argument, blocked, when it was executed.
package main

import (
	"fmt"
	"os"

	"github.com/projectcalico/go-build/internal/entry"
)

func main() {
	signals := entry.Ignored()
	if len(os.Args) > 1 {
		signals = entry.Blocked()
	}
	fmt.Printf("%x\n", signals)
}
