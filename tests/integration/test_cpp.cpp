// SPDX-License-Identifier: MIT
// shmb.hpp with the real daemon: every kind, its results, its errors both ways, and what is left when handles move and die.
#include "test_cpp.hpp"

#include <cstring>

#include <unistd.h>

START_TEST(a_value_is_there_or_not)
{
	scene s;
	sb::value_writer<robot::imu> writer(*s.client, "v", sb::options().stamped());
	sb::value_reader<robot::imu> reader(*s.client, "v");
	robot::imu out;
	sb::sample_info info;
	std::error_code code;

	ck_assert(!reader.load());
	ck_assert(!reader.load(code));
	ck_assert(code == std::errc::no_message_available);
	ck_assert(reader.wait(sb::no_wait) == sb::wake::deadline);
	writer.store(imu_at(7));
	ck_assert(reader.wait(1s) == sb::wake::data);

	auto sample = reader.load(code);
	ck_assert(!code);
	ck_assert(sample.has_value());
	ck_assert_uint_eq(sample->value.stamp_ns, 7);
	ck_assert_uint_eq(sample->number, 0);
	ck_assert(sample->stamp.has_value() && *sample->stamp <= std::chrono::steady_clock::now());
	ck_assert(reader.load(out, &info));
	ck_assert_uint_eq(out.count, 7);
	ck_assert_uint_eq(writer.next(), 1);
	ck_assert_int_eq(reader.status().writer_pid, getpid());
}
END_TEST

START_TEST(a_ring_is_read_in_order_by_number_and_in_time)
{
	scene s;
	sb::ring_writer<robot::imu> writer(*s.client, "r", sb::options().capacity(8).key(SHMB_CLOCK_MONOTONIC, "stamp_ns"));
	sb::ring_reader<robot::imu> reader(*s.client, "r");
	std::error_code code;
	std::uint64_t lost = 0;

	ck_assert(!reader.read_next());
	for (std::uint64_t i = 0; i < 10; i++)
		writer.insert(imu_at(1000 * i));
	auto first = reader.read_next();
	ck_assert(first && first->number == 3 && first->missed == 3);
	ck_assert(!reader.read(0, code));
	ck_assert(code == std::error_code(ESTALE, sb::category()));
	ck_assert_uint_eq(reader.read(5)->value.count, 5000);
	auto all = reader.read_range(0, 10, &lost);
	ck_assert_uint_eq(all.size(), 7);
	ck_assert_uint_eq(lost, 3);
	ck_assert_uint_eq(all.back().value.count, 9000);
	ck_assert_uint_eq(reader.lag(), 6);
	ck_assert_uint_eq(reader.latest()->number, 9);

	auto close = reader.closest(monotonic(5400), 500ns);
	ck_assert(close && close->number == 5 && close->at.value() == 5000);
	ck_assert(!reader.closest(monotonic(5400), 300ns, code));
	ck_assert(code == std::errc::result_out_of_range);
	auto pair = reader.bracket(monotonic(5250), 1us);
	ck_assert(pair && pair->before.number == 5 && pair->after.number == 6);
	ck_assert(pair->alpha == 0.25);
	ck_assert(!reader.bracket(monotonic(99000), 1ms, code));
	ck_assert(code == std::errc::stream_timeout); /* ETIME: ask again later */
	ck_assert_uint_eq(reader.numbers(monotonic(4000), monotonic(6000))->count, 3);
	ck_assert(!reader.fresh(monotonic(9001)));
	ck_assert_uint_eq(reader.fresh(monotonic(9000))->number, 9);

	sb::ring_reader<robot::imu> second(*s.client, "r");
	auto both = sb::join(monotonic(7100), 200, reader, second);
	ck_assert(both.has_value());
	ck_assert_uint_eq(std::get<0>(*both).number, 7);
	ck_assert_uint_eq(std::get<1>(*both).at.value(), 7000);
	ck_assert(!sb::join(monotonic(7500), 200, reader, second));
}
END_TEST

START_TEST(keys_come_from_rules_and_clocks)
{
	std::error_code code;
	auto plausible = sb::rule<sb::monotonic>::plausible(10s, 1s);
	auto now = shmb_now_ns();

	ck_assert(sb::key<sb::monotonic>::make(now, plausible).has_value());
	ck_assert(!sb::key<sb::monotonic>::make(now * 1000 + 7, plausible, code));
	ck_assert(code == std::errc::result_out_of_range || code == std::errc::argument_out_of_domain);
	auto even =
		sb::rule<sb::sequence>::own([limit = 100u](std::uint64_t value) { return value % 2 == 0 && value < limit ? 0 : -EDOM; });
	auto both = sb::rule<sb::sequence>::all({ even, sb::rule<sb::sequence>::range(10, 20) });
	ck_assert(sb::key<sb::sequence>::make(12, both).has_value());
	ck_assert(!sb::key<sb::sequence>::make(13, both, code));
	ck_assert(code == std::errc::argument_out_of_domain);
	ck_assert(!sb::key<sb::sequence>::make(22, both, code));
	ck_assert(code == std::errc::result_out_of_range);
	ck_assert(monotonic(5) < monotonic(6));
	ck_assert(monotonic(5).moved(2) == monotonic(7));
	ck_assert(!monotonic(5).moved(-6));
	ck_assert(monotonic(123).time().time_since_epoch() == 123ns);
	sb::key<sb::realtime> wall = std::chrono::system_clock::now();
	ck_assert(sb::key<sb::realtime>::make(wall.value(), sb::rule<sb::realtime>::plausible(1h, 1h)).has_value());
}
END_TEST

START_TEST(a_frame_is_filled_and_held_in_place)
{
	scene s;
	auto layout = sb::image_layout(64, 48, SHMB_IMAGE_RGB8);
	auto type = sb::type::image(layout);
	sb::frame_writer writer(*s.client, "f", *type, sb::frame_options().history(1).pins(1).stamped());
	sb::frame_reader reader(*s.client, "f", &*type);
	std::error_code code;
	std::vector<std::uint8_t> copy(layout.payload_bytes);

	ck_assert(!reader.pin_newest());
	{
		auto dropped = writer.loan();
		ck_assert(dropped.has_value());
		ck_assert(!writer.loan(code));
		ck_assert(code == std::errc::device_or_resource_busy);
	}
	auto loan = writer.loan();
	ck_assert(loan && loan->capacity() == layout.payload_bytes);
	auto *image = loan->image(layout, 42, 7);
	std::memset(shmb_image_data(image), 0x5a, layout.data_bytes);
	loan->commit(layout.payload_bytes + 1, code);
	ck_assert(code == std::errc::message_size);
	loan->commit(layout.payload_bytes);
	ck_assert_uint_eq(writer.next(), 1);

	auto frame = reader.pin_newest();
	ck_assert(frame && frame->number == 0 && frame->size() == layout.payload_bytes && frame->stamp);
	ck_assert(frame->image() && frame->image()->width == 64);
	ck_assert_uint_eq(frame->as<struct shmb_image>()->number, 42);
	ck_assert_int_eq(shmb_image_pixels(frame->bytes())[layout.data_bytes - 1], 0x5a);
	ck_assert(*reader.load_newest(copy.data(), copy.size()) == layout.payload_bytes);
	ck_assert(!reader.load_newest(copy.data(), 10, nullptr, code));
	ck_assert(code == std::errc::message_size);

	/* One frame is history, one is held, the third slot is lent again and again. */
	for (int i = 0; i < 5; i++) {
		auto next = writer.loan();
		ck_assert(next.has_value());
		next->commit(0);
	}
	auto second = reader.pin_newest();
	ck_assert(second.has_value());
	writer.loan()->commit(0);
	ck_assert(!writer.loan(code));
	ck_assert(code == std::errc::no_buffer_space);
	ck_assert_ptr_nonnull(std::strstr(shmb_text(), "holds"));
	auto moved = std::move(*frame);
	ck_assert(moved.release());
	ck_assert(writer.loan().has_value());
}
END_TEST

START_TEST(a_queue_takes_and_gives_each_item_once)
{
	scene s;
	sb::queue_producer<robot::command> producer(*s.client, "q", sb::options().capacity(4));
	sb::queue_consumer<robot::command> consumer(*s.client, "q");
	std::error_code code;

	ck_assert(!consumer.pop());
	ck_assert(!consumer.pop(1ms, code));
	ck_assert(code == std::errc::timed_out);
	for (std::uint32_t i = 0; i < 3; i++)
		ck_assert(producer.push({ i, 0.5f }));
	{
		auto unused = producer.claim();
		ck_assert(unused.has_value());
	}
	auto claim = producer.claim();
	(*claim)->id = 3;
	claim->commit();
	ck_assert(!producer.push({ 4, 0 }, code));
	ck_assert(code == std::errc::resource_unavailable_try_again);
	ck_assert(!producer.push({ 4, 0 }, sb::deadline(1ms)));
	ck_assert(producer.wait_room(sb::no_wait) == sb::wake::deadline);
	ck_assert_uint_eq(consumer.peek()->id, 0);
	ck_assert_uint_eq(consumer.peek(1)->id, 1);
	consumer.release(2);
	ck_assert(producer.wait_room(1s) == sb::wake::data);
	auto third = consumer.pop(1s);
	ck_assert(third && third->value.id == 2 && third->number == 2);
	ck_assert_uint_eq(consumer.pop()->value.id, 3);
	ck_assert_uint_eq(consumer.position(), 4);
	consumer.release(1, code);
	ck_assert(code == std::errc::operation_not_permitted);
	producer.close();
	ck_assert(!consumer.pop(1s, code));
	ck_assert(code == std::errc::broken_pipe);
}
END_TEST

START_TEST(a_block_is_locked_for_a_scope)
{
	scene s;
	sb::block<robot::command> one(*s.client, "b");
	sb::block<robot::command> two(*s.client, "b");
	std::error_code code;

	{
		auto guard = one.lock();
		ck_assert(guard && !guard->owner_died());
		(*guard)->id = 5;
		ck_assert(!two.lock(sb::no_wait, code));
		ck_assert(code == std::errc::timed_out);
		ck_assert_int_eq(two.holder(), getpid());
	}
	ck_assert_uint_eq(two.unlocked()->id, 5);
	ck_assert(two.lock(1s).has_value());
	/* Closing with the lock held is like dying. */
	ck_assert_int_eq(shmb_block_lock(one.get(), SHMB_FOREVER), 0);
	one.close();
	auto after = two.lock(1s);
	ck_assert(after && after->owner_died());
	after->recovered();
	after->unlock();
	ck_assert(!two.lock(1s)->owner_died());
}
END_TEST

START_TEST(a_loader_keeps_a_snapshot)
{
	scene s;
	sb::value_writer<robot::imu> writer(*s.client, "v");
	sb::value_reader<robot::imu> reader(*s.client, "v");
	sb::loader<robot::imu> loader(reader);
	sb::sample_info info;

	ck_assert_ptr_null(loader.snapshot());
	writer.store(imu_at(1));
	ck_assert(loader.wait(10s) == sb::wake::data);
	const robot::imu *held = loader.snapshot(&info);
	ck_assert(held != nullptr && held->count == 1 && info.number == 0);
	writer.store(imu_at(2));
	ck_assert_uint_eq(held->count, 1);
	ck_assert(loader.wait(10s) == sb::wake::data);
	ck_assert_uint_eq(loader.snapshot()->count, 2);
}
END_TEST

START_TEST(several_are_waited_for)
{
	scene s;
	sb::ring_writer<robot::imu> writer(*s.client, "r");
	sb::ring_reader<robot::imu> ring(*s.client, "r");
	sb::queue_producer<robot::command> producer(*s.client, "q");
	sb::queue_consumer<robot::command> consumer(*s.client, "q");
	sb::wait_set set(*s.client);
	int tag = 0;

	set.add(ring.waitable(), &ring);
	set.add(consumer.waitable(), &tag);
	ck_assert_int_ge(set.fd(), 0);
	while (set.next()) {
	}
	auto none = sb::wait_any({ ring.waitable(), consumer.waitable() }, 1ms);
	ck_assert(none.what == sb::wake::deadline && none.which == 2);
	producer.push({ 1, 1 });
	auto one = sb::wait_any({ ring.waitable(), consumer.waitable() }, 10s);
	ck_assert(one.what == sb::wake::data && one.which == 1);
	auto member = set.next();
	ck_assert(member && member->what == sb::wake::data && member->user == &tag);
	consumer.waitable().cancel();
	ck_assert(consumer.wait(10s) == sb::wake::cancelled);
	ring.waitable().spin(1us);
	ck_assert(ring.wait(1ms) == sb::wake::deadline);
	writer.insert(imu_at(1));
	ck_assert(ring.wait(10s) == sb::wake::data);
	ck_assert(ring.read_next().has_value());
	writer.close();
	ck_assert(ring.wait(10s) == sb::wake::writer_closed);
}
END_TEST

START_TEST(handles_move_and_close_what_they_had)
{
	scene s;
	std::error_code code;
	sb::value_writer<robot::imu> writer(*s.client, "v");
	sb::value_writer<robot::imu> second(*s.client, "v", {}, code);

	ck_assert(code == std::errc::device_or_resource_busy);
	ck_assert(!second);
	second = std::move(writer);
	ck_assert(second && !writer); // NOLINT(bugprone-use-after-move): that is what is looked at
	second.store(imu_at(1));
	second = sb::value_writer<robot::imu>(*s.client, "other");
	sb::value_writer<robot::imu> third(*s.client, "v");
	ck_assert_uint_eq(third.next(), 1);
	unsigned seen = 0;
	s.client->list(
		[&](const shmb_segment_info &info) { seen += std::strcmp(info.name, "v") == 0 || std::strcmp(info.name, "other") == 0; });
	ck_assert_uint_eq(seen, 2);
	third.close();
	s.client->remove("v");
}
END_TEST

START_TEST(errors_are_thrown_or_told)
{
	scene s;
	std::error_code code;
	bool thrown = false;

#if defined(__cpp_exceptions)
	try {
		sb::value_reader<robot::imu> reader(*s.client, "nothing");
	} catch (const sb::error &error) {
		thrown = error.code() == std::errc::no_such_file_or_directory && std::strstr(error.what(), "nothing") != nullptr;
	}
#else
	thrown = true;
#endif
	ck_assert(thrown);
	sb::value_reader<robot::imu> reader(*s.client, "nothing", sb::no_wait, code);
	ck_assert(!reader);
	ck_assert(code == std::errc::no_such_file_or_directory);
	ck_assert_str_eq(code.category().name(), "shmbroker");
	sb::value_writer<robot::imu> writer(*s.client, "v");
	sb::value_reader<robot::command> other(*s.client, "v", sb::no_wait, code);
	ck_assert(code == std::error_code(EPROTOTYPE, sb::category()));
	sb::connection nowhere("/nonexistent/socket", code);
	ck_assert(!nowhere && code == std::errc::no_such_file_or_directory);
	auto bad = sb::image_layout(3, 3, SHMB_IMAGE_NV12, 0, code);
	ck_assert(code == std::errc::invalid_argument && bad.payload_bytes == 0);
	ck_assert(!sb::type::parse("t", "float64 ", code));
	ck_assert(code == std::errc::invalid_argument);
}
END_TEST

int main()
{
	Suite *suite = suite_create(
#if defined(__cpp_exceptions)
		"cpp"
#else
		"cpp without exceptions"
#endif
	);

	suite_add(suite, a_value_is_there_or_not, 60);
	suite_add(suite, a_ring_is_read_in_order_by_number_and_in_time, 60);
	suite_add(suite, keys_come_from_rules_and_clocks, 60);
	suite_add(suite, a_frame_is_filled_and_held_in_place, 60);
	suite_add(suite, a_queue_takes_and_gives_each_item_once, 60);
	suite_add(suite, a_block_is_locked_for_a_scope, 60);
	suite_add(suite, a_loader_keeps_a_snapshot, 60);
	suite_add(suite, several_are_waited_for, 60);
	suite_add(suite, handles_move_and_close_what_they_had, 60);
	suite_add(suite, errors_are_thrown_or_told, 60);
	more_tests(suite);
	return suite_run(suite);
}
