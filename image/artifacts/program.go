package artifacts

import (
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/licenses"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/internal/file"
)

// project is this repository's module.
const project = "github.com/projectcalico/go-build"

// A Program is a program in the image that was not made of Debian's packages
// there.
type Program struct {
	Path    string   // in the image
	Package string   // Go's import path, or Debian's package
	Version string   // of the package
	SHA256  string   // of its content
	Modules []Module // which Go linked into it; of its library too, if Go built it

	PURL      string    `json:",omitempty"` // package URL of Debian's package, or of the source of Debian's that it was built from
	Source    string    `json:",omitempty"` // that source, and what was changed in it
	Location  string    `json:",omitempty"` // where it, and its source, can be had
	License   string    `json:",omitempty"` // in SPDX's terms; its Go module's, if it is empty
	Libraries []Library `json:",omitempty"` // static ones, which are linked into it
}

// A Library is a source of Debian's that a library is of.
type Library struct {
	debian.Package
	License string
}

// A Module is a Go module.
type Module struct {
	Path, Version string
}

// Describe reads a program, and sees that it is what was asked for: built by the
// toolchain, static, for the architecture.
func Describe(t *toolchain.Toolchain, arch *elfmagic.Arch, source, path, version string) (Program, error) {
	info, err := buildinfo.ReadFile(source)
	if err == nil {
		err = static(source, arch)
	}
	if err == nil && info.GoVersion != "go"+t.Version {
		err = fmt.Errorf("built by %s, not go%s", info.GoVersion, t.Version)
	}
	if err != nil {
		return Program{}, fmt.Errorf("%s: %w", source, err)
	}
	p := Program{Path: path, Package: info.Path, Version: version}
	if strings.HasPrefix(p.Package, project+"/") {
		p.License, p.Location = licenses.Own, "https://"+project
	}
	p.Modules = []Module{{"stdlib", t.Version}} // as vulnerability scanners call it
	if v := info.Main.Version; v != "" && v != "(devel)" {
		p.Modules = append(p.Modules, Module{info.Main.Path, v})
	}
	for _, m := range info.Deps {
		if m.Replace != nil && !strings.HasPrefix(m.Replace.Path, ".") { // else it is a patched copy of the same
			m = m.Replace
		}
		p.Modules = append(p.Modules, Module{m.Path, m.Version})
	}
	p.SHA256, err = file.SHA256(source)
	return p, err
}

// static reports what is wrong with a program that is to run on the
// architecture without a loader and libraries.
func static(file string, arch *elfmagic.Arch) error {
	f, err := elf.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	if f.Class != arch.Class || f.Data != arch.Data || f.Machine != arch.Machine {
		return fmt.Errorf("a program for %s %s %s, not for %s", f.Machine, f.Class, f.Data, arch)
	}
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return errors.New("not static")
	}
	return nil
}
