/* SPDX-License-Identifier: MIT */
/* Files that are still to be removed (debris.h). In all but the rarest cases the list is empty. */
#include "debris.h"

#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct debris {
	struct debris *next;
	char file[STORE_FILE_MAX];
};

/* gcc's analyzer takes what is put at the end of a list for lost. */
#ifndef __clang__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif
static void add(struct store *store, const char *file)
{
	struct debris **end = &store->debris;
	struct debris *one = calloc(1, sizeof(*one));

	if (one == NULL) {
		log_error("%s/%s is left: no memory to remember it", store->path, file);
		return;
	}
	snprintf(one->file, sizeof(one->file), "%s", file);
	while (*end != NULL)
		end = &(*end)->next;
	*end = one;
}
#ifndef __clang__
#pragma GCC diagnostic pop
#endif

static void first_drop(struct store *store)
{
	struct debris *first = store->debris;

	store->debris = first->next;
	free(first);
}

int debris_sweep(struct store *store)
{
	while (store->debris != NULL) {
		int r = store_unlink(store, store->debris->file);

		if (r < 0 && r != -ENOENT)
			return r;
		first_drop(store);
	}
	return 0;
}

int debris_unlink(struct store *store, const char *file)
{
	int r = debris_sweep(store);

	if (r == 0)
		r = store_unlink(store, file);
	if (r == 0 || r == -ENOENT)
		return 0;
	add(store, file);
	return r;
}

void debris_forget(struct store *store, const char *file)
{
	for (struct debris **at = &store->debris; *at != NULL;) {
		struct debris *one = *at;

		if (strcmp(one->file, file) != 0) {
			at = &one->next;
			continue;
		}
		*at = one->next;
		free(one);
	}
}

void debris_end(struct store *store)
{
	debris_sweep(store);
	while (store->debris != NULL)
		first_drop(store);
}
