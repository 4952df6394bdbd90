// SPDX-License-Identifier: MIT
// shmb.hpp with the real daemon: generations, frames and joins in time, what is watched, and what operators ask.
#include "test_cpp.hpp"

#include <cstring>

#include <poll.h>
#include <unistd.h>

namespace
{

std::error_code code_of(int value)
{
	return { value, sb::category() };
}

sb::key<sb::sequence> count(std::uint64_t value)
{
	return *sb::key<sb::sequence>::make(value, sb::rule<sb::sequence>::range(0, UINT64_MAX));
}

} // namespace

// Another layout is a new generation: read to the end of the old one, told once, on in the new one.
START_TEST(readers_follow_a_new_generation)
{
	scene s;
	std::optional<sb::ring_writer<robot::imu>> writer(std::in_place, *s.client, "r", sb::options().capacity(8));
	sb::ring_reader<robot::imu> waiting(*s.client, "r");
	sb::ring_reader<robot::imu> asking(*s.client, "r");
	std::error_code code;

	ck_assert(waiting.follow() && asking.follow()); // nowhere to go: it is the newest
	writer->insert(imu_at(0));
	writer->insert(imu_at(1));
	writer.reset();
	writer.emplace(*s.client, "r", sb::options().capacity(32));
	writer->insert(imu_at(2));
	ck_assert_uint_ne(waiting.status().next_generation, 0);

	ck_assert_uint_eq(waiting.read_next()->number, 0);
	ck_assert_uint_eq(waiting.read_next()->number, 1);
	ck_assert(!waiting.read_next(code));
	ck_assert(code == code_of(EREMCHG));
	ck_assert(!waiting.read_next()); // no exception
	ck_assert(waiting.wait(sb::no_wait) == sb::wake::writer_closed);
	ck_assert(waiting.wait(sb::no_wait) == sb::wake::superseded);
	ck_assert(waiting.wait(sb::no_wait) == sb::wake::superseded);
	ck_assert(waiting.wait(10s) == sb::wake::superseded);
	ck_assert_uint_eq(waiting.status().next_generation, 0);
	auto next = waiting.read_next();
	ck_assert(next && next->number == 2 && next->missed == 0 && next->value.count == 2);

	ck_assert(asking.waitable().follow(code));
	ck_assert(!code);
	ck_assert_uint_eq(asking.read_next()->number, 2);
	writer.reset();
	s.client->remove("r");
	do
		code.clear();
	while (asking.wait(10s, code) == sb::wake::writer_closed);
	ck_assert(asking.wait(10s, code) == sb::wake::removed);
	ck_assert(!code);
	asking.follow(code);
	ck_assert(!code || code == code_of(ESTALE));
}
END_TEST

START_TEST(who_cannot_read_the_new_type_is_told)
{
	scene s;
	std::optional<sb::value_writer<robot::imu>> writer(std::in_place, *s.client, "v");
	sb::value_reader<robot::imu> reader(*s.client, "v");
	std::error_code code;

	writer->store(imu_at(1));
	writer.reset();
	sb::value_writer<robot::command> other(*s.client, "v");
	other.store({ 1, 2 });
	ck_assert_uint_eq(reader.load()->value.count, 1);
	ck_assert(reader.wait(10s, code) == sb::wake::writer_closed);
	ck_assert(!code);
	ck_assert(reader.wait(10s, code) == sb::wake::failed);
	ck_assert(code == code_of(EPROTOTYPE));
	ck_assert_ptr_nonnull(std::strstr(shmb_text(), "motor_command"));
	ck_assert(!reader.follow(code));
	ck_assert(code == code_of(EPROTOTYPE));
#if defined(__cpp_exceptions)
	try {
		reader.wait(10s);
		ck_abort_msg("nothing was thrown");
	} catch (const sb::error &error) {
		ck_assert(error.code() == code_of(EPROTOTYPE));
	}
#endif
}
END_TEST

START_TEST(a_consumer_follows_when_it_has_consumed)
{
	scene s;
	std::optional<sb::queue_producer<robot::command>> producer(std::in_place, *s.client, "q", sb::options().capacity(4));
	sb::queue_consumer<robot::command> consumer(*s.client, "q");
	std::error_code code;

	producer->push({ 0, 0 });
	producer.reset();
	producer.emplace(*s.client, "q", sb::options().capacity(16));
	producer->push({ 1, 0 });
	ck_assert(!consumer.follow(code));
	ck_assert(code == std::errc::resource_unavailable_try_again);
	ck_assert_uint_eq(consumer.pop()->value.id, 0);
	ck_assert(!consumer.pop(10s, code));
	ck_assert(code == std::errc::broken_pipe);
	ck_assert(!consumer.pop(10s, code));
	ck_assert(code == code_of(EREMCHG));
	auto item = consumer.pop(10s);
	ck_assert(item && item->value.id == 1 && item->number == 1);
}
END_TEST

START_TEST(what_is_held_stays_when_its_reader_follows)
{
	scene s;
	auto type = sb::type::parse("bytes", "uint8[100] data");
	std::optional<sb::frame_writer> writer(std::in_place, *s.client, "f", *type, sb::frame_options().history(2));
	sb::frame_reader reader(*s.client, "f");

	for (int i = 0; i < 2; i++) {
		auto loan = writer->loan();
		std::memset(loan->bytes(), i, 100);
		loan->commit(100);
	}
	auto held = reader.pin_next();
	ck_assert(held && held->bytes()[0] == 0);
	writer.reset();
	writer.emplace(*s.client, "f", *type, sb::frame_options().history(5));
	auto loan = writer->loan();
	std::memset(loan->bytes(), 2, 100);
	loan->commit(100);
	ck_assert(reader.follow());
	auto next = reader.pin_next();
	ck_assert(next && next->number == 2 && next->bytes()[0] == 2 && next->missed == 1);
	ck_assert_int_eq(held->bytes()[99], 0);
	ck_assert(held->release());
}
END_TEST

START_TEST(frames_are_found_in_time)
{
	scene s;
	auto type = sb::type::parse("cloud", "uint64 stamp_ns\nuint8[92] data\nuint8[4] rest");
	sb::frame_writer writer(*s.client, "f", *type, sb::frame_options().history(8).key(SHMB_CLOCK_MONOTONIC, "stamp_ns"));
	sb::frame_reader reader(*s.client, "f");
	std::vector<std::uint8_t> copy(104);
	std::error_code code;
	sb::sample_info info;

	ck_assert_int_eq(reader.clock(), SHMB_CLOCK_MONOTONIC);
	for (std::uint64_t i = 1; i <= 10; i++) {
		auto loan = writer.loan();
		std::memset(loan->bytes(), static_cast<int>(i), 104);
		*loan->as<std::uint64_t>() = 1000 * i;
		if (i == 10) {
			// What is refused stays on loan.
			*loan->as<std::uint64_t>() = 1;
			loan->commit(104, code);
			ck_assert(code == std::errc::argument_out_of_domain);
			loan->commit(7, code);
			ck_assert(code == std::errc::message_size);
			ck_assert(!writer.loan(code));
			ck_assert(code == std::errc::device_or_resource_busy);
			*loan->as<std::uint64_t>() = 1000 * i;
		}
		loan->commit(104);
	}
	auto close = reader.closest(monotonic(5400), 500ns);
	ck_assert(close && close->frame.number == 4 && close->at.value() == 5000 && close->frame.bytes()[8] == 5);
	ck_assert(!reader.closest(monotonic(5400), 300, code));
	ck_assert(code == std::errc::result_out_of_range);
	auto pair = reader.bracket(monotonic(5250), 1us);
	ck_assert(pair && pair->before.frame.number == 4 && pair->after.at.value() == 6000 && pair->alpha == 0.25);
	ck_assert(!reader.bracket(monotonic(99000), SHMB_ANY_DISTANCE, code));
	ck_assert(code == std::errc::stream_timeout);
	auto range = reader.numbers(monotonic(8000), monotonic(9500));
	ck_assert(range && range->first == 7 && range->count == 2 && !range->is_cut);
	ck_assert(!reader.fresh(monotonic(10001)));
	ck_assert_uint_eq(reader.fresh(monotonic(10000))->frame.number, 9);
	ck_assert_uint_eq(reader.key_of<sb::monotonic>(7)->value(), 8000);
	ck_assert(!reader.key_of<sb::monotonic>(0, code));
	ck_assert(code == code_of(ESTALE));
	ck_assert(!reader.key_of<sb::monotonic>(10, code));
	ck_assert(code == std::errc::no_message_available);
	reader.since(monotonic(8500));
	ck_assert_uint_eq(reader.lag(), 2);
	ck_assert_uint_eq(*reader.load_next(copy.data(), copy.size(), &info), 104);
	ck_assert(info.number == 8 && copy[8] == 9);
	ck_assert_uint_eq(*reader.load_number(6, copy.data(), copy.size(), &info), 104);
	ck_assert(info.number == 6 && copy[103] == 7);
	ck_assert(!reader.load_number(10, copy.data(), copy.size(), nullptr, code));
	ck_assert(code == std::errc::no_message_available);
	ck_assert(!reader.pin_number(0, code));
	ck_assert(code == code_of(ESTALE));
	reader.seek_oldest();
	ck_assert_uint_eq(reader.pin_next()->number, reader.bounds().first);
	reader.seek_age(1s); // of the beginning of this machine's time: all are older
	ck_assert_uint_eq(reader.lag(), 0);
	writer.restart_keys();
	auto loan = writer.loan();
	*loan->as<std::uint64_t>() = 5;
	loan->commit(104);
	ck_assert_uint_eq(reader.closest(monotonic(5400), SHMB_ANY_DISTANCE)->at.value(), 5);
}
END_TEST

START_TEST(keys_are_given_with_commits_and_several_are_joined)
{
	scene s;
	auto type = sb::type::opaque(16);
	sb::frame_writer writer(*s.client, "f", *type, sb::frame_options().history(4).pins(4).keys_given(SHMB_CLOCK_SEQUENCE));
	sb::ring_writer<robot::imu> ring(*s.client, "r", sb::options().capacity(8).key(SHMB_CLOCK_SEQUENCE, "count"));
	sb::ring_writer<robot::imu> timed(*s.client, "t", sb::options().capacity(8).key(SHMB_CLOCK_MONOTONIC, "stamp_ns"));
	sb::frame_reader frames(*s.client, "f");
	sb::ring_reader<robot::imu> elements(*s.client, "r");
	sb::ring_reader<robot::imu> others(*s.client, "t");
	std::error_code code;

	for (std::uint64_t i = 1; i <= 3; i++) {
		auto loan = writer.loan();
		loan->bytes()[0] = static_cast<std::uint8_t>(i);
		loan->commit(1, code);
		ck_assert(code == code_of(ENOKEY));
		loan->commit_at(1, monotonic(10 * i), code);
		ck_assert(code == std::errc::cross_device_link);
		loan->commit_at(1, count(10 * i));
		ring.insert(imu_at(10 * i));
	}
	timed.insert(imu_at(10));
	ck_assert_int_eq(elements.clock(), SHMB_CLOCK_SEQUENCE);
	ck_assert_uint_eq(elements.key_of<sb::sequence>(1)->value(), 20);

	auto all = sb::join(count(21), 9, elements, frames, sb::around(elements), sb::around(frames));
	ck_assert(all.has_value());
	ck_assert_uint_eq(std::get<0>(*all).at.value(), 20);
	ck_assert_uint_eq(std::get<0>(*all).value.count, 20);
	ck_assert_uint_eq(std::get<1>(*all).frame.bytes()[0], 2);
	ck_assert(std::get<2>(*all).before.number == 1 && std::get<2>(*all).after.value.count == 30 && std::get<2>(*all).alpha == 0.1);
	ck_assert(std::get<3>(*all).before.frame.number == 1 && std::get<3>(*all).after.at.value() == 30);
	ck_assert(!sb::join(count(15), 4, code, frames, elements));
	ck_assert(code == std::errc::result_out_of_range);
	ck_assert(!sb::join(count(20), 4, code, elements, frames, others));
	ck_assert(code == std::errc::cross_device_link);
	all.reset();
	// Nothing stays pinned of what was not had.
	for (int i = 0; i < 20; i++)
		writer.loan()->commit_at(1, count(100));
}
END_TEST

START_TEST(a_loader_of_frames)
{
	scene s;
	auto type = sb::type::opaque(16);
	sb::frame_writer writer(*s.client, "f", *type);
	sb::frame_reader reader(*s.client, "f");
	sb::frame_loader loader(reader);

	ck_assert(!loader.snapshot());
	auto loan = writer.loan();
	std::memcpy(loan->bytes(), "abc", 3);
	loan->commit(3);
	ck_assert(loader.wait(10s) == sb::wake::data);
	auto shown = loader.snapshot();
	ck_assert(shown && shown->number == 0 && shown->size == 3 && std::memcmp(shown->bytes, "abc", 3) == 0);
}
END_TEST

START_TEST(what_happens_is_watched)
{
	scene s;
	std::error_code code;
	sb::watch watch("cam*", s.broker_.socket);
	struct pollfd fd = { watch.fd(), POLLIN, 0 };

	ck_assert(!watch.next(sb::no_wait));
	{
		sb::value_writer<robot::imu> other(*s.client, "other");
		sb::value_writer<robot::imu> writer(*s.client, "camera");
	}
	ck_assert_int_eq(poll(&fd, 1, SUITE_PATIENCE_MS), 1);
	auto made = watch.next(30s);
	ck_assert(made && made->kind == "created" && made->segment == "camera" && made->pid == getpid() && !made->text.empty());
	ck_assert(std::chrono::system_clock::now() - made->time < 1h && made->time - std::chrono::system_clock::now() < 1h);
	ck_assert(watch.next(30s)->kind == "writer-up");
	ck_assert(watch.next(30s)->kind == "writer-closed");
	ck_assert(!watch.next(1ms, code));
	ck_assert(code == std::errc::timed_out);
	sb::watch nothing("*", "/nonexistent/socket", code);
	ck_assert(!nothing && code == std::errc::no_such_file_or_directory);
}
END_TEST

START_TEST(what_operators_ask)
{
	struct broker_options options = {};
	options.config = "[segment cam*]\nstale-time = 1s\n";
	options.linger = nullptr;
	scene s(&options);
	sb::value_writer<robot::imu> writer(*s.client, "camera");
	sb::value_reader<robot::imu> reader(*s.client, "camera");
	unsigned seen = 0;
	std::error_code code;

	sb::value_writer<robot::imu>(*s.client, "left");
	writer.store(imu_at(1));
	s.client->figures("cam*", [&](const struct shmb_figures &figures) {
		seen++;
		ck_assert_str_eq(figures.name, "camera");
		ck_assert_uint_eq(figures.next, 1);
		ck_assert_str_eq(sb::word_of(figures.writer), "alive");
	});
	s.client->users([&](const shmb_user_info &info) {
		if (info.is_total)
			ck_assert_uint_eq(info.segments, 2);
		else
			ck_assert_uint_eq(info.uid, getuid());
	});
	s.client->info("camera", [&](const shmb_segment_info &info, const char *schema, const shmb_reader_info *readers) {
		seen++;
		ck_assert_uint_eq(info.readers, 1);
		ck_assert_int_eq(readers[0].pid, getpid());
		ck_assert_ptr_nonnull(std::strstr(schema, "gyro"));
	});
	s.client->status([&](const shmb_broker_status &status) { seen += status.segments == 2; });
	s.client->policy("camera", nullptr, [&](const shmb_policy_info &info) {
		seen += info.may_write && info.pattern_count > 0 && std::strcmp(info.patterns[0].pattern, "cam*") == 0;
	});
	s.client->gc(SHMB_GC_TELL,
		     [&](const shmb_gc_info &info) { seen += std::strcmp(info.name, "left") == 0 && info.outcome == SHMB_GC_WOULD_GO; });
	s.client->reload([&](const shmb_reload_result &result) { seen += result.files == 1; });
	ck_assert_uint_eq(seen, 6);
	broker_configure(&s.broker_, "[segment cam*]\nnonsense = 1\n");
	s.client->reload([](const shmb_reload_result &) { ck_abort_msg("it was taken"); }, code);
	ck_assert(code == std::errc::invalid_argument);
	ck_assert_ptr_nonnull(std::strstr(shmb_text(), "nonsense"));
}
END_TEST

void more_tests(Suite *suite)
{
	suite_add(suite, readers_follow_a_new_generation, 60);
	suite_add(suite, who_cannot_read_the_new_type_is_told, 60);
	suite_add(suite, a_consumer_follows_when_it_has_consumed, 60);
	suite_add(suite, what_is_held_stays_when_its_reader_follows, 60);
	suite_add(suite, frames_are_found_in_time, 60);
	suite_add(suite, keys_are_given_with_commits_and_several_are_joined, 60);
	suite_add(suite, a_loader_of_frames, 60);
	suite_add(suite, what_happens_is_watched, 60);
	suite_add(suite, what_operators_ask, 60);
}
