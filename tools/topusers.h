/* SPDX-License-Identifier: MIT */
#ifndef SHMBCTL_TOPUSERS_H
#define SHMBCTL_TOPUSERS_H

/* The third view of `top`: users, those with most memory first, with rates against the look before. */

#include "shmb.h"

#include <stdbool.h>

struct top_user {
	struct shmb_user_info info;
	uint64_t looked_ns;
	bool has_rate;
	double per_s; /* requests */
};

struct top_users {
	struct top_user *rows;
	size_t count;
};

/* Looks at all users that this one may see, all together first. On an error the rows stay as they were. Errors of shmb_users(), -ENOMEM. */
int top_users_look(struct top_users *users, struct shmb *broker);
void top_users_deinit(struct top_users *users);

/* Draws the head at line `y`, and below it `room` rows from `first` on. */
void top_users_draw(const struct top_users *users, int y, size_t room, size_t first);

#endif
