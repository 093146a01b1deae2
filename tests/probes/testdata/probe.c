#include "probe.h"

char *program;
static struct probe *probes;

void probe_add(struct probe *p) {
	struct probe **last = &probes;
	while (*last) last = &(*last)->next;
	*last = p;
}

void fail(const char *file, int line, const char *format, ...) {
	char text[600];
	int n = snprintf(text, sizeof text, "%s:%d: ", file, line);
	va_list list;
	va_start(list, format);
	n += vsnprintf(text + n, sizeof text - n, format, list);
	va_end(list);
	if (n > (int)sizeof text - 2) n = sizeof text - 2;
	text[n++] = '\n';
	if (write(1, text, n) != n) _exit(FAIL);
	_exit(FAIL);
}

static void leave(int status, const char *why) {
	if (write(1, why, strlen(why)) < 0 || write(1, "\n", 1) < 0) _exit(FAIL);
	_exit(status);
}

void unsupported(const char *why) {
	leave(UNSUPPORTED, why);
	__builtin_unreachable();
}

void elsewhere(const char *why) {
	leave(ELSEWHERE, why);
	__builtin_unreachable();
}

static int ended(const char *file, int line, pid_t pid) {
	int got;
	pid_t reaped;
	do reaped = waitpid(pid, &got, 0);
	while (reaped < 0 && errno == EINTR);
	if (reaped != pid) fail(file, line, "waitpid: %s", strerror(errno));
	return got;
}

void reap_(const char *file, int line, pid_t pid, int status) {
	int got = ended(file, line, pid);
	if (WIFSIGNALED(got)) fail(file, line, "the child died of signal %d", WTERMSIG(got));
	if (WEXITSTATUS(got) == UNSUPPORTED || WEXITSTATUS(got) == ELSEWHERE) _exit(WEXITSTATUS(got)); // it has said why
	if (WEXITSTATUS(got) != status) fail(file, line, "the child's exit status is %d, not %d", WEXITSTATUS(got), status);
}

void reap_killed_(const char *file, int line, pid_t pid, int signal) {
	int got = ended(file, line, pid);
	if (!WIFSIGNALED(got)) fail(file, line, "the child ended with %#x, not by signal %d", got, signal);
	if (WTERMSIG(got) != signal) fail(file, line, "the child died of signal %d, not %d", WTERMSIG(got), signal);
}

enum { ARGUMENTS = 30 };

void become(const char *part, ...) {
	char *argv[ARGUMENTS] = {program, (char *)part};
	va_list list;
	va_start(list, part);
	for (int i = 2; i < ARGUMENTS - 1 && (argv[i] = va_arg(list, char *)); i++) {}
	va_end(list);
	execv(program, argv);
	fail(__FILE__, __LINE__, "exec %s: %s", program, strerror(errno));
}

int spawned(const char *part, ...) {
	char *argv[ARGUMENTS] = {program, (char *)part};
	va_list list;
	va_start(list, part);
	for (int i = 2; i < ARGUMENTS - 1 && (argv[i] = va_arg(list, char *)); i++) {}
	va_end(list);
	pid_t pid = OK(fork());
	if (pid == 0) {
		execv(program, argv);
		_exit(126);
	}
	int status;
	OK(waitpid(pid, &status, 0));
	if (WIFSIGNALED(status)) return 128 + WTERMSIG(status);
	return WEXITSTATUS(status);
}

char *contents(const char *path) {
	enum { LIMIT = 1 << 20 };
	char *text = malloc(LIMIT + 1);
	CHECK(text);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) WRONG("open %s: %s", path, strerror(errno));
	ssize_t n, all = 0;
	while (all < LIMIT && (n = OK(read(fd, text + all, LIMIT - all))) > 0) all += n;
	close(fd);
	text[all] = 0;
	return text;
}

void write_file(const char *path, const char *text) {
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0) WRONG("create %s: %s", path, strerror(errno));
	EQUAL(write(fd, text, strlen(text)), strlen(text));
	OK(close(fd));
}

char *field(char *text, const char *name) {
	size_t length = strlen(name);
	for (char *line = text; line; line = strchr(line, '\n')) {
		if (*line == '\n') line++;
		if (!strncmp(line, name, length) && line[length] == ':') {
			char *value = line + length + 1;
			value += strspn(value, " \t");
			return strndup(value, strcspn(value, "\n"));
		}
	}
	WRONG("there is no line %s:", name);
}

void works(void) {
	struct rusage u;
	int64_t limit = now() + INT64_C(5000000000);
	do {
		for (volatile int i = 0; i < 30000000; i++) {}
		OK(getrusage(RUSAGE_SELF, &u));
	} while (u.ru_utime.tv_sec == 0 && u.ru_utime.tv_usec < 20000 && now() < limit);
}

int64_t now(void) {
	struct timespec t;
	OK(clock_gettime(CLOCK_MONOTONIC, &t));
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

void nap(int milliseconds) {
	struct timespec t = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
	while (nanosleep(&t, &t) && errno == EINTR) {}
}

pthread_t thread(void *(*run)(void *), void *argument) {
	pthread_t t;
	ZERO(pthread_create(&t, 0, run, argument));
	return t;
}

void *ends_at_once(void *argument) { return argument; }

void *begins_and_ends(void *done) {
	while (!*(volatile bool *)done) join(thread(ends_at_once, 0));
	return 0;
}

void *join(pthread_t t) {
	void *value;
	ZERO(pthread_join(t, &value));
	return value;
}

int main(int argc, char **argv) {
	if (argc < 2) {
		for (struct probe *p = probes; p; p = p->next)
			if (*p->name != ':') puts(p->name);
		return 0;
	}
	// The runner says where the file is: what argv[0] and /proc/self/exe are is probed.
	program = getenv("PROBE");
	if (!program) program = argv[0];
	for (struct probe *p = probes; p; p = p->next)
		if (!strcmp(p->name, argv[1])) {
			p->run(argc - 1, argv + 1);
			fflush(stdout);
			_exit(PASS);
		}
	WRONG("there is no probe %s", argv[1]);
}
