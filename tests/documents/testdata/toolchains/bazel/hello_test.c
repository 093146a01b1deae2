#include <string.h>
#include <sys/utsname.h>

int main(void) {
	struct utsname u;
	return uname(&u) != 0 || strcmp(u.machine, "aarch64") != 0;
}
