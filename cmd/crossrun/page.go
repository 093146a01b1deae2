package main

import (
	"github.com/projectcalico/go-build/internal/cli"
)

// page is what the manual page and completions are made of.
func page() *cli.Page {
	return &cli.Page{
		Name:    name,
		Summary: "run a program of any architecture, and what it starts",
		Usage:   usage(),
		Flags:   new(options).flags(),
		Program: true,
		Args:    cli.ArchNames(),
		Also:    []string{"register(1)", "qemu-user(1)", "ld.so(8)"},
	}
}
