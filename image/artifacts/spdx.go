package artifacts

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"
)

// A Whole is what holds programs: an image, or a command that embeds others.
type Whole struct {
	Name, Version string
	Purpose       string    // SPDX's word for what it is
	Tool          string    // that put it together
	Created       time.Time // as old as all files: the same programs have the same document
	Root          string    // before the programs' paths
}

// purl returns a package URL.
func purl(kind, name, version, qualifiers string) string {
	return "pkg:" + kind + "/" + name + "@" + url.QueryEscape(version) + qualifiers
}

// Document returns the SPDX 2.3 document of the programs that it holds, and of the
// modules that Go linked into them.
func (w Whole) Document(programs []Program) ([]byte, error) {
	type object map[string]any
	const whole = "SPDXRef-image"
	var packages, relationships []object
	add := func(id, purl string, p object) {
		p["SPDXID"], p["downloadLocation"], p["filesAnalyzed"] = id, "NOASSERTION", false
		if purl != "" {
			p["externalRefs"] = []object{{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}}
		}
		packages = append(packages, p)
	}
	relate := func(element, how, related string) {
		relationships = append(relationships, object{"spdxElementId": element, "relationshipType": how, "relatedSpdxElement": related})
	}
	add(whole, "", object{"name": w.Name, "versionInfo": w.Version, "primaryPackagePurpose": w.Purpose})
	relate("SPDXRef-DOCUMENT", "DESCRIBES", whole)
	modules := make(map[Module]string)
	for i, p := range programs {
		id := fmt.Sprintf("SPDXRef-program-%d", i+1)
		program := object{
			"name": path.Base(p.Path), "versionInfo": p.Version, "packageFileName": w.Root + p.Path, "primaryPackagePurpose": "APPLICATION",
			"checksums": []object{{"algorithm": "SHA256", "checksumValue": p.SHA256}},
		}
		if p.Source != "" {
			program["sourceInfo"] = p.Source
		}
		add(id, p.PURL, program)
		relate(whole, "CONTAINS", id)
		for _, m := range p.Modules {
			if modules[m] == "" {
				modules[m] = fmt.Sprintf("SPDXRef-module-%d", len(modules)+1)
				add(modules[m], purl("golang", strings.ToLower(m.Path), m.Version, ""),
					object{"name": m.Path, "versionInfo": m.Version, "primaryPackagePurpose": "LIBRARY"})
			}
			relate(id, "STATIC_LINK", modules[m])
		}
	}
	unique := sha256.Sum256(fmt.Append(nil, programs))
	document, err := json.MarshalIndent(object{
		"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": w.Name + " " + w.Version,
		"documentNamespace": fmt.Sprintf("https://github.com/projectcalico/go-build/spdx/%s-%x", w.Version, unique[:8]),
		"creationInfo":      object{"created": w.Created.UTC().Format(time.RFC3339), "creators": []string{"Tool: " + w.Tool}},
		"packages":          packages, "relationships": relationships,
	}, "", "\t")
	return append(document, '\n'), err
}
