/* SPDX-License-Identifier: MIT */
/* A text of any bytes in a field of a message, of CASE bytes: what is accepted ends inside it, is printable, and is followed by NULs alone. */
#include "prove.h"

#include "proto/message.c"

#ifndef CASE
#define CASE 16
#endif

void harness(void)
{
	char field[CASE];
	const char *why = NULL;
	size_t length, at;
	int r;

	ANY(field);
	ANY(at);
	DRAW(memset(field, 0, draw(8) ? sizeof(field) : 0));
	DRAW(memcpy(field, "a ~/", draw(5)));
	DRAW(field[draw(6)] = "a\x7f\x1f~\0\0"[draw(6)]);
	DRAW(at %= CASE);
	r = text_check(field, sizeof(field), &why);
	PROVE(r <= 0);
	PROVE((r == 0) == (why == NULL));
	ASSUME(r == 0 && at < CASE);
	length = strnlen(field, sizeof(field));
	PROVE(length < CASE);
	PROVE(at < length ? field[at] >= 0x20 && field[at] <= 0x7e : field[at] == '\0');
	END();
}
