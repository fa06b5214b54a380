/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands, and the states that they lead to. See dsa.c. */
#include "sv_dsa.h"

void
dsa_state_set(struct dsa *s, enum dsa_dev_state state)
{
	s->state = state;
	dsa_store_reg(s->bar->regs.gensts, (uint32_t)state);
}

static void
wq_state_set(struct dsa *s, struct dsa_wq *q, enum dsa_wq_state state)
{
	q->state = state;
	dsa_store_reg(s->bar->wqcfg[q->index][DSA_WQ_STATE],
		      (uint32_t)state << DSA_WQ_STATE_SHIFT);
}

static bool
wq_has_work(const struct dsa_wq *q)
{
	return atomic_load(&q->head) != atomic_load(&q->tail);
}

/* When it returns, no store to its portals is under way. */
static void
wq_open(struct dsa_wq *q, bool open)
{
	pthread_mutex_lock(&q->in_lock);
	q->open = open;
	pthread_mutex_unlock(&q->in_lock);
}

/* What is in it will not be done, and nobody is told. */
static void
wq_abandon(struct dsa *s, struct dsa_wq *q)
{
	if (s->turn == q->index)
		sv_faults_forget(&s->dev->faults);
	pthread_mutex_lock(&q->in_lock);
	atomic_store(&q->head, atomic_load(&q->tail));
	pthread_mutex_unlock(&q->in_lock);
	q->batch.under_way = false;
}

static void
wq_reset(struct dsa *s, struct dsa_wq *q)
{
	wq_open(q, false);
	wq_abandon(s, q);
	for (unsigned int i = DSA_WQ_SIZE + 1; i < DSA_WQCFG_WORDS; i++)
		dsa_store_reg(s->bar->wqcfg[q->index][i], 0);
	wq_state_set(s, q, DSA_WQ_DISABLED);
}

/* Groups: each work queue that has entries is in one, which has an engine. */
static bool
groups_fit(struct dsa *s)
{
	uint64_t wqs = 0, engines = 0;

	for (unsigned int g = 0; g < DSA_NR_GROUPS; g++) {
		const struct dsa_grpcfg *cfg = &s->bar->grpcfg[g];
		uint64_t has = dsa_load(cfg->wqs[0]), by = dsa_load(cfg->engines);

		if ((has & wqs) != 0 || (by & engines) != 0 || (has != 0 && by == 0) ||
		    has > DSA_ALL_WQS || by >= 1u << DSA_NR_ENGINES)
			return false;
		wqs |= has;
		engines |= by;
	}
	for (unsigned int i = 0; i < DSA_NR_WQS; i++)
		if (dsa_load(s->bar->wqcfg[i][DSA_WQ_SIZE]) != 0 &&
		    (wqs & UINT64_C(1) << i) == 0)
			return false;
	return true;
}

static uint8_t
enable_dev(struct dsa *s)
{
	uint32_t entries = 0;

	if (s->state != DSA_DEV_DISABLED)
		return DSA_CMD_ERR_DEV_ENABLED;
	if (!atomic_load(&s->dev->bus_master))
		return DSA_CMD_ERR_BUS_MASTER;
	for (unsigned int i = 0; i < DSA_NR_WQS; i++)
		entries += dsa_load(s->bar->wqcfg[i][DSA_WQ_SIZE]) & DSA_WQ_SIZE_MASK;
	if (entries > DSA_WQ_ENTRIES)
		return DSA_CMD_ERR_WQ_SIZES;
	if (!groups_fit(s))
		return DSA_CMD_ERR_GROUPS;
	dsa_state_set(s, DSA_DEV_ENABLED);
	return DSA_CMD_OK;
}

/* What is wrong with a work queue's configuration. */
static uint8_t
wq_check(const uint32_t *cfg)
{
	uint32_t mode = dsa_load(cfg[DSA_WQ_MODE]), max = dsa_load(cfg[DSA_WQ_MAXIMA]);

	if ((dsa_load(cfg[DSA_WQ_SIZE]) & DSA_WQ_SIZE_MASK) == 0)
		return DSA_CMD_ERR_WQ_SIZE;
	if ((mode & DSA_WQ_MODE_PRIORITY) == 0)
		return DSA_CMD_ERR_WQ_PRIORITY;
	if ((mode & DSA_WQ_MODE_DEDICATED) == 0)
		return DSA_CMD_ERR_WQ_MODE;
	if ((mode & DSA_WQ_MODE_BLOCK_ON_FAULT) != 0)
		return DSA_CMD_ERR_WQ_BLOCK_ON_FAULT;
	if ((mode & DSA_WQ_MODE_PASID) != 0)
		return DSA_CMD_ERR_WQ_PASID;
	if ((max >> DSA_WQ_BATCH_SHIFT & DSA_WQ_BATCH_MASK) > DSA_MAX_BATCH_SHIFT)
		return DSA_CMD_ERR_WQ_MAX_BATCH;
	if ((max & DSA_WQ_XFER_MASK) > DSA_MAX_XFER_SHIFT)
		return DSA_CMD_ERR_WQ_MAX_XFER;
	return DSA_CMD_OK;
}

static uint8_t
enable_wq(struct dsa *s, uint32_t index)
{
	uint32_t *cfg, max;
	struct dsa_wq *q;
	uint8_t err;

	if (index >= DSA_NR_WQS)
		return DSA_CMD_ERR_WQ_INDEX;
	q = &s->wq[index];
	cfg = s->bar->wqcfg[index];
	if (s->state != DSA_DEV_ENABLED)
		return DSA_CMD_ERR_DEV_NOT_ENABLED;
	if (q->state != DSA_WQ_DISABLED)
		return DSA_CMD_ERR_WQ_ENABLED;
	err = wq_check(cfg);
	if (err != DSA_CMD_OK)
		return err;
	max = dsa_load(cfg[DSA_WQ_MAXIMA]);
	q->max_xfer = 1u << (max & DSA_WQ_XFER_MASK);
	q->max_batch = 1u << (max >> DSA_WQ_BATCH_SHIFT & DSA_WQ_BATCH_MASK);
	q->size = dsa_load(cfg[DSA_WQ_SIZE]) & DSA_WQ_SIZE_MASK;
	wq_state_set(s, q, DSA_WQ_ENABLED);
	wq_open(q, true);
	return DSA_CMD_OK;
}

/* From here on the command waits for what these work queues have now. */
static void
drain_begin(struct dsa *s, uint32_t wqs, bool disable)
{
	for (unsigned int i = 0; i < DSA_NR_WQS; i++) {
		struct dsa_wq *q = &s->wq[i];

		if ((wqs & 1u << i) == 0)
			continue;
		if (disable && q->state == DSA_WQ_ENABLED) {
			wq_open(q, false);
			wq_state_set(s, q, DSA_WQ_BUSY);
		}
		q->drain_to = atomic_load(&q->tail);
	}
	s->pending.wqs = wqs;
}

static void
wqs_each(struct dsa *s, uint32_t wqs, void (*fn)(struct dsa *s, struct dsa_wq *q))
{
	for (unsigned int i = 0; i < DSA_NR_WQS; i++)
		if ((wqs & 1u << i) != 0)
			fn(s, &s->wq[i]);
}

void
dsa_wqs_reset(struct dsa *s)
{
	wqs_each(s, DSA_ALL_WQS, wq_reset);
}

static void
count_reset(struct dsa *s)
{
	atomic_fetch_add_explicit(&s->dev->counters.resets, 1, memory_order_relaxed);
}

/* A command on work queues: the mask is of sixteen, the operand's rest says which. */
static uint8_t
command_wqs(struct dsa *s, enum dsa_cmd cmd, uint32_t operand)
{
	if (operand > DSA_ALL_WQS || operand == 0)
		return DSA_CMD_ERR_WQ_INDEX;
	if (s->state != DSA_DEV_ENABLED)
		return DSA_CMD_ERR_WQ_DEV;
	switch (cmd) {
	case DSA_CMD_DISABLE_WQ:
		drain_begin(s, operand, true);
		break;
	case DSA_CMD_DRAIN_WQ:
		drain_begin(s, operand, false);
		break;
	case DSA_CMD_ABORT_WQ:
		wqs_each(s, operand, wq_abandon);
		break;
	default:
		count_reset(s);
		wqs_each(s, operand, wq_reset);
		break;
	}
	return DSA_CMD_OK;
}

/* What the function is told as a whole. */
static uint8_t
command_dev(struct dsa *s, enum dsa_cmd cmd)
{
	if (cmd == DSA_CMD_RESET_DEV) {
		count_reset(s);
		dsa_power_on(s);
		return DSA_CMD_OK;
	}
	if (s->state != DSA_DEV_ENABLED)
		return cmd == DSA_CMD_DISABLE_DEV ? DSA_CMD_ERR_DISABLE_DEV
						  : DSA_CMD_ERR_WQ_DEV;
	if (cmd == DSA_CMD_ABORT_ALL)
		wqs_each(s, DSA_ALL_WQS, wq_abandon);
	else
		drain_begin(s, DSA_ALL_WQS, cmd == DSA_CMD_DISABLE_DEV);
	if (cmd == DSA_CMD_DISABLE_DEV)
		dsa_state_set(s, DSA_DEV_DRAIN);
	return DSA_CMD_OK;
}

static uint8_t
command_begin(struct dsa *s, enum dsa_cmd cmd, uint32_t operand)
{
	switch (cmd) {
	case DSA_CMD_ENABLE_DEV:
		return enable_dev(s);
	case DSA_CMD_DISABLE_DEV:
	case DSA_CMD_DRAIN_ALL:
	case DSA_CMD_ABORT_ALL:
	case DSA_CMD_RESET_DEV:
		return command_dev(s, cmd);
	case DSA_CMD_ENABLE_WQ:
		return enable_wq(s, operand);
	case DSA_CMD_DISABLE_WQ:
	case DSA_CMD_DRAIN_WQ:
	case DSA_CMD_ABORT_WQ:
	case DSA_CMD_RESET_WQ:
		return command_wqs(s, cmd, operand);
	default:
		return DSA_CMD_ERR_CMD;
	}
}

static void
command_done(struct dsa *s, uint8_t err)
{
	bool tell = s->pending.wants_int;

	s->pending = (struct dsa_pending){ .cmd = 0 };
	if (tell) {
		pthread_mutex_lock(&s->err_lock);
		dsa_cause(s, DSA_INTCAUSE_CMD);
		pthread_mutex_unlock(&s->err_lock);
	}
	dsa_store_reg(s->bar->regs.cmdsts, err);
	if (tell)
		sv_dev_interrupt(s->dev, 0);
}

/* Is what the command waits for done? Then it is done, too. */
static void
command_look(struct dsa *s)
{
	const struct dsa_pending *p = &s->pending;

	if (p->cmd == 0)
		return;
	for (unsigned int i = 0; i < DSA_NR_WQS; i++)
		if ((p->wqs & 1u << i) != 0 &&
		    (int32_t)(atomic_load(&s->wq[i].head) - s->wq[i].drain_to) < 0)
			return;
	for (unsigned int i = 0; i < DSA_NR_WQS; i++)
		if ((p->wqs & 1u << i) != 0 && s->wq[i].state == DSA_WQ_BUSY)
			wq_state_set(s, &s->wq[i], DSA_WQ_DISABLED);
	if (p->cmd == DSA_CMD_DISABLE_DEV)
		dsa_state_set(s, DSA_DEV_DISABLED);
	command_done(s, DSA_CMD_OK);
}

bool
dsa_step(struct dsa *s, uint64_t *wait)
{
	for (unsigned int i = 0; i < DSA_NR_WQS; i++) {
		unsigned int at = (s->turn + i) % DSA_NR_WQS;

		if (!wq_has_work(&s->wq[at]))
			continue;
		s->turn = at;
		*wait = dsa_work(s, &s->wq[at]);
		/* one that is held back keeps its turn */
		if (*wait == 0)
			s->turn = (at + 1) % DSA_NR_WQS;
		command_look(s);
		return true;
	}
	return false;
}

void
dsa_command(struct dsa *s, uint32_t value)
{
	enum dsa_cmd cmd = value >> DSA_CMD_SHIFT & DSA_CMD_MASK;
	uint64_t wait = 0;
	uint8_t err;

	if (s->pending.cmd != 0) {
		dsa_report(s, &(struct dsa_report){ .error = DSA_ERR_CMD_REG,
						    .wq = DSA_NR_WQS });
		return;
	}
	dsa_store_reg(s->bar->regs.cmd, value);
	dsa_store_reg(s->bar->regs.cmdsts, DSA_CMDSTS_ACTIVE);
	s->pending = (struct dsa_pending){ .cmd = (uint8_t)cmd };
	err = command_begin(s, cmd, value & DSA_CMD_OPERAND);
	s->pending.cmd = (uint8_t)cmd;
	s->pending.wants_int = (value & DSA_CMD_INT) != 0;
	if (err != DSA_CMD_OK) {
		command_done(s, err);
		return;
	}
	command_look(s);
	while (s->pending.cmd != 0 && wait == 0 && dsa_step(s, &wait))
		;
}
