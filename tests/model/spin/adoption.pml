/* SPDX-License-Identifier: MIT */
/*
 * The files of one name: made, given a new generation, removed, and found by the next broker after one that was killed between any two of its
 * steps (daemon/segment.c, generation.c and scan.c have the orders). A set is a record, the other parts in one, and a card, which is the name.
 *
 * Properties
 *   whole        what a client is told of has all its parts
 *   kept         a generation that was answered and not removed on request is there after each scan, as long as it is the newest or somebody has
 *                it open
 *   one newest   when all is quiet, one generation at most is not superseded, and nothing half-made is left
 *   removed      what was removed on request never comes back
 *
 * MUTANT 1: the card is linked before the other parts.       2: a removal takes the card last.
 * MUTANT 3: the generation before the newest is removed although an older one is held.
 * MUTANT 4: the scan does not reopen a generation whose next one was not complete.
 * MUTANT 5: the scan removes superseded generations that somebody has open.
 */
#define SETS 3
#define KILLS 2

#define OPEN 1
#define SUPERSEDED 2
#define REMOVED 3

bool record[SETS], parts[SETS], card[SETS];
byte state[SETS];
bool next_known[SETS];	/* `next` of the card */
bool reader[SETS];	/* somebody has it open */
bool told[SETS];	/* a client had an answer that names it */
bool gone;		/* a removal on request was answered */
bool wanted_gone;	/* or begun */
byte made, kills;

#define OLDEST (card[0] -> 0 : (card[1] -> 1 : 2))

inline crash() { if :: kills < KILLS -> kills++; goto scan :: skip fi }
inline whole(g) { assert(record[g] && parts[g] && card[g]) }

inline make(g)
{
	record[g] = true; crash();
#if MUTANT == 1
	state[g] = OPEN; card[g] = true; crash();
	parts[g] = true; crash()
#else
	parts[g] = true; crash();
	if
	:: g > 0 && card[g - 1] -> state[g - 1] = SUPERSEDED; crash()
	:: else
	fi;
	state[g] = OPEN; card[g] = true; crash()
#endif
}

inline take_away(g)
{
	state[g] = REMOVED; crash();
#if !(MUTANT == 2)
	card[g] = false; crash();
#endif
	parts[g] = false; crash();
	record[g] = false; crash();
#if MUTANT == 2
	card[g] = false; crash();
#endif
	next_known[g] = false
}

/* What the scan does with one set; `g` from the newest down. */
inline judge(g)
{
	if
	:: card[g] && state[g] == REMOVED && record[g] -> take_away(g)
	:: !card[g] && record[g] -> parts[g] = false; crash(); record[g] = false; crash()
	:: card[g] && state[g] == SUPERSEDED && g + 1 < SETS && card[g + 1] && state[g + 1] != REMOVED ->
		next_known[g] = true; crash()
#if MUTANT == 5
		;
		take_away(g)
#endif
	:: card[g] && state[g] == SUPERSEDED && !(g + 1 < SETS && card[g + 1]) ->
		if
		:: next_known[g] -> take_away(g) /* its next one's removal came that far: the name is being removed */
#if !(MUTANT == 4)
		:: !next_known[g] -> state[g] = OPEN; crash()
#else
		:: else
#endif
		fi
	:: else
	fi
}

proctype broker()
{
	byte g, newest;

scan:
	g = SETS;
	do
	:: g > 0 -> g--; judge(g)
	:: g == 0 -> break
	od;
	/* kept: the newest that was told of is there, unless it was to go */
	g = SETS;
	newest = SETS;
	do
	:: g > 0 && newest == SETS -> g--; if :: card[g] && state[g] != REMOVED -> newest = g :: else fi
	:: else -> break
	od;
	assert(wanted_gone || newest < SETS || !(told[0] || told[1] || told[2]));
	assert(newest == SETS || (record[newest] && parts[newest]));
	assert(!gone || newest == SETS);
	assert(newest == SETS || state[newest] == OPEN);
	g = 0;
	do
	:: g < SETS && reader[g] -> assert(wanted_gone || card[g]); g++
	:: g < SETS && !reader[g] -> g++
	:: g == SETS -> break
	od;
	do
	:: made < SETS && !wanted_gone && (newest == SETS || newest == made - 1) ->
		/* a writer opens: generation `made`, after the one before */
		g = made;
		made++;
		make(g);
		if :: g > 0 && card[g - 1] -> next_known[g - 1] = true; crash() :: else fi;
		whole(g);
		told[g] = true;
		newest = g
	:: newest < SETS && !reader[newest] && !wanted_gone -> whole(newest); reader[newest] = true
	:: newest < SETS && OLDEST < newest && !reader[OLDEST] ->
		/* drained: from the oldest on, so that a gap never stands for a removal */
		g = OLDEST;
		take_away(g)
#if MUTANT == 3
	:: newest < SETS && newest > 0 && card[newest - 1] && !reader[newest - 1] -> g = newest - 1; take_away(g)
#endif
	:: newest < SETS && OLDEST < newest && reader[OLDEST] -> reader[OLDEST] = false
	:: newest < SETS && !wanted_gone && OLDEST == newest ->
		/* removed on request: its readers keep what they have mapped */
		wanted_gone = true;
		reader[newest] = false;
		take_away(newest);
		gone = true;
		newest = SETS
	:: kills < KILLS -> kills++; goto scan
	:: break
	od;
	/* one newest, nothing half-made: after one more scan, which nothing interrupts */
	kills = KILLS;
	g = SETS;
	do
	:: g > 0 -> g--; judge(g)
	:: g == 0 -> break
	od;
	g = 0;
	newest = 0;
	do
	:: g < SETS ->
		assert(card[g] -> (record[g] && parts[g]) : (!record[g] && !parts[g]));
		if :: card[g] && state[g] == OPEN -> newest++ :: else fi;
		g++
	:: g == SETS -> break
	od;
	assert(newest <= 1)
}

init { run broker() }
