package host

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/projectcalico/go-build/internal/file"
)

// Inode numbers of the initial namespaces: PROC_USER_INIT_INO and
// PROC_PID_INIT_INO in the kernel's include/linux/proc_ns.h, since Linux 3.8.
const (
	initialUser = 0xEFFFFFFD
	initialPID  = 0xEFFFFFFC
)

// LookAround reads the Surroundings of this process from a proc file system,
// which is usually mounted on /proc. What cannot be read counts as not
// restricted; an error is returned only if the file system is not there.
//
// Reads /proc/self/status, /proc/self/attr/current, /proc/self/ns/* and
// /proc/[12]/ns/mnt: proc(5), namespaces(7).
func LookAround(proc string) (Surroundings, error) {
	var s Surroundings
	status, err := readFile(filepath.Join(proc, "self/status"))
	if err != nil {
		return s, fmt.Errorf("cannot find out what this process may do: %w", err)
	}
	s.parseStatus(string(status))
	// Both kernel modules show what confines a process here, one at a time. An
	// AppArmor profile ends with its mode; SELinux' contexts have colons.
	context, _ := readFile(filepath.Join(proc, "self/attr/current"))
	s.parseContext(string(context))
	s.InitialUser = isInitial(proc, "user", initialUser)
	s.InitialPID = isInitial(proc, "pid", initialPID)
	own, ownErr := os.Readlink(filepath.Join(proc, "self/ns/mnt"))
	// A process 1 that is protected from being looked at has a twin there: the
	// kernel's own thread 2, which was made in the same namespace.
	for _, pid := range []string{"1", "2"} {
		namespace := filepath.Join(proc, pid, "ns/mnt")
		link, err := os.Readlink(namespace)
		if err == nil && (pid == "1" || s.InitialPID) {
			s.Init, s.OfInit = namespace, ownErr == nil && own == link
			break
		}
	}
	return s, nil
}

func readFile(path string) ([]byte, error) {
	f, err := file.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text := bytes.NewBuffer(make([]byte, 0, 4<<10)) // what the kernel says is made anew for each read
	_, err = text.ReadFrom(f)
	return text.Bytes(), err
}

// parseStatus reads lines such as
//
//	Uid:	1000	1000	1000	1000
//	CapEff:	000001ffffffffff
//	Seccomp:	2
func (s *Surroundings) parseStatus(status string) {
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "Uid": // real, effective, saved, and of files
			if ids := strings.Fields(value); len(ids) > 1 {
				s.UID, _ = strconv.Atoi(ids[1])
			}
		case "CapEff":
			if set, err := strconv.ParseUint(value, 16, 64); err == nil {
				s.SysAdmin = set&(1<<unix.CAP_SYS_ADMIN) != 0
				s.SysModule = set&(1<<unix.CAP_SYS_MODULE) != 0
			}
		case "Seccomp":
			s.Seccomp = value == "2" // SECCOMP_MODE_FILTER
		}
	}
}

// parseContext reads "docker-default (enforce)", "unconfined", or
// "system_u:system_r:container_t:s0:c1,c2".
func (s *Surroundings) parseContext(context string) {
	context = strings.TrimRight(context, "\x00\n")
	switch {
	case context == "" || context == "unconfined" || strings.HasSuffix(context, " (complain)") || strings.HasSuffix(context, " (unconfined)"):
	case strings.HasSuffix(context, ")"):
		s.AppArmor = context
	case strings.Count(context, ":") >= 3:
		if fields := strings.Split(context, ":"); !strings.HasPrefix(fields[2], "unconfined") && fields[2] != "kernel_t" && fields[2] != "init_t" {
			s.SELinux = context
		}
	}
}

// isInitial reports whether the process is in the namespace of the given type
// that the kernel booted with. Kernels without such namespaces have no other.
func isInitial(proc, name string, inode uint64) bool {
	link, err := os.Readlink(filepath.Join(proc, "self/ns", name))
	if errors.Is(err, os.ErrNotExist) {
		return true
	}
	return link == fmt.Sprintf("%s:[%d]", name, inode)
}
