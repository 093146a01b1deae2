//go:build unix

package kerneltest

import (
	"os/exec"
	"syscall"
)

func runAsNobody(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}
