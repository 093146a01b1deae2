// Package rootfs writes root file systems as tar archives that are the same
// bytes whenever they are made of the same files.
package rootfs

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/projectcalico/go-build/internal/file"
)

// A File is one file of the archive: a regular one with the content of Source,
// or a symbolic link to Target.
type File struct {
	Name   string // path in the archive, without a leading slash
	Source string // path of a file with the content
	Target string
	Mode   int64 // permission bits of a regular file
}

// Write writes the files in the order of their names, with the directories that
// they are in. All belong to root, and all times are the given one.
func Write(w io.Writer, files []File, when time.Time) error {
	files = slices.SortedFunc(slices.Values(files), func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	archive := tar.NewWriter(w)
	made := make(map[string]bool)
	for _, f := range files {
		if err := mkdirs(archive, path.Dir(f.Name), made, when); err != nil {
			return err
		}
		if err := writeFile(archive, f, when); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return archive.Close()
}

func mkdirs(archive *tar.Writer, dir string, made map[string]bool, when time.Time) error {
	if dir == "." || made[dir] {
		return nil
	}
	if err := mkdirs(archive, path.Dir(dir), made, when); err != nil {
		return err
	}
	made[dir] = true
	return archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: when})
}

func writeFile(archive *tar.Writer, f File, when time.Time) error {
	if f.Target != "" {
		return archive.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: f.Name, Linkname: f.Target, Mode: 0o777, ModTime: when})
	}
	source, err := os.Open(f.Source)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Size: info.Size(), Mode: f.Mode, ModTime: when}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(archive, source)
	return err
}

// WriteFile writes the files into an archive of a name, whole or not at all. It is
// compressed if its name ends in .gz: by a module whose version go.sum says, as
// compress/gzip writes other bytes with other versions of Go.
func WriteFile(name string, files []File, when time.Time) error {
	return file.Replace(name, 0o644, func(w io.Writer) error {
		if filepath.Ext(name) != ".gz" {
			return Write(w, files, when)
		}
		zip := gzip.NewWriter(w)
		return errors.Join(Write(zip, files, when), zip.Close())
	})
}
