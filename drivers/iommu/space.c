/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_lcore.h>

#include "space_impl.h"
#include "weir_copy.h"
#include "weir_fail.h"
#include "weir_log.h"
#include "weir_map_memory.h"

/* The process's space, and how many hold it. */
static struct {
	pthread_mutex_t lock; /* guards the rest */
	struct weir_space *space;
	unsigned int refs;
} process = { .lock = PTHREAD_MUTEX_INITIALIZER };

/*
 * A mirror over the model, which it shares with another. Its tables are on the node
 * of whoever makes the space, which is where the devices are that it is made for, and
 * not where the control thread is at the time.
 */
static int
mirror_over_sim(struct weir_space *s, const char *name, struct space_side *side,
		const struct space_side *other, struct weir_mirror **out)
{
	int ret = weir_mirror_create(name, out);

	if (ret != 0)
		return ret;
	/* where that cannot be had, or is not known (-1), they are where they are */
	(void)weir_map_set_node(weir_mirror_table(*out), (int)rte_socket_id());
	*side = (struct space_side){ &weir_sim_ops, s->sim, other, 0 };
	ret = weir_mirror_attach(*out, &space_side_ops, side);
	if (ret != 0)
		weir_mirror_destroy(*out);
	return ret;
}

/*
 * EAL does not tell a secondary process what kind of IOMMU a container has, so that
 * what it maps through EAL goes nowhere; and two processes that map their own memory
 * at the same addresses in one container are in each other's way.
 */
static bool
process_may(void)
{
	if (rte_eal_process_type() == RTE_PROC_PRIMARY)
		return true;
	weir_log(WEIR_LOG_ERR, "%s: a secondary process has no DMA address space",
		 SPACE_NAME);
	return false;
}

static int
space_create(struct weir_space **out)
{
	struct weir_space *s;
	int ret;

	if (!process_may())
		return -ENOTSUP;
	s = weir_zalloc(sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	pthread_mutex_init(&s->engines_lock, NULL);
	ret = weir_sim_create(WEIR_SIM_TYPE1_V1, &s->sim);
	if (ret != 0)
		goto err_free;
	ret = mirror_over_sim(s, "space", &s->sim_side, &s->sim_eal_side, &s->mirror);
	if (ret != 0)
		goto err_sim;
	ret = mirror_over_sim(s, "space/eal", &s->sim_eal_side, &s->sim_side, &s->eal);
	if (ret != 0)
		goto err_mirror;
	ret = space_eal_follow(s);
	if (ret != 0)
		goto err_eal;
	weir_copy_set_rejoin(space_engine_rejoin, s);
	*out = s;
	return 0;

err_eal:
	weir_mirror_destroy(s->eal);
err_mirror:
	weir_mirror_destroy(s->mirror);
err_sim:
	weir_sim_destroy(s->sim);
err_free:
	pthread_mutex_destroy(&s->engines_lock);
	free(s);
	return ret;
}

static void
space_destroy(struct weir_space *s)
{
	assert(s->engines == NULL);
	weir_copy_set_rejoin(NULL, NULL);
	space_eal_leave(s);
	weir_mirror_destroy(s->eal);
	weir_mirror_destroy(s->mirror);
	weir_sim_destroy(s->sim);
	pthread_mutex_destroy(&s->engines_lock);
	free(s);
}

int
weir_space_get(struct weir_space **out)
{
	int ret = 0;

	pthread_mutex_lock(&process.lock);
	if (process.space == NULL)
		ret = space_create(&process.space);
	if (ret == 0) {
		process.refs++;
		*out = process.space;
	}
	pthread_mutex_unlock(&process.lock);
	return ret;
}

struct weir_space *
weir_space_peek(void)
{
	struct weir_space *s;

	pthread_mutex_lock(&process.lock);
	s = process.space;
	process.refs += s != NULL;
	pthread_mutex_unlock(&process.lock);
	return s;
}

void
weir_space_put(struct weir_space *s)
{
	if (s == NULL)
		return;
	pthread_mutex_lock(&process.lock);
	assert(s == process.space && process.refs != 0);
	if (--process.refs == 0) {
		process.space = NULL;
		space_destroy(s);
	}
	pthread_mutex_unlock(&process.lock);
}

struct weir_mirror *
weir_space_mirror(struct weir_space *s)
{
	return s->mirror;
}

struct weir_sim *
weir_space_sim(struct weir_space *s)
{
	return s->sim;
}

uint64_t
weir_space_failures(struct weir_space *s)
{
	return atomic_load_explicit(&s->failures, memory_order_relaxed);
}
