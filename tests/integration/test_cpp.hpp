// SPDX-License-Identifier: MIT
#ifndef SHMB_TEST_CPP_HPP
#define SHMB_TEST_CPP_HPP

// What the tests of shmb.hpp share: payloads, and a daemon with a connection for one test.
#include "shmb.hpp"

extern "C" {
#include "tests/support/broker.h"
}

using namespace std::chrono_literals;
namespace sb = shmbroker;

namespace robot
{
// clang-format off
SHMB_STRUCT(imu, (uint64, stamp_ns)(float64, gyro, 3)(uint32, count)(uint32, spare));

struct command {
	std::uint32_t id;
	float speed;
};
SHMB_STRUCT_OF(command, motor_command, (uint32, id)(float32, speed));
// clang-format on
} // namespace robot

class scene
{
      public:
	explicit scene(const struct broker_options *options = nullptr)
	{
		broker_start(&broker_, options);
		client.emplace(broker_.socket);
	}
	~scene()
	{
		client.reset();
		broker_finish(&broker_);
	}
	scene(const scene &) = delete;
	scene &operator=(const scene &) = delete;

	std::optional<sb::connection> client;
	struct broker broker_ = {};
};

inline robot::imu imu_at(std::uint64_t stamp)
{
	robot::imu out{};

	out.stamp_ns = stamp;
	out.gyro[2] = static_cast<double>(stamp) / 2;
	out.count = static_cast<std::uint32_t>(stamp);
	return out;
}

inline sb::key<sb::monotonic> monotonic(std::uint64_t ns)
{
	return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(static_cast<std::int64_t>(ns)));
}

// test_cpp_more.cpp
void more_tests(Suite *suite);

#endif
