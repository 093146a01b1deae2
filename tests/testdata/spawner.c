// Spawner starts a program by vfork and by posix_spawn, both of which have a child share
// its parent's memory until it executes, and looks whether anything has changed there.
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv)
{
	unsigned char below[8192];
	int i, status;
	pid_t pid;

	for (i = 0; i < 10; i++) {
		memset(below, 7, sizeof below);
		pid = vfork();
		if (pid == 0) {
			execve(argv[1], argv + 1, environ);
			_exit(99);
		}
		if (waitpid(pid, &status, 0) != pid || status != 0)
			printf("vfork: status %x\n", status);
		if (posix_spawn(&pid, argv[1], NULL, NULL, argv + 1, environ) != 0)
			puts("posix_spawn failed");
		if (waitpid(pid, &status, 0) != pid || status != 0)
			printf("posix_spawn: status %x\n", status);
		for (size_t at = 0; at < sizeof below; at++)
			if (below[at] != 7)
				return printf("byte %zu was changed\n", at);
	}
	return 0;
}
