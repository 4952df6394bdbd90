/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_SCENES_H
#define SHMB_TESTS_SCENES_H

/*
 * What is done while something fails: each scene is a whole session of a client, which leaves nothing when it is over, and can be repeated.
 */

#include "../support/client.h"
#include "inject.h"

struct stage {
	struct broker b;
	struct shmb *other; /* somebody who is not part of it */
};

struct scene {
	const char *name;
	int (*act)(struct stage *stage, struct shmb *client); /* 0 or the first error of the library */
	void (*prepare)(struct stage *stage);		      /* once, after the start of the daemon */
	bool only_library;				      /* it ends the daemon itself */
	bool only_daemon;				      /* what the library does in it is not the scene's */
	bool fresh;					      /* each time by a daemon that has done nothing yet */
	struct inject_host host;
	bool as_root;
	int also;	  /* an error that its calls may give besides those that all may */
	bool with_others; /* it starts processes of its own */
};

/* The daemon's configuration in all scenes; %s is the directory of foreign files. */
extern const char scene_config[];
const char *scene_foreign_dir(void);

/* What a worker is asked so that it holds one of everything, dead/...; NULL behind the last. */
extern const char *const scene_holds[];

extern const struct scene scenes[];
extern const unsigned scene_count;

/* Connects, plays and disconnects. */
int scene_play(const struct scene *scene, struct stage *stage);

#endif
