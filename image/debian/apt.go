// Package debian fetches Debian's packages, of any architecture, through apt
// with a state of its own: nothing is installed, and the machine's own lists,
// architectures and packages stay as they are.
package debian

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/image/program"
	"github.com/projectcalico/go-build/image/progress"
	"github.com/projectcalico/go-build/internal/cli"
)

// An Apt is a state of apt's in a directory.
type Apt struct {
	dir     string
	arch    string // empty: of sources
	system  bool   // the machine's own, and no directory
	sources string // file; empty: the machine's
}

// keyring is where Debian's own packages put its keys.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// Open returns the state for one of Debian's architectures (arm64, ppc64el) in
// a directory, where it is kept for the next time. The machine's own sources
// are used, or, where suites are named (trixie, sid), these from its mirror.
func Open(dir, arch string, suites ...string) (*Apt, error) {
	return open(filepath.Join(dir, strings.Join(append([]string{arch}, suites...), "-")), arch, "deb", suites)
}

// OpenSources is Open for the sources of packages in the named suites.
func OpenSources(dir string, suites ...string) (*Apt, error) {
	return open(filepath.Join(dir, strings.Join(append([]string{"source"}, suites...), "-")), "", "deb-src", suites)
}

func open(dir, arch, kind string, suites []string) (*Apt, error) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return nil, cli.WithHint(fmt.Errorf("cannot fetch Debian's packages: %w", err), "Debian or Ubuntu is required")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{"lists/partial", "cache/archives/partial", "debs"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	a := &Apt{dir: dir, arch: arch}
	if len(suites) > 0 {
		mirror, err := Mirror()
		if err != nil {
			return nil, err
		}
		var sources strings.Builder
		for _, suite := range suites {
			fmt.Fprintf(&sources, "%s [signed-by=%s] %s %s main\n", kind, keyring, mirror, suite)
		}
		a.sources = a.path("sources.list")
		if err := os.WriteFile(a.sources, []byte(sources.String()), 0o644); err != nil {
			return nil, err
		}
	}
	return a, errors.Join(os.WriteFile(a.path("status"), nil, 0o644), os.WriteFile(a.path("conf"), a.conf(), 0o644))
}

func (a *Apt) path(name string) string { return filepath.Join(a.dir, name) }

// conf is apt.conf(5). Keys that are empty in it end a list.
func (a *Apt) conf() []byte {
	var conf []byte
	if a.arch != "" {
		conf = fmt.Appendf(conf, `APT::Architecture %[1]q;
#clear APT::Architectures;
APT::Architectures { %[1]q; };
`, a.arch)
	}
	conf = fmt.Appendf(conf, `APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::State::Lists %q;
Dir::State::status %q;
Dir::Cache %q;
`, a.path("lists"), a.path("status"), a.path("cache"))
	if a.sources != "" {
		conf = fmt.Appendf(conf, "Dir::Etc::SourceList %q;\nDir::Etc::SourceParts \"/dev/null\";\n", a.sources)
	}
	return conf
}

func (a *Apt) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := program.Command(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if !a.system {
		cmd.Env = append(cmd.Env, "APT_CONFIG="+a.path("conf"))
		cmd.Dir = a.path("debs")
	}
	return cmd
}

// Update fetches the lists of packages.
func (a *Apt) Update(ctx context.Context) error {
	defer progress.Start(ctx, "fetching Debian's lists of packages").End()
	_, err := program.Output(a.command(ctx, "apt-get", "update", "-qq"))
	return err
}

// Known returns which of some packages there are.
func (a *Apt) Known(ctx context.Context, names ...string) ([]string, error) {
	packages, err := a.madison(ctx, " "+a.arch+" Packages", names...)
	var known []string
	for _, p := range packages {
		known = append(known, p.Name)
	}
	return known, err
}

// Versions returns which versions of a package there are, newest first.
//
// A line of apt-cache madison: " qemu-user | 1:10.0.2 | URL suite/main arm64 Packages".
func (a *Apt) Versions(ctx context.Context, name string) ([]string, error) {
	packages, err := a.madison(ctx, " "+a.arch+" Packages", name) // not of all architectures, nor sources
	return versions(packages), err
}

// madison returns the packages in the lines of apt-cache madison that end so.
func (a *Apt) madison(ctx context.Context, end string, names ...string) ([]Package, error) {
	out, err := program.Output(a.command(ctx, "apt-cache", append([]string{"madison"}, names...)...))
	if err != nil {
		return nil, err
	}
	var packages []Package
	for line := range strings.Lines(out) {
		fields := strings.Split(line, "|")
		if len(fields) == 3 && strings.HasSuffix(strings.TrimSpace(fields[2]), end) {
			packages = append(packages, Package{strings.TrimSpace(fields[0]), strings.TrimSpace(fields[1])})
		}
	}
	return packages, nil
}

// versions returns the packages' versions, once each.
func versions(packages []Package) []string {
	var list []string
	for _, p := range packages {
		if !slices.Contains(list, p.Version) {
			list = append(list, p.Version)
		}
	}
	return list
}

// Depends returns which packages one depends on, by their names, with the
// version that it names for each, if it names one.
//
// A field of apt-cache show: "Depends: linux-image-6.1.0-50-cloud-amd64 (= 6.1.176-1), …".
func (a *Apt) Depends(ctx context.Context, name, version string) ([]Package, error) {
	out, err := program.Output(a.command(ctx, "apt-cache", "show", name+"="+version))
	if err != nil {
		return nil, err
	}
	var packages []Package
	for line := range strings.Lines(out) {
		list, ok := strings.CutPrefix(line, "Depends:")
		if !ok {
			continue
		}
		for _, item := range strings.Split(list, ",") {
			name, rest, _ := strings.Cut(strings.TrimSpace(item), " ")
			version, _ := strings.CutPrefix(strings.Trim(rest, "()"), "= ")
			packages = append(packages, Package{name, version})
		}
	}
	return packages, nil
}

// Download fetches a package, unless it is there, and returns its file. Apt
// checks it against its signed lists.
func (a *Apt) Download(ctx context.Context, name, version string) (string, error) {
	// As apt names it: the epoch's colon is escaped.
	file := a.path(filepath.Join("debs", fmt.Sprintf("%s_%s_%s.deb", name, strings.ReplaceAll(version, ":", "%3a"), a.arch)))
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	if err := a.download(ctx, name+"="+version); err != nil {
		return "", err
	}
	_, err := os.Stat(file)
	return file, err
}

// download downloads packages, and shows which one it is at.
//
// A line for each of apt-get -q: "Get:2 URL suite/main arm64 qemu-user arm64 1:11.1 [72 MB]".
func (a *Apt) download(ctx context.Context, packages ...string) error {
	task := progress.Start(ctx, "downloading Debian's packages")
	defer task.End()
	n := 0
	_, err := program.Output(a.command(ctx, "apt-get", append([]string{"download", "-q"}, packages...)...), func(line string) {
		if strings.HasPrefix(line, "Get:") {
			n++
			task.At(fmt.Sprintf("%d of %d", n, len(packages)))
		}
	})
	return err
}

// Mirror returns where the machine's own apt gets Debian's packages from.
func Mirror() (string, error) {
	out, err := program.Output(exec.Command("apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSpace(line), "|")
		if len(fields) == 3 && fields[0] == "Debian" && fields[1] == "Debian" {
			return fields[2], nil
		}
	}
	return "", cli.WithHint(errors.New("apt knows no mirror of Debian"), "apt-get update may be needed; Ubuntu has no such mirror")
}

// Unpack extracts a package's files into a directory.
func Unpack(ctx context.Context, deb, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	_, err := program.Output(program.Command(ctx, "dpkg-deb", "--extract", deb, dir))
	return err
}

// AtLeast reports whether version a is b or newer, as dpkg orders them.
func AtLeast(ctx context.Context, a, b string) bool {
	return program.Command(ctx, "dpkg", "--compare-versions", a, "ge", b).Run() == nil
}
