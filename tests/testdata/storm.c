// Has as many children as it may, up to a thousand, and then all of them execute argv[1]
// at the same time. Prints how many of them ended with status 0, and how many did not.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int gate[2], status, children = 0, well = 0;
	char byte;

	if (argc < 2 || pipe(gate))
		return 2;
	while (children < 1000) {
		pid_t pid = fork();
		if (pid < 0)
			break;
		if (!pid) {
			close(gate[1]);
			if (read(gate[0], &byte, 1) < 0)
				_exit(98);
			execv(argv[1], argv + 1);
			_exit(99);
		}
		children++;
	}
	close(gate[1]);
	for (int i = 0; i < children; i++)
		if (wait(&status) > 0 && !status)
			well++;
	printf("%d well, %d not\n", well, children - well);
	return 0;
}
