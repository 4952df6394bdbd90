/* SPDX-License-Identifier: MIT */
/*
 * The registry (registry.h): a tree by name, and a list in the order of making for those who page through all. Where a page begins is looked up in
 * an array, which is sorted because orders only grow; what is removed leaves a hole there until holes are more than half.
 *
 * The tree's keys are the segments themselves: `name` is the first member, so a plain string compares with them.
 */
#include "registry.h"

#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { PLACES_MIN = 64 };

_Static_assert(offsetof(struct segment, name) == 0, "a segment compares as its name");

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

void registry_init(struct registry *registry)
{
	*registry = (struct registry){ .next_order = 1 };
	TAILQ_INIT(&registry->in_order);
}

/* Index of the first place with an order over `after`. */
static size_t place_after(const struct registry *registry, uint64_t after)
{
	size_t begin = 0;
	size_t end = registry->place_count;

	while (begin < end) {
		size_t middle = begin + (end - begin) / 2;

		if (registry->places[middle].order > after)
			end = middle;
		else
			begin = middle + 1;
	}
	return begin;
}

static void places_compact(struct registry *registry)
{
	size_t count = 0;

	for (size_t i = 0; i < registry->place_count; i++) {
		if (registry->places[i].segment != NULL)
			registry->places[count++] = registry->places[i];
	}
	registry->place_count = count;
	registry->holes = 0;
}

/* Makes room for one more. -ENOMEM: there is no hole either. */
static int places_reserve(struct registry *registry)
{
	size_t space = registry->place_space > 0 ? 2 * registry->place_space : PLACES_MIN;
	struct registry_place *places;

	if (registry->place_count < registry->place_space)
		return 0;
	places = realloc(registry->places, space * sizeof(*places));
	if (places != NULL) {
		registry->places = places;
		registry->place_space = space;
		return 0;
	}
	if (registry->holes == 0)
		return -ENOMEM;
	places_compact(registry);
	return 0;
}

/* There is room. */
static void place_add(struct registry *registry, struct segment *segment)
{
	segment->order = registry->next_order++;
	TAILQ_INSERT_TAIL(&registry->in_order, segment, order_link);
	registry->places[registry->place_count++] = (struct registry_place){ .order = segment->order, .segment = segment };
}

static void place_remove(struct registry *registry, struct segment *segment)
{
	struct registry_place *place = &registry->places[place_after(registry, segment->order - 1)];

	assert(place->segment == segment);
	place->segment = NULL;
	registry->holes++;
	TAILQ_REMOVE(&registry->in_order, segment, order_link);
	if (registry->holes > PLACES_MIN && registry->holes > registry->place_count / 2)
		places_compact(registry);
}

int registry_add(struct registry *registry, struct segment *segment)
{
	int r = places_reserve(registry);
	struct segment **node = r == 0 ? tsearch(segment, &registry->by_name, compare) : NULL;

	if (node == NULL)
		return -ENOMEM;
	if (*node != segment)
		return -EEXIST;
	place_add(registry, segment);
	registry->bytes += segment->bytes;
	registry->count++;
	return 0;
}

void registry_replace(struct registry *registry, struct segment *old, struct segment *segment)
{
	struct segment **node = tfind(old, &registry->by_name, compare);
	int r;

	assert(node != NULL && *node == old);
	*node = segment;
	place_remove(registry, old);
	/* The hole that it leaves is room enough where there is no memory for more. */
	r = places_reserve(registry);
	assert(r == 0);
	(void)r;
	place_add(registry, segment);
	segment->older = old;
	old->newer = segment;
	registry->bytes += segment->bytes;
}

int registry_add_older(struct registry *registry, struct segment *segment)
{
	struct segment *last = registry_find(registry, segment->name);

	if (last == NULL)
		return -ENOENT;
	while (last->older != NULL)
		last = last->older;
	last->older = segment;
	segment->newer = last;
	registry->bytes += segment->bytes;
	return 0;
}

void registry_drop(struct registry *registry, struct segment *segment)
{
	assert(segment->newer != NULL);
	segment->newer->older = segment->older;
	if (segment->older != NULL)
		segment->older->newer = segment->newer;
	segment->newer = NULL;
	segment->older = NULL;
	registry->bytes -= segment->bytes;
}

struct segment *registry_find(const struct registry *registry, const char *name)
{
	struct segment **node = tfind(name, &registry->by_name, compare);

	return node != NULL ? *node : NULL;
}

struct segment *registry_after(const struct registry *registry, uint64_t after)
{
	/* Holes between two segments are passed over by one page at most. */
	for (size_t i = after > 0 ? place_after(registry, after) : registry->place_count; i < registry->place_count; i++) {
		if (registry->places[i].segment != NULL)
			return registry->places[i].segment;
	}
	return after > 0 ? NULL : TAILQ_FIRST(&registry->in_order);
}

void registry_remove(struct registry *registry, struct segment *segment)
{
	assert(registry_find(registry, segment->name) == segment && segment->older == NULL);
	tdelete(segment, &registry->by_name, compare);
	place_remove(registry, segment);
	registry->bytes -= segment->bytes;
	registry->count--;
}

void registry_deinit(struct registry *registry)
{
	struct segment *segment;

	while ((segment = TAILQ_FIRST(&registry->in_order)) != NULL) {
		while (segment->older != NULL) {
			struct segment *older = segment->older;

			registry_drop(registry, older);
			segment_free(older);
		}
		registry_remove(registry, segment);
		segment_free(segment);
	}
	free(registry->places);
	registry->places = NULL;
	registry->place_count = 0;
	registry->place_space = 0;
	registry->holes = 0;
}
