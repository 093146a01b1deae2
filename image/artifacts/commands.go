package artifacts

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/progress"
	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/image/toolchain"
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
	defer progress.Start(ctx, "building %s", strings.Join(toolchain.Commands, ", ")).End()
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
	return b.step(ctx, dir, what, in, func() error {
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
