/* planted_error memory|arithmetic: does what the sanitizers forbid, so that a test can see them object. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    volatile int one = 1; /* keeps the compiler from working it out by itself */
    if (argc == 2 && strcmp(argv[1], "memory") == 0) {
        char *bytes = malloc(4);
        if (bytes == NULL) return 2;
        bytes[3 + one] = 1;
        printf("%d\n", bytes[3 + one]);
        free(bytes);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "arithmetic") == 0) return printf("%d\n", INT_MAX + one), 0;
    return fprintf(stderr, "usage: planted_error memory|arithmetic\n"), 2;
}
