package artifacts

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/internal/cli"
)

// kubernetesModule is the directory of the module that Kubernetes is built in:
// its go.mod requires it, and puts the released modules in the place of those
// that Kubernetes' own go.mod takes from its repository.
const kubernetesModule = "image/kubernetes"

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

func (b *Builder) kubernetesInputs(ctx context.Context) (inputs, error) {
	in := inputs{"recipe 1"}
	have, err := readModule(ctx, b.kubernetesDir())
	if err != nil {
		return in, err
	}
	if err := have.pins(b.Versions.Kubernetes); err != nil {
		return in, err
	}
	in.add("go %s for %s, linked %s", b.Versions.Go, b.Arch.Platform(), kubernetesLinked(b.Versions.Kubernetes))
	in.add("programs %s", strings.Join(kubernetesPrograms, " "))
	for _, name := range []string{"go.mod", "go.sum"} {
		if err := in.addFile(name, filepath.Join(b.kubernetesDir(), name)); err != nil {
			return in, err
		}
	}
	return in, nil
}

func (b *Builder) kubernetes(ctx context.Context) (c contents, err error) {
	in, err := b.kubernetesInputs(ctx)
	if err != nil {
		return c, err
	}
	for _, name := range kubernetesPrograms {
		dir := b.work("kubernetes", name)
		file := filepath.Join(dir, name)
		err := b.step(dir, name+" "+b.Versions.Kubernetes, in, func() error {
			cmd := b.toolchain.Command(ctx, b.Arch, "build", "-trimpath", "-buildvcs=false", "-mod=readonly",
				"-ldflags="+kubernetesLinked(b.Versions.Kubernetes), "-o", file, "k8s.io/kubernetes/cmd/"+name)
			cmd.Dir = b.kubernetesDir()
			_, err := toolchain.Run(cmd)
			return err
		})
		if err != nil {
			return c, err
		}
		p, err := describe(b.toolchain, b.Arch, file, programDir+name, "v"+b.Versions.Kubernetes)
		if err != nil {
			return c, err
		}
		c.programs = append(c.programs, p)
		c.files = append(c.files, rootfs.File{Name: p.Path, Source: file, Mode: 0o755})
	}
	return c, nil
}

// A module is what go mod edit -json prints of a go.mod, as far as it is used.
type module struct {
	Go      string
	Godebug []struct{ Key, Value string }
	Require []struct {
		Path, Version string
		Indirect      bool
	}
	Replace []struct {
		Old, New struct{ Path, Version string }
	}
	Tool []struct{ Path string }
}

func readModule(ctx context.Context, dir string) (*module, error) {
	out, err := exec.CommandContext(ctx, "go", "mod", "edit", "-json", filepath.Join(dir, "go.mod")).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = errors.New(strings.TrimSpace(string(exit.Stderr)))
		}
		return nil, err
	}
	m := new(module)
	return m, json.Unmarshal(out, m)
}

// staging returns the version of the modules that Kubernetes of a version is
// released with: v0.37.2 with 1.37.2.
func staging(kubernetes string) string {
	_, rest, _ := strings.Cut(kubernetes, ".")
	return "v0." + rest
}

// pins reports in what the module differs from one that builds a version.
func (m *module) pins(version string) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	required := ""
	for _, r := range m.Require {
		if r.Path == "k8s.io/kubernetes" {
			required = r.Version
		}
	}
	if required != "v"+version {
		bad("it requires Kubernetes %s, not v%s", cmp.Or(required, "nowhere"), version)
	}
	if len(m.Replace) == 0 {
		bad("it replaces no modules")
	}
	for _, r := range m.Replace {
		if len(errs) == 0 && (r.New.Path != r.Old.Path || r.New.Version != staging(version)) { // one says it
			bad("%s is replaced by %s %s, not its own %s", r.Old.Path, r.New.Path, r.New.Version, staging(version))
		}
	}
	for _, name := range kubernetesPrograms {
		if !slices.ContainsFunc(m.Tool, func(t struct{ Path string }) bool { return t.Path == "k8s.io/kubernetes/cmd/"+name }) {
			bad("%s is not a tool of it", name)
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return cli.WithHint(fmt.Errorf("%s/go.mod: %w", kubernetesModule, errors.Join(errs...)), "go run ./image/artifacts -pin")
}

// Pin writes the go.mod and go.sum that the version of Kubernetes is built from,
// going by Kubernetes' own go.mod.
func (b *Builder) Pin(ctx context.Context) error {
	t, err := toolchain.Find(ctx, b.Versions.Go)
	if err != nil {
		return err
	}
	version := "v" + b.Versions.Kubernetes
	b.say("reading what Kubernetes %s is made of …", version)
	download := t.Command(ctx, t.Host, "mod", "download", "-json", "k8s.io/kubernetes@"+version)
	download.Dir = os.TempDir()
	out, err := toolchain.Run(download)
	if err != nil {
		return err
	}
	var downloaded struct{ Dir string }
	if err := json.Unmarshal([]byte(out), &downloaded); err != nil {
		return err
	}
	theirs, err := readModule(ctx, downloaded.Dir)
	if err != nil {
		return err
	}
	dir := b.kubernetesDir()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(theirs.ours(b.Versions.Kubernetes)), 0o644); err != nil {
		return err
	}
	b.say("resolving all its dependencies …")
	tidy := t.Command(ctx, t.Host, "mod", "tidy")
	tidy.Dir = dir
	if _, err := toolchain.Run(tidy); err != nil {
		return err
	}
	have, err := readModule(ctx, dir)
	if err != nil {
		return err
	}
	return have.pins(b.Versions.Kubernetes)
}

// ours returns the go.mod with which Kubernetes, whose own this is, is built
// without its repository.
func (m *module) ours(version string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "// Written by go run ./image/artifacts -pin: Kubernetes of versions.yaml, built from\n"+
		"// modules alone. Its staging modules are released beside it under versions v0.\n"+
		"module github.com/projectcalico/go-build/%s\n\ngo %s\n\n", kubernetesModule, m.Go)
	for _, g := range m.Godebug {
		fmt.Fprintf(&text, "godebug %s=%s\n\n", g.Key, g.Value)
	}
	text.WriteString("tool (\n")
	for _, name := range kubernetesPrograms {
		fmt.Fprintf(&text, "\tk8s.io/kubernetes/cmd/%s\n", name)
	}
	fmt.Fprintf(&text, ")\n\nrequire k8s.io/kubernetes v%s\n\nreplace (\n", version)
	for _, r := range m.Replace {
		if strings.HasPrefix(r.New.Path, "./staging/") {
			fmt.Fprintf(&text, "\t%s => %s %s\n", r.Old.Path, r.Old.Path, staging(version))
		}
	}
	text.WriteString(")\n")
	return text.String()
}
