/* SPDX-License-Identifier: MIT */
/* The public face of blocks: block.c on mapped memory. */
#include "segment.h"

struct shmb_block {
	struct writer writer;
};

int shmb_block_open(struct shmb_block **out, struct shmb *broker, const char *name, const struct shmb_type *type)
{
	struct shmb_request wanted = { .kind = SHMB_KIND_BLOCK, .key_field = SHMB_KEY_IS_STAMP };

	return writer_open((struct writer **)out, broker, name, type, &wanted, SHMB_NO_WAIT);
}

struct shmb_block *shmb_block_close(struct shmb_block *block)
{
	if (block != NULL)
		writer_close(&block->writer);
	return NULL;
}

void *shmb_block_payload(struct shmb_block *block)
{
	return connection_is_ours(block->writer.handle.broker) ? block->writer.block.payload : NULL;
}

int shmb_block_lock(struct shmb_block *block, uint64_t deadline_ns)
{
	return block_lock(&block->writer.block, block->writer.handle.broker, deadline_ns);
}

int shmb_block_trylock(struct shmb_block *block)
{
	return block_trylock(&block->writer.block);
}

int shmb_block_recovered(struct shmb_block *block)
{
	return block_recovered(&block->writer.block);
}

int shmb_block_unlock(struct shmb_block *block)
{
	return block_unlock(&block->writer.block);
}

int32_t shmb_block_holder(const struct shmb_block *block)
{
	return block_holder(&block->writer.block);
}
