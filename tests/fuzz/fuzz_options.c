/* SPDX-License-Identifier: MIT */
/* The daemon's command line: arguments between NULs, behind a byte that says whose it is. */
#include "fuzz.h"

#include "daemon/options.h"

enum { ARGUMENTS = 12 };

static void is_text(const char *field, size_t size)
{
	FUZZ_HOLDS(memchr(field, '\0', size) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static char program[] = "shmbrokerd";
	char *arguments[ARGUMENTS + 2] = { program };
	struct options_surroundings surroundings = { .uid = 1000 };
	struct options options;
	char message[OPTIONS_MESSAGE_MAX] = "";
	char *text;
	char *at;
	int count = 1;

	if (length < 1)
		return 0;
	text = malloc(length);
	memcpy(text, bytes + 1, length - 1);
	text[length - 1] = '\0';
	surroundings.uid = (bytes[0] & 1) != 0 ? 0 : 1000;
	surroundings.xdg_runtime_dir = (bytes[0] & 2) != 0 ? "/run/user/1000" : NULL;
	surroundings.xdg_config_home = (bytes[0] & 4) != 0 ? text : NULL;
	surroundings.home = (bytes[0] & 8) != 0 ? "/home/robot" : NULL;
	for (at = text; at < text + length && count <= ARGUMENTS; at += strlen(at) + 1)
		arguments[count++] = at;
	switch (options_parse(&options, count, arguments, &surroundings, message)) {
	case OPTIONS_RUN:
		is_text(options.runtime_dir, sizeof(options.runtime_dir));
		is_text(options.socket, sizeof(options.socket));
		is_text(options.shm_dir, sizeof(options.shm_dir));
		FUZZ_HOLDS(options.socket[0] != '\0' && options.shm_dir[0] != '\0');
		/* fall through */
	case OPTIONS_CHECK:
		is_text(options.config, sizeof(options.config));
		break;
	case OPTIONS_BAD:
		is_text(message, sizeof(message));
		FUZZ_HOLDS(message[0] != '\0');
		break;
	case OPTIONS_HELP:
	case OPTIONS_VERSION:
		break;
	}
	free(text);
	return 0;
}
