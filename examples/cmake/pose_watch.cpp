// SPDX-License-Identifier: MIT
// pose_watch NAME: prints each pose that is written to a ring, until its writer closes.
#include <shmb.hpp>

#include <iostream>

SHMB_STRUCT(pose, (uint64, stamp_ns)(float64, position, 3)(float64, orientation, 4));

int main(int argc, char **argv)
{
	using namespace std::chrono_literals;

	if (argc != 2) {
		std::cerr << "usage: pose_watch NAME\n";
		return 2;
	}
	try {
		shmbroker::connection broker;
		shmbroker::ring_reader<pose> ring(broker, argv[1], 5s);

		while (ring.wait(shmbroker::forever) == shmbroker::wake::data) {
			while (auto sample = ring.read_next())
				std::cout << '#' << sample->number << "  " << sample->value.position[0] << ' ' << sample->value.position[1]
					  << ' ' << sample->value.position[2] << std::endl;
		}
	} catch (const shmbroker::error &error) {
		std::cerr << error.what() << '\n';
		return 1;
	}
}
