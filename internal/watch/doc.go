// Package watch runs a program, and all that it starts, under a supervisor that
// has what the kernel cannot execute executed by way of another program: an emulator.
// It needs no privilege and no namespace, and costs little but at execve(2): some 30 to 70 ns
// for each other system call, as any seccomp filter does. What can be run so, and by what, its
// user decides: see [Options].
//
// Three processes are of this program. The caller starts the supervisor, which starts
// the program as a child of its own: an ancestor may trace it, whatever Yama says.
//
//	caller ──► supervisor ──► program ──► what it starts
//	  waits      answers         has a seccomp filter on execve and execveat, which
//	                             its descendants inherit
//
// The kernel asks the supervisor at each execve. Most go on at once. A task that wants
// to execute a foreign program shares its memory with its parent at that moment
// (vfork, posix_spawn), so nothing may be written there. Instead
//
//   - the supervisor puts a descriptor of a tiny program into the task, an Asker of
//     package tinyelf, stops the task with ptrace, and has it execute that with
//     the arguments and environment of its own: registers are changed, and no memory;
//   - the Asker, which has memory of its own, asks for an answer by an execve that
//     makes no sense. It gets an argument list made of new pointers and those that
//     are there, and executes the emulator.
//
// No task stays traced: debuggers work. Those that are traced already, or that this
// process may not trace, are left alone, and the reason is said.
package watch
