package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/internal/cli"
)

const (
	// oldestSource is the oldest version of Debian's that is used: the recipe
	// and the patches are for it and newer ones.
	oldestSource = "1:10.2"

	// sourcePackage is its name.
	sourcePackage = "qemu"
)

// sourceSuites are where it is looked for. The newest that is available is in
// any of them, as mirrors and archives go.
var sourceSuites = []string{"sid", "testing", "trixie-backports"}

// A Source is a version of Debian's QEMU.
type Source struct {
	Version string // Debian's: 1:10.2.2+ds-1
	Files   []debian.File
	Fixes   []Source // the two between which there are fixes that it lacks, or none; nil: nobody has looked
}

// Orig returns the archive of QEMU itself, and Debian the one of its patches.
func (s Source) Orig() debian.File   { return s.file(".orig.tar.") }
func (s Source) Debian() debian.File { return s.file(".debian.tar.") }

func (s Source) file(part string) debian.File {
	i := slices.IndexFunc(s.Files, func(f debian.File) bool { return strings.Contains(f.Name, part) && !strings.HasSuffix(f.Name, ".asc") })
	if i < 0 {
		return debian.File{}
	}
	return s.Files[i]
}

func (s Source) check() error {
	if s.Orig().SHA256 == "" || s.Debian().SHA256 == "" {
		return fmt.Errorf("%s is not made of an archive and Debian's patches", s.Version)
	}
	return nil
}

// Upstream returns QEMU's own version: 10.2.2.
func (s Source) Upstream() string {
	v := s.Version[strings.Index(s.Version, ":")+1:]
	return v[:strings.IndexAny(v+"-", "+-~")]
}

// choose has try take the newest of the versions, which are sorted so, that it can, and
// says which, and why it did not take those before.
func choose(versions []string, say func(format string, args ...any), try func(version string) error) (err error) {
	for i, v := range versions {
		err = try(v)
		switch {
		case err == nil && i > 0:
			say("chosen: QEMU %s, the newest of Debian's whose source is whole and takes our patches", v)
		case err == nil:
			say("chosen: QEMU %s, the newest of Debian's", v)
		}
		if err == nil || errors.Is(err, context.Canceled) {
			return err
		}
		say("passed over QEMU %s: %s", v, debian.Reason(err))
	}
	if err == nil {
		return cli.WithHint(fmt.Errorf("apt knows no source %s of version %s or newer", sourcePackage, oldestSource),
			"the mirror may not have the sources of %s", strings.Join(sourceSuites, ", "))
	}
	return fmt.Errorf("no version of Debian's %s is usable, the last is %s: %w", sourcePackage, versions[len(versions)-1], err)
}

// A Patch is one of ours.
type Patch struct {
	Name    string `json:"name"` // of its file
	Subject string `json:"subject"`
	SHA256  string `json:"sha256"`
}

// patchesDir is where they are in the repository, and fixesDir where those are that are
// applied after the fixes of another series were merged.
const (
	patchesDir = "image/qemu/patches"
	fixesDir   = "image/qemu/fixes"
)

// readPatches reads the patches in a directory, in the order in which they are
// applied: that of their names.
func readPatches(dir string) ([]Patch, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.patch"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, cli.WithHint(fmt.Errorf("no patches in %s", dir), "run this in the root of the repository")
	}
	var patches []Patch
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		_, subject, _ := strings.Cut("\n"+string(content), "\nSubject: ")
		subject, _, _ = strings.Cut(subject, "\n")
		patches = append(patches, Patch{filepath.Base(name), subject, digest(content)})
	}
	return patches, nil
}

// pkgVersion returns what --version prints in brackets: of what, and of which
// patches of ours, in their order, the emulator was made.
func pkgVersion(source Source, patches []Patch) string {
	var list []byte
	for _, p := range patches {
		list = fmt.Appendln(list, p.Name, p.SHA256)
	}
	var fixes string
	if len(source.Fixes) > 0 {
		fixes = " with fixes of " + source.Fixes[1].Upstream()
	}
	return fmt.Sprintf("Debian %s%s, go-build %s %s", source.Version, fixes, count(len(patches), "patch", "patches"), digest(list)[:10])
}
