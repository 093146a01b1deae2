package rootarchive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"

	"github.com/projectcalico/go-build/internal/cli"
	"github.com/projectcalico/go-build/internal/file"
)

// files are those of an image: blobs, and JSON that says what they are.
type files interface {
	// open opens a file. The error is os.ErrNotExist if there is none.
	open(name string) (io.ReadCloser, error)
}

// A directory is an OCI layout that has been unpacked.
type directory struct{ root *os.Root }

func (d directory) open(name string) (io.ReadCloser, error) {
	info, err := d.root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // a pipe would wait
		return nil, fmt.Errorf("%s: %w", name, file.ErrNotRegular)
	}
	return d.root.Open(name)
}

// members are the regular files of a tar archive that is not compressed.
type members map[string]*io.SectionReader

func (m members) open(name string) (io.ReadCloser, error) {
	member := m[name]
	if member == nil {
		return nil, fmt.Errorf("%s: %w", name, os.ErrNotExist)
	}
	return io.NopCloser(io.NewSectionReader(member, 0, member.Size())), nil
}

// list lists the members of an archive, which must have entries.
func list(f *os.File) (members, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	archive := io.NewSectionReader(f, 0, info.Size())
	all, links := members{}, map[string]string{}
	r := tar.NewReader(archive)
	for entries := 0; ; entries++ {
		header, err := r.Next()
		if err == io.EOF && entries > 0 {
			all.follow(links)
			return all, nil
		}
		if err != nil {
			return nil, notTar(err)
		}
		// The reader reads headers whole and nothing ahead: here the data begins.
		start, err := archive.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		name := path.Clean(header.Name)
		switch header.Typeflag {
		case tar.TypeReg:
			all[name] = io.NewSectionReader(f, start, header.Size)
			delete(links, name)
		case tar.TypeSymlink, tar.TypeLink: // docker save had links for layers that are the same
			target := header.Linkname
			if header.Typeflag == tar.TypeSymlink {
				target = path.Join(path.Dir(name), target)
			}
			links[name] = path.Clean(target)
		}
	}
}

// follow adds the names that are links to members, which may come later, or be links themselves.
func (m members) follow(links map[string]string) {
	const most = 40 // as path_resolution(7) has it: they may lead to each other
	for name, to := range links {
		for range most {
			next, more := links[to]
			if !more {
				break
			}
			to = next
		}
		if member := m[to]; member != nil {
			m[name] = member
		}
	}
}

func notTar(err error) error {
	return cli.WithHint(fmt.Errorf("no whole tar archive: %w", err), "--rootfs takes a directory, a tar archive of a root file system, an archive of docker save, and an OCI layout; all may be compressed")
}

// formats are how archives and layers are compressed, and which command reads what
// this program does not.
var formats = []struct{ magic, command string }{
	{"\x1f\x8b", ""}, // gzip
	{"\x28\xb5\x2f\xfd", "zstd"},
	{"\xfd7zXZ\x00", "xz"},
	{"BZh", "bzip2"},
}

// decompress returns what is compressed in a stream, if it is; else the stream.
func decompress(ctx context.Context, r io.Reader) (stream io.ReadCloser, compressed bool, err error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	start, _ := buffered.Peek(6) // an empty file is an error of whoever reads it
	for _, format := range formats {
		switch {
		case !bytes.HasPrefix(start, []byte(format.magic)):
			continue
		case format.command == "":
			stream, err = gzip.NewReader(buffered)
		default:
			stream, err = pipe(ctx, buffered, format.command)
		}
		return stream, true, err
	}
	return io.NopCloser(buffered), false, nil
}

// A piped stream is a command's standard output.
type piped struct {
	io.Reader
	cmd    *exec.Cmd
	stderr bytes.Buffer
	ended  bool
}

func pipe(ctx context.Context, from io.Reader, command string) (io.ReadCloser, error) {
	p := &piped{cmd: exec.CommandContext(ctx, command, "-dc")}
	p.cmd.Stdin, p.cmd.Stderr = from, &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if errors.Is(err, exec.ErrNotFound) {
		return nil, cli.WithHint(fmt.Errorf("it is compressed by %s, which is not installed", command), "install %s", command)
	}
	p.Reader = out
	return p, err
}

// Read returns the command's failure at the end of its output.
func (p *piped) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	if err == io.EOF && !p.ended {
		p.ended = true
		if waitErr := p.cmd.Wait(); waitErr != nil {
			return n, fmt.Errorf("%s: %w: %s", p.cmd.Args[0], waitErr, strings.TrimSpace(p.stderr.String()))
		}
	}
	return n, err
}

func (p *piped) Close() error {
	if !p.ended {
		p.ended = true
		p.cmd.Process.Kill()
		p.cmd.Wait()
	}
	return nil
}

// plain returns an archive that is not compressed: the file itself, or one without a
// name in the directory.
func plain(ctx context.Context, f *os.File, dir string) (*os.File, error) {
	stream, compressed, err := decompress(ctx, io.NewSectionReader(f, 0, 1<<62))
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	if !compressed {
		return f, nil
	}
	temporary, err := os.CreateTemp(dir, ".archive-")
	if err != nil {
		return nil, err
	}
	os.Remove(temporary.Name())
	if _, err := io.Copy(temporary, stream); err != nil {
		temporary.Close()
		return nil, fmt.Errorf("cannot be decompressed: %w", err)
	}
	return temporary, nil
}
