// Floating point: rounding, exceptions, conversions, and what a signal or a thread leaves of them.
#include "probe.h"
#include <fenv.h>
#include <float.h>
#include <math.h>

static volatile double one = 1, two = 2, three = 3, zero, huge = DBL_MAX, tiny = DBL_MIN;
static volatile float onef = 1, threef = 3;
static uint64_t bits(double d) {
	uint64_t v;
	memcpy(&v, &d, sizeof v);
	return v;
}

// Where more is computed than is asked for, results differ.
#if defined __FLT_EVAL_METHOD__ && __FLT_EVAL_METHOD__ != 0
#define EXACTLY elsewhere("intermediate results are wider")
#else
#define EXACTLY (void)0
#endif
PROBE(exact_results) {
	EXACTLY;
	EQUAL(bits(one / three), 0x3fd5555555555555);
	EQUAL(bits(sqrt(two)), 0x3ff6a09e667f3bcd);
	EQUAL(bits((double)(onef / threef)), 0x3fd5555560000000);
	EQUAL(bits(fma(one / three, three, -one)), 0xbc90000000000000);
	EQUAL(bits(0.1 + 0.2 * one), 0x3fd3333333333334);
}
PROBE(denormals) {
	EXACTLY;
	volatile double d = DBL_TRUE_MIN;
	CHECK(d > 0 && d / two == 0);
	CHECK(tiny / two > 0 && tiny / two * two == tiny);
	volatile float f = FLT_TRUE_MIN;
	CHECK(f > 0);
}
PROBE(infinities_and_nan) {
	CHECK(isinf(one / zero) && isinf(huge * two));
	volatile double n = zero / zero;
	CHECK(isnan(n) && !(n == n) && !(n < one) && isunordered(n, one));
	CHECK(signbit(-zero) && -zero == zero);
	CHECK(isnan(sqrt(-one)));
}
static void rounded(int mode, uint64_t third, double up, long whole) {
#ifdef __SH4__
	elsewhere("one or two modes only");
#endif
	if (fesetround(mode)) unsupported("no such mode");
	EQUAL(fegetround(), mode);
	EXACTLY;
	EQUAL(bits(one / three), third);
	volatile double v = 2.5;
	EQUAL((long long)(rint(v) * 2), (long long)(up * 2));
	EQUAL(lrint(v), whole);
	fesetround(FE_TONEAREST);
}
#ifdef FE_UPWARD
PROBE(rounds_up) { rounded(FE_UPWARD, 0x3fd5555555555556, 3, 3); }
PROBE(rounds_down) { rounded(FE_DOWNWARD, 0x3fd5555555555555, 2, 2); }
#endif
PROBE(rounds_to_zero) { rounded(FE_TOWARDZERO, 0x3fd5555555555555, 2, 2); }
PROBE(rounds_to_nearest) { rounded(FE_TONEAREST, 0x3fd5555555555555, 2, 2); }
static void raises(int exception, double (*f)(void)) {
	feclearexcept(FE_ALL_EXCEPT);
	volatile double r = f();
	(void)r;
	int got = fetestexcept(FE_ALL_EXCEPT);
	if (!(got & exception)) WRONG("the exceptions are %#x, without %#x", got, exception);
}
static double divides(void) { return one / zero; }
static double invalid(void) { return zero / zero; }
static double overflows(void) { return huge * huge; }
static double underflows(void) { return tiny * tiny; }
static double inexact(void) { return one / three; }
static double exact(void) { return one + two; }
PROBE(raises_division) { raises(FE_DIVBYZERO, divides); }
PROBE(raises_invalid) { raises(FE_INVALID, invalid); }
PROBE(raises_overflow) { raises(FE_OVERFLOW, overflows); }
PROBE(raises_underflow) { raises(FE_UNDERFLOW, underflows); }
PROBE(raises_inexact) { raises(FE_INEXACT, inexact); }
PROBE(raises_nothing) {
	feclearexcept(FE_ALL_EXCEPT);
	volatile double r = exact();
	(void)r;
	EQUAL(fetestexcept(FE_ALL_EXCEPT), 0);
}
PROBE(environment_kept) {
	fenv_t e;
	feclearexcept(FE_ALL_EXCEPT);
	feraiseexcept(FE_DIVBYZERO);
	ZERO(feholdexcept(&e));
	EQUAL(fetestexcept(FE_ALL_EXCEPT), 0);
	volatile double r = overflows();
	(void)r;
	ZERO(feupdateenv(&e));
	EQUAL(fetestexcept(FE_DIVBYZERO | FE_OVERFLOW), FE_DIVBYZERO | FE_OVERFLOW);
}
static volatile int count;
static void changes_mode(int n) {
	fesetround(FE_TOWARDZERO);
	volatile double d = one / three;
	(void)d;
	count++;
}
PROBE(mode_survives_signal) {
#ifdef FE_UPWARD
	signal(SIGUSR1, changes_mode);
	if (fesetround(FE_UPWARD)) unsupported("no such mode");
	raise(SIGUSR1);
	EQUAL(count, 1);
	EQUAL(fegetround(), FE_UPWARD);
	EQUAL(bits(one / three), 0x3fd5555555555556);
#else
	elsewhere("one mode only");
#endif
}
static void *its_mode(void *arg) {
	int mode = fegetround();
	fesetround(FE_TOWARDZERO);
	return (void *)(intptr_t)mode;
}
PROBE(mode_of_threads) {
	int before = fegetround();
	join(thread(its_mode, 0));
	EQUAL(fegetround(), before);
}
PROBE(mode_inherited_by_fork) {
	fesetround(FE_TOWARDZERO);
	IN_CHILD(EQUAL(fegetround(), FE_TOWARDZERO));
}
PROBE(to_integers) {
	volatile double d = -3.7, e = 4294967295.0, f = 9007199254740993.0;
	EQUAL((int)d, -3);
	EQUAL((long long)d, -3);
	EQUAL((unsigned)e, 4294967295u);
	EQUAL((long long)f, 9007199254740992LL);
	EQUAL(lround(d), -4);
	EQUAL(llrint(d), -4);
}
PROBE(from_integers) {
	volatile long long a = 9007199254740993LL, b = -1;
	volatile unsigned long long c = 18446744073709551615ULL;
	EQUAL(bits((double)a), bits(9007199254740992.0));
	EQUAL(bits((double)b), bits(-1.0));
	EQUAL(bits((double)c), bits(18446744073709551616.0));
	CHECK((float)c == 18446744073709551616.0f);
}
PROBE(library_functions) {
	EQUAL(bits(floor(-1.5 * one)), bits(-2.0));
	EQUAL(bits(trunc(-1.5 * one)), bits(-1.0));
	EQUAL(bits(fmod(7 * one, three)), bits(1.0));
	EQUAL(bits(ldexp(one, 10)), bits(1024.0));
	CHECK(fabs(sin(one) - 0.8414709848078965) < 1e-15);
	CHECK(fabs(exp(one) - 2.718281828459045) < 1e-15);
	CHECK(fabs(pow(two, 0.5) - 1.4142135623730951) < 1e-15);
	CHECK(fabs(log(three) - 1.0986122886681098) < 1e-15);
}
PROBE(long_doubles) {
	volatile long double a = 1, b = 3;
	long double c = a / b * b;
	CHECK(fabsl(c - a) <= LDBL_EPSILON);
	CHECK(sqrtl(a * 4) == 2);
	char text[50];
	snprintf(text, sizeof text, "%.3Lf", a / b);
	SAME(text, "0.333");
}
PROBE(printed_and_read) {
	char text[60];
	snprintf(text, sizeof text, "%.17g %a %g", one / three, one / two, (double)(onef / threef));
	SAME(text, "0.33333333333333331 0x1p-1 0.333333");
	EQUAL(bits(strtod("0.1", 0)), 0x3fb999999999999a);
	EQUAL(bits(strtod("4.9406564584124654e-324", 0)), 1);
}
static double sums[2];
static void *sums_up(void *arg) {
	double s = 0;
	for (int i = 1; i < 200000; i++) s += one / i;
	*(double *)arg = s;
	return 0;
}
PROBE(same_in_threads) {
	pthread_t a = thread(sums_up, &sums[0]), b = thread(sums_up, &sums[1]);
	join(a), join(b);
	EQUAL(bits(sums[0]), bits(sums[1]));
}
typedef float four __attribute__((vector_size(16)));
PROBE(vectors) {
	four a = {onef, 2, 3, 4}, b = {4, 3, 2, onef};
	four c = a * b + a;
	for (int i = 0; i < 4; i++) CHECK(c[i] == (i + 1) * (4 - i) + (i + 1));
	typedef int ints __attribute__((vector_size(16)));
	ints m = a > b;
	EQUAL(m[0], 0);
	EQUAL(m[3], -1);
}
