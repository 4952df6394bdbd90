/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_CBMC_VERDICT_H
#define SHMB_TESTS_CBMC_VERDICT_H

/* For CBMC, in the place of a check of names or texts, what field.c and text.c prove of it: any verdict may come, with a reason where it is a bad one. */

#include "prove.h"

#include "proto/name.h"

#ifdef __CPROVER
int shmb_name_check_field(const char *field, size_t size, const char **why)
{
	int r;

	PROVE(__CPROVER_r_ok(field, size));
	ASSUME(r <= 0);
	if (r < 0 && why != NULL)
		*why = "";
	return r;
}
#endif

#endif
