package versions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/projectcalico/go-build/internal/cli"
)

// An Update is a newer version of something than that in the versions file.
type Update struct {
	Name      string // as Get has it
	Old, New  string
	Elsewhere string // what else is to be done about it
}

// Registries say which versions there are of a module, and of a package of Debian's for
// the release that the base image is of.
type Registries struct {
	Module func(ctx context.Context, path string) ([]string, error)
	Debian func(ctx context.Context, name string) ([]string, error)
}

// Updates returns what there is newer versions of. Go and Kubernetes stay in their series
// (1.26, 1.37): another is chosen by a person, with Calico. Generators of code that
// are the Kubernetes' stay so; what is patched, has no release, or is an older branch's generator
// stays as it is.
func (v *Versions) Updates(ctx context.Context, r Registries) ([]Update, error) {
	var updates []Update
	var errs []error
	newer := func(name, old, path, elsewhere string, in func(version string) bool) string {
		list, err := r.Module(ctx, path)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			return old
		}
		newest := newestOf(old, list, in)
		if newest != old {
			updates = append(updates, Update{name, old, newest, elsewhere})
		}
		return newest
	}
	newer("go", v.Go, "go", "image/toolchain/toolchain.sum: checksums of the new version", series(v.Go))
	kubernetes := newer("kubernetes", v.Kubernetes, "k8s.io/kubernetes", "go run ./image pin", series(v.Kubernetes))
	clang := "clang-" + v.LLVMMajor()
	list, err := r.Debian(ctx, clang)
	if err == nil && len(list) == 0 {
		err = cli.WithHint(fmt.Errorf("there is no %s in Debian's release", clang), "--suite names the release that the base image is of")
	}
	if err != nil {
		errs = append(errs, fmt.Errorf("llvm: %w", err))
	}
	if newest := newestOf(v.LLVM, upstream(list), series(v.LLVM)); newest != v.LLVM {
		updates = append(updates, Update{"llvm", v.LLVM, newest, ""})
	}
	for _, t := range v.Tools {
		switch {
		case t.Patch != "" || module.IsPseudoVersion(t.Version):
		case strings.HasPrefix(t.Package, "k8s.io/code-generator/"):
			if version := Staging(kubernetes); version != t.Version && t.Version == Staging(v.Kubernetes) {
				updates = append(updates, Update{t.Name, t.Version, version, ""})
			}
		default:
			newer(t.Name, t.Version, t.Package, "", func(string) bool { return true })
		}
	}
	return updates, errors.Join(errs...)
}

// Staging returns the version of the modules that Kubernetes of a version is
// released with: v0.37.2 with 1.37.2.
func Staging(kubernetes string) string {
	_, release, _ := strings.Cut(kubernetes, ".")
	return "v0." + release
}

// canonical makes a version what module versions are: v1.2.3.
func canonical(version string) string { return "v" + strings.TrimPrefix(version, "v") }

// series returns whether a version is of the same series as another, by their first two
// numbers, or of LLVM's, which has a series for each first one.
func series(of string) func(version string) bool {
	want := semver.MajorMinor(canonical(of))
	if semver.Compare(canonical(of), "v10.0.0") > 0 {
		want = semver.Major(canonical(of))
		return func(version string) bool { return semver.Major(canonical(version)) == want }
	}
	return func(version string) bool { return semver.MajorMinor(canonical(version)) == want }
}

// newestOf returns the newest of the versions that count, or the old one, written as that
// is. Pre-releases count only where the old one is one.
func newestOf(old string, list []string, counts func(version string) bool) string {
	newest := canonical(old)
	for _, version := range list {
		version = canonical(version)
		if !semver.IsValid(version) || !counts(version) || semver.Prerelease(version) != "" && semver.Prerelease(canonical(old)) == "" {
			continue
		}
		if semver.Compare(version, newest) > 0 {
			newest = version
		}
	}
	if strings.HasPrefix(old, "v") {
		return newest
	}
	return strings.TrimPrefix(newest, "v")
}

// upstreamVersion is what a version of Debian's is of: 1:22.1.8-1~deb13u5.
var upstreamVersion = regexp.MustCompile(`^(?:[0-9]+:)?([0-9]+\.[0-9]+\.[0-9]+)`)

func upstream(list []string) (versions []string) {
	for _, version := range list {
		if m := upstreamVersion.FindStringSubmatch(version); m != nil {
			versions = append(versions, m[1])
		}
	}
	return versions
}

// Write puts updates into a versions file, of which all else stays as it is, without a
// rebuild's number: the next image is the first of its versions.
func Write(content []byte, updates []Update) ([]byte, error) {
	for _, u := range updates {
		line := regexp.MustCompile(`(?m)^(` + regexp.QuoteMeta(u.Name) + `: )` + regexp.QuoteMeta(u.Old) + `$`)
		if strings.HasPrefix(u.Old, "v") {
			line = regexp.MustCompile(`(name: ` + regexp.QuoteMeta(u.Name) + `[,\n][^{]*?version: )` + regexp.QuoteMeta(u.Old) + `\b`)
		}
		at := line.FindSubmatchIndex(content)
		if at == nil {
			return nil, fmt.Errorf("%s %s is not found in the versions file", u.Name, u.Old)
		}
		content = slices.Concat(content[:at[3]], []byte(u.New), content[at[3]+len(u.Old):])
	}
	if len(updates) > 0 {
		content = regexp.MustCompile(`(?m)^rebuild: `).ReplaceAll(content, []byte("# rebuild: "))
	}
	_, err := Parse(content)
	return bytes.Clone(content), err
}

// Text is what a pull request says of updates, as Markdown.
func Text(updates []Update) string {
	if len(updates) == 0 {
		return ""
	}
	var text strings.Builder
	text.WriteString("| what | has been | is |\n| --- | --- | --- |\n")
	var elsewhere []string
	for _, u := range updates {
		fmt.Fprintf(&text, "| %s | %s | %s |\n", u.Name, u.Old, u.New)
		if u.Elsewhere != "" {
			elsewhere = append(elsewhere, fmt.Sprintf("- [ ] %s: %s\n", u.Name, u.Elsewhere))
		}
	}
	if len(elsewhere) > 0 {
		text.WriteString("\nStill to be done:\n\n" + strings.Join(elsewhere, ""))
	}
	return text.String()
}
