package artifacts

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/projectcalico/go-build/elfmagic"
)

// The document is SPDX 2.3, as far as it has something to say: an image, or a
// command that carries others, holds programs, and Go linked modules into them.
type spdxDocument struct {
	SPDXVersion       string             `json:"spdxVersion"`
	DataLicense       string             `json:"dataLicense"`
	SPDXID            string             `json:"SPDXID"`
	Name              string             `json:"name"`
	DocumentNamespace string             `json:"documentNamespace"`
	CreationInfo      spdxCreation       `json:"creationInfo"`
	Packages          []spdxPackage      `json:"packages"`
	Relationships     []spdxRelationship `json:"relationships"`
}

type spdxCreation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	Name             string         `json:"name"`
	SPDXID           string         `json:"SPDXID"`
	VersionInfo      string         `json:"versionInfo,omitempty"`
	PackageFileName  string         `json:"packageFileName,omitempty"`
	DownloadLocation string         `json:"downloadLocation"`
	FilesAnalyzed    bool           `json:"filesAnalyzed"`
	Checksums        []spdxChecksum `json:"checksums,omitempty"`
	ExternalRefs     []spdxRef      `json:"externalRefs,omitempty"`
	Purpose          string         `json:"primaryPackagePurpose,omitempty"`
	SourceInfo       string         `json:"sourceInfo,omitempty"`
}

type spdxChecksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type spdxRef struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxRelationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

// purl returns a reference by package URL.
func purl(kind, name, version, qualifiers string) []spdxRef {
	locator := "pkg:" + kind + "/" + name + "@" + url.QueryEscape(version) + qualifiers
	return []spdxRef{{"PACKAGE-MANAGER", "purl", locator}}
}

// text says what a program was built from.
func (s *ProgramSource) text() string {
	list := func(files []SourceFile) string {
		var parts []string
		for _, f := range files {
			parts = append(parts, f.Name+" (sha256 "+f.SHA256+")")
		}
		return strings.Join(parts, ", ")
	}
	return "built from Debian's source " + s.Package + " " + s.Version + ": " + list(s.Files) + "; patches: " + list(s.Patches)
}

// A Whole is what holds programs.
type Whole struct {
	Name, Version string
	Purpose       string // SPDX's word for what it is
	Arch          *elfmagic.Arch
	Tool          string    // that put it together
	Created       time.Time // as old as all files: the same programs have the same document
	Root          string    // before the programs' paths
}

// Document returns the SPDX document of the programs that it holds. Unique
// tells it from those of other programs.
func (w Whole) Document(programs []Program, unique string) ([]byte, error) {
	document, err := json.MarshalIndent(w.document(programs, unique), "", "\t")
	return append(document, '\n'), err
}

// document returns the image's document.
func (b *Builder) document(programs []Program, unique string) spdxDocument {
	return Whole{
		Name: "go-build", Version: b.Versions.Tag(b.Arch), Purpose: "CONTAINER", Arch: b.Arch,
		Tool: "go-build-artifacts", Created: b.toolchain.Released, Root: "/",
	}.document(programs, unique)
}

func (w Whole) document(programs []Program, unique string) spdxDocument {
	const whole = "SPDXRef-image"
	d := spdxDocument{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", SPDXID: "SPDXRef-DOCUMENT", Name: w.Name + " " + w.Version,
		DocumentNamespace: "https://github.com/projectcalico/go-build/spdx/" + w.Version + "-" + unique,
		CreationInfo:      spdxCreation{w.Created.UTC().Format(time.RFC3339), []string{"Tool: " + w.Tool}},
		Packages:          []spdxPackage{{Name: w.Name, SPDXID: whole, VersionInfo: w.Version, DownloadLocation: "NOASSERTION", Purpose: w.Purpose}},
		Relationships:     []spdxRelationship{{"SPDXRef-DOCUMENT", "DESCRIBES", whole}},
	}
	var modules []Module
	for _, p := range programs {
		modules = append(modules, p.Modules...)
	}
	slices.SortFunc(modules, func(a, b Module) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Version, b.Version))
	})
	modules = slices.Compact(modules)
	ids := make(map[Module]string)
	for i, m := range modules {
		ids[m] = fmt.Sprintf("SPDXRef-module-%d", i+1)
	}
	for i, p := range programs {
		id := fmt.Sprintf("SPDXRef-program-%d", i+1)
		s := spdxPackage{
			Name: path.Base(p.Path), SPDXID: id, VersionInfo: p.Version, PackageFileName: w.Root + p.Path,
			DownloadLocation: "NOASSERTION", Checksums: []spdxChecksum{{"SHA256", p.SHA256}}, Purpose: "APPLICATION",
		}
		if p.Debian {
			s.ExternalRefs = purl("deb/debian", p.Package, p.Version, "?arch="+w.Arch.Debian[0].Name)
		}
		if p.Source != nil {
			s.ExternalRefs = purl("deb/debian", p.Source.Package, p.Source.Version, "?arch=source")
			s.SourceInfo = p.Source.text()
		}
		d.Packages = append(d.Packages, s)
		d.Relationships = append(d.Relationships, spdxRelationship{whole, "CONTAINS", id})
		for _, m := range p.Modules {
			d.Relationships = append(d.Relationships, spdxRelationship{id, "STATIC_LINK", ids[m]})
		}
	}
	for _, m := range modules {
		d.Packages = append(d.Packages, spdxPackage{
			Name: m.Path, SPDXID: ids[m], VersionInfo: m.Version, DownloadLocation: "NOASSERTION", Purpose: "LIBRARY",
			ExternalRefs: purl("golang", strings.ToLower(m.Path), m.Version, ""),
		})
	}
	return d
}
