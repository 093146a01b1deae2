// Ignored says which signals were ignored when it was executed.
package main

import (
	"fmt"

	"github.com/projectcalico/go-build/internal/entry"
)

func main() { fmt.Printf("%x\n", entry.Ignored()) }
