package documents

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/tests/commands"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// picture is what the README shows, below root.
const picture = "docs/terminal.svg"

// session is what is typed for it.
var session = []string{"./hello", "crossrun ./hello", "register arm64 s390x", "./hello"}

// The README's picture is what a terminal shows: programs are run, in one.
func TestThePictureIsOfATerminal(t *testing.T) {
	kerneltest.Instance(t)
	for _, goarch := range []string{"arm64", "s390x"} {
		arch := kerneltest.Lookup(t, goarch)
		if kerneltest.Native(t, arch) {
			t.Skip(goarch, " is native here")
		}
		commands.FindEmulator(t, arch)
	}
	screen := inTerminal(t, workplace(t, ""), session)
	// Where emulators are here, and of which version, is not the picture's.
	screen = strings.ReplaceAll(screen, commands.Dir(), "/usr/bin")
	screen = regexp.MustCompile(`\b\d+\.\d+\.\d+ `).ReplaceAllString(screen, "10.2.2 ")
	screen = regexp.MustCompile(`bash: line \d+: `).ReplaceAllString(screen, "bash: ") // it is a script's
	for _, want := range []string{"Exec format error", "hello from s390x", "added, runs", "\x1b[32m"} {
		assert.Contains(t, screen, want)
	}
	if strings.Contains(screen, " is old (") || !strings.Contains(screen, "-static ") {
		t.Skip("emulators here are old, or have other names: the picture is of newer ones")
	}
	svg := drawn(screen)
	require.NoError(t, xml.Unmarshal([]byte(svg), new(struct{})))
	file := filepath.Join(root, picture)
	if kerneltest.Updating() && os.Getuid() == 0 && !commands.SingleUser(t) {
		require.NoError(t, os.WriteFile(file, []byte(svg), 0o644))
	}
	assert.Equal(t, columnsApart(commands.Read(t, file)), columnsApart(svg), "go test -update writes it")
}

// columnsApart is text with columns that are as far apart whatever is in them.
func columnsApart(text string) string {
	return regexp.MustCompile(` {2,}`).ReplaceAllString(text, "  ")
}

// inTerminal runs command lines in a terminal of 80 columns, one after the other, and
// returns what it shows.
func inTerminal(t *testing.T, dir string, lines []string) string {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo-terminals: ", err)
	}
	defer master.Close()
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	require.NoError(t, unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}))
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals: ", err)
	}
	var script strings.Builder
	for _, line := range lines {
		fmt.Fprintf(&script, "printf '%%s\\n' '$ %s'\n%s\n", line, line)
	}
	cmd := exec.Command("bash", "-c", script.String(), "bash")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+commands.Dir()+":"+os.Getenv("PATH"), "TERM=xterm", "NO_COLOR=", "LC_ALL=C", "HOME="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, cmd.Start())
	slave.Close()
	var shown bytes.Buffer
	_, _ = shown.ReadFrom(master) // EIO when the last process has closed the terminal
	require.NoError(t, cmd.Wait(), shown.String())
	return strings.ReplaceAll(shown.String(), "\r\n", "\n")
}

// drawn is a screen as a picture: dark, as most terminals are, and with text that can be
// selected and read aloud.
func drawn(screen string) string {
	const width, height, margin = 8.43, 19, 16
	lines := strings.Split(strings.TrimRight(screen, "\n"), "\n")
	columns := 0
	var text strings.Builder
	for i, line := range lines {
		fmt.Fprintf(&text, "<text x=\"%d\" y=\"%d\" xml:space=\"preserve\">%s</text>\n", margin, margin+(i+1)*height-5, painted(line))
		columns = max(columns, utf8.RuneCountInString(sgr.ReplaceAllString(line, "")))
	}
	w, h := int(float64(columns)*width)+2*margin, len(lines)*height+2*margin
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="a terminal">
<style>text{font:14px ui-monospace,monospace;fill:#d8dee9}.b{font-weight:bold}.g{fill:#8fce7e}.r{fill:#f07178}.q{fill:#8a93a5}.p{fill:#82aaff}</style>
<rect width="100%%" height="100%%" rx="8" fill="#1b2029"/>
%s</svg>
`, w, h, text.String())
}

var sgr = regexp.MustCompile("\x1b\\[([0-9;]*)m")

// painted is a line with its colours.
func painted(line string) string {
	if rest, ok := strings.CutPrefix(line, "$ "); ok {
		return `<tspan class="p">$</tspan> ` + html.EscapeString(rest)
	}
	classes := map[string]string{"1": "b", "2": "q", "31": "r", "32": "g"}
	var b strings.Builder
	at, class := 0, ""
	write := func(text string) {
		switch {
		case text == "":
		case class == "":
			b.WriteString(html.EscapeString(text))
		default:
			fmt.Fprintf(&b, `<tspan class="%s">%s</tspan>`, class, html.EscapeString(text))
		}
	}
	for _, m := range sgr.FindAllStringSubmatchIndex(line, -1) {
		write(line[at:m[0]])
		at, class = m[1], classes[line[m[2]:m[3]]]
	}
	write(line[at:])
	return b.String()
}

func TestColoursAreDrawn(t *testing.T) {
	assert.Equal(t, `a &lt;<tspan class="g">b</tspan> c`, painted("a <\x1b[32mb\x1b[m c"))
	assert.Equal(t, `<tspan class="p">$</tspan> x`, painted("$ x"))
}
