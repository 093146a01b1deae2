package emulators

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// These are about the tests themselves, and take no emulator.

func outcomes(list map[string][]string) (run func(c contestant) outcome, ran map[string]int) {
	ran = map[string]int{}
	return func(c contestant) outcome {
		said := list[c.name][ran[c.name]%len(list[c.name])]
		ran[c.name]++
		return outcome{end: "exit status 0", stdout: said}
	}, ran
}

func TestVerdicts(t *testing.T) {
	old, young := contestant{name: "10", version: "10.0"}, contestant{name: "11", version: "11.1"}
	equal := contestant{name: "10.2", version: "10.2"}
	judged := contestant{name: "judged", version: "10.2", judged: true}
	for name, test := range map[string]struct {
		stock []contestant
		said  map[string][]string
		want  verdict
	}{
		"same":                               {[]contestant{old, young}, map[string][]string{"10": {"a"}, "11": {"a"}, "judged": {"a"}}, same},
		"like an older one":                  {[]contestant{old, young}, map[string][]string{"10": {"a"}, "11": {"b"}, "judged": {"a"}}, byAge},
		"like none":                          {[]contestant{old, young}, map[string][]string{"10": {"a"}, "11": {"b"}, "judged": {"c"}}, differs},
		"its version counts":                 {[]contestant{old, equal}, map[string][]string{"10": {"a"}, "10.2": {"b"}, "judged": {"a"}}, differs},
		"only its version counts":            {[]contestant{old, equal}, map[string][]string{"10": {"a"}, "10.2": {"b"}, "judged": {"b"}}, same},
		"both vary":                          {[]contestant{equal}, map[string][]string{"10.2": {"a", "b"}, "judged": {"b", "a"}}, flaky},
		"both vary, without the same result": {[]contestant{equal}, map[string][]string{"10.2": {"a", "b"}, "judged": {"c", "d"}}, differs},
		"only the judged one varies":         {[]contestant{equal}, map[string][]string{"10.2": {"a"}, "judged": {"b", "a"}}, differs},
		"only the stock one varies":          {[]contestant{equal}, map[string][]string{"10.2": {"b", "a"}, "judged": {"a"}}, flaky},
	} {
		t.Run(name, func(t *testing.T) {
			run, ran := outcomes(test.said)
			result := compare(t, "test", append(test.stock, judged), run)
			assert.Equal(t, test.want, result.verdict, result.detail)
			if test.want == same || test.want == byAge {
				assert.Equal(t, 1, ran["judged"])
			} else {
				assert.Equal(t, 1+again, ran["judged"], "it is run again, on both sides")
				assert.NotEmpty(t, result.detail)
			}
		})
	}
}

func TestOnlyNamedTestsAreMasked(t *testing.T) {
	c := contestant{path: "/path/of/qemu-arm"}
	o := outcome{"exit status 1", "at 0x7fdd16b5a000\n", "/path/of/qemu-arm: no\n"}
	assert.Equal(t, outcome{"exit status 1", "at 0x7fdd16b5a000\n", "EMULATOR: no\n"}, o.normalized("float_convs", c))
	assert.Equal(t, outcome{"exit status 1", "at MASKED\n", "EMULATOR: no\n"}, o.normalized("mte-8", c))
	o = outcome{"exit status 0", "thread2: 4\nthread1: 3\nthread2: 5\n", ""}
	assert.Equal(t, "threadMASKED: MASKED\n", o.normalized("testthread", c).stdout)
	for name, m := range masks {
		assert.NotEmpty(t, m.why, name)
	}
}

func TestTheNearestVersionsAreCompared(t *testing.T) {
	at := func(version string) contestant { return contestant{name: version, version: version} }
	names := func(list []contestant) (names []string) {
		for _, c := range list {
			names = append(names, c.version)
		}
		return names
	}
	judged := contestant{name: "judged", version: "10.2.2"}
	assert.Equal(t, []string{"10.2.2", "10.2.2"}, names(nearest([]contestant{at("7.2.22"), at("10.2.2"), at("11.1.3"), judged})))
	assert.Equal(t, []string{"10.0.13", "11.1.3", "10.2.2"}, names(nearest([]contestant{at("7.2.22"), at("11.1.3"), at("10.0.13"), judged})))
	assert.Equal(t, []string{"7.2.22", "10.2.2"}, names(nearest([]contestant{at("7.2.22"), judged})))
	assert.Equal(t, []string{"11.1.3", "10.2.2"}, names(nearest([]contestant{at("11.1.3"), judged})))
}

func TestTheLastLineIsTheTestsOwn(t *testing.T) {
	how := "TestA fail\nTestA/b pass\nTestA/c_fail pass"
	assert.Equal(t, "TestA fail", lastLine(how, "TestA"))
	assert.Equal(t, "", lastLine(how, "TestB"))
}
