/* SPDX-License-Identifier: MIT */
/* Segments as files (look.h). */
#include "look.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const char *look_path(struct broker *broker, const char *name, const char *part)
{
	static char path[1024];
	size_t begin;

	snprintf(path, sizeof(path), "%s/", broker->shm);
	begin = strlen(path);
	snprintf(path + begin, sizeof(path) - begin, "%s,1%s", name, part);
	for (char *c = path + begin; *c != '\0'; c++)
		*c = *c == '/' ? '%' : *c;
	return path;
}

void *look_map(struct broker *broker, const char *name, const char *part, size_t *size)
{
	int fd = open(look_path(broker, name, part), O_RDWR | O_CLOEXEC);
	struct stat status;
	void *at;

	if (fd < 0)
		return NULL;
	ck_assert_int_eq(fstat(fd, &status), 0);
	*size = (size_t)status.st_size;
	at = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	ck_assert(at != MAP_FAILED);
	return at;
}

void look_unmap(void *at, size_t size)
{
	munmap(at, size);
}

void look_card(struct broker *broker, const char *name, struct shmb_shm_card *out)
{
	size_t size;
	struct shmb_shm_card *card = look_map(broker, name, "", &size);

	ck_assert_msg(card != NULL && size >= sizeof(*card), "%s has no card", name);
	memcpy((void *)out, (const void *)card, sizeof(*out));
	look_unmap(card, size);
}

static unsigned odd(const char *data, uint64_t offset, uint32_t count, uint8_t shift)
{
	unsigned found = 0;

	for (uint64_t i = 0; i < count; i++)
		found += atomic_load((const _Atomic uint64_t *)(data + offset + (i << shift))) & 1;
	return found;
}

unsigned look_half_written(struct broker *broker, const char *name)
{
	struct shmb_shm_card card;
	size_t size;
	char *data = look_map(broker, name, ",data", &size);
	unsigned found;

	look_card(broker, name, &card);
	ck_assert_uint_eq(size, card.data_bytes);
	found = odd(data, card.slot_offset, card.slot_count, card.slot_shift);
	found += odd(data, card.entry_offset, card.entry_count, card.entry_shift);
	look_unmap(data, size);
	return found;
}

uint64_t look_counter(struct broker *broker, const char *name)
{
	size_t size;
	struct shmb_shm_data *data = look_map(broker, name, ",data", &size);
	uint64_t counter = atomic_load(&data->counter);

	look_unmap(data, size);
	return counter;
}

unsigned look_cells(struct broker *broker, const char *name)
{
	struct shmb_shm_card card;
	unsigned found = 0;

	look_card(broker, name, &card);
	for (unsigned i = 0; i < SHMB_CELLS_MAX; i++)
		found += atomic_load(&card.cells[i].pid) != 0;
	return found;
}

unsigned look_bits(struct broker *broker, const char *name)
{
	struct shmb_shm_card card;
	unsigned found = 0;

	look_card(broker, name, &card);
	for (unsigned i = 0; i < SHMB_AREAS_MAX; i++)
		found += (unsigned)__builtin_popcount(atomic_load(&card.area_cells[i]));
	return found;
}

unsigned look_pins(struct broker *broker, const char *name, bool counted)
{
	struct shmb_shm_card card;
	unsigned found = 0;

	look_card(broker, name, &card);
	for (unsigned i = 0; i < card.area_count; i++) {
		char part[16];
		size_t size;
		struct shmb_shm_area *area;

		snprintf(part, sizeof(part), ",area%u", i);
		area = look_map(broker, name, part, &size);
		for (unsigned cell = 0; cell < SHMB_CELLS_PER_AREA; cell++) {
			if (counted && !(atomic_load(&card.area_cells[i]) >> cell & 1))
				continue;
			for (unsigned pin = 0; pin < SHMB_PINS_PER_CELL; pin++)
				found += atomic_load(&area->cells[cell].pins[pin]) != 0;
		}
		look_unmap(area, size);
	}
	return found;
}

unsigned look_log(struct broker *broker, const char *first, const char *second)
{
	char *log = broker_log(broker);
	char *rest = log;
	char *line;
	unsigned found = 0;

	while ((line = strsep(&rest, "\n")) != NULL)
		found += strstr(line, first) != NULL && strstr(line, second) != NULL;
	free(log);
	return found;
}
