/* SPDX-License-Identifier: MIT */
#ifndef SHMBCTL_TOPCLIENTS_H
#define SHMBCTL_TOPCLIENTS_H

/* The second view of `top`: connections, those that ask most first, with rates against the look before. */

#include "shmb.h"

#include <stdbool.h>

struct top_client {
	uint64_t id;
	uint64_t looked_ns;
	uint64_t connected_ns;
	uint64_t requests;
	uint64_t refusals;
	uint64_t bytes;
	int32_t pid;
	uint32_t uid;
	uint32_t writes; /* handles, sharers among them */
	uint32_t reads;	 /* the others */
	char comm[32];
	bool has_rate;
	double per_s; /* requests */
};

struct top_clients {
	struct top_client *rows;
	size_t count;
};

/* Looks at all connections. On an error the rows stay as they were. Errors of shmb_clients(), -ENOMEM. */
int top_clients_look(struct top_clients *clients, struct shmb *broker);
void top_clients_deinit(struct top_clients *clients);

/* Draws the head at line `y`, and below it `room` rows from `first` on. */
void top_clients_draw(const struct top_clients *clients, int y, size_t room, size_t first);

#endif
