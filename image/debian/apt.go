// Package debian fetches Debian's packages, of any architecture, through apt
// with a state of its own: nothing is installed, and the machine's own lists,
// architectures and packages stay as they are.
package debian

import (
	"cmp"
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

// An Apt is a state of apt's.
type Apt struct {
	dir     string // empty: the machine's own
	arch    string // empty: of sources
	sources string // file; empty: the machine's
}

// Keyring is where Debian's own packages put its keys. Tests, which run where that is
// not installed, too, name another file.
var Keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// Open returns the state for one of Debian's architectures (arm64, ppc64el) in
// a directory, where it is kept for the next time. The machine's own sources
// are used, or, where suites are named (trixie, sid), these from its mirror.
func Open(dir, arch string, suites ...string) (*Apt, error) {
	return open(dir, arch, arch, "deb", "", suites)
}

// OpenSources is Open for the sources of packages in the named suites.
func OpenSources(dir string, suites ...string) (*Apt, error) {
	return open(dir, "source", "", "deb-src", "", suites)
}

// open makes a state. Without a mirror suites are those of the machine's.
func open(dir, name, arch, kind, mirror string, suites []string) (*Apt, error) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return nil, cli.WithHint(fmt.Errorf("cannot fetch Debian's packages: %w", err), "Debian or Ubuntu is required")
	}
	dir, err := filepath.Abs(filepath.Join(dir, strings.Join(append([]string{name}, suites...), "-")))
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
		if _, err := os.Stat(Keyring); err != nil {
			return nil, cli.WithHint(fmt.Errorf("the keys of Debian's archive are not installed: %w", err), "apt-get install debian-archive-keyring")
		}
		if mirror == "" {
			if mirror, err = Mirror(); err != nil {
				return nil, err
			}
		}
		var sources strings.Builder
		for _, suite := range suites {
			fmt.Fprintf(&sources, "%s [signed-by=%s] %s %s main\n", kind, Keyring, mirror, suite)
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
	if a.dir != "" {
		cmd.Env = append(cmd.Env, "APT_CONFIG="+a.path("conf"))
		cmd.Dir = a.path("debs")
	}
	return cmd
}

// Update fetches the lists of packages. Those of a mirror that cannot be reached, of which
// apt keeps the old ones and succeeds, are an error, too (apt-get(8), --error-on, 2.1).
func (a *Apt) Update(ctx context.Context) error {
	defer progress.Start(ctx, "fetching Debian's lists of packages").End()
	_, err := program.Output(a.command(ctx, "apt-get", "update", "-qq", "-oAPT::Update::Error-Mode=any"))
	return err
}

// Versions returns which versions of a package, or a source, there are, newest first.
func (a *Apt) Versions(ctx context.Context, name string) ([]string, error) {
	packages, err := a.Known(ctx, name)
	var list []string
	for _, p := range packages {
		list = append(list, p.Version)
	}
	slices.SortFunc(list, func(v, w string) int {
		if v == w {
			return 0
		}
		if AtLeast(ctx, v, w) {
			return -1
		}
		return 1
	})
	return slices.Compact(list), err
}

// Known returns the packages of the architecture, or the sources, that there are of
// some names.
//
// A line of apt-cache madison: " qemu-user | 1:10.0.2 | URL suite/main arm64 Packages".
func (a *Apt) Known(ctx context.Context, names ...string) ([]Package, error) {
	out, err := program.Output(a.command(ctx, "apt-cache", append([]string{"madison"}, names...)...))
	if err != nil {
		return nil, err
	}
	end := " " + a.arch + " Packages"
	if a.arch == "" {
		end = " Sources"
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

// everybodys is the mirror of Debian's for machines that have none, such as Ubuntu's.
const everybodys = "http://ftp.debian.org/debian/"

// Mirror returns where Debian's packages are had from: where the machine's own apt gets
// them, or, if that has those of Ubuntu, where everybody does. Their signatures are looked
// at by Debian's keys (Keyring).
func Mirror() (string, error) {
	archives, err := new(Apt).archives(context.Background())
	for _, a := range archives {
		if a.label == "Debian" {
			return a.mirror, nil
		}
	}
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(archives, func(a archive) bool { return a.label == "Ubuntu" }) {
		return everybodys, nil
	}
	return "", cli.WithHint(errors.New("apt knows no mirror of Debian"), "apt-get update may be needed")
}

// An archive is a suite that apt has lists of.
type archive struct{ label, codename, suite, mirror string }

func (a *Apt) archives(ctx context.Context) ([]archive, error) {
	out, err := program.Output(a.command(ctx, "apt-get", "indextargets", "--format", "$(LABEL)|$(CODENAME)|$(SUITE)|$(REPO_URI)", "Created-By: Packages"))
	var list []archive
	for line := range strings.Lines(out) {
		if fields := strings.Split(strings.TrimSpace(line), "|"); len(fields) == 4 {
			list = append(list, archive{fields[0], fields[1], fields[2], fields[3]})
		}
	}
	return list, err
}

// Ports returns the architectures that a suite (bookworm, sid) has on that mirror.
//
// A line of InRelease: "Architectures: all amd64 arm64".
func Ports(ctx context.Context, suite string) ([]string, error) {
	mirror, err := Mirror()
	if err != nil {
		return nil, err
	}
	if suite == "" || strings.Contains(suite, "/") {
		return nil, cli.WithHint(fmt.Errorf("%q is not the name of a release", suite), "stable, bookworm and sid are")
	}
	dir, err := os.MkdirTemp("", "release-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "InRelease")
	// Apt's own downloader: it knows the proxies and all kinds of mirrors.
	helper := program.Command(ctx, "/usr/lib/apt/apt-helper", "-oAPT::Sandbox::User=root", "download-file", strings.TrimSuffix(mirror, "/")+"/dists/"+suite+"/InRelease", file)
	if _, err := program.Output(helper); err != nil {
		return nil, cli.WithHint(fmt.Errorf("no release %q of Debian: %w", suite, err), "see that it is the name of one, and that the mirror can be reached")
	}
	text, err := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		if ports, ok := strings.CutPrefix(line, "Architectures:"); ok {
			return slices.DeleteFunc(strings.Fields(ports), func(port string) bool { return port == "all" }), nil
		}
	}
	return nil, cmp.Or(err, fmt.Errorf("%s: no line with architectures", file))
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
