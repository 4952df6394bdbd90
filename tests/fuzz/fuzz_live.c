/* SPDX-License-Identifier: MIT */
/*
 * The data path beside somebody who overwrites what he may: a reader whose writer is hostile (the data part), a writer whose readers are (their
 * areas), each call between two overwrites. The geometry is the good one: it was copied at open.
 */
#include "fuzz.h"
#include "memory.h"
#include "reading.h"

enum { STEPS = 64 };

static _Atomic uint32_t guard = 1;

struct writing {
	union {
		struct slots_writer slots;
		struct frame_writer frame;
		struct queue_producer queue;
		struct block block;
	};
};

static bool writing_begin(struct writing *writing, const struct slots_memory *memory, uint64_t granted)
{
	switch (memory->geometry->kind) {
	case SHMB_KIND_FRAME:
		return frame_writer_init(&writing->frame, memory, granted) == 0;
	case SHMB_KIND_QUEUE:
		return queue_producer_init(&writing->queue, memory, granted) == 0;
	case SHMB_KIND_BLOCK:
		return block_init(&writing->block, memory, 0, 1) == 0;
	default:
		return slots_writer_init(&writing->slots, memory, granted) == 0;
	}
}

static void writing_frame(struct writing *writing, const struct shmb_geometry *geometry, unsigned op, uint64_t argument)
{
	struct shmb_frame_writer *frames = (struct shmb_frame_writer *)&writing->frame;
	size_t capacity = 0;
	void *payload;

	switch (op % 4) {
	case 0:
		if (shmb_frame_loan(frames, &payload, &capacity) == 0) {
			FUZZ_HOLDS(capacity == geometry->payload_bytes);
			memset(payload, (int)argument, capacity);
		}
		break;
	case 1:
		shmb_frame_commit(frames, argument % (geometry->payload_bytes + 1));
		break;
	case 2:
		shmb_frame_commit_at_sequence(frames, argument % (geometry->payload_bytes + 1), (struct shmb_key_sequence){ argument });
		break;
	default:
		shmb_frame_abort(frames);
		break;
	}
}

static void writing_step(struct writing *writing, const struct shmb_geometry *geometry, unsigned op, uint64_t argument)
{
	unsigned char payload[256] = { 0 };
	size_t pushed;
	void *claimed;

	memcpy(payload, &argument, sizeof(argument));
	memcpy(payload + sizeof(argument), &argument, sizeof(argument));
	switch (geometry->kind) {
	case SHMB_KIND_FRAME:
		writing_frame(writing, geometry, op, argument);
		break;
	case SHMB_KIND_QUEUE:
		if (op % 4 == 0)
			queue_push(&writing->queue, payload);
		else if (op % 4 == 1)
			queue_push_many(&writing->queue, payload, 2, &pushed);
		else if (op % 4 == 2 && queue_claim(&writing->queue, &claimed) == 0)
			memset(claimed, (int)argument, geometry->payload_bytes);
		else
			queue_commit(&writing->queue);
		break;
	case SHMB_KIND_BLOCK:
		if (op % 4 == 0)
			block_trylock(&writing->block);
		else if (op % 4 == 1)
			block_unlock(&writing->block);
		else if (op % 4 == 2)
			block_recovered(&writing->block);
		else
			block_holder(&writing->block);
		break;
	default:
		if (op % 8 == 7)
			slots_restart_keys(&writing->slots);
		else
			slots_publish(&writing->slots, payload);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static struct shape_memory memories[SHAPES];
	struct fuzz fuzz = { bytes, length };
	unsigned shape = fuzz_u8(&fuzz) % SHAPES;
	struct shape_memory *parts = &memories[shape];
	struct slots_memory memory = { .guard = &guard, .area_count = SHAPE_AREAS };
	struct slots_memory mine;
	struct writing writing;
	struct reading reading;
	bool is_writing;
	bool is_reading;

	shape_make(parts, shape);
	parts->card->cells[0].pid = 1000;
	parts->card->cells[0].incarnation = 1;
	parts->card->area_cells[0] = 1;
	memory.geometry = &parts->geometry;
	memory.card = parts->card;
	memory.data = parts->data;
	for (unsigned i = 0; i < SHAPE_AREAS; i++)
		memory.areas[i] = parts->areas[i];
	mine = memory;
	mine.area_count = 1;
	parts->data->counter = fuzz_u8(&fuzz);
	is_writing = writing_begin(&writing, &memory, parts->card->state);
	is_reading = reading_begin(&reading, &parts->geometry, &mine, &parts->areas[0]->cells[0]);
	for (unsigned step = 0; fuzz.left > 0 && step < STEPS; step++) {
		uint8_t op = fuzz_u8(&fuzz);
		uint64_t argument = (op & 0x80) != 0 ? fuzz_u64(&fuzz) : fuzz_u8(&fuzz);

		switch (op & 7) {
		case 0:
		case 1:
			fuzz_patch(&fuzz, parts->data, parts->geometry.data_bytes);
			break;
		case 2:
			fuzz_patch(&fuzz, parts->areas[0], SHMB_PAGE);
			break;
		case 3:
			parts->data->counter = argument;
			break;
		case 4:
		case 5:
			if (is_reading)
				reading_step(&reading, op >> 3 & 15, argument);
			break;
		default:
			if (is_writing)
				writing_step(&writing, &parts->geometry, op >> 3 & 15, argument);
			break;
		}
	}
	reading_end(&reading);
	if (is_writing && parts->geometry.kind == SHMB_KIND_FRAME)
		frame_writer_deinit(&writing.frame);
	return 0;
}
