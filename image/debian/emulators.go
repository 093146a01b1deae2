package debian

import (
	"context"
	"fmt"

	"github.com/projectcalico/go-build/internal/cli"
)

// A Package is a package of a version.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// StaticEmulators returns the newest package that has QEMU's static emulators
// for the architecture as a host: qemu-user-static, and since QEMU 10
// qemu-user.
func (a *Apt) StaticEmulators(ctx context.Context) (Package, error) {
	const since = "1:10" // there qemu-user is static, and qemu-user-static empty
	var newest Package
	for _, name := range []string{"qemu-user-static", "qemu-user"} {
		versions, err := a.Versions(ctx, name)
		if err != nil {
			return newest, err
		}
		for _, v := range versions {
			if AtLeast(ctx, v, since) == (name == "qemu-user") && (newest.Name == "" || !AtLeast(ctx, newest.Version, v)) {
				newest = Package{name, v}
			}
		}
	}
	if newest.Name == "" {
		return newest, cli.WithHint(fmt.Errorf("apt knows no static emulators for %s", a.arch),
			"it may have no lists for %s: see that /etc/apt/sources.list.d has a source with all architectures (Ubuntu: ports, universe)", a.arch)
	}
	return newest, nil
}
