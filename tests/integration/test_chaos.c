/* SPDX-License-Identifier: MIT */
/*
 * Hostile clients of every kind upon one daemon whose turns are as short as can be: each piece of work that it does in turns is interrupted after each
 * item of it, and whatever may happen in between does. Meant for the address sanitizer, which sees what is used after it was freed.
 *
 * The clients (chaos.h) are killed and stopped, the configuration changes, and one client that behaves has to be served. At the end everything has to be as
 * before the first client.
 *
 *   SHMB_CHAOS_SECONDS=N   how long, default 3
 *   SHMB_CHAOS_SEED=N      other numbers, default 20. What comes of them depends on the order of events, too
 */
#include "chaos.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct chaos_books *books;

struct totals {
	unsigned kills, stops, reloads, served;
};

static void tell(uint64_t begun_ns, const struct totals *totals)
{
	uint64_t served = 0;
	uint64_t refused = 0;

	for (unsigned i = 0; i < SHMB_OP_COUNT; i++) {
		served += books->served[i];
		refused += books->refused[i];
	}
	printf("%5.1f s: %" PRIu64 " requests served, %" PRIu64 " refused, %" PRIu64 " sent with something wrong, %" PRIu64
	       " answers not waited for, %" PRIu64 " connections, descriptors sent %" PRIu64 " times, memory spoilt %" PRIu64
	       " times, %u kills, %u stops, %u reloads; an honest client served %u times\n",
	       (double)(now_ns() - begun_ns) / 1e9, served, refused, (uint64_t)books->odd, (uint64_t)books->unread,
	       (uint64_t)books->connections, (uint64_t)books->sent_fds, (uint64_t)books->spoilt, totals->kills, totals->stops,
	       totals->reloads, totals->served);
}

/* Requests of each opcode were served: else this was no test. */
static bool is_all_served(void)
{
	for (uint16_t i = 0; i < SHMB_OP_COUNT; i++) {
		if (shmb_request_size(i) > 0 && books->served[i] == 0)
			return false;
	}
	return true;
}

START_TEST(chaos)
{
	uint64_t seconds = chaos_number("SHMB_CHAOS_SECONDS", 3);
	uint64_t seed = chaos_number("SHMB_CHAOS_SEED", 20);
	unsigned lives[CHAOS_CLIENTS] = { 0 };
	pid_t clients[CHAOS_CLIENTS];
	struct totals totals = { 0 };
	uint64_t begun = now_ns();
	uint64_t deadline = deadline_in((unsigned)seconds * 1000 + SUITE_PATIENCE_MS); /* an emulator is slow */
	uint64_t told = begun;
	struct broker b;

	books = mmap(NULL, sizeof(*books), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(books != MAP_FAILED);
	books->cut_one_in = 8;
	printf("seed %" PRIu64 ", %" PRIu64 " s, turns of 1 ns\n", seed, seconds);
	setenv("SHMB_STEP_NUMBER", "turn:1", 1);
	broker_start(&b, &(struct broker_options){ .steps = true, .runtime_mode = 0755, .config = chaos_configs[0] });
	b.fds += chaos_descriptor_send(&b);
	chaos_seed(seed, CHAOS_CLIENTS, 0);
	for (unsigned i = 0; i < CHAOS_CLIENTS; i++)
		clients[i] = chaos_client(&b, books, seed, i, 0);
	while (now_ns() - begun < seconds * 1000000000 || (!is_all_served() && now_ns() < deadline)) {
		unsigned who = chaos_draw(CHAOS_CLIENTS);

		usleep(chaos_draw(20000));
		switch (chaos_draw(8)) {
		case 0 ... 3:
			kill(clients[who], SIGKILL);
			ck_assert_int_eq(waitpid(clients[who], NULL, 0), clients[who]);
			clients[who] = chaos_client(&b, books, seed, who, ++lives[who]);
			totals.kills++;
			break;
		case 4:
			kill(clients[who], SIGSTOP);
			usleep(chaos_draw(60000));
			kill(clients[who], SIGCONT);
			totals.stops++;
			break;
		case 5:
			chaos_reload(&b, chaos_draw(3));
			totals.reloads++;
			break;
		case 6:
			chaos_serves(&b, totals.served++ % 200);
			break;
		default:
			break;
		}
		for (unsigned i = 0; i < CHAOS_CLIENTS; i++)
			ck_assert_msg(waitpid(clients[i], NULL, WNOHANG) == 0, "client %u has ended", i);
		if (now_ns() - told > UINT64_C(5000000000)) {
			told = now_ns();
			tell(begun, &totals);
		}
	}
	for (unsigned i = 0; i < CHAOS_CLIENTS; i++) {
		kill(clients[i], SIGKILL);
		ck_assert_int_eq(waitpid(clients[i], NULL, 0), clients[i]);
	}
	tell(begun, &totals);
	for (uint16_t i = 0; i < SHMB_OP_COUNT; i++) {
		if (shmb_request_size(i) > 0)
			printf("  opcode %2u: %8" PRIu64 " served, %8" PRIu64 " refused\n", i, (uint64_t)books->served[i],
			       (uint64_t)books->refused[i]);
	}
	ck_assert_msg(is_all_served(), "of some opcodes no request was ever served");
	munmap(books, sizeof(*books));
	chaos_serves(&b, 1);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hostile clients, short turns");

	suite_add(suite, chaos, (double)chaos_number("SHMB_CHAOS_SECONDS", 3) + 60);
	return suite_run(suite);
}
