package debian

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/projectcalico/go-build/image/program"
	"github.com/projectcalico/go-build/image/progress"
	"github.com/projectcalico/go-build/internal/file"
)

// A File is one that Debian's archive has: a package, or a part of a source.
type File struct {
	Name   string // zlib1g-dev_1%3a1.3-1_arm64.deb: as apt names it, an epoch's colon escaped
	Size   int64
	SHA256 string `json:",omitempty"` // if apt's list has it
}

// Package returns the package of a .deb, by its name.
func (f File) Package() Package {
	name, rest, _ := strings.Cut(f.Name, "_")
	version, _, _ := strings.Cut(rest, "_")
	return Package{name, strings.ReplaceAll(version, "%3a", ":")}
}

// listed is what apt-get --print-uris prints, among notices: "'URI' NAME SIZE
// SHA256:DIGEST".
var listed = regexp.MustCompile(`(?m)^'\S+' (\S+) (\d+)(?: SHA256:(\S+))?`)

// files has apt name files, in an empty directory: it leaves out those that it
// finds.
func (a *Apt) files(ctx context.Context, args ...string) ([]File, error) {
	cmd := a.command(ctx, "apt-get", args...)
	cmd.Dir = a.path("none")
	if err := os.MkdirAll(cmd.Dir, 0o755); err != nil {
		return nil, err
	}
	out, err := program.Output(cmd)
	if err != nil {
		return nil, err
	}
	var files []File
	for _, m := range listed.FindAllStringSubmatch(out, -1) {
		size, err := strconv.ParseInt(m[2], 10, 64)
		if err != nil {
			return nil, err
		}
		files = append(files, File{m[1], size, m[3]})
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("apt-get %s: it names no files", strings.Join(args, " "))
	}
	return files, nil
}

// Packages returns the files of packages, in their newest versions.
func (a *Apt) Packages(ctx context.Context, names ...string) ([]File, error) {
	return a.files(ctx, append([]string{"download", "-qq", "--print-uris"}, names...)...)
}

// Closure returns the files of packages and of all that they depend on.
func (a *Apt) Closure(ctx context.Context, names ...string) ([]File, error) {
	return a.files(ctx, append([]string{"install", "-y", "-qq", "--no-install-recommends", "--print-uris", "-o", "Acquire::ForceHash=SHA256"}, names...)...)
}

// Get downloads the packages that are missing, or are not what apt's signed lists say,
// and returns where all are. Apt checks what it downloads, but takes a file of the right
// size that is there for the package (2.6.1).
func (a *Apt) Get(ctx context.Context, files []File) ([]string, error) {
	var paths, missing []string
	for _, f := range files {
		path := a.path(filepath.Join("debs", f.Name))
		paths = append(paths, path)
		if f.isAt(path) {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return nil, err
		}
		p := f.Package()
		missing = append(missing, p.Name+"="+p.Version)
	}
	if len(missing) == 0 {
		return paths, nil
	}
	return paths, a.download(ctx, missing...)
}

// isAt reports whether a path has the file, as far as it is known.
func (f File) isAt(path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.Size() != f.Size && f.Size > 0 {
		return false
	}
	if f.SHA256 == "" {
		return true
	}
	sum, err := file.SHA256(path)
	return err == nil && sum == f.SHA256
}

// download downloads packages, and shows which one it is at.
//
// A line for each of apt-get -q: "Get:2 URL suite/main arm64 qemu-user arm64 1:11.1 [72 MB]".
func (a *Apt) download(ctx context.Context, packages ...string) error {
	task := progress.Start(ctx, "downloading Debian's packages")
	defer task.End()
	n := 0
	_, err := program.Output(a.command(ctx, "apt-get", append([]string{"download", "-q"}, packages...)...), func(line string) {
		if strings.HasPrefix(line, "Get:") {
			n++
			task.At(fmt.Sprintf("%d of %d", n, len(packages)))
		}
	})
	return err
}

// Download is Get for a package of a version.
func (a *Apt) Download(ctx context.Context, name, version string) (string, error) {
	f := File{Name: fmt.Sprintf("%s_%s_%s.deb", name, strings.ReplaceAll(version, ":", "%3a"), a.arch)}
	// What is there may be half of one, of a run that was interrupted, or spoilt: apt's list tells.
	if _, err := os.Stat(a.path(filepath.Join("debs", f.Name))); err == nil {
		if known, err := a.Packages(ctx, name+"="+version); err == nil && len(known) == 1 && known[0].Name == f.Name {
			f = known[0]
		}
	}
	paths, err := a.Get(ctx, []File{f})
	if err != nil {
		return "", err
	}
	return paths[0], nil
}

// GetSource downloads the files of a source that are missing, and returns all, and the
// directory that they are in. Apt checks them against its signed lists, those that are
// there, too (2.6.1).
func (a *Apt) GetSource(ctx context.Context, name, version string) (files []File, dir string, err error) {
	return a.getSource(ctx, name, version)
}

// GetUpstream is GetSource of the archive alone that others released. It is kept longer
// than Debian's part, as it is of several versions.
func (a *Apt) GetUpstream(ctx context.Context, name, version string) (archive File, path string, err error) {
	files, dir, err := a.getSource(ctx, name, version, "--tar-only")
	if err == nil && len(files) != 1 {
		err = fmt.Errorf("%s %s has %d archives", name, version, len(files))
	}
	if err != nil {
		return File{}, "", err
	}
	return files[0], filepath.Join(dir, files[0].Name), nil
}

func (a *Apt) getSource(ctx context.Context, name, version string, only ...string) (files []File, dir string, err error) {
	source := append([]string{"source", "-qq", "--download-only", name + "=" + version}, only...)
	if files, err = a.files(ctx, append(source, "--print-uris")...); err != nil {
		return nil, "", err
	}
	for _, f := range files {
		if f.SHA256 == "" {
			return nil, "", errors.New(f.Name + ": apt's list has no SHA256 of it")
		}
	}
	defer progress.Start(ctx, "downloading Debian's source of %s %s", name, version).End()
	_, err = program.Output(a.command(ctx, "apt-get", source...))
	return files, a.path("debs"), err
}

// notFetched is what apt says, among much else: "E: Failed to fetch
// URL  404  Not Found [IP: 192.0.2.1 80]".
var notFetched = regexp.MustCompile(`E: Failed to fetch \S*?([^/\s]+)\s+(.*?)( \[IP:.*)?(\n|$)`)

// Reason returns the part of an error of apt's that says why.
func Reason(err error) string {
	said := strings.TrimSpace(err.Error())
	if m := notFetched.FindStringSubmatch(said); m != nil {
		return m[1] + ": " + strings.Join(strings.Fields(m[2]), " ")
	}
	first, _, _ := strings.Cut(said, "\n")
	return strings.TrimSpace(first)
}
