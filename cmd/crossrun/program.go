package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/message"
)

// A program is what the caller wants to run.
type program struct {
	path string   // of the file, as execve takes it
	argv []string // argv[0] as the caller gave it

	// script is the program that the #! line of the file names, with the
	// arguments that it gets; nil for other files.
	script *program

	// What an ELF file says of itself. elfErr is why it could not be read:
	// the kernel may have an entry for the file all the same.
	header elfmagic.Header
	interp string // loader; empty for static programs
	elfErr error
}

// find looks a program up as a shell does: in PATH unless its name has a slash.
func find(argv []string) (string, error) {
	file := argv[0]
	if strings.Contains(file, "/") {
		return file, nil
	}
	path, err := exec.LookPath(file)
	switch {
	case err == nil:
		return path, nil
	case errors.Is(err, exec.ErrDot):
		return "", cannot(message.WithHint(fmt.Errorf("%s: found only in the current directory", file), "crossrun ./%s", file))
	}
	err = fmt.Errorf("%s: not found in PATH", file)
	if _, statErr := os.Stat(file); statErr == nil {
		return "", notFound(message.WithHint(err, "crossrun ./%s runs the one in this directory", file))
	}
	return "", notFound(err)
}

// maxScripts is how many #! lines the kernel follows, one to another (exec.c).
const maxScripts = 5

// inspect reads what the file at path is. Errors are about files that no
// kernel could run, whatever is registered.
func inspect(path string, argv []string, depth int) (*program, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil, notFound(fmt.Errorf("%s: no such file", path))
	case err != nil:
		return nil, cannot(err)
	case info.IsDir():
		return nil, cannot(fmt.Errorf("%s: is a directory", path))
	case info.Mode()&0o111 == 0:
		return nil, cannot(message.WithHint(fmt.Errorf("%s: not executable", path), "chmod +x %s", path))
	}
	p := &program{path: path, argv: argv}
	file, err := os.Open(path)
	if err != nil {
		// A program may be executable and not readable: the kernel knows.
		p.elfErr = err
		return p, nil
	}
	defer file.Close()
	head := make([]byte, elfmagic.KernelWindow)
	n, err := file.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, cannot(err)
	}
	head = head[:n]
	if n == 0 {
		return nil, cannot(fmt.Errorf("%s: empty file", path))
	}
	if line, ok := bytes.CutPrefix(head, []byte("#!")); ok {
		return p, p.readScript(line, depth)
	}
	p.header, p.elfErr = elfmagic.ParseHeader(head)
	if p.elfErr != nil {
		return p, nil
	}
	segments, err := p.header.Segments(file)
	if err == nil {
		p.interp, err = elfmagic.Interp(file, segments)
	}
	if extent := elfmagic.Extent(segments); err == nil && extent > uint64(info.Size()) {
		err = fmt.Errorf("%w: it has %d of %d bytes", elfmagic.ErrTruncated, info.Size(), extent)
	}
	p.elfErr = err
	return p, nil
}

// readScript reads what follows #! as the kernel does: a path, and the rest of
// the line as one argument.
func (p *program) readScript(line []byte, depth int) error {
	line, _, _ = bytes.Cut(line, []byte("\n"))
	interpreter, argument, _ := strings.Cut(strings.Trim(string(line), " \t"), " ")
	if i := strings.IndexByte(interpreter, '\t'); i >= 0 {
		interpreter, argument = interpreter[:i], interpreter[i+1:]+" "+argument
	}
	if interpreter == "" {
		return cannot(fmt.Errorf("%s: script whose #! line names no interpreter", p.path))
	}
	if depth == maxScripts {
		return cannot(fmt.Errorf("%s: more than %d scripts are each other's interpreters", p.path, maxScripts))
	}
	argv := []string{interpreter}
	if argument = strings.Trim(argument, " \t"); argument != "" {
		argv = append(argv, argument)
	}
	argv = append(append(argv, p.path), p.argv[1:]...)
	script, err := inspect(interpreter, argv, depth+1)
	if err != nil {
		return cannot(fmt.Errorf("%s: script whose interpreter cannot be run: %w", p.path, errors.Unwrap(err)))
	}
	p.script = script
	return nil
}

// binary returns the program that is not a script in the end: itself, or the
// interpreter of the interpreter…
func (p *program) binary() *program {
	for p.script != nil {
		p = p.script
	}
	return p
}
