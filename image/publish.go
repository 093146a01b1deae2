package main

import (
	"context"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/publish"
	"github.com/projectcalico/go-build/image/versions"
)

var push = command{
	name:  "push",
	brief: "push go-build images to a registry (Docker)",
	more: `Docker has the images. They get their versions' tags and latest-ARCH, and are read
back. Credentials are those of docker login.`,
	define: func(f *flags) action {
		f.arch("the images", versions.Architecture)
		return publishing(f, (*publish.Publisher).Push)
	},
}

var manifest = command{
	name:  "manifest",
	brief: "join the images that a registry has into one",
	more:  "Docker is not required. Credentials are those of docker login.",
	define: func(f *flags) action {
		f.call.archs = versions.Architectures()
		f.Var(archList{&f.call.archs, versions.Architecture}, "arch", "`architectures` of the images, by any of their names (default: all)")
		return publishing(f, (*publish.Publisher).Manifest)
	},
}

// publishing is what both have in common.
func publishing(f *flags, do func(*publish.Publisher, context.Context, []*elfmagic.Arch) error) action {
	registry := f.String("registry", "", "`host` of the registry, with a port if it has one: docker.io, localhost:5000")
	insecure := f.Bool("insecure", false, "the registry may speak plain HTTP (one on localhost always may)")
	f.fromVersions()
	f.forRepository()
	return func(ctx context.Context, c *call) error {
		p, err := publish.New(c.versions, *registry, c.repository, *insecure)
		if err != nil {
			return wrong(err)
		}
		p.Say, p.Stdout = c.say, c.stdout
		return do(p, ctx, c.archs)
	}
}
