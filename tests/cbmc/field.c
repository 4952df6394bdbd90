/* SPDX-License-Identifier: MIT */
/* A field of any bytes, as wide as those of cards and messages: what is accepted as a name ends inside it, is followed by NULs alone, and no part of it begins with a dot or is empty. */
#include "prove.h"

#include "proto/layout.h"
#include "proto/name.h"

enum { FIELD = sizeof(((struct shmb_shm_card *)0)->name) };

void harness(void)
{
	char field[FIELD];
	const char *why = NULL;
	size_t length, at;
	int r;

	ANY(field);
	ANY(at);
	DRAW(memset(field, 0, sizeof(field)));
	DRAW(memcpy(field, "aZ9/_-.a/b.", 12));
	DRAW(field[draw(14)] = "a./%\0"[draw(5)]);
	DRAW(field[draw(14)] = "a./%\0"[draw(5)]);
	DRAW(at %= FIELD);
	r = shmb_name_check_field(field, sizeof(field), &why);
	PROVE(r <= 0);
	PROVE((r == 0) == (why == NULL));
	ASSUME(r == 0 && at < FIELD);
	length = strnlen(field, sizeof(field));
	PROVE(length > 0 && length <= SHMB_NAME_MAX);
	PROVE(at < length || field[at] == '\0');
	PROVE(at >= length || field[at] == '/' || field[at] == '_' || field[at] == '-' || field[at] == '.' ||
	      (field[at] >= 'a' && field[at] <= 'z') || (field[at] >= 'A' && field[at] <= 'Z') || (field[at] >= '0' && field[at] <= '9'));
	PROVE((at != 0 && field[at - 1] != '/') || (field[at] != '.' && field[at] != '/'));
	PROVE(at + 1 != length || field[at] != '/');
	END();
}
