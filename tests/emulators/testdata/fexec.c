// Executes itself by a descriptor, which is closed then or is not.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void try(const char *what, int fd, const char *path, int flags)
{
    char *argv[] = { "zero", "there", NULL }, *envp[] = { NULL };
    int status;
    pid_t pid;

    fflush(stdout);
    if ((pid = fork()) == 0) {
        syscall(SYS_execveat, fd, path, argv, envp, flags);
        printf("%s: %s\n", what, strerror(errno));
        fflush(stdout);
        _exit(1);
    }
    waitpid(pid, &status, 0);
    printf("%s: status %d\n", what, WEXITSTATUS(status));
}

static void write_file(const char *path, const char *content)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);

    if (fd < 0 || write(fd, content, strlen(content)) < 0) {
        perror(path);
    }
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "there")) {
        return 7;
    }
    char *slash = strrchr(argv[0], '/');
    int fd = open(argv[0], O_RDONLY | O_CLOEXEC);
    *slash = 0;
    int dir = open(argv[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int mem = memfd_create("x", MFD_CLOEXEC);
    struct stat st;
    fstat(fd, &st);
    for (off_t at = 0; at < st.st_size;) {
        if (sendfile(mem, fd, &at, st.st_size - at) <= 0) {
            perror("sendfile");
            return 1;
        }
    }
    write_file("fexec-script", "#!/bin/sh\nexit 8\n");
    int script = open("fexec-script", O_RDONLY | O_CLOEXEC);
    try("closed", fd, "", AT_EMPTY_PATH);
    try("below closed", dir, slash + 1, 0);
    try("memfd", mem, "", AT_EMPTY_PATH);
    try("missing below closed", dir, "nonexistent", 0);
    try("script", script, "", AT_EMPTY_PATH);
    fcntl(fd, F_SETFD, 0);
    try("kept", fd, "", AT_EMPTY_PATH);
    return 0;
}
