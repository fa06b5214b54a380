/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DMA_WEIR_H
#define DMA_WEIR_H
/*
 * dma_weir: a DMA engine in software, as a dmadev.
 *
 * It copies with the CPU, but sees memory as a device does: every address is an
 * iova of the process's space (weir_space.h) and is translated, inside a
 * section, before it touches anything. A source must be readable and a
 * destination writable; an iova that is not mapped, or not so, is a fault: the
 * job fails, the fault is counted, and no byte is written outside mapped
 * memory. So what works on it works behind an IOMMU, and what would fault there
 * faults here.
 *
 * A vchan is a ring of descriptors with four indexes that only ever grow,
 * modulo 2^16 (a ring has at most 2^15 slots, so differences are unambiguous):
 *
 *     tail <= done <= doorbell <= head
 *      |       |        |          '- next to be enqueued      } its lcore
 *      |       |        '- handed to the engine                } its lcore
 *      |       '- next to be executed                          } the engine
 *      '- next to be reported                                  } its lcore
 *
 * The engine is the lcore itself (mode=inline), within submit or, when a delay
 * is asked for, within the calls that look for completions; or one thread a
 * device that serves all its vchans (mode=thread). Nothing on these paths takes
 * a lock, allocates or logs. Vchans share no written cache line.
 *
 * Jobs are reported in order; they are executed in order as well unless
 * reorder=1, which executes the jobs between two fences backwards. A fence
 * after a failed job of the same batch (the jobs between two doorbells) skips
 * the rest of the batch, as NOT_ATTEMPTED.
 */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <rte_branch_prediction.h>
#include <rte_dmadev_pmd.h>
#include <rte_log.h>

#include "weir_sim.h"
#include "weir_space.h"

#define WDMA_MAX_VCHANS 64
#define WDMA_MAX_DESC 32768
#define WDMA_MAX_SGES 32

extern int wdma_logtype;
#define WDMA_LOG(level, fmt, ...) \
	rte_log(RTE_LOG_##level, wdma_logtype, "dma_weir: " fmt "\n", ##__VA_ARGS__)

enum wdma_op { WDMA_COPY, WDMA_COPY_SG, WDMA_FILL };

#define WDMA_DESC_BATCH 0x1 /* first job after a doorbell */
#define WDMA_DESC_FENCE 0x2 /* all jobs before it first */

struct wdma_desc {
	uint64_t src; /* iova; the pattern of a fill; unused by copy_sg */
	uint64_t dst; /* iova */
	uint32_t len;
	uint16_t status; /* enum rte_dma_status_code, written by the engine */
	uint8_t op;
	uint8_t flags;
	uint16_t nr_src; /* entries of copy_sg, in wdma_vchan.sges */
	uint16_t nr_dst;
	uint16_t pos; /* in its batch */
};
static_assert(sizeof(struct wdma_desc) == 32, "two descriptors a cache line");

/* What an engine is asked to be, from the device's arguments. */
struct wdma_conf {
	bool thread;	      /* a thread executes, not the lcore */
	int cpu;	      /* where the thread is pinned; -1: not */
	bool reorder;	      /* backwards between fences */
	uint64_t delay_us;    /* from doorbell to execution */
	uint64_t fail_nth;    /* every n-th job fails; 0: none */
	uint64_t fail_at;     /* so does the one here in each batch; UINT64_MAX: none */
	bool fail_turn;	      /* ... each batch has it one further on, of 32 */
	uint16_t fail_code;   /* enum rte_dma_status_code, what it fails with */
	bool halt;	      /* and the rest of its batch is not attempted */
	uint64_t stall_after; /* no job after so many since start; 0: never */
};

/* Counters have one writer each; anybody may read them. */
typedef _Atomic uint64_t wdma_counter;

static inline void
wdma_count(wdma_counter *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static inline uint64_t
wdma_read(const wdma_counter *c)
{
	return atomic_load_explicit((wdma_counter *)(uintptr_t)c, memory_order_relaxed);
}

/* Who runs a vchan's jobs, and when. */
enum wdma_run_at {
	WDMA_RUN_AT_DOORBELL, /* the lcore, within submit */
	WDMA_RUN_AT_POLL,     /* the lcore, when due, looking for completions */
	WDMA_RUN_IN_WORKER,
};

/* A group of fields begins a cache line where another thread writes it. */
struct wdma_vchan {
	/* set up before start, then only read */
	_Alignas(64) struct wdma_desc *ring;
	struct rte_dma_sge *sges; /* 2 * WDMA_MAX_SGES a slot, sources first */
	uint64_t *due;		  /* TSC at which a slot may run; NULL: no delay */
	uint64_t delay_tsc;
	const struct wdma_conf *conf;
	enum wdma_run_at run_at;
	uint16_t mask;

	/* the lcore's */
	_Alignas(64) uint16_t head;
	uint16_t tail;
	uint64_t errors_seen; /* of errors_done, how many were reported */
	wdma_counter submitted;
	wdma_counter completed;
	wdma_counter errors;

	/* the lcore tells the engine */
	_Alignas(64) _Atomic uint16_t doorbell;

	/* the engine tells the lcore */
	_Alignas(64) _Atomic uint16_t done;
	wdma_counter errors_done; /* statuses other than success, up to done */

	/* the engine's */
	_Alignas(64) wdma_counter executed; /* since start */
	wdma_counter bytes;		    /* written by jobs that succeeded */
	wdma_counter injected;		    /* failed by fail_nth, fail_at */
	wdma_counter faults;		    /* translations refused */
	wdma_counter fault_iova;	    /* the last one */
	bool failed;			    /* a job of this batch */
	bool skip;			    /* and a fence came after it */
	uint32_t batch;			    /* number of this one */
	struct weir_sim_dev sim;

	/* the control plane's: what stats_reset left behind */
	_Alignas(64) struct rte_dma_stats base;
};

/* The device's private data. */
struct wdma_dev {
	struct wdma_vchan *vchans; /* nr_vchans, 64-byte aligned */
	uint16_t nr_vchans;
	uint16_t nr_open; /* those that take jobs: nr_vchans, or 0 when stopped */
	struct wdma_conf conf;
	struct weir_space *space;
	pthread_t worker;
	_Atomic bool worker_stop;
	char name[RTE_DEV_NAME_MAX_LEN];
	struct wdma_dev *next; /* guarded by the telemetry's lock */
};

/*
 * dma_exec.c: the engine. Run up to @max of the jobs handed over; returns how
 * many. One thread a vchan at a time: the lcore or the worker.
 */
unsigned int wdma_run(struct wdma_vchan *vc, unsigned int max);

/* dma_worker.c: the engine's thread. 0 or -errno, with the cause logged. */
int wdma_worker_start(struct wdma_dev *d);
void wdma_worker_stop(struct wdma_dev *d);

/* dma_ring.c: what lcores call. */
void wdma_ring_set_fp(struct rte_dma_fp_object *fp);

/* Jobs not executed yet are aborted: nothing touches memory for them. */
void wdma_ring_abort(struct wdma_vchan *vc);

/*
 * dma_tel.c: counters. The list of devices and every device's array of vchans
 * may change only under its lock, since telemetry reads them.
 */
void wdma_tel_lock(void);
void wdma_tel_unlock(void);
void wdma_tel_add(struct wdma_dev *d);
void wdma_tel_remove(struct wdma_dev *d);
void wdma_tel_dump(const struct wdma_dev *d, FILE *f);

#endif /* DMA_WEIR_H */
