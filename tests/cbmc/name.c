/* SPDX-License-Identifier: MIT */
/*
 * A field of any bytes, of CASE bytes: what is accepted as a name comes back from its file's name, which has no '/'; nothing outside is read or written.
 * What is accepted at all is proven at full width, by field.c.
 */
#include "prove.h"

#include "proto/name.h"

#ifndef CASE
#define CASE 12
#endif
enum { FIELD = CASE };

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
	END();
}
