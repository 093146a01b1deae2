// Package emulation says for which platforms there is an emulator in binfmt_misc, as
// Podman wants to know before it pulls an image: an example of github.com/projectcalico/go-build/binfmt.
// Whether what is registered works is another question, which binfmt/host answers.
package emulation

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
)

// Registered returns the platforms, in alphabetical order; none if that cannot be seen.
func Registered() []string {
	fs := binfmt.New(binfmt.DefaultMount)
	if enabled, err := fs.Enabled(); err != nil || !enabled {
		return nil
	}
	entries, _ := fs.List() // those that can be understood
	found := make(map[string]bool)
	for _, arch := range elfmagic.Archs() {
		for _, e := range binfmt.Catching(entries, arch.Heads()) {
			if works(e) {
				found[arch.Platform()] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// works reports whether an entry is used, and in each container: the kernel holds its
// interpreter open.
func works(e binfmt.Entry) bool { return !e.Disabled && e.Flags.Has(binfmt.FixBinary) }

// parseBinfmtMisc reads an entry as the kernel prints it. Its offset is negative if it
// is not used in containers, or is for files with an extension.
func parseBinfmtMisc(path string, r io.Reader) (offset int, magic, mask []byte, err error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return -1, nil, nil, err
	}
	var e binfmt.Entry
	if err := e.UnmarshalText(trimmed(text)); err != nil {
		return -1, nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if !works(e) || len(e.Pattern.Mask) == 0 {
		return -1, nil, nil, nil
	}
	return int(e.Pattern.Offset), e.Pattern.Magic, e.Pattern.Mask, nil
}

// trimmed has one space between words, as the kernel prints them.
func trimmed(text []byte) []byte {
	var lines [][]byte
	for line := range bytes.Lines(text) {
		if words := bytes.Fields(line); len(words) > 0 {
			lines = append(lines, bytes.Join(words, []byte(" ")))
		}
	}
	return append(bytes.Join(lines, []byte("\n")), '\n')
}

// magicMatch reports whether a file that begins so is an entry's.
func magicMatch(header []byte, offset int, mask, magic []byte) bool {
	return offset >= 0 && elfmagic.Pattern{Offset: offset, Magic: magic, Mask: mask}.Match(header)
}

// getKnownELFPlatformHeaders returns how programs of each platform begin.
func getKnownELFPlatformHeaders() map[string][][]byte {
	headers := make(map[string][][]byte)
	for _, arch := range elfmagic.Archs() {
		headers[arch.Platform()] = arch.Heads()
		headers["linux/"+arch.GOARCH] = arch.Heads() // linux/arm, for one, without a variant
	}
	return headers
}
