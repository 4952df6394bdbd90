/* SPDX-License-Identifier: MIT */
/*
 * What must not compile (tests/scripts/key_mix.sh): each CASE mixes keys of two clocks, or a key and a number. Case 0 is all right, so that
 * a case fails for its own reason and not for want of a header.
 */
#include "shmb.h"

int use(struct shmb_ring_reader *ring, struct shmb_key_monotonic monotonic, struct shmb_key_realtime realtime,
	struct shmb_key_sequence sequence, uint64_t number, void *payload, struct shmb_frame_reader *frames,
	struct shmb_frame_writer *camera);

int use(struct shmb_ring_reader *ring, struct shmb_key_monotonic monotonic, struct shmb_key_realtime realtime,
	struct shmb_key_sequence sequence, uint64_t number, void *payload, struct shmb_frame_reader *frames,
	struct shmb_frame_writer *camera)
{
	struct shmb_rule_monotonic rule = shmb_rule_range_monotonic(0, 10);
	struct shmb_rule_realtime realtime_rule = shmb_rule_range_realtime(0, 10);
	struct shmb_join_part_monotonic parts[1] = { { .reader = ring, .payload = payload } };
	struct shmb_found_realtime found;
	struct shmb_range range;
	int r = shmb_ring_closest(ring, monotonic, 1, payload, NULL) + shmb_ring_closest(ring, realtime, 1, payload, &found) +
		shmb_ring_closest(ring, sequence, 1, payload, NULL) + shmb_key_make(&monotonic, number, &rule) +
		shmb_key_make(&realtime, number, &realtime_rule) + shmb_join(parts, 1, monotonic, NULL) +
		shmb_ring_range(ring, monotonic, monotonic, &range) + shmb_key_compare(monotonic, monotonic) +
		shmb_frame_closest(frames, monotonic, 1, NULL, NULL) + shmb_frame_fresh(frames, realtime, NULL, &found) +
		shmb_frame_range(frames, sequence, sequence, &range) + shmb_frame_commit_at(camera, 1, sequence);

#if CASE == 1
	r += shmb_ring_closest(ring, number, 1, payload, NULL); /* a number for a key */
#elif CASE == 2
	r += shmb_ring_closest_monotonic(ring, realtime, 1, payload, NULL);
#elif CASE == 3
	r += shmb_ring_closest_realtime(ring, sequence, 1, payload, NULL);
#elif CASE == 4
	r += shmb_ring_closest(ring, monotonic, 1, payload, &found); /* a result of another clock */
#elif CASE == 5
	monotonic = realtime;
#elif CASE == 6
	r += shmb_key_compare(monotonic, realtime);
#elif CASE == 7
	r += monotonic < monotonic; /* not even with its like: shmb_key_compare() */
#elif CASE == 8
	r += shmb_key_make(&monotonic, number, &realtime_rule);
#elif CASE == 9
	rule = shmb_rule_near_monotonic(realtime, 5);
#elif CASE == 10
	rule = shmb_rule_all_monotonic(&realtime_rule, 1);
#elif CASE == 11
	monotonic = number;
#elif CASE == 12
	number = monotonic;
#elif CASE == 13
	r += shmb_ring_range(ring, monotonic, realtime, &range);
#elif CASE == 14
	r += shmb_join(parts, 1, realtime, NULL);
#elif CASE == 15
	r += shmb_ring_fresh(ring, 5, payload, NULL);
#elif CASE == 16
	r += shmb_ring_bracket_sequence(ring, monotonic, 1, payload, payload, NULL);
#elif CASE == 17
	r += shmb_ring_since_realtime(ring, number);
#elif CASE == 18
	r += shmb_key_move(&realtime, monotonic, 1);
#elif CASE == 19
	r += shmb_frame_closest(frames, number, 1, NULL, NULL);
#elif CASE == 20
	r += shmb_frame_closest_monotonic(frames, realtime, 1, NULL, NULL);
#elif CASE == 21
	r += shmb_frame_fresh(frames, monotonic, NULL, &found);
#elif CASE == 22
	r += shmb_frame_range(frames, monotonic, sequence, &range);
#elif CASE == 23
	r += shmb_frame_commit_at(camera, 1, number);
#elif CASE == 24
	r += shmb_frame_commit_at_realtime(camera, 1, sequence);
#elif CASE == 25
	r += shmb_frame_since_sequence(frames, monotonic);
#elif CASE == 26
	r += shmb_frame_bracket_realtime(frames, realtime, 1, NULL, NULL, &(struct shmb_bracket_monotonic){ 0 });
#elif CASE == 27
	r += shmb_frame_key_monotonic(frames, number, &realtime);
#elif CASE == 28
	parts[0].found.before.key = realtime;
#elif CASE != 0
#error "no such case"
#endif
	return r + (int)found.number + (rule.rule.private_count != 0);
}
