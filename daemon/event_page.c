/* SPDX-License-Identifier: MIT */
/*
 * Event pages (event_page.h). Made complete before it has a name; found by its successor's scan; stays mapped, because it is bumped often.
 */
#include "event_page.h"

#include "cleanup.h"
#include "debris.h"
#include "foreign.h"
#include "proto/step.h"
#include "proto/validate.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>

struct event_page {
	struct foreign map;
	char file[STORE_FILE_MAX];
};

static struct event_page *page_deinit(struct event_page *page)
{
	foreign_unmap(&page->map);
	free(page);
	return NULL;
}

static int page_make(struct store *store, const struct holder *who, struct event_page *page)
{
	auto_close int fd = store_make(store, sizeof(struct shmb_shm_event));
	struct shmb_shm_event *event;
	uint64_t random;
	int r;

	if (fd < 0)
		return fd;
	r = foreign_map(&page->map, fd, 0, sizeof(*event), true);
	if (r < 0)
		return r;
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -EAGAIN;
	event = page->map.at;
	event->version = SHMB_LAYOUT_VERSION;
	event->oldest_reader = SHMB_LAYOUT_OLDEST;
	event->pid = who->pid;
	event->uid = who->uid;
	event->start_time = who->start_time;
	memcpy(event->boot_id, store->boot_id, SHMB_BOOT_ID_BYTES);
	memcpy(event->cookie, who->cookie, SHMB_COOKIE_BYTES);
	atomic_store_explicit(&event->magic, SHMB_EVENT_MAGIC, memory_order_release);
	SHMB_STEP("event.made");
	snprintf(page->file, sizeof(page->file), EVENT_PAGE_PREFIX "%d,%" PRIu64 ",%016" PRIx64, who->pid, who->start_time, random);
	return store_link(store, fd, page->file);
}

int event_page_new(struct store *store, const struct holder *who, struct event_page **out, int *out_fd)
{
	struct event_page *page = calloc(1, sizeof(*page));
	int fd;
	int r;

	if (page == NULL)
		return -ENOMEM;
	r = page_make(store, who, page);
	if (r < 0) {
		page_deinit(page);
		return r;
	}
	SHMB_STEP("event.linked");
	fd = store_open_file(store, page->file, O_RDONLY);
	if (fd < 0) {
		event_page_free(store, page, true);
		return fd;
	}
	*out = page;
	*out_fd = fd;
	return 0;
}

static int event_word_grow(void *arg)
{
	struct shmb_shm_event *event = arg;

	/* ORDER event.bump (release). Partner: connection_event().
	 * Orders:  any change of state, verdict, lease -> event word.
	 * Without: a client wakes, sees nothing new and sleeps on.
	 * Model:   tests/model/src/verdict.rs */
	atomic_fetch_add_explicit(&event->word, 1, memory_order_release);
	return 0;
}

void event_page_bump(struct event_page *page)
{
	struct shmb_shm_event *event = page->map.at;

	if (foreign_call(event_word_grow, event) == 0)
		syscall(SYS_futex, &event->word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

struct event_page *event_page_free(struct store *store, struct event_page *page, bool unlink)
{
	if (page == NULL)
		return NULL;
	if (unlink)
		debris_unlink(store, page->file);
	return page_deinit(page);
}

int event_page_adopt(struct store *store, const char *file, struct event_page **out, struct holder *who, const char **why)
{
	auto_close int fd = store_open_file(store, file, O_RDWR);
	struct shmb_shm_event copy;
	struct event_page *page;
	struct stat st;
	int r;

	*why = "the file cannot be read";
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (pread(fd, &copy, sizeof(copy), 0) != (ssize_t)sizeof(copy)) {
		*why = "the file is smaller than an event page";
		return -EBADMSG;
	}
	r = shmb_event_check(&copy, (uint64_t)st.st_size, why);
	if (r < 0)
		return r;
	if (memcmp(copy.boot_id, store->boot_id, SHMB_BOOT_ID_BYTES) != 0) {
		*why = "it is of another boot";
		return -ESTALE;
	}
	/* A write lease is given only on a file that nobody else has open or mapped (gone.h); it ends with our descriptor. */
	if (fcntl(fd, F_SETLEASE, F_WRLCK) == 0) {
		*why = "its client has let go of it";
		return -ESTALE;
	}
	*why = "the daemon is out of memory";
	page = calloc(1, sizeof(*page));
	if (page == NULL)
		return -ENOMEM;
	r = foreign_map(&page->map, fd, 0, sizeof(copy), true);
	if (r < 0) {
		free(page);
		return r;
	}
	snprintf(page->file, sizeof(page->file), "%s", file);
	*who = (struct holder){ .pid = copy.pid, .uid = copy.uid, .start_time = copy.start_time };
	memcpy(who->cookie, copy.cookie, SHMB_COOKIE_BYTES);
	*out = page;
	return 0;
}
