package binfmt_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/projectcalico/go-build/binfmt"
	"github.com/projectcalico/go-build/elfmagic"
)

func entry(name, magic, interpreter string) binfmt.Entry {
	return binfmt.Entry{Name: name, Pattern: elfmagic.Pattern{Magic: []byte(magic)}, Interpreter: interpreter, Flags: binfmt.FixBinary}
}

type outcome struct {
	action binfmt.Action
	name   string
	reason string
}

func outcomes(steps []binfmt.Step) []outcome {
	var list []outcome
	for _, s := range steps {
		list = append(list, outcome{s.Action, s.Name, s.Reason})
	}
	return list
}

func TestPlan(t *testing.T) {
	want := entry("a", "magic-a", "/new")
	old := entry("a", "magic-a", "/old")
	disabled := want
	disabled.Disabled = true
	flags := want
	flags.Flags = binfmt.PreserveArgv0
	pattern := want
	pattern.Pattern = elfmagic.Pattern{Magic: []byte("magic")}
	other := entry("a", "other", "/other")
	python := binfmt.Entry{Name: "a", Extension: "py", Interpreter: "/usr/bin/python3"}
	temporary := entry("a.new", "magic-a", "/new")
	second := entry("a.new2", "magic-a", "/new")
	foreign := entry("a.new", "java", "/java")
	unrelated := entry("z", "z", "/z")

	for name, test := range map[string]struct {
		current []binfmt.Entry
		options binfmt.PlanOptions
		want    []outcome
	}{
		"nothing there":                   {nil, binfmt.PlanOptions{}, []outcome{{binfmt.Add, "a", "not registered"}}},
		"there":                           {[]binfmt.Entry{want}, binfmt.PlanOptions{}, []outcome{{binfmt.Keep, "a", "registered already"}}},
		"another interpreter":             {[]binfmt.Entry{old}, binfmt.PlanOptions{}, []outcome{{binfmt.Replace, "a", "interpreter /new instead of /old"}}},
		"other flags":                     {[]binfmt.Entry{flags}, binfmt.PlanOptions{}, []outcome{{binfmt.Replace, "a", `flags "F" instead of "P"`}}},
		"another pattern":                 {[]binfmt.Entry{pattern}, binfmt.PlanOptions{}, []outcome{{binfmt.Replace, "a", "another pattern"}}},
		"disabled":                        {[]binfmt.Entry{disabled}, binfmt.PlanOptions{}, []outcome{{binfmt.Replace, "a", "it is disabled"}}},
		"stale":                           {[]binfmt.Entry{want}, binfmt.PlanOptions{Stale: map[string]string{"a": "old file"}}, []outcome{{binfmt.Replace, "a", "old file"}}},
		"same name, other files":          {[]binfmt.Entry{other}, binfmt.PlanOptions{}, []outcome{{binfmt.Skip, "a", "an entry of this name is for other files"}}},
		"same name, an extension":         {[]binfmt.Entry{python}, binfmt.PlanOptions{}, []outcome{{binfmt.Skip, "a", "an entry of this name is for other files"}}},
		"same name, other files, forced":  {[]binfmt.Entry{other}, binfmt.PlanOptions{Force: true}, []outcome{{binfmt.Replace, "a", "interpreter /new instead of /other"}}},
		"killed before anything else":     {[]binfmt.Entry{temporary, old}, binfmt.PlanOptions{}, []outcome{{binfmt.Replace, "a", "interpreter /new instead of /old"}, {binfmt.Remove, "a.new", "left by a run that was interrupted"}}},
		"killed after the removal":        {[]binfmt.Entry{temporary}, binfmt.PlanOptions{}, []outcome{{binfmt.Add, "a", "not registered"}, {binfmt.Remove, "a.new", "left by a run that was interrupted"}}},
		"killed before the tidying":       {[]binfmt.Entry{want, temporary}, binfmt.PlanOptions{}, []outcome{{binfmt.Keep, "a", "registered already"}, {binfmt.Remove, "a.new", "left by a run that was interrupted"}}},
		"killed twice":                    {[]binfmt.Entry{second, temporary, old}, binfmt.PlanOptions{}, []outcome{{binfmt.Replace, "a", "interpreter /new instead of /old"}, {binfmt.Remove, "a.new2", "left by a run that was interrupted"}, {binfmt.Remove, "a.new", "left by a run that was interrupted"}}},
		"somebody's own a.new":            {[]binfmt.Entry{foreign}, binfmt.PlanOptions{}, []outcome{{binfmt.Add, "a", "not registered"}}},
		"others' entries":                 {[]binfmt.Entry{unrelated}, binfmt.PlanOptions{}, []outcome{{binfmt.Add, "a", "not registered"}}},
		"others' entries, to be removed":  {[]binfmt.Entry{unrelated}, binfmt.PlanOptions{Remove: []string{"z", "y"}}, []outcome{{binfmt.Add, "a", "not registered"}, {binfmt.Remove, "z", "not wanted"}}},
		"desired wins over to be removed": {[]binfmt.Entry{want}, binfmt.PlanOptions{Remove: []string{"a"}}, []outcome{{binfmt.Keep, "a", "registered already"}}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.want, outcomes(binfmt.Plan([]binfmt.Entry{want}, test.current, test.options)))
		})
	}
}

// Such an entry is nobody's to skip: Stage says what is wrong with it.
func TestWhatIsNotValidIsPlanned(t *testing.T) {
	want := entry("a", "magic-a", "/new")
	want.Pattern.Mask = []byte{0xff}
	assert.Equal(t, []outcome{{binfmt.Replace, "a", "another pattern"}}, outcomes(binfmt.Plan([]binfmt.Entry{want}, []binfmt.Entry{entry("a", "magic-a", "/new")}, binfmt.PlanOptions{})))
}

func TestFlagCIsTheSameAsOC(t *testing.T) {
	want, have := entry("a", "m", "/i"), entry("a", "m", "/i")
	want.Flags, have.Flags = binfmt.Credentials, binfmt.Credentials|binfmt.OpenBinary
	assert.Equal(t, []outcome{{binfmt.Keep, "a", "registered already"}}, outcomes(binfmt.Plan([]binfmt.Entry{want}, []binfmt.Entry{have}, binfmt.PlanOptions{})))
}

func TestFinalNames(t *testing.T) {
	for name, final := range map[string]string{
		"qemu-arm": "qemu-arm", "qemu-arm.new": "qemu-arm", "qemu-arm.new2": "qemu-arm", "qemu-arm.new17": "qemu-arm",
		".new": ".new", "a.newer": "a.newer", "a.new.x": "a.new.x", "mips64": "mips64",
	} {
		e := binfmt.Entry{Name: name}
		assert.Equal(t, final, e.Final())
		assert.Equal(t, name != final, e.Temporary())
	}
}

func TestCatchingAreEnabledEntriesThatMatch(t *testing.T) {
	disabled := entry("disabled", "ab", "/i")
	disabled.Disabled = true
	entries := []binfmt.Entry{entry("a", "a", "/i"), entry("b", "b", "/i"), disabled, entry("abc", "abc", "/i"), {Name: "x", Extension: "x", Interpreter: "/i"}}
	var names []string
	for _, e := range binfmt.Catching(entries, [][]byte{[]byte("abx"), []byte("abcd")}) {
		names = append(names, e.Name)
	}
	assert.Equal(t, []string{"a", "abc"}, names)
}

func TestMatchesExtensions(t *testing.T) {
	e := binfmt.Entry{Name: "x", Extension: "jar", Interpreter: "/i"}
	for path, want := range map[string]bool{"/a/b.jar": true, "jar": false, "b.jar.gz": false, "/a.jar/b": false, ".jar": true, "": false} {
		assert.Equal(t, want, e.Matches(nil, path), path)
	}
}

func TestActionsHaveNames(t *testing.T) {
	assert.Equal(t, "keep add replace remove skip Action(5) Action(-1)",
		binfmt.Keep.String()+" "+binfmt.Add.String()+" "+binfmt.Replace.String()+" "+binfmt.Remove.String()+" "+binfmt.Skip.String()+" "+binfmt.Action(5).String()+" "+binfmt.Action(-1).String())
}
