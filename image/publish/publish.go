// Package publish pushes the go-build images of architectures to a registry, and
// joins there what was pushed into one image for all of them.
package publish

import (
	"context"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/internal/cli"
)

// A Publisher knows the images' names.
type Publisher struct {
	versions *versions.Versions
	local    string          // calico: what Docker's names begin with
	remote   name.Repository // docker.io/calico/go-build

	Say    func(format string, args ...any)
	Stdout io.Writer
}

// New returns a publisher for the images that begin with local, to a registry
// that has a port if it is not the usual one. An insecure one may speak plain HTTP;
// one on localhost always may.
func New(v *versions.Versions, registry, local string, insecure bool) (*Publisher, error) {
	if registry == "" {
		return nil, cli.WithHint(fmt.Errorf("no registry is named"), "make push REGISTRY=docker.io, or --registry localhost:5000")
	}
	var options []name.Option
	if insecure {
		options = append(options, name.Insecure)
	}
	repository, err := name.NewRepository(path.Join(registry, local, "go-build"), options...)
	host, _, _ := strings.Cut(registry, "/")
	if err == nil && host != repository.RegistryStr() && host != "docker.io" {
		err = fmt.Errorf("%q is taken for an organization of %s", registry, repository.RegistryStr())
	}
	if err != nil {
		return nil, cli.WithHint(err, "a registry's name has a dot or a port in it: quay.io, localhost:5000")
	}
	return &Publisher{versions: v, local: local, remote: repository}, nil
}

// options are those of each request to the registry.
func options(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
}

// isFor returns an error unless an image's configuration says that it is for
// the architecture.
func isFor(img v1.Image, arch *elfmagic.Arch) error {
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	if platform := config.OS + "/" + config.Architecture; platform != "linux/"+arch.GOARCH {
		return fmt.Errorf("it is for %s, not linux/%s", platform, arch.GOARCH)
	}
	return nil
}
