// Package spdx reads SPDX 2.3 documents in tests, and holds them against what the
// specification asks for.
package spdx

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A Document is what tests read of one.
type Document struct {
	SPDXVersion, DataLicense, SPDXID, Name, DocumentNamespace string
	CreationInfo                                              struct {
		Created  string
		Creators []string
	}
	Packages      []Package
	Relationships []struct{ SPDXElementID, RelationshipType, RelatedSPDXElement string }
}

// A Package is one in a document.
type Package struct {
	Name, SPDXID, VersionInfo, DownloadLocation, SourceInfo, PackageFileName string
	LicenseConcluded, LicenseDeclared, CopyrightText                         string
	FilesAnalyzed                                                            *bool
	Checksums                                                                []struct{ Algorithm, ChecksumValue string }
	ExternalRefs                                                             []struct{ ReferenceCategory, ReferenceType, ReferenceLocator string }
}

// Related returns the relationships with the packages' names.
func (d Document) Related() (all []string) {
	names := map[string]string{d.SPDXID: "document"}
	for _, p := range d.Packages {
		names[p.SPDXID] = p.Name
	}
	for _, r := range d.Relationships {
		all = append(all, names[r.SPDXElementID]+" "+r.RelationshipType+" "+names[r.RelatedSPDXElement])
	}
	return all
}

// Package returns the one of a name.
func (d Document) Package(t testing.TB, name string) Package {
	t.Helper()
	for _, p := range d.Packages {
		if p.Name == name {
			return p
		}
	}
	require.Fail(t, "no package "+name)
	return Package{}
}

var (
	identifier = regexp.MustCompile(`^SPDXRef-[A-Za-z0-9.-]+$`)
	location   = regexp.MustCompile(`^(NOASSERTION|NONE|(git\+)?https://[a-z.]+/[^ #]*)$`)
	created    = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`)
	creator    = regexp.MustCompile(`^(Tool|Organization|Person): \S`)
	brackets   = strings.NewReplacer("(", "", ")", "")
	operators  = regexp.MustCompile(` (AND|OR|WITH) `)
)

// listed are those of SPDX's identifiers of licences, and of exceptions, that are known here.
var listed = strings.Fields(`Apache-2.0 BSD-2-Clause BSD-2-Clause-Patent BSD-3-Clause GCC-exception-3.1 GPL-2.0-only GPL-3.0-only
	GPL-3.0-or-later ISC LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0-only Linux-syscall-note MIT MPL-2.0 Unlicense Zlib`)

// Expression sees that a text is one of licences.
func Expression(t testing.TB, text string) {
	t.Helper()
	if text == "NOASSERTION" {
		return
	}
	for _, id := range operators.Split(brackets.Replace(text), -1) {
		assert.Contains(t, listed, id, text)
	}
}

// Parse reads a document, and sees that it is one: what must be said of each package
// is, identifiers are unique, and relationships are between packages that are there,
// each of which is part of the whole.
func Parse(t testing.TB, data []byte) (d Document) {
	t.Helper()
	require.NoError(t, json.Unmarshal(data, &d))
	assert.Equal(t, []string{"SPDX-2.3", "CC0-1.0", "SPDXRef-DOCUMENT"}, []string{d.SPDXVersion, d.DataLicense, d.SPDXID})
	assert.NotEmpty(t, d.Name)
	assert.Regexp(t, `^https://[^ #]+$`, d.DocumentNamespace)
	assert.Regexp(t, created, d.CreationInfo.Created)
	require.NotEmpty(t, d.CreationInfo.Creators)
	assert.Regexp(t, creator, d.CreationInfo.Creators[0])
	ids := map[string]bool{d.SPDXID: true}
	for _, p := range d.Packages {
		assert.NotEmpty(t, p.Name, p)
		assert.Regexp(t, identifier, p.SPDXID)
		assert.False(t, ids[p.SPDXID], "%s is there twice", p.SPDXID)
		ids[p.SPDXID] = true
		assert.NotEmpty(t, p.VersionInfo, p.Name)
		assert.Regexp(t, location, p.DownloadLocation, p.Name)
		for _, license := range []string{p.LicenseConcluded, p.LicenseDeclared} {
			require.NotEmpty(t, license, p.Name)
			Expression(t, license)
		}
		assert.NotEmpty(t, p.CopyrightText, p.Name)
		require.NotNil(t, p.FilesAnalyzed, p.Name)
		assert.False(t, *p.FilesAnalyzed, "it has no files")
		for _, c := range p.Checksums {
			assert.Equal(t, "SHA256", c.Algorithm)
			assert.NotEmpty(t, c.ChecksumValue)
		}
		for _, r := range p.ExternalRefs {
			assert.Equal(t, "PACKAGE-MANAGER purl", r.ReferenceCategory+" "+r.ReferenceType)
			assert.Regexp(t, `^pkg:[a-z]+/\S+@\S+$`, r.ReferenceLocator)
		}
	}
	within := map[string]bool{d.SPDXID: true}
	for _, r := range d.Relationships { // outer ones come first
		assert.True(t, ids[r.SPDXElementID] && ids[r.RelatedSPDXElement], "%v: between what is there", r)
		assert.Contains(t, []string{"DESCRIBES", "CONTAINS", "STATIC_LINK"}, r.RelationshipType)
		assert.True(t, within[r.SPDXElementID], "%v: of what is in the whole", r)
		within[r.RelatedSPDXElement] = true
	}
	assert.Equal(t, ids, within)
	return d
}
