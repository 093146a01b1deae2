package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/workdir"
)

// A part is a module whose programs the cluster is made of.
type part struct {
	module   string   // with its version
	packages []string // below the module
	flags    []string // of go build
	c        bool     // it has C in it, which uses libseccomp
}

// parts are what is built besides Kubernetes, which is that of image/kubernetes.
var parts = []part{
	{module: "go.etcd.io/etcd/server/v3@v3.6.7", packages: []string{""}},
	{module: "github.com/containernetworking/plugins@v1.9.1", packages: []string{"/plugins/main/bridge", "/plugins/main/loopback", "/plugins/ipam/host-local"}},
	{module: "github.com/containerd/containerd/v2@v2.3.7", packages: []string{"/cmd/containerd", "/cmd/containerd-shim-runc-v2"}},
	{module: "github.com/opencontainers/runc@v1.3.5", packages: []string{""}, flags: []string{"-tags=seccomp"}, c: true},
}

// kubernetes are the programs of Kubernetes'.
var kubernetes = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl"}

// buildParts builds what is not in the user's cache, and returns the directories of all
// programs.
func buildParts(ctx context.Context) (dirs []string, err error) {
	cache, err := workdir.Cache("fleet")
	if err != nil {
		return nil, err
	}
	version, err := kubernetesVersion()
	if err != nil {
		return nil, err
	}
	dir, err := once(cache, "k8s.io/kubernetes@"+version, func(dir string) error { return buildKubernetes(ctx, dir, version) })
	dirs = append(dirs, dir)
	for _, p := range parts {
		if err != nil {
			return nil, err
		}
		dir, err = once(cache, p.module, func(dir string) error { return p.build(ctx, dir) })
		dirs = append(dirs, dir)
	}
	return dirs, err
}

// once returns the directory of what is built once for a version, whole or not at all.
func once(cache, module string, build func(dir string) error) (string, error) {
	dir := filepath.Join(cache, strings.NewReplacer("/", "-", "@", "-").Replace(module))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	fmt.Println("building", module)
	partial, err := os.MkdirTemp(mkdir(cache), ".partial-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(partial)
	if err := build(partial); err != nil {
		return "", fmt.Errorf("%s: %w", module, err)
	}
	if err := os.Rename(partial, dir); err != nil && !errors.Is(err, fs.ErrExist) { // another run was before
		return "", err
	}
	return dir, nil
}

// mkdir makes a directory; what is done in it next fails if it could not.
func mkdir(dir string) string {
	_ = os.MkdirAll(dir, 0o755)
	return dir
}

// build builds the part's programs, in a module that requires nothing else: go install
// refuses modules whose go.mod has directives such as replace.
func (p part) build(ctx context.Context, into string) error {
	source, err := os.MkdirTemp("", "go-build-fleet-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(source)
	env := []string{"CGO_ENABLED=0"}
	if p.c {
		if env, err = withSeccomp(ctx, source); err != nil {
			return err
		}
	}
	name, _, _ := strings.Cut(p.module, "@")
	args := append([]string{"build", "-mod=mod", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", into + "/"}, p.flags...)
	for _, below := range p.packages {
		args = append(args, name+below)
	}
	for _, args := range [][]string{{"mod", "init", "fleet"}, {"get", p.module}, args} {
		if err := goCommand(ctx, source, env, args...); err != nil {
			return err
		}
	}
	return nil
}

// withSeccomp unpacks Debian's headers of libseccomp, and returns what has cgo find them.
func withSeccomp(ctx context.Context, dir string) ([]string, error) {
	cache, err := workdir.Cache("apt")
	if err != nil {
		return nil, err
	}
	self, err := elfmagic.Lookup(runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	apt, err := debian.Open(cache, self.Debian[0].Name, "bookworm")
	if err != nil {
		return nil, err
	}
	if err := apt.Update(ctx); err != nil {
		return nil, err
	}
	versions, err := apt.Versions(ctx, "libseccomp-dev")
	if err != nil || len(versions) == 0 {
		return nil, fmt.Errorf("libseccomp-dev: no version: %w", err)
	}
	deb, err := apt.Download(ctx, "libseccomp-dev", versions[0])
	if err != nil {
		return nil, err
	}
	if err := debian.Unpack(ctx, deb, dir); err != nil {
		return nil, err
	}
	// The package's shared library is a link to another package's: the static one remains.
	found, err := filepath.Glob(filepath.Join(dir, "usr/lib/*/pkgconfig"))
	if err != nil || len(found) != 1 {
		return nil, fmt.Errorf("libseccomp-dev has no file for pkg-config: %w", err)
	}
	if err := os.RemoveAll(filepath.Join(filepath.Dir(found[0]), "libseccomp.so")); err != nil {
		return nil, err
	}
	return []string{"CGO_ENABLED=1", "PKG_CONFIG_PATH=" + found[0], "PKG_CONFIG_SYSROOT_DIR=" + dir}, nil
}

const kubernetesModule = "../../image/kubernetes"

// kubernetesVersion reads which Kubernetes image/kubernetes requires.
func kubernetesVersion() (string, error) {
	text, err := os.ReadFile(filepath.Join(kubernetesModule, "go.mod"))
	if err != nil {
		return "", err
	}
	_, rest, found := strings.Cut(string(text), "\tk8s.io/kubernetes ")
	if !found {
		return "", fmt.Errorf("%s/go.mod does not require Kubernetes", kubernetesModule)
	}
	return strings.Fields(rest)[0], nil
}

// buildKubernetes builds Kubernetes in a copy of its module, to which the go command adds
// what kubelet needs besides.
func buildKubernetes(ctx context.Context, into, version string) error {
	source, err := os.MkdirTemp("", "go-build-fleet-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(source)
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(kubernetesModule, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(source, name), text, 0o644); err != nil {
			return err
		}
	}
	major, rest, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	linked := "-s -w"
	for _, variable := range []string{"gitVersion=" + version, "gitMajor=" + major, "gitMinor=" + minor} {
		linked += " -X k8s.io/component-base/version." + variable
	}
	args := []string{"build", "-mod=mod", "-trimpath", "-buildvcs=false", "-ldflags=" + linked, "-o", into + "/"}
	for _, name := range kubernetes {
		args = append(args, "k8s.io/kubernetes/cmd/"+name)
	}
	return goCommand(ctx, source, []string{"CGO_ENABLED=0"}, args...)
}

func goCommand(ctx context.Context, dir string, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}
