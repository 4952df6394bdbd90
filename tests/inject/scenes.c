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
			    "[segment never*]\n"
			    "on-never = keep\n"
			    "[segment new*]\n"
			    "on-exit = replace\n"
			    "[segment silent*]\n"
			    "stale-time = 10ms\n"
			    "on-hang = replace\n"
			    "[segment ours*]\n"
			    "writers = root @root daemon\n"
			    "readers = @daemon nobody\n";

const char *const scene_holds[] = { "writer name=dead/ring bytes=64 capacity=8 salt=1",
				    "write n=3",
				    "reader name=dead/ring bytes=64",
				    "frame-writer name=dead/frame bytes=64 salt=1",
				    "frame-write n=1",
				    "frame-reader name=dead/frame",
				    "frame-pin",
				    "block name=dead/block",
				    "lock deadline=forever",
				    NULL };

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
	{ .name = "strays", .act = act_strays, .also = EINVAL, .only_daemon = true },
	{ .name = "wait", .act = act_wait },
	{ .name = "waitset", .act = act_waitset },
	{ .name = "loader", .act = act_loader },
	{ .name = "watch", .act = act_watch },
	{ .name = "generation", .act = act_generation },
	{ .name = "unused", .act = act_unused },
	{ .name = "line", .act = act_line, .also = ENODATA }, /* what cannot be read of a queue counts as consumed */
	{ .name = "pinned",
	  .act = act_pinned,
	  .also = EREMCHG }, /* a generation that was made and could not be handed out is passed as well */
	{ .name = "never", .act = act_never },
	{ .name = "swapped", .act = act_swapped, .also = ESTALE, .only_daemon = true },
	{ .name = "unseen", .act = act_unseen, .prepare = prepare_segments, .host.unseen = true, .also = EOPNOTSUPP },
	{ .name = "turns", .act = act_turns, .prepare = prepare_segments, .host.slow = true, .also = EINVAL, .only_daemon = true },
	{ .name = "sealed-old-kernel", .act = act_sealed, .host.old_kernel = true, .only_daemon = true },
	/* A process that ends and cannot be looked at has let go first; that it is dead is told next. */
	{ .name = "death", .act = act_death, .also = EPIPE, .with_others = true },
	{ .name = "linger", .act = act_linger, .only_daemon = true },
	{ .name = "silent", .act = act_silent, .also = EBUSY, .only_daemon = true },
	{ .name = "users", .act = act_users, .only_daemon = true, .as_root = true },
	{ .name = "descriptors-sent-first", .act = act_sent, .fresh = true, .only_daemon = true, .host.old_kernel = true },
	{ .name = "descriptors-sent", .act = act_sent, .only_daemon = true, .host.old_kernel = true },
	{ .name = "ring-old-kernel", .act = act_ring, .host.old_kernel = true },
	{ .name = "wait-old-kernel", .act = act_wait, .host.old_kernel = true },
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
