package guests

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Modes of [KeptTranslations].
const (
	ColdTranslations     = "cold"     // nothing is kept when the tests begin
	WarmTranslations     = "warm"     // what tests have kept before
	ComparedTranslations = "compared" // the same, and emulators translate all the same, compare, and abort if a block differs
)

// KeptTranslations is how emulators to judge keep translations while they are tested.
type KeptTranslations struct {
	Mode  string // empty if they do not
	dir   string
	stats string
}

// KeepTranslations makes what the mode takes in a directory for tests, of which root has this
// user run programs.
func KeepTranslations(mode, work string, user int) (k KeptTranslations, err error) {
	if mode == "" {
		return k, nil
	}
	if !slices.Contains([]string{ColdTranslations, WarmTranslations, ComparedTranslations}, mode) {
		return k, fmt.Errorf("TEST_TRANSLATIONS=%s: neither %s, %s nor %s", mode, ColdTranslations, WarmTranslations, ComparedTranslations)
	}
	k = KeptTranslations{mode, filepath.Join(work, "translations"), filepath.Join(work, "translations.stats")}
	if mode == ColdTranslations {
		if err := os.RemoveAll(k.dir); err != nil {
			return k, err
		}
	}
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return k, err
	}
	if err := os.WriteFile(k.stats, nil, 0o600); err != nil {
		return k, err
	}
	if os.Getuid() != 0 {
		return k, nil
	}
	return k, errors.Join(os.Chown(k.dir, user, user), os.Chown(k.stats, user, user))
}

// Env is for a command that runs the emulators.
func (k KeptTranslations) Env() []string {
	if k.Mode == "" {
		return nil
	}
	env := []string{"QEMU_TB_CACHE=" + k.dir, "QEMU_TB_CACHE_STATS=" + k.stats}
	if k.Mode == ComparedTranslations {
		env = append(env, "QEMU_TB_CACHE_CHECK=1")
	}
	return env
}

// Check prints what emulators have said at their end, if they keep translations, and reports
// whether all was right.
func (k KeptTranslations) Check() bool {
	if k.Mode == "" {
		return true
	}
	said, err := k.total()
	if fmt.Println(said); err != nil {
		fmt.Println("FAIL:", err)
	}
	return err == nil
}

// total sums up what emulators have said at their end, and fails if a block differed, or none was found.
func (k KeptTranslations) total() (string, error) {
	text, err := os.ReadFile(k.stats)
	if err != nil {
		return "", err
	}
	var processes, hits, misses, written int
	for line := range strings.Lines(string(text)) {
		var h, m, w int
		if _, err := fmt.Sscanf(line, "tb-cache: hits %d misses %d written %d", &h, &m, &w); err != nil {
			return "", fmt.Errorf("a block differs: %s", strings.TrimSpace(line))
		}
		processes, hits, misses, written = processes+1, hits+h, misses+m, written+w
	}
	said := fmt.Sprintf("translations, %s: %d processes, %d blocks found, %d not, %d written", k.Mode, processes, hits, misses, written)
	if hits == 0 {
		return said, fmt.Errorf("%s: nothing was kept", k.dir)
	}
	return said, nil
}
