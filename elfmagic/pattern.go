package elfmagic

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
)

// KernelWindow is the number of bytes at the start of a file that the kernel
// compares with patterns: BINPRM_BUF_SIZE, 256 since Linux 5.1 (6eb3c3d0a52d)
// and 128 before.
const KernelWindow = 256

// A Pattern says which files an entry of binfmt_misc is for, by their bytes
// from Offset on: a byte matches if it equals the Magic byte in all the bits
// that are set in the Mask byte. An empty Mask stands for one of all bits.
type Pattern struct {
	Offset int
	Magic  []byte
	Mask   []byte
}

// Match reports whether the kernel would take a file that begins with head to
// match the pattern. As in the kernel, a file shorter than the pattern is
// compared as if zeros followed, and only the first KernelWindow bytes count
// (search_binfmt_handler in fs/binfmt_misc.c, prepare_binprm in fs/exec.c). A
// pattern that is not valid matches nothing. Match of one that is does not
// allocate.
func (p Pattern) Match(head []byte) bool {
	magic, mask, order := p.Magic, p.Mask, binary.LittleEndian
	head = head[max(0, min(p.Offset, len(head))):]
	i, last := 0, min(len(magic), len(mask), len(head))-8
	// Eight bytes at once, as all the patterns of the table are tried on a file; most
	// differ before it matters whether they are valid.
	for ; i <= last; i += 8 {
		if (order.Uint64(head[i:])^order.Uint64(magic[i:]))&order.Uint64(mask[i:]) != 0 {
			return false
		}
	}
	if p.Validate() != nil {
		return false
	}
	for ; i < len(magic); i++ {
		differing := magic[i]
		if i < len(head) {
			differing ^= head[i]
		}
		if differing != 0 && differing&p.compared(i) != 0 {
			return false
		}
	}
	return true
}

// compared returns the bits that are compared in a byte of the magic.
func (p *Pattern) compared(i int) byte {
	if len(p.Mask) == 0 {
		return 0xff
	}
	return p.Mask[i]
}

// Validate says why the kernel would not register the pattern (bm_register in
// fs/binfmt_misc.c): it takes a magic that lies within the window, and a mask, if
// any, of the same length. The receiver is a pointer because a copy costs more
// than the check.
func (p *Pattern) Validate() error {
	switch {
	case len(p.Magic) == 0:
		return errors.New("no magic")
	case p.Offset < 0:
		return fmt.Errorf("offset %d is negative", p.Offset)
	case len(p.Mask) != 0 && len(p.Mask) != len(p.Magic):
		return fmt.Errorf("magic of %d bytes, but mask of %d", len(p.Magic), len(p.Mask))
	case len(p.Magic) > KernelWindow || p.Offset > KernelWindow-len(p.Magic):
		return fmt.Errorf("offset %d and magic of %d bytes; the kernel looks at the first %d bytes of a file", p.Offset, len(p.Magic), KernelWindow)
	}
	return nil
}

// Overlaps reports whether there can be a file that both patterns match. A pattern that is
// not valid matches none.
func (p Pattern) Overlaps(q Pattern) bool {
	if p.Validate() != nil || q.Validate() != nil {
		return false
	}
	for i := range p.Magic {
		j := p.Offset + i - q.Offset
		if j >= 0 && j < len(q.Magic) && (p.Magic[i]^q.Magic[j])&p.compared(i)&q.compared(j) != 0 {
			return false
		}
	}
	return true
}

// Equal reports whether two patterns are written alike. Patterns that are not
// may still match the same files.
func (p Pattern) Equal(q Pattern) bool {
	return p.Offset == q.Offset && bytes.Equal(p.Magic, q.Magic) && bytes.Equal(p.Mask, q.Mask)
}

// An override has mask bytes that leave open, from an offset on, what a pattern
// compares otherwise.
type override struct {
	offset int
	mask   []byte
}

var (
	// An AppImage says AI and its type in bytes 8 to 10, where other programs have
	// zeros; byte 8 is open in every pattern.
	appImage = override{elf.EI_PAD, []byte{0, 0}}
	// QEMU's own registration accepts x86 programs that leave byte order or version
	// 0, as some hand-made ones do.
	x86Ident = override{elf.EI_DATA, []byte{0xfe, 0xfe}}
)

// Pattern returns the pattern that matches the architecture's programs:
// executables and shared objects (position-independent executables are those)
// of its class, byte order and machine, whatever OS ABI and ABI version they
// name. Neither the kernel's own ELF loader nor QEMU looks at these two, and
// toolchains do set them (GNU for indirect functions, ABI versions up to 5 on
// MIPS).
func (a *Arch) Pattern() Pattern {
	order := a.order()
	magic := a.head(elf.ET_EXEC)
	mask := bytes.Repeat([]byte{0xff}, offVersion)
	mask[elf.EI_OSABI] = 0
	mask[elf.EI_ABIVERSION] = 0
	order.PutUint16(mask[offType:], 0xfffe) // ET_EXEC and ET_DYN, 2 and 3, differ in the last bit
	if a.FlagsMask == 0 {
		magic = magic[:offVersion]
	} else {
		flags := layouts[a.Class].flags
		magic = magic[:flags+4]
		mask = append(mask, make([]byte, len(magic)-len(mask))...)
		order.PutUint32(mask[flags:], a.FlagsMask)
	}
	for _, o := range a.loose {
		copy(mask[o.offset:], o.mask)
	}
	return Pattern{Magic: magic, Mask: mask}
}

func (a *Arch) order() binary.ByteOrder {
	if a.Data == elf.ELFDATA2MSB {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// Heads returns the first bytes of some of the architecture's programs, as
// toolchains write them: executables and position-independent ones, with the
// System V and the GNU OS ABI. They show which patterns of other owners would
// catch such programs.
func (a *Arch) Heads() [][]byte {
	var heads [][]byte
	for _, osabi := range []elf.OSABI{elf.ELFOSABI_NONE, elf.ELFOSABI_LINUX} {
		for _, typ := range []elf.Type{elf.ET_EXEC, elf.ET_DYN} {
			head := a.head(typ)
			head[elf.EI_OSABI] = byte(osabi)
			a.order().PutUint32(head[offVersion:], uint32(elf.EV_CURRENT))
			heads = append(heads, head)
		}
	}
	return heads
}

// head returns the header of a program, with what is the same in all of them.
func (a *Arch) head(typ elf.Type) []byte {
	head := make([]byte, HeaderSize)
	copy(head, elf.ELFMAG)
	head[elf.EI_CLASS] = byte(a.Class)
	head[elf.EI_DATA] = byte(a.Data)
	head[elf.EI_VERSION] = byte(elf.EV_CURRENT)
	a.order().PutUint16(head[offType:], uint16(typ))
	a.order().PutUint16(head[offMachine:], uint16(a.Machine))
	a.order().PutUint32(head[layouts[a.Class].flags:], a.Flags)
	return head
}
