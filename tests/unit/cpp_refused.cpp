// SPDX-License-Identifier: MIT
// What must not compile in C++ (tests/scripts/key_mix.sh): keys of two clocks, payloads that are no plain bytes, handles copied. Case 0 is all
// right, so that a case fails for its own reason and not for want of a header.
#include "shmb.hpp"

#include <string>

namespace sb = shmbroker;

// clang-format off
SHMB_STRUCT(imu, (uint64, stamp_ns)(float64, gyro, 3));
SHMB_STRUCT(other, (uint64, stamp_ns));
// clang-format on

struct undeclared {
	int a;
};
struct with_text {
	std::string text;
};

void use(sb::connection &broker, sb::ring_reader<imu> &ring, sb::ring_writer<imu> &writer, sb::value_reader<imu> &value);

void use(sb::connection &broker, sb::ring_reader<imu> &ring, sb::ring_writer<imu> &writer, sb::value_reader<imu> &value)
{
	sb::key<sb::monotonic> monotonic = std::chrono::steady_clock::now();
	sb::key<sb::realtime> realtime = std::chrono::system_clock::now();
	auto rule = sb::rule<sb::monotonic>::range(0, 10);
	auto found = ring.closest(monotonic, std::chrono::milliseconds(1));
	auto same = monotonic == monotonic && realtime == realtime;

	writer.insert(imu{});
	(void)broker, (void)value, (void)rule, (void)found, (void)same;
#if CASE == 1
	ring.closest(1000, 1); // a number for a key
#elif CASE == 2
	monotonic = realtime;
#elif CASE == 3
	(void)(monotonic < realtime);
#elif CASE == 4
	monotonic = std::chrono::system_clock::now();
#elif CASE == 5
	sb::key<sb::realtime>::make(1, rule);
#elif CASE == 6
	sb::key<sb::sequence> count = std::chrono::steady_clock::now();
#elif CASE == 7
	ring.bracket(monotonic, 1)->before.at == realtime;
#elif CASE == 8
	ring.numbers(monotonic, realtime);
#elif CASE == 9
	sb::value_writer<undeclared> bad(broker, "x");
#elif CASE == 10
	sb::value_writer<with_text> bad(broker, "x");
#elif CASE == 11
	writer.insert(other{});
#elif CASE == 12
	sb::ring_reader<imu> copy = ring;
#elif CASE == 13
	sb::loader<other> loader(value);
#elif CASE == 14
	ring.wait(5); // no unit
#elif CASE == 15
	sb::rule<sb::sequence>::plausible(std::chrono::seconds(1), std::chrono::seconds(1));
#elif CASE != 0
#error no such case
#endif
}
