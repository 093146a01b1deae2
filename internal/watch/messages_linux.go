package watch

import (
	"encoding/json"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Kinds of messages between the processes of this package.
const (
	ready   = "ready"   // the program is about to be executed, by process PID
	failed  = "failed"  // there is no filter: Text says why
	stopped = "stopped" // the program is, by signal Status
	ended   = "ended"   // it has, with the wait status Status
	says    = "says"    // Text is to be printed
)

type message struct {
	Kind   string
	PID    int    `json:",omitempty"`
	Status int    `json:",omitempty"`
	Alone  bool   `json:",omitempty"` // the supervisor ends with the program
	Text   string `json:",omitempty"`
	Hint   string `json:",omitempty"`
}

// messages are one end of a socket that keeps them apart.
type messages struct{ fd int }

// newMessages returns both ends, which are closed by execve.
func newMessages() (a, b *messages, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return &messages{fds[0]}, &messages{fds[1]}, nil
}

func (m *messages) close() { unix.Close(m.fd) }

// send sends a message, and descriptors with it. Nobody waits for who does not read.
func (m *messages) send(one message, fds ...int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	text, err := json.Marshal(one)
	if err != nil {
		return err
	}
	return unix.Sendmsg(m.fd, text, rights, nil, unix.MSG_NOSIGNAL)
}

// receive returns the next message, and the descriptor that came with it, or -1. At
// the end, when the other process is gone, it is io.EOF.
func (m *messages) receive() (one message, fd int, err error) {
	text, rights := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4))
	for {
		n, nrights, _, _, err := unix.Recvmsg(m.fd, text, rights, unix.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return message{}, -1, os.NewSyscallError("recvmsg", err)
		case n == 0:
			return message{}, -1, io.EOF
		}
		fd = -1
		if headers, err := unix.ParseSocketControlMessage(rights[:nrights]); err == nil && len(headers) > 0 {
			if fds, err := unix.ParseUnixRights(&headers[0]); err == nil && len(fds) > 0 {
				fd = fds[0]
			}
		}
		return one, fd, json.Unmarshal(text[:n], &one)
	}
}

// hintOf returns what can be done about an error, as its type knows.
func hintOf(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

// An Error says that a program cannot be watched here.
type Error struct {
	Text, Advice string
}

func (e *Error) Error() string { return e.Text }

// Hint returns what can be done about it, or nothing.
func (e *Error) Hint() string { return e.Advice }
