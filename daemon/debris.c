/* SPDX-License-Identifier: MIT */
/* Files that are still to be removed (debris.h). In all but the rarest cases the list is empty. */
#include "debris.h"

#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct debris {
	struct debris *next;
	int error;  /* of the last try */
	bool waits; /* behind another one of its set */
	char file[STORE_FILE_MAX];
};

/* Of a file's name what those of its set have in common: NAME,G; an event page is alone. */
static size_t set_length(const char *file)
{
	const char *at = file[0] != ',' ? strchr(file, ',') : NULL;

	return at != NULL ? (size_t)(at - file) + 1 + strcspn(at + 1, ",") : strlen(file);
}

static bool is_of_set(const struct debris *one, const char *file, size_t length)
{
	return strncmp(one->file, file, length) == 0 && (one->file[length] == '\0' || one->file[length] == ',');
}

/* The first of the file's set. */
static struct debris *set_first(struct debris *from, const char *file)
{
	size_t length = set_length(file);

	while (from != NULL && !is_of_set(from, file, length))
		from = from->next;
	return from;
}

static void tell_full(struct store *store, const char *file, int error)
{
	if (!store->debris_is_full)
		log_warning("%s: %u files that are to be removed cannot be; %s (%s), and what comes now, stays until the next start",
			    store->path, store->debris_count, file, strerror(-error));
	store->debris_is_full = true;
}

/* ---- memory ---- */

static void spare_add(struct store *store, struct debris *one)
{
	one->next = store->debris_spare;
	store->debris_spare = one;
	store->debris_spare_count++;
}

static struct debris *spare_take(struct store *store)
{
	struct debris *one = store->debris_spare;

	if (one != NULL) {
		store->debris_spare = one->next;
		store->debris_spare_count--;
		one->next = NULL;
	}
	return one;
}

int debris_init(struct store *store)
{
	while (store->debris_spare_count < DEBRIS_SPARE) {
		struct debris *one = calloc(1, sizeof(*one));

		if (one == NULL)
			return -ENOMEM;
		spare_add(store, one);
	}
	return 0;
}

/* ---- the list ---- */

/* gcc's analyzer takes what is put at the end of a list for lost. */
#ifndef __clang__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif
static int add(struct store *store, const char *file, int error, bool waits)
{
	struct debris **end = &store->debris;
	struct debris *one;

	if (store->debris_count == DEBRIS_MAX) {
		tell_full(store, file, error);
		return -ENOBUFS;
	}
	one = calloc(1, sizeof(*one));
	if (one == NULL)
		one = spare_take(store);
	if (one == NULL) {
		log_error("%s/%s is left until the next start: no memory to remember it", store->path, file);
		return -ENOBUFS;
	}
	one->error = error;
	one->waits = waits;
	snprintf(one->file, sizeof(one->file), "%s", file);
	while (*end != NULL)
		end = &(*end)->next;
	*end = one;
	store->debris_count++;
	if (store->left != NULL)
		store->left(store->gone_user);
	return error;
}
#ifndef __clang__
#pragma GCC diagnostic pop
#endif

/* Takes it out: the next of its set has its turn. */
static void drop(struct store *store, struct debris **at)
{
	struct debris *one = *at;
	struct debris *next = one->waits ? NULL : set_first(one->next, one->file);

	if (next != NULL)
		next->waits = false;
	*at = one->next;
	if (store->debris_spare_count < DEBRIS_SPARE)
		spare_add(store, one);
	else
		free(one);
	store->debris_count--;
	if (store->debris_count < DEBRIS_MAX / 2)
		store->debris_is_full = false;
}

int debris_sweep(struct store *store)
{
	struct debris **at = &store->debris;

	while (*at != NULL) {
		struct debris *one = *at;
		int r = one->waits ? one->error : store_unlink(store, one->file);

		if (r == 0 || r == -ENOENT) {
			drop(store, at);
			continue;
		}
		one->error = r;
		at = &one->next;
	}
	return store->debris != NULL ? store->debris->error : 0;
}

int debris_unlink(struct store *store, const char *file)
{
	const struct debris *before;
	int r;

	debris_sweep(store);
	before = set_first(store->debris, file);
	if (before != NULL)
		return add(store, file, before->error, true);
	r = store_unlink(store, file);
	return r == 0 || r == -ENOENT ? 0 : add(store, file, r, false);
}

void debris_forget(struct store *store, const char *file)
{
	for (struct debris **at = &store->debris; *at != NULL;) {
		if (strcmp((*at)->file, file) == 0)
			drop(store, at);
		else
			at = &(*at)->next;
	}
}

void debris_end(struct store *store)
{
	debris_sweep(store);
	while (store->debris != NULL)
		drop(store, &store->debris);
	for (struct debris *one = spare_take(store); one != NULL; one = spare_take(store))
		free(one);
}
