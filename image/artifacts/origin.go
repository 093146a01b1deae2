package artifacts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/jsonfile"
	"github.com/projectcalico/go-build/image/licenses"
	"github.com/projectcalico/go-build/image/qemu"
	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/internal/cli"
)

// licenseDir is where an image has the licences of what is in it, and says where
// the source is.
const licenseDir = ShareDir + "licenses/"

// originFile is what FetchEmulators writes beside emulators.
const originFile = "origin.json"

// An Origin says where the emulators in a directory are from: they are Debian's, or
// were built, or nobody knows.
type Origin struct {
	Package        debian.Package // that they are of, if they are Debian's
	debian.Sources                // that they were made of

	manifest *qemu.Manifest // if they were built
	texts    []rootfs.File  // licences and patches
}

// readOrigin finds out where an emulator, and those beside it, are from.
func readOrigin(ctx context.Context, emulator string, say func(format string, args ...any)) (o Origin, err error) {
	dir := filepath.Dir(emulator)
	root := filepath.Join(dir, "../..") // of a package that was unpacked
	err = jsonfile.Read(filepath.Join(dir, originFile), &o)
	if !errors.Is(err, os.ErrNotExist) {
		return o, cmp.Or(err, o.packaged(root))
	}
	if _, err = os.Stat(filepath.Join(dir, qemu.ManifestFile)); err == nil {
		return o, o.built(dir)
	}
	if o.Package, o.Sources, err = debian.Owner(ctx, emulator); err == nil && o.Package.Name != "" {
		return o, o.packaged(root)
	}
	say("warning: it is not known where the emulators in %s are from, and so where their source is: do not distribute them", dir)
	return o, cmp.Or(err, o.addCommon())
}

// packaged adds what a package of Debian's has.
func (o *Origin) packaged(root string) error {
	return o.addCommon(filepath.Join(root, "usr/share/doc", o.Package.Name, "copyright"))
}

func (o *Origin) addCommon(copyrights ...string) error {
	common, err := licenses.Common(copyrights...)
	for _, source := range append(copyrights, common...) {
		o.texts = append(o.texts, rootfs.File{Name: licenseDir + "qemu/" + filepath.Base(source), Source: source, Mode: 0o644})
	}
	return err
}

// built adds what image/qemu puts beside emulators.
func (o *Origin) built(dir string) (err error) {
	if o.manifest, err = qemu.ReadManifest(dir); err != nil {
		return err
	}
	o.Sources = debian.Sources{Source: debian.Package{Name: "qemu", Version: o.manifest.Debian}, Using: o.manifest.Sources}
	names, err := filepath.Glob(filepath.Join(dir, qemu.LicenseDir, "*"))
	if err == nil && (len(names) == 0 || len(o.manifest.Sources) == 0) {
		err = cli.WithHint(fmt.Errorf("%s has no licences of what is linked into the emulators", dir), "make emulators puts them there")
	}
	for _, name := range names {
		o.texts = append(o.texts, rootfs.File{Name: licenseDir + "qemu/" + filepath.Base(name), Source: name, Mode: 0o644})
	}
	o.texts = append(o.texts, rootfs.File{Name: ShareDir + "emulators.json", Source: filepath.Join(dir, qemu.ManifestFile), Mode: 0o644})
	return err
}

// known reports whether it is known.
func (o Origin) known() bool { return o.Source.Name != "" }

// SourceArchives returns the files of the source that they were built from, if they were
// built.
func (o Origin) SourceArchives() []qemu.SourceArchive {
	if o.manifest == nil {
		return nil
	}
	return o.manifest.Source
}

// String names the package.
func (o Origin) String() string {
	if o.manifest != nil {
		return o.Source.Name + " " + o.Source.Version + " (source)"
	}
	return strings.TrimSpace(o.Package.Name + " " + o.Package.Version)
}

// Files returns what is distributed with the emulators, as files of an image. One
// of them is written into a directory.
func (o Origin) Files(dir string) ([]rootfs.File, error) {
	source := filepath.Join(dir, "SOURCE")
	err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(source, []byte(o.statement()), 0o644))
	return append(slices.Clip(o.texts), rootfs.File{Name: licenseDir + "SOURCE", Source: source, Mode: 0o644}), err
}

// offer is section 3 b) of the GNU General Public License, version 2.
const offer = `Written offer

For three years from the day on which you received these programs, anybody may
have the complete corresponding source code of all that is here under the GNU
General Public License or the GNU Lesser General Public License, on a medium
customarily used for software interchange, for no more than what it costs to make
the copy. Ask for it at

  https://github.com/projectcalico/go-build/issues
`

// statement says what the emulators are, where their source is, and what is offered.
func (o Origin) statement() string {
	var text strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	source := func(p debian.Package, license string) {
		say("  %s %s, %s\n    %s", p.Name, p.Version, license, debian.Snapshot(p))
	}
	say(`The emulators here (qemu-*) are programs of QEMU. QEMU as a whole is free software
under the GNU General Public License, version 2 (%s); parts of it are under
other licences, which are compatible with it. There is no warranty. The texts of
the licences are in the directory qemu beside this file.
`, licenses.QEMU)
	switch {
	case !o.known():
		say("It is not known what they were built from: do not distribute them without that.\n")
	case o.manifest != nil:
		say("They were built from Debian's source\n")
		source(o.Source, licenses.QEMU)
		say(`
with the patches in the directory qemu, if any, in the order of their names, by
image/qemu of https://%s, in the version that
register --version prints. Digests, compiler and options are in emulators.json.
`, project)
	default:
		say("They are those of Debian's package %s,\nwhich was built from\n", o)
		source(o.Source, licenses.QEMU)
		say("")
	}
	if len(o.Using) > 0 {
		say(`Static libraries are linked into them. Whoever wants to replace these links the
emulators anew: what is named here is all that this requires. They were built from
Debian's sources
`)
		for _, p := range o.Using {
			source(p, licenses.Debian(p.Name))
		}
		say("")
	}
	return text.String() + offer
}

// describe says of a program what its origin is. port is Debian's name of the
// emulators' host.
func (o Origin) describe(p *Program, port string) {
	p.Package, p.License = "qemu", licenses.QEMU
	for _, l := range o.Using {
		p.Libraries = append(p.Libraries, Library{l, licenses.Debian(l.Name)})
	}
	if o.known() {
		p.Location = debian.Snapshot(o.Source)
	}
	if o.Package.Name != "" {
		p.Package, p.Version = o.Package.Name, o.Package.Version
		p.PURL = PURL("deb/debian", p.Package, p.Version, "?arch="+port)
	}
	if o.manifest == nil {
		return
	}
	var files, patches []string
	for _, s := range o.manifest.Source {
		files = append(files, s.Name+" (sha256 "+s.SHA256+")")
	}
	for _, q := range o.manifest.Patches {
		patches = append(patches, q.Name+" (sha256 "+q.SHA256+")")
	}
	p.PURL = PURL("deb/debian", o.Source.Name, o.Source.Version, "?arch=source")
	p.Source = fmt.Sprintf("built from Debian's source qemu %s: %s; patches: %s",
		o.manifest.Debian, strings.Join(files, ", "), strings.Join(patches, ", "))
}
