/* SPDX-License-Identifier: MIT */
/*
 * The calibration of a camera as a block: one process changes it under the lock, others read it under the lock, and a process that dies
 * while it has the lock blocks nobody.
 *
 *   calibration show           prints it
 *   calibration tune N         changes it N times (focal lengths and centre together), and prints how long a change takes
 *   calibration watch          prints it whenever it has changed, until it is interrupted
 *
 * The revision is written first and last: a reader that is told that a holder died compares the two, and so knows whether the change was
 * whole. If it was not, the last whole calibration, kept beside it, is put back.
 */
#include "program.h"
#include "shmb.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Two of everything: the one in use, and the one before it. */
SHMB_TYPE(camera_calibration, (uint64, begun)(uint64, ended)(float64, focal_px, 2)(float64, centre_px, 2)(float64, distortion, 5)(
				      float64, last_focal_px, 2)(float64, last_centre_px, 2)(float64, last_distortion, 5));

enum { LENS_BYTES = 9 * sizeof(double) };

static int fail(const char *what, int r)
{
	fprintf(stderr, "calibration: %s: %s (%s)\n", what, shmb_text(), shmb_strerror(r));
	return EXIT_FAILURE;
}

/* Locks; where somebody died with the lock, makes the calibration whole again. */
static int lock(struct shmb_block *block, struct camera_calibration *calibration)
{
	int r = shmb_block_lock(block, shmb_now_ns() + UINT64_C(2000000000));

	if (r != SHMB_BLOCK_OWNER_DIED)
		return r;
	if (calibration->begun != calibration->ended) {
		memcpy(calibration->focal_px, calibration->last_focal_px, LENS_BYTES);
		calibration->begun = calibration->ended;
		fprintf(stderr, "calibration: a change was not finished; back to revision %" PRIu64 "\n", calibration->ended);
	}
	return shmb_block_recovered(block);
}

static int change(struct shmb_block *block, struct camera_calibration *calibration)
{
	int r = lock(block, calibration);

	if (r < 0)
		return r;
	memcpy(calibration->last_focal_px, calibration->focal_px, LENS_BYTES);
	calibration->begun++;
	for (int axis = 0; axis < 2; axis++) {
		calibration->focal_px[axis] = 1200 + (double)(calibration->begun % 100);
		calibration->centre_px[axis] = calibration->focal_px[axis] / 2;
	}
	calibration->ended = calibration->begun;
	return shmb_block_unlock(block);
}

static int copy(struct shmb_block *block, struct camera_calibration *calibration, struct camera_calibration *out)
{
	int r = lock(block, calibration);

	if (r < 0)
		return r;
	*out = *calibration;
	return shmb_block_unlock(block);
}

static void print(const struct camera_calibration *calibration)
{
	printf("revision %" PRIu64 ": focal %.1f %.1f px, centre %.1f %.1f px\n", calibration->ended, calibration->focal_px[0],
	       calibration->focal_px[1], calibration->centre_px[0], calibration->centre_px[1]);
	fflush(stdout);
}

static int tune(struct shmb_block *block, struct camera_calibration *calibration, uint64_t count)
{
	uint64_t begin = shmb_now_ns();
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < count && !program_is_stopped; i++)
		r = change(block, calibration);
	if (r == 0 && count > 0)
		printf("%" PRIu64 " changes, %.0f ns each\n", count, (double)(shmb_now_ns() - begin) / (double)count);
	return r;
}

static int watch(struct shmb_block *block, struct camera_calibration *calibration)
{
	struct timespec pause = { .tv_nsec = 100000000 };
	struct camera_calibration seen;
	uint64_t revision = UINT64_MAX;
	int r = 0;

	while (r == 0 && !program_is_stopped) {
		r = copy(block, calibration, &seen);
		if (r != 0)
			break;
		if (seen.ended != revision)
			print(&seen);
		revision = seen.ended;
		nanosleep(&pause, NULL);
	}
	return r;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct camera_calibration *calibration;
	struct camera_calibration now;
	struct shmb_block *block;
	struct shmb *broker;
	int r;

	if (!((argc == 2 && (strcmp(what, "show") == 0 || strcmp(what, "watch") == 0)) || (argc == 3 && strcmp(what, "tune") == 0))) {
		fprintf(stderr, "usage: calibration show | calibration tune N | calibration watch\n");
		return 2;
	}
	program_stop_at_signals();
	r = shmb_connect(&broker, NULL);
	if (r < 0)
		return fail("connect", r);
	r = shmb_block_open(&block, broker, "camera/front/calibration", &camera_calibration_type);
	if (r < 0) {
		fail("open", r);
		shmb_disconnect(broker);
		return EXIT_FAILURE;
	}
	calibration = shmb_block_payload(block);
	if (strcmp(what, "tune") == 0)
		r = tune(block, calibration, strtoull(argv[2], NULL, 10));
	else if (strcmp(what, "watch") == 0)
		r = watch(block, calibration);
	else if ((r = copy(block, calibration, &now)) == 0)
		print(&now);
	if (r < 0)
		fail(what, r);
	shmb_block_close(block);
	shmb_disconnect(broker);
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
