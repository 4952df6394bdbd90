/* SPDX-License-Identifier: MIT */
/* Names of segments, and of their files. */
#include "fuzz.h"

#include "proto/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	char field[SHMB_NAME_MAX + 8] = { 0 };
	char name[SHMB_NAME_MAX + 1];
	char file[SHMB_NAME_MAX + 1];
	char back[SHMB_NAME_MAX + 1];
	const char *why = NULL;

	if (shmb_name_decode((const char *)bytes, length, name) == 0) {
		/* What a file is called is a name, and gives that file's name again. */
		FUZZ_HOLDS(shmb_name_check(name, strlen(name), &why) == 0);
		shmb_name_encode(name, file);
		FUZZ_HOLDS(strlen(file) == length && memcmp(file, bytes, length) == 0);
	}
	if (memchr(bytes, '\0', length) == NULL) {
		if (shmb_name_check((const char *)bytes, length, &why) == 0) {
			FUZZ_HOLDS(length > 0 && length <= SHMB_NAME_MAX);
			memcpy(name, bytes, length);
			name[length] = '\0';
			shmb_name_encode(name, file);
			FUZZ_HOLDS(strchr(file, '/') == NULL && file[0] != '.');
			FUZZ_HOLDS(shmb_name_decode(file, strlen(file), back) == 0 && strcmp(back, name) == 0);
		} else {
			FUZZ_HOLDS(why != NULL);
		}
	}
	memcpy(field, bytes, length < sizeof(field) ? length : sizeof(field));
	if (shmb_name_check_field(field, sizeof(field), &why) == 0)
		FUZZ_HOLDS(memchr(field, '\0', sizeof(field)) != NULL && strlen(field) <= SHMB_NAME_MAX);
	return 0;
}
