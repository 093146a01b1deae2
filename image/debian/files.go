package debian

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/projectcalico/go-build/image/program"
	"github.com/projectcalico/go-build/image/progress"
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

// parseFiles reads what apt-get --print-uris prints, among notices: a line each,
// "'URI' NAME SIZE SHA256:DIGEST".
func parseFiles(text string) []File {
	var files []File
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 3 || !strings.HasPrefix(fields[0], "'") {
			continue
		}
		size, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			continue
		}
		f := File{Name: fields[1], Size: size}
		if len(fields) > 3 {
			f.SHA256, _ = strings.CutPrefix(fields[3], "SHA256:")
		}
		files = append(files, f)
	}
	return files
}

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
	files := parseFiles(out)
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

// Get downloads the packages that are missing, and returns where all are. Apt checks them against its signed lists.
func (a *Apt) Get(ctx context.Context, files []File) ([]string, error) {
	var paths, missing []string
	for _, f := range files {
		path := a.path(filepath.Join("debs", f.Name))
		paths = append(paths, path)
		if info, err := os.Stat(path); err != nil || info.Size() != f.Size {
			p := f.Package()
			missing = append(missing, p.Name+"="+p.Version)
		}
	}
	if len(missing) > 0 {
		if err := a.download(ctx, missing...); err != nil {
			return nil, err
		}
	}
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
	}
	return paths, nil
}

// SourceVersions returns which versions of a source there are, newest first.
//
// A line of apt-cache madison: " qemu | 1:10.2.2+ds-1 | URL sid/main Sources".
func (a *Apt) SourceVersions(ctx context.Context, name string) ([]string, error) {
	packages, err := a.madison(ctx, " Sources", name)
	list := versions(packages)
	slices.SortFunc(list, func(v, w string) int {
		if AtLeast(ctx, v, w) {
			return -1
		}
		return 1
	})
	return list, err
}

// GetSource downloads the files of a source that are missing, and returns all, and the directory that they are in. Apt checks them against its
// signed lists.
func (a *Apt) GetSource(ctx context.Context, name, version string) (files []File, dir string, err error) {
	source := name + "=" + version
	if files, err = a.files(ctx, "source", "-qq", "--download-only", "--print-uris", source); err != nil {
		return nil, "", err
	}
	dir = a.path("debs")
	defer progress.Start(ctx, "downloading Debian's source of %s", source).End()
	if _, err := program.Output(a.command(ctx, "apt-get", "source", "-qq", "--download-only", source)); err != nil {
		return nil, "", err
	}
	for _, f := range files {
		info, err := os.Stat(filepath.Join(dir, f.Name))
		if err != nil {
			return nil, "", err
		}
		if info.Size() != f.Size || f.SHA256 == "" {
			return nil, "", errors.New(f.Name + ": not what apt's list says")
		}
	}
	return files, dir, nil
}
