package hosts

import (
	"fmt"
	"strconv"
	"strings"
)

const introduction = `# Hosts as others leave them

What the commands do on hosts of which others have registered something: each finds the host as it is described in
` + "`tests/hosts/testdata`" + `, with the source of each fact. ` + "`go test ./tests/hosts -update`" + ` writes this page; without ` + "`-update`" + `
the test compares, and asserts that

- ` + "`register`" + ` succeeds, every other architecture runs afterwards, and a second one changes nothing,
- what is somebody else's is there afterwards, the very same entry, whatever the command,
- except for ` + "`binfmt --uninstall '*'`" + `, which removes every entry for ELF programs of one machine, whoever made it, and no other.

Columns: the exit status; how many entries were *added*, *replaced*, *removed*, *kept* as they are (register's), and *left alone*
(somebody else's entry is for the same programs, or a pattern does not mean it); how many architectures' programs *run*
afterwards; which entries of somebody else's are there then. An entry with QEMU's usual name (` + "`qemu-aarch64`" + `) is nobody else's,
whoever made it. On amd64 the emulators are Debian 12's of all architectures but amd64 and i386. Native architectures are not
counted: without a name nothing is said of them.
`

// table writes a host's part of the page.
func (h *host) table(w *strings.Builder, outcomes map[string]*outcome) {
	fmt.Fprintf(w, "\n## %s\n\n", h.title)
	plural := fmt.Sprintf("%d entries", len(h.entries))
	if len(h.entries) == 1 {
		plural = "1 entry"
	}
	fmt.Fprintf(w, "`%s.conf`, %s, %s", h.name, h.arch, plural)
	for _, note := range h.notes {
		fmt.Fprintf(w, "; %s", note)
	}
	w.WriteString(".")
	if _, ok := outcomes[status]; !ok {
		w.WriteString(" The host is of another architecture: registering is decided, not done, and the exit status is\nthat where the programs run; every other architecture has an emulator. The removals were done.")
	}
	w.WriteString("\n\n| command | exit status | added | replaced | removed | kept | left alone | run | entries of others |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, command := range all {
		o, ok := outcomes[command]
		if !ok {
			continue
		}
		cells := []string{"`" + command + "`", o.exit}
		for _, n := range []int{o.added, o.replaced, o.removed, o.kept, o.left} {
			cells = append(cells, strconv.Itoa(n))
		}
		theirs := "–"
		if len(o.theirs) > 0 {
			theirs = strings.Join(o.theirs, ", ")
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(append(cells, o.run, theirs), " | "))
	}
}
