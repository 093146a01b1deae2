package debian

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/image/workdir"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
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

// Emulators downloads the newest package that has static emulators for a port of
// Debian's as the host, and returns its file: from the suites that the machine's apt
// has sources of, or from the backports of Debian's releases among them, which are
// years newer in an old one; or from a suite that is named. Nothing is installed.
func Emulators(ctx context.Context, port, suite string, say func(format string, args ...any)) (deb string, newest Package, err error) {
	dir, err := workdir.Cache("apt")
	if err != nil {
		return "", newest, err
	}
	// Apt does not wait for another.
	unlock, err := file.Lock(ctx, filepath.Join(dir, "lock"), func() { say("waiting for another run in %s …", dir) })
	if err != nil {
		return "", newest, err
	}
	defer unlock()
	var suites []string
	if suite != "" {
		suites = []string{suite}
	}
	apt, err := Open(dir, port, suites...)
	if err != nil {
		return "", newest, err
	}
	say("looking for Debian's emulators for %s …", port)
	const again = "run this again when the mirror is whole and reachable, or name a suite that has them, or a directory: --emulators debian:trixie"
	// One list of several may be out of step on a mirror: apt keeps the others.
	updateErr := apt.Update(ctx)
	newest, err = apt.StaticEmulators(ctx)
	var releases []archive
	if suite == "" {
		releases = apt.withoutBackports(ctx)
	}
	for _, a := range releases {
		backports, openErr := open(dir, port, port, "deb", a.mirror, []string{a.codename + "-backports"})
		if openErr != nil {
			return "", newest, openErr
		}
		if lists := backports.Update(ctx); lists != nil {
			updateErr = cmp.Or(updateErr, lists)
			continue
		}
		if p, notThere := backports.StaticEmulators(ctx); notThere == nil && (err != nil || AtLeast(ctx, p.Version, newest.Version)) {
			apt, newest, err = backports, p, nil
		}
	}
	if err != nil {
		return "", newest, cli.WithHint(cmp.Or(updateErr, err), again)
	}
	if updateErr != nil {
		say("warning: not all of Debian's lists could be read; there may be newer emulators than %s: %v", newest.Version, updateErr)
	}
	say("fetching %s %s …", newest.Name, newest.Version)
	if deb, err = apt.Download(ctx, newest.Name, newest.Version); err != nil {
		err = cli.WithHint(err, again)
	}
	return deb, newest, err
}

// withoutBackports returns the releases of Debian's that apt has lists of, but none of
// their backports. Those that are no releases yet have none.
func (a *Apt) withoutBackports(ctx context.Context) []archive {
	archives, _ := a.archives(ctx)      // there may be emulators all the same
	archives = slices.Compact(archives) // a line for each of main, contrib, …
	return slices.DeleteFunc(slices.Clone(archives), func(release archive) bool {
		return release.label != "Debian" || strings.Contains(release.codename, "-") ||
			release.suite == "testing" || release.suite == "unstable" ||
			slices.ContainsFunc(archives, func(b archive) bool { return b.codename == release.codename+"-backports" })
	})
}
