package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

// A program is what the caller wants to run.
type program struct {
	path string   // of the file, as execve takes it
	argv []string // argv[0] as the caller gave it
	head []byte   // its first bytes, if they can be read

	// script is the program that the #! line of the file names, with the
	// arguments that it gets; nil for other files.
	script *program

	// What an ELF file says of itself. elfErr is why it could not be read:
	// the kernel may have an entry for the file all the same.
	header elfmagic.Header
	interp string // loader; empty for static programs
	elfErr error
}

// find looks a program up as a shell does, in PATH unless its name has a slash, or
// in a root file system if root is not empty, which has another PATH.
func find(root, path string, argv []string) (string, error) {
	file := argv[0]
	switch {
	case root != "":
		return findIn(root, path, file)
	case strings.Contains(file, "/"):
		return file, nil
	}
	path, err := lookPath(file)
	if err == nil {
		return path, nil
	}
	err = fmt.Errorf("%s: not found in PATH", file)
	if _, statErr := os.Stat(file); statErr == nil {
		return "", notFound(cli.WithHint(err, "crossrun %s runs the one in this directory", cli.Quote("./"+file)))
	}
	if said := saidHere(file); said != "" {
		err = cli.WithHint(err, "%s", said)
	}
	return "", notFound(err)
}

// lookPath is exec.LookPath as shells and execvp(3) do it: PATH may have relative
// directories, and where there is none it is confstr(3)'s.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	switch _, there := os.LookupEnv("PATH"); {
	case errors.Is(err, exec.ErrDot) && !strings.Contains(path, "/"):
		return "./" + path, nil
	case errors.Is(err, exec.ErrDot):
		return path, nil
	case err == nil || there || name == "":
		return path, err
	}
	if path, err := exec.LookPath("/bin/" + name); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/bin/" + name)
}

// maxScripts is how many #! lines the kernel follows, one to another (exec.c).
const maxScripts = 5

// inspect reads what the file at path is, in a root file system if root is not
// empty. Errors are about files that no kernel could run, whatever is registered.
func inspect(root, path string, argv []string, depth int) (*program, error) {
	onHost, err := within(root, path)
	var info os.FileInfo
	if err == nil {
		info, err = os.Stat(onHost)
	}
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil, notFound(fmt.Errorf("%s: no such file", path))
	case err != nil:
		return nil, cannot(err)
	case info.IsDir():
		return nil, cannot(fmt.Errorf("%s: is a directory", path))
	case !info.Mode().IsRegular():
		return nil, cannot(fmt.Errorf("%s: not a regular file", path)) // opening a pipe would wait
	case info.Mode()&0o111 == 0:
		return nil, cannot(cli.WithHint(fmt.Errorf("%s: not executable", path), "chmod +x %s", cli.Quote(onHost)))
	}
	p := &program{path: path, argv: argv}
	f, err := file.OpenRegular(onHost)
	if err != nil {
		// A program may be executable and not readable: the kernel knows.
		p.elfErr = err
		return p, nil
	}
	defer f.Close()
	head := make([]byte, elfmagic.KernelWindow)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, cannot(err)
	}
	p.head = head[:n]
	if n == 0 {
		return nil, cannot(fmt.Errorf("%s: empty file", path))
	}
	if bytes.HasPrefix(p.head, []byte("#!")) {
		return p, p.readScript(root, onHost, depth)
	}
	p.header, p.elfErr = elfmagic.ParseHeader(p.head)
	if t := p.header.Type; p.elfErr == nil && t != elf.ET_EXEC && t != elf.ET_DYN {
		p.elfErr = fmt.Errorf("no program, but an ELF file of type %v", t) // a kernel module, a core file
	}
	if p.elfErr != nil {
		return p, nil
	}
	segments, err := p.header.Segments(f)
	if err == nil {
		p.interp, err = elfmagic.Interp(f, segments)
	}
	if extent := elfmagic.Extent(segments); err == nil && extent > uint64(info.Size()) {
		err = fmt.Errorf("%w: it has %d of %d bytes", elfmagic.ErrTruncated, info.Size(), extent)
	}
	p.elfErr = err
	return p, nil
}

// parseScript splits a #! line, of which head are a file's first bytes, as the
// kernel does (load_script in fs/binfmt_script.c): into a path, and the rest of
// the line as one argument, if there is any. There is no path if the line has
// none, or if it does not end within what the kernel reads; an argument that
// does not is cut off.
func parseScript(head []byte) []string {
	const blanks = " \t"
	var buffer [elfmagic.KernelWindow]byte
	copy(buffer[:], head)
	line, _, whole := strings.Cut(string(buffer[len("#!"):]), "\n")
	if !whole {
		if !strings.ContainsAny(strings.TrimLeft(line, blanks), blanks+"\x00") {
			return nil
		}
		line = line[:len(line)-1] // a NUL byte takes the last place
	}
	line = strings.Trim(line, blanks)
	end := strings.IndexAny(line, blanks+"\x00")
	switch {
	case line == "" || end == 0:
		return nil
	case end < 0:
		return []string{line}
	case line[end] == 0:
		return []string{line[:end]}
	}
	argument, _, _ := strings.Cut(strings.TrimLeft(line[end:], blanks), "\x00")
	return []string{line[:end], argument}
}

// readScript reads the #! line of a script, which the host has at another path if it is in a
// root file system.
func (p *program) readScript(root, onHost string, depth int) error {
	argv := parseScript(p.head)
	switch {
	case argv == nil:
		return cannot(noInterpreter(p))
	case strings.HasSuffix(argv[0], "\r"):
		return cannot(cli.WithHint(fmt.Errorf("%s: script whose #! line ends with a carriage return", p.path), "sed -i 's/\\r$//' %s", cli.Quote(onHost)))
	}
	if depth == maxScripts {
		return cannot(fmt.Errorf("%s: more than %d scripts are each other's interpreters", p.path, maxScripts))
	}
	argv = append(append(argv, p.path), p.argv[1:]...)
	script, err := inspect(root, argv[0], argv, depth+1)
	if err != nil {
		return cannot(fmt.Errorf("%s: script whose interpreter cannot be run: %w", p.path, errors.Unwrap(err)))
	}
	p.script = script
	return nil
}

// noInterpreter says what is wrong with a #! line of which parseScript makes nothing.
func noInterpreter(p *program) error {
	line := strings.TrimLeft(string(p.head[len("#!"):]), " \t")
	if len(p.head) < elfmagic.KernelWindow || line == "" || strings.ContainsAny(line, "\n\x00") {
		return fmt.Errorf("%s: script whose #! line names no interpreter", p.path)
	}
	err := fmt.Errorf("%s: script whose #! line names an interpreter by too long a path", p.path)
	return cli.WithHint(err, "the kernel reads %d bytes of a script: name a shorter path, such as that of a link", elfmagic.KernelWindow)
}

// binary returns the program that is not a script in the end: itself, or the
// interpreter of the interpreter…
func (p *program) binary() *program {
	for p.script != nil {
		p = p.script
	}
	return p
}
