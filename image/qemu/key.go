package qemu

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
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

// exists reports whether there is a file or directory.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// whole has fill make a directory that is there whole or not at all, unless it is
// there.
func whole(dir string, fill func(temporary string) error) error {
	if exists(dir) {
		return nil
	}
	temporary := dir + ".new"
	err := errors.Join(os.RemoveAll(temporary), os.MkdirAll(temporary, 0o755))
	if err == nil {
		err = fill(temporary)
	}
	if err == nil {
		err = os.Rename(temporary, dir)
	}
	return err
}

func digest(content []byte) string { return fmt.Sprintf("%x", sha256.Sum256(content)) }

// sourceInputs are what the tree of sources is made of.
func (b *Builder) sourceInputs() inputs {
	in := inputs{"source " + b.source.Version}
	in.files("file", []debian.File{b.source.Orig(), b.source.Debian()})
	for _, p := range b.patches {
		in.add("patch %s %s", p.Name, p.SHA256)
	}
	for _, s := range b.source.Fixes {
		in.files("fixes of "+s.Version, []debian.File{s.Orig()})
	}
	for _, p := range b.restOfFixes() {
		in.add("patch of fixes %s %s", p.Name, p.SHA256)
	}
	return in
}

// inputs are what a build is made of besides its targets and their profile.
func (b *Builder) inputs(m mode, host *elfmagic.Arch, libs tree) inputs {
	in := b.sourceInputs()
	in.add("compiler %s for %s", b.compiler.Version, host)
	in.add("recipe %s", strings.Join(options(m, everywhere...), " "))
	in.files("sysroot", libs.Files)
	return in
}
