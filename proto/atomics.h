/* SPDX-License-Identifier: MIT */
#ifndef SHMB_PROTO_ATOMICS_H
#define SHMB_PROTO_ATOMICS_H

/*
 * Atomic access to shared memory: C11 atomics with explicit order, and the few things C11 leaves out.
 *
 * Every shared word is an `_Atomic` of fixed width that the machine handles without a lock, because a lock table would be
 * private to each process. Fences go through the names below: ThreadSanitizer does not model atomic_thread_fence, so its
 * builds get the same machine barrier in a form it does not see, and the payload is copied with relaxed atomics there
 * (copy.h). Named orderings are listed in MEMORY.md.
 */

#include <stdatomic.h>
#include <stdint.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#error "shm-broker is made for x86-64 and arm64"
#endif

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "32-bit atomics must be lock-free to be shared between processes");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "64-bit atomics must be lock-free to be shared between processes");
/* NOLINTBEGIN(misc-redundant-expression): size and alignment need not be the same */
_Static_assert(sizeof(_Atomic uint32_t) == 4 && _Alignof(_Atomic uint32_t) == 4, "atomic u32 must be a plain word");
_Static_assert(sizeof(_Atomic uint64_t) == 8 && _Alignof(_Atomic uint64_t) == 8, "atomic u64 must be a plain word");
/* NOLINTEND(misc-redundant-expression) */

#if defined(__SANITIZE_THREAD__)
#define SHMB_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SHMB_TSAN 1
#endif
#endif

/* Orders earlier stores before later stores (and loads before both), as atomic_thread_fence(memory_order_release). */
static inline void shmb_fence_release(void)
{
#ifndef SHMB_TSAN
	atomic_thread_fence(memory_order_release);
#elif defined(__x86_64__)
	__asm__ __volatile__("" ::: "memory");
#else
	__asm__ __volatile__("dmb ish" ::: "memory");
#endif
}

/* Orders earlier loads before later loads and stores, as atomic_thread_fence(memory_order_acquire). */
static inline void shmb_fence_acquire(void)
{
#ifndef SHMB_TSAN
	atomic_thread_fence(memory_order_acquire);
#elif defined(__x86_64__)
	__asm__ __volatile__("" ::: "memory");
#else
	__asm__ __volatile__("dmb ishld" ::: "memory");
#endif
}

/*
 * Orders everything before against everything after, stores against later loads included. The dear one: about 4 ns.
 *
 * On x86-64 a locked operation on the stack is the same barrier as mfence for ordinary memory, at a third of its price (measured: a store and
 * a load of 64 bytes together 11 ns with it, 24 ns with mfence). gcc emits it for the C11 fence, clang emits mfence: hence by hand; and
 * not at the top of the stack, where it often is the return address whose load then waits (2.5 ns): below it, in the red zone, nothing is in use
 * or, being ORed with 0, changed.
 */
static inline void shmb_fence_seq_cst(void)
{
#if defined(__x86_64__)
	__asm__ __volatile__("lock; orq $0, -64(%%rsp)" ::: "memory", "cc");
#elif !defined(SHMB_TSAN)
	atomic_thread_fence(memory_order_seq_cst);
#else
	__asm__ __volatile__("dmb ish" ::: "memory");
#endif
}

/*
 * Stores a word and then is that fence. On x86-64 one exchange instead of a store and a locked operation that waits for it: 2 ns less where
 * no other store is under way.
 */
static inline void shmb_fence_seq_cst_storing(_Atomic uint64_t *word, uint64_t value)
{
#if defined(__x86_64__) && !defined(SHMB_TSAN)
	__asm__ __volatile__("xchgq %0, %1" : "+r"(value), "+m"(*word)::"memory");
#else
	atomic_store_explicit(word, value, memory_order_relaxed);
	shmb_fence_seq_cst();
#endif
}

/* One turn of a bounded spin: tells the core that it waits for another one. */
static inline void shmb_cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	__asm__ __volatile__("yield" ::: "memory");
#endif
}

#endif
