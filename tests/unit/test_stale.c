/* SPDX-License-Identifier: MIT */
/*
 * Writers that publish nothing any more: the judgement with clocks made up, then with files, processes and the loop. The writer is a child
 * of the test that only sleeps; the test stores what it would have published.
 */
#include "store_fixture.h"

#include "daemon/attachment.h"
#include "daemon/broker.h"
#include "daemon/policy.h"
#include "daemon/stale.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#define SECOND UINT64_C(1000000000)
#define MS UINT64_C(1000000)

/* ---- the judgement ---- */

static const struct segment_pulse one = { .counter = 1 };
static const struct segment_pulse two = { .counter = 2 };
static const struct segment_pulse beat = { .counter = 1, .heartbeat_ns = 5 };

START_TEST(over_after_one_stale_time)
{
	struct stale_state state;

	stale_state_init(&state, &one, SECOND, 100 * SECOND + 300 * MS, 0);
	ck_assert_uint_eq(state.due_ns, 101 * SECOND);
	/* On the beat, but nothing published for 700 ms only. */
	ck_assert_int_eq(stale_state_look(&state, &one, SECOND, 101 * SECOND, 0), STALE_SILENT);
	ck_assert_uint_eq(state.due_ns, 101 * SECOND + 300 * MS);
	ck_assert_int_eq(stale_state_look(&state, &one, SECOND, 101 * SECOND + 300 * MS, 0), STALE_OVER);
	/* It is looked at further on, on the beat, and is over each time until it does something. */
	ck_assert_uint_eq(state.due_ns, 102 * SECOND);
	ck_assert_int_eq(stale_state_look(&state, &one, SECOND, 102 * SECOND, 0), STALE_OVER);
	ck_assert_int_eq(stale_state_look(&state, &two, SECOND, 103 * SECOND, 0), STALE_BEATS);
	ck_assert_uint_eq(state.due_ns, 104 * SECOND);
	ck_assert_int_eq(stale_state_look(&state, &two, SECOND, 104 * SECOND, 0), STALE_OVER);
}
END_TEST

START_TEST(either_word_is_a_sign_of_life)
{
	struct stale_state state;

	stale_state_init(&state, &one, SECOND, 100 * SECOND, 0);
	ck_assert_int_eq(stale_state_look(&state, &beat, SECOND, 101 * SECOND, 0), STALE_BEATS);
	ck_assert_int_eq(stale_state_look(&state, &one, SECOND, 102 * SECOND, 0), STALE_BEATS); /* backwards, too */
	ck_assert_int_eq(stale_state_look(&state, &one, SECOND, 103 * SECOND, 0), STALE_OVER);
}
END_TEST

/* A look that comes a little early or late keeps the beat. */
START_TEST(the_beat_is_kept)
{
	struct stale_state state;

	stale_state_init(&state, &one, SECOND, 100 * SECOND, 0);
	for (uint64_t n = 1; n < 1000; n++) {
		struct segment_pulse pulse = { .counter = n + 1 };

		ck_assert_uint_eq(state.due_ns, (100 + n) * SECOND);
		ck_assert_int_eq(stale_state_look(&state, &pulse, SECOND, (100 + n) * SECOND + n % 3 * 100 * MS, 0), STALE_BEATS);
	}
}
END_TEST

/* Where nobody ran (a suspended host, a stopped virtual machine, a frozen daemon) nobody hangs; the time begins again. */
START_TEST(fault_46_nobody_hangs_after_a_suspend)
{
	struct stale_state state;

	/* The clock stood still, so the look came in time; but the host has slept. */
	stale_state_init(&state, &one, SECOND, 100 * SECOND, 7 * SECOND);
	ck_assert_int_eq(stale_state_look(&state, &one, SECOND, 101 * SECOND, 3600 * SECOND), STALE_SILENT);
	ck_assert_uint_ge(state.due_ns, 102 * SECOND);
	ck_assert_int_eq(stale_state_look(&state, &one, SECOND, state.due_ns, 3600 * SECOND), STALE_OVER);
	/* The clock jumped. */
	stale_state_init(&state, &one, SECOND, 100 * SECOND, 0);
	ck_assert_int_eq(stale_state_look(&state, &one, SECOND, 5000 * SECOND, 0), STALE_SILENT);
	ck_assert_uint_ge(state.due_ns, 5001 * SECOND);
	ck_assert_int_eq(stale_state_look(&state, &one, SECOND, state.due_ns, 0), STALE_OVER);
	/* Two clocks read one after the other are no sleep. */
	stale_state_init(&state, &one, SECOND, 100 * SECOND, 7 * SECOND);
	ck_assert_int_eq(stale_state_look(&state, &one, SECOND, 101 * SECOND, 7 * SECOND + MS), STALE_OVER);
}
END_TEST

/* ---- with a process ---- */

struct bench {
	struct fixture fixture;
	struct broker broker;
	struct policy policies[1];
	struct segment *segment;
	struct shmb_shm_card *card;
	struct shmb_shm_data *data;
	size_t card_bytes, data_bytes;
	pid_t child;
};

static void on_death(struct process *process, void *user)
{
	(void)process;
	(void)user;
}

static void bench_open(struct bench *bench, uint64_t stale_ns)
{
	struct holder who = { .uid = geteuid() };
	struct attachment *attachment;
	struct process *process;

	memset(bench, 0, sizeof(*bench));
	bench->child = fork();
	ck_assert_int_ge(bench->child, 0);
	if (bench->child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
		for (;;)
			pause();
	}
	fixture_open(&bench->fixture);
	ck_assert_int_eq(loop_new(&bench->broker.loop), 0);
	bench->broker.store = bench->fixture.store;
	bench->policies[0] = (struct policy){ .pattern = "*", .stale_ns = stale_ns, .on_hang = POLICY_MARK };
	LIST_INIT(&bench->broker.interests);
	ck_assert_int_eq(chores_init(&bench->broker.chores, bench->broker.loop), 0);
	bench->broker.reaper.broker = &bench->broker;
	process_table_init(&bench->broker.processes, bench->broker.loop, on_death, bench);
	bench->segment = fixture_segment(&bench->fixture, "hangs");
	bench->segment->policy = bench->policies;
	ck_assert_int_eq(process_watch_peer(&bench->broker.processes, bench->child, -1, &process), 0);
	who.pid = process->pid;
	who.start_time = process->start_time;
	attachment = attachment_new(bench->segment, process, &who, SHMB_ROLE_WRITER);
	ck_assert_ptr_nonnull(attachment);
	process_unref(process);
	ck_assert_int_eq(segment_grant(&bench->fixture.store, bench->segment, &who), 0);
	bench->card = fixture_map(&bench->fixture, bench->segment, PART_CARD, 0, &bench->card_bytes);
	bench->data = fixture_map(&bench->fixture, bench->segment, PART_DATA, 0, &bench->data_bytes);
	stale_follow(&bench->broker, bench->segment);
}

static void bench_close(struct bench *bench)
{
	kill(bench->child, SIGKILL);
	ck_assert_int_eq(waitpid(bench->child, NULL, 0), bench->child);
	stale_end(bench->segment);
	munmap(bench->card, bench->card_bytes);
	munmap(bench->data, bench->data_bytes);
	while (!LIST_EMPTY(&bench->segment->attachments))
		attachment_free(LIST_FIRST(&bench->segment->attachments));
	ck_assert_int_eq(segment_remove(&bench->fixture.store, bench->segment), 0);
	process_table_deinit(&bench->broker.processes);
	chores_deinit(&bench->broker.chores);
	loop_free(bench->broker.loop);
	fixture_close(&bench->fixture);
}

static void stop_loop(void *user)
{
	loop_stop(user);
}

/* Lets the loop run for a while. */
static void run(struct bench *bench, uint64_t ns)
{
	struct loop_timer *timer;

	ck_assert_int_eq(loop_timer_new(bench->broker.loop, stop_loop, bench->broker.loop, &timer), 0);
	loop_timer_set(timer, ns);
	loop_run(bench->broker.loop);
	loop_timer_free(timer);
}

/* Runs until the card says so. */
static void until(struct bench *bench, enum shmb_writer_state verdict)
{
	uint64_t word = shmb_writer_word(bench->segment->epoch, verdict);

	for (unsigned i = 0; i < 1000 && atomic_load(&bench->card->writer) != word; i++)
		run(bench, 10 * MS);
	ck_assert_uint_eq(atomic_load(&bench->card->writer), word);
	ck_assert_int_eq(bench->segment->writer, verdict);
	ck_assert_uint_eq(atomic_load(&bench->card->state), shmb_state_word(bench->segment->epoch, SHMB_STATE_HELD));
}

/* Runs while the writer publishes. */
static void publish(struct bench *bench, unsigned times, uint64_t period_ns)
{
	while (times-- > 0) {
		atomic_fetch_add(&bench->data->counter, 1);
		run(bench, period_ns);
	}
}

START_TEST(hung_and_back)
{
	struct bench bench;
	uint32_t wake;

	bench_open(&bench, SECOND); /* in which this process, writer and broker in one, must get a turn */
	ck_assert_ptr_nonnull(bench.segment->stale);
	publish(&bench, 150, 10 * MS);
	ck_assert_int_eq(bench.segment->writer, SHMB_WRITER_ALIVE);
	/* The broker brought safe-shm's heartbeat up to date. */
	ck_assert_uint_ne(atomic_load(&bench.data->heartbeat_ns), 0);
	ck_assert_uint_le(loop_now_ns() - atomic_load(&bench.data->heartbeat_ns), 10 * SECOND);
	wake = atomic_load(&bench.data->wake);
	until(&bench, SHMB_WRITER_HUNG);
	ck_assert_uint_eq(atomic_load(&bench.data->wake), wake + 1);
	run(&bench, 1500 * MS);
	ck_assert_uint_eq(atomic_load(&bench.data->wake), wake + 1); /* once */
	atomic_fetch_add(&bench.data->counter, 1);
	until(&bench, SHMB_WRITER_ALIVE);
	ck_assert_uint_eq(atomic_load(&bench.data->wake), wake + 2);
	until(&bench, SHMB_WRITER_HUNG);
	atomic_store(&bench.data->heartbeat_ns, 1); /* a heartbeat is a sign of life as well */
	until(&bench, SHMB_WRITER_ALIVE);
	bench_close(&bench);
}
END_TEST

START_TEST(stopped_and_traced)
{
	struct bench bench;
	siginfo_t info;

	bench_open(&bench, 50 * MS);
	kill(bench.child, SIGSTOP);
	ck_assert_int_eq(waitid(P_PID, (id_t)bench.child, &info, WSTOPPED | WNOWAIT), 0);
	until(&bench, SHMB_WRITER_STOPPED);
	/* It goes on, but still publishes nothing. */
	kill(bench.child, SIGCONT);
	until(&bench, SHMB_WRITER_HUNG);
	if (ptrace(PTRACE_ATTACH, bench.child, NULL, NULL) == 0) {
		until(&bench, SHMB_WRITER_TRACED);
		ck_assert_int_eq(waitpid(bench.child, NULL, __WALL), bench.child);
		ck_assert_int_eq(ptrace(PTRACE_DETACH, bench.child, NULL, NULL), 0);
		until(&bench, SHMB_WRITER_HUNG);
	} else {
		printf("traced: left out, ptrace is not allowed here: %s\n", strerror(errno));
	}
	atomic_fetch_add(&bench.data->counter, 1);
	until(&bench, SHMB_WRITER_ALIVE);
	bench_close(&bench);
}
END_TEST

/* Without a stale time nobody looks; one that goes away takes its verdict with it. */
START_TEST(no_stale_time_no_timer)
{
	struct bench bench;

	bench_open(&bench, UINT64_MAX);
	ck_assert_ptr_null(bench.segment->stale);
	bench.policies[0].stale_ns = 50 * MS;
	stale_follow(&bench.broker, bench.segment);
	ck_assert_ptr_nonnull(bench.segment->stale);
	until(&bench, SHMB_WRITER_HUNG);
	bench.policies[0].stale_ns = UINT64_MAX;
	stale_follow(&bench.broker, bench.segment);
	ck_assert_ptr_null(bench.segment->stale);
	until(&bench, SHMB_WRITER_ALIVE);
	bench_close(&bench);
}
END_TEST

/* The verdict of a daemon that is gone does not bind the next one: alive until it has looked for a stale time itself. */
static void on_found(struct segment *segment, const struct segment_cell *cells, unsigned cell_count, void *user)
{
	(void)cells;
	(void)cell_count;
	*(struct segment **)user = segment;
}

static void on_page(struct event_page *page, const struct holder *who, void *user)
{
	(void)page;
	(void)who;
	(void)user;
}

START_TEST(the_next_daemon_judges_anew)
{
	struct bench bench;
	struct segment *found = NULL;
	struct store_scan scan = { .found = on_found, .page = on_page, .user = &found };

	bench_open(&bench, 50 * MS);
	until(&bench, SHMB_WRITER_HUNG);
	ck_assert_int_eq(store_scan(&bench.fixture.store, &scan), 0);
	ck_assert_ptr_nonnull(found);
	ck_assert_int_eq(found->state, SHMB_STATE_HELD);
	ck_assert_int_eq(found->writer, SHMB_WRITER_ALIVE);
	ck_assert_uint_eq(atomic_load(&bench.card->writer), shmb_writer_word(found->epoch, SHMB_WRITER_ALIVE));
	segment_free(found);
	bench_close(&bench);
}
END_TEST

/* A writer that makes its data part shorter is silent, not the end of the daemon. */
START_TEST(a_data_part_made_shorter)
{
	struct bench bench;
	char file[STORE_FILE_MAX];
	int fd;

	bench_open(&bench, 50 * MS);
	part_file(file, "hangs", 1, PART_DATA, 0);
	fd = openat(bench.fixture.store.dir_fd, file, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	until(&bench, SHMB_WRITER_HUNG);
	close(fd);
	bench_close(&bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stale");

	fixture_begin();
	unit_add(suite, over_after_one_stale_time, 5);
	unit_add(suite, either_word_is_a_sign_of_life, 5);
	unit_add(suite, the_beat_is_kept, 5);
	unit_add(suite, fault_46_nobody_hangs_after_a_suspend, 5);
	unit_add(suite, hung_and_back, 30);
	unit_add(suite, stopped_and_traced, 30);
	unit_add(suite, no_stale_time_no_timer, 30);
	unit_add(suite, the_next_daemon_judges_anew, 30);
	unit_add(suite, a_data_part_made_shorter, 30);
	return fixture_end(unit_run(suite));
}
