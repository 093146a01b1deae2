// Package archutil says which platforms' programs run here, as BuildKit asks its workers:
// an example of github.com/projectcalico/go-build/binfmt/supported.
package archutil

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/containerd/platforms"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/binfmt/supported"
	"github.com/projectcalico/go-build/elfmagic"
)

// CacheMaxAge is how long an answer is good for who wants a new one.
var CacheMaxAge = 20 * time.Second

var cached struct {
	sync.Mutex
	platforms []platforms.Platform
	when      time.Time
}

// SupportedPlatforms returns the platforms of which a program ran, this one's own first.
func SupportedPlatforms(noCache bool) []platforms.Platform {
	cached.Lock()
	defer cached.Unlock()
	if cached.platforms != nil && (!noCache || time.Since(cached.when) < CacheMaxAge) {
		return cached.platforms
	}
	list, err := supported.Platforms(context.Background())
	if err != nil {
		list = []platforms.Platform{platforms.DefaultSpec()}
	}
	cached.platforms, cached.when = list, time.Now()
	return list
}

// Warnings is where WarnIfUnsupported writes.
var Warnings io.Writer = os.Stderr

// WarnIfUnsupported says of each platform that does not run here why not.
func WarnIfUnsupported(list []platforms.Platform) {
	for _, p := range list {
		arch, err := elfmagic.Lookup(platforms.Format(p))
		if err == nil {
			err = host.Check(context.Background(), binfmt.New(binfmt.DefaultMount), arch)
		}
		if err != nil {
			fmt.Fprintf(Warnings, "platform %s cannot be run here: %v\n", platforms.Format(p), err)
		}
	}
}
