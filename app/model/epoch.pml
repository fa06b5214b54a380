/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How guest memory goes away from under running queues (lib/base, lib/port,
 * lib/copy).
 *
 * There are two queues, each with an lcore of its own. One copies by CPU and is an
 * epoch reader; the other has a lock, and a channel to an engine. A table of slots
 * either has the slot that is to go or has it not. A writer, the control thread,
 * puts the table without it before both queues, waits for whoever may be at the
 * slot, and then the slot is gone. Checked is, for every order of steps,
 *
 *   - that a slot which is gone is touched by nobody: not by an lcore, not by the
 *     engine however late it is, not by whoever makes the copies of an engine that
 *     was reset;
 *   - that all come to an end: nobody waits for ever.
 *
 * Stores are seen as on x86 (TSO), as in map_lock.pml.
 *
 * Here, and there:
 *
 *   write()            a plain or release store
 *   locked()           an atomic exchange, or a full fence
 *   reader             weir_epoch_enter(), a burst, weir_epoch_leave()
 *   lcore              queue_enter(), tx_burst_dma() or rx_submit(), queue_leave()
 *   lcore, submit      weir_copy_room(), _submit(), _kick()
 *   poll               weir_copy_poll()
 *   engine             makes one copy after the other of those it was told of
 *   publish            port_publish()
 *   synchronize        weir_epoch_synchronize(), with membarrier(2)
 *   wait_out           queue_wait_out()
 *   touching           weir_copy_touching()
 *   drain, reset       weir_copy_drain(); weir_copy_tend(): dev_down(), dev_stop(),
 *                      vchan_rescue(), dev_back()
 *   gives up           table_exchange() after -EBUSY: the old table comes back
 *
 * A ring that stops is the same with `live` for the table, and all copies for those
 * that touch a slot. RING is 1024 there.
 *
 * READER_FENCES: as where the kernel has no membarrier(2), and under
 * ThreadSanitizer; it is right as well.
 *
 * Variants, each of which must be found wrong:
 *
 *   NO_MEMBARRIER  neither side makes the reader's counter seen in time
 *   NO_FENCE       the writer looks who is inside before its table is seen
 *   NO_WAIT_OUT    bursts that have the old table are not waited for
 *   SAMPLE_FIRST   the copy to wait for is looked up before the table is put
 *                  before the queues
 *   TURN_FIRST     whose turn it is, is looked up before that
 *   NO_COPIES      copies under way are not waited for
 *   NO_ROOM        a copy takes the place of one that is under way
 *   RESCUE_FIRST   an engine's copies are called done before it has stopped
 */
#ifndef READS
#define READS 2 /* bursts of the queue without a channel */
#endif
#ifndef BURSTS
#define BURSTS 2 /* of the one with, a copy in each */
#endif
#ifndef RING
#define RING 1 /* copies under way at most */
#endif
#ifndef CHANGES
#define CHANGES 1 /* of which all but the last may be given up */
#endif
#ifndef RESETS
#define RESETS 1
#endif

/* Processors. */
#define READER 0
#define LCORE 1
#define WRITER 2

/* Addresses. */
#define TABLE(cpu) (cpu) /* true: it has the slot */
#define CTR 2
#define QUEUE_LOCK 3
#define CHAN_LOCK 4
#define SUBMITTED 5
#define KICKED 6
#define DONE 7
#define DOWN 8
#define TURNS 9
#define OP(seq) (10 + (seq) % RING) /* true: it touches the slot */
#define WORDS (10 + RING)

byte mem[WORDS];
chan buffer[3] = [4] of { byte, byte };

/* The engine's own: what it was given, and how far it is. */
bool leads[BURSTS + 1];
byte finished;
bool stopped;

bool gone;

#define write(cpu, addr, value) buffer[cpu]!addr, value
#define locked(cpu) empty(buffer[cpu])
#define touch(slot) assert(!(slot) || !gone)

/* A processor's buffer. */
proctype processor(byte cpu)
{
	byte addr, value;

end:
	do
	:: atomic {
		buffer[cpu]?addr, value;
		mem[addr] = value;
		addr = 0;
		value = 0
	   }
	od
}

inline lock_take(cpu, addr)
{
	atomic {
		locked(cpu) && mem[addr] == 0;
		mem[addr] = 1
	}
}

inline lock_drop(cpu, addr)
{
	write(cpu, addr, 0)
}

proctype engine()
{
end:
	do
	:: atomic {
		!stopped && finished < mem[KICKED];
		finished++;
		touch(leads[finished])
	   }
	od
}

/* With the channel's lock, which is given back. */
inline poll(cpu)
{
	if
	:: mem[DOWN] == 0 -> write(cpu, DONE, finished)
	:: else
	fi;
	lock_drop(cpu, CHAN_LOCK)
}

proctype reader()
{
	byte i;
	bool has;

	for (i : 1 .. READS) {
		write(READER, CTR, 2 * i - 1);
#ifdef READER_FENCES
		locked(READER);
#endif
		has = mem[TABLE(READER)];
		touch(has);
		has = false;
		write(READER, CTR, 2 * i)
	}
}

#ifdef NO_ROOM
#define has_room (mem[DOWN] == 0)
#else
#define has_room (mem[DOWN] == 0 && mem[SUBMITTED] - mem[DONE] < RING)
#endif

proctype lcore()
{
	byte i, seq;
	bool has, slot;

	for (i : 1 .. BURSTS) {
		lock_take(LCORE, QUEUE_LOCK);
		has = mem[TABLE(LCORE)];
		lock_take(LCORE, CHAN_LOCK);
		poll(LCORE);
		lock_take(LCORE, CHAN_LOCK);
		/* a copy that leads there, or elsewhere */
		if
		:: slot = has
		:: slot = false
		fi;
		/* submit */
		if
		:: has_room ->
			seq = mem[SUBMITTED] + 1;
			leads[seq] = slot;
			write(LCORE, OP(seq), slot);
			write(LCORE, SUBMITTED, seq);
			write(LCORE, KICKED, seq)
		:: else -> touch(slot) /* by CPU */
		fi;
		lock_drop(LCORE, CHAN_LOCK);
		slot = false;
		has = false;
		seq = 0;
		write(LCORE, TURNS, i);
		lock_drop(LCORE, QUEUE_LOCK)
	}
}

inline publish(slot)
{
	write(WRITER, TABLE(READER), slot);
	write(WRITER, TABLE(LCORE), slot)
}

/* Each processor passes a fence, one after the other, between two of our own. */
inline synchronize()
{
#ifndef NO_FENCE
	locked(WRITER);
#endif
#if !defined(NO_MEMBARRIER) && !defined(READER_FENCES)
	locked(READER);
	locked(LCORE);
#endif
	seen = mem[CTR];
	if
	:: seen % 2 == 1 -> mem[CTR] != seen
	:: else
	fi;
	seen = 0
}

inline wait_out()
{
#ifndef NO_FENCE
	locked(WRITER);
#endif
#ifndef TURN_FIRST
	turns = mem[TURNS];
#endif
	(mem[QUEUE_LOCK] == 0 || mem[TURNS] != turns);
	turns = 0
}

/* The last copy under way that touches the slot; 0: none. */
inline touching()
{
	seq = mem[SUBMITTED];
	do
	:: mem[DONE] >= seq ->
		seq = 0;
		break
	:: else ->
		if
		:: mem[OP(seq)] -> break
		:: else -> seq--
		fi
	od
}

inline stop_engine()
{
	stopped = true
}

/* What the engine has not is made by CPU. */
inline rescue()
{
	done = mem[DONE];
	do
	:: done < mem[SUBMITTED] ->
		done++;
		touch(leads[done]);
		write(WRITER, DONE, done)
	:: else -> break
	od;
	done = 0
}

inline reset()
{
	lock_take(WRITER, CHAN_LOCK);
	write(WRITER, DOWN, 1);
	lock_drop(WRITER, CHAN_LOCK);
#ifdef RESCUE_FIRST
	locked(WRITER);
	rescue()
#else
	locked(WRITER);
	stop_engine();
	rescue();
	/* set up anew, it knows of no copy */
	lock_take(WRITER, CHAN_LOCK);
	atomic {
		finished = mem[SUBMITTED];
		stopped = false
	}
	write(WRITER, KICKED, mem[SUBMITTED]);
	write(WRITER, DOWN, 0);
	lock_drop(WRITER, CHAN_LOCK)
#endif
}

inline drain()
{
	do
	:: mem[DONE] >= seq -> break
	:: mem[DONE] < seq ->
		if
		:: lock_take(WRITER, CHAN_LOCK);
		   poll(WRITER);
		   /* nothing is to be found before one of these */
		   mem[DONE] >= seq || finished > mem[DONE] || nr_resets < RESETS
		:: nr_resets < RESETS ->
			nr_resets++;
			reset()
		fi
	od
}

proctype writer()
{
	byte i, seen, turns, seq, done, nr_resets;

	for (i : 1 .. CHANGES) {
#ifdef TURN_FIRST
		turns = mem[TURNS];
#endif
#ifdef SAMPLE_FIRST
		touching();
#endif
		publish(false);
		synchronize();
#ifndef NO_WAIT_OUT
		wait_out();
#endif
#ifndef SAMPLE_FIRST
		touching();
#endif
		if
		:: i < CHANGES -> /* gives up */
			publish(true)
		:: true ->
#ifndef NO_COPIES
			drain();
#endif
			gone = true;
			break
		fi
	}
}

init {
	byte i;

	atomic {
		mem[TABLE(READER)] = true;
		mem[TABLE(LCORE)] = true;
		for (i : READER .. WRITER) {
			run processor(i)
		}
		run reader();
		run lcore();
		run engine();
		run writer()
	}
}
