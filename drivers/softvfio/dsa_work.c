/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One descriptor of a work queue: checked, carried out, reported. See dsa.c.
 */
#include <string.h>

#include "sv_dsa.h"
#include "weir_map.h"
#include "weir_range.h"

#define DESC_ALIGN (sizeof(struct dsa_hw_desc) - 1)
#define RECORD_ALIGN (sizeof(struct dsa_completion_record) - 1)

#define FLAGS_RECORD (IDXD_OP_FLAG_CRAV | IDXD_OP_FLAG_RCR | IDXD_OP_FLAG_RCI)
#define FLAGS_TCS                                                                   \
	(IDXD_OP_FLAG_ADDR1_TCS | IDXD_OP_FLAG_ADDR2_TCS | IDXD_OP_FLAG_ADDR3_TCS | \
	 IDXD_OP_FLAG_CR_TCS)
#define FLAGS_WRITE                                                        \
	(FLAGS_RECORD | FLAGS_TCS | IDXD_OP_FLAG_FENCE | IDXD_OP_FLAG_CC | \
	 IDXD_OP_FLAG_STORD)

/* What becomes of a descriptor; `status` 0: nothing is wrong so far. */
struct result {
	uint8_t status;
	uint32_t nr; /* bytes done; a batch's descriptors */
	uint64_t fault;
	uint32_t invalid_flags;
};

/* A descriptor that is to be carried out. */
struct job {
	struct dsa_wq *q;
	struct dsa_hw_desc desc; /* our copy: the driver may change its own */
	bool in_batch;
};

static void
page_fault(struct result *r, uint64_t at, bool write)
{
	r->status = DSA_COMP_PAGE_FAULT_NOBOF | (write ? DSA_COMP_STATUS_WRITE : 0);
	r->fault = at;
}

static void
do_copy(struct dsa *s, const struct dsa_hw_desc *d, struct result *r)
{
	while (r->nr < d->xfer_size) {
		uint64_t src = d->src_addr + r->nr, dst = d->dst_addr + r->nr;
		uint64_t len = d->xfer_size - r->nr;
		const void *from = sv_dma(s->dev, src, WEIR_PROT_READ, &len);
		void *to;

		if (from == NULL) {
			page_fault(r, src, false);
			return;
		}
		to = sv_dma(s->dev, dst, WEIR_PROT_WRITE, &len);
		if (to == NULL) {
			page_fault(r, dst, true);
			return;
		}
		/* two iovas may be one memory */
		memmove(to, from, len);
		r->nr += (uint32_t)len;
	}
}

static void
do_fill(struct dsa *s, const struct dsa_hw_desc *d, struct result *r)
{
	uint8_t pattern[sizeof(d->pattern)];

	memcpy(pattern, &d->src_addr, sizeof(pattern));
	while (r->nr < d->xfer_size) {
		uint64_t dst = d->dst_addr + r->nr, len = d->xfer_size - r->nr;
		uint8_t *to = sv_dma(s->dev, dst, WEIR_PROT_WRITE, &len);

		if (to == NULL) {
			page_fault(r, dst, true);
			return;
		}
		for (uint64_t i = 0; i < len; i++)
			to[i] = pattern[(r->nr + i) % sizeof(pattern)];
		r->nr += (uint32_t)len;
	}
}

/* What an operation takes; an operation that is not there has no flags. */
static uint32_t
flags_of(const struct job *j)
{
	switch (j->desc.opcode) {
	case DSA_OPCODE_NOOP:
		return FLAGS_RECORD | IDXD_OP_FLAG_FENCE;
	case DSA_OPCODE_BATCH:
	case DSA_OPCODE_DRAIN:
		return j->in_batch ? 0 : FLAGS_RECORD;
	case DSA_OPCODE_MEMMOVE:
	case DSA_OPCODE_MEMFILL:
		return FLAGS_WRITE;
	default:
		return 0;
	}
}

static bool
all_zero(const void *at, size_t len)
{
	const uint8_t *p = at;

	for (size_t i = 0; i < len; i++)
		if (p[i] != 0)
			return false;
	return true;
}

/* What is wrong with any descriptor, whatever it wants done; 0: nothing. */
static uint8_t
check_common(const struct job *j, struct result *r)
{
	const struct dsa_hw_desc *d = &j->desc;
	uint32_t allowed = flags_of(j);

	if (allowed == 0)
		return DSA_COMP_BAD_OPCODE;
	r->invalid_flags = d->flags & ~allowed;
	if ((d->flags & IDXD_OP_FLAG_CRAV) == 0)
		r->invalid_flags |= d->flags & IDXD_OP_FLAG_RCR;
	if (r->invalid_flags != 0)
		return DSA_COMP_INVALID_FLAGS;
	if (d->rsvd1 != 0 || d->rsvd != 0 ||
	    !all_zero(d->op_specific, sizeof(d->op_specific)))
		return DSA_COMP_NOZERO_RESERVE;
	if (d->priv)
		return DSA_COMP_PRIV_BAD;
	if ((d->flags & IDXD_OP_FLAG_RCI) != 0 &&
	    (d->int_handle == 0 || d->int_handle >= DSA_NR_VECTORS))
		return DSA_COMP_INT_HANDLE_INVAL;
	return 0;
}

/* Copies and fills: how many bytes, from where to where. */
static void
check_ranges(const struct job *j, struct result *r)
{
	const struct dsa_hw_desc *d = &j->desc;
	bool copies = d->opcode == DSA_OPCODE_MEMMOVE;
	struct weir_range src, dst;

	if (d->xfer_size == 0 || d->xfer_size > j->q->max_xfer)
		r->status = DSA_COMP_XFER_ERANGE;
	else if (copies && weir_range_make(&src, d->src_addr, d->xfer_size) != 0)
		page_fault(r, d->src_addr, false);
	else if (weir_range_make(&dst, d->dst_addr, d->xfer_size) != 0)
		page_fault(r, d->dst_addr, true);
	else if (copies && weir_range_overlaps(src, dst))
		r->status = DSA_COMP_OVERLAP_BUFFERS;
}

/* Carry out one that is no batch. In a section. */
static void
execute(struct dsa *s, const struct job *j, struct result *r)
{
	bool moves = j->desc.opcode == DSA_OPCODE_MEMMOVE ||
		     j->desc.opcode == DSA_OPCODE_MEMFILL;

	/* a drain waits for what came before it, which is done: work is in order */
	r->status = check_common(j, r);
	if (r->status == 0 && moves)
		check_ranges(j, r);
	if (r->status != 0)
		return;
	if (j->desc.opcode == DSA_OPCODE_MEMMOVE)
		do_copy(s, &j->desc, r);
	else if (j->desc.opcode == DSA_OPCODE_MEMFILL)
		do_fill(s, &j->desc, r);
	if (r->status == 0)
		r->status = DSA_COMP_SUCCESS;
}

/* The record in the driver's memory, its status last. @return 0 or what is wrong. */
static uint8_t
write_record(struct dsa *s, uint64_t address, const struct result *r)
{
	struct dsa_completion_record record = { 0 };
	uint64_t len = sizeof(record);
	uint8_t *to;

	if ((address & RECORD_ALIGN) != 0)
		return DSA_COMP_CRA_ALIGN;
	to = sv_dma(s->dev, address, WEIR_PROT_WRITE, &len);
	if (to == NULL || len < sizeof(record))
		return DSA_COMP_CRA_XLAT;
	record.bytes_completed = r->nr;
	record.fault_addr = r->fault;
	record.invalid_flags = r->invalid_flags;
	memcpy(to + 1, (const uint8_t *)&record + 1, sizeof(record) - 1);
	__atomic_store_n(to, r->status, __ATOMIC_RELEASE);
	return 0;
}

/* Say what became of a descriptor. In a section. */
static void
complete(struct dsa *s, const struct job *j, const struct result *r)
{
	const struct dsa_hw_desc *d = &j->desc;
	bool ok = r->status == DSA_COMP_SUCCESS;
	struct sv_counters *c = &s->dev->counters;
	uint8_t error = ok ? 0 : r->status;

	if ((d->flags & IDXD_OP_FLAG_CRAV) != 0) {
		error = 0;
		if (!ok || (d->flags & IDXD_OP_FLAG_RCR) != 0)
			error = write_record(s, d->completion_addr, r);
	}
	if (error != 0)
		dsa_report(s, &(struct dsa_report){ .error = error,
						    .wq = j->q->index,
						    .desc = d,
						    .in_batch = j->in_batch,
						    .batch_index = j->q->batch.done,
						    .fault = r->fault });
	if (d->opcode != DSA_OPCODE_BATCH) {
		sv_count(&c->work, ok);
		sv_count(&c->bytes, r->nr);
	}
	/* that one in it failed has been counted */
	sv_count(&c->errors, !ok && r->status != DSA_COMP_BATCH_FAIL);
	if ((d->flags & IDXD_OP_FLAG_RCI) != 0 && d->int_handle < DSA_NR_VECTORS)
		sv_dev_interrupt(s->dev, d->int_handle);
}

/* The work queue's descriptor is done: on to the next. */
static void
advance(struct dsa_wq *q)
{
	q->batch.under_way = false;
	atomic_store(&q->head, atomic_load(&q->head) + 1);
}

static void
batch_end(struct dsa *s, struct job *j, uint8_t status, uint64_t fault)
{
	struct result r = { .status = status, .nr = j->q->batch.done, .fault = fault };

	j->desc = j->q->ring[atomic_load(&j->q->head) % DSA_WQ_ENTRIES];
	j->in_batch = false;
	complete(s, j, &r);
	advance(j->q);
}

/* A batch is begun, or refused. */
static void
batch_begin(struct dsa *s, struct job *j, uint8_t status)
{
	const struct dsa_hw_desc *d = &j->desc;
	struct result r = { .status = status };

	if (r.status == 0)
		r.status = check_common(j, &r);
	if (r.status == 0 && (d->desc_count < 2 || d->desc_count > j->q->max_batch))
		r.status = DSA_COMP_DESC_CNT_ERANGE;
	if (r.status == 0 && (d->desc_list_addr & DESC_ALIGN) != 0)
		r.status = DSA_COMP_DESCLIST_ALIGN;
	if (r.status != 0) {
		complete(s, j, &r);
		advance(j->q);
		return;
	}
	j->q->batch = (struct dsa_batch){ .under_way = true,
					  .list = d->desc_list_addr,
					  .nr = d->desc_count };
}

/*
 * Fetch the next of a batch. False: there is none, the batch has ended: its list
 * cannot be read on, or a fence stands behind one that failed. In a section.
 */
static bool
batch_fetch(struct dsa *s, struct job *j)
{
	const struct dsa_batch *b = &j->q->batch;
	uint64_t at = 0, len = sizeof(j->desc);
	const void *from = NULL;

	if (!__builtin_add_overflow(b->list, (uint64_t)b->done * sizeof(j->desc), &at))
		from = sv_dma(s->dev, at, WEIR_PROT_READ, &len);
	if (from == NULL || len < sizeof(j->desc)) {
		batch_end(s, j, DSA_COMP_BATCH_PAGE_FAULT, at);
		return false;
	}
	memcpy(&j->desc, from, sizeof(j->desc));
	j->in_batch = true;
	if (b->failed && (j->desc.flags & IDXD_OP_FLAG_FENCE) != 0) {
		batch_end(s, j, DSA_COMP_BATCH_FAIL, 0);
		return false;
	}
	return true;
}

/* Carry it out, or fail it with a code that was planned. In a section. */
static void
run(struct dsa *s, struct job *j, uint8_t planned)
{
	struct result r = { .status = planned, .fault = planned ? j->desc.src_addr : 0 };
	struct dsa_batch *b = &j->q->batch;

	if (!j->in_batch && j->desc.opcode == DSA_OPCODE_BATCH) {
		batch_begin(s, j, planned);
		return;
	}
	if (planned == 0)
		execute(s, j, &r);
	complete(s, j, &r);
	if (!j->in_batch) {
		advance(j->q);
		return;
	}
	b->failed |= r.status != DSA_COMP_SUCCESS;
	if (++b->done == b->nr)
		batch_end(s, j, b->failed ? DSA_COMP_BATCH_FAIL : DSA_COMP_SUCCESS, 0);
}

/* A batch is a burst, but for its own descriptor; so is a copy alone. */
static uint32_t
place(const struct dsa_wq *q, const struct job *j)
{
	if (j->in_batch)
		return q->batch.done;
	return j->desc.opcode == DSA_OPCODE_BATCH ? SV_MAX_PLACES : 0;
}

uint64_t
dsa_work(struct dsa *s, struct dsa_wq *q)
{
	struct job j = { .q = q };
	uint64_t wait = 0;
	uint32_t planned = 0;

	sv_dma_enter(s->dev);
	if (!q->batch.under_way)
		j.desc = q->ring[atomic_load(&q->head) % DSA_WQ_ENTRIES];
	else if (!batch_fetch(s, &j))
		goto out;
	switch (sv_faults_next(&s->dev->faults, place(q, &j), &planned, &wait)) {
	case SV_HOLD:
		break;
	case SV_GO:
		run(s, &j, 0);
		break;
	case SV_FAIL:
		/* never a success that it is not */
		planned &= UINT8_MAX;
		run(s, &j,
		    planned > DSA_COMP_SUCCESS ? (uint8_t)planned : DSA_COMP_HW_ERR1);
		break;
	}
out:
	sv_dma_leave(s->dev);
	return wait;
}
