package qemu

import (
	"bytes"
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
}

// Orig returns the archive of QEMU itself, and Debian the one of its patches.
func (s Source) Orig() debian.File   { return s.file(".orig.tar.") }
func (s Source) Debian() debian.File { return s.file(".debian.tar.") }

func (s Source) file(part string) debian.File {
	for _, f := range s.Files {
		if strings.Contains(f.Name, part) && !strings.HasSuffix(f.Name, ".asc") {
			return f
		}
	}
	return debian.File{}
}

func (s Source) check() error {
	if s.Orig().SHA256 == "" || s.Debian().SHA256 == "" {
		return fmt.Errorf("%s is not made of an archive and Debian's patches", s.Version)
	}
	return nil
}

// Upstream returns QEMU's own version: 10.2.2.
func (s Source) Upstream() string {
	_, v, found := strings.Cut(s.Version, ":")
	if !found {
		v = s.Version
	}
	if i := strings.IndexAny(v, "+-~"); i >= 0 {
		v = v[:i]
	}
	return v
}

// A Passed is a version that was passed over, and why.
type Passed struct {
	Version string `json:"version"`
	Reason  string `json:"reason"`
}

// choose returns the newest of the versions, which are sorted so, that try
// takes, and those that it did not.
func choose(versions []string, newEnough func(string) bool, try func(version string) error) (string, []Passed, error) {
	var passed []Passed
	var failed error
	for _, v := range versions {
		if !newEnough(v) {
			continue
		}
		err := try(v)
		if err == nil {
			return v, passed, nil
		}
		if errors.Is(err, context.Canceled) {
			return "", passed, err
		}
		failed = err
		passed = append(passed, Passed{v, reason(err)})
	}
	if failed != nil {
		return "", passed, cli.WithHint(fmt.Errorf("no version of Debian's %s is usable, the last is %s: %w", sourcePackage, passed[len(passed)-1].Version, failed),
			"%s", cli.Hint(failed))
	}
	return "", nil, cli.WithHint(fmt.Errorf("apt knows no source %s of version %s or newer", sourcePackage, oldestSource),
		"the mirror may not have the sources of %s", strings.Join(sourceSuites, ", "))
}

// reason returns the part of an error that says why: apt says much.
func reason(err error) string {
	var last string
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(line)
		if i := strings.Index(line, "E: Failed to fetch "); i >= 0 {
			fields := strings.Fields(line[i+len("E: Failed to fetch "):])
			if len(fields) > 1 {
				why, _, _ := strings.Cut(strings.Join(fields[1:], " "), " [IP:")
				return filepath.Base(fields[0]) + ": " + why
			}
		}
		if last == "" && line != "" {
			last = line
		}
	}
	return last
}

// A Patch is one of ours.
type Patch struct {
	Name    string `json:"name"` // of its file
	Subject string `json:"subject"`
	SHA256  string `json:"sha256"`

	content []byte
}

// headings are what a patch's header must have, beside its subject.
var headings = []string{"Why:", "Effect:", "Proof:"}

// parsePatch reads a patch. Its header says what it does and why.
func parsePatch(name string, content []byte) (Patch, error) {
	p := Patch{Name: name, SHA256: digest(content), content: content}
	header, _, found := bytes.Cut(content, []byte("\n--- "))
	if !found {
		return p, fmt.Errorf("%s: not a patch", name)
	}
	has := make(map[string]bool)
	for line := range strings.Lines(string(header)) {
		if subject, ok := strings.CutPrefix(line, "Subject:"); ok {
			p.Subject = strings.TrimSpace(subject)
		}
		for _, h := range headings {
			if strings.HasPrefix(line, h) {
				has[h] = true
			}
		}
	}
	missing := slices.DeleteFunc(slices.Clone(headings), func(h string) bool { return has[h] })
	if p.Subject == "" {
		missing = append([]string{"Subject:"}, missing...)
	}
	if len(missing) > 0 {
		return p, cli.WithHint(fmt.Errorf("%s: its header has no %s", name, strings.Join(missing, " ")),
			"each patch says what it does: Subject, Why, Effect, Proof, a line or more each")
	}
	return p, nil
}

// ReadPatches reads the patches in a directory, in the order in which they are
// applied: that of their names.
func ReadPatches(dir string) ([]Patch, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.patch"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, cli.WithHint(fmt.Errorf("no patches in %s", dir), "run this in the root of the repository")
	}
	slices.Sort(names)
	var patches []Patch
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		p, err := parsePatch(filepath.Base(name), content)
		if err != nil {
			return nil, err
		}
		patches = append(patches, p)
	}
	return patches, nil
}

// PatchesDigest returns a digest of all patches and their order.
func PatchesDigest(patches []Patch) string {
	var list []byte
	for _, p := range patches {
		list = fmt.Appendln(list, p.Name, p.SHA256)
	}
	return digest(list)
}

// PkgVersion returns what --version prints in brackets: of what, and of which
// patches of ours, the emulator was made.
func PkgVersion(source Source, patches []Patch) string {
	plural := "es"
	if len(patches) == 1 {
		plural = ""
	}
	return fmt.Sprintf("Debian %s, go-build %d patch%s %s", source.Version, len(patches), plural, PatchesDigest(patches)[:10])
}

// series reads Debian's list of patches.
func series(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if fields := strings.Fields(line); len(fields) > 0 {
			names = append(names, fields[0])
		}
	}
	return names
}
