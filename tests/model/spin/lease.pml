/* SPDX-License-Identifier: MIT */
/*
 * The lease of a segment: granted, released, and taken over by the next broker after one that was killed between any two of its stores
 * (daemon/lease.c has the order). Memory is one and in order here; what orderings it takes to make it so is the other models'.
 *
 *   client   asks for the lease, writes, and ends: dies, or closes; who has closed may go on writing by mistake (a stray)
 *   broker   grants and releases; is killed before any of its stores; the next one settles what it finds
 *
 * Properties
 *   one writer    at no claim are there two who hold the state word that stands in the card
 *   none lost     who lives and has not closed never finds its word gone
 *   none stuck    when all is quiet, the lease is free or its holder lives
 *   all told      when all is quiet and the lease is free, the verdict is that of the last epoch that was granted
 *
 * MUTANT 1: the state word is without its epoch.             2: a release leaves the state as it is.
 * MUTANT 3: pid goes to 0 before the verdict.                4: the next broker frees what it finds held, without a look at the process.
 * MUTANT 5: a grant stores the pid before the epoch.         6: the next broker does not finish a release that was begun.
 */
#define CLIENTS 2
#define EPOCHS 3
#define KILLS 2

#define FREE 0
#define HELD 1

#define NOTHING 0
#define LIVES 1
#define OVER 2

#if MUTANT == 1
#define STATE(epoch, state) (state)
#else
#define STATE(epoch, state) ((epoch) * 2 + (state))
#endif
#define VERDICT(epoch, verdict) ((epoch) * 4 + (verdict))
#define NO_WORD 255

/* The card; pid is a client's number + 1. */
byte card_epoch, card_pid, card_state, card_writer;

bool alive[CLIENTS];	/* the process */
bool closed[CLIENTS];	/* has said so */
bool asks[CLIENTS];
byte word[CLIENTS];	/* the state word it was granted */
byte granted;		/* the last epoch whose pid stood in the card */
byte kills;

#define MATCHES(i) (alive[i] && word[i] != NO_WORD && word[i] == card_state)

proctype client(byte i)
{
	bool done = false;

	do
	:: word[i] == NO_WORD && !asks[i] && !closed[i] && !done -> asks[i] = true
	:: word[i] != NO_WORD && !asks[i] ->
		atomic {
			/* a claim: one writer, none lost */
			assert(!(MATCHES(0) && MATCHES(1)));
			assert(closed[i] || word[i] == card_state)
		}
	:: word[i] != NO_WORD && !closed[i] -> closed[i] = true
	:: atomic { alive[i] = false; asks[i] = false }; break
	od
}

inline crash() { if :: kills < KILLS -> kills++; goto settle :: skip fi }

inline release()
{
#if MUTANT == 3
	card_pid = 0; crash();
#endif
#if !(MUTANT == 2)
	card_state = STATE(card_epoch, FREE); crash();
#endif
	/* the data is repaired here */
	card_writer = VERDICT(card_epoch, OVER); crash();
	card_pid = 0; crash()
}

inline grant(i)
{
#if MUTANT == 5
	card_pid = i + 1; granted = card_epoch + 1; crash();
	card_epoch = card_epoch + 1; crash();
#else
	card_epoch = card_epoch + 1; crash();
	atomic { card_pid = i + 1; granted = card_epoch }; crash();
#endif
	card_writer = VERDICT(card_epoch, LIVES); crash();
	card_state = STATE(card_epoch, HELD); crash()
}

/* The answer reaches who lives. */
inline answer(i) { atomic { asks[i] = false; if :: alive[i] -> word[i] = card_state :: else fi } }
inline refuse(i) { atomic { asks[i] = false; if :: alive[i] -> closed[i] = true :: else fi } }

#define ENDED(pid) (!alive[(pid) - 1] || (closed[(pid) - 1] && word[(pid) - 1] != NO_WORD))

proctype broker()
{
	byte i;

settle:
	if
	:: card_pid != 0 && card_writer == VERDICT(card_epoch, OVER) ->
#if !(MUTANT == 6)
		card_state = STATE(card_epoch, FREE); crash();
		card_pid = 0; crash()
#else
		card_state = STATE(card_epoch, HELD); crash()
#endif
	:: card_pid != 0 && card_writer != VERDICT(card_epoch, OVER) ->
#if MUTANT == 4
		card_state = STATE(card_epoch, FREE); crash();
		card_writer = VERDICT(card_epoch, OVER); crash();
		card_pid = 0; crash()
#else
		card_writer = VERDICT(card_epoch, LIVES); crash();
		card_state = STATE(card_epoch, HELD); crash()
#endif
	:: card_pid == 0 -> card_state = STATE(card_epoch, FREE); crash()
	fi;
serve:
	do
	:: card_pid != 0 && ENDED(card_pid) && !(card_writer == VERDICT(card_epoch, OVER)) -> release()
	:: atomic { alive[0] && asks[0] -> i = 0 }; break
	:: atomic { alive[1] && asks[1] -> i = 1 }; break
	:: kills < KILLS -> kills++; goto settle
	:: timeout -> goto quiet
	od;
	if
	:: card_pid == i + 1 -> answer(i) /* the first answer was lost with a broker */
	:: card_pid == 0 && card_epoch < EPOCHS -> grant(i); answer(i)
	:: else -> refuse(i)
	fi;
	goto serve;
quiet:
	assert(card_pid == 0 || !ENDED(card_pid));
	assert(card_pid != 0 || card_state == STATE(card_epoch, FREE));
	assert(card_pid != 0 || card_writer == VERDICT(granted, OVER) || granted == 0)
}

init
{
	atomic {
		alive[0] = true; alive[1] = true;
		word[0] = NO_WORD; word[1] = NO_WORD;
		run client(0); run client(1); run broker()
	}
}
