package main

import (
	"context"
	"fmt"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/versions"
)

var versionNames = command{
	name:  "versions",
	args:  "NAME",
	brief: "print what the versions file says, and names made from it",
	more: `  tag             the image's tag
  latest          the tag of the newest image
  core            the tag of the image's core, which is for tests
  manifest        the tag of the image for all architectures
  branch-name     the branch on which images of these versions are built
  architectures   those that there are images for
  go, llvm, kubernetes, or the name of a tool: its version`,
	define: func(f *flags) action {
		archs := f.arch("`architectures` that the tags are for", elfmagic.Lookup)
		file := f.file()
		return func(ctx context.Context, c *call) error {
			if len(c.args) != 1 {
				return wrong(fmt.Errorf("one name is required, not %d", len(c.args)))
			}
			v, err := versions.Load(*file)
			if err != nil {
				return err
			}
			tags := func(of func(*elfmagic.Arch) string) error {
				for _, arch := range archs.archs {
					if _, err := versions.Architecture(arch.Name); err != nil {
						return wrong(err)
					}
					c.print(of(arch))
				}
				return nil
			}
			switch c.args[0] {
			case "tag":
				return tags(v.Tag)
			case "latest":
				return tags(versions.Latest)
			case "core":
				return tags(versions.Core)
			case "manifest":
				c.print(v.String())
			case "branch-name":
				c.print(v.Branch())
			case "architectures":
				for _, arch := range versions.Architectures() {
					c.print(arch.GOARCH)
				}
			default:
				version, err := v.Get(c.args[0])
				if err != nil {
					return wrong(err)
				}
				c.print(version)
			}
			return nil
		}
	},
}
