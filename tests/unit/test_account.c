/* SPDX-License-Identifier: MIT */
/* Accounts of users: in which order, and which are kept when their users are gone. */
#include "daemon/account.h"
#include "daemon/broker.h"
#include "daemon/config.h"
#include "tests/support/unit.h"

static struct broker broker;

static void setup(void)
{
	ck_assert_int_eq(loop_new(&broker.loop), 0);
	ck_assert_int_eq(config_new(&broker.config, 0, false), 0);
	config_finish(broker.config);
	ck_assert_int_eq(account_list_init(&broker), 0);
}

static void teardown(void)
{
	account_list_deinit(&broker);
	config_free(broker.config);
	loop_free(broker.loop);
}

static unsigned count(void)
{
	const struct account *account;
	uint32_t before = 0;
	unsigned all = 0;

	LIST_FOREACH (account, &broker.accounts.list, link) {
		ck_assert(all == 0 || account->uid > before);
		before = account->uid;
		all++;
	}
	return all;
}

static void come_and_go(uint32_t uid)
{
	struct account *account = account_get(&broker, uid);

	ck_assert_ptr_nonnull(account);
	account_put(account);
}

START_TEST(by_growing_uid)
{
	static const uint32_t uids[] = { 5, 3, 9, 0, 4294967294, 7 };

	setup();
	for (unsigned i = 0; i < sizeof(uids) / sizeof(uids[0]); i++)
		ck_assert_uint_eq(account_get(&broker, uids[i])->uid, uids[i]);
	ck_assert_uint_eq(count(), 6);
	ck_assert_ptr_eq(account_get(&broker, 9), account_get(&broker, 9));
	ck_assert_uint_eq(count(), 6);
	teardown();
}
END_TEST

/* Who has used up his bucket and comes back at once finds it empty, whatever his number and however many others there were before. */
START_TEST(who_went_last_is_remembered)
{
	struct account *account;

	setup();
	for (uint32_t uid = 1; uid <= 2 * ACCOUNTS_IDLE; uid++)
		come_and_go(uid);
	account = account_get(&broker, 1000000);
	account->requests = 42;
	account_put(account);
	for (uint32_t uid = 1; uid < ACCOUNTS_IDLE; uid++)
		come_and_go(2000 + uid);
	ck_assert_uint_eq(account_get(&broker, 1000000)->requests, 42);
	ck_assert_uint_le(count(), ACCOUNTS_IDLE + 2);
	teardown();
}
END_TEST

/* One that has something stays. */
START_TEST(who_has_something_is_kept)
{
	struct account *account;

	setup();
	account = account_get(&broker, 1);
	for (uint32_t uid = 2; uid <= 3 * ACCOUNTS_IDLE; uid++)
		come_and_go(uid);
	ck_assert_ptr_eq(account_get(&broker, 1), account);
	ck_assert_uint_le(count(), ACCOUNTS_IDLE + 2);
	teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("account");

	unit_add(suite, by_growing_uid, 10);
	unit_add(suite, who_went_last_is_remembered, 10);
	unit_add(suite, who_has_something_is_kept, 10);
	return unit_run(suite);
}
