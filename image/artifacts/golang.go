package artifacts

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/internal/cli"
)

// goCommands are the commands of a Go distribution, by their directories: in
// 1.26 cmd/distpack/pack.go has these, and cmd/go builds other tools on demand.
var goCommands = []struct{ dir, name string }{
	{"bin", "go"}, {"bin", "gofmt"},
	{"pkg/tool", "asm"}, {"pkg/tool", "cgo"}, {"pkg/tool", "compile"}, {"pkg/tool", "cover"},
	{"pkg/tool", "fix"}, {"pkg/tool", "link"}, {"pkg/tool", "preprofile"}, {"pkg/tool", "vet"},
}

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
	for _, command := range goCommands {
		name := path.Join(command.dir, command.name)
		if command.dir == "pkg/tool" {
			name = path.Join(command.dir, "linux_"+b.Arch.GOARCH, command.name)
		}
		name = path.Join("usr/local/go", name)
		p, err := describe(b.toolchain, b.Arch, commands[command.name], name, b.Versions.Go)
		if err != nil {
			return c, err
		}
		c.programs = append(c.programs, p)
		c.files = append(c.files, rootfs.File{Name: name, Source: commands[command.name], Mode: 0o755})
	}
	environment, err := b.goEnv()
	if err != nil {
		return c, err
	}
	source, err := goSource(b.toolchain.Root)
	if err != nil {
		return c, err
	}
	for _, f := range source {
		if f.Name == "go.env" {
			f.Source = environment
		}
		f.Name = path.Join("usr/local/go", f.Name)
		c.files = append(c.files, f)
	}
	return c, nil
}

// goCommands returns the files of the commands.
func (b *Builder) goCommands(ctx context.Context) (map[string]string, error) {
	files := make(map[string]string)
	if b.Arch == b.toolchain.Host {
		whole := true
		for _, command := range goCommands {
			file := filepath.Join(b.toolchain.Root, command.dir, command.name)
			if command.dir == "pkg/tool" {
				file = filepath.Join(b.toolchain.Root, command.dir, "linux_"+b.Arch.GOARCH, command.name)
			}
			files[command.name] = file
			_, err := describe(b.toolchain, b.Arch, file, "", "")
			whole = whole && err == nil
		}
		if whole {
			return files, nil
		}
	}
	dir := b.work("go")
	var packages []string
	for _, command := range goCommands {
		files[command.name] = filepath.Join(dir, command.name)
		packages = append(packages, "cmd/"+command.name)
	}
	in, err := b.goInputs(ctx)
	if err != nil {
		return nil, err
	}
	return files, b.step(dir, "Go "+b.Versions.Go, in, func() error {
		args := append([]string{"build", "-o", dir + "/"}, goFlags...)
		cmd := b.toolchain.command(ctx, b.Arch, append(args, packages...)...)
		cmd.Dir = dir // outside of any module
		_, err := run(cmd)
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

// goSource returns what there is in GOROOT besides commands, as far as the go
// command's own downloads of toolchains have it: the result is the same wherever
// GOROOT comes from.
func goSource(root string) ([]rootfs.File, error) {
	var files []rootfs.File
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, file)
		if err != nil || name == "." {
			return err
		}
		name = filepath.ToSlash(name)
		switch {
		case entry.IsDir() && !inDistribution(name+"/"):
			return fs.SkipDir
		case entry.IsDir() || !inDistribution(name):
			return nil
		case !entry.Type().IsRegular():
			return cli.WithHint(fmt.Errorf("%s: not a regular file", file), "it takes Go as go.dev distributes it")
		}
		files = append(files, rootfs.File{Name: name, Source: file, Mode: goMode(name)})
		return nil
	})
	return files, err
}

// inDistribution reports whether a file or directory ("src/") of GOROOT is in
// the distribution as it is, going by cmd/distpack/pack.go.
func inDistribution(name string) bool {
	first, rest, nested := strings.Cut(name, "/")
	switch first {
	case "api", "bin", "doc", "misc", "test", "VERSION.cache", ".git", ".github", ".gitattributes", ".gitignore":
		return false
	case "pkg":
		return nested && (rest == "" || strings.HasPrefix(rest, "include/"))
	}
	return name != "src/cmd/dist/dist"
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
