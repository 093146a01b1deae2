// Threads that do little: four at a time, 200 in all.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

static void *twice(void *n) { return (void *)(2 * (intptr_t)n); }

int main(void) {
	intptr_t sum = 0;
	for (intptr_t i = 0; i < 200; i += 4) {
		pthread_t t[4];
		for (int j = 0; j < 4; j++)
			if (pthread_create(&t[j], 0, twice, (void *)(i + j))) return 1;
		for (int j = 0; j < 4; j++) {
			void *value;
			if (pthread_join(t[j], &value)) return 1;
			sum += (intptr_t)value;
		}
	}
	printf("%ld\n", (long)sum);
}
