/* Runs a command a number of times: fork, exec and wait. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    for (int n = atoi(argv[1]); n > 0; n--) {
        int status = 1;
        pid_t pid = fork();

        if (pid == 0) {
            execv(argv[2], argv + 2);
            _exit(127);
        }
        if (waitpid(pid, &status, 0) < 0 || status) {
            return 1;
        }
    }
    return argc < 3;
}
