package crossenv

import (
	"debug/elf"
	"fmt"
	"strings"

	"github.com/projectcalico/go-build/internal/cli"
)

const header = "# Made by crossrun --env for %s; it overwrites changes.\n"

// cmakeToolchain returns a CMake toolchain file. The compilers are named whether
// they are installed or not: CMake then says which it misses, and does not take
// the host's.
func (t *target) cmakeToolchain() []byte {
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
	set("CMAKE_CROSSCOMPILING_EMULATOR", t.runner()...)
	s.WriteByte('\n')
	set("CMAKE_FIND_ROOT_PATH_MODE_PROGRAM", "NEVER")
	mode := "ONLY"
	if t.Sysroot != "" {
		set("CMAKE_SYSROOT", t.Sysroot)
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
	set("ENV{PKG_CONFIG_LIBDIR}", strings.Join(t.pkgConfigDirs(), ":"))
	if t.Sysroot != "" {
		set("ENV{PKG_CONFIG_SYSROOT_DIR}", t.Sysroot)
	} else {
		s.WriteString("unset(ENV{PKG_CONFIG_SYSROOT_DIR})\n")
	}
	return []byte(s.String())
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

// mesonCrossFile returns a Meson cross file. As in a CMake toolchain file the
// compilers are named whether they are installed or not.
func (t *target) mesonCrossFile() ([]byte, error) {
	if r := t.Runner; strings.Contains(r, "'") && (strings.Contains(r, `\`) || strings.Contains(r, "''") || strings.HasSuffix(r, "'")) {
		return nil, cli.WithHint(fmt.Errorf("%q: a Meson cross file cannot have such quotes in a path", r),
			"put crossrun into a directory whose path has none")
	}
	endian, sysroot := "little", ""
	if t.arch.Data == elf.ELFDATA2MSB {
		endian = "big"
	}
	if t.Sysroot != "" {
		sysroot = "sys_root = " + mesonString(t.Sysroot) + "\n"
	}
	// Meson 1.3 renamed pkgconfig, and takes both if they say the same. Without
	// needs_exe_wrapper it runs i386's programs itself on amd64, whose kernel takes
	// them and does not find their loader.
	return fmt.Appendf(nil, header+`[binaries]
c = %s
cpp = %s
ar = %s
strip = %s
pkgconfig = 'pkg-config'
pkg-config = 'pkg-config'
exe_wrapper = %s

[properties]
needs_exe_wrapper = true
pkg_config_libdir = %s
%s
[host_machine]
system = 'linux'
cpu_family = %s
cpu = %s
endian = '%s'
`, t.port, mesonList(t.compiler("gcc")), mesonList(t.compiler("g++")), mesonString(t.tool("ar")), mesonString(t.tool("strip")),
		mesonList(t.runner()), mesonList(t.pkgConfigDirs()), sysroot, mesonString(t.family), mesonString(t.machine()), endian), nil
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
