// Publish pushes the go-build images of architectures to a registry, and joins
// there what was pushed into one image for all of them.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image"
	"github.com/projectcalico/go-build/internal/cli"
)

const usage = `usage: publish [flags] push|manifest [ARCH…]

  push      push the images for the architectures (default: this machine's),
            which Docker has, under their versions' tags and as latest-ARCH
  manifest  join the images for the architectures (default: all), which the
            registry has, into one; this takes no Docker

Credentials are those of docker login. Flags:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	p := publisher{stdout: stdout, stderr: stderr}
	var registry, file string
	f := flag.NewFlagSet("publish", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprint(stderr, usage)
		f.PrintDefaults()
	}
	f.StringVar(&registry, "registry", "", "`host` of the registry, with a port if it has one: docker.io, localhost:5000")
	f.StringVar(&p.local, "repository", "calico", "`prefix` of the images' names")
	f.StringVar(&file, "file", image.File, "versions `file`")
	f.BoolVar(&p.insecure, "insecure", false, "the registry may speak plain HTTP (one on localhost always may)")
	if err := f.Parse(args); err != nil {
		return 2
	}
	command, archs, err := arguments(f.Args())
	if err == nil {
		err = p.configure(registry, file)
	}
	if err != nil {
		cli.Error(stderr, "publish", err)
		return 2
	}
	if err := command(&p, ctx, archs); err != nil {
		cli.Error(stderr, "publish", err)
		return 1
	}
	return 0
}

// arguments returns what is to be done, and for which architectures.
func arguments(args []string) (command func(*publisher, context.Context, []*elfmagic.Arch) error, archs []*elfmagic.Arch, err error) {
	what := ""
	if len(args) > 0 {
		what = args[0]
	}
	switch what {
	case "push":
		command = (*publisher).push
		if len(args) == 1 {
			args = append(args, runtime.GOARCH)
		}
	case "manifest":
		command = (*publisher).manifest
		if len(args) == 1 {
			return command, image.Architectures(), nil
		}
	default:
		return nil, nil, cli.WithHint(fmt.Errorf("%q is no command", what), "publish -help lists what there is")
	}
	for _, name := range args[1:] {
		arch, err := image.Architecture(name)
		if err != nil {
			return nil, nil, err
		}
		archs = append(archs, arch)
	}
	return command, archs, nil
}

// A publisher knows the images' names.
type publisher struct {
	versions *image.Versions
	local    string          // calico: what Docker's names begin with
	remote   name.Repository // docker.io/calico/go-build
	insecure bool

	stdout, stderr io.Writer
}

func (p *publisher) configure(registry, file string) (err error) {
	if registry == "" {
		return cli.WithHint(fmt.Errorf("no registry is named"), "make push REGISTRY=docker.io, or -registry localhost:5000")
	}
	if p.versions, err = image.Load(file); err != nil {
		return err
	}
	var options []name.Option
	if p.insecure {
		options = append(options, name.Insecure)
	}
	p.remote, err = name.NewRepository(path.Join(registry, p.local, "go-build"), options...)
	host, _, _ := strings.Cut(registry, "/")
	if err == nil && host != p.remote.RegistryStr() && host != "docker.io" {
		err = fmt.Errorf("%q is taken for an organization of %s", registry, p.remote.RegistryStr())
	}
	if err != nil {
		return cli.WithHint(err, "a registry's name has a dot or a port in it: quay.io, localhost:5000")
	}
	return nil
}

func (p *publisher) say(format string, args ...any) {
	fmt.Fprintf(p.stderr, "publish: "+format+"\n", args...)
}

// options are what each request to the registry takes.
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
