package qemu

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/licenses"
	"github.com/projectcalico/go-build/internal/file"
)

// readSources returns Debian's sources of the libraries that are linked.
func (b *Builder) readSources(ctx context.Context) (sources []debian.Package, err error) {
	spec := sysrootSpec(b.Host)
	apt, err := debian.Open(b.aptDir(), spec.port, spec.suites...)
	if err != nil {
		return nil, err
	}
	debs, err := apt.Get(ctx, b.libs.Files)
	for _, deb := range debs {
		s, err := debian.SourcesOf(ctx, deb)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(sources, s.Source) {
			sources = append(sources, s.Source)
		}
	}
	return sources, err
}

// installLicenses puts beside the emulators what is to be distributed with them:
// licences and our patches, by the names that they have there.
func (b *Builder) installLicenses() error {
	from := make(map[string]string)
	for _, name := range []string{"COPYING", "COPYING.LIB", "LICENSE", "debian/copyright"} {
		from[filepath.Base(name)] = filepath.Join(b.sourceDir(), name)
	}
	for _, p := range b.patches {
		from[p.Name] = filepath.Join(b.Root, patchesDir, p.Name)
	}
	for _, p := range b.restOfFixes() {
		from[p.Name] = filepath.Join(b.Root, fixesDir, p.Name)
	}
	copyrights := []string{from["copyright"]}
	for _, f := range b.libs.Files {
		name := f.Package().Name
		path := filepath.Join(b.libs.dir, "usr/share/doc", name, "copyright")
		// GCC's is in a package of its own. Its exception asks for nothing.
		if _, err := os.Stat(path); err == nil || !strings.HasPrefix(name, "libgcc-") {
			from[name+".copyright"] = path
			copyrights = append(copyrights, path)
		}
	}
	common, err := licenses.Common(copyrights...)
	if err != nil {
		return err
	}
	for _, path := range common {
		from[filepath.Base(path)] = path
	}
	dir := filepath.Join(b.Out, LicenseDir)
	err = errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755))
	for name, path := range from {
		content, readErr := os.ReadFile(path)
		err = errors.Join(err, readErr, file.ReplaceWith(filepath.Join(dir, name), 0o644, content))
	}
	return err
}
