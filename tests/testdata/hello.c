/* Says hello and how it was called, and uses the heap, floating point and the
   byte order on the way. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	const char *hello = "hello";
	char *copy = malloc(strlen(hello) + 1);
	volatile double two = 2;
	int i;

	if (!copy)
		return 1;
	strcpy(copy, hello);
	printf("%s from C %.3f\n", copy, sqrt(two));
	for (i = 0; i < argc; i++)
		printf("\"%s\"\n", argv[i]);
	free(copy);
	return 0;
}
