/* SPDX-License-Identifier: MIT */
/* Event pages: what a client gets, waking it, and the next broker's taking over. */
#include "store_fixture.h"

#include "daemon/event_page.h"
#include "proto/validate.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* The one file that begins as event pages do. */
static bool page_file(const struct fixture *fixture, char file[256])
{
	DIR *dir = opendir(fixture->path);
	struct dirent *entry;
	bool found = false;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL) {
		if (strncmp(entry->d_name, EVENT_PAGE_PREFIX, strlen(EVENT_PAGE_PREFIX)) == 0) {
			ck_assert(!found);
			strcpy(file, entry->d_name);
			found = true;
		}
	}
	closedir(dir);
	return found;
}

static const struct shmb_shm_event *client_map(int fd)
{
	struct shmb_shm_event *event;

	ck_assert_ptr_eq(mmap(NULL, SHMB_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	event = mmap(NULL, SHMB_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(event, MAP_FAILED);
	return event;
}

START_TEST(what_a_client_gets)
{
	struct fixture fixture;
	struct holder who = fixture_holder(101, 1000);
	struct event_page *page;
	const struct shmb_shm_event *event;
	const char *why = NULL;
	char file[256];
	int fd;

	fixture_open(&fixture);
	ck_assert_int_eq(event_page_new(&fixture.store, &who, &page, &fd), 0);
	event = client_map(fd);
	ck_assert_int_eq(shmb_event_check(event, SHMB_PAGE, &why), 0);
	ck_assert_int_eq(event->pid, 101);
	ck_assert_uint_eq(event->uid, 1000);
	ck_assert_uint_eq(event->start_time, who.start_time);
	ck_assert_mem_eq(event->cookie, who.cookie, SHMB_COOKIE_BYTES);
	ck_assert_mem_eq(event->boot_id, fixture.store.boot_id, SHMB_BOOT_ID_BYTES);
	ck_assert_uint_eq(atomic_load(&event->word), 0);
	event_page_bump(page);
	event_page_bump(page);
	ck_assert_uint_eq(atomic_load(&event->word), 2);
	ck_assert(page_file(&fixture, file));
	ck_assert_ptr_null(event_page_free(&fixture.store, page, true));
	ck_assert(!page_file(&fixture, file));
	ck_assert_ptr_null(event_page_free(&fixture.store, NULL, true));
	munmap((void *)(uintptr_t)event, SHMB_PAGE);
	close(fd);
	fixture_close(&fixture);
}
END_TEST

/* The client sleeps on its page; a broker is killed, the next one wakes it through the same memory. */
START_TEST(next_broker_wakes_the_client)
{
	struct fixture fixture;
	struct holder who = fixture_holder(101, 1000), found;
	struct event_page *page;
	const char *why;
	char file[256];
	int status;
	pid_t child;
	int fd;

	fixture_open(&fixture);
	ck_assert_int_eq(event_page_new(&fixture.store, &who, &page, &fd), 0);
	child = fork();
	if (child == 0) {
		const struct shmb_shm_event *event = mmap(NULL, SHMB_PAGE, PROT_READ, MAP_SHARED, fd, 0);

		while (atomic_load(&event->word) == 0)
			syscall(SYS_futex, &event->word, FUTEX_WAIT, 0, NULL, NULL, 0);
		_exit(7);
	}
	close(fd);
	ck_assert(page_file(&fixture, file));
	ck_assert_ptr_null(event_page_free(&fixture.store, page, false));
	ck_assert(page_file(&fixture, file));
	usleep(20000);
	ck_assert_int_eq(event_page_adopt(&fixture.store, file, &page, &found, &why), 0);
	ck_assert_mem_eq(&found, &who, sizeof(who));
	event_page_bump(page);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(WEXITSTATUS(status), 7);
	event_page_free(&fixture.store, page, true);
	ck_assert_uint_eq(fixture_files(&fixture), 0);
	fixture_close(&fixture);
}
END_TEST

START_TEST(what_is_not_taken_over)
{
	struct fixture fixture;
	struct holder who = fixture_holder(101, 1000);
	struct event_page *page, *adopted;
	const char *why;
	char file[256];
	int fd;

	fixture_open(&fixture);
	ck_assert_int_eq(event_page_new(&fixture.store, &who, &page, &fd), 0);
	close(fd);
	ck_assert(page_file(&fixture, file));
	fixture.store.boot_id[3] ^= 1;
	ck_assert_int_eq(event_page_adopt(&fixture.store, file, &adopted, &who, &why), -ESTALE);
	fixture.store.boot_id[3] ^= 1;
	fd = openat(fixture.store.dir_fd, file, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(pwrite(fd, "\0\0\0", 4, 0), 4);
	ck_assert_int_eq(event_page_adopt(&fixture.store, file, &adopted, &who, &why), -ENODATA);
	ck_assert_int_eq(pwrite(fd, "XXXX", 4, 0), 4);
	ck_assert_int_eq(event_page_adopt(&fixture.store, file, &adopted, &who, &why), -EBADMSG);
	ck_assert_int_eq(ftruncate(fd, 100), 0);
	ck_assert_int_eq(event_page_adopt(&fixture.store, file, &adopted, &who, &why), -EBADMSG);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(event_page_adopt(&fixture.store, file, &adopted, &who, &why), -EBADMSG);
	event_page_bump(page); /* its memory is gone; the broker lives */
	close(fd);
	ck_assert_int_eq(event_page_adopt(&fixture.store, ",event,none", &adopted, &who, &why), -ENOENT);
	event_page_free(&fixture.store, page, true);
	/* Its client has let go of it while no broker was there. */
	ck_assert_int_eq(event_page_new(&fixture.store, &who, &page, &fd), 0);
	ck_assert(page_file(&fixture, file));
	event_page_free(&fixture.store, page, false);
	ck_assert_int_eq(event_page_adopt(&fixture.store, file, &page, &who, &why), 0);
	event_page_free(&fixture.store, page, false);
	close(fd);
	ck_assert_int_eq(event_page_adopt(&fixture.store, file, &page, &who, &why), -ESTALE);
	unlinkat(fixture.store.dir_fd, file, 0);
	fixture_close(&fixture);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("event_page");

	fixture_begin();
	unit_add(suite, what_a_client_gets, 5);
	unit_add(suite, next_broker_wakes_the_client, 10);
	unit_add(suite, what_is_not_taken_over, 5);
	return fixture_end(unit_run(suite));
}
