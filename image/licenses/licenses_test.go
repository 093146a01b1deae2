package licenses

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/tests/spdx"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

func TestThisProjectsLicenceIsThatOfItsFile(t *testing.T) {
	assert.Equal(t, Own, Of(read(t, "../../LICENSE")))
}

// Debian's own texts of the licences, as far as there are any.
func TestTextsAreRecognised(t *testing.T) {
	for name, want := range map[string]string{
		"Apache-2.0": "Apache-2.0", "BSD": "BSD-3-Clause", "GPL-2": "GPL-2.0-only", "GPL-3": "GPL-3.0-only",
		"LGPL-2.1": "LGPL-2.1-only", "LGPL-3": "LGPL-3.0-only", "MPL-2.0": "MPL-2.0", "Artistic": Unknown,
	} {
		path := filepath.Join("/usr/share/common-licenses", name)
		if _, err := os.Stat(path); err != nil {
			t.Logf("%s is not installed", path)
			continue
		}
		assert.Equal(t, want, Of(read(t, path)), name)
	}
	const redistribution = "Redistributions in binary form must reproduce the above\n * copyright notice"
	for text, want := range map[string]string{
		redistribution: "BSD-2-Clause",
		redistribution + ". The name may not be used to endorse or promote products derived from this software without permission": "BSD-3-Clause",
		"Permission is hereby granted, free of charge, to any person obtaining a copy of this":                                     "MIT",
		"Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is granted":          "ISC",
		"This is free and unencumbered software released into the public domain.":                                                  "Unlicense",
		"All rights reserved": Unknown, "": Unknown,
		"Licensed under the Apache License, Version 2.0 (the \"License\")\n\nPermission is hereby granted, free of charge, to any person obtaining a copy": "Apache-2.0 AND MIT",
	} {
		assert.Equal(t, want, Of(text), text)
	}
}

func TestLicencesAreJoined(t *testing.T) {
	assert.Equal(t, "(LGPL-2.1-or-later OR MIT) AND Apache-2.0 AND GPL-3.0-or-later WITH GCC-exception-3.1 AND MIT",
		All("MIT AND Apache-2.0", Unknown, "GPL-3.0-or-later WITH GCC-exception-3.1", "LGPL-2.1-or-later OR MIT", "(LGPL-2.1-or-later OR MIT) AND MIT", ""))
	assert.Equal(t, Unknown, All())
	assert.Equal(t, Unknown, All(Unknown))
}

func TestLibrariesLicencesAreKnown(t *testing.T) {
	assert.Equal(t, "LGPL-2.1-or-later", Debian("glibc"))
	assert.Equal(t, "GPL-3.0-or-later WITH GCC-exception-3.1", Debian("gcc-14"))
	assert.Equal(t, Unknown, Debian("gcc-14-cross"))
	assert.Equal(t, Unknown, Debian("libnew"))
	for source, license := range libraries {
		spdx.Expression(t, license)
		assert.Equal(t, license, Debian(source))
	}
}

func TestFilesWithLicencesAreFound(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"LICENSE", "LICENCE.md", "License-MIT", "COPYING.LIB", "NOTICE", "UNLICENSE", "PATENTS", "licenses.go", "README", "noticed"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "license"), 0o755))
	files, err := Files(dir)
	require.NoError(t, err)
	var names []string
	for _, file := range files {
		names = append(names, filepath.Base(file))
	}
	assert.ElementsMatch(t, []string{"LICENSE", "LICENCE.md", "License-MIT", "COPYING.LIB", "NOTICE", "UNLICENSE", "PATENTS"}, names)
}

// What copyright files name goes along, with or without a full stop behind it.
func TestTextsThatCopyrightFilesNameAreFound(t *testing.T) {
	copyright := filepath.Join(t.TempDir(), "copyright")
	write := func(text string) { require.NoError(t, os.WriteFile(copyright, []byte(text), 0o644)) }
	write("see /usr/share/common-licenses/LGPL-2.\nsee `/usr/share/common-licenses/GPL-2', /usr/share/common-licenses/MPL-1.1.\n/usr/share/common-licenses/CC0-1.0 /usr/share/common-licenses/None-1")
	got, err := Common(copyright)
	if err != nil {
		t.Skip("this is not Debian: ", err)
	}
	assert.Equal(t, []string{common + "CC0-1.0", common + "GPL-2", common + "LGPL-2", common + "LGPL-2.1", common + "MPL-1.1"}, got)
	_, err = Common(copyright + ".none")
	assert.ErrorIs(t, err, os.ErrNotExist)
}
