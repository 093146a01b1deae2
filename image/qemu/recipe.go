package qemu

import (
	"fmt"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
)

// A mode says what a build is for.
type mode uint8

const (
	instrumented mode = 1 << iota // counts what its guests make it do
	optimised                     // is what is used
	plain                         // is what the others are compared with
	all          = instrumented | optimised | plain
)

// where an option goes.
type where uint8

const (
	configure where = iota // an argument of QEMU's configure
	compile                // of the compiler
	link                   // of the linker, by way of the compiler
)

var everywhere = []where{configure, compile, link}

// option is a line of the recipe.
type option struct {
	in   mode
	to   where
	text string
	why  string
}

// recipe is what the emulators are built with, in the order in which it is
// given. What names a directory is added by arguments.
var recipe = []option{
	{all, configure, "--static", "runs in any container and chroot"},
	{all, configure, "--without-default-features", "of the many, user emulation needs none"},
	{all, configure, "--enable-tcg", "but this"},
	{all, configure, "--enable-attr", "and extended attributes: setxattr(2) and kin"},
	{all, configure, "--disable-system", "other programs of QEMU's"},
	{all, configure, "--disable-tools", "likewise"},
	{all, configure, "--disable-docs", "likewise"},
	{all, configure, "--disable-install-blobs", "likewise: firmware"},
	{all, configure, "--disable-capstone", "a disassembler, for -d in_asm only: a third of the file"},
	{all, configure, "--disable-plugins", "keeps all symbols, and a test in each translation"},
	{optimised | plain, configure, "--disable-hexagon-idef-parser", "generates from C what helpers do as well, and wants libraries of the building machine"},
	{all, compile, "-DPROVIDE_STUBS_FOR_STATIC", "Debian's patch: glib asks for users' names, which a static program cannot"},
	{all, compile, "-ffile-prefix-map=../../src/=", "messages do not name the directory that it was built in"},

	// Hardening that costs. An emulator executes what its guest wants by
	// design, with the guest's own rights: it is no boundary.
	{all, configure, "--disable-pie", "addresses are constants, and so are tables of them: a shorter start"},
	{all, configure, "--disable-stack-protector", "costs in every helper that has a buffer"},
	{all, compile, "-fzero-call-used-regs=skip", "QEMU clears registers before each return: 2 to 3 % of the time"},

	{instrumented, compile, "-fprofile-generate", "counts"},
	{instrumented, link, "-fprofile-generate", "the runtime that writes the counts"},
	// Threads that count the same thing would pull a cache line to and fro, and
	// atomic counters make it worse: lost counts are few, and do no harm.
	{optimised, compile, "-Wno-profile-instr-unprofiled", "what no guest used has no profile"},
	{optimised, compile, "-Wno-profile-instr-out-of-date", "nor has what differs for another host"},
	{optimised, compile, "-Wno-backend-plugin", "as above"},
	{optimised, compile, "-ffunction-sections", "for gc-sections and icf"},
	{optimised, compile, "-fdata-sections", "likewise"},
	{optimised, configure, "-Db_lto=true", "whole programs"},
	{optimised, configure, "-Db_lto_mode=thin", "in parallel, and again only where something changed"},
	{optimised | plain, link, "-Wl,--image-base=0x60000000", "out of the way of programs that are linked low: they keep their addresses, and guest_base is 0, as with a PIE"},
	{optimised, link, "-Wl,--gc-sections", "drops what is not used"},
	{optimised, link, "-Wl,--icf=safe", "one of each that are the same, unless addresses are compared"},
}

func (m mode) String() string {
	return map[mode]string{instrumented: "instrumented", optimised: "optimised", plain: "plain"}[m]
}

// options returns the recipe's lines for places.
func options(m mode, to ...where) []string {
	var list []string
	for _, o := range recipe {
		if o.in&m != 0 && slices.Contains(to, o.to) {
			list = append(list, o.text)
		}
	}
	return list
}

// A setup is all that QEMU's configure is told.
type setup struct {
	mode       mode
	compiler   Compiler
	host       *elfmagic.Arch
	targets    []string
	pkgversion string
	sysroot    string
	meson      string // directory of Python packages
	profile    string // file; only for the optimised build
	cache      string // of ThinLTO's results; likewise
}

// triplet is GNU's name of the host, by Debian's.
func triplet(host *elfmagic.Arch) string { return host.Debian[0].Triplet }

// arguments returns what configure is called with.
func (s setup) arguments() []string {
	compile, link := options(s.mode, compile), options(s.mode, link)
	link = append(link, "-fuse-ld="+s.compiler.tool("lld"))
	if s.profile != "" {
		compile = append(compile, "-fprofile-use="+s.profile)
		link = append(link, "-fprofile-use="+s.profile)
	}
	if s.cache != "" {
		link = append(link, "-Wl,--thinlto-cache-dir="+s.cache)
	}
	var list []string
	for _, t := range s.targets {
		list = append(list, t+"-linux-user")
	}
	args := []string{
		"--python=/usr/bin/python3",
		"--cross-prefix=" + triplet(s.host) + "-", // as for another machine: the same way for all
		fmt.Sprintf("--cc=%s --target=%s --sysroot=%s", s.compiler.tool("clang"), triplet(s.host), s.sysroot),
		"--host-cc=" + s.compiler.tool("clang"),
		"--target-list=" + strings.Join(list, ","),
		"--with-pkgversion=" + s.pkgversion,
	}
	args = append(args, options(s.mode, configure)...)
	return append(args, "--extra-cflags="+strings.Join(compile, " "), "--extra-ldflags="+strings.Join(link, " "))
}

// environment returns what configure and ninja find in theirs.
func (s setup) environment() []string {
	lib := s.sysroot + "/usr/lib/" + triplet(s.host) + "/pkgconfig"
	env := []string{
		"LC_ALL=C",
		"PYTHONPATH=" + s.meson,
		"PKG_CONFIG=pkg-config",
		"PKG_CONFIG_LIBDIR=" + lib + ":" + s.sysroot + "/usr/share/pkgconfig",
		"PKG_CONFIG_SYSROOT_DIR=" + s.sysroot,
		"CC_FOR_BUILD=" + s.compiler.tool("clang"),
	}
	for _, tool := range []string{"ar", "nm", "ranlib", "strip", "objcopy"} {
		env = append(env, strings.ToUpper(tool)+"="+s.compiler.tool("llvm-"+tool))
	}
	return env
}
