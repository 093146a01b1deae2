package host

// Surroundings are what a process may do to the kernel, and which part of it
// the process sees: what a container engine, or nobody, has restricted.
type Surroundings struct {
	// UID is the effective user, in the user namespace that the process is in.
	UID int

	// SysAdmin and SysModule say that the process has the capability, over the
	// user namespace that it is in.
	SysAdmin, SysModule bool

	// Seccomp says that system calls are filtered.
	Seccomp bool

	// AppArmor and SELinux are the profile and the context that the process is
	// confined by; empty if it is not.
	AppArmor, SELinux string

	// InitialUser and InitialPID say that the user and the PID namespace are
	// those that the kernel booted with: the host's.
	InitialUser, InitialPID bool

	// Init is the file that stands for the mount namespace of process 1, which
	// in the initial PID namespace is the host's. It is empty if that may not be
	// looked at.
	Init string

	// OfInit says that the process is in that mount namespace.
	OfInit bool
}
