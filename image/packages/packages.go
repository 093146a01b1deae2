// Package packages makes Debian's, RPM's and Alpine's packages of both commands: with
// manual pages, completions, a service that registers at boot if it is enabled, and
// the licences of all that is linked in. The same source gives the same bytes.
package packages

import (
	"compress/gzip"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/jsonfile"
	"github.com/projectcalico/go-build/image/program"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

// nfpm writes packages. It is run, and not imported: nothing of it is in go.mod. Newer
// ones (2.48) write RPMs with modules that were not to be had from the module proxy; this
// one does with google/rpmpack.
const nfpm = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0"

// formats are those that there are packages in.
var formats = []string{"deb", "rpm", "apk"}

// Name is that of the package.
const Name = "crossrun"

//go:embed files
var files embed.FS

// A Builder makes the packages for one host, in the root of the repository.
type Builder struct {
	Host *elfmagic.Arch
	Dir  string // for the packages

	// Maintainer is who is said to look after the packages, NAME <ADDRESS>.
	Maintainer string

	Work      string // directory for what goes into them
	Toolchain *toolchain.Toolchain
	Say       func(format string, args ...any)

	revision toolchain.Revision
}

// Build builds the commands and packages, and returns the packages' files.
func (b *Builder) Build(ctx context.Context) ([]string, error) {
	err := checkMaintainer(b.Maintainer)
	if err != nil {
		return nil, err
	}
	b.revision = toolchain.ReadRevision(ctx, ".")
	if b.Dir, err = filepath.Abs(b.Dir); err != nil {
		return nil, err
	}
	if b.Work, err = filepath.Abs(b.Work); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(b.Work); err != nil { // nothing of an earlier version
		return nil, err
	}
	commands, err := b.Toolchain.BuildCommands(ctx, ".", filepath.Join(b.Work, "bin"), b.Host)
	if err != nil {
		return nil, err
	}
	if err := b.documents(ctx, commands); err != nil {
		return nil, err
	}
	license, err := b.papers(ctx, commands)
	if err != nil {
		return nil, err
	}
	if err := b.copyFiles(); err != nil {
		return nil, err
	}
	var paths []string
	for _, format := range formats {
		config := filepath.Join(b.Work, format+".json")
		if err := jsonfile.Write(config, b.config(format, license)); err != nil {
			return nil, err
		}
		path := filepath.Join(b.Dir, fmt.Sprintf("%s-linux-%s.%s", Name, b.Host.GOARCH, format))
		if _, err := b.Toolchain.Run(ctx, b.Toolchain.Host, b.Work, "run", nfpm, "package", "--config", config, "--packager", format, "--target", path); err != nil {
			return nil, fmt.Errorf("cannot write %s: %w", filepath.Base(path), err)
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		b.Say("%s: %.1f MB", filepath.Base(path), float64(info.Size())/1e6)
		paths = append(paths, path)
	}
	return paths, nil
}

// documents has the commands write their manual pages and completions: for another host,
// those that are built for the machine that builds.
func (b *Builder) documents(ctx context.Context, commands []string) error {
	if b.Host != b.Toolchain.Host {
		var err error
		if commands, err = b.Toolchain.BuildCommands(ctx, ".", filepath.Join(b.Work, "here"), b.Toolchain.Host); err != nil {
			return err
		}
	}
	for _, command := range commands {
		for _, what := range append([]string{"man"}, cli.Shells...) {
			text, err := program.Output(program.Command(ctx, command, "--generate", what))
			if err != nil {
				return err
			}
			path := filepath.Join(b.Work, filepath.Base(command)+"."+what)
			if what == "man" {
				err = compress(path+".gz", text+"\n")
			} else {
				err = os.WriteFile(path, []byte(text+"\n"), 0o644)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// compress writes text as gzip does with -9n: without a name and a time.
func compress(path, text string) error {
	return file.Replace(path, 0o644, func(w io.Writer) error {
		zip, err := gzip.NewWriterLevel(w, gzip.BestCompression)
		if err != nil {
			return err
		}
		if _, err := io.WriteString(zip, text); err != nil {
			return err
		}
		return zip.Close()
	})
}

// papers writes what is to be distributed with the commands, and returns the licences of
// all that is in them.
func (b *Builder) papers(ctx context.Context, commands []string) (string, error) {
	var programs []artifacts.Program
	for _, path := range commands {
		p, err := artifacts.Describe(b.Toolchain, b.Host, path, "usr/bin/"+filepath.Base(path), b.revision.Version)
		if err != nil {
			return "", err
		}
		programs = append(programs, p)
	}
	papers, err := artifacts.Whole{
		Name: Name, Version: b.revision.Version, Purpose: "APPLICATION", Tool: "go-build-packages", Created: b.revision.Time,
	}.Papers(ctx, b.Toolchain, ".", filepath.Join(b.Work, "papers"), programs)
	if err != nil {
		return "", err
	}
	modules, err := os.ReadFile(filepath.Join(b.Work, "papers", "modules.txt"))
	if err == nil {
		err = os.WriteFile(filepath.Join(b.Work, "copyright"), []byte(copyright(string(modules))), 0o644)
	}
	if err == nil {
		err = compress(filepath.Join(b.Work, "changelog.gz"), changelog(b.Maintainer, versionFor(b.revision, "deb"), b.revision.Time))
	}
	return papers.Licenses, err
}

// copyright is the file that Debian's policy (12.5) wants.
func copyright(modules string) string {
	return `Source: https://github.com/projectcalico/go-build
Copyright: Tigera, Inc. and the project's authors
License: Apache-2.0, in /usr/share/common-licenses/Apache-2.0 on Debian, and in
 https://www.apache.org/licenses/LICENSE-2.0

` + modules
}

// changelog is the one that Debian's policy (12.7) wants; what has changed is in the
// release's notes.
func changelog(maintainer, version string, when time.Time) string {
	return fmt.Sprintf("%s (%s) stable; urgency=medium\n\n  * See https://github.com/projectcalico/go-build/blob/main/CHANGELOG.md\n\n -- %s  %s\n",
		Name, version, maintainer, when.Format(time.RFC1123Z))
}

// DefaultMaintainer is the address that Project Calico gives as the author's of what it
// publishes. Who builds packages for others names another.
const DefaultMaintainer = "Project Calico Maintainers <maintainers@projectcalico.org>"

// checkMaintainer says what is wrong with a maintainer. Debian's policy (5.6.2) and RPM
// want the form of an address; a comma would begin another one.
func checkMaintainer(maintainer string) error {
	address, err := mail.ParseAddress(maintainer)
	if err == nil && (address.Name == "" || strings.ContainsAny(maintainer, ",\n")) {
		err = errors.New("a name and one address are wanted")
	}
	if err != nil {
		return cli.WithHint(fmt.Errorf("maintainer %q: %w", maintainer, err), "such as %q", DefaultMaintainer)
	}
	return nil
}

// copyFiles writes what is in every package as it is here.
func (b *Builder) copyFiles() error {
	entries, err := files.ReadDir("files")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(b.Work, entry.Name())
		content, err := files.ReadFile("files/" + entry.Name())
		if err == nil {
			err = os.WriteFile(path, content, 0o755)
		}
		if err == nil { // which Alpine's packages have of their scripts
			err = os.Chtimes(path, b.revision.Time, b.revision.Time)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A content is a file of a package, as nfpm's configuration has it.
type content struct {
	Source   string   `json:"src"`
	To       string   `json:"dst"`
	Packager string   `json:"packager,omitempty"` // empty: all
	Info     fileInfo `json:"file_info"`
}

type fileInfo struct {
	Mode int64 `json:"mode"`
}

// contents are the files of the packages.
func (b *Builder) contents() []content {
	var list []content
	add := func(from, to string, mode int64, packager string) {
		list = append(list, content{filepath.Join(b.Work, from), to, packager, fileInfo{mode}})
	}
	for _, command := range toolchain.Commands {
		add("bin/"+command, "/usr/bin/"+command, 0o755, "")
		add(command+".man.gz", "/usr/share/man/man1/"+command+".1.gz", 0o644, "")
		add(command+".bash", "/usr/share/bash-completion/completions/"+command, 0o644, "")
		add(command+".fish", "/usr/share/fish/vendor_completions.d/"+command+".fish", 0o644, "")
		add(command+".zsh", "/usr/share/zsh/vendor-completions/_"+command, 0o644, "deb")
		add(command+".zsh", "/usr/share/zsh/site-functions/_"+command, 0o644, "rpm")
		add(command+".zsh", "/usr/share/zsh/site-functions/_"+command, 0o644, "apk")
	}
	add("copyright", "/usr/share/doc/"+Name+"/copyright", 0o644, "")
	add("papers/programs.spdx.json", "/usr/share/doc/"+Name+"/programs.spdx.json", 0o644, "")
	add("changelog.gz", "/usr/share/doc/"+Name+"/changelog.gz", 0o644, "deb")
	add("lintian-overrides", "/usr/share/lintian/overrides/"+Name, 0o644, "deb")
	// In Debian /lib is a link to it, and a package that had files below /lib could not
	// remove its directories.
	add("register.service", "/usr/lib/systemd/system/register.service", 0o644, "deb")
	add("register.service", "/usr/lib/systemd/system/register.service", 0o644, "rpm")
	add("register.initd", "/etc/init.d/register", 0o755, "apk")
	return list
}

// config is what nfpm reads.
func (b *Builder) config(format, license string) map[string]any {
	config := map[string]any{
		"name": Name, "arch": b.Host.GOARCH, "platform": "linux",
		"version": versionFor(b.revision, format), "version_schema": "none",
		"maintainer": b.Maintainer, "homepage": "https://github.com/projectcalico/go-build", "license": license,
		"section": "utils", "priority": "optional",
		"description": "run programs of any architecture\n" +
			"crossrun runs a program of another architecture, and all that it starts,\n" +
			"without root and with nothing registered. register puts QEMU's user-mode\n" +
			"emulators behind every architecture that the kernel does not run, and\n" +
			"proves that each runs.",
		"mtime":    b.revision.Time.Format(time.RFC3339),
		"contents": b.contents(),
		"scripts":  map[string]string{"preremove": filepath.Join(b.Work, "preremove")},
		"rpm":      map[string]string{"buildhost": "localhost", "summary": "Run programs of any architecture"},
	}
	if format != "apk" { // whose repositories have a package for each emulator
		config["recommends"] = []string{"qemu-user-static"}
	}
	return config
}

var (
	notCommit = regexp.MustCompile(`[^0-9a-z]`)

	// described is what git describe says behind a tag: v1.2.3-rc.1-4-g8c9d9ca1b2c3-dirty.
	described = regexp.MustCompile(`^v(\d+\.\d+\.\d+)(?:-((?:alpha|beta|rc)[.0-9]*))?(?:-(\d+)-g([0-9a-f]+))?(-dirty)?$`)
)

// versionFor is a version as a format has it, in whose order a tag's is after its
// candidates', what is built behind a tag is after that, and what no tag is before is
// before all, by time.
func versionFor(r toolchain.Revision, format string) string {
	before, after, untagged := "~", "+%s.%s", "0.0.0+%s.%s"
	if format == "apk" { // which has words for what is before and after, and no commits
		before, after, untagged = "_", "_p%s", "0.0.0_git%s"
	}
	fill := func(pattern string, number, commit string) string {
		if format == "apk" {
			return fmt.Sprintf(pattern, number)
		}
		return fmt.Sprintf(pattern, number, commit)
	}
	if m := described.FindStringSubmatch(r.Version); m != nil {
		version := m[1]
		if m[2] != "" {
			version += before + strings.ReplaceAll(m[2], ".", "")
		}
		switch {
		case m[3] != "":
			version += fill(after, m[3], m[4])
		case m[5] != "": // the tag's files were changed: it is not what has its version
			version += fill(after, "0", r.Commit[:min(12, len(r.Commit))])
		}
		return version
	}
	commit := notCommit.ReplaceAllString(strings.TrimSuffix(r.Version, "-dirty"), "")
	return fill(untagged, r.Time.Format("20060102150405"), commit)
}
