package artifacts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/image/versions"
)

// programDir is where commands go that Debian does not have.
const programDir = "usr/local/bin/"

// own builds this repository's commands, and gives them their other names: binfmt
// for whoever knows that, and those that go run and go test look for. The go command
// knows whether there is something to do.
func (b *Builder) own(ctx context.Context) (c contents, err error) {
	dir := b.work("own")
	if _, err := os.Stat(dir); err != nil {
		b.Say("building %s for %s …", strings.Join(toolchain.Commands, ", "), b.Arch.Platform())
	}
	files, err := b.toolchain.BuildCommands(ctx, b.Root, dir, b.Arch)
	if err != nil {
		return c, err
	}
	version := toolchain.ReadRevision(ctx, b.Root).Version
	for _, file := range files {
		if err := c.built(b, "usr/bin/"+filepath.Base(file), file, version); err != nil {
			return c, err
		}
	}
	c.files = append(c.files, rootfs.File{Name: "usr/bin/binfmt", Target: "register"})
	for _, arch := range elfmagic.Archs() {
		if arch.GOARCH != "" {
			c.files = append(c.files, rootfs.File{Name: "usr/bin/go_linux_" + arch.GOARCH + "_exec", Target: "crossrun"})
		}
	}
	return c, nil
}

// compile has the go command build packages of a module into files of their names
// in a directory, unless they are there and were made of the same.
func (b *Builder) compile(ctx context.Context, dir, what string, in inputs, module string, args ...string) error {
	return b.step(dir, what, in, func() error {
		_, err := b.toolchain.Run(ctx, b.Arch, module, append([]string{"build", "-o", dir + "/"}, args...)...)
		return err
	})
}

// goFlags are those with which cmd/dist builds a release: the results are the
// release's, byte for byte.
var goFlags = []string{"-trimpath", "-buildvcs=false", "-ldflags=-w", "-gcflags=cmd/...=-dwarf=false"}

// golang puts a Go distribution for the architecture together: GOROOT's source,
// and its commands, copied or cross-compiled.
func (b *Builder) golang(ctx context.Context) (c contents, err error) {
	const root = "usr/local/go"
	own, dir := b.Arch == b.toolchain.Host, b.work("go")
	if !own {
		args := slices.Clone(goFlags)
		for _, tool := range toolchain.Tools {
			args = append(args, "cmd/"+tool)
		}
		// The directory is outside of any module.
		if err := b.compile(ctx, dir, "Go "+b.Versions.Go, b.inputs(args...), dir, args...); err != nil {
			return c, err
		}
	}
	for _, tool := range toolchain.Tools {
		source := filepath.Join(dir, tool)
		if own {
			source = filepath.Join(b.toolchain.Root, toolchain.ToolPath(tool, b.Arch))
		}
		if err := c.built(b, path.Join(root, toolchain.ToolPath(tool, b.Arch)), source, b.Versions.Go); err != nil {
			return c, err
		}
	}
	// The distribution's go command does not get other toolchains unless it is asked to.
	environment, err := os.ReadFile(filepath.Join(b.toolchain.Root, "go.env"))
	if err != nil {
		return c, err
	}
	file := b.work("go.env")
	if err := errors.Join(os.MkdirAll(b.work(), 0o755), os.WriteFile(file, localToolchain(environment), 0o644)); err != nil {
		return c, err
	}
	names, err := b.toolchain.Source()
	for _, name := range names {
		source := filepath.Join(b.toolchain.Root, name)
		if name == "go.env" {
			source = file
		}
		c.add(path.Join(root, name), source, goMode(name))
	}
	return c, err
}

var goToolchain = regexp.MustCompile(`(?m)^GOTOOLCHAIN=.*$`)

func localToolchain(env []byte) []byte {
	return append(goToolchain.ReplaceAll(bytes.TrimSpace(env), []byte("GOTOOLCHAIN=local")), '\n')
}

// goMode returns a file's permissions: what is there may have lost them.
func goMode(name string) int64 {
	wrapper, _ := path.Match("go_*_*_exec", path.Base(name))
	if wrapper || slices.Contains([]string{".bash", ".sh", ".pl", ".rc"}, path.Ext(name)) {
		return 0o755
	}
	return 0o644
}

func (b *Builder) toolInputs(t versions.Tool) inputs {
	return b.inputs(fmt.Sprintf("%s %s@%s linked %s", t.Name, t.Package, t.Version, toolchain.Linked))
}

// tools builds the tools, each from its own module, with the versions of
// others that this asks for.
func (b *Builder) tools(ctx context.Context) (c contents, err error) {
	for _, t := range b.Versions.Tools {
		file := b.work("tools", t.Name, t.Name)
		install := func() error { return b.install(ctx, t, file) }
		err := b.step(filepath.Dir(file), t.Name+" "+t.Version, b.toolInputs(t), install)
		if err == nil {
			err = c.built(b, programDir+t.Name, file, t.Version)
		}
		if err != nil {
			return c, err
		}
	}
	return c, nil
}

// install has the go command install a tool, which it does only into a GOPATH
// when it is for another architecture, and only under its own name.
func (b *Builder) install(ctx context.Context, t versions.Tool, file string) error {
	gopath := b.work("gopath")
	if err := os.RemoveAll(filepath.Join(gopath, "bin")); err != nil {
		return err
	}
	tc := *b.toolchain
	tc.Env = append(slices.Clip(tc.Env), "GOPATH="+gopath)
	if _, err := tc.Run(ctx, b.Arch, b.Dir, "install", "-trimpath", "-buildvcs=false", "-ldflags="+toolchain.Linked, t.Package+"@"+t.Version); err != nil {
		return err
	}
	dir := filepath.Join(gopath, "bin")
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
