package host

// Surroundings are what a process may do to the kernel, and which part of it
// the process sees: what a container engine, or nobody, has restricted.
type Surroundings struct {
	UID                 int    // the effective user, in the user namespace that the process is in
	SysAdmin, SysModule bool   // capabilities over that namespace
	Seccomp             bool   // system calls are filtered
	AppArmor, SELinux   string // the profile and the context that confine the process; empty if none does

	// InitialUser and InitialPID say that the user and the PID namespace are
	// those that the kernel booted with: the host's.
	InitialUser, InitialPID bool

	// Init is the file that stands for the mount namespace of process 1, which
	// in the initial PID namespace is the host's. It is empty if that may not be
	// looked at. OfInit says that the process is in that mount namespace.
	Init   string
	OfInit bool
}
