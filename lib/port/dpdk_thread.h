/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef DPDK_THREAD_H
#define DPDK_THREAD_H
/*
 * EAL's control threads, which run beside the lcores' CPUs where there are others.
 * DPDK 23.11 moved them from pthread_t to rte_thread_t, with another type of
 * function; here they are pthreads in all releases. Not installed.
 */
#include <pthread.h>
#include <stdint.h>

#include <rte_lcore.h>
#include <rte_thread.h>
#include <rte_version.h>

/* What a control thread's function returns: 0, whichever type it is. */
#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
typedef uint32_t dpdk_thread_ret;
#else
typedef void *dpdk_thread_ret;
#endif

/*
 * Start one. The name has at most 15 characters. The caller joins it with
 * pthread_join(). Returns 0, or -errno of pthread_create(); then *id is not set.
 */
static inline int
dpdk_control_thread(pthread_t *id, const char *name, dpdk_thread_ret (*fn)(void *),
		    void *arg)
{
	int ret;
#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
	rte_thread_t thread;

	ret = rte_thread_create_control(&thread, name, fn, arg);
	if (ret == 0)
		*id = (pthread_t)thread.opaque_id;
#else
	ret = rte_ctrl_thread_create(id, name, NULL, fn, arg);
#endif
	/* some releases answer errno, some -errno */
	return ret > 0 ? -ret : ret;
}

#endif /* DPDK_THREAD_H */
