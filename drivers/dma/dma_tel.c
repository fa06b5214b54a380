/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters of dma_weir beyond dmadev's three, through telemetry and rte_dma_dump:
 *
 *     /weir/dma_weir               the devices' names
 *     /weir/dma_weir,NAME,VCHAN    one vchan's counters
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <rte_common.h>
#include <rte_telemetry.h>

#include "dma_weir.h"
#include "tel.h"
#include "weir_args.h"

static pthread_mutex_t tel_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct wdma_dev *tel_devices; /* guarded by tel_mutex */

struct counter {
	const char *name;
	uint64_t value;
};

#define NR_COUNTERS 11

static void
read_counters(const struct wdma_vchan *vc, struct counter out[NR_COUNTERS])
{
	const struct counter c[NR_COUNTERS] = {
		{ "descriptors", vc->ring != NULL ? vc->mask + UINT64_C(1) : 0 },
		{ "submitted", wdma_read(&vc->submitted) },
		{ "executed", wdma_read(&vc->executed) },
		{ "completed", wdma_read(&vc->completed) },
		{ "in_flight", wdma_read(&vc->submitted) - wdma_read(&vc->completed) },
		{ "errors", wdma_read(&vc->errors) },
		{ "bytes", wdma_read(&vc->bytes) },
		{ "faults", wdma_read(&vc->faults) },
		{ "fault_iova", wdma_read(&vc->fault_iova) },
		{ "injected", wdma_read(&vc->injected) },
		{ "stalled", vc->conf != NULL && vc->conf->stall_after != 0 &&
				     wdma_read(&vc->executed) >= vc->conf->stall_after },
	};

	memcpy(out, c, sizeof(c));
}

void
wdma_tel_lock(void)
{
	pthread_mutex_lock(&tel_mutex);
}

void
wdma_tel_unlock(void)
{
	pthread_mutex_unlock(&tel_mutex);
}

void
wdma_tel_add(struct wdma_dev *d)
{
	wdma_tel_lock();
	d->next = tel_devices;
	tel_devices = d;
	wdma_tel_unlock();
}

void
wdma_tel_remove(struct wdma_dev *d)
{
	struct wdma_dev **p;

	wdma_tel_lock();
	for (p = &tel_devices; *p != NULL; p = &(*p)->next) {
		if (*p == d) {
			*p = d->next;
			break;
		}
	}
	wdma_tel_unlock();
}

void
wdma_tel_dump(const struct wdma_dev *d, FILE *f)
{
	struct counter c[NR_COUNTERS];

	fprintf(f, "  mode: %s, cpu %d, delay %" PRIu64 " us%s\n",
		d->conf.thread ? "thread" : "inline", d->conf.cpu, d->conf.delay_us,
		d->conf.reorder ? ", reorder" : "");
	for (uint16_t i = 0; i < d->nr_vchans; i++) {
		read_counters(&d->vchans[i], c);
		fprintf(f, "  vchan %u:", i);
		for (unsigned int j = 0; j < NR_COUNTERS; j++)
			fprintf(f, " %s %" PRIu64, c[j].name, c[j].value);
		fprintf(f, "\n");
	}
}

/* "NAME,VCHAN"; under the lock. */
static const struct wdma_vchan *
find_vchan(const char *params)
{
	const char *comma = strrchr(params, ',');
	const struct wdma_dev *d;
	uint64_t vchan;

	if (comma == NULL || weir_arg_number(comma + 1, 0, UINT16_MAX, &vchan) != 0)
		return NULL;
	for (d = tel_devices; d != NULL; d = d->next)
		if (strlen(d->name) == (size_t)(comma - params) &&
		    memcmp(d->name, params, (size_t)(comma - params)) == 0)
			return vchan < d->nr_vchans ? &d->vchans[vchan] : NULL;
	return NULL;
}

static int
answer_devices(struct rte_tel_data *data)
{
	rte_tel_data_start_array(data, RTE_TEL_STRING_VAL);
	wdma_tel_lock();
	for (const struct wdma_dev *d = tel_devices; d != NULL; d = d->next)
		rte_tel_data_add_array_string(data, d->name);
	wdma_tel_unlock();
	return 0;
}

static int
answer(const char *cmd __rte_unused, const char *params, struct rte_tel_data *data)
{
	struct counter c[NR_COUNTERS];
	const struct wdma_vchan *vc;

	if (params == NULL || *params == '\0')
		return answer_devices(data);
	wdma_tel_lock();
	vc = find_vchan(params);
	if (vc != NULL)
		read_counters(vc, c);
	wdma_tel_unlock();
	if (vc == NULL)
		return -ENOENT;
	rte_tel_data_start_dict(data);
	for (unsigned int i = 0; i < NR_COUNTERS; i++)
		tel_add_u64(data, c[i].name, c[i].value);
	return 0;
}

RTE_INIT(wdma_tel_init)
{
	rte_telemetry_register_cmd("/weir/dma_weir", answer,
				   "dma_weir engines; with NAME,VCHAN one's counters");
}
