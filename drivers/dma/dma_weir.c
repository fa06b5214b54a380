/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <bus_vdev_driver.h>

#include "dma_weir.h"
#include "weir_args.h"
#include "weir_copy.h"
#include "weir_fail.h"

RTE_LOG_REGISTER(wdma_logtype, pmd.dma.weir, NOTICE);

static int
dma_info_get(const struct rte_dma_dev *dev __rte_unused, struct rte_dma_info *info,
	     uint32_t info_sz __rte_unused)
{
	info->dev_capa = RTE_DMA_CAPA_MEM_TO_MEM | RTE_DMA_CAPA_HANDLES_ERRORS |
			 RTE_DMA_CAPA_OPS_COPY | RTE_DMA_CAPA_OPS_COPY_SG |
			 RTE_DMA_CAPA_OPS_FILL;
	info->max_vchans = WDMA_MAX_VCHANS;
	info->min_desc = 1;
	info->max_desc = WDMA_MAX_DESC;
	info->max_sges = WDMA_MAX_SGES;
	return 0;
}

static void
vchan_release(struct wdma_vchan *vc)
{
	free(vc->ring);
	free(vc->sges);
	free(vc->due);
	vc->ring = NULL;
	vc->sges = NULL;
	vc->due = NULL;
}

static void
vchans_replace(struct wdma_dev *d, struct wdma_vchan *vchans, uint16_t nr)
{
	struct wdma_vchan *old = d->vchans;
	uint16_t nr_old = d->nr_vchans;

	wdma_tel_lock();
	d->vchans = vchans;
	d->nr_vchans = nr;
	wdma_tel_unlock();
	for (uint16_t i = 0; i < nr_old; i++)
		vchan_release(&old[i]);
	free(old);
}

static int
dma_configure(struct rte_dma_dev *dev, const struct rte_dma_conf *conf,
	      uint32_t conf_sz __rte_unused)
{
	struct wdma_dev *d = dev->data->dev_private;
	struct wdma_vchan *vchans;

	vchans = weir_zalloc_aligned(_Alignof(struct wdma_vchan),
				     conf->nb_vchans * sizeof(*vchans));
	if (vchans == NULL)
		return -ENOMEM;
	for (uint16_t i = 0; i < conf->nb_vchans; i++)
		vchans[i].conf = &d->conf;
	vchans_replace(d, vchans, conf->nb_vchans);
	return 0;
}

static enum wdma_run_at
run_at(const struct wdma_conf *conf)
{
	if (conf->thread)
		return WDMA_RUN_IN_WORKER;
	return conf->delay_us != 0 ? WDMA_RUN_AT_POLL : WDMA_RUN_AT_DOORBELL;
}

static int
dma_vchan_setup(struct rte_dma_dev *dev, uint16_t vchan,
		const struct rte_dma_vchan_conf *conf, uint32_t conf_sz __rte_unused)
{
	struct wdma_dev *d = dev->data->dev_private;
	uint32_t nr = rte_align32pow2(conf->nb_desc);
	struct wdma_vchan *vc = &d->vchans[vchan];
	struct wdma_vchan fresh = { .conf = &d->conf };

	fresh.ring = weir_zalloc_aligned(64, nr * sizeof(*fresh.ring));
	/* 1 KiB a slot, which only those who use copy_sg touch */
	fresh.sges = weir_calloc(nr, 2 * WDMA_MAX_SGES * sizeof(*fresh.sges));
	if (d->conf.delay_us != 0)
		fresh.due = weir_calloc(nr, sizeof(*fresh.due));
	if (fresh.ring == NULL || fresh.sges == NULL ||
	    (d->conf.delay_us != 0 && fresh.due == NULL)) {
		vchan_release(&fresh);
		return -ENOMEM;
	}
	vchan_release(vc);
	vc->ring = fresh.ring;
	vc->sges = fresh.sges;
	vc->due = fresh.due;
	vc->mask = (uint16_t)(nr - 1);
	vc->run_at = run_at(&d->conf);
	vc->delay_tsc = d->conf.delay_us * (rte_get_tsc_hz() / 1000000);
	return 0;
}

/* As after vchan_setup, but for the counters that run on. */
static void
vchan_rewind(struct wdma_vchan *vc)
{
	vc->head = 0;
	vc->tail = 0;
	vc->errors_seen = 0;
	vc->failed = false;
	vc->skip = false;
	atomic_store_explicit(&vc->doorbell, 0, memory_order_relaxed);
	atomic_store_explicit(&vc->done, 0, memory_order_relaxed);
	atomic_store_explicit(&vc->errors_done, 0, memory_order_relaxed);
	atomic_store_explicit(&vc->executed, 0, memory_order_relaxed);
}

static int
dma_start(struct rte_dma_dev *dev)
{
	struct wdma_dev *d = dev->data->dev_private;
	int ret;

	for (uint16_t i = 0; i < d->nr_vchans; i++) {
		if (d->vchans[i].ring == NULL) {
			WDMA_LOG(ERR, "%s: vchan %u was not set up", d->name, i);
			return -EINVAL;
		}
	}
	for (uint16_t i = 0; i < d->nr_vchans; i++) {
		vchan_rewind(&d->vchans[i]);
		weir_sim_attach(weir_space_sim(d->space), &d->vchans[i].sim);
	}
	if (d->conf.thread) {
		ret = wdma_worker_start(d);
		if (ret != 0)
			goto err_detach;
	}
	d->nr_open = d->nr_vchans;
	return 0;

err_detach:
	for (uint16_t i = 0; i < d->nr_vchans; i++)
		weir_sim_detach(&d->vchans[i].sim);
	return ret;
}

static int
dma_stop(struct rte_dma_dev *dev)
{
	struct wdma_dev *d = dev->data->dev_private;

	d->nr_open = 0;
	if (d->conf.thread)
		wdma_worker_stop(d);
	for (uint16_t i = 0; i < d->nr_vchans; i++) {
		wdma_ring_abort(&d->vchans[i]);
		weir_sim_detach(&d->vchans[i].sim);
	}
	return 0;
}

static int
dma_close(struct rte_dma_dev *dev)
{
	struct wdma_dev *d = dev->data->dev_private;

	weir_copy_set_reach(dev->data->dev_id, false);
	/* it is stopped already: lcores are to be out before the rings are freed */
	weir_copy_unplug(d->name);
	wdma_tel_remove(d);
	vchans_replace(d, NULL, 0);
	weir_space_put(d->space);
	return 0;
}

static void
add_stats(const struct wdma_vchan *vc, struct rte_dma_stats *stats)
{
	stats->submitted += wdma_read(&vc->submitted) - vc->base.submitted;
	stats->completed += wdma_read(&vc->completed) - vc->base.completed;
	stats->errors += wdma_read(&vc->errors) - vc->base.errors;
}

static int
dma_stats_get(const struct rte_dma_dev *dev, uint16_t vchan, struct rte_dma_stats *stats,
	      uint32_t stats_sz __rte_unused)
{
	const struct wdma_dev *d = dev->data->dev_private;

	for (uint16_t i = 0; i < d->nr_vchans; i++)
		if (vchan == RTE_DMA_ALL_VCHAN || vchan == i)
			add_stats(&d->vchans[i], stats);
	return 0;
}

/* The lcore goes on counting: what it has counted so far is taken off. */
static int
dma_stats_reset(struct rte_dma_dev *dev, uint16_t vchan)
{
	struct wdma_dev *d = dev->data->dev_private;

	for (uint16_t i = 0; i < d->nr_vchans; i++) {
		if (vchan != RTE_DMA_ALL_VCHAN && vchan != i)
			continue;
		d->vchans[i].base = (struct rte_dma_stats){
			.submitted = wdma_read(&d->vchans[i].submitted),
			.completed = wdma_read(&d->vchans[i].completed),
			.errors = wdma_read(&d->vchans[i].errors),
		};
	}
	return 0;
}

/*
 * Where polls execute (inline with a delay) this is one: whoever waits for the
 * vchan to become idle would otherwise wait for ever. It then belongs to the
 * vchan's lcore, as the other calls do.
 */
static int
dma_vchan_status(const struct rte_dma_dev *dev, uint16_t vchan,
		 enum rte_dma_vchan_status *status)
{
	const struct wdma_dev *d = dev->data->dev_private;
	struct wdma_vchan *vc = &d->vchans[vchan];

	if (vc->run_at == WDMA_RUN_AT_POLL)
		wdma_run(vc, WDMA_MAX_DESC);
	*status =
		atomic_load_explicit(&vc->done, memory_order_acquire) ==
				atomic_load_explicit(&vc->doorbell, memory_order_acquire)
			? RTE_DMA_VCHAN_IDLE
			: RTE_DMA_VCHAN_ACTIVE;
	return 0;
}

static int
dma_dump(const struct rte_dma_dev *dev, FILE *f)
{
	wdma_tel_dump(dev->data->dev_private, f);
	return 0;
}

static const struct rte_dma_dev_ops dma_ops = {
	.dev_info_get = dma_info_get,
	.dev_configure = dma_configure,
	.dev_start = dma_start,
	.dev_stop = dma_stop,
	.dev_close = dma_close,
	.vchan_setup = dma_vchan_setup,
	.stats_get = dma_stats_get,
	.stats_reset = dma_stats_reset,
	.vchan_status = dma_vchan_status,
	.dev_dump = dma_dump,
};

static int
set_mode(const char *value, void *ctx)
{
	struct wdma_conf *c = ctx;

	c->thread = strcmp(value, "thread") == 0;
	return c->thread || strcmp(value, "inline") == 0 ? 0 : -EINVAL;
}

static int
set_cpu(const char *value, void *ctx)
{
	struct wdma_conf *c = ctx;
	uint64_t cpu;
	int ret = weir_arg_number(value, 0, CPU_SETSIZE - 1, &cpu);

	if (ret == 0)
		c->cpu = (int)cpu;
	return ret;
}

static int
set_reorder(const char *value, void *ctx)
{
	struct wdma_conf *c = ctx;
	uint64_t on;
	int ret = weir_arg_number(value, 0, 1, &on);

	if (ret == 0)
		c->reorder = on != 0;
	return ret;
}

static int
set_delay(const char *value, void *ctx)
{
	return weir_arg_number(value, 0, 10000000, &((struct wdma_conf *)ctx)->delay_us);
}

static int
set_fail_nth(const char *value, void *ctx)
{
	return weir_arg_number(value, 0, UINT64_MAX,
			       &((struct wdma_conf *)ctx)->fail_nth);
}

static int
set_fail_at(const char *value, void *ctx)
{
	struct wdma_conf *c = ctx;

	c->fail_turn = strcmp(value, "turn") == 0;
	return c->fail_turn ? 0
			    : weir_arg_number(value, 0, WDMA_MAX_DESC - 1, &c->fail_at);
}

static int
set_fail_code(const char *value, void *ctx)
{
	struct wdma_conf *c = ctx;
	uint64_t code;
	int ret = weir_arg_number(value, 1, RTE_DMA_STATUS_ERROR_UNKNOWN, &code);

	if (ret == 0)
		c->fail_code = (uint16_t)code;
	return ret;
}

static int
set_halt(const char *value, void *ctx)
{
	struct wdma_conf *c = ctx;
	uint64_t on;
	int ret = weir_arg_number(value, 0, 1, &on);

	if (ret == 0)
		c->halt = on != 0;
	return ret;
}

static int
set_stall_after(const char *value, void *ctx)
{
	return weir_arg_number(value, 0, UINT64_MAX,
			       &((struct wdma_conf *)ctx)->stall_after);
}

static const struct weir_arg dma_args[] = {
	{ "mode", "'inline' or 'thread'", set_mode },
	{ "lcore", "the number of a CPU", set_cpu },
	{ "delay_us", "microseconds, at most 10 s", set_delay },
	{ "fail_nth", "a number of jobs", set_fail_nth },
	{ "fail_at", "'turn' or a place in a batch, from 0 to 32767", set_fail_at },
	{ "fail_code", "a number of enum rte_dma_status_code, from 1 to 256",
	  set_fail_code },
	{ "halt", "0 or 1", set_halt },
	{ "reorder", "0 or 1", set_reorder },
	{ "stall_after", "a number of jobs", set_stall_after },
};

static int
parse_args(const char *name, const char *args, struct wdma_conf *conf)
{
	char why[160];
	int ret;

	*conf = (struct wdma_conf){ .cpu = -1, .fail_at = UINT64_MAX };
	ret = weir_args_parse(args, dma_args, RTE_DIM(dma_args), conf, why, sizeof(why));
	if (ret != 0) {
		WDMA_LOG(ERR, "%s: %s", name, why);
		return ret;
	}
	if (conf->cpu >= 0 && !conf->thread) {
		WDMA_LOG(ERR, "%s: argument 'lcore=%d': only with mode=thread", name,
			 conf->cpu);
		return -EINVAL;
	}
	if (conf->fail_nth == 0 && conf->fail_at == UINT64_MAX && !conf->fail_turn)
		conf->fail_code = 0;
	else if (conf->fail_code == 0)
		conf->fail_code = RTE_DMA_STATUS_BUS_ERROR;
	return 0;
}

static int
dma_probe(struct rte_vdev_device *vdev)
{
	const char *name = rte_vdev_device_name(vdev);
	struct rte_dma_dev *dev;
	struct wdma_conf conf;
	struct wdma_dev *d;
	int ret;

	/* no failure: EAL would take the device from the primary, too */
	if (rte_eal_process_type() != RTE_PROC_PRIMARY) {
		WDMA_LOG(NOTICE, "%s: works in a primary process only", name);
		return 0;
	}
	ret = parse_args(name, rte_vdev_device_args(vdev), &conf);
	if (ret != 0)
		return ret;
	dev = rte_dma_pmd_allocate(name, (int)rte_socket_id(), sizeof(*d));
	if (dev == NULL) {
		WDMA_LOG(ERR, "%s: no dmadev to be had", name);
		return -ENOMEM;
	}
	/* at once: whoever knows its name can ask for what it is */
	dev->dev_ops = &dma_ops;
	d = dev->data->dev_private;
	d->conf = conf;
	snprintf(d->name, sizeof(d->name), "%s", name);
	ret = weir_space_get(&d->space);
	if (ret != 0) {
		WDMA_LOG(ERR, "%s: no address space: %s", name, rte_strerror(-ret));
		goto err_release;
	}
	dev->device = &vdev->device;
	dev->fp_obj->dev_private = d;
	wdma_ring_set_fp(dev->fp_obj);
	wdma_tel_add(d);
	dev->state = RTE_DMA_DEV_READY;
	/* last: whoever has waited for it takes it now */
	weir_copy_set_reach(dev->data->dev_id, true);
	return 0;

err_release:
	rte_dma_pmd_release(name);
	return ret;
}

static int
dma_remove(struct rte_vdev_device *vdev)
{
	const char *name = rte_vdev_device_name(vdev);
	int id = rte_dma_get_dev_id_by_name(name);
	struct wdma_dev *d;

	if (rte_eal_process_type() != RTE_PROC_PRIMARY)
		return 0;
	if (id < 0)
		return 0; /* closed by the application */
	weir_copy_unplug(name);
	/* closing refuses a device that runs, and removal takes no refusal */
	d = rte_dma_fp_objs[id].dev_private;
	if (d->nr_open != 0)
		rte_dma_stop((int16_t)id);
	return rte_dma_pmd_release(name);
}

static struct rte_vdev_driver dma_weir_drv = {
	.probe = dma_probe,
	.remove = dma_remove,
};

RTE_PMD_REGISTER_VDEV(dma_weir, dma_weir_drv);
RTE_PMD_REGISTER_PARAM_STRING(dma_weir,
			      "mode=inline|thread lcore=<cpu> delay_us=<us> "
			      "fail_nth=<jobs> fail_at=<place>|turn fail_code=<status> "
			      "halt=0|1 reorder=0|1 stall_after=<jobs>");
