package file

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A Step is a name on the way to a file, in the directory where it is looked up: no symbolic
// link is in the directory's own path.
type Step struct {
	Dir, Name string
	Info      fs.FileInfo // of what has the name; nil: nothing that can be looked at
}

// Path is where the step leads, unless that is a symbolic link.
func (s Step) Path() string { return filepath.Join(s.Dir, s.Name) }

// IsLink reports whether the name is a symbolic link's.
func (s Step) IsLink() bool { return s.Info != nil && s.Info.Mode()&fs.ModeSymlink != 0 }

// Way returns the steps from the root directory, which is the first, to a file with an absolute
// path, those of symbolic links included. The last one is the file, or what is missing.
func Way(path string) (steps []Step) {
	const most = 40 // MAXSYMLINKS of Linux
	dir, links := "/", 0
	root := Step{Dir: dir, Name: "."}
	if info, err := os.Lstat(dir); err == nil {
		root.Info = info
	}
	steps = append(steps, root)
	for rest := strings.Split(path, "/"); len(rest) > 0; {
		step := Step{Dir: dir, Name: rest[0]}
		switch rest = rest[1:]; step.Name {
		case "", ".":
			continue
		case "..":
			dir = filepath.Dir(dir)
			continue
		}
		info, err := os.Lstat(step.Path())
		if err == nil {
			step.Info = info
		}
		steps = append(steps, step)
		if !step.IsLink() {
			if dir = step.Path(); err != nil {
				break
			}
			continue
		}
		target, err := os.Readlink(step.Path())
		if links++; err != nil || links > most {
			break
		}
		if filepath.IsAbs(target) {
			dir = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return steps
}
