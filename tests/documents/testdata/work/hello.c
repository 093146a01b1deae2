//go:build ignore

/* The program that build tools build and test; the directory is a Go package, too. */
int main(void)
{
#ifdef __aarch64__
	return 0;
#else
	return 1; /* not for the architecture that is asked for */
#endif
}
