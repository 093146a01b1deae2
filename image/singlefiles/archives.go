package singlefiles

import (
	"path/filepath"
	"strings"

	"github.com/projectcalico/go-build/image/artifacts"
	"github.com/projectcalico/go-build/image/rootfs"
)

// archives writes an archive of each emulator, under the names that multiarch's releases
// have: x86_64_qemu-s390x-static.tar.gz, and for hosts of amd64 without the host, too.
// Beside them is one of the licences, and where the source is.
func (b *Builder) archives(emulators artifacts.Emulators, dir string) (paths []string, err error) {
	write := func(name string, files ...rootfs.File) error {
		path := filepath.Join(b.Dir, name)
		paths = append(paths, path)
		return rootfs.WriteFile(path, files, b.revision.Time)
	}
	papers, err := emulators.Origin.Files(dir)
	if err != nil {
		return nil, err
	}
	for i := range papers {
		papers[i].Name = "qemu-licenses/" + strings.TrimPrefix(papers[i].Name, artifacts.ShareDir+"licenses/")
	}
	if err := write("qemu-licenses-linux-"+b.Host.GOARCH+".tar.gz", papers...); err != nil {
		return nil, err
	}
	for _, e := range emulators.Found {
		file := rootfs.File{Name: "qemu-" + e.Arch.Name + "-static", Source: e.Path, Mode: 0o755}
		if err := write(b.Host.Name+"_"+file.Name+".tar.gz", file); err != nil {
			return nil, err
		}
		if b.Host.GOARCH != "amd64" {
			continue
		}
		if err := write(file.Name+".tar.gz", file); err != nil {
			return nil, err
		}
	}
	return paths, nil
}
