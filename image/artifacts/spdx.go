package artifacts

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/licenses"
)

// unsaid is SPDX's word for what a document does not say.
const unsaid = licenses.Unknown

// A Whole is what holds programs: an image, or a command that embeds others.
type Whole struct {
	Name, Version string
	Purpose       string    // SPDX's word for what it is
	Tool          string    // that put it together
	Created       time.Time // as old as all files: the same programs have the same document
	Root          string    // before the programs' paths
}

// PURL returns a package URL.
func PURL(kind, name, version, qualifiers string) string {
	return "pkg:" + kind + "/" + name + "@" + url.QueryEscape(version) + qualifiers
}

// document returns the SPDX 2.3 document of the programs that it holds, and of the
// modules and libraries that are linked into them, and the licence of it all.
func (w Whole) document(programs []Program, said texts) (document []byte, license string, err error) {
	type object map[string]any
	const whole = "SPDXRef-image"
	var packages, relationships []object
	var found []string
	add := func(id, purl, license, location string, p object) {
		found = append(found, license)
		p["SPDXID"], p["downloadLocation"], p["filesAnalyzed"] = id, cmp.Or(location, unsaid), false
		p["licenseConcluded"], p["licenseDeclared"], p["copyrightText"] = license, license, unsaid
		if p["versionInfo"] == "" {
			p["versionInfo"] = unsaid
		}
		if purl != "" {
			p["externalRefs"] = []object{{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}}
		}
		packages = append(packages, p)
	}
	relate := func(element, how, related string) {
		relationships = append(relationships, object{"spdxElementId": element, "relationshipType": how, "relatedSpdxElement": related})
	}
	all := object{"name": w.Name, "versionInfo": w.Version, "primaryPackagePurpose": w.Purpose}
	add(whole, "", "", "https://"+project, all)
	relate("SPDXRef-DOCUMENT", "DESCRIBES", whole)
	ids := make(map[any]string)
	link := func(program string, linked any, kind, purl, license, location, name, version string) {
		if ids[linked] == "" {
			ids[linked] = fmt.Sprintf("SPDXRef-%s-%d", kind, len(ids)+1)
			add(ids[linked], purl, license, location, object{"name": name, "versionInfo": version, "primaryPackagePurpose": "LIBRARY"})
		}
		relate(program, "STATIC_LINK", ids[linked])
	}
	for i, p := range programs {
		id := fmt.Sprintf("SPDXRef-program-%d", i+1)
		program := object{
			"name": path.Base(p.Path), "versionInfo": p.Version, "packageFileName": w.Root + p.Path, "primaryPackagePurpose": "APPLICATION",
			"checksums": []object{{"algorithm": "SHA256", "checksumValue": p.SHA256}},
		}
		if p.Source != "" {
			program["sourceInfo"] = p.Source
		}
		add(id, p.PURL, cmp.Or(p.License, said.license(p)), p.Location, program)
		relate(whole, "CONTAINS", id)
		for _, m := range p.Modules {
			link(id, m, "module", PURL("golang", strings.ToLower(m.Path), m.Version, ""), licenses.Of(said[m]), "", m.Path, m.Version)
		}
		for _, l := range p.Libraries {
			link(id, l, "library", PURL("deb/debian", l.Name, l.Version, "?arch=source"), l.License, debian.Snapshot(l.Package), l.Name, l.Version)
		}
	}
	license = licenses.All(found...)
	all["licenseConcluded"], all["licenseDeclared"] = license, license
	unique := sha256.Sum256(fmt.Append(nil, programs))
	document, err = json.MarshalIndent(object{
		"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": w.Name + " " + w.Version,
		"documentNamespace": fmt.Sprintf("https://github.com/projectcalico/go-build/spdx/%s-%x", w.Version, unique[:8]),
		"creationInfo":      object{"created": w.Created.UTC().Format(time.RFC3339), "creators": []string{"Tool: " + w.Tool}},
		"packages":          packages, "relationships": relationships,
	}, "", "\t")
	return append(document, '\n'), license, err
}
