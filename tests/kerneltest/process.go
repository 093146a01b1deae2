package kerneltest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Ended reports whether a process has ended; nobody may have waited for it.
func Ended(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err != nil || strings.Contains(string(stat), ") Z ")
}
