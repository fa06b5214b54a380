/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.
 *
 * A channel walks a chain of descriptors from chainaddr on, each of which names
 * the next, for as long as dmacount is ahead of what it has done. Behind each it
 * writes its own address and the channel's state to chansts and, if asked to, to
 * the memory at chancmp. It is always in one of five states:
 *
 *     HALTED     after power-on, RESET, or an error, which chanerr tells. Writing
 *                chainaddr arms it, after an error only once it has been RESET.
 *     ARMED      has an address; dmacount and what was done begin at 0. The first
 *                doorbell starts it.
 *     ACTIVE     carries descriptors out.
 *     IDLE       has done them all, and goes on at the next doorbell.
 *     SUSPENDED  holds what it has; RESUME goes on, chainaddr arms it anew.
 *
 * An error is a descriptor that cannot be read, is malformed, or whose memory
 * the IOMMU does not let it reach; also one that a test has planned. The channel
 * halts in front of it: chansts keeps the last good one, 0 if there is none
 * since it was armed, and is written to chancmp once more with state HALTED.
 *
 * Starting takes time (`arm`): a channel that has just been armed begins its
 * first descriptor a while after the doorbell. DPDK's driver counts on that: it
 * re-arms inside rte_dma_completed(), and if by the next
 * rte_dma_completed_status(max = 1) a descriptor has been completed already, it
 * reports the failed one and drops the completed one. The time is the driver
 * thread's own (sv_clock.h), so that it cannot be lost to the scheduler.
 *
 * With regs=poll the registers are open while the channel is ACTIVE or IDLE:
 * the doorbell is then a plain store, and so are commands, which run() looks
 * for. Whatever leaves these states closes them first. A channel that has been
 * idle for a while closes them too, and sleeps until the next store traps.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sv_clock.h"
#include "sv_dev.h"
#include "sv_ioat_regs.h"
#include "weir_fail.h"
#include "weir_map.h"
#include "weir_range.h"

#define BURST 32
#define ARM_POLL_NS 2000
/* with open registers, how long to look for doorbells before closing them */
#define IDLE_OPEN_NS 200000
#define IDLE_LOOKS 64
#define HELD_LOOK_NS 50000

/* A channel. `lock` guards all but the registers' memory and `ringing`. */
struct ioat {
	struct sv_dev *dev;
	struct ioat_regs *regs; /* the driver sees it too */
	pthread_mutex_t lock;
	_Atomic unsigned int waiting; /* threads that want the lock */

	enum ioat_state state;
	bool needs_reset;   /* halted by an error */
	uint64_t next;	    /* descriptor to carry out */
	uint64_t completed; /* the last one, 0: none since armed */
	uint16_t done;	    /* of dmacount */
	uint16_t first;	    /* of the burst under way, and */
	uint16_t end;	    /* ... behind it: what was there when it began */
	uint64_t idle_since;

	_Atomic bool ringing; /* `bell` is valid: the first doorbell has come */
	struct sv_moment bell;
};

/*
 * Registers are memory that two sides access at will: each access is one
 * instruction, stores are released so that what was done before is seen.
 */
#define reg_load(r) __atomic_load_n(&(r), __ATOMIC_ACQUIRE)
#define reg_store(r, v) __atomic_store_n(&(r), (v), __ATOMIC_RELEASE)

/* run() lets go of the lock between descriptors if anybody waits for it. */
static void
channel_lock(struct ioat *s)
{
	atomic_fetch_add(&s->waiting, 1);
	pthread_mutex_lock(&s->lock);
	atomic_fetch_sub(&s->waiting, 1);
}

static void
channel_unlock(struct ioat *s)
{
	pthread_mutex_unlock(&s->lock);
}

static bool
polls(const struct ioat *s)
{
	return s->dev->spec.regs == SV_REGS_POLL;
}

/* Enter a state and show it in chansts. Nothing is written to the driver. */
static void
state_set(struct ioat *s, enum ioat_state state)
{
	bool runs = state == IOAT_ACTIVE || state == IOAT_IDLE;

	if (!runs)
		sv_dev_regs_open(s->dev, false);
	s->state = state;
	reg_store(s->regs->chansts, s->completed | (uint64_t)state);
}

/* Where the driver wants chansts written to; NULL: it cannot be. In a section. */
static uint64_t *
completion_target(struct ioat *s)
{
	uint64_t at = reg_load(s->regs->chancmp), len = sizeof(uint64_t);
	uint64_t *to = NULL;

	if ((at & 7) == 0)
		to = sv_dma(s->dev, at, WEIR_PROT_WRITE, &len);
	return len == sizeof(uint64_t) ? to : NULL;
}

static void
write_back(const struct ioat *s, uint64_t *to)
{
	__atomic_store_n(to, s->completed | (uint64_t)s->state, __ATOMIC_RELEASE);
}

static void
attention(struct ioat *s)
{
	reg_store(s->regs->attnstatus, 1);
	if (reg_load(s->regs->intrctrl) & IOAT_INTRCTRL_MASTER_EN)
		sv_dev_interrupt(s->dev, 0);
}

/* chanerr is all there before chansts says that there is something in it. */
static void
halt(struct ioat *s, uint32_t err)
{
	uint16_t ctrl = reg_load(s->regs->chanctrl);
	uint64_t *to = NULL;

	atomic_fetch_add_explicit(&s->dev->counters.errors, 1, memory_order_relaxed);
	s->needs_reset = true;
	sv_dma_enter(s->dev);
	if (ctrl & IOAT_CHANCTRL_ERR_COMPLETION_EN) {
		to = completion_target(s);
		err |= to == NULL ? IOAT_CHANERR_COMPLETION_ADDR : 0;
	}
	reg_store(s->regs->chanerr, reg_load(s->regs->chanerr) | err);
	state_set(s, IOAT_HALTED);
	if (to != NULL)
		write_back(s, to);
	sv_dma_leave(s->dev);
	if (ctrl & IOAT_CHANCTRL_ERR_INT_EN)
		attention(s);
}

/* From here on it is another run: what was held back will not be carried out. */
static void
counts_clear(struct ioat *s)
{
	s->completed = 0;
	s->done = 0;
	s->first = 0;
	s->end = 0;
	reg_store(s->regs->dmacount, 0);
	atomic_store(&s->ringing, false);
	sv_faults_forget(&s->dev->faults);
}

static void
do_reset(struct ioat *s)
{
	counts_clear(s);
	reg_store(s->regs->chanerr, 0);
	s->needs_reset = false;
	state_set(s, IOAT_HALTED);
}

/* With the lock: no descriptor is under way. The register reads 0 afterwards. */
static void
command(struct ioat *s, uint8_t cmd)
{
	bool runs = s->state == IOAT_ACTIVE || s->state == IOAT_IDLE;

	reg_store(s->regs->chancmd, 0);
	if (cmd & IOAT_CHANCMD_RESET) {
		atomic_fetch_add_explicit(&s->dev->counters.resets, 1,
					  memory_order_relaxed);
		do_reset(s);
	} else if (cmd & IOAT_CHANCMD_SUSPEND) {
		if (runs || s->state == IOAT_ARMED)
			state_set(s, IOAT_SUSPENDED);
	} else if (cmd & IOAT_CHANCMD_RESUME) {
		if (s->state == IOAT_SUSPENDED)
			state_set(s, IOAT_IDLE);
	}
}

static void
arm(struct ioat *s, uint64_t address)
{
	if (s->state == IOAT_ACTIVE || s->state == IOAT_IDLE || s->needs_reset ||
	    address == 0)
		return;
	s->next = address;
	counts_clear(s);
	state_set(s, IOAT_ARMED);
}

/* What a store to a register does, after its bytes are there. */
static void
set_chancmd(struct ioat *s, uint64_t value)
{
	command(s, (uint8_t)value);
}

static void
set_chainaddr(struct ioat *s, uint64_t value)
{
	reg_store(s->regs->chainaddr, value);
	arm(s, value);
}

static void
set_chanerr(struct ioat *s, uint64_t ones)
{
	reg_store(s->regs->chanerr, reg_load(s->regs->chanerr) & ~(uint32_t)ones);
}

static void
set_attnstatus(struct ioat *s, uint64_t ones)
{
	reg_store(s->regs->attnstatus, reg_load(s->regs->attnstatus) & ~(uint32_t)ones);
}

/* A register that a driver can change; one without a function is plain memory. */
struct reg {
	uint16_t off, len;
	bool ones_clear; /* bytes that are not stored count as 0, not as they were */
	void (*set)(struct ioat *s, uint64_t value);
};

#define REG(name, ...)                                                                   \
	{                                                                                \
		offsetof(struct ioat_regs, name), sizeof(((struct ioat_regs *)0)->name), \
			##__VA_ARGS__                                                    \
	}

static const struct reg regs[] = {
	REG(intrctrl),
	REG(attnstatus, true, set_attnstatus),
	REG(intrdelay),
	REG(chanctrl),
	REG(chancmd, false, set_chancmd),
	REG(chainaddr, false, set_chainaddr),
	REG(chancmp),
	REG(chanerr, true, set_chanerr),
	REG(chanerrmask),
};

/* Store the part of [off, off + len) that falls on one register. */
static void
reg_put(struct ioat *s, const struct reg *r, struct weir_range to, const uint8_t *data)
{
	uint8_t *at = (uint8_t *)s->regs + r->off;
	struct weir_range own = { r->off, (uint64_t)r->off + r->len - 1 };
	struct weir_range both;
	uint64_t value = 0;

	if (!weir_range_overlaps(own, to))
		return;
	both = weir_range_intersect(own, to);
	if (!r->ones_clear)
		memcpy(&value, at, r->len);
	memcpy((uint8_t *)&value + (both.start - own.start),
	       data + (both.start - to.start), weir_range_len(both));
	if (r->set == NULL)
		memcpy(at, &value, r->len);
	else if (both.last == own.last) /* 64 bits may come as two halves, low first */
		r->set(s, value);
	else if (!r->ones_clear)
		memcpy(at, &value, r->len);
}

/* The doorbell takes no lock: it must not wait for a copy. */
static void
ring(struct ioat *s, uint16_t count)
{
	if (count != 0 && !atomic_load(&s->ringing)) {
		sv_moment_note(&s->bell);
		atomic_store(&s->ringing, true);
	}
	reg_store(s->regs->dmacount, count);
	sv_dev_kick(s->dev);
}

static void
ioat_store(void *ctx, unsigned int bar, uint64_t off, const void *data, uint32_t len)
{
	struct ioat *s = ctx;
	struct weir_range to;

	(void)bar;
	if (off == offsetof(struct ioat_regs, dmacount) && len == sizeof(uint16_t)) {
		uint16_t count;

		memcpy(&count, data, sizeof(count));
		ring(s, count);
		return;
	}
	if (weir_range_make(&to, off, len) != 0)
		return;
	channel_lock(s);
	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
		reg_put(s, &regs[i], to, data);
	channel_unlock(s);
	sv_dev_kick(s->dev);
}

static uint32_t
do_copy(struct ioat *s, const struct ioat_desc *d)
{
	uint64_t src = d->src, dst = d->dst, left = d->len;

	while (left != 0) {
		uint64_t len = left;
		const void *from = sv_dma(s->dev, src, WEIR_PROT_READ, &len);
		void *to;

		if (from == NULL)
			return IOAT_CHANERR_SRC_ADDR;
		to = sv_dma(s->dev, dst, WEIR_PROT_WRITE, &len);
		if (to == NULL)
			return IOAT_CHANERR_DST_ADDR;
		memmove(to, from, len);
		src += len;
		dst += len;
		left -= len;
	}
	return 0;
}

static uint32_t
do_fill(struct ioat *s, const struct ioat_desc *d)
{
	uint8_t pattern[sizeof(d->src)];
	uint64_t at = 0;

	memcpy(pattern, &d->src, sizeof(pattern));
	while (at < d->len) {
		uint64_t len = d->len - at;
		uint8_t *to = sv_dma(s->dev, d->dst + at, WEIR_PROT_WRITE, &len);

		if (to == NULL)
			return IOAT_CHANERR_DST_ADDR;
		for (uint64_t i = 0; i < len; i++)
			to[i] = pattern[(at + i) % sizeof(pattern)];
		at += len;
	}
	return 0;
}

/* Carry a descriptor out. @return 0 or bits of chanerr. */
static uint32_t
execute(struct ioat *s, const struct ioat_desc *d)
{
	uint32_t op = d->ctl >> IOAT_CTL_OP_SHIFT;
	struct weir_range r;

	if (d->ctl & IOAT_CTL_NULL)
		return 0;
	if (op != IOAT_OP_COPY && op != IOAT_OP_FILL)
		return IOAT_CHANERR_CONTROL;
	if (d->len == 0 || d->len > 1u << IOAT_XFERCAP)
		return IOAT_CHANERR_LENGTH;
	if (weir_range_make(&r, d->dst, d->len) != 0)
		return IOAT_CHANERR_DST_ADDR;
	if (op == IOAT_OP_FILL)
		return do_fill(s, d);
	if (weir_range_make(&r, d->src, d->len) != 0)
		return IOAT_CHANERR_SRC_ADDR;
	return do_copy(s, d);
}

/* Fetch the next descriptor: once, since the driver may write to it any time. */
static uint32_t
fetch(struct ioat *s, struct ioat_desc *d)
{
	uint64_t len = sizeof(*d);
	const void *from;

	if ((s->next & IOAT_DESC_ALIGN) != 0)
		return s->completed == 0 ? IOAT_CHANERR_CHAIN_ADDR
					 : IOAT_CHANERR_NEXT_ALIGN;
	from = sv_dma(s->dev, s->next, WEIR_PROT_READ, &len);
	if (from == NULL || len < sizeof(*d))
		return IOAT_CHANERR_READ_DATA;
	memcpy(d, from, sizeof(*d));
	return 0;
}

/* One is done: go on to the next, and tell the driver. In a section. */
static uint32_t
complete(struct ioat *s, const struct ioat_desc *d)
{
	struct sv_counters *c = &s->dev->counters;
	uint64_t *to;

	s->completed = s->next;
	s->next = d->next;
	s->done++;
	state_set(s, reg_load(s->regs->dmacount) == s->done ? IOAT_IDLE : IOAT_ACTIVE);
	sv_count(&c->work, 1);
	sv_count(&c->bytes, d->len);
	if ((d->ctl & IOAT_CTL_COMPLETION) == 0)
		return 0;
	to = completion_target(s);
	if (to == NULL)
		return IOAT_CHANERR_COMPLETION_ADDR;
	write_back(s, to);
	return 0;
}

/* The next descriptor's place in its burst. */
static uint32_t
place(struct ioat *s)
{
	if (s->done == s->end) {
		s->first = s->done;
		s->end = reg_load(s->regs->dmacount);
	}
	return (uint16_t)(s->done - s->first);
}

/* Descriptors while there are any, and nobody wants to be let in. With the lock. */
static uint64_t
walk(struct ioat *s)
{
	for (unsigned int i = 0; i < BURST; i++) {
		struct ioat_desc d = { .ctl = 0 };
		uint64_t wait = 0;
		uint32_t err = 0;

		if (reg_load(s->regs->dmacount) == s->done)
			return 0;
		switch (sv_faults_next(&s->dev->faults, place(s), &err, &wait)) {
		case SV_HOLD:
			return wait;
		case SV_FAIL:
			break;
		case SV_GO:
			sv_dma_enter(s->dev);
			err = fetch(s, &d);
			if (err == 0)
				err = execute(s, &d);
			if (err == 0)
				err = complete(s, &d);
			sv_dma_leave(s->dev);
			break;
		}
		if (err != 0) {
			halt(s, err);
			return 0;
		}
		if (d.ctl & IOAT_CTL_INT)
			attention(s);
		if (atomic_load_explicit(&s->waiting, memory_order_relaxed) != 0 ||
		    (polls(s) && reg_load(s->regs->chancmd) != 0))
			return 0;
	}
	return 0;
}

/* Armed: has the doorbell rung, and long enough ago? */
static uint64_t
start(struct ioat *s)
{
	if (!atomic_load(&s->ringing) || reg_load(s->regs->dmacount) == s->done)
		return SV_IDLE;
	if (s->dev->spec.arm_ns != 0 && !sv_moment_passed(&s->bell, s->dev->spec.arm_ns))
		return ARM_POLL_NS;
	state_set(s, IOAT_ACTIVE);
	return 0;
}

/* Open registers and nothing to do: look a while, then have the next store trap. */
static uint64_t
idle(struct ioat *s)
{
	uint64_t now = sv_now_ns();

	if (!atomic_load(&s->dev->regs_open))
		return SV_IDLE;
	if (s->idle_since == 0)
		s->idle_since = now;
	for (unsigned int i = 0; i < IDLE_LOOKS; i++) {
		if (reg_load(s->regs->dmacount) != s->done ||
		    reg_load(s->regs->chancmd) != 0)
			return 0;
		__builtin_ia32_pause();
	}
	if (now - s->idle_since < IDLE_OPEN_NS)
		return 0;
	sv_dev_regs_open(s->dev, false);
	/* what was stored until then is seen now, what comes later traps */
	return reg_load(s->regs->dmacount) == s->done && reg_load(s->regs->chancmd) == 0
		       ? SV_IDLE
		       : 0;
}

/* With the lock. */
static uint64_t
step(struct ioat *s)
{
	uint64_t wait;

	if (polls(s) && reg_load(s->regs->chancmd) != 0)
		command(s, reg_load(s->regs->chancmd));
	if (s->state == IOAT_ARMED)
		return start(s);
	if (s->state != IOAT_ACTIVE && s->state != IOAT_IDLE)
		return SV_IDLE;
	if (reg_load(s->regs->dmacount) == s->done)
		return idle(s);
	s->idle_since = 0;
	if (polls(s))
		sv_dev_regs_open(s->dev, true);
	wait = walk(s);
	if (reg_load(s->regs->dmacount) == s->done)
		return 0;
	/* held back: with open registers a command is seen only by looking */
	return atomic_load(&s->dev->regs_open) && wait > HELD_LOOK_NS ? HELD_LOOK_NS
								      : wait;
}

static uint64_t
ioat_run(void *ctx)
{
	struct ioat *s = ctx;
	uint64_t wait;

	/* who waits for the lock gets it before we take it again */
	while (atomic_load(&s->waiting) != 0)
		sched_yield();
	pthread_mutex_lock(&s->lock);
	wait = step(s);
	pthread_mutex_unlock(&s->lock);
	return wait;
}

static void
power_on(struct ioat *s)
{
	memset(s->regs, 0, sizeof(*s->regs));
	s->regs->chancnt = 1;
	s->regs->xfercap = IOAT_XFERCAP;
	s->regs->cbver = IOAT_CBVER_3_4;
	s->regs->dmacap = IOAT_DMACAP_PAGE_BREAK | IOAT_DMACAP_FILL;
	s->next = 0;
	do_reset(s);
}

static void
ioat_reset(void *ctx)
{
	struct ioat *s = ctx;

	channel_lock(s);
	power_on(s);
	channel_unlock(s);
}

static int
ioat_create(struct sv_dev *d, void **ctx)
{
	struct ioat *s = weir_zalloc(sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->dev = d;
	s->regs = sv_dev_bar(d, 0);
	pthread_mutex_init(&s->lock, NULL);
	power_on(s);
	*ctx = s;
	return 0;
}

static void
ioat_destroy(void *ctx)
{
	struct ioat *s = ctx;

	pthread_mutex_destroy(&s->lock);
	free(s);
}

const struct sv_model sv_ioat = {
	.name = "ioat",
	.pci = {
		.vendor = 0x8086,
		.device = 0x0b00, /* Ice Lake */
		.class_code = 0x088000,
		.bar_len = { IOAT_BAR_LEN },
		.nr_vectors = 1,
		.msix_offset = IOAT_MSIX_OFFSET,
	},
	.create = ioat_create,
	.destroy = ioat_destroy,
	.reset = ioat_reset,
	.store = ioat_store,
	.run = ioat_run,
};
