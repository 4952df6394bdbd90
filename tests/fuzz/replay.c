/* SPDX-License-Identifier: MIT */
/* Goes through a target's corpus once, in the order of the names. Arguments: directories. A crash names the file it came to. */
#include "fuzz.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

static char current[4096];

static void on_crash(int number)
{
	ssize_t unused = write(STDERR_FILENO, current, strlen(current));

	(void)unused;
	signal(number, SIG_DFL);
	raise(number);
}

static int is_shown(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
	unsigned count = 0;

	signal(SIGABRT, on_crash);
	for (int i = 1; i < argc; i++) {
		struct dirent **entries;
		int found = scandir(argv[i], &entries, is_shown, alphasort);

		if (found < 0) {
			perror(argv[i]);
			return EXIT_FAILURE;
		}
		for (int k = 0; k < found; k++) {
			struct stat st;
			uint8_t *bytes;
			FILE *file;

			snprintf(current, sizeof(current), "%s/%s\n", argv[i], entries[k]->d_name);
			current[strlen(current) - 1] = '\0';
			file = fopen(current, "re");
			if (file == NULL || fstat(fileno(file), &st) < 0) {
				perror(current);
				return EXIT_FAILURE;
			}
			/* Of just its size, so that a sanitizer sees what reads behind it. */
			bytes = malloc(st.st_size > 0 ? (size_t)st.st_size : 1);
			if (bytes == NULL || fread(bytes, 1, (size_t)st.st_size, file) != (size_t)st.st_size) {
				perror(current);
				return EXIT_FAILURE;
			}
			fclose(file);
			LLVMFuzzerTestOneInput(bytes, (size_t)st.st_size);
			free(bytes);
			free(entries[k]);
			count++;
		}
		free(entries);
	}
	printf("%u inputs\n", count);
	/* The corpus is part of the test: without it there is none. */
	return count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
