package crossenv

import (
	"debug/elf"
	"fmt"
	"strings"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
)

const header = "# Made by crossrun --env for %s; it overwrites changes.\n"

// CMakeToolchain returns a CMake toolchain file. The compilers are named whether
// they are installed or not: CMake then says which it misses, and does not take
// the host's.
func CMakeToolchain(arch *elfmagic.Arch, o Options) ([]byte, error) {
	t, err := prepare(arch, o)
	if err != nil {
		return nil, err
	}
	var s strings.Builder
	set := func(name string, values ...string) {
		fmt.Fprintf(&s, "set(%s %s)\n", name, cmakeList(values))
	}
	fmt.Fprintf(&s, header, t.port)
	set("CMAKE_SYSTEM_NAME", "Linux")
	set("CMAKE_SYSTEM_PROCESSOR", t.machine())
	set("CMAKE_C_COMPILER", t.tool("gcc"))
	set("CMAKE_CXX_COMPILER", t.tool("g++"))
	set("CMAKE_LIBRARY_ARCHITECTURE", t.multiarch)
	set("CMAKE_CROSSCOMPILING_EMULATOR", runner(o)...)
	s.WriteByte('\n')
	set("CMAKE_FIND_ROOT_PATH_MODE_PROGRAM", "NEVER")
	mode := "ONLY"
	if o.Sysroot != "" {
		set("CMAKE_SYSROOT", o.Sysroot)
	} else {
		// Multiarch libraries are below the host's own /usr, in a directory of
		// the architecture: the host's are not found in their place.
		mode = "BOTH"
		set("CMAKE_FIND_ROOT_PATH", "/usr/"+t.triplet)
	}
	for _, what := range []string{"LIBRARY", "INCLUDE", "PACKAGE"} {
		set("CMAKE_FIND_ROOT_PATH_MODE_"+what, mode)
	}
	s.WriteByte('\n')
	set("ENV{PKG_CONFIG_LIBDIR}", strings.Join(t.pkgConfigDirs(o), ":"))
	if o.Sysroot != "" {
		set("ENV{PKG_CONFIG_SYSROOT_DIR}", o.Sysroot)
	} else {
		s.WriteString("unset(ENV{PKG_CONFIG_SYSROOT_DIR})\n")
	}
	return []byte(s.String()), nil
}

// cmakeList returns a list as a quoted argument of CMake's.
func cmakeList(values []string) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, `@`, `\@`, `;`, `\;`)
	var escaped []string
	for _, value := range values {
		escaped = append(escaped, escape.Replace(value))
	}
	return `"` + strings.Join(escaped, ";") + `"`
}

// MesonCrossFile returns a Meson cross file. As in a CMake toolchain file the
// compilers are named whether they are installed or not.
func MesonCrossFile(arch *elfmagic.Arch, o Options) ([]byte, error) {
	t, err := prepare(arch, o)
	if err != nil {
		return nil, err
	}
	if strings.Contains(o.Runner, "'") && (strings.Contains(o.Runner, `\`) || strings.Contains(o.Runner, "''") || strings.HasSuffix(o.Runner, "'")) {
		return nil, cli.WithHint(fmt.Errorf("%q: a Meson cross file cannot have such quotes in a path", o.Runner),
			"put crossrun into a directory whose path has none")
	}
	var s strings.Builder
	fmt.Fprintf(&s, header, t.port)
	s.WriteString("[binaries]\n")
	fmt.Fprintf(&s, "c = %s\n", mesonList(t.compiler("gcc", o)))
	fmt.Fprintf(&s, "cpp = %s\n", mesonList(t.compiler("g++", o)))
	fmt.Fprintf(&s, "ar = %s\n", mesonString(t.tool("ar")))
	fmt.Fprintf(&s, "strip = %s\n", mesonString(t.tool("strip")))
	// Meson 1.3 renamed it, and takes both if they say the same.
	s.WriteString("pkgconfig = 'pkg-config'\npkg-config = 'pkg-config'\n")
	fmt.Fprintf(&s, "exe_wrapper = %s\n", mesonList(runner(o)))

	// Else Meson runs i386's programs without it on amd64, whose kernel takes
	// them and does not find their loader.
	s.WriteString("\n[properties]\nneeds_exe_wrapper = true\n")
	fmt.Fprintf(&s, "pkg_config_libdir = %s\n", mesonList(t.pkgConfigDirs(o)))
	if o.Sysroot != "" {
		fmt.Fprintf(&s, "sys_root = %s\n", mesonString(o.Sysroot))
	}

	endian := "little"
	if t.arch.Data == elf.ELFDATA2MSB {
		endian = "big"
	}
	s.WriteString("\n[host_machine]\nsystem = 'linux'\n")
	fmt.Fprintf(&s, "cpu_family = %s\n", mesonString(t.family))
	fmt.Fprintf(&s, "cpu = %s\n", mesonString(t.machine()))
	fmt.Fprintf(&s, "endian = %s\n", mesonString(endian))
	return []byte(s.String()), nil
}

// mesonString returns a string for a Meson machine file. It knows no escapes: a
// backslash is one (MachineFileParser in Meson's sources). Three quotes may have
// one between them, if it is neither last nor followed by another.
func mesonString(s string) string {
	if strings.Contains(s, "'") {
		return "'''" + s + "'''"
	}
	return "'" + s + "'"
}

func mesonList(values []string) string {
	var quoted []string
	for _, value := range values {
		quoted = append(quoted, mesonString(value))
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
