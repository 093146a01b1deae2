// Clocks and timers. Nothing is late here: a busy machine may be; but nothing is early.
#include "probe.h"
#include <poll.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <sys/times.h>

static volatile sig_atomic_t count;
static siginfo_t last;
static void counting(int n, siginfo_t *info, void *context) {
	last = *info;
	count++;
}
static void on(int n) {
	struct sigaction act = {.sa_sigaction = counting, .sa_flags = SA_SIGINFO};
	OK(sigaction(n, &act, 0));
}
enum { MS = 1000000 };

PROBE(clocks) {
	clockid_t all[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_TAI};
	for (size_t i = 0; i < COUNT(all); i++) {
		struct timespec t = {-1, -1};
		if (clock_gettime(all[i], &t)) WRONG("clock %d: %s", all[i], strerror(errno));
		CHECK(t.tv_sec >= 0 && t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
		if (clock_getres(all[i], &t)) WRONG("clock %d: %s", all[i], strerror(errno));
		CHECK(t.tv_sec == 0 && t.tv_nsec > 0);
	}
	FAILS(EINVAL, clock_gettime(1234, &(struct timespec){0, 0}));
}
PROBE(clock_never_goes_back) {
	int64_t before = now();
	for (int i = 0; i < 20000; i++) {
		int64_t t = now();
		CHECK(t >= before);
		before = t;
	}
}
PROBE(clocks_agree) {
	struct timespec t;
	struct timeval v;
	struct timespec tick; // time(2) is of the last one, and may be in the second before
	OK(clock_gettime(CLOCK_REALTIME_COARSE, &tick));
	OK(gettimeofday(&v, 0));
	OK(clock_gettime(CLOCK_REALTIME, &t));
	time_t s = time(0);
	CHECK(t.tv_sec - v.tv_sec <= 10 && s - v.tv_sec <= 10 && s >= tick.tv_sec);
	struct timespec u;
	EQUAL(timespec_get(&u, TIME_UTC), TIME_UTC);
	CHECK(u.tv_sec >= v.tv_sec);
}
PROBE(clock_of_process) {
	clockid_t c;
	struct timespec a, b;
	ZERO(clock_getcpuclockid(0, &c));
	OK(clock_gettime(c, &a));
	for (volatile int i = 0; i < 30000000; i++) {}
	OK(clock_gettime(c, &b));
	CHECK(b.tv_sec * 1000000000LL + b.tv_nsec > a.tv_sec * 1000000000LL + a.tv_nsec);
	ZERO(pthread_getcpuclockid(pthread_self(), &c));
	OK(clock_gettime(c, &a));
}
PROBE(clock_of_other_process) {
	pid_t pid = OK(fork());
	if (pid == 0) for (;;) pause();
	clockid_t c;
	struct timespec t;
	int error = clock_getcpuclockid(pid, &c);
	int status = error ? 0 : clock_gettime(c, &t);
	kill(pid, SIGKILL);
	waitpid(pid, 0, 0);
	ZERO(error);
	OK(status);
}
PROBE(clock_is_not_set) {
	struct timespec t = {0, 0};
	FAILS(EPERM, clock_settime(CLOCK_REALTIME, &t));
	FAILS(EINVAL, clock_settime(CLOCK_MONOTONIC, &t));
}
PROBE(clock_adjusted) {
	struct timex x = {.modes = 0};
	CHECK(OK(adjtimex(&x)) >= 0);
	CHECK(x.tick > 9000 && x.tick < 11000 && x.time.tv_sec > 1000000000);
	memset(&x, 0, sizeof x);
	CHECK(OK(clock_adjtime(CLOCK_REALTIME, &x)) >= 0);
	CHECK(x.precision > 0);
}
PROBE(sleeps) {
	int64_t start = now();
	OK(nanosleep(&(struct timespec){0, 30 * MS}, 0));
	CHECK(now() - start >= 30 * MS);
	FAILS(EINVAL, nanosleep(&(struct timespec){0, 1000000000}, 0));
	OK(usleep(1000));
}
PROBE(sleeps_until) {
	struct timespec t;
	OK(clock_gettime(CLOCK_MONOTONIC, &t));
	int64_t end = t.tv_sec * 1000000000LL + t.tv_nsec + 30 * MS;
	t.tv_sec = end / 1000000000, t.tv_nsec = end % 1000000000;
	ZERO(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0));
	CHECK(now() >= end);
	ZERO(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0)); // over already
	EQUAL(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &t, 0), EINVAL);
}
PROBE(interval_timers) {
	on(SIGALRM);
	struct itimerval v = {{0, 10000}, {0, 10000}}, got;
	OK(setitimer(ITIMER_REAL, &v, 0));
	OK(getitimer(ITIMER_REAL, &got));
	EQUAL(got.it_interval.tv_usec, 10000);
	while (count < 5) pause();
	v = (struct itimerval){{0, 0}, {0, 0}};
	OK(setitimer(ITIMER_REAL, &v, &got));
	EQUAL(got.it_interval.tv_usec, 10000);
	EQUAL(last.si_code, SI_KERNEL);
}
PROBE(timer_of_cpu_time) {
	on(SIGVTALRM);
	struct itimerval v = {{0, 0}, {0, 10000}};
	OK(setitimer(ITIMER_VIRTUAL, &v, 0));
	while (!count) {}
	on(SIGPROF);
	OK(setitimer(ITIMER_PROF, &v, 0));
	while (count < 2) {}
}
static timer_t made(clockid_t clock, int notify, int signal, int value) {
	struct sigevent e = {.sigev_notify = notify, .sigev_signo = signal};
	e.sigev_value.sival_int = value;
	timer_t t;
	OK(timer_create(clock, &e, &t));
	return t;
}
PROBE(posix_timer) {
	on(SIGUSR1);
	timer_t t = made(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 4711);
	struct itimerspec s = {{0, 0}, {0, 10 * MS}}, got;
	OK(timer_settime(t, 0, &s, 0));
	while (!count) pause();
	EQUAL(last.si_code, SI_TIMER);
	EQUAL(last.si_value.sival_int, 4711);
	EQUAL(last.si_overrun, 0);
	OK(timer_gettime(t, &got));
	EQUAL(got.it_value.tv_nsec, 0);
	OK(timer_delete(t));
	FAILS(EINVAL, timer_gettime(t, &got));
}
PROBE(posix_timer_id) {
	on(SIGUSR1);
	timer_t t[3];
	for (int i = 0; i < 3; i++) t[i] = made(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, i);
	struct itimerspec s = {{0, 0}, {0, 1 * MS}};
	OK(timer_settime(t[2], 0, &s, 0));
	while (!count) pause();
	EQUAL(last.si_value.sival_int, 2);
	EQUAL(last.si_timerid, (intptr_t)t[2]);
}
PROBE(posix_timer_default) {
	on(SIGALRM);
	timer_t t;
	OK(timer_create(CLOCK_REALTIME, 0, &t));
	struct itimerspec s = {{0, 0}, {0, 10 * MS}};
	OK(timer_settime(t, 0, &s, 0));
	while (!count) pause();
	EQUAL(last.si_value.sival_int, (intptr_t)t);
}
PROBE(posix_timer_until) {
	on(SIGUSR1);
	timer_t t = made(CLOCK_REALTIME, SIGEV_SIGNAL, SIGUSR1, 0);
	struct itimerspec s = {{0, 0}, {1, 0}}; // in 1970
	OK(timer_settime(t, TIMER_ABSTIME, &s, 0));
	while (!count) nap(1);
}
PROBE(posix_timer_overruns) {
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ZERO(pthread_sigmask(SIG_BLOCK, &set, 0));
	timer_t t = made(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, 0);
	struct itimerspec s = {{0, 1 * MS}, {0, 1 * MS}};
	OK(timer_settime(t, 0, &s, 0));
	nap(50);
	siginfo_t info;
	EQUAL(OK(sigwaitinfo(&set, &info)), SIGUSR1);
	CHECK(info.si_overrun >= 20);
	CHECK(OK(timer_getoverrun(t)) >= 20);
}
PROBE(posix_timer_silent) {
	timer_t t = made(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
	struct itimerspec s = {{3, 5}, {1000, 0}}, got;
	OK(timer_settime(t, 0, &s, 0));
	OK(timer_gettime(t, &got));
	EQUAL(got.it_interval.tv_sec, 3);
	EQUAL(got.it_interval.tv_nsec, 5);
	CHECK(got.it_value.tv_sec >= 990 && got.it_value.tv_sec <= 1000);
}
static atomic_int notified;
static void notify(union sigval v) { notified = v.sival_int; }
PROBE(posix_timer_thread) {
	struct sigevent e = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = notify};
	e.sigev_value.sival_int = 5;
	timer_t t;
	OK(timer_create(CLOCK_MONOTONIC, &e, &t));
	struct itimerspec s = {{0, 0}, {0, 5 * MS}};
	OK(timer_settime(t, 0, &s, 0));
	while (notified != 5) nap(2);
}
PROBE(posix_timer_to_thread) {
	on(SIGUSR1);
	struct sigevent e = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
	e._sigev_un._tid = syscall(SYS_gettid);
	timer_t t;
	OK(timer_create(CLOCK_MONOTONIC, &e, &t));
	struct itimerspec s = {{0, 0}, {0, 5 * MS}};
	OK(timer_settime(t, 0, &s, 0));
	while (!count) pause();
}
PROBE(posix_timer_of_cpu_time) {
	on(SIGUSR1);
	timer_t t = made(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR1, 0);
	struct itimerspec s = {{0, 0}, {0, 10 * MS}};
	OK(timer_settime(t, 0, &s, 0));
	while (!count) {}
}
// E14
PROBE(posix_timers_many) {
	for (int i = 0; i < 100; i++) {
		struct sigevent e = {.sigev_notify = SIGEV_NONE};
		timer_t t;
		if (timer_create(CLOCK_MONOTONIC, &e, &t)) WRONG("timer %d: %s", i + 1, strerror(errno));
	}
}
PROBE(posix_timers_not_inherited) {
	timer_t t = made(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
	IN_CHILD(struct itimerspec got; FAILS(EINVAL, timer_gettime(t, &got)));
}
PROBE(posix_timer_wrong) {
	struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 999};
	timer_t t;
	FAILS(EINVAL, timer_create(CLOCK_MONOTONIC, &e, &t));
	e.sigev_signo = SIGUSR1;
	FAILS(EINVAL, timer_create(1234, &e, &t));
}
PROBE(descriptor) {
	int fd = OK(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
	uint64_t n;
	FAILS(EAGAIN, read(fd, &n, 8));
	struct itimerspec s = {{0, 0}, {0, 5 * MS}}, got;
	OK(timerfd_settime(fd, 0, &s, 0));
	struct pollfd p = {fd, POLLIN, 0};
	EQUAL(poll(&p, 1, 10000), 1);
	EQUAL(read(fd, &n, 8), 8);
	EQUAL(n, 1);
	OK(timerfd_gettime(fd, &got));
	EQUAL(got.it_value.tv_nsec, 0);
	int64_t end = now() + 5 * MS;
	s.it_value = (struct timespec){end / 1000000000, end % 1000000000};
	OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &s, 0));
	EQUAL(poll(&p, 1, 10000), 1);
}
PROBE(poll_waits) {
	int64_t start = now();
	EQUAL(poll(0, 0, 30), 0);
	CHECK(now() - start >= 30 * MS);
	start = now();
	EQUAL(ppoll(0, 0, &(struct timespec){0, 30 * MS}, 0), 0);
	CHECK(now() - start >= 30 * MS);
}
PROBE(ticks) {
	struct tms t;
	CHECK(times(&t) != (clock_t)-1);
	EQUAL(sysconf(_SC_CLK_TCK), 100);
	works();
	times(&t);
	CHECK(t.tms_utime > 0);
	CHECK(clock() > 0);
}
PROBE(calendar) {
	OK(setenv("TZ", "UTC", 1));
	time_t t = 1709164800 + 12345; // 29 February 2024
	struct tm m;
	CHECK(localtime_r(&t, &m));
	EQUAL(m.tm_mday, 29);
	EQUAL(m.tm_yday, 59);
	EQUAL(mktime(&m), t);
}
