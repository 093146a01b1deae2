// Package licenses says what SPDX calls the licences of what is shipped, and where
// their texts are.
package licenses

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/projectcalico/go-build/internal/cli"
)

const (
	Own     = "Apache-2.0"   // this project: LICENSE in its root
	QEMU    = "GPL-2.0-only" // as a whole, its LICENSE says; parts are under others that this one includes
	Unknown = "NOASSERTION"
)

// libraries are the licences of the libraries that are linked into static
// emulators, by the names of Debian's sources: those of the code that is linked,
// not of all in the source. See /usr/share/doc/PACKAGE/copyright in Debian 13.
var libraries = map[string]string{
	"capstone": "BSD-3-Clause",                            // libcapstone-dev
	"gcc":      "GPL-3.0-or-later WITH GCC-exception-3.1", // libgcc-14-dev
	"glib2.0":  "LGPL-2.1-or-later",                       // libglib2.0-dev
	"glibc":    "LGPL-2.1-or-later",                       // libc6-dev
	"gnutls28": "LGPL-2.1-or-later",                       // libgnutls28-dev: the main library
	"liburing": "LGPL-2.1-or-later OR MIT",                // liburing-dev
	"linux":    "GPL-2.0-only WITH Linux-syscall-note",    // linux-libc-dev: headers
	"numactl":  "LGPL-2.1-only",                           // libnuma-dev: the library
	"pcre2":    "BSD-3-Clause",                            // libpcre2-dev, with an exception for binaries
	"sysprof":  "BSD-2-Clause-Patent",                     // libsysprof-capture-4-dev: the library
	"zlib":     "Zlib",                                    // zlib1g-dev
}

var gcc = regexp.MustCompile(`^gcc-\d+$`)

// Debian returns the licence of a library, by the name of Debian's source.
func Debian(source string) string {
	if license := libraries[gcc.ReplaceAllString(source, "gcc")]; license != "" {
		return license
	}
	return Unknown
}

// A mark is words that the text of a licence has, and has or has not, beside these.
// Punctuation, upper case and line ends are left out.
type mark struct{ license, words, with, without string }

const (
	binary  = "redistributions in binary form must reproduce the above copyright"
	endorse = "to endorse or promote products derived from this software without"
)

// marks tell licences apart. Of some there are several.
var marks = []mark{
	{"Apache-2.0", "apache license version 2.0 january 2004", "", ""},
	{"Apache-2.0", "licensed under the apache license version 2.0", "", ""},
	{"BSD-2-Clause", binary, "", endorse},
	{"BSD-3-Clause", binary, endorse, ""},
	{"GPL-2.0-only", "gnu general public license version 2 june 1991", "", ""},
	{"GPL-3.0-only", "gnu general public license version 3 29 june 2007", "", ""},
	{"ISC", "use copy modify and or distribute this software for any purpose with or without fee", "", ""},
	{"ISC", "use copy modify and distribute this software for any purpose with or without fee", "", ""},
	{"LGPL-2.1-only", "gnu lesser general public license version 2.1 february 1999", "", ""},
	{"LGPL-3.0-only", "gnu lesser general public license version 3 29 june 2007", "", ""},
	{"MIT", "permission is hereby granted free of charge to any person obtaining a copy", "", ""},
	{"MPL-2.0", "mozilla public license version 2.0 1. definitions", "", ""},
	{"Unlicense", "this is free and unencumbered software released into the public domain", "", ""},
}

var noWords = regexp.MustCompile(`[^a-z0-9.]+`)

// Of returns the licences whose texts a text has.
func Of(text string) string {
	text = noWords.ReplaceAllString(strings.ToLower(text), " ")
	var found []string
	for _, m := range marks {
		if strings.Contains(text, m.words) && strings.Contains(text, m.with) && (m.without == "" || !strings.Contains(text, m.without)) {
			found = append(found, m.license)
		}
	}
	return All(found...)
}

// All returns the expression for what is under all of some licences, without those
// that are unknown.
func All(list ...string) string {
	var all []string
	for _, license := range list {
		for part := range strings.SplitSeq(license, " AND ") {
			if strings.Contains(part, " OR ") && !strings.HasPrefix(part, "(") {
				part = "(" + part + ")"
			}
			if part != Unknown && part != "" {
				all = append(all, part)
			}
		}
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) == 0 {
		return Unknown
	}
	return strings.Join(all, " AND ")
}

// Files returns the files in the directory of a module, or of another source, that
// have its licences and what must be said with them.
func Files(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var paths []string
	for _, e := range entries {
		if e.Type().IsRegular() && named.MatchString(e.Name()) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, err
}

var named = regexp.MustCompile(`(?i)^(un)?(licen[cs]e|copying|notice|patents)([-.].*)?$`)

// common is where Debian's base-files has the texts that copyright files name.
const common = "/usr/share/common-licenses/"

var commonNames = regexp.MustCompile(common + `[A-Za-z0-9]+(-[0-9]+(\.[0-9]+)?)?`)

// Common returns the files of the licences of QEMU and of GNU's libraries, and of those
// that copyright files of Debian's name, of which an older release may have fewer.
func Common(copyrights ...string) ([]string, error) {
	paths := []string{common + "GPL-2", common + "LGPL-2.1"}
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			return nil, cli.WithHint(err, "it goes with the emulators; Debian's package base-files has it")
		}
	}
	for _, path := range copyrights {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for _, named := range commonNames.FindAllString(string(text), -1) {
			if _, err := os.Stat(named); err == nil {
				paths = append(paths, named)
			}
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}
