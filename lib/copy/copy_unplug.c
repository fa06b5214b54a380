/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Devices that are removed while they are in use: who says so, and which of ours
 * that is. What is done about it is in copy_tend.c.
 */
#include <string.h>

#include <rte_dev.h>

#include "copy_impl.h"
#include "weir_errno.h"
#include "weir_log.h"

int
weir_copy_unplug(const char *dma_name)
{
	int ret = 0;

	pthread_mutex_lock(&copy_devs_lock);
	for (struct copy_dev *d = copy_devs; d != NULL; d = d->next)
		if (strcmp(d->name, dma_name) == 0)
			ret = copy_dev_leave(d);
	pthread_mutex_unlock(&copy_devs_lock);
	return ret;
}

/* A dmadev has its device's name; one of several of a device has more behind it. */
static bool
is_of(const struct copy_dev *d, const char *device_name)
{
	size_t len = strlen(device_name);

	return strncmp(d->name, device_name, len) == 0 &&
	       (d->name[len] == '\0' || d->name[len] == '-');
}

static void
on_event(const char *device_name, enum rte_dev_event_type event, void *arg)
{
	(void)arg;
	if (event != RTE_DEV_EVENT_REMOVE || device_name == NULL)
		return;
	pthread_mutex_lock(&copy_devs_lock);
	for (struct copy_dev *d = copy_devs; d != NULL; d = d->next)
		if (is_of(d, device_name))
			copy_dev_leave(d);
	pthread_mutex_unlock(&copy_devs_lock);
}

void
copy_events_on(void)
{
	static bool on;
	int ret;

	if (on)
		return;
	/* of all devices: one that comes back has to be heard of, too */
	ret = rte_dev_event_callback_register(NULL, on_event, NULL);
	on = ret == 0;
	if (!on)
		weir_log(WEIR_LOG_WARN, "EAL will not tell of devices' removal: %s",
			 weir_strerror(ret));
}
