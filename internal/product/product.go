// Package product knows emulators that are none of QEMU's, by their names: what their
// own entries in binfmt_misc say. It makes no system calls but to follow a link.
package product

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// A product runs programs of another architecture as QEMU's emulators do, and is none
// of them. Nobody looks for it: somebody names it. What is known of it goes by the name
// of its file, and is what its own entry in binfmt_misc says.
type product struct {
	name  string
	files []string

	argv0      bool // it understands the flag P
	descriptor bool // it takes the program from the kernel, flag O
	inRoot     bool // its entry has no F: it is found in the root file system of each program
}

// products are those whose entries were read: FEX's in its Data/binfmts
// (FEX-x86_64.conf.in of 2025 and 2026: POCF), box64's in Debian's packages 0.3.4 and
// 0.4.3 (/usr/lib/binfmt.d/box64.conf: none), and Rosetta's as Lima writes it (OCF).
var products = []product{
	{name: "FEX", files: []string{"FEX", "FEXInterpreter"}, argv0: true, descriptor: true},
	{name: "box64", files: []string{"box64", "box32"}, inRoot: true},
	{name: "box86", files: []string{"box86"}, inRoot: true},
	{name: "Rosetta", files: []string{"rosetta"}, descriptor: true},
}

// known returns the product with a name; one of no name is QEMU.
func known(name string) (p product) {
	if i := slices.IndexFunc(products, func(p product) bool { return p.name == name }); i >= 0 {
		return products[i]
	}
	return product{}
}

// Of returns the name of the product that a file is of, by the name of the file
// or of that which it is a link to; empty if it is none that is known.
func Of(path string) string {
	names := []string{filepath.Base(path)}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSymlink {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			names = append(names, filepath.Base(real))
		}
	}
	return Called(names...)
}

// Called returns the name of the product that has a file of one of the names; empty if
// none has.
func Called(names ...string) string {
	for _, p := range products {
		if slices.ContainsFunc(names, func(name string) bool { return slices.Contains(p.files, name) }) {
			return p.name
		}
	}
	return ""
}

// FoundInRoot reports whether a file is of a product that is registered without the
// flag F if it needs a loader: it is meant to be in each root file system.
func FoundInRoot(path string) bool { return known(Of(path)).inRoot }

// TakesDescriptor reports whether an emulator of a product, empty for QEMU's, and a
// version, runs the program that the kernel hands to it open, as the flag O of an entry
// has it. Of what does not say what it is, nothing is known.
func TakesDescriptor(product, version string) bool {
	if product != "" {
		return known(product).descriptor
	}
	return version != ""
}

// PassesArgv0 reports whether an emulator of a product, by its name, understands an
// entry with the flag P.
func PassesArgv0(product string) bool { return known(product).argv0 }
