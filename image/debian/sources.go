package debian

import (
	"context"
	"errors"
	"net/url"
	"os/exec"
	"strings"

	"github.com/projectcalico/go-build/image/program"
)

// Sources are what a package was built from.
type Sources struct {
	Source Package
	Using  []Package // of what is linked into its programs
}

// sourceFormat has fields as deb-src-control(5) and deb-control(5) call them:
//
//	qemu	1:7.2+dfsg-7	glibc (= 2.36-9), zlib (= 1:1.2.13.dfsg-1),
const sourceFormat = "${source:Package}\t${source:Version}\t${Built-Using}, ${Static-Built-Using}\n"

func parseSources(text string) (s Sources) {
	s.Source.Name, text, _ = strings.Cut(strings.TrimSpace(text), "\t")
	s.Source.Version, text, _ = strings.Cut(text, "\t")
	for item := range strings.SplitSeq(text, ",") {
		if name, version, _ := strings.Cut(strings.TrimSpace(item), " "); name != "" {
			s.Using = append(s.Using, Package{name, strings.Trim(version, "(= )")})
		}
	}
	return s
}

// Snapshot returns where Debian keeps the files of all versions of a source package.
func Snapshot(p Package) string {
	return "https://snapshot.debian.org/package/" + p.Name + "/" + url.PathEscape(p.Version) + "/"
}

// SourcesOf returns what a package in a file was built from.
func SourcesOf(ctx context.Context, deb string) (Sources, error) {
	out, err := program.Output(program.Command(ctx, "dpkg-deb", "--show", "--showformat", sourceFormat, deb))
	return parseSources(out), err
}

// Owner returns the installed package that a file is of, and what it was built
// from; none if it is of none.
func Owner(ctx context.Context, file string) (p Package, s Sources, err error) {
	out, err := program.Output(program.Command(ctx, "dpkg-query", "--search", file))
	exit, exited := errors.AsType[*exec.ExitError](err)
	if errors.Is(err, exec.ErrNotFound) || exited && exit.ExitCode() == 1 {
		return p, s, nil // another distribution, or a file of nobody's
	}
	if err != nil {
		return p, s, err
	}
	name, _, _ := strings.Cut(out, ": ")
	out, err = program.Output(program.Command(ctx, "dpkg-query", "--show", "--showformat", "${Package} ${Version}\n"+sourceFormat, name))
	first, rest, _ := strings.Cut(out, "\n")
	p.Name, p.Version, _ = strings.Cut(first, " ")
	return p, parseSources(rest), err
}
