package qemu

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/projectcalico/go-build/image/jsonfile"
	"github.com/projectcalico/go-build/internal/cli"
)

// ManifestFile is the name of the file beside the emulators that says what they
// are made of.
const ManifestFile = "manifest.json"

// A Manifest says what emulators are made of.
type Manifest struct {
	Host      string          `json:"host"`    // GOARCH
	Version   string          `json:"version"` // as --version prints it
	Debian    string          `json:"debian"`  // version of Debian's source
	Source    []SourceArchive `json:"source"`
	Patches   []Patch         `json:"patches"`
	Compiler  string          `json:"compiler"`
	Recipe    []string        `json:"recipe"`
	Libraries []string        `json:"libraries"` // Debian's packages that it was linked with
	Emulators []Built         `json:"emulators"`
}

// A SourceArchive is one of the source's files.
type SourceArchive struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// Built is a finished emulator.
type Built struct {
	Target  string   `json:"target"`
	File    string   `json:"file"`
	Size    int64    `json:"size"`
	SHA256  string   `json:"sha256"`
	Profile []string `json:"profile"` // targets whose guests it was trained with
}

// ReadManifest reads the one in a directory of emulators.
func ReadManifest(dir string) (*Manifest, error) {
	m := new(Manifest)
	err := jsonfile.Read(filepath.Join(dir, ManifestFile), m)
	if errors.Is(err, os.ErrNotExist) {
		return nil, cli.WithHint(fmt.Errorf("no built emulators in %s", dir), "make emulators builds them")
	}
	if err != nil {
		return nil, cli.WithHint(err, "make emulators writes it again")
	}
	return m, nil
}
