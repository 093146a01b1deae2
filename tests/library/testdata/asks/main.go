// Asks prints what runs here, and why the rest does not.
package main

import (
	"context"
	"fmt"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/elfmagic"
)

func main() {
	for _, arch := range elfmagic.Archs() {
		if err := host.Check(context.Background(), binfmt.New(""), arch); err != nil {
			fmt.Println(err)
		} else {
			fmt.Println(arch, "programs run")
		}
	}
}
