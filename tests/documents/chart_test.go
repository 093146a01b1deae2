package documents

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/projectcalico/go-build/elfmagic"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// The chart refuses names of architectures that it does not know. Those of compilers' targets
// are not in its list: it takes them all.
func TestTheChartKnowsTheNamesOfArchitectures(t *testing.T) {
	var names []string
	for _, arch := range elfmagic.Archs() {
		for _, name := range arch.Names() {
			if !strings.Contains(name, "-linux") {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	for _, name := range names {
		_, err := elfmagic.Lookup(name)
		assert.NoError(t, err)
	}
	kerneltest.Golden(t, filepath.Join("..", "..", "..", "deploy", "kubernetes", "chart", "architectures.txt"), strings.Join(names, "\n")+"\n")
}
