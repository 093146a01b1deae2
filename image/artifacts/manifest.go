package artifacts

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/projectcalico/go-build/image/jsonfile"
	"github.com/projectcalico/go-build/image/rootfs"
)

// manifestDir is where the image says what is in it.
const manifestDir = "usr/share/go-build/"

// manifest writes manifest.tar: the versions file, and what the parts hold as a
// table for people and as an SPDX document for programs. It needs all parts.
func (b *Builder) manifest() error {
	programs, missing, err := b.programs()
	if err != nil {
		return err
	}
	archive, stamp := filepath.Join(b.Dir, "manifest.tar"), filepath.Join(b.Dir, "manifest.stamp")
	if len(missing) > 0 {
		b.Say("no manifest.tar before there are %s", strings.Join(missing, ", "))
		return errors.Join(os.RemoveAll(archive), os.RemoveAll(stamp))
	}
	list, err := json.Marshal(programs)
	if err != nil {
		return err
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(list))
	in := inputs{"recipe 2", "tag " + b.Versions.Tag(b.Arch), "programs " + sum}
	if err := in.addFile("versions.yaml", b.File); err != nil {
		return err
	}
	if in.stamped(stamp, archive) {
		b.Say("manifest.tar is up to date")
		return nil
	}
	document, err := Whole{
		Name: "go-build", Version: b.Versions.Tag(b.Arch), Purpose: "CONTAINER",
		Tool: "go-build-artifacts", Created: b.toolchain.Released, Root: "/",
	}.Document(programs, sum[:16])
	if err != nil {
		return err
	}
	dir := b.work("manifest")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	files := []rootfs.File{{Name: manifestDir + "versions.yaml", Source: b.File, Mode: 0o644}}
	for name, content := range map[string][]byte{"programs.txt": []byte(table(programs)), "programs.spdx.json": document} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, content, 0o644); err != nil {
			return err
		}
		files = append(files, rootfs.File{Name: manifestDir + name, Source: file, Mode: 0o644})
	}
	if err := b.archive(archive, files); err != nil {
		return err
	}
	b.Say("manifest.tar: %d programs", len(programs))
	return in.stamp(stamp)
}

// programs returns the programs of all parts, by their paths, and which parts
// are missing.
func (b *Builder) programs() (programs []Program, missing []string, err error) {
	for _, name := range Parts() {
		if _, err := os.Stat(filepath.Join(b.Dir, name+".stamp")); errors.Is(err, os.ErrNotExist) {
			missing = append(missing, name)
			continue
		}
		var list []Program
		if err := jsonfile.Read(filepath.Join(b.Dir, name+".json"), &list); err != nil {
			return nil, nil, err
		}
		programs = append(programs, list...)
	}
	slices.SortFunc(programs, func(a, b Program) int { return strings.Compare(a.Path, b.Path) })
	return programs, missing, nil
}

// table returns the programs, one a line.
func table(programs []Program) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "PATH\tPACKAGE\tVERSION\tSHA256")
	for _, p := range programs {
		fmt.Fprintf(w, "/%s\t%s\t%s\t%s\n", p.Path, p.Package, p.Version, p.SHA256)
	}
	w.Flush()
	return text.String()
}
