package crossenv

import (
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
)

func TestANameChoosesPortAndVariant(t *testing.T) {
	for _, test := range []struct {
		name string
		want string // port, triplet, Go's variable, Rust's triple, machine, name of the directory
	}{
		{"arm64", "arm64 aarch64-linux-gnu - aarch64-unknown-linux-gnu aarch64 arm64"},
		{"aarch64", "arm64 aarch64-linux-gnu - aarch64-unknown-linux-gnu aarch64 arm64"},
		{"linux/arm64", "arm64 aarch64-linux-gnu - aarch64-unknown-linux-gnu aarch64 arm64"},
		{"linux/arm64/v8", "arm64 aarch64-linux-gnu GOARM64=v8.0 aarch64-unknown-linux-gnu aarch64 arm64-v8.0"},
		{"arm64v8", "arm64 aarch64-linux-gnu GOARM64=v8.0 aarch64-unknown-linux-gnu aarch64 arm64-v8.0"},
		{"arm64/v9.2", "arm64 aarch64-linux-gnu GOARM64=v9.2 aarch64-unknown-linux-gnu aarch64 arm64-v9.2"},
		{"arm", "armhf arm-linux-gnueabihf GOARM=7 armv7-unknown-linux-gnueabihf armv7l armhf"},
		{"linux/arm", "armhf arm-linux-gnueabihf GOARM=7 armv7-unknown-linux-gnueabihf armv7l armhf"},
		{" Linux/ARM/V7 ", "armhf arm-linux-gnueabihf GOARM=7 armv7-unknown-linux-gnueabihf armv7l armhf"},
		{"arm/7", "armhf arm-linux-gnueabihf GOARM=7 armv7-unknown-linux-gnueabihf armv7l armhf"},
		{"arm/v8", "armhf arm-linux-gnueabihf GOARM=7 armv7-unknown-linux-gnueabihf armv7l armhf"},
		{"armv8l", "armhf arm-linux-gnueabihf GOARM=7 armv7-unknown-linux-gnueabihf armv7l armhf"},
		{"armv7", "armhf arm-linux-gnueabihf GOARM=7 armv7-unknown-linux-gnueabihf armv7l armhf"},
		{"armhf", "armhf arm-linux-gnueabihf GOARM=7 armv7-unknown-linux-gnueabihf armv7l armhf"},
		{"linux/armhf", "armhf arm-linux-gnueabihf GOARM=7 armv7-unknown-linux-gnueabihf armv7l armhf"},
		{"arm-linux-gnueabihf", "armhf arm-linux-gnueabihf GOARM=7 armv7-unknown-linux-gnueabihf armv7l armhf"},
		{"armel", "armel arm-linux-gnueabi GOARM=5 armv5te-unknown-linux-gnueabi armv5tel armel"},
		{"arm-linux-gnueabi", "armel arm-linux-gnueabi GOARM=5 armv5te-unknown-linux-gnueabi armv5tel armel"},
		{"linux/arm/v5", "armel arm-linux-gnueabi GOARM=5 armv5te-unknown-linux-gnueabi armv5tel armel"},
		{"arm32v5", "armel arm-linux-gnueabi GOARM=5 armv5te-unknown-linux-gnueabi armv5tel armel"},
		{"armv5tejl", "armel arm-linux-gnueabi GOARM=5 armv5te-unknown-linux-gnueabi armv5tel armel"},
		{"linux/arm/v6", "armel arm-linux-gnueabi GOARM=6 arm-unknown-linux-gnueabi armv6l armel-v6"},
		{"armv6l", "armel arm-linux-gnueabi GOARM=6 arm-unknown-linux-gnueabi armv6l armel-v6"},
		{"armel/v7", "armel arm-linux-gnueabi GOARM=7 armv7-unknown-linux-gnueabi armv7l armel-v7"},
		{"arm/V6", "armel arm-linux-gnueabi GOARM=6 arm-unknown-linux-gnueabi armv6l armel-v6"},
		{"arm-unknown-linux-gnueabi", "armel arm-linux-gnueabi GOARM=6 arm-unknown-linux-gnueabi armv6l armel-v6"},
		{"armv5te-unknown-linux-gnueabi", "armel arm-linux-gnueabi GOARM=5 armv5te-unknown-linux-gnueabi armv5tel armel"},
		{"armv7-unknown-linux-gnueabi", "armel arm-linux-gnueabi GOARM=7 armv7-unknown-linux-gnueabi armv7l armel-v7"},
		{"armv7-unknown-linux-musleabi", "armel arm-linux-gnueabi GOARM=7 armv7-unknown-linux-gnueabi armv7l armel-v7"},
		{"armv7-unknown-linux-gnueabihf", "armhf arm-linux-gnueabihf GOARM=7 armv7-unknown-linux-gnueabihf armv7l armhf"},
		{"armv6-alpine-linux-musleabihf", "armel arm-linux-gnueabi GOARM=6 arm-unknown-linux-gnueabi armv6l armel-v6"},
		{"arm-buildroot-linux-uclibcgnueabi", "armel arm-linux-gnueabi GOARM=5 armv5te-unknown-linux-gnueabi armv5tel armel"},
		{"armeb", "armeb armeb-linux-gnu - armeb-unknown-linux-gnueabi armv7b armeb"},
		{"386", "i386 i686-linux-gnu - i686-unknown-linux-gnu i686 i386"},
		{"386/sse2", "i386 i686-linux-gnu GO386=sse2 i686-unknown-linux-gnu i686 i386-sse2"},
		{"amd64", "amd64 x86_64-linux-gnu - x86_64-unknown-linux-gnu x86_64 amd64"},
		{"linux/amd64/v3", "amd64 x86_64-linux-gnu GOAMD64=v3 x86_64-unknown-linux-gnu x86_64 amd64-v3"},
		{"loong64", "loong64 loongarch64-linux-gnu - loongarch64-unknown-linux-gnu loongarch64 loong64"},
		{"mips", "mips mips-linux-gnu GOMIPS=hardfloat mips-unknown-linux-gnu mips mips"},
		{"mipsle", "mipsel mipsel-linux-gnu GOMIPS=hardfloat mipsel-unknown-linux-gnu mips mipsel"},
		{"mips64", "mips64 mips64-linux-gnuabi64 GOMIPS64=hardfloat mips64-unknown-linux-gnuabi64 mips64 mips64"},
		{"mips64le", "mips64el mips64el-linux-gnuabi64 GOMIPS64=hardfloat mips64el-unknown-linux-gnuabi64 mips64 mips64el"},
		{"mipsn32el", "mipsn32el mips64el-linux-gnuabin32 - - mips64 mipsn32el"},
		{"ppc64le", "ppc64el powerpc64le-linux-gnu - powerpc64le-unknown-linux-gnu ppc64le ppc64el"},
		{"ppc64le/power9", "ppc64el powerpc64le-linux-gnu GOPPC64=power9 powerpc64le-unknown-linux-gnu ppc64le ppc64el-power9"},
		{"riscv64", "riscv64 riscv64-linux-gnu - riscv64gc-unknown-linux-gnu riscv64 riscv64"},
		{"riscv64/rva22u64", "riscv64 riscv64-linux-gnu GORISCV64=rva22u64 riscv64gc-unknown-linux-gnu riscv64 riscv64-rva22u64"},
		{"s390x", "s390x s390x-linux-gnu - s390x-unknown-linux-gnu s390x s390x"},
		{"sparc64", "sparc64 sparc64-linux-gnu - sparc64-unknown-linux-gnu sparc64 sparc64"},
		{"hppa", "hppa hppa-linux-gnu - - parisc hppa"},
	} {
		t.Run(test.name, func(t *testing.T) {
			target, err := findTarget(lookup(t, test.name), test.name)
			require.NoError(t, err)
			golang := "-"
			if target.goValue != "" {
				golang = target.goName + "=" + target.goValue
			}
			rust := target.rust
			if rust == "" {
				rust = "-"
			}
			got := []string{target.port, target.triplet, golang, rust, target.machine(), target.id()}
			assert.Equal(t, test.want, strings.Join(got, " "))
		})
	}
}

func TestWhatHasNoCompilerIsRefused(t *testing.T) {
	for _, test := range []struct{ name, want, hint string }{
		{"hexagon", "hexagon: neither Go nor Debian has a compiler for it", "toolchain of your own"},
		{"arm/v4", `arm: unknown variant "v4"`, "known are v5, v6, v7, v8"},
		{"arm/v12", `arm: unknown variant "v12"`, "known are v5"},
		{"arm64/v7", `aarch64: unknown variant "v7"`, "known are v8, v8.0"},
		{"amd64/v5", `x86_64: unknown variant "v5"`, "known are v1, v2, v3, v4"},
		{"mips64le/r6", `mips64el: unknown variant "r6"`, "it has none: linux/mips64le"},
		{"s390x/z13", `s390x: unknown variant "z13"`, "it has none: linux/s390x"},
		{"armhf/v6", "armhf: not for variant v6 of linux/arm/v7", "armel's programs run on v6"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := findTarget(lookup(t, test.name), test.name)
			assert.EqualError(t, err, test.want)
			assert.Contains(t, cli.Hint(err), test.hint)
		})
	}
}

// Every name that Lookup takes for an architecture is good for it.
// What --env says of Rust can be said to it.
func TestRustsTargetsAreNames(t *testing.T) {
	for _, r := range rows {
		if r.rust == "" {
			continue
		}
		target, err := findTarget(lookup(t, r.rust), r.rust)
		require.NoError(t, err)
		assert.Equal(t, []string{r.rust, r.port, r.variant}, []string{target.rust, target.port, target.variant})
	}
}

func TestEveryNameOfAnArchitectureHasATarget(t *testing.T) {
	for _, arch := range elfmagic.Archs() {
		if len(arch.Debian) == 0 {
			assert.Empty(t, arch.GOARCH, "%s would have Go", arch)
			continue
		}
		for _, name := range slices.Concat(arch.Names(), arch.Platforms, []string{"qemu-" + arch.Name, ""}) {
			_, err := findTarget(arch, name)
			assert.NoError(t, err, name)
		}
	}
}

// The table and elfmagic's have the same ports.
func TestEveryPortOfDebianHasARow(t *testing.T) {
	var known, ports []string
	for _, arch := range elfmagic.Archs() {
		for _, port := range arch.Debian {
			known = append(known, port.Name)
		}
	}
	for _, r := range rows {
		if !slices.Contains(ports, r.port) {
			ports = append(ports, r.port)
		}
		assert.NotEmpty(t, r.family, r.port)
	}
	assert.ElementsMatch(t, known, ports)
}

func TestRustKnowsItsTriples(t *testing.T) {
	out, err := exec.Command("rustc", "--print", "target-list").Output()
	if err != nil {
		t.Skip("rustc: ", err)
	}
	known := strings.Fields(string(out))
	if !slices.Contains(known, "m68k-unknown-linux-gnu") || !slices.Contains(known, "loongarch64-unknown-linux-gnu") {
		t.Skip("rustc is older than the table")
	}
	for _, r := range rows {
		if r.rust != "" {
			assert.Contains(t, known, r.rust)
		}
	}
}

// Go has a build tag for each value that means something to it: arm.6.
func TestGoTakesItsVariables(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: runs the go command some forty times")
	}
	tags := func(goarch, variable string) []string {
		cmd := exec.Command("go", "list", "-f", "{{context.ToolTags}}", "unsafe")
		cmd.Dir = t.TempDir()
		cmd.Env = append(cmd.Environ(), "GOOS=linux", "GOARCH="+goarch, "GOTOOLCHAIN=local", "GOFLAGS=", "GOWORK=off", variable)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s %s: %s", goarch, variable, out)
		return strings.Fields(strings.Trim(string(out), "[]\n"))
	}
	for _, v := range goVariables {
		_, byVariant := v.all()
		values := slices.Collect(maps.Values(byVariant))
		if v.standard != "" {
			values = append(values, v.standard)
		}
		slices.Sort(values)
		for _, value := range slices.Compact(values) {
			assert.Contains(t, tags(v.goarch, v.name+"="+value), v.goarch+"."+value)
		}
	}
}
