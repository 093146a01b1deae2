package artifacts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/projectcalico/go-build/image/jsonfile"
)

// ShareDir is where an image says what is in it.
const ShareDir = "usr/share/go-build/"

// manifest builds manifest.tar if all parts are there: the versions file, and what
// the parts hold as a table for people and as an SPDX document for programs.
func (b *Builder) manifest(ctx context.Context) error {
	var c contents
	var missing []string
	for _, name := range Parts() {
		var programs []Program
		if _, err := os.Stat(filepath.Join(b.Dir, name+".stamp")); errors.Is(err, os.ErrNotExist) {
			missing = append(missing, name)
		} else if err := jsonfile.Read(filepath.Join(b.Dir, name+".json"), &programs); err != nil {
			return err
		}
		c.programs = append(c.programs, programs...)
	}
	if len(missing) > 0 {
		b.Say("no manifest.tar before there are %s", strings.Join(missing, ", "))
		archive := filepath.Join(b.Dir, "manifest")
		return errors.Join(os.RemoveAll(archive+".tar"), os.RemoveAll(archive+".stamp"))
	}
	slices.SortFunc(c.programs, func(a, b Program) int { return strings.Compare(a.Path, b.Path) })
	papers, err := Whole{
		Name: "go-build", Version: b.Versions.Tag(b.Arch), Purpose: "CONTAINER",
		Tool: "go-build-artifacts", Created: b.toolchain.Released, Root: "/",
	}.Papers(ctx, b.toolchain, b.Root, b.work("manifest"), c.programs)
	if err != nil {
		return err
	}
	list := b.work("manifest", "programs.txt")
	if err := os.WriteFile(list, []byte(table(c.programs)), 0o644); err != nil {
		return err
	}
	b.Licenses, c.files = papers.Licenses, papers.Files
	c.add(ShareDir+filepath.Base(b.File), b.File, 0o644)
	if b.Versions.From != "" {
		c.add(ShareDir+b.Versions.From, filepath.Join(filepath.Dir(b.File), b.Versions.From), 0o644)
	}
	c.add(ShareDir+"programs.txt", list, 0o644)
	return b.part(ctx, part{"manifest", func(*Builder, context.Context) (contents, error) { return c, nil }})
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
