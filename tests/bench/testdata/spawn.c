/* Says how many nanoseconds it takes to start a program and to wait for it, COUNT
 * times, or to make COUNT system calls:
 *	spawn COUNT PROGRAM
 *	spawn COUNT
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct timespec start, end;
	long count = atol(argv[1]);

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (long i = 0; i < count; i++) {
		int status;
		pid_t child;

		if (argc < 3) {
			syscall(SYS_getppid);
			continue;
		}
		child = fork();
		if (child == 0) {
			execv(argv[2], argv + 2);
			_exit(127);
		}
		if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
			return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%lld\n", (end.tv_sec - start.tv_sec) * 1000000000LL + (end.tv_nsec - start.tv_nsec));
	return 0;
}
