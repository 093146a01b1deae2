package binfmt_test

import (
	"fmt"
	"os"
	"strings"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
)

// An entry is written as the kernel's file register reads it.
func ExampleEntry_MarshalText() {
	e := binfmt.Entry{
		Name:        "script",
		Pattern:     elfmagic.Pattern{Magic: []byte("#?\x00"), Mask: []byte{0xff, 0xff, 0x7f}},
		Interpreter: "/usr/bin/run",
		Flags:       binfmt.FixBinary,
	}
	line, err := e.MarshalText()
	fmt.Println(string(line), err)

	e.Interpreter = "run"
	_, err = e.MarshalText()
	fmt.Println(err)
	// Output:
	// :script:M:0:\x23\x3f\x00:\xff\xff\x7f:/usr/bin/run:F <nil>
	// entry "script": interpreter "run" is not an absolute path
}

// A plan says what leads from the entries that are there to those that are
// wanted. FS.Apply carries it out.
func ExamplePlan() {
	entry := func(extension, interpreter string) binfmt.Entry {
		return binfmt.Entry{Name: "run-" + extension, Extension: extension, Interpreter: interpreter}
	}
	current := []binfmt.Entry{entry("a", "/bin/a"), entry("b", "/bin/old"), entry("z", "/bin/z")}
	desired := []binfmt.Entry{entry("a", "/bin/a"), entry("b", "/bin/b"), entry("c", "/bin/c")}
	for _, step := range binfmt.Plan(desired, current, binfmt.PlanOptions{Remove: []string{"run-z"}}) {
		fmt.Printf("%s %s: %s\n", step.Action, step.Name, step.Reason)
	}
	// Output:
	// keep run-a: registered already
	// replace run-b: interpreter /bin/b instead of /bin/old
	// add run-c: not registered
	// remove run-z: not wanted
}

// A line of a file in binfmt.d registers an entry at boot.
func ExampleWriteConf() {
	e := binfmt.Entry{Name: "jar", Extension: "jar", Interpreter: "/usr/bin/jexec", Flags: binfmt.PreserveArgv0}
	if err := binfmt.WriteConf(os.Stdout, []binfmt.Entry{e}); err != nil {
		fmt.Println(err)
	}
	// Output: :jar:E::jar::/usr/bin/jexec:P
}

func ExampleParseConf() {
	entries, err := binfmt.ParseConf(strings.NewReader(`# Python
:python3.11:M::\xa7\x0d\x0d\x0a::/usr/bin/python3.11:
:bad:M::::/bin/true:
`))
	for _, e := range entries {
		fmt.Printf("%s is for files that begin with % x\n", e.Name, e.Pattern.Magic)
	}
	fmt.Println(err)
	// Output:
	// python3.11 is for files that begin with a7 0d 0d 0a
	// line 3: neither a magic nor an extension
}
