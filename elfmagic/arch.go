package elfmagic

import (
	"debug/elf"
	"slices"
)

// An Arch is one architecture whose Linux programs QEMU can run: one row of
// the table. Rows are shared: a caller must not change one.
type Arch struct {
	// Name is QEMU's name of the target, as in "qemu-aarch64". It is the
	// architecture's name in this package too.
	Name string

	// What an ELF header of this architecture says. Flags are compared under
	// FlagsMask, and not at all where FlagsMask is 0.
	Class     elf.Class
	Data      elf.Data
	Machine   elf.Machine
	Flags     uint32
	FlagsMask uint32

	// Also are older machine numbers of the same architecture. QEMU runs such
	// programs too; a pattern, which can name one number, does not match them.
	Also []elf.Machine

	// GOARCH is Go's name of the linux port, or empty.
	GOARCH string

	// Platforms are the OCI platforms whose programs are of this
	// architecture, as containerd formats them, the usual one first. Where
	// neither Go nor OCI has a name for the architecture there is none.
	Platforms []string

	// Uname are the machine names that uname -m prints on it. A name that two
	// byte orders share belongs to the architecture that has it for its own:
	// to mips, not to mipsel.
	Uname []string

	// Debian holds Debian's names of the ports that run on it.
	Debian []Port

	// Aliases are further names that people and other tools use.
	Aliases []string

	// loose are the header bits that this architecture's pattern leaves open
	// although most do not.
	loose []override
}

// A Port is one of Debian's ports: a name (armhf) and the GNU triplet of its
// compilers and library directories (arm-linux-gnueabihf).
type Port struct {
	Name    string
	Triplet string
}

// Archs returns the table's rows in order of their names.
func Archs() []*Arch { return slices.Clone(rows) }

// String returns the architecture's name.
func (a *Arch) String() string { return a.Name }

// Platform returns the usual OCI platform of the architecture, such as
// "linux/arm64". Where OCI has no name for it, QEMU's is used: "linux/hppa".
func (a *Arch) Platform() string {
	if len(a.Platforms) > 0 {
		return a.Platforms[0]
	}
	return "linux/" + a.Name
}
