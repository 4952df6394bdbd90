/* SPDX-License-Identifier: MIT */
/*
 * The registry (registry.h): a tree by name, and a list in the order of making for those who page through all.
 *
 * The tree's keys are the segments themselves: `name` is the first member, so a plain string compares with them.
 */
#include "registry.h"

#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stddef.h>
#include <string.h>

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

int registry_add(struct registry *registry, struct segment *segment)
{
	struct segment **node = tsearch(segment, &registry->by_name, compare);

	if (node == NULL)
		return -ENOMEM;
	if (*node != segment)
		return -EEXIST;
	segment->order = registry->next_order++;
	TAILQ_INSERT_TAIL(&registry->in_order, segment, order_link);
	registry->bytes += segment->bytes;
	registry->count++;
	return 0;
}

void registry_replace(struct registry *registry, struct segment *old, struct segment *segment)
{
	struct segment **node = tfind(old, &registry->by_name, compare);

	assert(node != NULL && *node == old);
	*node = segment;
	TAILQ_REMOVE(&registry->in_order, old, order_link);
	segment->order = registry->next_order++;
	TAILQ_INSERT_TAIL(&registry->in_order, segment, order_link);
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
	struct segment *segment;

	TAILQ_FOREACH (segment, &registry->in_order, order_link) {
		if (segment->order > after)
			return segment;
	}
	return NULL;
}

void registry_remove(struct registry *registry, struct segment *segment)
{
	assert(registry_find(registry, segment->name) == segment && segment->older == NULL);
	tdelete(segment, &registry->by_name, compare);
	TAILQ_REMOVE(&registry->in_order, segment, order_link);
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
}
