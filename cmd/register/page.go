package main

import (
	"github.com/projectcalico/go-build/internal/cli"
)

// page is what the manual page and completions are made of.
func page() *cli.Page {
	return &cli.Page{
		Name:    name,
		Summary: "have the kernel run programs of other architectures",
		Usage:   usage(),
		Flags:   new(options).flags(),
		Args:    cli.ArchNames(),
		Also:    []string{"crossrun(1)", "binfmt.d(5)", "update-binfmts(8)"},
	}
}
