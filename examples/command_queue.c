/* SPDX-License-Identifier: MIT */
/*
 * Commands to a motor controller through a queue: none may be lost, each is carried out in order, and none twice.
 *
 *   command_queue plan N       sends N moves, waiting while the queue is full
 *   command_queue control      carries them out until it is interrupted; a controller that crashed and was started again goes on where
 *   it stopped
 *
 * The controller looks at a command where it lies, carries it out, and releases it then. If it dies in between, its successor gets the
 * same command again, under the same number. What was done last is known from the motor here: a file that stands for its registers. A
 * command whose number is there already is released without being carried out again.
 *
 * shmb_queue_peek and shmb_queue_release are for at-least-once; shmb_queue_pop would be for at-most-once.
 */
#include "program.h"
#include "shmb.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

SHMB_TYPE(motor_command, (uint32, axis)(uint32, reserved)(float64, position_rad)(float64, speed_rad_s));

/* What the motor knows of itself. */
struct motor {
	uint64_t done; /* one more than the number of the last command, 0 none */
	double position_rad[4];
};

static const char *const queue_name = "arm/commands";
static int fail(const char *what, int r)
{
	fprintf(stderr, "command_queue: %s: %s (%s)\n", what, shmb_text(), shmb_strerror(r));
	return EXIT_FAILURE;
}

static int plan(struct shmb *broker, uint64_t count)
{
	struct shmb_options options = { .capacity = 32, .stamped = 1 };
	struct shmb_queue_producer *commands;
	int r = shmb_queue_producer_open(&commands, broker, queue_name, &motor_command_type, &options);

	if (r < 0)
		return fail("open", r);
	for (uint64_t i = 0; r == 0 && i < count && !program_is_stopped; i++) {
		struct motor_command command = { .axis = (uint32_t)(i % 4), .position_rad = 0.01 * (double)i, .speed_rad_s = 0.5 };

		do
			r = shmb_queue_push_until(commands, &command, shmb_now_ns() + 200000000);
		while (r == -ETIMEDOUT && !program_is_stopped);
	}
	if (r < 0 && !program_is_stopped)
		fail("push", r);
	else
		printf("planned up to command %" PRIu64 "\n", shmb_queue_next_number(commands));
	shmb_queue_producer_close(commands);
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void carry_out(int fd, struct motor *motor, const struct motor_command *command, const struct shmb_sample *sample)
{
	/* The queue's memory is another process's to write: what it says is checked, not believed. */
	if (command->axis < 4)
		motor->position_rad[command->axis] = command->position_rad;
	motor->done = sample->number + 1;
	if (pwrite(fd, motor, sizeof(*motor), 0) != (ssize_t)sizeof(*motor))
		perror("command_queue: motor");
}

static int control(struct shmb *broker, const char *registers)
{
	struct shmb_queue_consumer *commands;
	uint64_t carried_out = 0, again = 0;
	struct motor motor = { 0 };
	int fd = open(registers, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	int r;

	if (fd < 0 || pread(fd, &motor, sizeof(motor), 0) < 0) {
		perror(registers);
		return EXIT_FAILURE;
	}
	r = shmb_queue_consumer_open(&commands, broker, queue_name, &motor_command_type, shmb_now_ns() + UINT64_C(5000000000));
	if (r < 0) {
		close(fd);
		return fail("open", r);
	}
	printf("going on with command %" PRIu64 "\n", shmb_queue_position(commands));
	while (!program_is_stopped && r != -ESTALE && r != -EPROTO) {
		const struct motor_command *command;
		struct shmb_sample sample;

		r = shmb_queue_peek(commands, 0, (const void **)&command, &sample);
		if (r == -ENODATA || r == -EREMCHG) {
			/* The planner may come and go: -EPIPE, -EOWNERDEAD, -EREMCHG are no reason to stop. */
			r = shmb_queue_wait(commands, shmb_now_ns() + 200000000);
			continue;
		}
		if (r < 0)
			break;
		if (sample.number < motor.done) {
			again++;
		} else {
			carry_out(fd, &motor, command, &sample);
			carried_out++;
		}
		r = shmb_queue_release(commands, 1);
	}
	printf("carried out %" PRIu64 ", %" PRIu64 " came again; next is %" PRIu64 "\n", carried_out, again, shmb_queue_position(commands));
	shmb_queue_consumer_close(commands);
	close(fd);
	return program_is_stopped ? EXIT_SUCCESS : fail("control", r);
}

int main(int argc, char **argv)
{
	struct shmb *broker;
	int r;

	if (!(argc == 3 && strcmp(argv[1], "plan") == 0) && !(argc >= 2 && argc <= 3 && strcmp(argv[1], "control") == 0)) {
		fprintf(stderr, "usage: command_queue plan N | command_queue control [MOTOR-FILE]\n");
		return 2;
	}
	program_stop_at_signals();
	r = shmb_connect(&broker, NULL);
	if (r < 0)
		return fail("connect", r);
	if (strcmp(argv[1], "plan") == 0)
		r = plan(broker, strtoull(argv[2], NULL, 10));
	else
		r = control(broker, argc > 2 ? argv[2] : "motor.state");
	shmb_disconnect(broker);
	return r;
}
