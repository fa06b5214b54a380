/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation.
 *
 * Software configures groups, engines and work queues, enables the function, then
 * its work queues, and stores descriptors of 64 bytes to their portals. A work
 * queue is a FIFO. Each descriptor is carried out, and a completion record is
 * written to memory if the descriptor asks for one, or failed and names a place
 * for it. A batch is a descriptor that leads to a list of others; it is complete
 * when all of them are, or when a fence stands behind one that failed.
 *
 * Of the specification there is: dedicated work queues, no PASID, no blocking on
 * faults, no overlapping copies; the operations no-op, batch, drain, copy and
 * fill; all commands but those on PASIDs and interrupt handles. What is not there
 * is not announced either, and refused. Engines and groups are checked but do not
 * matter: one thread takes a descriptor of each work queue in turn, so that each
 * is in order, and they are not among themselves.
 *
 * An error concerns one descriptor: the work queue goes on behind it. Where no
 * record can tell of it, swerr does, for the first since it was acknowledged.
 *
 * A command is done when the store of it ends, unless it has to wait for a
 * descriptor that is held back on purpose: the thread that stores carries out
 * what has to be done before. DPDK's driver looks a thousand times and then takes
 * the command for done, so that it must not depend on when our thread is run.
 * While one is not done, another is refused.
 *
 * A planned fault counts a batch as one and each of its descriptors as one. It
 * sits on the work queue whose turn it is; the whole function waits for it.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "sv_dsa.h"
#include "weir_fail.h"
#include "weir_range.h"

#define BURST 32

/* run() lets go of the lock between descriptors if anybody waits for it. */
static void
dsa_lock(struct dsa *s)
{
	atomic_fetch_add(&s->waiting, 1);
	pthread_mutex_lock(&s->lock);
	atomic_fetch_sub(&s->waiting, 1);
}

static void
dsa_unlock(struct dsa *s)
{
	pthread_mutex_unlock(&s->lock);
}

void
dsa_cause(struct dsa *s, uint32_t what)
{
	struct dsa_regs *regs = &s->bar->regs;

	dsa_store_reg(regs->intcause, dsa_load(regs->intcause) | what);
}

/* The first word is stored last: a driver looks whether it is valid. */
static void
swerr_fill(uint64_t *swerr, const struct dsa_report *r)
{
	uint64_t first = DSA_SWERR_VALID | (uint64_t)r->error << DSA_SWERR_ERROR_SHIFT;

	if (r->wq < DSA_NR_WQS)
		first |= DSA_SWERR_WQ_VALID | (uint64_t)r->wq << DSA_SWERR_WQ_SHIFT;
	if (r->desc != NULL)
		first |= DSA_SWERR_DESC_VALID | (uint64_t)r->desc->opcode
							<< DSA_SWERR_OP_SHIFT;
	if (r->in_batch)
		first |= DSA_SWERR_BATCH;
	dsa_store_reg(swerr[1], r->in_batch ? r->batch_index : 0);
	dsa_store_reg(swerr[2], r->fault);
	dsa_store_reg(swerr[0], first);
}

void
dsa_report(struct dsa *s, const struct dsa_report *r)
{
	uint64_t *swerr = s->bar->regs.swerr;
	bool tell;

	pthread_mutex_lock(&s->err_lock);
	tell = (dsa_load(s->bar->regs.genctrl) & DSA_GENCTRL_SWERR_INT) != 0;
	if ((dsa_load(swerr[0]) & DSA_SWERR_VALID) != 0)
		dsa_store_reg(swerr[0], dsa_load(swerr[0]) | DSA_SWERR_OVERFLOW);
	else
		swerr_fill(swerr, r);
	dsa_cause(s, DSA_INTCAUSE_SWERR);
	pthread_mutex_unlock(&s->err_lock);
	if (tell)
		sv_dev_interrupt(s->dev, 0);
}

/* Ones clear. */
static void
swerr_ack(struct dsa *s, uint64_t ones)
{
	uint64_t *swerr = s->bar->regs.swerr;

	pthread_mutex_lock(&s->err_lock);
	dsa_store_reg(swerr[0], dsa_load(swerr[0]) &
					~(ones & (DSA_SWERR_VALID | DSA_SWERR_OVERFLOW)));
	pthread_mutex_unlock(&s->err_lock);
}

static void
intcause_ack(struct dsa *s, uint32_t ones)
{
	struct dsa_regs *regs = &s->bar->regs;

	pthread_mutex_lock(&s->err_lock);
	dsa_store_reg(regs->intcause, dsa_load(regs->intcause) & ~ones);
	pthread_mutex_unlock(&s->err_lock);
}

/* A descriptor for a work queue; who stores it does not wait for those before. */
static void
portal_store(struct dsa *s, uint64_t off, const void *data, uint32_t len)
{
	struct dsa_wq *q = &s->wq[off / DSA_PORTAL_LEN];
	uint8_t error = 0;
	uint32_t tail;

	pthread_mutex_lock(&q->in_lock);
	tail = atomic_load(&q->tail);
	if (len != sizeof(q->ring[0])) {
		error = DSA_ERR_PORTAL_STORE;
	} else if (!q->open) {
		error = DSA_ERR_PORTAL_DISABLED;
	} else if (tail - atomic_load(&q->head) >= q->size) {
		error = DSA_ERR_PORTAL_FULL;
	} else {
		memcpy(&q->ring[tail % DSA_WQ_ENTRIES], data, len);
		atomic_store(&q->tail, tail + 1);
	}
	pthread_mutex_unlock(&q->in_lock);
	if (error != 0)
		dsa_report(s, &(struct dsa_report){ .error = error, .wq = q->index });
	else
		sv_dev_kick(s->dev);
}

/* May this byte of configuration be changed now? */
static bool
writable(const struct dsa *s, uint64_t off)
{
	const struct weir_range plain[] = {
		{ offsetof(struct dsa_regs, gencfg),
		  offsetof(struct dsa_regs, gencfg) + 3 },
		{ offsetof(struct dsa_regs, genctrl),
		  offsetof(struct dsa_regs, genctrl) + 3 },
		{ DSA_MSIX_PERM_OFFSET, sizeof(struct dsa_bar0) - 1 },
	};
	uint64_t in;

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (weir_range_has(plain[i], off))
			return true;
	if (off >= DSA_GRPCFG_OFFSET && off < DSA_GRPCFG_OFFSET + sizeof(s->bar->grpcfg))
		return s->state == DSA_DEV_DISABLED &&
		       off % sizeof(struct dsa_grpcfg) <
			       offsetof(struct dsa_grpcfg, reserved);
	if (off < DSA_WQCFG_OFFSET || off >= DSA_WQCFG_OFFSET + sizeof(s->bar->wqcfg))
		return false;
	in = (off - DSA_WQCFG_OFFSET) % sizeof(s->bar->wqcfg[0]) / sizeof(uint32_t);
	if (in == DSA_WQ_SIZE)
		return s->state == DSA_DEV_DISABLED;
	return in < DSA_WQ_STATE &&
	       s->wq[(off - DSA_WQCFG_OFFSET) / sizeof(s->bar->wqcfg[0])].state ==
		       DSA_WQ_DISABLED;
}

static void
config_store(struct dsa *s, uint64_t off, const uint8_t *data, uint32_t len)
{
	uint8_t *bar = (uint8_t *)s->bar;

	for (uint32_t i = 0; i < len; i++)
		if (writable(s, off + i))
			__atomic_store_n(&bar[off + i], data[i], __ATOMIC_RELEASE);
}

static void
dsa_store(void *ctx, unsigned int bar, uint64_t off, const void *data, uint32_t len)
{
	struct dsa *s = ctx;
	uint64_t value = 0;

	if (bar == 2) {
		portal_store(s, off, data, len);
		return;
	}
	memcpy(&value, data, len < sizeof(value) ? len : sizeof(value));
	dsa_lock(s);
	if (off == offsetof(struct dsa_regs, cmd) && len == sizeof(uint32_t))
		dsa_command(s, (uint32_t)value);
	else if (off == offsetof(struct dsa_regs, intcause) && len == sizeof(uint32_t))
		intcause_ack(s, (uint32_t)value);
	else if (off == offsetof(struct dsa_regs, swerr))
		swerr_ack(s, value);
	else
		config_store(s, off, data, len);
	dsa_unlock(s);
	sv_dev_kick(s->dev);
}

static uint64_t
dsa_run(void *ctx)
{
	struct dsa *s = ctx;
	uint64_t wait = 0;
	bool more = true;

	/* who waits for the lock gets it before we take it again */
	while (atomic_load(&s->waiting) != 0)
		sched_yield();
	pthread_mutex_lock(&s->lock);
	for (unsigned int i = 0; i < BURST && more && wait == 0; i++) {
		more = dsa_step(s, &wait);
		if (atomic_load_explicit(&s->waiting, memory_order_relaxed) != 0)
			break;
	}
	pthread_mutex_unlock(&s->lock);
	return more ? wait : SV_IDLE;
}

static void
capabilities(struct dsa_regs *regs)
{
	static const unsigned int ops[] = { DSA_OPCODE_NOOP, DSA_OPCODE_BATCH,
					    DSA_OPCODE_DRAIN, DSA_OPCODE_MEMMOVE,
					    DSA_OPCODE_MEMFILL };

	regs->version = DSA_VERSION_1;
	regs->gencap = DSA_GENCAP_CACHE_MEM | DSA_GENCAP_CACHE_CTL | DSA_GENCAP_CMDCAP |
		       DSA_GENCAP_CONFIG |
		       (uint64_t)DSA_MAX_XFER_SHIFT << DSA_GENCAP_XFER_SHIFT |
		       (uint64_t)DSA_MAX_BATCH_SHIFT << DSA_GENCAP_BATCH_SHIFT;
	regs->wqcap = DSA_WQ_ENTRIES | (uint64_t)DSA_NR_WQS << DSA_WQCAP_NR_SHIFT |
		      DSA_WQCAP_DEDICATED | DSA_WQCAP_PRIORITY;
	regs->grpcap = DSA_NR_GROUPS;
	regs->engcap = DSA_NR_ENGINES;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		regs->opcap[0] |= UINT64_C(1) << ops[i];
	regs->offsets[0] = DSA_GRPCFG_OFFSET / DSA_TABLE_UNIT |
			   (uint64_t)(DSA_WQCFG_OFFSET / DSA_TABLE_UNIT) << 16 |
			   (uint64_t)(DSA_MSIX_PERM_OFFSET / DSA_TABLE_UNIT) << 32;
	for (unsigned int cmd = DSA_CMD_ENABLE_DEV; cmd <= DSA_CMD_RESET_WQ; cmd++)
		regs->cmdcap |= 1u << cmd;
}

void
dsa_power_on(struct dsa *s)
{
	dsa_wqs_reset(s);
	s->pending = (struct dsa_pending){ .cmd = 0 };
	pthread_mutex_lock(&s->err_lock);
	memset(s->bar, 0, sizeof(*s->bar));
	capabilities(&s->bar->regs);
	pthread_mutex_unlock(&s->err_lock);
	s->turn = 0;
	dsa_state_set(s, DSA_DEV_DISABLED);
}

static void
dsa_reset(void *ctx)
{
	struct dsa *s = ctx;

	dsa_lock(s);
	dsa_power_on(s);
	dsa_unlock(s);
}

static int
dsa_create(struct sv_dev *d, void **ctx)
{
	struct dsa *s = weir_zalloc(sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	s->dev = d;
	s->bar = sv_dev_bar(d, 0);
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->err_lock, NULL);
	for (unsigned int i = 0; i < DSA_NR_WQS; i++) {
		s->wq[i].index = i;
		pthread_mutex_init(&s->wq[i].in_lock, NULL);
	}
	dsa_power_on(s);
	*ctx = s;
	return 0;
}

static void
dsa_destroy(void *ctx)
{
	struct dsa *s = ctx;

	for (unsigned int i = 0; i < DSA_NR_WQS; i++)
		pthread_mutex_destroy(&s->wq[i].in_lock);
	pthread_mutex_destroy(&s->err_lock);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

const struct sv_model sv_dsa = {
	.name = "dsa",
	.pci = {
		.vendor = 0x8086,
		.device = 0x0b25, /* Sapphire Rapids */
		.class_code = 0x088000,
		.bar_len = { DSA_BAR0_LEN, 0, DSA_BAR2_LEN },
		.nr_vectors = DSA_NR_VECTORS,
		.msix_offset = DSA_MSIX_OFFSET,
	},
	.create = dsa_create,
	.destroy = dsa_destroy,
	.reset = dsa_reset,
	.store = dsa_store,
	.run = dsa_run,
};
