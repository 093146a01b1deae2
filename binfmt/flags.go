package binfmt

import (
	"fmt"
	"math/bits"
	"strings"
)

// Flags is a set of an entry's flags, each of which the kernel writes as one
// letter. Letters that this package has no name for are kept: kernels learn
// new ones.
type Flags uint64

// The flags of Linux 6.18. With OpenBinary the kernel hands the program to the
// interpreter as an open file (AT_EXECFD); Credentials takes set-user-ID,
// set-group-ID and file capabilities from the program instead of from the
// interpreter, and includes OpenBinary.
const (
	PreserveArgv0 Flags = 1 << iota
	OpenBinary
	Credentials
	FixBinary // Linux 4.8: FeatureFixBinary
)

// letters has each flag's letter in the place of its bit: those above in the order
// in which the kernel prints them, then the others in that of the alphabet.
const letters = "POCFABDEGHIJKLMNQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// known are the flags that every kernel since 4.8 has.
const known = PreserveArgv0 | OpenBinary | Credentials | FixBinary

// ParseFlags reads flags as they are written in a registration and printed by
// the kernel: letters, in any order.
func ParseFlags(s string) (Flags, error) {
	var f Flags
	for i := range len(s) {
		bit := strings.IndexByte(letters, s[i])
		if bit < 0 {
			return 0, fmt.Errorf("flags %q: %q is not a letter", s, s[i])
		}
		f |= 1 << bit
	}
	return f, nil
}

// String returns the flags as the kernel prints them: P, O, C and F in this
// order, then the others in that of the alphabet.
func (f Flags) String() string { return string(f.appendTo(nil)) }

// appendTo appends what String returns.
func (f Flags) appendTo(b []byte) []byte {
	for rest := f & (1<<len(letters) - 1); rest != 0; rest &= rest - 1 {
		b = append(b, letters[bits.TrailingZeros64(uint64(rest))])
	}
	return b
}

// Has reports whether all of the given flags are set.
func (f Flags) Has(flags Flags) bool { return f&flags == flags }

// Effective returns what the kernel makes of the flags: Credentials sets
// OpenBinary too.
func (f Flags) Effective() Flags {
	if f&Credentials != 0 {
		f |= OpenBinary
	}
	return f
}

// Unknown returns those of the flags that this package has no name for. A kernel
// refuses what it does not know: FS.Supports asks it.
func (f Flags) Unknown() Flags { return f &^ known }

// MarshalText returns the flags as String does.
func (f Flags) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads flags as ParseFlags does.
func (f *Flags) UnmarshalText(text []byte) error {
	parsed, err := ParseFlags(string(text))
	if err == nil {
		*f = parsed
	}
	return err
}
