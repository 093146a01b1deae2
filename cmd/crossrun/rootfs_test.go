package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// What names the caller's files is not there in a root file system.
func TestTheEnvironmentOfARootFileSystemIsALogins(t *testing.T) {
	login := []string{"PATH=" + rootPath, "HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh"}
	caller := []string{
		"GOROOT=/usr/local/go", "PYTHONHOME=/py", "JAVA_HOME=/java", "USER=me", "HOME=/home/me", "SSH_AUTH_SOCK=/tmp/ssh", "PWD=/src", "TMPDIR=/var/me",
		"LD_PRELOAD=/x.so", "XDG_CACHE_HOME=/home/me/.cache", "QEMU_LD_PREFIX=/sysroot", "QEMU_LOG_FILENAME=/log", "QEMU_TB_CACHE=/c", "CROSSRUN_SYSROOT_ARM64=/srv", "EMPTY=",
		"TERM=xterm", "LC_ALL=C", "LANG=de_DE", "https_proxy=http://proxy", "NO_PROXY=localhost", "QEMU_CPU=max",
	}
	kept := append(login, "TERM=xterm", "LC_ALL=C", "LANG=de_DE", "https_proxy=http://proxy", "NO_PROXY=localhost", "QEMU_CPU=max")
	assert.Equal(t, kept, rootEnvironment(caller, nil))
	assert.Equal(t, append(kept[1:], "A=b=c", "JAVA_HOME=/java", "EMPTY=", "PATH="), rootEnvironment(caller, []string{"A=b=c", "JAVA_HOME", "NOT_SET", "EMPTY", "PATH="}))
	assert.Equal(t, login, rootEnvironment(nil, nil))
}
