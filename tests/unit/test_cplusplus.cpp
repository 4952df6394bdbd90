// SPDX-License-Identifier: MIT
// shmb.h in C++: it compiles under -Wall -Wextra -Wpedantic, and declared types are the structs that C makes of the same lists.
#include "shmb.h"

#include <cstdio>
#include <cstring>

// clang-format off
SHMB_TYPE(imu, (uint64, stamp_ns)(float64, gyro, 3)(bool, valid)(float32, temperature));

struct point {
	float x, y;
};
SHMB_TYPE_OF(point, cloud_point, (float32, x)(float32, y));

namespace robot {
SHMB_TYPE(wheel, (int32, ticks));
}
// clang-format on

static int visit(const shmb_type_field *field, void *user)
{
	if (std::strcmp(field->name, "gyro") == 0)
		*static_cast<size_t *>(user) = field->offset;
	return 0;
}

int main()
{
	imu sample{};
	shmb_options options{};
	size_t offset = 0;

	sample.valid = true;
	if (std::strcmp(imu_type.schema, "uint64 stamp_ns\nfloat64[3] gyro\nbool valid\nfloat32 temperature\n") != 0)
		return 1;
	if (cloud_point_type.size != sizeof(point) || robot::wheel_type.size != 4 || options.capacity != 0 || sample.gyro[0] != 0)
		return 1;
	if (shmb_type_fields(&imu_type, visit, &offset) != 0 || offset != offsetof(imu, gyro))
		return 1;
	std::puts("1 program in C++: ok");
	return 0;
}
