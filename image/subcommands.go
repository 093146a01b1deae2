package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/base"
	"github.com/projectcalico/go-build/image/debian"
	"github.com/projectcalico/go-build/image/docker"
	"github.com/projectcalico/go-build/image/gobuild"
	"github.com/projectcalico/go-build/image/packages"
	"github.com/projectcalico/go-build/image/program"
	"github.com/projectcalico/go-build/image/publish"
	"github.com/projectcalico/go-build/image/qemu"
	"github.com/projectcalico/go-build/image/registerimages"
	"github.com/projectcalico/go-build/image/release"
	"github.com/projectcalico/go-build/image/singlefiles"
	"github.com/projectcalico/go-build/image/toolchain"
	"github.com/projectcalico/go-build/image/versions"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

// A command is a subcommand.
type command struct {
	name  string
	args  string // after the flags, as its usage has them; empty: none
	brief string // what it does, in a line
	more  string // what else there is to say

	// define adds its flags, and the steps of what it does. What is wrong with its
	// arguments is found before anything is changed.
	define func(c *call)
}

// commands are in the order in which one would use them.
var commands = []command{
	{"debian-emulators", "", "install Debian's emulators, if there are none (root)", "", debianEmulators},
	{"emulators", "[TARGET…]", "build QEMU's emulators from Debian's source",
		`They emulate the targets, by any of their names, or all. What is finished is kept in
the user's cache directory, and not built again.`, emulators},
	{"register", "", "register emulators with this kernel, by bin/register (root)",
		"Debian's are installed first if they are asked for, or if there are no others.", register},
	{"single-files", "", "build both commands with the emulators inside", "", singleFiles},
	{"commands", "", "build register and crossrun as they are shipped, by the pinned Go", "", ownCommands},
	{"packages", "", "make Debian's, RPM's and Alpine's packages of both commands",
		"They have no emulators in them; those of the distribution are recommended.", packagesOf},
	{"sources", "", "collect the source of the emulators in a release (git)",
		`Debian's source packages of QEMU and of what is linked into the emulators, in the versions
that these were built from, and this repository, in sources.tar. What the mirror no longer
has is fetched by debsnap, of Debian's package devscripts.`, sources},
	{"provenance", "", "say what the files of a release were made from, as SLSA's provenance",
		"Its subjects are the files that SHA256SUMS names. It is not signed.", provenance},
	{"notes", "", "print a release's notes: the newest section of CHANGELOG.md", "", notes},
	{"register-images", "", "make the images qemu-user-static and binfmt, to register from", "", registerImages},
	{"base", "", "make a base image from Debian's packages (root, Docker)", "", baseImage},
	{"parts", "[PART…]", "build what the go-build image is made of besides packages",
		"Each part is an archive: " + strings.Join(artifacts.Parts(), ", ") + ".\nAll, if none is named.", parts},
	{"build", "", "build the go-build image (Docker)", "", build},
	{"push", "", "push go-build images to a registry (Docker)",
		`Docker has the images. They get their versions' tags and latest-ARCH, and are read
back. Credentials are those of docker login.`, push},
	{"manifest", "", "join the images that a registry has into one",
		"Docker is not required. Credentials are those of docker login.", manifest},
	{"versions", "NAME", "print what the versions file says, and names made from it",
		`  tag             the image's tag
  latest          the tag of the newest image
  core            the tag of the image's core, which is for tests
  manifest        the tag of the image for all architectures
  branch-name     the branch on which images of these versions are built
  architectures   those that there are images for
  go, llvm, kubernetes, or the name of a tool: its version`, versionNames},
	{"pin", "", "write image/kubernetes/go.mod for the versions file", "", pin},
	{"updates", "", "print what there are newer versions of, as a pull request's text",
		"Nothing is printed if there is nothing.", updates},
}

func debianEmulators(c *call) {
	c.step(func(ctx context.Context) error { return debian.InstallEmulators(ctx, artifacts.Installed, c.say) })
}

func emulators(c *call) {
	b := qemu.Builder{Root: ".", Say: c.say}
	c.arch("their hosts: "+strings.Join(qemu.Hosts(), ", "), qemu.Host)
	dir := c.String("dir", "", "`directory` for them (default bin/emulators/ARCH, or bin/emulators-plain/ARCH)")
	install := c.Bool("install", false, "install what builds them, if it is missing (root)")
	c.BoolVar(&b.Update, "update", false, "ask Debian for newer sources and packages than those of the last time")
	c.BoolVar(&b.Plain, "plain", false, "without our patches and optimisation, to compare with")
	c.BoolVar(&b.Keep, "keep", false, "leave the directories that they are built in, with unstripped programs")
	c.forOne("dir")
	c.step(func(ctx context.Context) (err error) {
		if b.Targets, err = qemu.Targets(c.Args()); err != nil {
			return wrong(err)
		}
		if *install {
			err = qemu.InstallTools(ctx, c.say)
		}
		return err
	})
	c.each(func(ctx context.Context, arch *elfmagic.Arch) ([]string, error) {
		b := b
		b.Host, b.Out = arch, artifacts.BuiltEmulators
		if b.Plain {
			b.Out += "-plain"
		}
		b.Out = cmp.Or(*dir, filepath.Join(b.Out, arch.GOARCH))
		return nil, b.Build(ctx)
	})
}

func register(c *call) {
	c.emulatorsFlag()
	c.step(c.checkHere)
	c.step(madeHere)
	c.step(func(ctx context.Context) error { return c.registerHere(ctx, c.stdout) })
}

func singleFiles(c *call) {
	b := singlefiles.Builder{Say: c.say}
	c.arch("the hosts that the commands are for", ported)
	c.archList(&b.Targets, "targets", "`architectures` whose emulators are embedded (default: every one)", elfmagic.Lookup)
	c.StringVar(&b.Dir, "dir", "dist", "`directory` for the commands")
	names := c.String("commands", "crossrun,register", "which `commands`")
	c.BoolVar(&b.Archives, "archives", false, "write an archive of each emulator, too: x86_64_qemu-s390x-static.tar.gz")
	c.step(func(context.Context) error {
		b.Commands = words(*names)
		for _, name := range b.Commands {
			if !slices.Contains(toolchain.Commands, name) {
				return wrong(fmt.Errorf("--commands: %q is none of %s", name, strings.Join(toolchain.Commands, ", ")))
			}
		}
		if len(b.Commands) == 0 {
			return wrong(errors.New("--commands names none"))
		}
		return nil
	})
	c.withEmulators(artifacts.Choice{Some: true, Installed: true})
	c.withToolchain()
	c.claims(func(*elfmagic.Arch) string { return filepath.Join(b.Dir, singlefiles.Work) })
	c.alone(func(*elfmagic.Arch) string { return filepath.Join(b.Dir, singlefiles.Work) })
	c.each(func(ctx context.Context, arch *elfmagic.Arch) ([]string, error) {
		b := b
		b.Toolchain, b.Host, b.Emulators = c.toolchain, arch, c.dirs[arch]
		return b.Build(ctx)
	})
}

func ownCommands(c *call) {
	c.arch("the hosts that the commands are for", ported)
	dir := c.String("dir", "dist", "`directory` for the commands, in ARCH/")
	c.withToolchain()
	c.each(func(ctx context.Context, arch *elfmagic.Arch) ([]string, error) {
		return c.toolchain.BuildCommands(ctx, ".", filepath.Join(*dir, arch.GOARCH), arch)
	})
}

func packagesOf(c *call) {
	b := packages.Builder{Say: c.say}
	c.arch("the hosts that the packages are for", ported)
	c.StringVar(&b.Dir, "dir", "dist", "`directory` for the packages")
	c.StringVar(&b.Maintainer, "maintainer", packages.DefaultMaintainer, "who looks after them: `NAME <ADDRESS>`")
	c.withToolchain()
	c.claims(func(*elfmagic.Arch) string { return filepath.Join(b.Dir, singlefiles.Work) })
	c.alone(func(*elfmagic.Arch) string { return filepath.Join(b.Dir, singlefiles.Work) })
	c.each(func(ctx context.Context, arch *elfmagic.Arch) ([]string, error) {
		b := b
		b.Toolchain, b.Host, b.Work = c.toolchain, arch, filepath.Join(b.Dir, singlefiles.Work, "packages-"+arch.GOARCH)
		paths, err := b.Build(ctx)
		if err == nil {
			err = singlefiles.Checksums(b.Dir)
		}
		return paths, err
	})
}

// origins returns where the emulators are from that go into a release, fetching those
// that are fetched.
func (c *call) origins(ctx context.Context, dir string) (origins []artifacts.Origin, err error) {
	for _, arch := range c.archs {
		from := c.dirs[arch]
		if from == "" {
			from, err = artifacts.FetchEmulators(ctx, arch, "", filepath.Join(dir, singlefiles.Work, arch.GOARCH, "debian"), c.say)
		}
		if err != nil {
			return nil, err
		}
		e, err := artifacts.ReadEmulators(ctx, arch, from, nil, c.say)
		if err != nil {
			return nil, err
		}
		origins = append(origins, e.Origin)
	}
	return origins, nil
}

func sources(c *call) {
	s := release.Sources{Root: ".", Say: c.say}
	c.arch("the hosts that the emulators are for", ported)
	c.StringVar(&s.Dir, "dir", "dist", "`directory` for the archive")
	c.BoolVar(&s.Partial, "partial", false, "make it even if some sources are unavailable; it says which are missing")
	c.checkEpoch()
	c.withEmulators(artifacts.Choice{Some: true, Installed: true})
	c.inClone()
	work := func() string { return filepath.Join(s.Dir, singlefiles.Work, "sources") }
	c.claims(func(*elfmagic.Arch) string { return work() })
	c.alone(func(*elfmagic.Arch) string { return filepath.Dir(work()) })
	c.step(func(ctx context.Context) error {
		s.Work = work()
		origins, err := c.origins(ctx, s.Dir)
		if err != nil {
			return err
		}
		var of []debian.Sources
		for _, o := range origins {
			of = append(of, o.Sources)
		}
		path, err := s.Build(ctx, release.Merge(of...))
		if err == nil {
			fmt.Fprintln(c.stdout, path)
			err = singlefiles.Checksums(s.Dir)
		}
		return err
	})
}

func provenance(c *call) {
	p := release.Provenance{Root: "."}
	c.arch("the hosts that the release is for", ported)
	c.StringVar(&p.Dir, "dir", "dist", "`directory` with the release's files")
	c.StringVar(&p.Builder, "builder", "", "`URI` of the service that builds (default: a person does)")
	c.StringVar(&p.Invocation, "invocation", "", "`URI` of this run of it")
	c.withEmulators(artifacts.Choice{Some: true, Installed: true})
	c.withToolchain()
	c.step(func(ctx context.Context) (err error) {
		for _, arch := range c.archs {
			p.Hosts = append(p.Hosts, arch.GOARCH)
		}
		p.Toolchain = c.toolchain
		if p.Origins, err = c.origins(ctx, p.Dir); err != nil {
			return err
		}
		path, err := p.Write(ctx)
		if err == nil {
			fmt.Fprintln(c.stdout, path)
		}
		return err
	})
}

func notes(c *call) {
	c.step(func(context.Context) error {
		changelog, err := os.ReadFile("CHANGELOG.md")
		if err != nil {
			return err
		}
		text, err := packages.Notes(string(changelog))
		fmt.Fprint(c.stdout, text)
		return err
	})
}

func registerImages(c *call) {
	c.arch("the hosts that the images are for", ported)
	dir := c.String("dir", "dist/register-image", "`directory` for what goes into the images, in ARCH/; ARCH/oci is an OCI layout of them")
	load := c.Bool("load", true, "hand the images to Docker")
	archive := c.String("tarball", "", "write the images of one ARCH to a `file`, for docker load")
	push := c.Bool("push", false, "push the images to the registry that --repository begins with, and join those for several ARCH there")
	var guests []*elfmagic.Arch
	c.Func("guests", "`architectures` whose emulator gets an image of its own, too: qemu-user-static:aarch64 (default: none; all: each that there is one for)", func(text string) error {
		for _, name := range words(text) {
			arch, err := elfmagic.Lookup(name)
			switch {
			case name == "all":
				guests = elfmagic.Archs()
			case err != nil:
				return err
			case !slices.Contains(guests, arch):
				guests = append(guests, arch)
			}
		}
		return nil
	})
	c.withEmulators(artifacts.Choice{})
	c.forRepository()
	c.forOne("tarball")
	c.step(func(context.Context) (err error) {
		if *push {
			_, err = publish.Repository(c.repository + "/image")
		}
		return wrong(err)
	})
	c.step(func(ctx context.Context) error {
		if !*load {
			return nil
		}
		return docker.Ready(ctx, ", or use --load=false")
	})
	c.withToolchain()
	dirOf := func(arch *elfmagic.Arch) string { return filepath.Join(*dir, arch.GOARCH) }
	c.claims(dirOf)
	c.alone(dirOf)
	var pushed []registerimages.Images
	c.each(func(ctx context.Context, arch *elfmagic.Arch) ([]string, error) {
		b := registerimages.Builder{
			Toolchain: c.toolchain, Arch: arch, Repository: c.repository, Dir: dirOf(arch),
			Emulators: c.dirs[arch], Guests: guests, Say: c.say,
		}
		images, err := b.Build(ctx)
		pushed = append(pushed, images)
		if err == nil {
			err = images.Layout(filepath.Join(b.Dir, "oci"))
		}
		if err == nil && *archive != "" {
			if err = os.MkdirAll(filepath.Dir(*archive), 0o755); err == nil {
				err = file.Replace(*archive, 0o644, images.Tarball)
			}
		}
		if err == nil && *load {
			err = images.Load(ctx)
		}
		if err == nil && *push {
			err = images.Push(ctx)
		}
		if err != nil {
			return nil, err
		}
		return images.Names()
	})
	c.step(func(ctx context.Context) error {
		if !*push || len(c.archs) < 2 {
			return nil
		}
		names, err := registerimages.Join(ctx, c.archs, pushed)
		for _, name := range names {
			fmt.Fprintln(c.stdout, name)
		}
		return err
	})
}

// ported returns the architecture of a name, if commands can be built for it.
func ported(name string) (*elfmagic.Arch, error) {
	arch, err := elfmagic.Lookup(name)
	if err == nil && arch.GOARCH == "" {
		err = fmt.Errorf("no command can be built for %s: Go has no port", arch)
	}
	return arch, err
}

func baseImage(c *call) {
	c.arch("the images", base.Port)
	suite := c.String("suite", "stable", "Debian's `release`")
	tag := c.String("tag", "", "`name` of the image (default REPOSITORY/go-build-base:latest-ARCH)")
	dir := c.String("dir", "dist/base", "`directory` for the root file systems, which are kept")
	c.forRepository()
	c.emulatorsFlag() // for those that are registered
	install := c.Bool("install", false, "install what makes them, if it is missing (root)")
	images := make(map[*elfmagic.Arch]base.Image)
	c.forOne("tag")
	c.stepEach(func(_ context.Context, arch *elfmagic.Arch) error {
		ref, err := base.Tag(cmp.Or(*tag, c.repository+"/go-build-base:"+versions.Latest(arch)), arch)
		images[arch] = base.Image{Arch: arch, Suite: *suite, Tag: ref, Dir: *dir}
		return wrong(err)
	})
	c.registering()
	c.step(func(ctx context.Context) error { return docker.Ready(ctx, "") })
	c.stepEach(func(ctx context.Context, arch *elfmagic.Arch) error { return images[arch].Check(ctx) })
	c.step(func(ctx context.Context) error {
		if !*install {
			return nil
		}
		cmd := program.Command(ctx, "image/base/install-tools")
		cmd.Stdout, cmd.Stderr = c.stderr, c.stderr
		return ranAsRoot(cmd)
	})
	c.stepEach(func(_ context.Context, arch *elfmagic.Arch) error { return images[arch].Installed() })
	c.each(func(ctx context.Context, arch *elfmagic.Arch) ([]string, error) {
		i := images[arch]
		return []string{i.Tag.String()}, i.Make(ctx, c.say)
	})
}

func parts(c *call) {
	b := artifacts.Builder{Root: ".", Say: c.say}
	c.arch("the images", versions.Architecture)
	dir := c.String("dir", "", "`directory` for the archives (default dist/image/ARCH)")
	c.BoolVar(&b.Update, "update", false, "ask Debian for newer emulators, and packages of sysroots, than those fetched before")
	c.forOne("dir")
	c.step(func(context.Context) error { return wrong(artifacts.CheckParts(c.Args())) })
	c.withEmulators(artifacts.Choice{})
	c.fromVersions()
	c.ofRevision()
	c.claims(func(*elfmagic.Arch) string { return *dir })
	c.each(func(ctx context.Context, arch *elfmagic.Arch) ([]string, error) {
		b := b
		b.Versions, b.File, b.Arch, b.Emulators = c.versions, c.file, arch, c.dirs[arch]
		b.Dir = cmp.Or(*dir, filepath.Join("dist", "image", arch.GOARCH))
		return nil, b.Build(ctx, c.Args()...)
	})
}

func pin(c *call) {
	base := c.Bool("base", false, "write the digest that the base image's tag has now into the versions file, and nothing else")
	c.fromVersions()
	c.step(func(ctx context.Context) error {
		if *base {
			pinned, err := versions.PinBase(ctx, c.file)
			if err == nil {
				c.say("%s", pinned)
			}
			return err
		}
		return (&artifacts.Builder{Root: ".", Versions: c.versions, Say: c.say}).Pin(ctx)
	})
}

func updates(c *call) {
	write := c.Bool("write", false, "write them into the versions file, too")
	suite := c.String("suite", "trixie", "Debian's `release` that the base image is of")
	c.fromVersions()
	c.step(func(context.Context) error {
		if v := c.versions; v.From != "" {
			return wrong(cli.WithHint(fmt.Errorf("%s says what Calico's %s pins, which is not looked up", c.file, v.Calico), "newer versions are looked up of those in %s", v.From))
		}
		return nil
	})
	c.findToolchain()
	c.step(func(ctx context.Context) error {
		found, err := c.versions.Updates(ctx, versions.Registries{
			Module: c.toolchain.Versions,
			Debian: func(ctx context.Context, name string) ([]string, error) {
				apt, err := debian.Open(filepath.Join("dist", "apt"), "amd64", *suite)
				if err != nil {
					return nil, err
				}
				if err := apt.Update(ctx); err != nil {
					return nil, cli.WithHint(err, "see that Debian's mirror can be reached, and run this again")
				}
				return apt.Versions(ctx, name)
			},
		})
		if err != nil {
			return err
		}
		if *write && len(found) > 0 {
			content, err := os.ReadFile(c.file)
			if err == nil {
				content, err = versions.Write(content, found)
			}
			if err == nil {
				err = file.ReplaceWith(c.file, 0o644, content)
			}
			if err != nil {
				return err
			}
		}
		fmt.Fprint(c.stdout, versions.Text(found))
		return nil
	})
}

func build(c *call) {
	b := gobuild.Builder{Builder: artifacts.Builder{Say: c.say}, Progress: c.stderr}
	c.arch("the images", versions.Architecture)
	c.StringVar(&b.Base, "base", "", "`image` that it is made from (default REPOSITORY/go-build-base:latest-ARCH, which base makes, else that of the versions file)")
	c.BoolVar(&b.Core, "core", false, "build core-ARCH: Go, the emulators and our own commands, from the same Dockerfile, for tests")
	c.withEmulators(artifacts.Choice{})
	c.fromVersions()
	c.forRepository()
	c.registering()
	c.step(func(context.Context) error {
		if b.Base == "" {
			return nil
		}
		_, err := name.ParseReference(b.Base)
		return wrong(err)
	})
	c.step(func(ctx context.Context) error {
		return docker.Ready(ctx, "; go run ./image parts builds what goes into the image without it")
	})
	c.ofRevision()
	c.each(func(ctx context.Context, arch *elfmagic.Arch) ([]string, error) {
		b := b
		b.Versions, b.File, b.Arch, b.Repository, b.Emulators = c.versions, c.file, arch, c.repository, c.dirs[arch]
		return b.Build(ctx)
	})
}

func push(c *call) {
	c.arch("the images", versions.Architecture)
	c.publishing((*publish.Publisher).Push)
}

func manifest(c *call) {
	c.archs = versions.Architectures()
	c.archList(&c.archs, "arch", "`architectures` of the images, by any of their names (default: all)", versions.Architecture)
	c.publishing((*publish.Publisher).Manifest)
}

// publishing is what both have in common.
func (c *call) publishing(do func(*publish.Publisher, context.Context, []*elfmagic.Arch) error) {
	registry := c.String("registry", "", "`host` of the registry, with a port if it has one: docker.io, localhost:5000")
	insecure := c.Bool("insecure", false, "the registry may speak plain HTTP (one on localhost always may)")
	c.fromVersions()
	c.forRepository()
	c.step(func(ctx context.Context) error {
		p, err := publish.New(c.versions, *registry, c.repository, *insecure)
		if err != nil {
			return wrong(err)
		}
		p.Say, p.Stdout = c.say, c.stdout
		return do(p, ctx, c.archs)
	})
}

func versionNames(c *call) {
	c.arch("tag, latest, core", elfmagic.Lookup)
	c.fromVersions()
	c.step(func(context.Context) (err error) {
		if c.NArg() != 1 {
			return wrong(fmt.Errorf("one name is required, not %d", c.NArg()))
		}
		name, v := c.Arg(0), c.versions
		tags := map[string]func(*elfmagic.Arch) string{"tag": v.Tag, "latest": v.NewestFor, "core": versions.Core}
		if tag := tags[name]; tag != nil {
			for _, arch := range c.archs {
				if _, err := versions.Architecture(arch.Name); err != nil {
					return wrong(err)
				}
				fmt.Fprintln(c.stdout, tag(arch))
			}
			return nil
		}
		own := map[string]string{
			"manifest": v.String(), "branch-name": v.Branch(), "architectures": strings.Join(versions.GOARCHs, "\n"),
		}
		text, found := own[name]
		if !found {
			text, err = v.Get(name)
		}
		if err == nil {
			fmt.Fprintln(c.stdout, text)
		}
		return wrong(err)
	})
}
