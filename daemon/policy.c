/* SPDX-License-Identifier: MIT */
/*
 * Policies by name pattern (policy.h).
 *
 * The cache is a list with one entry for each combination of matching sections. It grows by what the operator's patterns allow and the names
 * in use need, not by the number of segments; a handful in practice.
 */
#include "policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pattern.h"
#include "setting.h"

enum { AREAS_DEFAULT = 4, MASK_WORDS = POLICY_SECTIONS_MAX / 64 }; /* so many different users can sleep on a segment */

struct mask {
	uint64_t words[MASK_WORDS];
};

struct policy_cache {
	struct policy_cache *next;
	struct mask mask;
	struct policy policy;
};

static const struct policy nobody = {
	.pattern = "*",
	.source = "out of memory",
	.stale_ns = UINT64_MAX,
	.linger_ns = UINT64_MAX,
	.keep_while_read = true,
	.on_exit = POLICY_KEEP,
	.on_hang = POLICY_KEEP,
	.on_never = POLICY_KEEP,
	.backing = SHMB_BACKING_NAMED,
	.areas = AREAS_DEFAULT,
	.bytes_max = UINT64_MAX,
	.capacity_max = UINT32_MAX,
	.pins = SHMB_PINS_PER_CELL,
	.writers.is_set = true,
	.readers.is_set = true,
};

int policy_set_new_default(struct policy_set **out, uint64_t linger_ns)
{
	struct policy_set *set = calloc(1, sizeof(*set));

	if (set == NULL)
		return -ENOMEM;
	set->cache = calloc(1, sizeof(*set->cache));
	if (set->cache == NULL) {
		free(set);
		return -ENOMEM;
	}
	set->builtin = nobody;
	strcpy(set->builtin.source, "built in");
	set->builtin.linger_ns = linger_ns;
	set->builtin.on_exit = POLICY_REAP;
	set->builtin.on_never = POLICY_REAP;
	set->builtin.on_hang = POLICY_MARK;
	set->builtin.writers.is_set = false;
	set->builtin.readers.is_set = false;
	set->cache->policy = set->builtin; /* of the names that no section matches */
	*out = set;
	return 0;
}

struct policy_set *policy_set_free(struct policy_set *set)
{
	if (set == NULL)
		return NULL;
	while (set->cache != NULL) {
		struct policy_cache *next = set->cache->next;

		free(set->cache);
		set->cache = next;
	}
	for (size_t i = 0; i < set->file_count; i++)
		free(set->files[i]);
	free(set->files);
	free(set->sections);
	free(set);
	return NULL;
}

const char *policy_set_file(struct policy_set *set, const char *file)
{
	char **files = realloc(set->files, (set->file_count + 1) * sizeof(*files));
	char *copy = strdup(file);

	if (files != NULL)
		set->files = files;
	if (files == NULL || copy == NULL) {
		free(copy);
		return NULL;
	}
	files[set->file_count++] = copy;
	return copy;
}

struct policy_section *policy_set_section(struct policy_set *set, const char *pattern, struct policy_origin origin)
{
	struct policy_section *sections;
	struct policy_section *section;

	for (size_t i = 0; i < set->count; i++) {
		if (strcmp(set->sections[i].pattern, pattern) == 0)
			return &set->sections[i];
	}
	if (set->count == POLICY_SECTIONS_MAX)
		return NULL;
	sections = realloc(set->sections, (set->count + 1) * sizeof(*sections));
	if (sections == NULL)
		return NULL;
	set->sections = sections;
	section = &sections[set->count];
	*section = (struct policy_section){ .origin = origin, .order = (unsigned)set->count };
	set->count++;
	strcpy(section->pattern, pattern);
	return section;
}

/* ---- which one is more specific ---- */

static size_t wildcards(const char *pattern)
{
	size_t count = 0;

	for (; *pattern != '\0'; pattern++)
		count += *pattern == '*' || *pattern == '?';
	return count;
}

static int sign(size_t left, size_t right)
{
	return (left > right) - (left < right);
}

static int compare(const void *a, const void *b)
{
	const struct policy_section *left = a;
	const struct policy_section *right = b;
	int order = sign(strcspn(right->pattern, "*?"), strcspn(left->pattern, "*?"));

	if (order == 0)
		order = sign(wildcards(left->pattern), wildcards(right->pattern));
	if (order == 0)
		order = sign(strlen(right->pattern), strlen(left->pattern));
	return order != 0 ? order : sign(right->order, left->order);
}

void policy_set_finish(struct policy_set *set)
{
	if (set->count > 0)
		qsort(set->sections, set->count, sizeof(*set->sections), compare);
	set->cache->policy = set->builtin;
}

/* ---- what holds for a name ---- */

static void mask_of(const struct policy_set *set, const char *text, struct mask *mask)
{
	struct pattern_name name;

	memset(mask, 0, sizeof(*mask));
	if (set->count == 0)
		return;
	pattern_name_init(&name, text);
	for (size_t i = 0; i < set->count; i++) {
		if (pattern_meets(set->sections[i].pattern, &name))
			mask->words[i / 64] |= UINT64_C(1) << i % 64;
	}
}

static bool mask_has(const struct mask *mask, size_t i)
{
	return (mask->words[i / 64] >> i % 64 & 1) != 0;
}

static void resolve(const struct policy_set *set, const struct mask *mask, struct policy *out)
{
	*out = set->builtin;
	for (size_t i = set->count; i > 0; i--) { /* the most specific one comes last and stays */
		const struct policy_section *section = &set->sections[i - 1];

		if (!mask_has(mask, i - 1))
			continue;
		strcpy(out->pattern, section->pattern);
		policy_origin_text(&section->origin, out->source);
		for (unsigned s = 0; s < SETTING_COUNT; s++) {
			if ((section->is_set >> s & 1) != 0)
				setting_copy((enum policy_setting)s, out, &section->values);
		}
	}
}

const struct policy *policy_find(const struct policy_set *set, const char *name)
{
	struct policy_cache *entry = set->cache; /* there is one from the beginning */
	struct policy_cache *last;
	struct mask mask;

	mask_of(set, name, &mask);
	do {
		if (memcmp(&entry->mask, &mask, sizeof(mask)) == 0)
			return &entry->policy;
		last = entry;
		entry = entry->next;
	} while (entry != NULL);
	entry = calloc(1, sizeof(*entry));
	if (entry == NULL)
		return &nobody;
	entry->mask = mask;
	resolve(set, &mask, &entry->policy);
	last->next = entry;
	return &entry->policy;
}

size_t policy_explain(const struct policy_set *set, const char *name, struct policy *out,
		      const struct policy_section *matching[POLICY_SECTIONS_MAX])
{
	struct mask mask;
	size_t count = 0;

	mask_of(set, name, &mask);
	resolve(set, &mask, out);
	for (size_t i = 0; i < set->count; i++) {
		if (!mask_has(&mask, i))
			continue;
		if (matching != NULL)
			matching[count] = &set->sections[i];
		count++;
	}
	return count;
}

const char *policy_origin_text(const struct policy_origin *origin, char out[POLICY_SOURCE_MAX])
{
	if (origin->file == NULL)
		snprintf(out, POLICY_SOURCE_MAX, "built in");
	else if (origin->line == 0)
		snprintf(out, POLICY_SOURCE_MAX, "%s", origin->file);
	else
		snprintf(out, POLICY_SOURCE_MAX, "%s:%u", origin->file, origin->line);
	return out;
}

bool policy_who_has(const struct policy_who *who, uint32_t uid, const uint32_t *gids, size_t gid_count)
{
	if (!who->is_set)
		return false;
	if (who->anyone)
		return true;
	for (unsigned i = 0; i < who->uid_count; i++) {
		if (who->uids[i] == uid)
			return true;
	}
	for (unsigned i = 0; i < who->gid_count; i++) {
		for (size_t j = 0; j < gid_count; j++) {
			if (who->gids[i] == gids[j])
				return true;
		}
	}
	return false;
}
