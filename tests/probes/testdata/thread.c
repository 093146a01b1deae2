// Threads: making, locking, waiting, ending.
#include "probe.h"
#include <linux/futex.h>
#include <semaphore.h>
#include <threads.h>

enum { THREADS = 8, TIMES = 2000 };
static int shared;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

static void together(void *(*f)(void *), int n) {
	pthread_t t[THREADS];
	for (int i = 0; i < n; i++) t[i] = thread(f, (void *)(intptr_t)i);
	for (int i = 0; i < n; i++) join(t[i]);
}
static struct timespec in(int milliseconds) {
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_nsec += milliseconds * 1000000L;
	t.tv_sec += t.tv_nsec / 1000000000, t.tv_nsec %= 1000000000;
	return t;
}

static void *returns(void *arg) { return (char *)arg + 1; }
PROBE(value) { CHECK(join(thread(returns, (void *)41)) == (void *)42); }
PROBE(many_after_another) {
	for (int i = 0; i < 300; i++) join(thread(returns, 0));
}
static void *adds(void *arg) {
	for (int i = 0; i < TIMES; i++) {
		pthread_mutex_lock(&lock);
		shared++;
		pthread_mutex_unlock(&lock);
	}
	return 0;
}
PROBE(mutex) {
	together(adds, THREADS);
	EQUAL(shared, THREADS * TIMES);
}
static pthread_mutex_t *made(int type, int protocol, int robust, int process) {
	pthread_mutexattr_t a;
	ZERO(pthread_mutexattr_init(&a));
	ZERO(pthread_mutexattr_settype(&a, type));
	ZERO(pthread_mutexattr_setprotocol(&a, protocol));
	ZERO(pthread_mutexattr_setrobust(&a, robust));
	ZERO(pthread_mutexattr_setpshared(&a, process));
	pthread_mutex_t *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(m != MAP_FAILED);
	int error = pthread_mutex_init(m, &a);
	if (error == ENOTSUP) unsupported("no such mutex");
	ZERO(error);
	return m;
}
PROBE(mutex_recursive) {
	pthread_mutex_t *m = made(PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED, PTHREAD_PROCESS_PRIVATE);
	ZERO(pthread_mutex_lock(m));
	ZERO(pthread_mutex_lock(m));
	ZERO(pthread_mutex_unlock(m));
	ZERO(pthread_mutex_unlock(m));
	EQUAL(pthread_mutex_unlock(m), EPERM);
}
PROBE(mutex_checking) {
	pthread_mutex_t *m = made(PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED, PTHREAD_PROCESS_PRIVATE);
	ZERO(pthread_mutex_lock(m));
	EQUAL(pthread_mutex_lock(m), EDEADLK);
}
PROBE(mutex_times_out) {
	ZERO(pthread_mutex_lock(&lock));
	struct timespec t = in(30);
	EQUAL(pthread_mutex_timedlock(&lock, &t), ETIMEDOUT);
	t = in(30);
	EQUAL(pthread_mutex_clocklock(&lock, CLOCK_MONOTONIC, &(struct timespec){0, 1}), ETIMEDOUT);
}
static pthread_mutex_t *inheriting;
static atomic_bool held;
static void *adds_inheriting(void *arg) {
	for (int i = 0; i < TIMES / 10; i++) {
		ZERO(pthread_mutex_lock(inheriting));
		shared++;
		ZERO(pthread_mutex_unlock(inheriting));
	}
	return 0;
}
// E17
PROBE(mutex_inherits_priority) {
	inheriting = made(PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT, PTHREAD_MUTEX_STALLED, PTHREAD_PROCESS_PRIVATE);
	together(adds_inheriting, THREADS);
	EQUAL(shared, THREADS * TIMES / 10);
}
static void *locks_for_a_while(void *arg) {
	ZERO(pthread_mutex_lock(inheriting));
	atomic_store(&held, true);
	nap(150);
	ZERO(pthread_mutex_unlock(inheriting));
	return 0;
}
#ifdef __sparc__
// Its static C library has the trampoline of signals directly behind kill(3) if a program of this one's
// other calls makes a handler, too: who unwinds a stack takes it for kill's.
static void may_be_interrupted(void) {}
static void interrupt(pthread_t t) {}
#else
static void nothing(int n) {}
static void may_be_interrupted(void) { signal(SIGUSR1, nothing); }
static void interrupt(pthread_t t) { ZERO(pthread_kill(t, SIGUSR1)); }
#endif
static void *interrupts(void *t) {
	nap(30);
	interrupt(*(pthread_t *)t);
	return 0;
}
PROBE(mutex_inherits_while_held) {
	inheriting = made(PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_INHERIT, PTHREAD_MUTEX_STALLED, PTHREAD_PROCESS_PRIVATE);
	may_be_interrupted();
	pthread_t self = pthread_self(), t = thread(locks_for_a_while, 0);
	while (!atomic_load(&held)) nap(1);
	EQUAL(pthread_mutex_trylock(inheriting), EBUSY);
	EQUAL(pthread_mutex_unlock(inheriting), EPERM);
	struct timespec soon = in(20);
	EQUAL(pthread_mutex_timedlock(inheriting, &soon), ETIMEDOUT);
	pthread_t other = thread(interrupts, &self);
	ZERO(pthread_mutex_lock(inheriting)); // goes on waiting after the signal
	EQUAL(pthread_mutex_lock(inheriting), EDEADLK);
	ZERO(pthread_mutex_unlock(inheriting));
	join(t), join(other);
}
PROBE(mutex_inherits_checks_time) {
	inheriting = made(PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT, PTHREAD_MUTEX_STALLED, PTHREAD_PROCESS_PRIVATE);
	ZERO(pthread_mutex_lock(inheriting));
	struct timespec t = in(20);
	EQUAL(pthread_mutex_timedlock(inheriting, &t), ETIMEDOUT);
	t.tv_nsec = 1000000000;
	EQUAL(pthread_mutex_timedlock(inheriting, &t), EINVAL);
	ZERO(pthread_mutex_unlock(inheriting));
}
// locked_by_child has a child lock a mutex, and end with it after some milliseconds.
static pid_t locked_by_child(pthread_mutex_t *m, int milliseconds) {
	int ends[2];
	OK(pipe(ends));
	pid_t pid = OK(fork());
	if (pid == 0) {
		pthread_mutex_lock(m);
		if (write(ends[1], "x", 1) != 1) _exit(1);
		nap(milliseconds);
		_exit(0);
	}
	char c;
	EQUAL(read(ends[0], &c, 1), 1);
	return pid;
}
PROBE(robust_inherits_owner_dies) {
	pthread_mutex_t *m = made(PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT, PTHREAD_MUTEX_ROBUST, PTHREAD_PROCESS_SHARED);
	pid_t pid = locked_by_child(m, 200);
	struct timespec t = in(5000);
	EQUAL(pthread_mutex_timedlock(m, &t), EOWNERDEAD); // waits while the owner sleeps
	ZERO(pthread_mutex_consistent(m));
	ZERO(pthread_mutex_unlock(m));
	ZERO(pthread_mutex_lock(m));
	reap(pid, 0);
}
PROBE(mutex_of_processes) {
	pthread_mutex_t *m = made(PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED, PTHREAD_PROCESS_SHARED);
	volatile int *v = (int *)(m + 1);
	pid_t pid[4];
	for (int i = 0; i < 4; i++) {
		pid[i] = OK(fork());
		if (pid[i]) continue;
		for (int k = 0; k < TIMES; k++) {
			pthread_mutex_lock(m);
			(*v)++;
			pthread_mutex_unlock(m);
		}
		_exit(0);
	}
	for (int i = 0; i < 4; i++) reap(pid[i], 0);
	EQUAL(*v, 4 * TIMES);
}
// E7
PROBE(robust_owner_process_dies) {
	pthread_mutex_t *m = made(PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST, PTHREAD_PROCESS_SHARED);
	pid_t pid = OK(fork());
	if (pid == 0) _exit(pthread_mutex_lock(m));
	reap(pid, 0);
	struct timespec t = in(3000);
	EQUAL(pthread_mutex_timedlock(m, &t), EOWNERDEAD);
	ZERO(pthread_mutex_consistent(m));
	ZERO(pthread_mutex_unlock(m));
	ZERO(pthread_mutex_lock(m));
}
static pthread_mutex_t *robust;
static void *locks_and_ends(void *arg) {
	ZERO(pthread_mutex_lock(robust));
	return 0;
}
PROBE(robust_owner_thread_ends) {
	robust = made(PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST, PTHREAD_PROCESS_PRIVATE);
	join(thread(locks_and_ends, 0));
	struct timespec t = in(3000);
	EQUAL(pthread_mutex_timedlock(robust, &t), EOWNERDEAD);
}
PROBE(robust_waiter_wakes) {
	pthread_mutex_t *m = made(PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST, PTHREAD_PROCESS_SHARED);
	pid_t pid = locked_by_child(m, 200);
	struct timespec t = in(5000);
	EQUAL(pthread_mutex_timedlock(m, &t), EOWNERDEAD); // waits while the owner sleeps
	reap(pid, 0);
}
PROBE(robust_owner_killed) {
	pthread_mutex_t *m = made(PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST, PTHREAD_PROCESS_SHARED);
	pid_t pid = locked_by_child(m, INT_MAX);
	OK(kill(pid, SIGKILL));
	OK(waitpid(pid, 0, 0));
	struct timespec t = in(3000);
	EQUAL(pthread_mutex_timedlock(m, &t), EOWNERDEAD);
}
PROBE(robust_not_recovered) {
	pthread_mutex_t *m = made(PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST, PTHREAD_PROCESS_SHARED);
	pid_t pid = OK(fork());
	if (pid == 0) _exit(pthread_mutex_lock(m));
	reap(pid, 0);
	struct timespec t = in(3000);
	EQUAL(pthread_mutex_timedlock(m, &t), EOWNERDEAD);
	ZERO(pthread_mutex_unlock(m));
	EQUAL(pthread_mutex_lock(m), ENOTRECOVERABLE);
}
PROBE(robust_list_is_set) {
	void *head = 0;
	size_t length = 0;
	OK(syscall(SYS_get_robust_list, 0, &head, &length));
	CHECK(head);
	EQUAL(length, 3 * sizeof(long));
}

static bool ready;
static void *signals_condition(void *arg) {
	nap(20);
	pthread_mutex_lock(&lock);
	ready = true;
	pthread_cond_broadcast(&condition);
	pthread_mutex_unlock(&lock);
	return 0;
}
static void *waits_condition(void *arg) {
	pthread_mutex_lock(&lock);
	while (!ready) pthread_cond_wait(&condition, &lock);
	shared++;
	pthread_mutex_unlock(&lock);
	return 0;
}
PROBE(condition_broadcast) {
	pthread_t t = thread(signals_condition, 0);
	together(waits_condition, THREADS);
	join(t);
	EQUAL(shared, THREADS);
}
PROBE(condition_times_out) {
	pthread_condattr_t a;
	pthread_cond_t c;
	ZERO(pthread_condattr_init(&a));
	ZERO(pthread_condattr_setclock(&a, CLOCK_MONOTONIC));
	ZERO(pthread_cond_init(&c, &a));
	ZERO(pthread_mutex_lock(&lock));
	struct timespec t;
	int64_t start = now();
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec++;
	EQUAL(pthread_cond_timedwait(&c, &lock, &t), ETIMEDOUT);
	CHECK(now() - start >= 1000000000);
}
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static void *reads_or_writes(void *arg) {
	for (int i = 0; i < TIMES; i++)
		if (i % 4 == (int)(intptr_t)arg % 4) {
			pthread_rwlock_wrlock(&rw);
			shared++;
			pthread_rwlock_unlock(&rw);
		} else {
			pthread_rwlock_rdlock(&rw);
			pthread_rwlock_unlock(&rw);
		}
	return 0;
}
PROBE(read_write_lock) {
	together(reads_or_writes, 4);
	EQUAL(shared, TIMES);
}
static pthread_spinlock_t spin;
static void *adds_spinning(void *arg) {
	for (int i = 0; i < TIMES; i++) {
		pthread_spin_lock(&spin);
		shared++;
		pthread_spin_unlock(&spin);
	}
	return 0;
}
PROBE(spin_lock) {
	ZERO(pthread_spin_init(&spin, 0));
	together(adds_spinning, 2);
	EQUAL(shared, 2 * TIMES);
}
static pthread_barrier_t barrier;
static atomic_int serial;
static void *meets(void *arg) {
	for (int i = 0; i < 50; i++)
		if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD) serial++;
	return 0;
}
PROBE(barrier_) {
	ZERO(pthread_barrier_init(&barrier, 0, 4));
	together(meets, 4);
	EQUAL(serial, 50);
}
static pthread_once_t once = PTHREAD_ONCE_INIT;
static void at_once(void) { shared++; }
static void *does_once(void *arg) {
	pthread_once(&once, at_once);
	EQUAL(shared, 1);
	return 0;
}
PROBE(once_) { together(does_once, THREADS); }
static sem_t semaphore;
static void *posts(void *arg) {
	for (int i = 0; i < 200; i++) sem_post(&semaphore);
	return 0;
}
PROBE(semaphore_) {
	OK(sem_init(&semaphore, 0, 0));
	pthread_t t = thread(posts, 0);
	for (int i = 0; i < 200; i++) OK(sem_wait(&semaphore));
	join(t);
	FAILS(EAGAIN, sem_trywait(&semaphore));
	struct timespec at = in(20);
	FAILS(ETIMEDOUT, sem_timedwait(&semaphore, &at));
}
static __thread int own = 7;
static void *changes_own(void *arg) {
	EQUAL(own, 7);
	own = 8;
	return &own;
}
// E0
PROBE(local_storage) {
	own = 9;
	CHECK(join(thread(changes_own, 0)) != &own);
	together(changes_own, THREADS);
	EQUAL(own, 9);
}
static pthread_key_t key;
static void destroys(void *value) { shared += (int)(intptr_t)value; }
static void *sets_key(void *arg) {
	pthread_setspecific(key, (void *)5);
	return 0;
}
PROBE(specific_destructor) {
	ZERO(pthread_key_create(&key, destroys));
	together(sets_key, 1);
	EQUAL(shared, 5);
}
static void cleans(void *arg) { shared++; }
static void *sleeps(void *arg) {
	pthread_cleanup_push(cleans, 0);
	for (;;) pause();
	pthread_cleanup_pop(0);
	return 0;
}
PROBE(cancelled) {
	pthread_t t = thread(sleeps, 0);
	nap(20);
	ZERO(pthread_cancel(t));
	CHECK(join(t) == PTHREAD_CANCELED);
	EQUAL(shared, 1);
}
static void *spins(void *arg) {
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, 0);
	for (;;) shared++;
	return 0;
}
PROBE(cancelled_in_loop) {
	pthread_t t = thread(spins, 0);
	nap(20);
	ZERO(pthread_cancel(t));
	CHECK(join(t) == PTHREAD_CANCELED);
}
static void unlocks(void *m) { pthread_mutex_unlock(m); }
static void *waits_for_lock(void *arg) {
	pthread_mutex_lock(&lock);
	pthread_cleanup_push(unlocks, &lock);
	for (;;) pthread_cond_wait(&condition, &lock);
	pthread_cleanup_pop(1);
	return 0;
}
PROBE(cancelled_waiting) {
	pthread_t t = thread(waits_for_lock, 0);
	nap(20);
	ZERO(pthread_cancel(t));
	CHECK(join(t) == PTHREAD_CANCELED);
	ZERO(pthread_mutex_trylock(&lock));
}
static void *its_id(void *arg) { return (void *)(intptr_t)syscall(SYS_gettid); }
PROBE(ids) {
	void *a = join(thread(its_id, 0));
	CHECK((intptr_t)a != getpid() && (intptr_t)a > 0);
	EQUAL(syscall(SYS_gettid), getpid());
}
static void *names_itself(void *arg) {
	ZERO(pthread_setname_np(pthread_self(), "a-thread"));
	char name[16];
	ZERO(pthread_getname_np(pthread_self(), name, sizeof name));
	SAME(name, "a-thread");
	return 0;
}
PROBE(names) {
	char before[16], after[16];
	ZERO(pthread_getname_np(pthread_self(), before, sizeof before));
	join(thread(names_itself, 0));
	ZERO(pthread_getname_np(pthread_self(), after, sizeof after));
	SAME(after, before);
}
static void *large_local(void *arg) {
	volatile char space[200000];
	for (size_t i = 0; i < sizeof space; i += 1000) space[i] = 1;
	return 0;
}
PROBE(stack_size) {
	pthread_attr_t a;
	size_t size;
	ZERO(pthread_attr_init(&a));
	ZERO(pthread_attr_setstacksize(&a, 400000));
	ZERO(pthread_attr_getstacksize(&a, &size));
	EQUAL(size, 400000);
	pthread_t t;
	ZERO(pthread_create(&t, &a, large_local, 0));
	join(t);
}
static void *asks_stack(void *arg) {
	pthread_attr_t a;
	void *low;
	size_t size;
	char here;
	ZERO(pthread_getattr_np(pthread_self(), &a));
	ZERO(pthread_attr_getstack(&a, &low, &size));
	CHECK(&here >= (char *)low && &here < (char *)low + size);
	return 0;
}
PROBE(stack_is_known) {
	asks_stack(0);
	join(thread(asks_stack, 0));
}
static atomic_bool end;
static void *until_end(void *arg) {
	while (!end) nap(5);
	return 0;
}
PROBE(detached) {
	pthread_t t = thread(until_end, 0);
	ZERO(pthread_detach(t));
	EQUAL(pthread_join(t, 0), EINVAL);
	end = true;
	nap(20);
}
PROBE(affinity) {
	cpu_set_t all, one;
	ZERO(pthread_getaffinity_np(pthread_self(), sizeof all, &all));
	CHECK(CPU_COUNT(&all) > 0);
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all)) {
			CPU_SET(i, &one);
			break;
		}
	ZERO(pthread_setaffinity_np(pthread_self(), sizeof one, &one));
	cpu_set_t got;
	ZERO(pthread_getaffinity_np(pthread_self(), sizeof got, &got));
	CHECK(CPU_EQUAL(&got, &one));
	int cpu = OK(sched_getcpu());
	CHECK(CPU_ISSET(cpu, &one));
}
static int word;
static long futex(int *at, int op, int value, struct timespec *t, int *other, int third) { return syscall(SYS_futex, at, op, value, t, other, third); }
static void *wakes(void *arg) {
	while (futex(&word, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0) == 0) nap(5);
	return 0;
}
PROBE(affinity_of_any_length) {
	unsigned char all[1024] = {0};
	long n = OK(syscall(SYS_sched_getaffinity, 0, sizeof all, all));
	long odd = n + 3; // what lies behind the kernel's mask is left out
	OK(syscall(SYS_sched_setaffinity, 0, odd, all));
	FAILS(EFAULT, syscall(SYS_sched_setaffinity, 0, 1, 16L));
	OK(syscall(SYS_sched_setaffinity, 0, 0x7fffffff, memset(mmap(0, 65536, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 0xff, 65536)));
}
PROBE(futex_wakes) {
	pthread_t t = thread(wakes, 0);
	OK(futex(&word, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0));
	join(t);
}
PROBE(futex_value_differs) { FAILS(EAGAIN, futex(&word, FUTEX_WAIT, 1, 0, 0, 0)); }
static void *wakes_bits(void *arg) {
	CHECK(futex(&word, FUTEX_WAKE_BITSET, 1, 0, 0, 2) == 0); // not its bit
	while (futex(&word, FUTEX_WAKE_BITSET, 1, 0, 0, 4) == 0) nap(5);
	return 0;
}
PROBE(futex_bits) {
	pthread_t t = thread(wakes_bits, 0);
	OK(futex(&word, FUTEX_WAIT_BITSET, 0, 0, 0, 4));
	join(t);
}
static int word2;
static void *requeues(void *arg) {
	while (futex(&word, FUTEX_CMP_REQUEUE, 0, (void *)1, &word2, 0) == 0) nap(5);
	while (futex(&word2, FUTEX_WAKE, 1, 0, 0, 0) == 0) nap(5);
	return 0;
}
PROBE(futex_requeued) {
	pthread_t t = thread(requeues, 0);
	OK(futex(&word, FUTEX_WAIT, 0, 0, 0, 0));
	join(t);
}
// As conditions of glibc before 2.25 do where the mutex inherits priorities.
static void *waits_and_locks(void *arg) {
	OK(futex(&word, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, 0, &word2, 0));
	EQUAL(word2 & FUTEX_TID_MASK, syscall(SYS_gettid));
	shared++;
	OK(futex(&word2, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0));
	return 0;
}
PROBE(futex_requeued_to_lock) {
	pthread_t t[3];
	for (int i = 0; i < 3; i++) t[i] = thread(waits_and_locks, 0);
	nap(50);
	OK(futex(&word2, FUTEX_LOCK_PI_PRIVATE, 0, 0, 0, 0));
	EQUAL(word2 & FUTEX_TID_MASK, getpid());
	FAILS(EAGAIN, futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)INT_MAX, &word2, 1));
	for (int n = 0; n < 3; nap(5)) n += OK(futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)INT_MAX, &word2, 0));
	nap(20);
	EQUAL(shared, 0); // who was woken waits for the mutex
	OK(futex(&word2, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0));
	for (int i = 0; i < 3; i++) join(t[i]);
	EQUAL(shared, 3);
	EQUAL(word2, 0);
	FAILS(EPERM, futex(&word2, FUTEX_UNLOCK_PI_PRIVATE, 0, 0, 0, 0));
}
PROBE(futex_owner_missing) {
	word = INT_MAX & FUTEX_TID_MASK;
	FAILS(ESRCH, futex(&word, FUTEX_LOCK_PI, 0, 0, 0, 0));
}
static int op_word;
static void *wakes_by_operation(void *arg) {
	int op = FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 0);
	while (futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &op_word, op) == 0) op_word = 0, nap(5);
	return 0;
}
PROBE(futex_operation) {
	pthread_t t = thread(wakes_by_operation, 0);
	OK(futex(&word, FUTEX_WAIT, 0, 0, 0, 0));
	join(t);
	EQUAL(op_word, 3);
}
static long resident(void) { return atol(strchr(contents("/proc/self/statm"), ' ')) * (sysconf(_SC_PAGESIZE) / 1024); }
PROBE(memory_of_those_that_ended) {
	thread(spins, 0); // it calls nothing for as long
	join(thread(returns, 0));
	long before = resident();
	for (int i = 0; i < 500; i++) join(thread(returns, 0));
	long more = resident() - before;
	if (more > 12 * 1024) WRONG("500 threads that ended leave %ld kB", more);
}
PROBE(exit_with_threads_busy) {
	IN_CHILD(for (int i = 0; i < 4; i++) thread(spins, 0); nap(20); _exit(0));
}
PROBE(exit_while_threads_begin_and_end) {
	bool done = false;
	for (int i = 0; i < 40; i++)
		IN_CHILD(for (int k = 0; k < 3; k++) thread(begins_and_ends, &done); nap(i % 8); _exit(0));
}
static void *maps(void *arg) {
	for (int i = 0; i < 100; i++) {
		char *p = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(p != MAP_FAILED);
		p[100] = 1;
		OK(munmap(p, 65536));
	}
	return 0;
}
PROBE(mapping_at_once) { together(maps, 4); }
static int c11(void *arg) {
	mtx_lock(arg);
	mtx_unlock(arg);
	return 5;
}
PROBE(c11_threads) {
	mtx_t m;
	thrd_t t;
	int value;
	EQUAL(mtx_init(&m, mtx_plain), thrd_success);
	EQUAL(thrd_create(&t, c11, &m), thrd_success);
	EQUAL(thrd_join(t, &value), thrd_success);
	EQUAL(value, 5);
}
