package packages

import (
	"errors"
	"strings"
)

// Notes returns a release's notes: the newest section of the changelog, without its
// heading.
func Notes(changelog string) (string, error) {
	_, section, found := strings.Cut(changelog, "\n## ")
	if !found {
		return "", errors.New("the changelog has no section")
	}
	_, section, _ = strings.Cut(section, "\n")
	section, _, _ = strings.Cut(section, "\n## ")
	if section = strings.TrimSpace(section); section == "" {
		return "", errors.New("the changelog's newest section is empty")
	}
	return section + "\n", nil
}
