package emulators

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/image/jsonfile"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

const (
	orderFile     = "testdata/order.json"
	orderDocument = "../../docs/memory-order.md"
)

// An orderRun is what one emulator made of a target's pairs.
type orderRun struct {
	Name   string         `json:"name"`
	Rounds int            `json:"rounds"` // of each pair
	Wrong  map[string]int `json:"wrong,omitempty"`
}

// An orderRow is of a target, by its triplet, and a host.
type orderRow struct {
	Pairs []string   `json:"pairs"` // in their order
	Runs  []orderRun `json:"runs"`
}

// parseOrder reads what testdata/order.c prints: a pair of accesses, a colon, and in how many
// rounds they were seen in a wrong order.
func parseOrder(stdout string) (pairs []string, wrong map[string]int, err error) {
	wrong = map[string]int{}
	for line := range strings.Lines(stdout) {
		pair, count, _ := strings.Cut(line, ":")
		var n int
		if _, err := fmt.Sscanf(count, "%d wrong\n", &n); err != nil {
			return nil, nil, fmt.Errorf("not a pair and its rounds: %q", line)
		}
		pairs = append(pairs, pair)
		if n > 0 {
			wrong[pair] = n
		}
	}
	return pairs, wrong, nil
}

func TestParseOrder(t *testing.T) {
	pairs, wrong, err := parseOrder("stlr ldar: 12 wrong\nc11 c11: 0 wrong\n")
	require.NoError(t, err)
	assert.Equal(t, []string{"stlr ldar", "c11 c11"}, pairs)
	assert.Equal(t, map[string]int{"stlr ldar": 12}, wrong)
	_, _, err = parseOrder("order: out of memory\n")
	assert.Error(t, err)
}

// readOrder returns the rows by "TRIPLET on HOST".
func readOrder(t *testing.T) map[string]orderRow {
	t.Helper()
	var rows map[string]orderRow
	require.NoError(t, jsonfile.Read(orderFile, &rows))
	return rows
}

// updateOrder keeps a row, and writes the document anew.
func updateOrder(t *testing.T, name string, row orderRow) {
	t.Helper()
	rows := readOrder(t)
	rows[name] = row
	require.NoError(t, jsonfile.Write(orderFile, rows))
	require.NoError(t, os.WriteFile(orderDocument, []byte(documentOrder(rows)), 0o644))
}

// documentOrder is docs/memory-order.md.
func documentOrder(rows map[string]orderRow) string {
	var b strings.Builder
	b.WriteString(`# Memory order: what two threads see of each other

Two threads of a program store and load, each pair of accesses in many rounds (` + "`tests/emulators/testdata/order.c`" + `): x = 1; r = y in one, y = 1;
r = x in the other. Both reading 0 is wrong, if the accesses are sequentially consistent; so is a message that is not seen by who sees that there
is one ("release acquire"), and two loads that see what the other thread stores afterwards ("acquire release"). Of the language's pairs "c11" is
a store or load of C11 with memory_order_seq_cst, others its exchange, addition, comparison (one that fails, where it loads) and fence; the
rest are instructions (an arm64 processor itself may have LDAPR before an earlier STLR; ours do not). By itself TestOrder has 10,000,000 rounds of each
pair; TEST_ORDER_ROUNDS is for machines that are busy. This file is written by ` + "`make test-emulators TESTFLAGS=\"-run TestOrder -update\"`" + `, and
` + "`make test-foreign-emulators`" + ` with the same flags for emulators of arm64 hosts. Those run under an emulator on amd64, which keeps the order that amd64
does: what is seen there is what the emulator itself moves, not what an arm64 processor would. For that the code is read
([emulators.md](emulators.md#hosts-of-arm64)).

## Targets

In how many rounds of how many a pair was seen in a wrong order, all pairs together.

`)
	line := func(cells ...string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line("program on host", "pairs", "natively", "stock", "ours")
	line("---", "---:", "---", "---", "---")
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		cells := []string{name, fmt.Sprint(len(rows[name].Pairs)), "–", "", "–"}
		var stock []string
		for _, run := range rows[name].Runs {
			said := run.summary(len(rows[name].Pairs))
			switch run.Name {
			case "native":
				cells[2] = said
			case "ours":
				cells[4] = said
			default:
				stock = append(stock, said+" (QEMU "+run.Name+")")
			}
		}
		cells[3] = strings.Join(stock, "; ")
		line(cells...)
	}
	b.WriteString("\n## Pairs in a wrong order\n\n")
	line("program on host", "pair", "rounds")
	line("---", "---", "---")
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		for _, pair := range rows[name].Pairs {
			if said := rows[name].wrong(pair); said != "" {
				line(name, pair, said)
			}
		}
	}
	b.WriteString("\n## All pairs\n\n")
	all := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		pairs := strings.Join(rows[name].Pairs, ", ")
		all[pairs] = append(all[pairs], name)
	}
	for _, pairs := range slices.SortedFunc(maps.Keys(all), func(a, b string) int { return strings.Compare(all[a][0], all[b][0]) }) {
		b.WriteString("- " + strings.Join(all[pairs], ", ") + ": " + pairs + ".\n")
	}
	return b.String()
}

func (r orderRun) summary(pairs int) string {
	wrong := 0
	for _, n := range r.Wrong {
		wrong += n
	}
	return fmt.Sprintf("%d of %s", wrong, thousands(r.Rounds*pairs))
}

// wrong says under whom a pair was seen in a wrong order, and how often.
func (r orderRow) wrong(pair string) string {
	var under []string
	for _, run := range r.Runs {
		if n := run.Wrong[pair]; n > 0 {
			under = append(under, fmt.Sprintf("%d of %s (%s)", n, thousands(run.Rounds), run.Name))
		}
	}
	return strings.Join(under, "; ")
}

// thousands is a number with commas.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// The document says what was counted.
func TestOrderDocument(t *testing.T) {
	want := documentOrder(readOrder(t))
	if kerneltest.Updating() {
		require.NoError(t, os.WriteFile(orderDocument, []byte(want), 0o644))
	}
	text, err := os.ReadFile(orderDocument)
	require.NoError(t, err)
	assert.Equal(t, want, string(text), "go test -update writes it")
}
