/* SPDX-License-Identifier: MIT */
/* Sealed parts that come back at the start (vault.h). Sorted at the first question, then found by bisection. */
#include "vault.h"

#include "log.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct vault_part {
	uint64_t segment_id;
	enum part part;
	uint32_t area;
	int fd; /* -1: taken */
};

struct vault {
	struct vault_part *parts;
	size_t count;
	size_t room;
	bool sorted;
};

int vault_new(struct vault **out)
{
	*out = calloc(1, sizeof(**out));
	return *out == NULL ? -ENOMEM : 0;
}

int vault_add(struct vault *vault, const char *name, int fd_consume)
{
	struct vault_part part = { .fd = fd_consume };
	int r = sealed_name_parse(name, &part.segment_id, &part.part, &part.area);

	if (r == 0 && vault->count == vault->room) {
		size_t room = vault->room != 0 ? 2 * vault->room : 16;
		struct vault_part *grown = reallocarray(vault->parts, room, sizeof(*grown));

		if (grown == NULL)
			r = -ENOMEM;
		else
			vault->parts = grown;
		vault->room = grown != NULL ? room : vault->room;
	}
	if (r < 0) {
		close(fd_consume);
		return r;
	}
	vault->parts[vault->count++] = part;
	vault->sorted = false;
	return 0;
}

static int part_compare(const void *left, const void *right)
{
	const struct vault_part *a = left, *b = right;

	if (a->segment_id != b->segment_id)
		return a->segment_id < b->segment_id ? -1 : 1;
	if (a->part != b->part)
		return a->part < b->part ? -1 : 1;
	return (a->area > b->area) - (a->area < b->area);
}

int vault_take(struct vault *vault, uint64_t segment_id, enum part part, uint32_t area, uint64_t bytes)
{
	const struct vault_part key = { .segment_id = segment_id, .part = part, .area = area };
	struct vault_part *found;
	int fd;
	int r;

	if (vault == NULL || vault->count == 0)
		return -ENOENT;
	if (!vault->sorted)
		qsort(vault->parts, vault->count, sizeof(key), part_compare);
	vault->sorted = true;
	found = bsearch(&key, vault->parts, vault->count, sizeof(key), part_compare);
	if (found == NULL || found->fd < 0)
		return -ENOENT;
	r = sealed_check(found->fd, bytes);
	if (r < 0)
		return r;
	fd = found->fd;
	found->fd = -1;
	return fd;
}

struct vault *vault_free(struct vault *vault, struct store *store, bool drop)
{
	unsigned dropped = 0;

	if (vault == NULL)
		return NULL;
	for (size_t i = 0; i < vault->count; i++) {
		const struct vault_part *part = &vault->parts[i];
		char name[SEALED_NAME_BYTES + 1];

		if (part->fd < 0)
			continue;
		sealed_name(name, part->segment_id, part->part, part->area);
		if (drop && store->keeper != NULL)
			store->keeper->drop(name);
		close(part->fd);
		dropped++;
	}
	if (dropped > 0 && drop)
		log_notice("%u kept descriptor%s belong%s to no segment any more: given up", dropped, dropped == 1 ? "" : "s",
			   dropped == 1 ? "s" : "");
	free(vault->parts);
	free(vault);
	return NULL;
}
