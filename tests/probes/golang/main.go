// Command golang is the family of probes that are Go programs; testdata/probe.h says how they are called.
package main

import (
	"fmt"
	"os"
	"slices"
)

// A probe returns what is wrong.
type probe struct {
	name string
	run  func() error
}

// parts are what probes have other processes of this program run, by their names.
var parts = map[string]func(args []string) int{}

func main() {
	if len(os.Args) < 2 {
		for _, p := range probes {
			fmt.Println(p.name)
		}
		return
	}
	if part, found := parts[os.Args[1]]; found {
		os.Exit(part(os.Args[2:]))
	}
	i := slices.IndexFunc(probes, func(p probe) bool { return p.name == os.Args[1] })
	if i < 0 {
		fmt.Println("there is no probe", os.Args[1])
		os.Exit(1)
	}
	if err := probes[i].run(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
