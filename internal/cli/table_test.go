package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func table(dirs ...string) *Table {
	t := &Table{Header: []string{"WHAT", "OF", "FILE", "SAID"}, Path: 2, Derived: 1}
	for i, dir := range dirs {
		t.Rows = append(t.Rows, Row{Cells: []string{"one", string('a' + rune(i)), dir + "/" + string('a'+rune(i)) + "-static", "it is\x1b said of it"}, Colour: Bad})
	}
	return t
}

func TestTablesFit(t *testing.T) {
	for name, test := range map[string]struct {
		table  *Table
		screen Screen
		want   string
	}{
		"no screen":                 {table("/d"), Screen{}, "WHAT  OF  FILE         SAID\none   a   /d/a-static  it is\\x1b said of it\n"},
		"room":                      {table("/d"), Screen{Columns: 46}, "WHAT  OF  FILE         SAID\none   a   /d/a-static  it is\\x1b said of it\n"},
		"wrapped":                   {table("/d"), Screen{Columns: 43}, "WHAT  OF  FILE         SAID\none   a   /d/a-static  it is\\x1b said of\n                       it\n"},
		"the directory apart":       {table("/d", "/d"), Screen{Columns: 39}, "WHAT  OF  FILE      SAID\none   a   a-static  it is\\x1b said of\n                    it\none   b   b-static  it is\\x1b said of\n                    it\nfiles are in /d\n"},
		"without what is derived":   {table("/dir"), Screen{Columns: 36}, "WHAT  FILE      SAID\none   a-static  it is\\x1b said of\n                it\nfiles are in /dir\n"},
		"several directories":       {table("/d", "/e"), Screen{Columns: 40}, "WHAT  FILE         SAID\none   /d/a-static  it is\\x1b said of it\none   /e/b-static  it is\\x1b said of it\n"},
		"below each other":          {table("/d", "/e"), Screen{Columns: 30}, "WHAT  SAID\n  OF FILE\none   it is\\x1b said of it\n  a /d/a-static\none   it is\\x1b said of it\n  b /e/b-static\n"},
		"below each other, painted": {table("/d"), Screen{Columns: 20, Colour: true}, "\x1b[1mWHAT\x1b[m  \x1b[1mSAID\x1b[m\n  \x1b[2mOF FILE\x1b[m\none   \x1b[31mit is\\x1b\x1b[m\n      \x1b[31msaid of it\x1b[m\n  \x1b[2ma /d/a-static\x1b[m\n"},
		"nothing":                   {table(), Screen{Columns: 20}, ""},
	} {
		var out strings.Builder
		require.NoError(t, test.table.Write(&out, test.screen))
		assert.Equal(t, test.want, out.String(), name)
	}
}

func TestTablesWithoutAHeader(t *testing.T) {
	rows := table("/d")
	rows.Header = nil
	var out strings.Builder
	require.NoError(t, rows.Write(&out, Screen{}))
	assert.Equal(t, "one  a  /d/a-static  it is\\x1b said of it\n", out.String())
}
