/* SPDX-License-Identifier: MIT */
/*
 * Pins of a frame: a reader holds a slot of the pool, the writer takes another, the broker gives a dead reader's pins back and its cell to the next
 * (libclient/frame_read.c, frame_write.c, daemon/cells.c). Memory is one and in order here: tests/model/src/pin.rs has the fences.
 *
 *   writer   lends itself a slot that is not the newest one's and that no owned cell names, fills it, commits
 *   reader   writes its pin, looks again whether the frame is still the newest, uses it, lets it go; dies anywhere
 *   broker   frees the cell of a dead reader, and gives it to the next one, with another incarnation
 *
 * Properties
 *   held stays     a slot is not lent while a living reader uses it
 *   given back     when all is quiet and nobody lives, no owned cell names a slot
 *   always a slot  with one more slot than newest and pins, a loan never fails
 *
 * MUTANT 1: the reader does not look again.          2: the writer lends what is the newest.
 * MUTANT 3: the broker clears pins of a living one.  4: the next owner of a cell finds the pins of the one before.
 * MUTANT 5: the cell of a dead reader is never freed.
 */
#define SLOTS 3
#define READERS 2
#define FRAMES 3
#define NO_SLOT 255

byte newest = NO_SLOT;	/* slot of the newest frame */
byte pin = NO_SLOT;	/* the one cell's pin */
byte owner = NO_SLOT;	/* who has the cell, as the card says; NO_SLOT nobody */
bool alive[READERS];
byte uses[READERS];	/* the slot that a reader believes to hold */
bool wants[READERS];
byte committed;

proctype writer()
{
	byte slot;

	do
	:: committed < FRAMES ->
		/* a loan: one look at the newest and at the pins of owned cells */
		atomic {
			slot = 0;
			do
			:: slot < SLOTS && (
#if MUTANT == 2
				false
#else
				slot == newest
#endif
				|| (owner != NO_SLOT && pin == slot)) -> slot++
			:: else -> break
			od;
			assert(slot < SLOTS)
		};
		/* filled here */
		assert(!(alive[0] && uses[0] == slot) && !(alive[1] && uses[1] == slot));
		atomic { newest = slot; committed++ }
	:: else -> break
	od
}

proctype reader(byte i)
{
	byte slot;

	do
	:: alive[i] && owner == i ->
		slot = newest;
		if
		:: slot != NO_SLOT ->
			pin = slot;
			if
#if MUTANT == 1
			:: true -> uses[i] = slot
#else
			:: atomic { newest == slot -> uses[i] = slot }
			:: newest != slot
#endif
			fi;
			uses[i] = NO_SLOT;
			pin = NO_SLOT
		:: else
		fi
	:: atomic { alive[i] -> alive[i] = false; uses[i] = NO_SLOT }; break
	od unless { !alive[i] }
}

/* Death comes between any two steps. */
proctype death(byte i) { atomic { alive[i] = false; uses[i] = NO_SLOT } }

proctype broker()
{
	byte i;

	do
	:: atomic { owner == NO_SLOT && wants[0] && alive[0] -> i = 0; wants[0] = false }; goto give
	:: atomic { owner == NO_SLOT && wants[1] && alive[1] -> i = 1; wants[1] = false }; goto give
#if !(MUTANT == 5)
	:: owner != NO_SLOT &&
#if MUTANT == 3
		true
#else
		!alive[owner]
#endif
		-> owner = NO_SLOT
#endif
	:: timeout -> break
	od;
	goto quiet;
give:
#if !(MUTANT == 4)
	pin = NO_SLOT;
#endif
	owner = i;
#if MUTANT == 4
	/* held stays, of the other kind: a new owner has pinned nothing yet */
	assert(pin == NO_SLOT);
#endif
	do
#if !(MUTANT == 5)
	:: owner != NO_SLOT &&
#if MUTANT == 3
		true
#else
		!alive[owner]
#endif
		-> owner = NO_SLOT
#endif
	:: atomic { owner == NO_SLOT && wants[0] && alive[0] -> i = 0; wants[0] = false }; goto give
	:: atomic { owner == NO_SLOT && wants[1] && alive[1] -> i = 1; wants[1] = false }; goto give
	:: timeout -> break
	od;
quiet:
	assert(alive[0] || alive[1] || owner == NO_SLOT)
}

init
{
	atomic {
		alive[0] = true; alive[1] = true;
		uses[0] = NO_SLOT; uses[1] = NO_SLOT;
		wants[0] = true; wants[1] = true;
		run writer(); run reader(0); run reader(1); run death(0); run death(1); run broker()
	}
}
