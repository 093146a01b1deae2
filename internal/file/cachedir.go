package file

import (
	"fmt"
	"os"
	"path/filepath"
)

// UserCacheDir is os.UserCacheDir, and an error if HOME is relative, such as a tilde that no shell
// has expanded: each working directory would have a cache then, with what others have put there.
func UserCacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err == nil && !filepath.IsAbs(dir) {
		return "", fmt.Errorf("HOME=%s is not an absolute path", os.Getenv("HOME"))
	}
	return dir, err
}
