// Package versions knows what the go-build image is made of: versions.yaml, and
// the names that are made from it.
package versions

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
)

// File is the versions file's path in the repository.
const File = "image/versions.yaml"

// Versions is what the versions file says.
type Versions struct {
	From       string // the versions file that it differs from, beside it: for another branch of Calico's
	Calico     string // the branch of Calico's that it is for: master
	Go         string // 1.26.8
	LLVM       string `yaml:"llvm"` // 22.1.8
	Kubernetes string // 1.37.2, 1.38.0-beta.0
	Rebuild    count  // of images of the same versions, of which something else differs: 1 is the second
	Base       string // debian:trixie-slim@sha256:…
	Tools      []Tool
	// Differs has, by its name, what is not as the branch pins it, and why, or what of it.
	Differs map[string]string
}

// A Tool is a command that is built from a Go module.
type Tool struct {
	Name    string   // of the command
	Also    []string // its other names
	Package string   // import path
	Version string   // of the package's module: v2.34.0

	// With are the versions of other modules, as golang.org/x/tools@v0.52.0, where the
	// tool's own has no go.mod that says them.
	With []string
	// Patch is a file beside the versions file, for patch -p1 in the module's root.
	// What is changed, the commands' own version does not say by itself: Stamp is
	// the variable that holds it, for the linker.
	Patch, Stamp string
}

// A count is a whole number: of another the decoder would leave out the fraction.
type count int

func (c *count) UnmarshalYAML(node *yaml.Node) error {
	n, err := strconv.Atoi(node.Value)
	if err != nil {
		return fmt.Errorf("line %d: %q is not a whole number", node.Line, node.Value)
	}
	*c = count(n)
	return nil
}

// LLVMMajor is LLVM's version in the names of Debian's packages: clang-22.
func (v *Versions) LLVMMajor() string {
	major, _, _ := strings.Cut(v.LLVM, ".")
	return major
}

// Load reads a versions file.
func Load(file string) (*Versions, error) {
	v, err := read(file)
	if err != nil {
		return nil, err
	}
	if v.From != "" {
		if filepath.Base(v.From) != v.From {
			return nil, fmt.Errorf("%s: from: %q is not the name of a file beside it", file, v.From)
		}
		beside := filepath.Join(filepath.Dir(file), v.From)
		base, err := read(beside)
		if err != nil {
			return nil, err
		}
		if err := v.over(base); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if err := base.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", beside, err)
		}
	}
	if err := v.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return v, nil
}

// read reads what a versions file itself says.
func read(file string) (*Versions, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		hint := "run this in the root of the repository, or name the file"
		if others, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "versions*.yaml")); len(others) > 0 {
			hint = "there are " + strings.Join(others, ", ")
		}
		return nil, cli.WithHint(err, "%s", hint)
	}
	v, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return v, nil
}

// Parse reads the content of a versions file that differs from no other. What it does
// not know, what is missing, and a version that is not exact are errors.
func Parse(data []byte) (*Versions, error) {
	v, err := decode(data)
	if err != nil {
		return nil, err
	}
	return v, v.check()
}

func decode(data []byte) (*Versions, error) {
	v := new(Versions)
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(v); err != nil && err != io.EOF {
		return nil, err
	}
	if err := decoder.Decode(new(Versions)); err != io.EOF {
		return nil, errors.New("more than one document")
	}
	return v, nil
}

// over takes what it does not say from the file that it differs from. That is for the
// newest branch, and so is what our own commands and Kubernetes are built with.
func (v *Versions) over(base *Versions) error {
	switch {
	case base.From != "":
		return fmt.Errorf("from: %s differs from %s itself", v.From, base.From)
	case v.Go != "" || v.Kubernetes != "":
		return fmt.Errorf("go, kubernetes: those of %s are taken", v.From)
	case v.Calico == base.Calico:
		return fmt.Errorf("calico: %s is for %s, too", v.From, v.Calico)
	}
	v.Go, v.Kubernetes = base.Go, base.Kubernetes
	v.LLVM, v.Base, v.Rebuild = cmp.Or(v.LLVM, base.LLVM), cmp.Or(v.Base, base.Base), cmp.Or(v.Rebuild, base.Rebuild)
	same := slices.DeleteFunc(slices.Clone(base.Tools), func(of Tool) bool {
		return slices.ContainsFunc(v.Tools, func(t Tool) bool { return t.Name == of.Name })
	})
	v.Tools = append(same, v.Tools...)
	return nil
}

var (
	release  = regexp.MustCompile(`^[1-9][0-9]*\.[0-9]+\.[0-9]+$`)
	early    = regexp.MustCompile(`^[1-9][0-9]*\.[0-9]+\.[0-9]+(-(alpha|beta|rc)\.[0-9]+)?$`)
	branch   = regexp.MustCompile(`^(master|release-v[0-9]+\.[0-9]+)$`)
	pinned   = regexp.MustCompile(`^[a-z0-9][^@\s]*:[^@/\s]+@sha256:[0-9a-f]{64}$`)
	tagged   = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+incompatible)?$`)
	required = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+(/[A-Za-z0-9._~-]+)*@v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+incompatible)?$`)
	patch    = regexp.MustCompile(`^[a-z][a-z0-9-]*(/[a-z][a-z0-9-]*)*\.patch$`)
	variable = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+(/[A-Za-z0-9._~-]+)+\.[A-Za-z_][A-Za-z0-9_]*$`)
	command  = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	imported = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+(/[A-Za-z0-9._~-]+)+$`)
)

func (v *Versions) check() error {
	var errs []error
	check := func(what, value string, want *regexp.Regexp, example string) {
		if !want.MatchString(value) {
			errs = append(errs, cli.WithHint(fmt.Errorf("%s: %q is not valid", what, value), "%s is one", example))
		}
	}
	check("go", v.Go, release, "1.26.8")
	check("llvm", v.LLVM, release, "22.1.8")
	check("kubernetes", v.Kubernetes, early, "1.37.2, or 1.38.0-beta.0,")
	if v.Rebuild < 0 {
		errs = append(errs, fmt.Errorf("rebuild: %d is not valid", v.Rebuild))
	}
	check("base", v.Base, pinned, "debian:trixie-slim@sha256:…, with the digest that go run ./image pin --base writes,")
	check("calico", v.Calico, branch, "master, or release-v3.32,")
	if len(v.Tools) == 0 {
		errs = append(errs, errors.New("tools: the list is empty"))
	}
	seen := make(map[string]bool)
	for _, t := range v.Tools {
		for _, name := range append([]string{t.Name}, t.Also...) {
			check("tools: name", name, command, "goimports")
			if seen[name] {
				errs = append(errs, fmt.Errorf("tools: %s is there twice", name))
			}
			seen[name] = true
		}
		check("tools: "+t.Name+": package", t.Package, imported, "golang.org/x/tools/cmd/goimports")
		check("tools: "+t.Name+": version", t.Version, tagged, "v1.2.3")
		for _, module := range t.With {
			check("tools: "+t.Name+": with", module, required, "golang.org/x/tools@v0.52.0")
		}
		if t.Patch != "" || t.Stamp != "" {
			check("tools: "+t.Name+": patch", t.Patch, patch, "patches/"+t.Name+".patch, beside this file,")
			check("tools: "+t.Name+": stamp", t.Stamp, variable, "sigs.k8s.io/controller-tools/pkg/version.version")
		}
	}
	return errors.Join(errs...)
}

// String returns the versions as the image's tag has them, without an
// architecture: the tag of the image for all of them.
func (v *Versions) String() string {
	text := fmt.Sprintf("%s-llvm%s-k8s%s", v.Go, v.LLVM, v.Kubernetes)
	if v.From != "" {
		text += "-" + v.Calico
	}
	if v.Rebuild > 0 {
		text += fmt.Sprintf("-%d", v.Rebuild)
	}
	return text
}

// Tag returns the tag of an architecture's image.
func (v *Versions) Tag(arch *elfmagic.Arch) string { return v.String() + "-" + arch.GOARCH }

// Newest is the tag of the newest image for all architectures: latest, or another
// branch of Calico's.
func (v *Versions) Newest() string {
	if v.From != "" {
		return v.Calico
	}
	return "latest"
}

// NewestFor returns the tag of an architecture's newest image.
func (v *Versions) NewestFor(arch *elfmagic.Arch) string { return v.Newest() + "-" + arch.GOARCH }

// Latest returns the tag of an architecture's newest base image.
func Latest(arch *elfmagic.Arch) string { return "latest-" + arch.GOARCH }

// Core returns the tag of the core of an architecture's image, which is for tests.
func Core(arch *elfmagic.Arch) string { return "core-" + arch.GOARCH }

// Branch returns the name of the branch on which images of these versions are
// built. No tag of git's has that name.
func (v *Versions) Branch() string { return "image-" + v.String() }

// Get returns a version by its name: go, llvm, kubernetes, or that of a tool.
func (v *Versions) Get(name string) (string, error) {
	all := map[string]string{"calico": v.Calico, "go": v.Go, "llvm": v.LLVM, "kubernetes": v.Kubernetes}
	for _, t := range v.Tools {
		for _, name := range append([]string{t.Name}, t.Also...) {
			all[name] = t.Version
		}
	}
	if version, ok := all[name]; ok {
		return version, nil
	}
	return "", cli.WithHint(fmt.Errorf("no version of %q", name), "there are %s", strings.Join(slices.Sorted(maps.Keys(all)), ", "))
}

// GOARCHs are the architectures that there are images for, by Go's names.
var GOARCHs = []string{"amd64", "arm64", "ppc64le", "s390x"}

// Architectures returns the architectures that there are images for.
func Architectures() []*elfmagic.Arch {
	var archs []*elfmagic.Arch
	for _, name := range GOARCHs {
		arch, _ := elfmagic.Lookup(name) // knows them all
		archs = append(archs, arch)
	}
	return archs
}

// Architecture returns the architecture of a name, if there is an image for it.
func Architecture(name string) (*elfmagic.Arch, error) {
	arch, err := elfmagic.Lookup(name)
	if err == nil && !slices.Contains(GOARCHs, arch.GOARCH) {
		err = fmt.Errorf("there is no image for %s", arch)
	}
	if err != nil {
		return nil, cli.WithHint(err, "there are images for %s", strings.Join(GOARCHs, ", "))
	}
	return arch, nil
}
