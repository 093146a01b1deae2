package artifacts

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/image/licenses"
	"github.com/projectcalico/go-build/image/rootfs"
	"github.com/projectcalico/go-build/image/toolchain"
)

// texts are what is said of licences in the source of Go modules.
type texts map[Module]string

// readTexts reads those of all modules that are linked into programs.
func readTexts(ctx context.Context, t *toolchain.Toolchain, programs []Program) (texts, error) {
	all := make(texts)
	for _, p := range programs {
		for _, m := range p.Modules {
			if _, ok := all[m]; ok {
				continue
			}
			dir, err := t.ModuleDir(ctx, m.Path, m.Version)
			if err != nil {
				return nil, err
			}
			files, err := licenses.Files(dir)
			if err != nil {
				return nil, err
			}
			var said []string
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					return nil, err
				}
				said = append(said, string(bytes.TrimSpace(text)))
			}
			all[m] = strings.Join(said, "\n\n")
		}
	}
	return all, nil
}

// license returns the licence of a program that Go built: its own module's.
func (t texts) license(p Program) string {
	var own Module
	for m := range t {
		if strings.HasPrefix(p.Package+"/", m.Path+"/") && len(m.Path) > len(own.Path) {
			own = m
		}
	}
	if strings.HasPrefix(p.Package, "cmd/") {
		own = p.Modules[0] // the standard library
	}
	return licenses.Of(t[own])
}

// notices returns the texts, each once, after the modules that it is of: licences
// ask for that where programs are distributed.
func (t texts) notices() []byte {
	modules := make(map[string][]string)
	for m, text := range t {
		modules[text] = append(modules[text], m.Path+" "+m.Version)
	}
	var parts []string
	for text, list := range modules {
		slices.Sort(list)
		parts = append(parts, strings.Join(list, "\n")+"\n\n"+cmp.Or(text, "no licence was found in its source")+"\n")
	}
	slices.Sort(parts)
	return []byte("Go modules that are linked into programs here, and their licences.\n\n" + strings.Join(parts, "\n"+strings.Repeat("-", 78)+"\n\n"))
}

// Papers are what is distributed with programs, beside the files of emulators'
// Origin.
type Papers struct {
	Document string        // file with the programs as SPDX
	Files    []rootfs.File // of an image: that one, and licences
	Licenses string        // of all programs, and of what is linked into them
}

// Papers writes what is to be distributed with programs into a directory.
func (w Whole) Papers(ctx context.Context, t *toolchain.Toolchain, root, dir string, programs []Program) (p Papers, err error) {
	said, err := readTexts(ctx, t, programs)
	if err != nil {
		return p, err
	}
	document, license, err := w.document(programs, said)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	p.Document, p.Licenses = filepath.Join(dir, "programs.spdx.json"), license
	modules := filepath.Join(dir, "modules.txt")
	p.Files = []rootfs.File{
		{Name: ShareDir + "programs.spdx.json", Source: p.Document, Mode: 0o644},
		{Name: licenseDir + "modules.txt", Source: modules, Mode: 0o644},
		{Name: licenseDir + "LICENSE", Source: filepath.Join(root, "LICENSE"), Mode: 0o644},
	}
	return p, errors.Join(err, os.WriteFile(p.Document, document, 0o644), os.WriteFile(modules, said.notices(), 0o644))
}
