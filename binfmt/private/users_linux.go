package private

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A mapping says how the users of a root file system's user namespace are found.
type mapping int

const (
	// shifted: root is not the machine's root but a user without any right, and the
	// directory is mounted so that its files seem to belong to them (Linux 5.12).
	// Takes root, and a file system that can.
	shifted mapping = iota
	// same: everybody is who they are outside. For root.
	same
	// subordinate: root is the caller, others are users that the administrator has
	// given them (newuidmap(1)).
	subordinate
	// single: root is the caller, and there is nobody else.
	single
)

// mappings are the ones to be tried, the first first.
func mappings() []mapping {
	if os.Geteuid() == 0 {
		return []mapping{shifted, same}
	}
	return []mapping{subordinate, single}
}

func (m mapping) String() string {
	return [...]string{
		shifted:     "65,536 users, whose root has no rights outside",
		same:        "this machine's users",
		subordinate: "root, who is you, and the users that /etc/subuid gives you",
		single:      "root, who is you, and no other user",
	}[m]
}

// shiftedSize is how many users a shifted root file system has, and shiftedBase the
// first where /etc/subuid has none for root: the last of those that systemd keeps for
// containers (systemd's UIDS-GIDS.md). No file has them as its owner.
const (
	shiftedSize = 1 << 16
	shiftedBase = 0x6FFF0000
)

// An idRange is one of users or groups.
type idRange struct{ first, size int }

// subordinates returns the ranges that a file has for a user.
//
// Parses /etc/subuid and subgid, see subuid(5): "name:100000:65536", where name may
// be a number.
func subordinates(text []byte, name, id string) (ranges []idRange) {
	for line := range bytes.Lines(text) {
		fields := strings.Split(strings.TrimSpace(string(line)), ":")
		if len(fields) != 3 || fields[0] != name && fields[0] != id {
			continue
		}
		first, err1 := strconv.Atoi(fields[1])
		size, err2 := strconv.Atoi(fields[2])
		if err1 == nil && err2 == nil && first > 0 && size > 0 {
			ranges = append(ranges, idRange{first, size})
		}
	}
	return ranges
}

// shift returns the map of users or groups of a shifted namespace.
func shift(path string) []syscall.SysProcIDMap {
	base := shiftedBase
	text, _ := os.ReadFile(path)
	for _, r := range subordinates(text, "root", "0") {
		if r.size >= shiftedSize {
			base = r.first
			break
		}
	}
	return []syscall.SysProcIDMap{{ContainerID: 0, HostID: base, Size: shiftedSize}}
}

// A mapper is one of the programs that write the map of a process's users or groups
// for those who may not: set-user-ID programs, which look into the file.
type mapper struct {
	program, file string
	own           int
}

func mappers() []mapper {
	return []mapper{{"newuidmap", "/etc/subuid", os.Geteuid()}, {"newgidmap", "/etc/subgid", os.Getegid()}}
}

// arguments returns those of the program for a process: root is the caller, and the
// subordinate users follow from 1 on.
func (m *mapper) arguments(process int) ([]string, error) {
	text, err := os.ReadFile(m.file)
	if err != nil {
		return nil, err
	}
	id := strconv.Itoa(os.Geteuid())
	name := id
	if u, err := user.LookupId(id); err == nil {
		name = u.Username
	}
	ranges := subordinates(text, name, id)
	if len(ranges) == 0 {
		return nil, fmt.Errorf("%s has no range for %s", m.file, name)
	}
	args := []string{strconv.Itoa(process), "0", strconv.Itoa(m.own), "1"}
	next := 1
	for _, r := range ranges {
		args = append(args, strconv.Itoa(next), strconv.Itoa(r.first), strconv.Itoa(r.size))
		next += r.size
	}
	return args, nil
}

// mayMap returns why there are no subordinate users, if it can be seen.
func mayMap() error {
	for _, m := range mappers() {
		if _, err := exec.LookPath(m.program); err != nil {
			return fmt.Errorf("%s is not installed", m.program)
		}
		if _, err := m.arguments(0); err != nil {
			return err
		}
	}
	if set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err == nil && set != 0 {
		return errors.New("set-user-ID programs, newuidmap for one, change no user here (no_new_privs)")
	}
	return nil
}

// mapSubordinates has the map of a process's user namespace written.
func mapSubordinates(ctx context.Context, process int) error {
	for _, m := range mappers() {
		args, err := m.arguments(process)
		if err != nil {
			return err
		}
		if out, err := exec.CommandContext(ctx, m.program, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", m.program, err, bytes.TrimSpace(out))
		}
	}
	return nil
}
