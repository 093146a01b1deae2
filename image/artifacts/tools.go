package artifacts

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/image/versions"
)

// programDir is where commands go that Debian does not have.
const programDir = "usr/local/bin/"

func (b *Builder) toolInput(t versions.Tool) string {
	return fmt.Sprintf("%s %s@%s with go %s for %s, linked %s", t.Name, t.Package, t.Version, b.Versions.Go, b.Arch.Platform(), toolchain.Linked)
}

func (b *Builder) toolInputs(context.Context) (inputs, error) {
	in := inputs{"recipe 1"}
	for _, t := range b.Versions.Tools {
		in.add("%s", b.toolInput(t))
	}
	return in, nil
}

// tools builds the tools, each from its own module, with the versions of
// others that this asks for.
func (b *Builder) tools(ctx context.Context) (c contents, err error) {
	for _, t := range b.Versions.Tools {
		dir := b.work("tools", t.Name)
		file := filepath.Join(dir, t.Name)
		err := b.step(dir, t.Name+" "+t.Version, inputs{b.toolInput(t)}, func() error { return b.install(ctx, t, file) })
		if err != nil {
			return c, err
		}
		p, err := Describe(b.toolchain, b.Arch, file, programDir+t.Name, t.Version)
		if err != nil {
			return c, err
		}
		c.programs = append(c.programs, p)
		c.files = append(c.files, rootfs.File{Name: p.Path, Source: file, Mode: 0o755})
	}
	return c, nil
}

// install has the go command install a tool, which it does only into a GOPATH
// when it is for another architecture, and only under its own name.
func (b *Builder) install(ctx context.Context, t versions.Tool, file string) error {
	path := b.work("gopath")
	if err := os.RemoveAll(filepath.Join(path, "bin")); err != nil {
		return err
	}
	cmd := b.toolchain.Command(ctx, b.Arch, "install", "-trimpath", "-buildvcs=false", "-ldflags="+toolchain.Linked, t.Package+"@"+t.Version)
	cmd.Env = append(cmd.Env, "GOPATH="+path)
	cmd.Dir = b.Dir
	if _, err := toolchain.Run(cmd); err != nil {
		return err
	}
	dir := filepath.Join(path, "bin")
	if b.Arch != b.toolchain.Host {
		dir = filepath.Join(dir, "linux_"+b.Arch.GOARCH)
	}
	installed, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(installed) != 1 {
		return fmt.Errorf("%s is not one command: %d were installed", t.Package, len(installed))
	}
	return os.Rename(filepath.Join(dir, installed[0].Name()), file)
}
