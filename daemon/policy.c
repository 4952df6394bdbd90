/* SPDX-License-Identifier: MIT */
/* Policies by name pattern. */
#include "policy.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>

enum { AREAS_DEFAULT = 4 }; /* so many different users can sleep on a segment */

int policy_set_new_default(struct policy_set **out, uint64_t linger_ns)
{
	struct policy_set *set = calloc(1, sizeof(*set));
	struct policy *policy;

	if (set == NULL)
		return -ENOMEM;
	policy = calloc(1, sizeof(*policy));
	if (policy == NULL) {
		free(set);
		return -ENOMEM;
	}
	*policy = (struct policy){
		.pattern = "*",
		.source = "built in",
		.stale_ns = UINT64_MAX,
		.linger_ns = linger_ns,
		.keep_while_read = true,
		.on_exit = POLICY_KEEP,
		.on_hang = POLICY_MARK,
		.on_never = POLICY_KEEP,
		.backing = SHMB_BACKING_NAMED,
		.areas = AREAS_DEFAULT,
		.pins = SHMB_PINS_PER_CELL,
		.bytes_max = UINT64_MAX,
	};
	set->policies = policy;
	set->count = 1;
	*out = set;
	return 0;
}

struct policy_set *policy_set_free(struct policy_set *set)
{
	if (set != NULL)
		free(set->policies);
	free(set);
	return NULL;
}

const struct policy *policy_find(const struct policy_set *set, const char *name)
{
	for (size_t i = 0; i + 1 < set->count; i++) {
		if (fnmatch(set->policies[i].pattern, name, 0) == 0)
			return &set->policies[i];
	}
	return &set->policies[set->count - 1];
}
