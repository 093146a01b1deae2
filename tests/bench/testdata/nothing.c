/* As an emulator it has a version, as one of ours: nobody has to ask for it. */
__attribute__((used)) static const char version[] = "\0qemu-aarch64 version 10.2.2, exec-helper 1\n";

int main(void) { return 0; }
