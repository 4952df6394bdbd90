// SPDX-License-Identifier: MIT
#ifndef SHMB_BLOCK_HPP
#define SHMB_BLOCK_HPP

// Blocks in C++, for shmb.hpp, which includes it: memory that several processes write, with a lock that survives its holder (shmb_block.h).
//
//   shmbroker::block<calibration> shared(broker, "calibration");
//   if (auto locked = shared.lock(std::chrono::milliseconds(1))) {
//           if (locked->owner_died() && make_whole(**locked))
//                   locked->recovered();
//           (*locked)->gain = 2.0;
//   }                                               // unlocked

#include "shmb_connection.hpp"

namespace shmbroker
{

// The lock held, to the end of its scope.
template <class T> class block_guard
{
      public:
	block_guard(::shmb_block *block, bool owner_died) noexcept : block_(block), owner_died_(owner_died)
	{
	}
	block_guard(block_guard &&other) noexcept : block_(std::exchange(other.block_, nullptr)), owner_died_(other.owner_died_)
	{
	}
	block_guard &operator=(block_guard &&) = delete;
	block_guard(const block_guard &) = delete;
	block_guard &operator=(const block_guard &) = delete;
	~block_guard()
	{
		if (block_ != nullptr)
			shmb_block_unlock(block_);
	}
	// Somebody died with the lock, after which nobody has said that the payload is whole.
	bool owner_died() const noexcept
	{
		return owner_died_;
	}
	void recovered(on_error ec = {})
	{
		ec(shmb_block_recovered(block_));
	}
	// std::errc::stale_file_handle (ESTALE): the lock was taken away meanwhile, and others may have changed the payload.
	void unlock(on_error ec = {})
	{
		ec(shmb_block_unlock(std::exchange(block_, nullptr)));
	}
	T &operator*() const noexcept
	{
		return *static_cast<T *>(shmb_block_payload(block_));
	}
	T *operator->() const noexcept
	{
		return static_cast<T *>(shmb_block_payload(block_));
	}

      private:
	::shmb_block *block_;
	bool owner_died_;
};

template <class T> class block : public detail::owner<::shmb_block, shmb_block_close>
{
      public:
	block(connection &broker, const char *name, on_error ec = {})
	{
		ec(shmb_block_open(&this->handle_, broker.get(), name, &detail::type_of<T>()), true);
	}
	// Nothing: somebody else has it at the deadline (at once with no_wait).
	std::optional<block_guard<T>> lock(deadline until = forever, on_error ec = {})
	{
		int result = shmb_block_lock(this->handle_, until.ns());

		if (result == -ETIMEDOUT) {
			ec.nothing(result);
			return std::nullopt;
		}
		if (ec(result, true) < 0)
			return std::nullopt;
		return std::optional<block_guard<T>>(std::in_place, this->handle_, result == SHMB_BLOCK_OWNER_DIED);
	}
	// The memory itself, without the lock: single aligned words do not tear.
	T *unlocked() const noexcept
	{
		return static_cast<T *>(shmb_block_payload(this->handle_));
	}
	// Process id of who has the lock, in the broker's pid namespace; 0 nobody.
	std::int32_t holder() const noexcept
	{
		return shmb_block_holder(this->handle_);
	}
};

} // namespace shmbroker

#endif
