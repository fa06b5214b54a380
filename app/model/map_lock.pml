/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a reader holds a region while a writer takes it away (lib/map).
 *
 * Two places A < B of a map have each no region, region 1 or region 2, which
 * differ in what they lead to. One writer changes a place at a time; readers
 * hold the first region there is, release it, and do it again. Checked is, for
 * every order of steps,
 *
 *   - that a region whose publish has returned is held by nobody: what the
 *     backends are asked to unmap next is used no more;
 *   - that there was a moment, since the reader had named its region and before
 *     it returned, when the map had that region and nothing before it;
 *   - that all come to an end: nobody waits for ever.
 *
 * Stores are seen as on x86 (TSO): they wait in the processor's buffer, in order,
 * and loads of others' memory overtake them; an atomic exchange empties the
 * buffer first. A tree is its contents, so a root that was stored again is not
 * told from the first: the code, which compares pointers, sees no more changes
 * undone than this.
 *
 * Here, and there:
 *
 *   write()              a plain or release store
 *   locked()             atomic_fetch_add, compare_exchange
 *   lock_take, _drop     map_lock_take(), map_lock_drop()
 *   writer, publish      weir_map_publish(): publish() in map.c, map_slots_drain()
 *   writer, revert       weir_map_revert()
 *   reader, 1 to 4       weir_map_hold(): may_hold, hold_try(), hold_locked()
 *   reader, 5            weir_map_release(): map_slot_release(), map_slots_held()
 *
 * TRIES is HOLD_TRIES, which is 4 there. A map begins with any tree.
 *
 * Walks, queries and lookups are not here: each looks at one root, which never
 * changes.
 *
 * Variants, each of which must be found wrong:
 *
 *   NO_GAP_CHECK     the second look is for the region alone, not for what may
 *                    have come before it
 *   NO_SECOND_LOOK   none at all
 *   NO_PASS          the map's lock is not passed through before it
 *   NO_DRAIN         the writer does not look at the slots
 */
#ifndef READERS
#define READERS 2
#endif
#ifndef HOLDS
#define HOLDS 1
#endif
#ifndef CHANGES
#define CHANGES 1
#endif
#ifndef TRIES
#define TRIES 2
#endif
#define WRITER READERS /* its processor */

#define NONE 0 /* held: nothing; a place: no region */
#define A 1
#define B 2

/* Addresses. Each reader has a slot of its own. */
#define ROOT 0
#define OWNER 1
#define HELD(r) (2 + (r))
#define USE(r) (2 + READERS + (r))
#define WORDS (2 + 2 * READERS)

byte mem[WORDS];
chan buffer[READERS + 1] = [3] of { byte, byte };
byte next_ticket, nr_holds; /* only changed by exchanges */

/* A tree by its contents: regions at A and B. */
#define tree(a, b) ((a) + 3 * (b))
#define at_a(t) ((t) % 3)
#define at_b(t) ((t) / 3)
#define first_place(t) (at_a(t) != NONE -> A : (at_b(t) != NONE -> B : NONE))
#define first_region(t) (at_a(t) != NONE -> at_a(t) : at_b(t))
#define region_at(t, place) ((place) == A -> at_a(t) : at_b(t))

/* What is known from outside. */
bool holding[READERS];
bool naming[READERS]; /* has named a region, has not returned */
bool was_first[READERS];
byte place_of[READERS], region_of[READERS];

#define write(cpu, addr, value) buffer[cpu]!addr, value
#define locked(cpu) empty(buffer[cpu])

#define is_first(r, t) \
	(first_place(t) == place_of[r] && first_region(t) == region_of[r])

inline lock_take(who, mine)
{
	atomic {
		locked(who);
		mine = next_ticket;
		next_ticket = (next_ticket + 1) % 4; /* three come at most */
	}
	mem[OWNER] == mine
}

inline lock_drop(who, mine)
{
	write(who, OWNER, (mine + 1) % 4)
}

/* A processor's buffer, and who is told that the map has changed. */
proctype processor(byte cpu)
{
	byte addr, value;

end:
	do
	:: atomic {
		buffer[cpu]?addr, value;
		mem[addr] = value;
		if
		:: addr == ROOT ->
			for (addr : 0 .. READERS - 1) {
				was_first[addr] = was_first[addr] ||
						  (naming[addr] && is_first(addr, value))
			}
		:: else
		fi;
		addr = 0;
		value = 0
	   }
	od
}

/* Store a root and wait for those who hold what stood at a place. */
inline publish(to, where)
{
	lock_take(WRITER, ticket);
	write(WRITER, ROOT, to);
	lock_drop(WRITER, ticket);
#ifndef NO_DRAIN
	if
	:: nr_holds == 0
	:: else ->
		for (r : 0 .. READERS - 1) {
			if
			:: mem[HELD(r)] == where ->
				use = mem[USE(r)];
				mem[HELD(r)] != where || mem[USE(r)] != use
			:: else
			fi
		}
	fi;
#endif
	skip
}

/* What is gone now, memory and all: nobody may hold it. */
inline gone(where, what)
{
	atomic {
		for (r : 0 .. READERS - 1) {
			assert(what == NONE || !holding[r] || place_of[r] != where ||
			       region_of[r] != what)
		}
		r = 0
	}
}

proctype writer()
{
	byte old, place, before, region, ticket, use, r, i;
	byte new = mem[ROOT];

	for (i : 1 .. CHANGES) {
		atomic {
			/* this thread's own: no other stores it */
			old = new;
			if
			:: place = A
			:: place = B
			fi;
			before = region_at(old, place);
			if
			:: before != NONE -> region = NONE
			:: before != 1 -> region = 1
			:: before != 2 -> region = 2
			fi;
			if
			:: place == A -> new = tree(region, at_b(old))
			:: else -> new = tree(at_a(old), region)
			fi
		}
		publish(new, place);
		gone(place, before);
		if
		:: skip /* the backends did it */
		:: true -> /* they did not */
			publish(old, place);
			gone(place, region);
			new = old
		fi
	}
}

inline look(me, t)
{
	atomic {
		place_of[me] = first_place(t);
		region_of[me] = first_region(t)
	}
}

/* Write the region's place to the slot. */
inline name(r)
{
	atomic {
		write(r, HELD(r), place_of[r]);
		naming[r] = true;
		was_first[r] = is_first(r, mem[ROOT])
	}
}

inline returns(r)
{
	atomic {
		assert(was_first[r]);
		naming[r] = false;
		holding[r] = true
	}
}

inline returns_none(r)
{
	atomic {
		naming[r] = false;
		place_of[r] = NONE;
		region_of[r] = NONE
	}
}

/* The look at the root after naming: is it the same region? */
#ifdef NO_GAP_CHECK
#define still(r, t) (region_at(t, place_of[r]) == region_of[r])
#else
#define still(r, t) is_first(r, t)
#endif

proctype reader(byte r)
{
	byte seen, ticket, tries, i;

	for (i : 1 .. HOLDS) {
		/* 1: ask for leave, enter */
		atomic {
			locked(r);
			nr_holds++
		}
		/* 2: look, and name what is found */
		seen = mem[ROOT];
		look(r, seen);
		tries = 0;
		do
		:: place_of[r] == NONE ->
			returns_none(r);
			break
		:: place_of[r] != NONE && tries < TRIES ->
			name(r);
			tries++;
#ifdef NO_SECOND_LOOK
			returns(r);
			break;
#endif
#ifndef NO_PASS
			lock_take(r, ticket);
			lock_drop(r, ticket);
#endif
			/* 3: look again */
			seen = mem[ROOT];
			if
			:: still(r, seen) ->
				returns(r);
				break
			:: else ->
				look(r, seen)
			fi
		:: place_of[r] != NONE && tries == TRIES ->
			/* 4: with the lock */
			lock_take(r, ticket);
			seen = mem[ROOT];
			look(r, seen);
			if
			:: place_of[r] != NONE ->
				name(r);
				lock_drop(r, ticket);
				returns(r)
			:: else ->
				lock_drop(r, ticket);
				returns_none(r)
			fi;
			break
		od;
		/* 5: what it holds is used here; then let go */
		atomic {
			holding[r] = false;
			write(r, HELD(r), NONE)
		}
		write(r, USE(r), i);
		atomic {
			locked(r);
			nr_holds--;
			place_of[r] = NONE;
			region_of[r] = NONE;
			was_first[r] = false
		}
		seen = 0;
		ticket = 0;
		tries = 0
	}
}

init {
	byte i;

	atomic {
		/* any tree */
		select(i : 0 .. tree(2, 2));
		mem[ROOT] = i;
		for (i : 0 .. READERS) {
			run processor(i)
		}
		for (i : 0 .. READERS - 1) {
			run reader(i)
		}
		run writer()
	}
}
