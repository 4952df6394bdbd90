/* SPDX-License-Identifier: MIT */
/*
 * A name is given new memory while its writer may still be alive, and readers go on without losing what was published (daemon/generation.c,
 * libclient's reading and following). Memory is one and in order here: tests/model/src/cut.rs has the fences.
 *
 *   old writer   looks at the state, publishes a number, counts; stops where the state is not its own any more
 *   broker       state SUPERSEDED, counter c, cut = c + 1, the new memory from the cut on, next
 *   new writer   publishes from the cut on, in the new memory
 *   reader       reads the old memory to its end, refuses numbers from the cut on, follows, reads the new memory
 *
 * Properties
 *   one content   no number is read twice, and what is read under a number is what its one writer published
 *   in order      numbers only grow
 *   nothing lost  of what the old writer published before the state changed, everything is read; at most one number is a gap
 *
 * MUTANT 1: the cut is c.                                   2: the old writer does not look at the state.
 * MUTANT 3: the counter is read before the state is set.    4: the reader follows as soon as the state says so.
 * MUTANT 5: the new writer begins at c.
 */
#define NUMBERS 4
#define NONE 255

bool superseded;
byte counter, cut = NONE, base = NONE;
bool next_known;
byte old_memory[NUMBERS + 6], new_memory[NUMBERS + 6];	/* 0 nothing, 1 the old writer's, 2 the new one's */
byte published;		/* by the old writer before the state changed */
byte new_published;	/* one more than the last of the new writer's */

proctype old_writer()
{
	byte n;

	do
	:: n < NUMBERS ->
		if
#if !(MUTANT == 2)
		:: superseded -> break
#endif
		:: !superseded ->
			old_memory[n] = 1;
			atomic { counter = n + 1; if :: !superseded -> published = n + 1 :: else fi };
			n++
#if MUTANT == 2
		:: superseded -> old_memory[n] = 1; counter = n + 1; n++
#endif
		fi
	:: break
	od
}

proctype new_writer()
{
	byte n, i;

	next_known && base != NONE;
	n = base;
	do
	:: i < 2 -> new_memory[n] = 2; n++; i++; new_published = n
	:: i == 2 -> break
	od
}

proctype broker()
{
	byte c;

#if MUTANT == 3
	c = counter;
	superseded = true;
#else
	superseded = true;
	c = counter;
#endif
#if MUTANT == 1
	cut = c;
	base = c;
#elif MUTANT == 5
	cut = c + 1;
	base = c;
#else
	cut = c + 1;
	base = c + 1;
#endif
	next_known = true
}

proctype reader()
{
	byte n, got[NUMBERS + 6], read, gap, content;

	do
	:: /* the old memory, number by number */
		old_memory[n] != 0 && n < NUMBERS ->
		content = old_memory[n];
		if
		:: n < cut -> /* looked at after the id */
			assert(got[n] == 0);
			got[n] = content;
			read++;
			n++
		:: else -> next_known; break
		fi
#if MUTANT == 4
	:: superseded -> next_known; break
#else
	:: next_known && (old_memory[n] == 0 || n >= cut) -> break
#endif
	od;
	/* nothing lost: all that was published and lies below the cut was read, and the cut is at most one number further */
	assert(read >= published);
	if :: base > n -> gap = base - n :: else -> gap = 0 fi;
	assert(gap <= 1);
	/* in order: the new memory goes on where the old one ends */
	assert(base >= n);
	n = base;
	do
	:: new_memory[n] != 0 -> assert(got[n] == 0); got[n] = new_memory[n]; assert(got[n] == 2); n++
	:: new_published != 0 && n == base + 2 -> break
	od
}

init { atomic { run old_writer(); run new_writer(); run broker(); run reader() } }
