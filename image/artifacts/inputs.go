package artifacts

import (
	"fmt"
	"os"
	"strings"

	"github.com/projectcalico/go-build/internal/file"
)

// inputs is what something is made of, a line each: names, versions, options,
// digests. It is kept in a stamp file beside what was made.
type inputs []string

func (in *inputs) add(format string, args ...any) {
	*in = append(*in, fmt.Sprintf(format, args...))
}

// addFile adds a file's content, under a name that is the same on all machines.
func (in *inputs) addFile(name, path string) error {
	sum, err := file.SHA256(path)
	if err != nil {
		return err
	}
	in.add("%s %s", name, sum)
	return nil
}

func (in inputs) text() string { return strings.Join(in, "\n") + "\n" }

// stamped reports whether a stamp says the same, and the files that were made
// are there.
func (in inputs) stamped(stamp string, files ...string) bool {
	data, err := os.ReadFile(stamp)
	if err != nil || string(data) != in.text() {
		return false
	}
	for _, file := range files {
		if _, err := os.Stat(file); err != nil {
			return false
		}
	}
	return true
}

func (in inputs) stamp(stamp string) error {
	return os.WriteFile(stamp, []byte(in.text()), 0o644)
}
