package release

import (
	"bufio"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

// ProvenanceFile says what the files of a release were made from, and by whom.
const ProvenanceFile = "provenance.intoto.json"

// ChecksumsFile has the checksums of a release's files.
const ChecksumsFile = "SHA256SUMS"

const (
	project = "https://github.com/projectcalico/go-build"

	// ByHand is the builder of what a person makes, not a service that attests to it.
	ByHand = project + "/blob/main/docs/building.md#by-hand"

	buildType = project + "/blob/main/docs/building.md#provenance"
)

// A Provenance is what goes into that file.
type Provenance struct {
	Root       string // the repository
	Dir        string // with the files
	Builder    string // URI of who builds; empty: ByHand
	Invocation string // URI of this run of it, if there is one
	Hosts      []string
	Toolchain  *toolchain.Toolchain
	Origins    []artifacts.Origin // of the emulators
}

// The statement is that of in-toto.io/Statement/v1, with slsa.dev/provenance/v1 as
// what it says.
type (
	statement struct {
		Type          string     `json:"_type"`
		Subject       []resource `json:"subject"`
		PredicateType string     `json:"predicateType"`
		Predicate     predicate  `json:"predicate"`
	}
	resource struct {
		Name   string            `json:"name,omitempty"`
		URI    string            `json:"uri,omitempty"`
		Digest map[string]string `json:"digest,omitempty"`
	}
	predicate struct {
		BuildDefinition definition `json:"buildDefinition"`
		RunDetails      details    `json:"runDetails"`
	}
	definition struct {
		BuildType            string         `json:"buildType"`
		ExternalParameters   map[string]any `json:"externalParameters"`
		ResolvedDependencies []resource     `json:"resolvedDependencies"`
	}
	details struct {
		Builder  builder   `json:"builder"`
		Metadata *metadata `json:"metadata,omitempty"`
	}
	builder struct {
		ID string `json:"id"`
	}
	metadata struct {
		InvocationID string `json:"invocationId"`
	}
)

// Write writes the file, of all that the checksums beside it name. It has no time in
// it: what is made twice of the same is the same.
func (p *Provenance) Write(ctx context.Context) (path string, err error) {
	for _, uri := range []string{p.Builder, p.Invocation} {
		if u, err := url.Parse(uri); err != nil || uri != "" && u.Scheme == "" {
			return "", cli.WithHint(fmt.Errorf("%q is no URI", uri), "such as %s", ByHand)
		}
	}
	s := statement{Type: "https://in-toto.io/Statement/v1", PredicateType: "https://slsa.dev/provenance/v1"}
	if s.Subject, err = p.subjects(); err != nil {
		return "", err
	}
	revision := toolchain.ReadRevision(ctx, p.Root)
	if s.Predicate.BuildDefinition, err = p.definition(revision); err != nil {
		return "", err
	}
	s.Predicate.RunDetails.Builder.ID = cmp.Or(p.Builder, ByHand)
	if p.Invocation != "" {
		s.Predicate.RunDetails.Metadata = &metadata{p.Invocation}
	}
	text, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return "", err
	}
	path = filepath.Join(p.Dir, ProvenanceFile)
	return path, file.ReplaceWith(path, 0o644, append(text, '\n'))
}

// subjects are the files that the checksums name, and which are as these say.
func (p *Provenance) subjects() (subjects []resource, err error) {
	text, err := os.ReadFile(filepath.Join(p.Dir, ChecksumsFile))
	if err != nil {
		return nil, cli.WithHint(err, "make release makes the files, and their checksums, first")
	}
	for line := range strings.Lines(string(text)) {
		digest, name, found := strings.Cut(strings.TrimSpace(line), "  ")
		if !found {
			return nil, fmt.Errorf("%s: %q is no checksum of a file", ChecksumsFile, line)
		}
		have, err := file.SHA256(filepath.Join(p.Dir, name))
		if err == nil && have != digest {
			err = fmt.Errorf("%s is not what %s says", name, ChecksumsFile)
		}
		if err != nil {
			return nil, cli.WithHint(err, "make release makes all anew")
		}
		subjects = append(subjects, resource{Name: name, Digest: map[string]string{"sha256": digest}})
	}
	if len(subjects) == 0 {
		return nil, cli.WithHint(fmt.Errorf("%s names no files", filepath.Join(p.Dir, ChecksumsFile)), "make release makes them")
	}
	return subjects, nil
}

func (p *Provenance) definition(revision toolchain.Revision) (definition, error) {
	d := definition{BuildType: buildType, ExternalParameters: map[string]any{
		"source": "git+" + project, "version": revision.Version, "target": "release", "hosts": p.Hosts,
	}}
	source := resource{URI: "git+" + project}
	if !revision.Dirty() && revision.Unknown == "" { // else it is not of the commit
		source.Digest = map[string]string{"gitCommit": revision.Commit}
	}
	d.ResolvedDependencies = append(d.ResolvedDependencies, source,
		resource{Name: "go" + p.Toolchain.Version, URI: "pkg:generic/go@" + p.Toolchain.Version})
	for i := range p.Origins {
		d.ResolvedDependencies = append(d.ResolvedDependencies, emulatorInputs(p.Origins[i])...)
	}
	sums, err := os.Open(filepath.Join(p.Root, "go.sum"))
	if err != nil {
		return d, err
	}
	defer sums.Close()
	modules, err := modulesOf(sums)
	d.ResolvedDependencies = unique(append(d.ResolvedDependencies, modules...))
	return d, err
}

// emulatorInputs are what emulators were made from.
func emulatorInputs(o artifacts.Origin) (inputs []resource) {
	if o.Package.Name != "" {
		inputs = append(inputs, resource{URI: artifacts.PURL("deb/debian", o.Package.Name, o.Package.Version, "")})
	}
	for _, s := range o.SourceArchives() {
		inputs = append(inputs, resource{
			Name: s.Name, URI: artifacts.PURL("deb/debian", o.Source.Name, o.Source.Version, "?arch=source"),
			Digest: map[string]string{"sha256": s.SHA256},
		})
	}
	for _, s := range Merge(o.Sources) {
		inputs = append(inputs, resource{URI: artifacts.PURL("deb/debian", s.Name, s.Version, "?arch=source")})
	}
	return inputs
}

// modulesOf reads go.sum: "MODULE VERSION h1:DIGEST", and the same of each go.mod.
func modulesOf(sums io.Reader) (modules []resource, err error) {
	lines := bufio.NewScanner(sums)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 || strings.HasSuffix(fields[1], "/go.mod") {
			continue
		}
		digest, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(fields[2], "h1:"))
		if err != nil {
			return nil, fmt.Errorf("go.sum: %s: %w", fields[0], err)
		}
		modules = append(modules, resource{
			URI:    artifacts.PURL("golang", strings.ToLower(fields[0]), fields[1], ""),
			Digest: map[string]string{"dirHash": hex.EncodeToString(digest)},
		})
	}
	return modules, lines.Err()
}

// unique leaves out what is there already: emulators for several hosts are made of the
// same sources.
func unique(all []resource) (list []resource) {
	seen := make(map[string]bool)
	for _, r := range all {
		if key := fmt.Sprint(r); !seen[key] {
			seen[key] = true
			list = append(list, r)
		}
	}
	return list
}
