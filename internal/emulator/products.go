package emulator

import (
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
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

// productOf returns the name of the product that a file is of, by the name of the file
// or of that which it is a link to; empty if it is none that is known.
func productOf(path string) string {
	names := []string{filepath.Base(path)}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		names = append(names, filepath.Base(real))
	}
	for _, p := range products {
		if slices.ContainsFunc(names, func(name string) bool { return slices.Contains(p.files, name) }) {
			return p.name
		}
	}
	return ""
}

// FoundInRoot reports whether a file is of a product that is registered without the
// flag F if it needs a loader: it is meant to be in each root file system.
func FoundInRoot(path string) bool { return known(productOf(path)).inRoot }

// TakesDescriptor reports whether an emulator of a product, empty for QEMU's, and a
// version, runs the program that the kernel hands to it open, as the flag O of an entry
// has it. Of what does not say what it is, nothing is known.
func TakesDescriptor(product, version string) bool {
	if product != "" {
		return known(product).descriptor
	}
	return version != ""
}

// IsQEMU reports whether the emulator takes QEMU's flags: it says so, or is called so.
func (e *Emulator) IsQEMU() bool {
	return e.Product == "" && (e.Version != "" || e.Embedded != nil || strings.HasPrefix(filepath.Base(e.Path), "qemu-"))
}

// numberedLine has a version as box64 ("Box64 arm64 v0.4.3 nogit with Dynarec built on …") and
// FEX ("FEX-2506") print it.
var numberedLine = regexp.MustCompile(`(?:\bv|FEX-)(\d+(?:\.\d+)*)`)

// askProduct runs an emulator that is none of QEMU's with --version, and returns its
// name with what it says.
func (e *Emulator) askProduct() string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, e.Path, "--version").CombinedOutput()
	if found := numberedLine.FindSubmatch(out); err == nil && found != nil {
		return e.Product + " " + string(found[1])
	}
	return e.Product
}
