package artifacts

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/image/toolchain"
)

// ownInputs are the sources of our commands, and the version that they say.
func (b *Builder) ownInputs(ctx context.Context) (inputs, error) {
	in := inputs{"recipe 1"}
	in.add("go %s for %s", b.Versions.Go, b.Arch.Platform())
	in.add("flags %s", strings.Join(toolchain.Flags(toolchain.ReadRevision(ctx, b.Root).Version), " "))
	for _, f := range ownLinks() {
		in.add("%s -> %s", f.Name, f.Target)
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		if err := in.addFile(name, filepath.Join(b.Root, name)); err != nil {
			return in, err
		}
	}
	const sources = `{{if and .Module .Module.Main}}{{range .GoFiles}}{{$.Dir}}/{{.}}
{{end}}{{range .SFiles}}{{$.Dir}}/{{.}}
{{end}}{{range .EmbedFiles}}{{$.Dir}}/{{.}}
{{end}}{{end}}`
	cmd := b.toolchain.Command(ctx, b.Arch, append([]string{"list", "-deps", "-f", sources}, toolchain.Packages()...)...)
	cmd.Dir = b.Root
	out, err := toolchain.Run(cmd)
	if err != nil {
		return in, err
	}
	for file := range strings.FieldsSeq(out) {
		name, err := filepath.Rel(b.Root, file)
		if err != nil {
			return in, err
		}
		if err := in.addFile(name, file); err != nil {
			return in, err
		}
	}
	return in, nil
}

// own builds this repository's commands, and gives them their other names.
func (b *Builder) own(ctx context.Context) (c contents, err error) {
	version := toolchain.ReadRevision(ctx, b.Root).Version
	b.Say("building %s for %s …", strings.Join(toolchain.Commands, ", "), b.Arch.Platform())
	files, err := b.toolchain.BuildCommands(ctx, b.Root, b.work("own"), b.Arch)
	if err != nil {
		return c, err
	}
	for _, file := range files {
		name := filepath.Base(file)
		p, err := Describe(b.toolchain, b.Arch, file, "usr/bin/"+name, version)
		if err != nil {
			return c, err
		}
		c.programs = append(c.programs, p)
		c.files = append(c.files, rootfs.File{Name: p.Path, Source: file, Mode: 0o755})
	}
	c.files = append(c.files, ownLinks()...)
	return c, nil
}

// ownLinks are the other names of our commands: binfmt for whoever knows that,
// and those that go run and go test look for.
func ownLinks() []rootfs.File {
	files := []rootfs.File{{Name: "usr/bin/binfmt", Target: "register"}}
	for _, arch := range elfmagic.Archs() {
		if arch.GOARCH != "" {
			files = append(files, rootfs.File{Name: "usr/bin/go_linux_" + arch.GOARCH + "_exec", Target: "crossrun"})
		}
	}
	return slices.Clip(files)
}
