// SPDX-License-Identifier: MIT
#ifndef SHMB_HPP
#define SHMB_HPP

// libshmbroker in C++17, header-only, on the C library: link with -lshmbroker as a C program does (pkg-config shmbroker).
//
//   SHMB_STRUCT(imu, (uint64, stamp_ns)(float64, gyro, 3));              // struct imu, and what shmbroker::ring_writer<imu> needs to know
//
//   shmbroker::connection broker;
//   shmbroker::ring_writer<imu> ring(broker, "imu/main", shmbroker::options().capacity(64).stamped());
//   ring.insert(sample);
//
//   shmbroker::ring_reader<imu> reader(broker, "imu/main", std::chrono::seconds(5));
//   while (reader.wait(std::chrono::milliseconds(100)) == shmbroker::wake::data)
//           while (auto sample = reader.read_next())
//                   use(sample->value, sample->number, sample->missed);
//
// Rules that hold for everything here
//
//   Errors    Every function that can fail takes a std::error_code & as its last argument, which may be left out. With it, the code goes there
//             (cleared on success) and nothing is thrown. Without it, shmbroker::error is thrown, whose what() is the library's sentence; where
//             exceptions are disabled (-fno-exceptions) that sentence is printed and the program ends: pass the code there. A constructor
//             that failed with a code leaves an empty handle (operator bool); on an empty handle only destruction, assignment, operator bool
//             and get() are allowed. Codes are of shmbroker::category() and compare with std::errc: ec == std::errc::owner_dead.
//   Nothing   Results that may not be there (no element yet, none so close) are std::optional; nothing is thrown for them. Where there can be
//             more than one reason, a code that was passed says which.
//   Handles   Move-only; a destructor closes. What comes from a handle (pins, loans, guards) must not outlive it, and a handle not its
//             connection. Threads, fork, blocking and real time are as in the C functions of the same names (shmb.h); calls add nothing to
//             them but inlined code.
//   Time      Deadlines are a duration from now, a std::chrono::steady_clock::time_point, shmbroker::no_wait or shmbroker::forever.

#include "shmb.h"
#include "shmb_error.hpp"
#include "shmb_type.hpp"

#include "shmb_connection.hpp"

#include "shmb_key.hpp"

#include "shmb_ring.hpp"

#include "shmb_frame.hpp"

#include "shmb_join.hpp"

#include "shmb_queue.hpp"

#include "shmb_block.hpp"

#include "shmb_watch.hpp"

#endif
