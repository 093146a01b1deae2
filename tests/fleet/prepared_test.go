package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/workdir"
	"github.com/projectcalico/go-build/internal/tinyelf"
	"github.com/projectcalico/go-build/tests/guests"
)

// A prepared is what was made before the cluster begins.
type prepared struct {
	Dir      string   // for all files
	Programs []string // directories of the parts
	Groups   groups
	Versions [2]string // of the emulators that the images a and b have
}

// The images have emulators for the architectures that the chart is told, and for one
// more: that is for pods with an instance of their own.
var (
	architectures = []string{"arm64", "s390x"}
	another       = "riscv64"
)

// repository is what images' names begin with: the cluster's registry.
const repository = registryAddress + "/calico"

func prepareFiles(ctx context.Context) (p prepared, err error) {
	if os.Geteuid() != 0 {
		return p, errors.New("it makes nodes: run as root")
	}
	if p.Programs, err = buildParts(ctx); err != nil {
		return p, err
	}
	if p.Dir, err = os.MkdirTemp("", "go-build-fleet-"); err != nil {
		return p, err
	}
	sets, err := emulators(ctx)
	if err != nil {
		return p, err
	}
	for i, name := range []string{"a", "b"} {
		if p.Versions[i], err = p.registerImage(ctx, name, sets[i]); err != nil {
			return p, err
		}
		if err = p.chart(ctx, name); err != nil {
			return p, err
		}
	}
	for _, goarch := range append(architectures, another, runtime.GOARCH) {
		err = errors.Join(err, goBuild(ctx, goarch, "../testdata/hello", p.path("hello-"+goarch)))
	}
	return p, errors.Join(err, p.tiny(), goBuild(ctx, runtime.GOARCH, "./pause", p.path("pause")))
}

// tiny makes the smallest program for arm64: what takes time is its start.
func (p prepared) tiny() error {
	arch, err := elfmagic.Lookup("arm64")
	if err != nil {
		return err
	}
	program, err := tinyelf.Program(arch)
	return errors.Join(err, os.WriteFile(p.path("tiny-arm64"), program, 0o755))
}

func (p prepared) path(elements ...string) string {
	return filepath.Join(append([]string{p.Dir}, elements...)...)
}

// registerImage makes the image to register from with the emulators of a set, and returns
// their version.
func (p prepared) registerImage(ctx context.Context, name string, set guests.Set) (version string, err error) {
	from := mkdir(p.path("emulators-" + name))
	for _, goarch := range append(architectures, another) {
		arch, err := elfmagic.Lookup(goarch)
		if err != nil {
			return "", err
		}
		found, err := set.Find(arch)
		if err != nil {
			return "", err
		}
		content, err := os.ReadFile(found.Path)
		if err == nil {
			err = os.WriteFile(filepath.Join(from, "qemu-"+arch.Name+"-static"), content, 0o755)
		}
		if err != nil {
			return "", err
		}
		version = found.Version
	}
	cmd := exec.CommandContext(ctx, "go", "run", "./image", "register-images", "--load=false", "--dir", p.path("register-"+name), "--repository", repository, "--emulators", from)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return version, nil
}

// emulators returns two sets of Debian's, of different versions.
func emulators(ctx context.Context) ([]guests.Set, error) {
	cache, err := workdir.Cache("stock")
	if err != nil {
		return nil, err
	}
	sets, err := guests.StockEmulators(ctx, cache)
	if err == nil && len(sets) < 2 {
		err = fmt.Errorf("an update takes emulators of two versions: there is %v", sets)
	}
	return sets[max(0, len(sets)-2):], err
}

// chart renders the chart for an image, into NAME.yaml.
func (p prepared) chart(ctx context.Context, name string) error {
	values := fmt.Sprintf("image: {repository: %s/qemu-user-static, tag: %s}\narchitectures: [%s]\nnodeFeatureDiscovery: {enabled: true}\ncheckEvery: 30s\n",
		repository, name, strings.Join(architectures, ", "))
	cmd := exec.CommandContext(ctx, "go", "run", "./template", "--name", "register")
	cmd.Dir, cmd.Stdin = "../deploy", strings.NewReader(values)
	text, err := cmd.Output()
	if exit, ok := err.(*exec.ExitError); ok {
		return fmt.Errorf("%s: %w\n%s", cmd, err, exit.Stderr)
	}
	return errors.Join(err, os.WriteFile(p.path(name+".yaml"), text, 0o644))
}

// goBuild builds a program of this module for a GOARCH.
func goBuild(ctx context.Context, goarch, name, path string) error {
	return goCommand(ctx, ".", []string{"CGO_ENABLED=0", "GOARCH=" + goarch}, "build", "-trimpath", "-buildvcs=false", "-o", path, name)
}
