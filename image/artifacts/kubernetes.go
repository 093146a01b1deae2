package artifacts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

// kubernetesModule is the directory of the module that Kubernetes is built in:
// its go.mod requires it, and puts the released modules in the place of those
// that Kubernetes' own go.mod takes from its repository.
const kubernetesModule = "image/kubernetes"

// pinCommand writes its go.mod.
const pinCommand = "go run ./image pin"

// kubernetesCommands is where Kubernetes has its commands.
const kubernetesCommands = "k8s.io/kubernetes/cmd/"

var kubernetesPrograms = []string{"kube-apiserver", "kube-controller-manager", "kubectl"}

func (b *Builder) kubernetesDir() string { return filepath.Join(b.Root, kubernetesModule) }

// kubernetesLinked returns the linker's flags. The programs say that they have
// the version, and nothing of a commit and a date that nobody has seen.
func kubernetesLinked(version string) string {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	flags := toolchain.Linked
	for _, path := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, variable := range []string{"gitVersion=v" + version, "gitMajor=" + major, "gitMinor=" + minor, "gitCommit=", "gitTreeState=archive"} {
			flags += " -X " + path + "." + variable
		}
	}
	return flags
}

func (b *Builder) kubernetes(ctx context.Context) (c contents, err error) {
	args := []string{"-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags=" + kubernetesLinked(b.Versions.Kubernetes)}
	for _, name := range kubernetesPrograms {
		args = append(args, kubernetesCommands+name)
	}
	in, module := b.inputs(args...), b.kubernetesDir()
	have, err := readModule(module)
	if err == nil {
		err = errors.Join(pins(have, b.Versions.Kubernetes),
			in.addFile("go.mod", filepath.Join(module, "go.mod")), in.addFile("go.sum", filepath.Join(module, "go.sum")))
	}
	if err != nil {
		return c, err
	}
	dir := b.work("kubernetes")
	if err := b.compile(ctx, dir, "Kubernetes "+b.Versions.Kubernetes, in, module, args...); err != nil {
		return c, err
	}
	for _, name := range kubernetesPrograms {
		if err := c.built(b, programDir+name, filepath.Join(dir, name), "v"+b.Versions.Kubernetes); err != nil {
			return c, err
		}
	}
	return c, nil
}

func readModule(dir string) (*modfile.File, error) {
	path := filepath.Join(dir, "go.mod")
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return modfile.Parse(path, data, nil)
}

// pins reports whether a module, all of which Pin wrote, is that of a version.
func pins(m *modfile.File, version string) error {
	required := "nowhere"
	for _, r := range m.Require {
		if r.Mod.Path == "k8s.io/kubernetes" {
			required = r.Mod.Version
		}
	}
	if required == "v"+version {
		return nil
	}
	return cli.WithHint(fmt.Errorf("%s/go.mod: it requires Kubernetes %s, not v%s", kubernetesModule, required, version), pinCommand)
}

// Pin writes the go.mod and go.sum that the version of Kubernetes is built from,
// going by Kubernetes' own go.mod, or leaves both as they are. Nothing is built: a Go whose checksums are to be added
// yet, as after go run ./image updates --write, will do.
func (b *Builder) Pin(ctx context.Context) error {
	t, err := toolchain.Open(ctx, b.Versions.Go)
	if err != nil {
		return err
	}
	b.Say("reading what Kubernetes v%s is made of …", b.Versions.Kubernetes)
	out, err := t.Run(ctx, t.Host, os.TempDir(), "mod", "download", "-json", "k8s.io/kubernetes@v"+b.Versions.Kubernetes)
	if err != nil {
		return err
	}
	var downloaded struct{ Dir string }
	if err := json.Unmarshal([]byte(out), &downloaded); err != nil {
		return err
	}
	theirs, err := readModule(downloaded.Dir)
	if err != nil {
		return err
	}
	// Both files are replaced once all is resolved: half of it builds nothing.
	dir := b.kubernetesDir()
	fresh, err := os.MkdirTemp("", "pin-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	sums, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	err = errors.Join(os.WriteFile(filepath.Join(fresh, "go.sum"), sums, 0o644),
		os.WriteFile(filepath.Join(fresh, "go.mod"), goMod(theirs, b.Versions.Kubernetes), 0o644))
	if err != nil {
		return err
	}
	b.Say("resolving all its dependencies …")
	if _, err = t.Run(ctx, t.Host, fresh, "mod", "tidy"); err != nil {
		return err
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(fresh, name))
		if err == nil {
			err = file.ReplaceWith(filepath.Join(dir, name), 0o644, content)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// goMod returns the go.mod with which Kubernetes, whose own is theirs, is built
// without its repository.
func goMod(theirs *modfile.File, version string) []byte {
	text := fmt.Appendf(nil, `// Written by %s: Kubernetes of versions.yaml, built from
// modules alone. Its staging modules are released beside it under versions v0.
module github.com/projectcalico/go-build/%s

go %s

`, pinCommand, kubernetesModule, theirs.Go.Version)
	for _, g := range theirs.Godebug {
		text = fmt.Appendf(text, "godebug %s=%s\n", g.Key, g.Value)
	}
	text = fmt.Appendf(text, "\ntool (\n\t%s%s\n)\n\nrequire k8s.io/kubernetes v%s\n\nreplace (\n",
		kubernetesCommands, strings.Join(kubernetesPrograms, "\n\t"+kubernetesCommands), version)
	for _, r := range theirs.Replace {
		if strings.HasPrefix(r.New.Path, "./staging/") {
			text = fmt.Appendf(text, "\t%[1]s => %[1]s %[2]s\n", r.Old.Path, versions.Staging(version))
		}
	}
	return append(text, ")\n"...)
}
