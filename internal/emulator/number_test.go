package emulator

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNumberIsTheFirstVersionThatIsSaid(t *testing.T) {
	for text, want := range map[string]string{
		"Box64 arm64 v0.4.3 nogit with Dynarec built on Jan 1 2026\n": "0.4.3",
		"Box64 with Dynarec v0.2.2 a1b2c3d4\n":                        "0.2.2",
		"FEX-2506\n":                                                  "2506",
		"FEX-Emu (FEX-2506.1-12-gabcdef)\n":                           "2506.1",
		"very vague v, v1\n":                                          "1",
		"version 3":                                                   "",
		"":                                                            "",
	} {
		assert.Equal(t, want, number(text), text)
	}
}
