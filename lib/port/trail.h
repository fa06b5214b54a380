/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef WEIR_PORT_TRAIL_H
#define WEIR_PORT_TRAIL_H
/*
 * Where an lcore looks next.
 *
 * What a burst looks at first is what a guest has written on another CPU, and
 * there is nothing to do until it is here. Of the frames of one burst all are asked
 * for at once; where an lcore polls many queues, a few frames in each, it waits
 * once a queue.
 *
 * But it polls them in the same order again and again. So each lcore notes, when it
 * leaves a queue, under the queue that it was in before, where the next burst here
 * will look; and asks for that when it is in that one again, a burst ahead. If the
 * order changes it has asked for a line too many. A queue in which there was nothing
 * to do leaves no note: it is passed over.
 *
 * Only addresses are kept, and nothing is read from them: the queue, or the guest's
 * memory, may be gone meanwhile.
 */
#include <stddef.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>

/* Queues that are told apart; others share a place. */
#define TRAIL_QUEUES 64u

struct trail {
	struct trail_place {
		const void *line[2]; /* to be asked for there */
	} place[TRAIL_QUEUES];
	uint8_t last; /* the place of the queue that was left last */
} __rte_cache_aligned;

/* This thread's; NULL: it is no lcore, or was in no queue yet. One pointer, which
 * there is room for in a process that loads this library late. */
extern __thread struct trail *trail_here __attribute__((tls_model("initial-exec")));

/* Find it. NULL: it is no lcore. */
struct trail *trail_find(void);

/* A place for one more queue. */
uint8_t trail_place(void);

/* The lcore comes into a queue: ask for what it looks at in the next. */
static __rte_always_inline struct trail *
trail_enter(uint8_t place)
{
	struct trail *t = trail_here;

	if (unlikely(t == NULL))
		t = trail_find();
	if (likely(t != NULL)) {
		__builtin_prefetch(t->place[place].line[0]);
		__builtin_prefetch(t->place[place].line[1]);
	}
	return t;
}

/* It leaves, and will look there when it comes again. */
static __rte_always_inline void
trail_leave(struct trail *t, uint8_t place, const void *first, const void *second)
{
	if (unlikely(t == NULL))
		return;
	t->place[t->last].line[0] = first;
	t->place[t->last].line[1] = second;
	t->last = place;
}

#endif /* WEIR_PORT_TRAIL_H */
