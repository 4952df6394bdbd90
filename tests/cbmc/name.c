/* SPDX-License-Identifier: MIT */
/*
 * A field of any bytes: what is accepted as a name ends inside the field, has no part that begins with a dot, and comes back from its file's name;
 * nothing outside is read or written. The field is short, so that CBMC sees the end of it: the loops do the same at every byte.
 */
#include "prove.h"

#include "proto/name.h"

enum { FIELD = 12 };

void harness(void)
{
	char field[FIELD], file[SHMB_NAME_MAX + 1], back[SHMB_NAME_MAX + 1];
	size_t length;

	ANY(field);
	DRAW(memcpy(field, "aZ9/_-.a/b.", FIELD));
	DRAW(field[draw(FIELD)] = "a./%\0"[draw(5)]);
	DRAW(field[draw(FIELD)] = "a./%\0"[draw(5)]);
	ASSUME(shmb_name_check_field(field, sizeof(field), NULL) == 0);
	length = strnlen(field, sizeof(field));
	PROVE(length > 0 && length < sizeof(field));
	PROVE(field[0] != '.' && field[0] != '/' && field[length - 1] != '/');
	for (size_t i = 1; i < sizeof(field); i++) {
		PROVE(i < length || field[i] == '\0');
		PROVE(field[i - 1] != '/' || (field[i] != '.' && field[i] != '/'));
	}
	shmb_name_encode(field, file);
	PROVE(memchr(file, '/', length) == NULL && strnlen(file, sizeof(file)) == length);
	PROVE(shmb_name_decode(file, length, back) == 0);
	PROVE(memcmp(back, field, length + 1) == 0);
}
