/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MAP_MODEL_H
#define MAP_MODEL_H
/*
 * A map that could not be simpler: an array with an element a page. Every rule of
 * weir_map.h is a loop over it.
 */
#include "weir_mirror.h"

#define MODEL_PAGES 96u

/* A page of the model. */
struct model_page {
	uint32_t refs;
	uint32_t prot;
	uint32_t owner;
	uint64_t delta; /* hva - iova */
	uint64_t chunk;
	bool begins; /* a piece begins here */
};

/* All zero is an empty one. */
struct map_model {
	struct model_page page[MODEL_PAGES + 1]; /* the last one is never mapped */
};

/* Map, unmap. @return 0, or as a mirror must answer; then nothing has changed. */
int map_model_map(struct map_model *m, const struct weir_region *r);
int map_model_unmap(struct map_model *m, struct weir_range iova);

/* True if a mirror's map says the same; else it has been printed where not. */
bool map_model_agrees(const struct map_model *m, struct weir_mirror *mirror);

#endif /* MAP_MODEL_H */
