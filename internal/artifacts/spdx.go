package artifacts

import (
	"cmp"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// The document is SPDX 2.3, as far as it has something to say: the image holds
// programs, and Go linked modules into them.
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

// document returns the SPDX document of the programs. Unique tells it from
// those of other programs.
func (b *Builder) document(programs []Program, unique string) spdxDocument {
	const image = "SPDXRef-image"
	tag := b.Versions.Tag(b.Arch)
	d := spdxDocument{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", SPDXID: "SPDXRef-DOCUMENT", Name: "go-build " + tag,
		DocumentNamespace: "https://github.com/projectcalico/go-build/spdx/" + tag + "-" + unique,
		// As old as all files: the same programs have the same document.
		CreationInfo:  spdxCreation{b.toolchain.Released.UTC().Format(time.RFC3339), []string{"Tool: go-build-artifacts"}},
		Packages:      []spdxPackage{{Name: "go-build", SPDXID: image, VersionInfo: tag, DownloadLocation: "NOASSERTION", Purpose: "CONTAINER"}},
		Relationships: []spdxRelationship{{"SPDXRef-DOCUMENT", "DESCRIBES", image}},
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
			Name: path.Base(p.Path), SPDXID: id, VersionInfo: p.Version, PackageFileName: "/" + p.Path,
			DownloadLocation: "NOASSERTION", Checksums: []spdxChecksum{{"SHA256", p.SHA256}}, Purpose: "APPLICATION",
		}
		if p.Debian {
			s.ExternalRefs = purl("deb/debian", p.Package, p.Version, "?arch="+b.Arch.Debian[0].Name)
		}
		d.Packages = append(d.Packages, s)
		d.Relationships = append(d.Relationships, spdxRelationship{image, "CONTAINS", id})
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
