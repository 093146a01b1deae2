// Package supported lists what runs here as container tools name it. It is a
// package apart so that programs which do not ask do not link OCI's types.
package supported

import (
	"context"

	"github.com/containerd/platforms"

	"github.com/projectcalico/go-build/binfmt/host"
)

// Platforms returns the platforms of which a program was run just now, natively or
// by an entry of binfmt_misc, in BuildKit's order: this program's own first, with
// levels of x86-64 (linux/amd64/v2) and variants of Arm where CPU or emulator have
// them.
func Platforms(ctx context.Context) ([]platforms.Platform, error) {
	names, err := host.Platforms(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]platforms.Platform, len(names))
	for i, name := range names {
		if list[i], err = platforms.Parse(name); err != nil {
			return nil, err
		}
	}
	return list, nil
}
