/* SPDX-License-Identifier: MIT */
/* The scenes (scenes.h): the acts of acts.h, each under its circumstances. */
#include "acts.h"

const char scene_config[] = "[broker]\n"
			    "foreign = reap\n"
			    "foreign-dir = %s\n"
			    "[user root]\n"
			    "segments-max = 4096\n"
			    "[segment sealed*]\n"
			    "backing = sealed\n"
			    "[segment big*]\n"
			    "huge-pages = yes\n"
			    "prefault = yes\n"
			    "lock = yes\n"
			    "[segment brief*]\n"
			    "linger = 1ms\n"
			    "[segment silent*]\n"
			    "stale-time = 10ms\n"
			    "on-hang = replace\n"
			    "[segment ours*]\n"
			    "writers = root @root daemon\n"
			    "readers = @daemon nobody\n";

const char *scene_foreign_dir(void)
{
	static char dir[128];

	snprintf(dir, sizeof(dir), "%s/shmb-test-%d-foreign", broker_tmp(), (int)suite_pid());
	return dir;
}

const struct scene scenes[] = {
	{ .name = "connect", .act = act_nothing },
	{ .name = "ring", .act = act_ring },
	{ .name = "value", .act = act_value },
	{ .name = "frame", .act = act_frame },
	{ .name = "queue", .act = act_queue, .also = ESTALE },
	{ .name = "block", .act = act_block },
	{ .name = "sealed", .act = act_sealed },
	{ .name = "sealed-frame", .act = act_frame_sealed },
	{ .name = "huge-locked", .act = act_big },
	{ .name = "large", .act = act_large },
	{ .name = "large-first", .act = act_large, .fresh = true },
	{ .name = "large-sealed", .act = act_large_sealed },
	{ .name = "large-sealed-first", .act = act_large_sealed, .fresh = true },
	{ .name = "look", .act = act_look, .prepare = prepare_segments },
	{ .name = "refused", .act = act_refused, .prepare = prepare_segments },
	{ .name = "policy", .act = act_policy, .prepare = prepare_drop_in, .also = EINVAL },
	{ .name = "hangup", .act = act_hangup, .only_daemon = true },
	{ .name = "found", .act = act_found, .also = ENOENT },
	{ .name = "gc", .act = act_gc },
	{ .name = "strays", .act = act_strays, .only_daemon = true },
	{ .name = "wait", .act = act_wait },
	{ .name = "waitset", .act = act_waitset },
	{ .name = "loader", .act = act_loader },
	{ .name = "watch", .act = act_watch },
	{ .name = "generation", .act = act_generation },
	{ .name = "death", .act = act_death, .with_others = true },
	{ .name = "linger", .act = act_linger, .only_daemon = true },
	{ .name = "silent", .act = act_silent, .also = EBUSY, .only_daemon = true },
	{ .name = "users", .act = act_users, .only_daemon = true, .as_root = true },
	{ .name = "descriptors-sent-first", .act = act_sent, .fresh = true, .only_daemon = true, .old_kernel = true },
	{ .name = "descriptors-sent", .act = act_sent, .only_daemon = true, .old_kernel = true },
	{ .name = "ring-old-kernel", .act = act_ring, .old_kernel = true },
	{ .name = "wait-old-kernel", .act = act_wait, .old_kernel = true },
	{ .name = "restart", .act = act_restart, .only_library = true },
};

const unsigned scene_count = sizeof(scenes) / sizeof(scenes[0]);

int scene_play(const struct scene *scene, struct stage *stage)
{
	struct shmb *client = NULL;
	int r = shmb_connect(&client, stage->b.socket);

	THEN(scene->act(stage, client));
	shmb_disconnect(client);
	return r;
}
