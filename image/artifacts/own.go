package artifacts

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/rootfs"
)

// A Revision is the state of the repository that an image is built from.
type Revision struct {
	Version string // git describe
	Commit  string
	Time    time.Time // of the commit, or what SOURCE_DATE_EPOCH says
}

// ReadRevision asks git. What it does not know is "unknown".
func ReadRevision(ctx context.Context, root string) Revision {
	git := func(args ...string) string {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir = root
		out, _ := cmd.Output()
		return strings.TrimSpace(string(out))
	}
	r := Revision{
		Version: cmp.Or(git("describe", "--tags", "--always", "--dirty"), "unknown"),
		Commit:  cmp.Or(git("rev-parse", "HEAD"), "unknown"),
	}
	var seconds int64
	if _, err := fmt.Sscan(cmp.Or(os.Getenv("SOURCE_DATE_EPOCH"), git("log", "-1", "--format=%ct")), &seconds); err != nil {
		seconds = 0
	}
	r.Time = time.Unix(seconds, 0).UTC()
	return r
}

// CommandFlags are the flags of go build for this repository's commands, of a
// version.
func CommandFlags(version string) []string {
	return []string{"-trimpath", "-buildvcs=false", "-ldflags=" + linked + " -X github.com/projectcalico/go-build/internal/cli.linked=" + version}
}

var ownCommands = []string{"register", "crossrun"}

// ownInputs are the sources of our commands, and the version that they say.
func (b *Builder) ownInputs(ctx context.Context) (inputs, error) {
	in := inputs{"recipe 1"}
	in.add("go %s for %s", b.Versions.Go, b.Arch.Platform())
	in.add("flags %s", strings.Join(CommandFlags(ReadRevision(ctx, b.Root).Version), " "))
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
	cmd := b.toolchain.command(ctx, b.Arch, "list", "-deps", "-f", sources, "./cmd/register", "./cmd/crossrun")
	cmd.Dir = b.Root
	out, err := run(cmd)
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
	version := ReadRevision(ctx, b.Root).Version
	dir := b.work("own")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return c, err
	}
	for _, name := range ownCommands {
		b.Say("building %s for %s …", name, b.Arch.Platform())
		file := filepath.Join(dir, name)
		args := append([]string{"build", "-o", file}, CommandFlags(version)...)
		cmd := b.toolchain.command(ctx, b.Arch, append(args, "./cmd/"+name)...)
		cmd.Dir = b.Root
		if _, err := run(cmd); err != nil {
			return c, err
		}
		p, err := describe(b.toolchain, b.Arch, file, "usr/bin/"+name, version)
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
