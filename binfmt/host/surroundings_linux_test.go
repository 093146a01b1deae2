package host_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/projectcalico/go-build/binfmt/host"
	"github.com/projectcalico/go-build/tests/kerneltest"
)

// The status files of a process with all capabilities, of one with those of
// docker run, and of one with none.
const (
	allCapabilities = "Name:\tregister\nCapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\nCapEff:\t000001ffffffffff\nNoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\n"
	docker          = "Name:\tregister\nCapInh:\t000001ffffffffff\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nNoNewPrivs:\t0\nSeccomp:\t2\nSeccomp_filters:\t1\n"
	none            = "Name:\tregister\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000000000\nSeccomp:\t1\n"
	sysAdminOnly    = "CapEff:\t0000000000200000\nSeccomp:\t2\n"
	sysModuleOnly   = "CapEff:\t0000000000010000\n"
)

// proc makes a proc file system with the given files; a link begins with "-> ".
func proc(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		if len(content) > 3 && content[:3] == "-> " {
			require.NoError(t, os.Symlink(content[3:], path))
		} else {
			require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
		}
	}
	return dir
}

// hosts are the namespaces of a process on the host itself.
func hosts(status string) map[string]string {
	return map[string]string{
		"self/status":  status,
		"self/ns/user": "-> user:[4026531837]",
		"self/ns/pid":  "-> pid:[4026531836]",
		"self/ns/mnt":  "-> mnt:[4026531841]",
		"1/ns/mnt":     "-> mnt:[4026531841]",
		"2/ns/mnt":     "-> mnt:[4026531841]",
	}
}

func with(files map[string]string, more ...string) map[string]string {
	files = maps.Clone(files)
	for i := 0; i < len(more); i += 2 {
		if more[i+1] == "" {
			delete(files, more[i])
		} else {
			files[more[i]] = more[i+1]
		}
	}
	return files
}

func TestSurroundingsAreReadFromProc(t *testing.T) {
	root := host.Surroundings{SysAdmin: true, SysModule: true, InitialUser: true, InitialPID: true, Init: "1/ns/mnt", OfInit: true}
	change := func(change func(s *host.Surroundings)) host.Surroundings {
		s := root
		change(&s)
		return s
	}
	for name, test := range map[string]struct {
		files map[string]string
		want  host.Surroundings
	}{
		"root on the host": {hosts(allCapabilities), root},
		"an ordinary user on the host": {
			with(hosts(none), "1/ns/mnt", "", "2/ns/mnt", ""),
			host.Surroundings{InitialUser: true, InitialPID: true},
		},
		"only one capability": {hosts(sysAdminOnly), change(func(s *host.Surroundings) { s.SysModule, s.Seccomp = false, true })},
		"only the other":      {hosts(sysModuleOnly), change(func(s *host.Surroundings) { s.SysAdmin = false })},
		"a container of Docker": {
			with(hosts(docker), "self/ns/pid", "-> pid:[4026532450]", "self/ns/mnt", "-> mnt:[4026532448]", "1/ns/mnt", "-> mnt:[4026532448]", "2/ns/mnt", "", "self/attr/current", "docker-default (enforce)\n"),
			host.Surroundings{Seccomp: true, AppArmor: "docker-default (enforce)", InitialUser: true, Init: "1/ns/mnt", OfInit: true},
		},
		"docker run --pid=host": {
			with(hosts(allCapabilities), "self/ns/mnt", "-> mnt:[4026532448]", "self/attr/current", "unconfined\n"),
			change(func(s *host.Surroundings) { s.OfInit = false }),
		},
		"docker run --pid=host, process 1 is protected": {
			with(hosts(allCapabilities), "self/ns/mnt", "-> mnt:[4026532448]", "1/ns/mnt", ""),
			change(func(s *host.Surroundings) { s.OfInit, s.Init = false, "2/ns/mnt" }),
		},
		"process 2 of a container is nobody's twin": {
			with(hosts(allCapabilities), "self/ns/pid", "-> pid:[4026532450]", "1/ns/mnt", ""),
			change(func(s *host.Surroundings) { s.InitialPID, s.OfInit, s.Init = false, false, "" }),
		},
		"a rootless container": {
			with(hosts(allCapabilities), "self/ns/user", "-> user:[4026532300]"),
			change(func(s *host.Surroundings) { s.InitialUser = false }),
		},
		"a kernel without user and PID namespaces": {with(hosts(allCapabilities), "self/ns/user", "", "self/ns/pid", ""), root},
		"its own mount namespace cannot be looked at": {
			with(hosts(allCapabilities), "self/ns/mnt", ""),
			change(func(s *host.Surroundings) { s.OfInit = false }),
		},
		"a container of Podman with SELinux": {
			with(hosts(allCapabilities), "self/attr/current", "system_u:system_r:container_t:s0:c1,c2\x00"),
			change(func(s *host.Surroundings) { s.SELinux = "system_u:system_r:container_t:s0:c1,c2" }),
		},
		"SELinux, unconfined":          {with(hosts(allCapabilities), "self/attr/current", "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023\x00"), root},
		"SELinux, a service":           {with(hosts(allCapabilities), "self/attr/current", "system_u:system_r:init_t:s0\x00"), root},
		"SELinux, before any policy":   {with(hosts(allCapabilities), "self/attr/current", "system_u:system_r:kernel_t:s0\x00"), root},
		"AppArmor that only complains": {with(hosts(allCapabilities), "self/attr/current", "docker-default (complain)\n"), root},
		"AppArmor, named unconfined":   {with(hosts(allCapabilities), "self/attr/current", "chrome (unconfined)\n"), root},
		"no security module":           {with(hosts(allCapabilities), "self/attr/current", "\n"), root},
	} {
		t.Run(name, func(t *testing.T) {
			dir := proc(t, test.files)
			if test.want.Init != "" {
				test.want.Init = filepath.Join(dir, test.want.Init)
			}
			got, err := host.LookAround(dir)
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
}

func TestWithoutProcNothingIsKnown(t *testing.T) {
	_, err := host.LookAround(t.TempDir())
	assert.ErrorIs(t, err, os.ErrNotExist)
	assert.ErrorContains(t, err, "cannot find out what this process may do: ")
}

func TestAPrivateInstanceIsInAUserNamespaceWithAllCapabilities(t *testing.T) {
	kerneltest.Need(t)
	s, err := host.LookAround("/proc")
	require.NoError(t, err)
	assert.True(t, s.SysAdmin)
	assert.False(t, s.InitialUser)
	if s.Init != "" {
		init, err := os.Readlink(s.Init)
		require.NoError(t, err)
		own, err := os.Readlink("/proc/self/ns/mnt")
		require.NoError(t, err)
		assert.Equal(t, init == own, s.OfInit, fmt.Sprint(s))
	}
}
