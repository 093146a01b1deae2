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
		f.arch("tag, latest, core", elfmagic.Lookup)
		f.fromVersions()
		return func(ctx context.Context, c *call) error {
			if len(c.args) != 1 {
				return wrong(fmt.Errorf("one name is required, not %d", len(c.args)))
			}
			v := c.versions
			tags := map[string]func(*elfmagic.Arch) string{"tag": v.Tag, "latest": versions.Latest, "core": versions.Core}
			if tag := tags[c.args[0]]; tag != nil {
				return c.each(func(arch *elfmagic.Arch) ([]string, error) {
					_, err := versions.Architecture(arch.Name)
					return []string{tag(arch)}, wrong(err)
				})
			}
			switch c.args[0] {
			case "manifest":
				fmt.Fprintln(c.stdout, v)
			case "branch-name":
				fmt.Fprintln(c.stdout, v.Branch())
			case "architectures":
				for _, arch := range versions.Architectures() {
					fmt.Fprintln(c.stdout, arch.GOARCH)
				}
			default:
				version, err := v.Get(c.args[0])
				if err != nil {
					return wrong(err)
				}
				fmt.Fprintln(c.stdout, version)
			}
			return nil
		}
	},
}
