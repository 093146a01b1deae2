package artifacts

import (
	"bytes"
	"context"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/image/toolchain"
)

// goFlags are those with which cmd/dist builds a release: the results are the
// release's, byte for byte.
var goFlags = []string{"-trimpath", "-buildvcs=false", "-ldflags=-w", "-gcflags=cmd/...=-dwarf=false"}

func (b *Builder) goInputs(context.Context) (inputs, error) {
	var in inputs
	in.add("recipe 1")
	in.add("go %s for %s", b.Versions.Go, b.Arch.Platform())
	in.add("flags %s", strings.Join(goFlags, " "))
	return in, nil
}

// golang puts a Go distribution for the architecture together: GOROOT's source,
// and its commands, copied or cross-compiled.
func (b *Builder) golang(ctx context.Context) (c contents, err error) {
	commands, err := b.goCommands(ctx)
	if err != nil {
		return c, err
	}
	for _, tool := range toolchain.Tools {
		name := path.Join("usr/local/go", tool.Path(b.Arch))
		p, err := Describe(b.toolchain, b.Arch, commands[tool.Name], name, b.Versions.Go)
		if err != nil {
			return c, err
		}
		c.programs = append(c.programs, p)
		c.files = append(c.files, rootfs.File{Name: name, Source: commands[tool.Name], Mode: 0o755})
	}
	environment, err := b.goEnv()
	if err != nil {
		return c, err
	}
	source, err := b.toolchain.Source()
	if err != nil {
		return c, err
	}
	for _, name := range source {
		f := rootfs.File{Name: path.Join("usr/local/go", name), Source: filepath.Join(b.toolchain.Root, name), Mode: goMode(name)}
		if name == "go.env" {
			f.Source = environment
		}
		c.files = append(c.files, f)
	}
	return c, nil
}

// goCommands returns the files of the commands.
func (b *Builder) goCommands(ctx context.Context) (map[string]string, error) {
	files := make(map[string]string)
	if b.Arch == b.toolchain.Host {
		for _, tool := range toolchain.Tools {
			files[tool.Name] = filepath.Join(b.toolchain.Root, tool.Path(b.Arch))
		}
		return files, nil
	}
	dir := b.work("go")
	var packages []string
	for _, tool := range toolchain.Tools {
		files[tool.Name] = filepath.Join(dir, tool.Name)
		packages = append(packages, "cmd/"+tool.Name)
	}
	in, err := b.goInputs(ctx)
	if err != nil {
		return nil, err
	}
	return files, b.step(dir, "Go "+b.Versions.Go, in, func() error {
		args := append([]string{"build", "-o", dir + "/"}, goFlags...)
		cmd := b.toolchain.Command(ctx, b.Arch, append(args, packages...)...)
		cmd.Dir = dir // outside of any module
		_, err := toolchain.Run(cmd)
		return err
	})
}

// goEnv returns a file with the defaults of the distribution's go command. It
// does not get other toolchains unless it is asked to.
func (b *Builder) goEnv() (string, error) {
	data, err := os.ReadFile(filepath.Join(b.toolchain.Root, "go.env"))
	if err != nil {
		return "", err
	}
	file := b.work("go.env")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", err
	}
	return file, os.WriteFile(file, localToolchain(data), 0o644)
}

var goToolchain = regexp.MustCompile(`(?m)^GOTOOLCHAIN=.*$`)

func localToolchain(env []byte) []byte {
	return append(goToolchain.ReplaceAll(bytes.TrimSpace(env), []byte("GOTOOLCHAIN=local")), '\n')
}

var goExec = regexp.MustCompile(`(^|/)go_[^/]+_[^/]+_exec$`)

// goMode returns a file's permissions: what is there may have lost them.
func goMode(name string) int64 {
	switch path.Ext(name) {
	case ".bash", ".sh", ".pl", ".rc":
		return 0o755
	}
	if goExec.MatchString(name) {
		return 0o755
	}
	return 0o644
}
