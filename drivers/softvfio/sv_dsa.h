/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef SV_DSA_H
#define SV_DSA_H
/**
 * @file
 * What the parts of the DSA model share: registers and portals (dsa.c), commands
 * (dsa_cmd.c), one descriptor (dsa_work.c). All but the first two functions want
 * the model's lock.
 */
#include <linux/idxd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "sv_dev.h"
#include "sv_dsa_regs.h"

_Static_assert(sizeof(struct dsa_hw_desc) == 64, "descriptor layout");
_Static_assert(sizeof(struct dsa_completion_record) == 32, "record layout");

/** Why a batch ended, or how far it is. */
struct dsa_batch {
	bool under_way;
	bool failed;   /**< one of those done did not succeed */
	uint64_t list; /**< address of the descriptors */
	uint32_t nr, done;
};

/** A work queue: a ring that portals fill and the engine empties. */
struct dsa_wq {
	unsigned int index;
	pthread_mutex_t in_lock; /**< guards `open` and filling */
	bool open;		 /**< takes descriptors */
	uint32_t size;		 /**< entries; constant while it is open */
	_Atomic uint32_t tail;	 /**< taken so far */
	_Atomic uint32_t head;	 /**< done so far: the model's lock, and in_lock */
	struct dsa_hw_desc ring[DSA_WQ_ENTRIES];

	/* guarded by the model's lock */
	enum dsa_wq_state state;
	uint32_t max_xfer, max_batch; /**< as configured, when it was enabled */
	uint32_t drain_to;	      /**< `tail` when the command came */
	struct dsa_batch batch;	      /**< the descriptor at `head`, if it is one */
};

/** The command that is not done yet. */
struct dsa_pending {
	uint8_t cmd; /**< 0: none */
	bool wants_int;
	uint32_t wqs; /**< mask: those that it waits for */
};

/** A function. `lock` guards all but what says otherwise. */
struct dsa {
	struct sv_dev *dev;
	struct dsa_bar0 *bar; /**< the driver sees it too */
	pthread_mutex_t lock;
	_Atomic unsigned int waiting; /**< threads that want the lock */
	pthread_mutex_t err_lock;     /**< guards swerr and intcause; the innermost */
	enum dsa_dev_state state;
	struct dsa_pending pending;
	unsigned int turn; /**< the work queue that is looked at first */
	struct dsa_wq wq[DSA_NR_WQS];
};

/** Registers are memory that the driver reads at will: each access is one. */
#define dsa_load(r) __atomic_load_n(&(r), __ATOMIC_ACQUIRE)
#define dsa_store_reg(r, v) __atomic_store_n(&(r), (v), __ATOMIC_RELEASE)

/** Where something went wrong that no completion record can tell. */
struct dsa_report {
	uint8_t error;
	unsigned int wq;		/**< DSA_NR_WQS: none */
	const struct dsa_hw_desc *desc; /**< NULL: none */
	bool in_batch;
	uint32_t batch_index;
	uint64_t fault;
};

/** Note an error in swerr. Any lock may be held but err_lock. */
void dsa_report(struct dsa *s, const struct dsa_report *r);

/** Note a cause of interrupts. With err_lock. */
void dsa_cause(struct dsa *s, uint32_t what);

/** As after power-on: nothing is under way, no command either. */
void dsa_power_on(struct dsa *s);

/** Abandon what work queues have, disable them, take back their configuration. */
void dsa_wqs_reset(struct dsa *s);

/** Enter a state and show it. */
void dsa_state_set(struct dsa *s, enum dsa_dev_state state);

/** A store to the command register. */
void dsa_command(struct dsa *s, uint32_t value);

/**
 * Carry out the next descriptor of the next work queue that has one.
 *
 * @param wait  Nanoseconds that it is held back, as sv_model.run(); 0: it is done.
 * @return false: no work queue has any.
 */
bool dsa_step(struct dsa *s, uint64_t *wait);

/** The same of one work queue that has one. @return what dsa_step() waits. */
uint64_t dsa_work(struct dsa *s, struct dsa_wq *q);

#endif /* SV_DSA_H */
