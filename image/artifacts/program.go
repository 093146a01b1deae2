package artifacts

import (
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/internal/file"
)

// A Program is a program in the image that was not made of Debian's packages
// there.
type Program struct {
	Path    string   // in the image
	Package string   // Go's import path, or Debian's package
	Version string   // of the package
	Debian  bool     // Package is one of Debian's
	SHA256  string   // of its content
	Modules []Module // which Go linked into it; of its library too, if Go built it

	Source *ProgramSource `json:",omitempty"` // if it was built from a source of Debian's
}

// A ProgramSource is a source of Debian's, and what was changed in it.
type ProgramSource struct {
	Package, Version string
	Files, Patches   []SourceFile
}

// A SourceFile is an archive, or a patch.
type SourceFile struct {
	Name, SHA256 string
}

// A Module is a Go module.
type Module struct {
	Path, Version string
}

// describe is Describe, and sees that a program was built by the toolchain.
func describe(t *toolchain.Toolchain, arch *elfmagic.Arch, file, path, version string) (Program, error) {
	p, built, err := Describe(arch, file, path, version)
	if err == nil && built != "go"+t.Version {
		err = fmt.Errorf("%s: built by %s, not go%s", file, built, t.Version)
	}
	return p, err
}

// Describe reads a program that Go built, and sees that it is what was asked
// for: static, for the architecture. It also returns which Go built it.
func Describe(arch *elfmagic.Arch, source, path, version string) (p Program, built string, err error) {
	p = Program{Path: path, Version: version}
	fail := func(err error) (Program, string, error) { return p, built, fmt.Errorf("%s: %w", source, err) }
	if err := static(source, arch); err != nil {
		return fail(err)
	}
	info, err := buildinfo.ReadFile(source)
	if err != nil {
		return fail(err)
	}
	built = info.GoVersion
	p.Package = info.Path
	p.Modules = []Module{{"stdlib", strings.TrimPrefix(built, "go")}} // as vulnerability scanners call it
	if v := info.Main.Version; v != "" && v != "(devel)" {
		p.Modules = append(p.Modules, Module{info.Main.Path, v})
	}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		p.Modules = append(p.Modules, Module{m.Path, m.Version})
	}
	if p.SHA256, err = file.SHA256(source); err != nil {
		return fail(err)
	}
	return p, built, nil
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
	for _, segment := range f.Progs {
		if segment.Type == elf.PT_INTERP {
			return errors.New("not static")
		}
	}
	return nil
}
