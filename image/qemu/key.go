package qemu

import (
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
)

// inputs is all that something is made of, a line each.
type inputs []string

func (in *inputs) add(format string, args ...any) { *in = append(*in, fmt.Sprintf(format, args...)) }

func (in *inputs) files(what string, files []debian.File) {
	for _, f := range files {
		in.add("%s %s %s", what, f.Name, f.SHA256)
	}
}

// key is short, for names of files and directories.
func (in inputs) key() string {
	return digest([]byte(strings.Join(in, "\n")))[:16]
}

func digest(content []byte) string { return fmt.Sprintf("%x", sha256.Sum256(content)) }

// sourceInputs are what the tree of sources is made of.
func sourceInputs(s Source, patches []Patch) inputs {
	in := inputs{"source " + s.Version}
	in.files("file", []debian.File{s.Orig(), s.Debian()})
	for _, p := range patches {
		in.add("patch %s %s", p.Name, p.SHA256)
	}
	return in
}

// trainingInputs are what a trainer's profile is made of.
func trainingInputs(s Source, patches []Patch, c Compiler, native *elfmagic.Arch, sysroot []debian.File, guests inputs) inputs {
	in := sourceInputs(s, patches)
	in.add("compiler %s", c.Version)
	in.add("on %s", native)
	in.add("recipe %s", strings.Join(recipeOf(instrumented), " "))
	in.files("sysroot", sysroot)
	return append(in, guests...)
}

// emulatorInputs are what an emulator is made of.
func emulatorInputs(target string, m mode, s Source, patches []Patch, c Compiler, host *elfmagic.Arch, sysroot []debian.File, profile inputs) inputs {
	in := sourceInputs(s, patches)
	in.add("target %s for %s", target, host)
	in.add("compiler %s", c.Version)
	in.add("recipe %s", strings.Join(recipeOf(m), " "))
	in.files("sysroot", sysroot)
	in.add("profile %s", profile.key())
	return in
}
