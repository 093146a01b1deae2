// Package release makes what goes along with the files of a release: the source of
// the emulators that are in them, and what all was made from.
package release

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/program"
	"github.com/projectcalico/go-build/image/progress"
	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

// SourcesFile is the archive of all sources.
const SourcesFile = "sources.tar"

// InstallerFile is ci/install.sh, as it is in a release.
const InstallerFile = "install.sh"

// suites are where sources are looked for on the machine's mirror. Those that it
// does not have are passed over.
var suites = []string{"sid", "trixie-backports", "trixie", "bookworm-backports", "bookworm"}

// Sources collects the source of emulators into an archive: Debian's source packages,
// and this repository, which has the patches and the recipe.
type Sources struct {
	Root    string // the repository
	Dir     string // for the archive
	Work    string // a directory in which downloads are kept
	Partial bool   // make the archive even if not all are available
	Say     func(format string, args ...any)
}

// Build makes the archive of the packages, and returns its name. Files are checked
// against the package's list of them (.dsc).
func (s *Sources) Build(ctx context.Context, packages []debian.Package) (path string, err error) {
	apt, err := debian.OpenSources(filepath.Join(s.Work, "apt"), suites...)
	if err != nil {
		return "", err
	}
	updateErr := apt.Update(ctx)
	var files []rootfs.File
	var missing []debian.Package
	for _, p := range packages {
		dir, err := s.fetch(ctx, apt, p)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err != nil {
			s.Say("no source of %s %s: %s", p.Name, p.Version, debian.Reason(err))
			missing = append(missing, p)
			continue
		}
		found, err := sourceFiles(dir, p)
		if err != nil {
			return "", err
		}
		files = append(files, found...)
	}
	if len(missing) > 0 && !s.Partial {
		return "", cli.WithHint(errors.Join(fmt.Errorf("the source of %s is unavailable", list(missing)), updateErr),
			"install devscripts, whose debsnap fetches from snapshot.debian.org, or use --partial: the archive then says what is missing")
	}
	return s.write(ctx, files, missing)
}

// fetch returns a directory with the files of a source package: from the mirror, or,
// as mirrors have only the newest versions, from Debian's archive of all.
func (s *Sources) fetch(ctx context.Context, apt *debian.Apt, p debian.Package) (dir string, err error) {
	if _, dir, err = apt.GetSource(ctx, p.Name, p.Version); err == nil || ctx.Err() != nil {
		return dir, err
	}
	debsnap, missing := exec.LookPath("debsnap")
	if missing != nil {
		return "", err
	}
	dir = filepath.Join(s.Work, "snapshot", p.Name+"_"+strings.ReplaceAll(p.Version, ":", "%3a"))
	defer progress.Start(ctx, "fetching the source of %s %s from snapshot.debian.org", p.Name, p.Version).End()
	_, err = program.Output(program.Command(ctx, debsnap, "--force", "--destdir", dir, p.Name, p.Version))
	return dir, err
}

// sourceFiles returns the files of a source package that are in a directory, with
// others: its .dsc, and those that this names, which are as it says.
func sourceFiles(dir string, p debian.Package) ([]rootfs.File, error) {
	_, version, found := strings.Cut(p.Version, ":") // file names are without an epoch
	if !found {
		version = p.Version
	}
	dsc := p.Name + "_" + version + ".dsc"
	text, err := os.Open(filepath.Join(dir, dsc))
	if err != nil {
		return nil, err
	}
	defer text.Close()
	sums, err := dscSums(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dsc, err)
	}
	add := func(files []rootfs.File, name string) []rootfs.File {
		return append(files, rootfs.File{Name: "sources/" + p.Name + "/" + name, Source: filepath.Join(dir, name), Mode: 0o644})
	}
	files := add(nil, dsc)
	for _, s := range sums {
		got, err := file.SHA256(filepath.Join(dir, s.name))
		if err != nil {
			return nil, err
		}
		if got != s.sha256 {
			return nil, cli.WithHint(fmt.Errorf("%s is not what %s says", s.name, dsc), "remove %s, and run this again", filepath.Join(dir, s.name))
		}
		files = add(files, s.name)
	}
	return files, nil
}

type sum struct{ name, sha256 string }

// dscSums reads the field Checksums-Sha256 of a .dsc, see deb-src-control(5):
//
//	Checksums-Sha256:
//	 DIGEST SIZE NAME
func dscSums(dsc io.Reader) (sums []sum, err error) {
	within := false
	lines := bufio.NewScanner(dsc)
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasPrefix(line, " ") {
			within = strings.HasPrefix(line, "Checksums-Sha256:")
			continue
		}
		fields := strings.Fields(line)
		if !within || len(fields) == 0 {
			continue
		}
		digest, err := hex.DecodeString(fields[0])
		if len(fields) != 3 || err != nil || len(digest) != sha256.Size || filepath.Base(fields[2]) != fields[2] {
			return nil, fmt.Errorf("%q is no checksum of a file", line)
		}
		sums = append(sums, sum{fields[2], fields[0]})
	}
	if len(sums) == 0 {
		err = errors.New("no checksums (Checksums-Sha256)")
	}
	return sums, cmp.Or(lines.Err(), err)
}

// write writes the archive: the sources, this repository, and a text that says what
// each is.
func (s *Sources) write(ctx context.Context, files []rootfs.File, missing []debian.Package) (string, error) {
	revision := toolchain.ReadRevision(ctx, s.Root)
	if revision.Dirty() {
		s.Say("warning: the repository has changes that are not committed, and are not in %s", SourcesFile)
	}
	own := filepath.Join(s.Work, "go-build.tar")
	if _, err := program.Output(program.Command(ctx, "git", "-C", s.Root, "archive", "--format=tar", "--prefix=go-build/", "--output="+own, "HEAD")); err != nil {
		return "", err
	}
	readme := filepath.Join(s.Work, "README")
	if err := os.WriteFile(readme, []byte(readmeOf(files, missing)), 0o644); err != nil {
		return "", err
	}
	files = append(files,
		rootfs.File{Name: "sources/go-build.tar", Source: own, Mode: 0o644},
		rootfs.File{Name: "sources/README", Source: readme, Mode: 0o644})
	path := filepath.Join(s.Dir, SourcesFile)
	return path, rootfs.WriteFile(path, files, revision.Time)
}

func readmeOf(files []rootfs.File, missing []debian.Package) string {
	var text strings.Builder
	text.WriteString(`The source of the emulators in this release, and of the libraries that are linked
into them: Debian's source packages, which dpkg-source --extract unpacks.
go-build.tar is this project, with its patches of QEMU (image/qemu/patches) and what
builds it (image/qemu).

`)
	for _, f := range files {
		if strings.HasSuffix(f.Name, ".dsc") {
			text.WriteString(strings.TrimPrefix(f.Name, "sources/") + "\n")
		}
	}
	if len(missing) > 0 {
		text.WriteString("\nThese are missing, because they were not to be had where this was made:\n\n")
		for _, p := range missing {
			fmt.Fprintf(&text, "%s %s: %s\n", p.Name, p.Version, debian.Snapshot(p))
		}
	}
	return text.String()
}

func list(packages []debian.Package) string {
	var names []string
	for _, p := range packages {
		names = append(names, p.Name+" "+p.Version)
	}
	return strings.Join(names, ", ")
}

// Merge returns the source packages of several, each once, in the order of their names.
func Merge(of ...debian.Sources) []debian.Package {
	var all []debian.Package
	for _, s := range of {
		if s.Source.Name != "" {
			all = append(all, s.Source)
		}
		all = append(all, s.Using...)
	}
	slices.SortFunc(all, func(a, b debian.Package) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version))
	})
	return slices.Compact(all)
}
