// Calls a row of loads, stores and barriers, which the test has written, in a process
// that has had two threads: stock emulators translate for several from then on.
#include <pthread.h>

extern void accesses(void *a, void *b);

static _Alignas(128) char cells[2][128];

static void *nothing(void *arg) { return arg; }

int main(void)
{
    pthread_t other;

    if (pthread_create(&other, NULL, nothing, NULL) || pthread_join(other, NULL)) {
        return 1;
    }
    accesses(cells[0], cells[1]);
    return 0;
}
