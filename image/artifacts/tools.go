package artifacts

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/image/program"
	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/internal/cli"
)

func (b *Builder) toolInputs(t versions.Tool) (inputs, error) {
	in := b.inputs(fmt.Sprintf("%s %s@%s linked %s", t.Name, t.Package, t.Version, toolchain.Linked))
	for _, module := range t.With {
		in.add("with %s", module)
	}
	if t.Patch == "" {
		return in, nil
	}
	return in, in.addFile("stamp "+t.Stamp+" patch", b.patch(t))
}

// patch returns the file that a tool is patched with: it is beside the versions file.
func (b *Builder) patch(t versions.Tool) string { return filepath.Join(filepath.Dir(b.File), t.Patch) }

// tools builds the tools, each from its own module, with the versions of
// others that this asks for.
func (b *Builder) tools(ctx context.Context) (c contents, err error) {
	for i, t := range b.Versions.Tools {
		in, err := b.toolInputs(t)
		if err != nil {
			return c, err
		}
		file := b.work("tools", t.Name, t.Name)
		install := func() error { return b.install(ctx, t, file) }
		if len(t.With) > 0 || t.Patch != "" {
			install = func() error { return b.buildIn(ctx, b.work("module"), t, file) }
		}
		err = b.step(ctx, filepath.Dir(file), fmt.Sprintf("tool %d of %d, %s %s", i+1, len(b.Versions.Tools), t.Name, t.Version), in, install)
		if err == nil {
			err = c.built(b, programDir+t.Name, file, t.Version)
		}
		if err != nil {
			return c, err
		}
		for _, name := range t.Also {
			c.files = append(c.files, rootfs.File{Name: programDir + name, Target: t.Name})
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

// buildIn builds a tool in a module made for it in a directory, which says what the
// tool's own does not: versions of other modules, and that its source is a patched copy.
func (b *Builder) buildIn(ctx context.Context, dir string, t versions.Tool, file string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	run := func(args ...string) (string, error) { return b.toolchain.Run(ctx, b.Arch, dir, args...) }
	if _, err := run("mod", "init", project+"/image/tools/"+t.Name); err != nil {
		return err
	}
	if _, err := run(append([]string{"get", t.Package + "@" + t.Version}, t.With...)...); err != nil {
		return err
	}
	linked := toolchain.Linked
	if t.Patch != "" {
		linked += " -X " + t.Stamp + "=" + t.Version
		if err := b.replace(ctx, dir, t); err != nil {
			return err
		}
	}
	_, err := run("build", "-mod=mod", "-ldflags="+linked, "-o", file, t.Package)
	return err
}

// replace has the module in a directory use a patched copy of a tool's.
func (b *Builder) replace(ctx context.Context, dir string, t versions.Tool) error {
	out, err := b.toolchain.Run(ctx, b.Arch, dir, "list", "-f", "{{.Module.Path}} {{.Module.Dir}}", t.Package)
	if err != nil {
		return err
	}
	path, source, _ := strings.Cut(strings.TrimSpace(out), " ")
	const copied = "patched" // in a module's cache nobody may write
	if err := os.CopyFS(filepath.Join(dir, copied), os.DirFS(source)); err != nil {
		return err
	}
	file, err := filepath.Abs(b.patch(t))
	if err != nil {
		return err
	}
	cmd := program.Command(ctx, "patch", "--strip=1", "--fuzz=0", "--forward", "--batch", "--input="+file)
	cmd.Dir = filepath.Join(dir, copied)
	if _, err := program.Output(cmd); err != nil {
		return cli.WithHint(fmt.Errorf("%s does not fit %s@%s: %w", t.Patch, path, t.Version, err), "correct the patch, or pin the version that it was made for")
	}
	_, err = b.toolchain.Run(ctx, b.Arch, dir, "mod", "edit", "-replace="+path+"=./"+copied)
	return err
}
