/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "sv_vfio.h"
#include "weir_errno.h"
#include "weir_log.h"

uint64_t sv_entry_limit;
const char *sv_ctl_path;

static struct sv_spec specs[SV_MAX_DEVICES];
static struct sv_dev *devs[SV_MAX_DEVICES];
static struct sv_group groups[SV_MAX_DEVICES];
static unsigned int nr_devs, nr_groups;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int started;

void
sv_machine_init(const struct sv_spec *spec, unsigned int nr)
{
	memcpy(specs, spec, nr * sizeof(*spec));
	nr_devs = nr;
	for (unsigned int i = 0; i < nr; i++)
		if (sv_machine_group(spec[i].group) == NULL)
			groups[nr_groups++].nr = spec[i].group;
}

static void
machine_make(void)
{
	for (unsigned int i = 0; i < nr_devs && started == 0; i++)
		started = sv_dev_create(&specs[i], &devs[i]);
	for (unsigned int i = 0; i < nr_devs && started != 0; i++) {
		sv_dev_destroy(devs[i]);
		devs[i] = NULL;
	}
	if (started == 0 && sv_ctl_path != NULL) {
		int ret = sv_ctl_start(sv_ctl_path);

		if (ret != 0)
			weir_log(WEIR_LOG_WARN, "softvfio: cannot listen at %s: %s",
				 sv_ctl_path, weir_strerror(ret));
	}
}

int
sv_machine_start(void)
{
	pthread_once(&once, machine_make);
	return started;
}

struct sv_group *
sv_machine_group(unsigned int nr)
{
	for (unsigned int i = 0; i < nr_groups; i++)
		if (groups[i].nr == nr)
			return &groups[i];
	return NULL;
}

struct sv_dev *
sv_machine_dev(const char *bdf, const struct sv_group *group)
{
	for (unsigned int i = 0; i < nr_devs; i++)
		if (devs[i] != NULL && strcmp(specs[i].bdf, bdf) == 0 &&
		    (group == NULL || specs[i].group == group->nr))
			return devs[i];
	return NULL;
}

struct sv_dev *
sv_machine_nth(unsigned int i)
{
	return i < nr_devs ? devs[i] : NULL;
}
