package main

import (
	"context"

	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/debian"
)

var debianEmulators = command{
	name:  "debian-emulators",
	brief: "install Debian's emulators, if there are none (root)",
	define: func(f *flags) action {
		return func(ctx context.Context, c *call) error {
			return debian.InstallEmulators(ctx, artifacts.Installed, c.say)
		}
	},
}
