/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * /weir/copy         the dmadevs that are in use, in short
 * /weir/copy,NAME    one of them, with each channel that somebody uses
 *
 * Answered on telemetry's thread under the devices' lock, which is held for as long
 * as a device takes to stop, and by no lcore.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_telemetry.h>

#include "copy_impl.h"
#include "tel.h"

static const char *const health_name[] = {
	[COPY_UP] = "up",	  [COPY_STOPPING] = "stopping", [COPY_DOWN] = "down",
	[COPY_PROBED] = "probed", [COPY_GONE] = "gone",
};

/* What is counted of channels, of one or of all that a device has. */
struct counts {
	uint64_t submitted, done, errors;
	uint64_t oldest; /* timer cycles since a channel's copies last moved */
};

static void
count(struct counts *sum, const struct copy_vchan *v, uint64_t now)
{
	uint64_t done = __atomic_load_n(&v->chan.done, __ATOMIC_ACQUIRE);
	uint64_t submitted = __atomic_load_n(&v->chan.submitted, __ATOMIC_RELAXED);

	sum->done += done;
	sum->submitted += submitted;
	sum->errors += __atomic_load_n(&v->chan.errors, __ATOMIC_RELAXED);
	if (submitted != done && now > v->since && now - v->since > sum->oldest)
		sum->oldest = now - v->since;
}

static void
add_counts(struct rte_tel_data *t, const struct counts *c)
{
	tel_add_u64(t, "submitted", c->submitted);
	tel_add_u64(t, "in_flight", c->submitted - c->done);
	tel_add_u64(t, "errors", c->errors);
	tel_add_u64(t, "oldest_us", c->oldest / (rte_get_timer_hz() / 1000000));
}

static void
add_dev(struct rte_tel_data *t, const struct copy_dev *d)
{
	uint64_t now = rte_get_timer_cycles(), ms = rte_get_timer_hz() / 1000;
	struct counts sum = { 0 };
	unsigned int used = 0;

	for (uint16_t v = 0; v < d->nr_vchans; v++) {
		count(&sum, &d->vchan[v], now);
		used += d->vchan[v].users != 0;
	}
	rte_tel_data_add_dict_string(t, "state", health_name[d->health]);
	rte_tel_data_add_dict_int(t, "numa_node", d->vchan[0].chan.node);
	tel_add_u64(t, "channels", d->nr_vchans);
	tel_add_u64(t, "channels_used", used);
	tel_add_u64(t, "queues", d->users);
	tel_add_u64(t, "max_sg", d->vchan[0].chan.max_sg);
	tel_add_u64(t, "descriptors", d->vchan[0].chan.mask + 1);
	add_counts(t, &sum);
	tel_add_u64(t, "resets", d->resets);
	tel_add_u64(t, "rescued", d->rescued);
	tel_add_u64(t, "next_try_ms",
		    d->health != COPY_UP && d->retry_at > now ? (d->retry_at - now) / ms
							      : 0);
}

static int
add_channels(struct rte_tel_data *t, const struct copy_dev *d)
{
	uint64_t now = rte_get_timer_cycles();
	char name[16];
	int ret = 0;

	for (uint16_t v = 0; v < d->nr_vchans && ret == 0; v++) {
		struct counts c = { 0 };
		struct rte_tel_data *one;

		if (d->vchan[v].users == 0)
			continue;
		one = tel_new_dict();
		if (one == NULL)
			return -ENOMEM;
		count(&c, &d->vchan[v], now);
		tel_add_u64(one, "queues", d->vchan[v].users);
		add_counts(one, &c);
		snprintf(name, sizeof(name), "vchan%u", v);
		ret = tel_add_part(t, name, one);
	}
	return ret;
}

/* As many as an answer takes. */
static int
add_devs(struct rte_tel_data *t)
{
	tel_add_u64(t, "watchdog_us", weir_copy_watchdog());
	for (const struct copy_dev *d = copy_devs; d != NULL; d = d->next) {
		struct rte_tel_data *one = tel_new_dict();

		if (one == NULL)
			return -ENOMEM;
		add_dev(one, d);
		if (tel_add_named(t, d->name, one) != 0)
			break;
	}
	return 0;
}

static int
add_one(struct rte_tel_data *t, const char *name)
{
	const struct copy_dev *d = copy_devs;

	while (d != NULL && strcmp(d->name, name) != 0)
		d = d->next;
	if (d == NULL)
		return -ENOENT;
	tel_add_text(t, "name", d->name);
	add_dev(t, d);
	return add_channels(t, d);
}

static int
copy_cmd(const char *cmd, const char *params, struct rte_tel_data *t)
{
	int ret;

	(void)cmd;
	rte_tel_data_start_dict(t);
	pthread_mutex_lock(&copy_devs_lock);
	ret = params == NULL || params[0] == '\0' ? add_devs(t) : add_one(t, params);
	pthread_mutex_unlock(&copy_devs_lock);
	return ret;
}

RTE_INIT(copy_tel_init)
{
	rte_telemetry_register_cmd(
		"/weir/copy", copy_cmd,
		"The dmadevs that copy; with a name also its channels.");
}
